#include "route.h"

#include <string.h>

#include "order.h"
#include "suspect.h"
#include "verdict.h"

bool handler_has_slot(const struct handler *h)
{
	/* A stuck call is replaced, by at most `concurrency` extra ones. */
	uint32_t extra = h->stuck < h->concurrency ? h->stuck : h->concurrency;
	return h->running < h->concurrency + extra;
}

bool handler_matches(const struct handler *h, const struct ferry_message *m)
{
	for (const struct ferry_attribute *f = h->filter; f && f->name; f++) {
		const char *value = message_attribute(m, f->name);
		if (!value || strcmp(value, f->value) != 0)
			return false;
	}
	return true;
}

uint32_t subscription_ready(const struct subscription *s)
{
	uint32_t ready = 0;
	for (const struct handler *h = s->handlers; h; h = h->next)
		ready += h->ready.count;
	return ready;
}

bool subscription_hungry(const struct subscription *s)
{
	return s->hungry && subscription_ready(s) * 2 <= s->target;
}

bool route_is_foreign(const struct subscription *s, const struct ferry_message *m)
{
	if (!m->delivery.record.attribute_count)
		return false;
	const char *target = message_attribute(m, "ferry-target-group");
	return target && strcmp(target, s->group->identity) != 0;
}

/* The idlest handler that matches; the one that waited longest among equals. */
static struct handler *pick(struct subscription *s, const struct ferry_message *m)
{
	struct handler *best = NULL;
	uint32_t best_load = 0;
	for (struct handler *h = s->handlers; h; h = h->next) {
		if (!handler_matches(h, m))
			continue;
		uint32_t load = (h->running + h->ready.count) / h->concurrency;
		if (!best || load < best_load || (load == best_load && (int32_t)(h->turn - best->turn) < 0)) {
			best = h;
			best_load = load;
		}
	}
	return best;
}

void route_ready(struct subscription *s, struct ferry_message *m)
{
	/* A message that has matched once matches always: filters and attributes do not change. */
	struct handler *h = pick(s, m);
	h->turn = ++s->turn;
	m->handler = h;
	message_set_phase(m, PHASE_QUEUED);
	queue_push(&h->ready, m);
}

enum route route_new(struct subscription *s, struct ferry_message *m)
{
	struct handler *h;
	if (route_is_foreign(s, m) || !(h = pick(s, m)))
		return ROUTE_FILTERED;
	m->handler = h;
	if (m->delivery.deliveries > 1 + h->max_retries) {
		suspect_add(s->group->bus->suspects, m);
		return ROUTE_WAITING;
	}
	if (s->order != FERRY_ORDER_NONE && !lane_enter(s, m))
		return ROUTE_WAITING;
	if (m->delivery.due_us > clock_now(&s->group->bus->clock)) {
		hold_until(s, m, m->delivery.due_us, WAIT_RETRY);
		return ROUTE_WAITING;
	}
	route_ready(s, m);
	return ROUTE_READY;
}
