#include "suspect.h"

#include <stdio.h>

#include "order.h"
#include "pool.h"
#include "pump.h"
#include "route.h"
#include "verdict.h"

struct suspects {
	struct ferry_bus *bus;
	_Atomic bool active, announced;
	pthread_mutex_t lock;
	struct message_queue waiting; /* in order of arrival */
	bool moving;                  /* somebody is choosing: the choice is made once */
	bool again;                   /* somebody else wanted to, meanwhile */
	bool any_tried;               /* the first of this process has been chosen */
};

struct suspects *suspects_make(struct ferry_bus *bus)
{
	struct suspects *suspects = alloc_zeroed(bus->allocator, sizeof *suspects);
	if (!suspects)
		return NULL;
	suspects->bus = bus;
	if (pthread_mutex_init(&suspects->lock, NULL)) {
		alloc_free(bus->allocator, suspects);
		return NULL;
	}
	return suspects;
}

void suspects_free(struct suspects *suspects)
{
	if (!suspects)
		return;
	pthread_mutex_destroy(&suspects->lock);
	alloc_free(suspects->bus->allocator, suspects);
}

bool suspect_active(const struct suspects *suspects)
{
	return atomic_load(&suspects->active);
}

void suspect_add(struct suspects *suspects, struct ferry_message *m)
{
	m->suspect = true;
	pthread_mutex_lock(&suspects->lock);
	queue_push(&suspects->waiting, m);
	pthread_mutex_unlock(&suspects->lock);
	if (!atomic_exchange(&suspects->active, true))
		atomic_store(&suspects->announced, false);
}

/* Once per series; not where a suspect is added, which is under a lock. */
static void announce(struct suspects *suspects)
{
	char text[600] = "";
	if (atomic_exchange(&suspects->announced, true))
		return;
	pthread_mutex_lock(&suspects->lock);
	const struct ferry_message *m = suspects->waiting.first;
	if (m)
		snprintf(text, sizeof text,
			 "%s: message %s was handed out %u times without an outcome: such messages are now "
			 "run one at a time",
			 m->subscription->topic, message_id(m), m->delivery.deliveries);
	pthread_mutex_unlock(&suspects->lock);
	if (*text)
		bus_log(suspects->bus, FERRY_LOG_WARNING, "%s", text);
}

void suspect_take_all(struct suspects *suspects, struct message_queue *into)
{
	pthread_mutex_lock(&suspects->lock);
	for (struct ferry_message *m; (m = queue_pop(&suspects->waiting));)
		queue_push(into, m);
	pthread_mutex_unlock(&suspects->lock);
	atomic_store(&suspects->active, false);
}

/* Take out what has not begun; a suspect whose turn it is stays. [subscription.lock held] */
static void take_rest(struct subscription *s, struct message_queue *rest)
{
	struct message_queue all = {NULL, NULL, 0}, behind = {NULL, NULL, 0};
	for (struct handler *h = s->handlers; h; h = h->next) {
		for (struct ferry_message *m; (m = queue_pop(&h->ready));)
			queue_push(&all, m);
		for (struct ferry_message *m; (m = queue_pop(&all));)
			queue_push(m->suspect ? &h->ready : rest, m);
	}
	if (s->lanes)
		lane_take_waiting(s, &behind);
	for (struct ferry_message *m; (m = queue_pop(&behind));)
		if (!m->suspect || lane_enter(s, m))
			queue_push(rest, m);
}

/* Where a hand-back is exact, everything that has not begun goes back. */
static void hand_back_rest(struct ferry_bus *bus)
{
	for (struct group *g = bus->groups; g; g = g->next) {
		for (struct subscription *s = g->subscriptions; s; s = s->next) {
			struct message_queue rest = {NULL, NULL, 0};
			pthread_mutex_lock(&s->lock);
			take_rest(s, &rest);
			pthread_mutex_unlock(&s->lock);
			for (struct ferry_message *m; (m = queue_pop(&rest));)
				delivery_end(bus, NULL, m, FERRY_SETTLE_HANDBACK, 0, END_HANDED_BACK);
		}
	}
}

/* Whether anything but suspects and what waits for a retry is still at work or on its way. */
static bool busy(struct ferry_bus *bus, uint32_t waiting)
{
	uint64_t open = 0;
	for (struct group *g = bus->groups; g; g = g->next) {
		if (atomic_load(&g->granted))
			return true;
		for (struct subscription *s = g->subscriptions; s; s = s->next) {
			pthread_mutex_lock(&s->lock);
			open += s->count.in_flight - s->count.held - s->resting;
			pthread_mutex_unlock(&s->lock);
		}
	}
	return open > waiting;
}

/* The next one: oldest first when the highest count is even, newest first when it is odd. [lock held] */
static struct ferry_message *choose(struct suspects *suspects)
{
	uint32_t highest = 0;
	struct ferry_message *before_last = NULL;
	for (struct ferry_message *m = suspects->waiting.first; m; m = m->next) {
		if (m->delivery.deliveries > highest)
			highest = m->delivery.deliveries;
		if (m->next == suspects->waiting.last)
			before_last = m;
	}
	if (highest % 2 == 0 || !before_last)
		return queue_pop(&suspects->waiting);
	struct ferry_message *last = suspects->waiting.last;
	before_last->next = NULL;
	suspects->waiting.last = before_last;
	suspects->waiting.count--;
	last->next = NULL;
	return last;
}

static void release_all(struct ferry_bus *bus)
{
	bus_log(bus, FERRY_LOG_INFO, "no suspect is left: the work goes on");
	for (struct group *g = bus->groups; g; g = g->next)
		pump_feed(g);
}

/* Let it run, or dead-letter it unseen. */
static void try_one(struct ferry_bus *bus, struct ferry_message *m, bool first)
{
	struct subscription *s = m->subscription;
	if (m->delivery.deliveries > m->handler->max_deliveries &&
	    (first || bus_can(bus, FERRY_CAP_HANDBACK_EXACT))) {
		message_set_failure(bus, m,
				    "it was handed out more often than max_deliveries without an outcome");
		verdict_give_up(bus, NULL, m, REASON_MAX_DELIVERIES);
		return;
	}
	pthread_mutex_lock(&s->lock);
	if (s->order == FERRY_ORDER_NONE || lane_enter(s, m))
		route_ready(s, m);
	pthread_mutex_unlock(&s->lock);
	pool_submit(s);
}

/* Claim the right to choose: one thread at a time. */
static bool claim(struct suspects *suspects, uint32_t *ret_waiting)
{
	pthread_mutex_lock(&suspects->lock);
	bool mine = !suspects->moving;
	suspects->again = !mine;
	suspects->moving = true;
	*ret_waiting = suspects->waiting.count;
	pthread_mutex_unlock(&suspects->lock);
	return mine;
}

/* True when another thread has looked meanwhile: what it saw may be news. */
static bool unclaim(struct suspects *suspects)
{
	pthread_mutex_lock(&suspects->lock);
	bool again = suspects->again;
	suspects->moving = suspects->again = false;
	pthread_mutex_unlock(&suspects->lock);
	return again;
}

void suspect_progress(struct ferry_bus *bus)
{
	if (suspect_active(bus->suspects))
		for (struct group *g = bus->groups; g; g = g->next)
			pump_feed(g);
}

/* How long the settles of what has run may take to be stored. */
#define FLUSH_US 5000000

/* What has run before must be settled for good before a suspect may kill the process. */
static bool flushed(struct ferry_bus *bus)
{
	int code = 0;
	if (bus->api->flush)
		code = bus->api->flush(bus->connection, clock_now(&bus->clock) + FLUSH_US);
	if (code)
		bus_log(bus, FERRY_LOG_WARNING, "suspects wait until earlier messages are settled: %s",
			ferry_error_text(code));
	return code == 0;
}

/* Where a hand-back is exact, the other suspects go back too: should this one kill the process, its death is
 * not counted for them. They come again, one after the other. */
static void hand_back_others(struct suspects *suspects)
{
	struct message_queue others = {NULL, NULL, 0};
	pthread_mutex_lock(&suspects->lock);
	for (struct ferry_message *m; (m = queue_pop(&suspects->waiting));)
		queue_push(&others, m);
	pthread_mutex_unlock(&suspects->lock);
	for (struct ferry_message *m; (m = queue_pop(&others));)
		delivery_end(suspects->bus, NULL, m, FERRY_SETTLE_HANDBACK, 0, END_HANDED_BACK);
}

static void put_back(struct suspects *suspects, struct ferry_message *m)
{
	pthread_mutex_lock(&suspects->lock);
	queue_push_front(&suspects->waiting, m);
	pthread_mutex_unlock(&suspects->lock);
}

/* One step; false when there is nothing to do now. [claimed] */
static bool step(struct suspects *suspects, uint32_t waiting)
{
	struct ferry_bus *bus = suspects->bus;
	if (busy(bus, waiting))
		return false;
	pthread_mutex_lock(&suspects->lock);
	struct ferry_message *m = choose(suspects);
	bool first = m && !suspects->any_tried;
	if (!m)
		atomic_store(&suspects->active, false);
	pthread_mutex_unlock(&suspects->lock);
	if (!m) {
		release_all(bus);
		return false;
	}
	if (bus_can(bus, FERRY_CAP_HANDBACK_EXACT))
		hand_back_others(suspects);
	if (!flushed(bus)) {
		put_back(suspects, m);
		return false;
	}
	suspects->any_tried = true;
	try_one(bus, m, first);
	return true;
}

void suspect_step(struct ferry_bus *bus)
{
	struct suspects *suspects = bus->suspects;
	bool more = true;
	while (more && suspect_active(suspects) && !atomic_load(&bus->stopping)) {
		uint32_t waiting;
		announce(suspects);
		if (bus_can(bus, FERRY_CAP_HANDBACK_EXACT))
			hand_back_rest(bus);
		if (!claim(suspects, &waiting))
			return;
		more = step(suspects, waiting);
		more = unclaim(suspects) || more;
	}
}
