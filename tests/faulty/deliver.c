/*
 * deliver.c - messages on their way in, and what can go wrong with them.
 */
#include <time.h>

#include "faulty.h"

/* ---- a source that gives nothing for a while ---- */

static bool is_shut(struct ferry_source *s)
{
	struct ferry_connection *c = s->connection;
	if (c->fault == FAULT_ONE_AT_A_TIME)
		return atomic_load(&s->open) > 0;
	return c->fault == FAULT_RETRY_BLOCKS && c->host->now_us(c->core) < atomic_load(&s->shut_until_us);
}

/* The pump has to wait somewhere when the source is shut; it looks again soon. */
static void nap(int timeout_ms)
{
	struct timespec pause = {.tv_nsec = (timeout_ms < 0 || timeout_ms > 2 ? 2 : timeout_ms) * 1000000L};
	nanosleep(&pause, NULL);
}

/* ---- one delivery ---- */

static struct ferry_subscription *subscription_of(struct ferry_source *s, const struct ferry_delivery *d)
{
	struct ferry_subscription *sub = s->subscriptions;
	while (sub->core != d->subscription)
		sub = sub->next;
	return sub;
}

static bool is_swallowed(struct ferry_source *s, const struct ferry_delivery *d)
{
	const struct ferry_record *r = &d->record;
	switch (s->connection->fault) {
	case FAULT_SWALLOW_FILTER:
		return r->attribute_count > 0;
	case FAULT_ACK_UNDECODABLE:
		return r->source.size == 0;
	case FAULT_HALF_BROADCAST:
		return s->distribution == FERRY_BROADCAST && subscription_of(s, d)->index > 0;
	case FAULT_ONE_GROUP:
		return !s->first_group;
	default:
		return false;
	}
}

static void tamper(struct ferry_connection *c, struct ferry_delivery *d)
{
	if (c->fault == FAULT_NO_ATTEMPT)
		d->attempt = d->deliveries = 1;
	if (d->record.payload.size && fault_hits(c, FAULT_CORRUPT_PAYLOAD))
		d->record.payload.size--;
	if (d->record.attribute_count && c->fault == FAULT_CUT_ATTRIBUTES)
		d->record.attribute_count--;
}

/* Fetch one that is to be seen: 1, 0 or an error. */
static int fetch_one(struct ferry_source *s, struct ferry_subscription *only, struct ferry_delivery *d,
		     int timeout_ms)
{
	for (;;) {
		int n = inner.fetch(s->inner, only ? only->inner : NULL, &d, 1, timeout_ms);
		if (n <= 0)
			return n;
		struct ferry_subscription *sub = subscription_of(s, d);
		if (!is_swallowed(s, d)) {
			if (sub->credit)
				sub->credit--;
			return 1;
		}
		settle_inner(s, d, FERRY_SETTLE_ACK, 0);
		if (!only)
			inner.credit(sub->inner,
				     sub->credit); /* the core has not seen it: it costs no credit */
	}
}

/* Put the first of a pair behind the second; a delivery is its words, so they change places as values. */
static void swap_pairs(struct ferry_delivery *const *deliveries, size_t count)
{
	for (size_t i = 0; i + 1 < count; i += 2) {
		struct ferry_delivery first = *deliveries[i];
		*deliveries[i] = *deliveries[i + 1];
		*deliveries[i + 1] = first;
	}
}

int faulty_fetch(struct ferry_source *s, struct ferry_subscription *only,
		 struct ferry_delivery *const *deliveries, size_t max, int timeout_ms)
{
	struct ferry_connection *c = s->connection;
	if (c->fault == FAULT_NONE)
		return inner.fetch(s->inner, only ? only->inner : NULL, deliveries, max, timeout_ms);
	if (is_shut(s)) {
		if (!only)
			nap(timeout_ms);
		return 0;
	}
	size_t limit = c->fault == FAULT_ONE_AT_A_TIME || c->fault == FAULT_LIE_CAPABILITIES ? 1 : max;
	size_t count = 0;
	while (count < limit) {
		int n = fetch_one(s, only, deliveries[count], count ? 0 : timeout_ms);
		if (n < 0 && !count)
			return n;
		if (n <= 0)
			break;
		tamper(c, deliveries[count++]);
		atomic_fetch_add(&s->open, 1);
	}
	if (c->fault == FAULT_WRONG_ORDER)
		swap_pairs(deliveries, count);
	return (int)count;
}

void faulty_credit(struct ferry_subscription *sub, uint32_t count)
{
	sub->credit = count;
	inner.credit(sub->inner, count);
}

void faulty_wakeup(struct ferry_source *s)
{
	inner.wakeup(s->inner);
}

int faulty_arm(struct ferry_subscription *sub)
{
	struct ferry_source *s = sub->source;
	struct ferry_connection *c = s->connection;
	if (is_shut(s)) {
		if (c->fault == FAULT_RETRY_BLOCKS) {
			c->host->wake_at(c->core, sub->core, atomic_load(&s->shut_until_us));
			return 0;
		}
		atomic_store(&sub->waiting, true);
		if (is_shut(s) || !atomic_exchange(&sub->waiting, false))
			return 0;
	}
	return inner.arm(sub->inner);
}
