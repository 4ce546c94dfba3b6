/*
 * publish.c - messages on their way out, and what can go wrong with them.
 */
#include "faulty.h"

static bool is_dead_letter(const struct ferry_outgoing *out)
{
	return out->record.topic.size > 4 && !memcmp(out->record.topic.data, "dlq.", 4);
}

/* Report a result by the road that the inner transport would have taken. */
static void report(struct ferry_connection *c, struct ferry_outgoing *out, int32_t result)
{
	out->result = result;
	if (!(inner.capabilities & FERRY_CAP_PUB_IMMEDIATE))
		c->host->published(c->core, &out, 1);
}

static bool is_lost(struct ferry_connection *c, const struct ferry_outgoing *out)
{
	if (c->fault == FAULT_FORGET_DLQ)
		return is_dead_letter(out);
	return fault_hits(c, FAULT_LOSE);
}

size_t faulty_publish(struct ferry_connection *c, struct ferry_outgoing *const *outs, size_t count)
{
	if (c->fault == FAULT_NONE)
		return inner.publish(c->inner, outs, count);
	for (size_t i = 0; i < count; i++) {
		if (is_lost(c, outs[i])) {
			report(c, outs[i], 0);
			continue;
		}
		if (inner.publish(c->inner, &outs[i], 1) == 0) {
			if (!fault_hits(c, FAULT_DROP_WHEN_FULL))
				return i;
			report(c, outs[i], 0);
			continue;
		}
		if ((inner.capabilities & FERRY_CAP_PUB_IMMEDIATE) && fault_hits(c, FAULT_LIE_REJECTED))
			outs[i]->result = FERRY_E_REJECTED;
	}
	return count;
}

void faulty_dead_letter(struct ferry_source *s, struct ferry_delivery *delivery, struct ferry_outgoing *dead)
{
	struct ferry_connection *c = s->connection;
	if (c->fault == FAULT_FORGET_DLQ)
		report(c, dead, settle_inner(s, delivery, FERRY_SETTLE_ACK, FERRY_SETTLE_KEEP));
	else
		inner.dead_letter(s->inner, delivery, dead);
	settle_ended(s);
}
