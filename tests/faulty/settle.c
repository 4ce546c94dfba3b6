/*
 * settle.c - verdicts, and what can go wrong with them.
 */
#include "faulty.h"

int settle_inner(struct ferry_source *s, struct ferry_delivery *delivery, int32_t verb, uint32_t flags)
{
	struct ferry_settle settle = {.delivery = delivery, .verb = verb, .flags = flags};
	inner.settle(s->inner, &settle, 1);
	return settle.result;
}

void settle_ended(struct ferry_source *s)
{
	struct ferry_connection *c = s->connection;
	if (c->fault != FAULT_ONE_AT_A_TIME || atomic_fetch_sub(&s->open, 1) != 1)
		return;
	if (inner.thread_model != FERRY_FETCH_FROM_WORKERS)
		return;
	for (struct ferry_subscription *sub = s->subscriptions; sub; sub = sub->next)
		if (atomic_exchange(&sub->waiting, false))
			c->host->ready(c->core, sub->core);
}

static bool is_retry(const struct ferry_settle *settle)
{
	return settle->verb == FERRY_SETTLE_NACK || settle->verb == FERRY_SETTLE_HOLD;
}

/* What the inner transport is told instead. */
static void change(struct ferry_connection *c, struct ferry_settle *settle)
{
	bool ack = settle->verb == FERRY_SETTLE_ACK;
	if (ack && fault_hits(c, FAULT_DUPLICATE))
		settle->verb = FERRY_SETTLE_HANDBACK;
	if ((ack || settle->verb == FERRY_SETTLE_REJECT) && fault_hits(c, FAULT_STALE_SETTLE))
		settle->verb = FERRY_SETTLE_HANDBACK;
	if (settle->verb == FERRY_SETTLE_HANDBACK && c->fault == FAULT_IGNORE_HANDBACK)
		settle->verb = FERRY_SETTLE_ACK;
	if (!is_retry(settle))
		return;
	if (c->fault == FAULT_EARLY)
		settle->delay_us /= 2;
	if (c->fault == FAULT_LATE)
		settle->delay_us += 2000000;
	if (settle->verb == FERRY_SETTLE_NACK && c->fault == FAULT_FORGET_RETRY)
		settle->verb = FERRY_SETTLE_ACK;
	if (settle->verb == FERRY_SETTLE_HOLD && c->fault == FAULT_FORGET_HOLD)
		settle->verb = FERRY_SETTLE_EXTEND;
}

static void settle_one(struct ferry_source *s, struct ferry_settle *settle)
{
	struct ferry_connection *c = s->connection;
	bool final = settle->verb != FERRY_SETTLE_HOLD && settle->verb != FERRY_SETTLE_EXTEND;
	if (c->fault == FAULT_SHORT_LEASE && settle->verb == FERRY_SETTLE_EXTEND) {
		settle->result = 0;
		return;
	}
	if (c->fault == FAULT_RETRY_BLOCKS && is_retry(settle))
		atomic_store(&s->shut_until_us, c->host->now_us(c->core) + settle->delay_us);
	struct ferry_settle changed = *settle;
	change(c, &changed);
	inner.settle(s->inner, &changed, 1);
	settle->result = changed.result;
	if (final)
		settle_ended(s);
}

void faulty_settle(struct ferry_source *s, struct ferry_settle *settles, size_t count)
{
	if (s->connection->fault == FAULT_NONE) {
		inner.settle(s->inner, settles, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		settle_one(s, &settles[i]);
}

void faulty_release(struct ferry_source *s, struct ferry_delivery *const *deliveries, size_t count)
{
	inner.release(s->inner, deliveries, count);
}
