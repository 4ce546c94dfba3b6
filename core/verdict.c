#include "verdict.h"

#include <stddef.h>
#include <stdio.h>

#include "dlq.h"
#include "id.h"
#include "order.h"
#include "pool.h"
#include "pump.h"
#include "route.h"
#include "suspect.h"

/* ---- counting ---- */

void count_ending(struct subscription *s, enum ending ending)
{
	struct counters *c = &s->count;
	uint64_t *const counter[] = {
		[END_HANDLED] = &c->handled,
		[END_FILTERED] = &c->filtered,
		[END_DEAD_LETTERED] = &c->dead_lettered,
		[END_DROPPED] = &c->dropped,
		[END_RETRIED] = &c->retried,
		[END_HANDED_BACK] = &c->handed_back,
		[END_STALE] = &c->stale,
	};
	(*counter[ending])++;
	c->in_flight--;
}

void report_dropped(struct ferry_bus *bus, const struct subscription *s, const struct ferry_message *m,
		    const char *reason, const char *text, uint64_t count)
{
	const char *handler = m && m->handler ? m->handler->name : "";
	bus_log(bus, FERRY_LOG_WARNING, "%s: group %s dropped %llu message(s): %s%s%s", s->topic,
		s->group->name, (unsigned long long)count, reason, *text ? ": " : "", text);
	if (!bus->on_dropped)
		return;
	struct ferry_incident incident = {
		.size = sizeof incident,
		.topic = s->topic,
		.group = s->group->name,
		.handler = handler,
		.message_id = m ? message_id(m) : "",
		.reason = reason,
		.text = text,
		.count = count,
	};
	bus->on_dropped(bus, &incident, bus->hook_ctx);
}

/* ---- leases ---- */

void lease_begin(struct group *g, struct ferry_message *m)
{
	if (!g->lease_us)
		return;
	pthread_mutex_lock(&g->lock);
	LIST_ADD(&g->leased, m, lease_link);
	m->leased = true;
	pthread_mutex_unlock(&g->lock);
}

void lease_end(struct group *g, struct ferry_message *m)
{
	if (!m->leased)
		return;
	pthread_mutex_lock(&g->lock);
	LIST_REMOVE(&g->leased, m, lease_link);
	m->leased = false;
	pthread_mutex_unlock(&g->lock);
}

bool lease_extend(struct group *g)
{
	struct ferry_settle settles[BATCH_MAX];
	size_t count = 0;
	/* The lock keeps a final verb from overtaking: nothing is extended after its end. */
	pthread_mutex_lock(&g->lock);
	bool any = g->leased.first != NULL;
	for (struct ferry_message *m = g->leased.first; m; m = m->lease_link.next) {
		settles[count++] =
			(struct ferry_settle){.delivery = &m->delivery, .verb = FERRY_SETTLE_EXTEND};
		if (count == BATCH_MAX || !m->lease_link.next) {
			g->bus->api->settle(g->source, settles, count);
			count = 0;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return any;
}

void lease_renew(struct timer *timer)
{
	struct group *g = (struct group *)(void *)((char *)timer - offsetof(struct group, lease));
	bool any = lease_extend(g);
	if (any || !atomic_load(&g->bus->stopping))
		timer_set(&g->bus->timers, &g->lease, clock_now(&g->bus->clock) + g->lease_us);
}

/* ---- ends ---- */

struct ferry_message *leave_lane(struct ferry_message *m)
{
	if (!m->lane_head)
		return NULL;
	struct subscription *s = m->subscription;
	pthread_mutex_lock(&s->lock);
	/* The call that is stuck keeps the key; when it returns it finds that the delivery is over. */
	struct ferry_message *next = m->call_busy ? NULL : lane_leave(s, m);
	m->ended = true;
	pthread_mutex_unlock(&s->lock);
	return next;
}

/* The delivery has ended; `next` of its lane may run. */
static void end_counted(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, enum ending ending,
			struct ferry_message *next)
{
	struct subscription *s = m->subscription;
	if (message_phase(m) != PHASE_EXPIRED)
		message_set_phase(m, PHASE_ENDED);
	if (bus->api->thread_model == FERRY_PUMP)
		atomic_fetch_sub(&s->group->bytes, (int64_t)m->delivery.record.payload.size);

	pthread_mutex_lock(&s->lock);
	count_ending(s, ending);
	m->ended = true;
	if (next)
		route_ready(s, next);
	bool submit = next || s->stalled;
	s->stalled = false;
	bool hungry = subscription_hungry(s);
	pthread_mutex_unlock(&s->lock);

	message_drop(bus, w, m);
	if (submit)
		pool_submit(s);
	if (hungry)
		pump_feed(s->group);
	suspect_progress(bus);
	bus_progress(bus);
}

void delivery_ended(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, enum ending ending)
{
	end_counted(bus, w, m, ending, leave_lane(m));
}

void delivery_end(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, int verb,
		  int64_t delay_us, enum ending ending)
{
	struct group *g = m->subscription->group;
	struct ferry_message *next = leave_lane(m);
	lease_end(g, m);
	m->kept = m->kept || m->origin || atomic_load(&m->refs) > 1;
	struct ferry_settle settle = {
		.delivery = &m->delivery,
		.verb = verb,
		.flags = m->kept ? FERRY_SETTLE_KEEP : 0,
		.attempt = m->attempt,
		.delay_us = delay_us,
	};
	bus->api->settle(g->source, &settle, 1);
	end_counted(bus, w, m, settle.result ? END_STALE : ending, next);
}

void delivery_hand_back(struct ferry_bus *bus, struct worker *w, struct ferry_message *m)
{
	if (bus_can(bus, FERRY_CAP_DURABLE)) {
		delivery_end(bus, w, m, FERRY_SETTLE_HANDBACK, 0, END_HANDED_BACK);
	} else {
		report_dropped(bus, m->subscription, m, REASON_STOPPED, "the bus was stopped", 1);
		delivery_end(bus, w, m, FERRY_SETTLE_REJECT, 0, END_DROPPED);
	}
}

/* ---- holding: waiting in this process ---- */

static struct ferry_message *message_of_timer(struct timer *timer)
{
	return (struct ferry_message *)(void *)((char *)timer - offsetof(struct ferry_message, timer));
}

/* While suspects are tried one by one, everything else waits a little longer. */
#define SUSPECT_PAUSE_US 100000

static void hold_over(struct timer *timer)
{
	struct ferry_message *m = message_of_timer(timer);
	struct subscription *s = m->subscription;
	struct ferry_bus *bus = s->group->bus;
	bool submit = false;

	pthread_mutex_lock(&s->lock);
	if (!m->is_held) { /* hold_take_all has it */
		pthread_mutex_unlock(&s->lock);
		return;
	}
	if (suspect_active(bus->suspects) && !atomic_load(&bus->stopping)) {
		timer_set(&bus->timers, timer, clock_now(&bus->clock) + SUSPECT_PAUSE_US);
		pthread_mutex_unlock(&s->lock);
		return;
	}
	LIST_REMOVE(&s->held, m, held_link);
	m->is_held = false;
	s->count.held--;
	enum message_wait wait = m->wait;
	m->wait = WAIT_NOTHING;
	bool stopping = atomic_load(&bus->stopping);
	if (wait == WAIT_RETRY && !stopping) {
		if (m->call_busy) {
			m->call_awaited = true;
			s->resting++;
		} else {
			route_ready(s, m);
			submit = true;
		}
	}
	pthread_mutex_unlock(&s->lock);

	if (submit)
		pool_submit(s);
	else if (stopping)
		delivery_hand_back(bus, NULL, m);
	else if (wait == WAIT_DLQ)
		dead_letter_send(bus, m);
}

void hold_until(struct subscription *s, struct ferry_message *m, int64_t due_us, enum message_wait wait)
{
	m->wait = wait;
	m->is_held = true;
	LIST_ADD(&s->held, m, held_link);
	s->count.held++;
	m->timer.fire = hold_over;
	timer_set(&s->group->bus->timers, &m->timer, due_us);
}

void hold_take_all(struct subscription *s, struct message_queue *into)
{
	while (s->held.first) {
		struct ferry_message *m = s->held.first;
		LIST_REMOVE(&s->held, m, held_link);
		m->is_held = false;
		s->count.held--;
		/* A timer that is firing right now finds is_held false and leaves the message to us.  It must
		 * have left before the message can be recycled: its lock is ours. */
		timer_cancel(&s->group->bus->timers, &m->timer);
		queue_push(into, m);
	}
}

/*
 * Somebody still looks at `m` (a stuck call, or the application by a reference) while its retry is to run in
 * this process: a second message takes over the delivery, and `m` stays behind as the owner of the views.
 * NULL without memory. [subscription.lock held]
 */
static struct ferry_message *split(struct ferry_bus *bus, struct ferry_message *m)
{
	struct subscription *s = m->subscription;
	uint32_t count;
	struct ferry_message *twin = message_pool_take(&bus->messages, 1, &count);
	if (!twin)
		return NULL;
	twin->delivery = m->delivery;
	message_adopt(twin);
	twin->attempt = m->attempt;
	twin->first_failed_wall_us = m->first_failed_wall_us;
	twin->handler = m->handler;
	m->kept = true;
	m->ended = true;
	twin->origin = m; /* with the reference that was the delivery's */
	if (m->lane_head) {
		lane_replace(s, m, twin);
		twin->call_busy = m->call_busy;
		if (m->call_busy) {
			m->twin = twin;
			atomic_fetch_add(&twin->refs, 1);
		}
	}
	lease_end(s->group, m);
	lease_begin(s->group, twin);
	return twin;
}

/* The message that may run again: `m`, or its twin while somebody still looks at it or when it has heard that
 * it should give up; NULL without memory. */
static struct ferry_message *free_to_run(struct ferry_bus *bus, struct ferry_message *m)
{
	struct subscription *s = m->subscription;
	if (atomic_load(&m->refs) == 1 && !atomic_load(&m->cancelled)) {
		/* What the next attempt says, or does not, is its own. */
		alloc_free(bus->allocator, m->failure);
		m->failure = NULL;
		return m;
	}
	pthread_mutex_lock(&s->lock);
	struct ferry_message *twin = split(bus, m);
	pthread_mutex_unlock(&s->lock);
	return twin;
}

static void hold(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, int64_t delay_us)
{
	struct subscription *s = m->subscription;
	struct ferry_message *next = free_to_run(bus, m);
	if (!next) {
		/* Out of its order, but not lost. */
		if (bus_can(bus, FERRY_CAP_NACK_DELAY))
			delivery_end(bus, w, m, FERRY_SETTLE_NACK, delay_us, END_RETRIED);
		else
			delivery_hand_back(bus, w, m);
		return;
	}
	next->attempt++;
	struct ferry_settle settle = {.delivery = &next->delivery,
				      .verb = FERRY_SETTLE_HOLD,
				      .attempt = next->attempt,
				      .delay_us = delay_us};
	bus->api->settle(s->group->source, &settle, 1);
	if (settle.result) {
		delivery_end(bus, w, next, FERRY_SETTLE_HANDBACK, 0, END_STALE);
		return;
	}
	pthread_mutex_lock(&s->lock);
	bool stopping = atomic_load(&bus->stopping);
	if (!stopping) {
		message_set_phase(next, PHASE_QUEUED);
		hold_until(s, next, clock_now(&bus->clock) + delay_us, WAIT_RETRY);
	}
	pthread_mutex_unlock(&s->lock);
	if (stopping)
		delivery_hand_back(bus, w, next);
	suspect_progress(bus);
}

/* ---- failures ---- */

/* delay n = min(max, initial * 2^(n-1)), with jitter before the cap. */
static int64_t backoff_us(const struct handler *h, uint32_t attempt)
{
	int64_t delay = h->initial_backoff_us;
	for (uint32_t n = 1; n < attempt && delay < h->max_backoff_us; n++)
		delay *= 2;
	if (h->jitter_percent && delay > 0) {
		int64_t most = delay / 100 * h->jitter_percent;
		if (most > 0)
			delay += (int64_t)(id_random() % (uint64_t)(most + 1));
	}
	return delay < h->max_backoff_us ? delay : h->max_backoff_us;
}

void verdict_give_up(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, const char *reason)
{
	if (m->handler->dlq) {
		dead_letter_begin(bus, m, reason);
		return;
	}
	report_dropped(bus, m->subscription, m, reason, m->failure ? m->failure : "", 1);
	delivery_end(bus, w, m, FERRY_SETTLE_REJECT, 0, END_DROPPED);
}

void verdict_failed(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, int code,
		    const char *reason)
{
	const struct handler *h = m->handler;
	if (!m->first_failed_wall_us)
		m->first_failed_wall_us = clock_wall(&bus->clock);
	if (!message_has_failure(bus, m)) {
		char text[64];
		snprintf(text, sizeof text, "the handler returned %d (%s)", code,
			 code < 0               ? ferry_error_name(code)
			 : code == FERRY_REJECT ? "FERRY_REJECT"
						: "an error");
		message_set_failure(bus, m, text);
	}
	if (code == FERRY_REJECT) {
		verdict_give_up(bus, w, m, REASON_REJECTED);
	} else if (atomic_load(&bus->cancelling) && atomic_load(&m->cancelled)) {
		/* Interrupted by the stop: that is no failure of the handler's. */
		delivery_hand_back(bus, w, m);
	} else if (m->attempt > h->max_retries) {
		verdict_give_up(bus, w, m, reason);
	} else {
		int64_t after_ms = atomic_exchange(&m->retry_after_ms, -1);
		int64_t delay = after_ms >= 0 ? after_ms * 1000 : backoff_us(h, m->attempt);
		if (m->subscription->order == FERRY_ORDER_NONE && bus_can(bus, FERRY_CAP_NACK_DELAY))
			delivery_end(bus, w, m, FERRY_SETTLE_NACK, delay, END_RETRIED);
		else
			hold(bus, w, m, delay);
	}
}

/* ---- timeouts ---- */

static void report_stuck(struct ferry_bus *bus, const struct handler *h, const struct ferry_message *m,
			 uint32_t stuck)
{
	const struct subscription *s = h->subscription;
	char text[200];
	snprintf(text, sizeof text, "%u call(s) of the handler do not return: it is paused until one does",
		 stuck);
	bus_log(bus, FERRY_LOG_ERROR, "%s: handler %s: %s", s->topic, h->name, text);
	if (!bus->on_stuck)
		return;
	struct ferry_incident incident = {
		.size = sizeof incident,
		.topic = s->topic,
		.group = s->group->name,
		.handler = h->name,
		.message_id = message_id(m),
		.reason = "stuck",
		.text = text,
		.count = stuck,
	};
	bus->on_stuck(bus, &incident, bus->hook_ctx);
}

bool verdict_expire(struct ferry_bus *bus, struct ferry_message *m, uint32_t state, struct worker *runner)
{
	bool calling = (state & PHASE_MASK) == PHASE_RUNNING;
	uint32_t decided = (state & ~PHASE_MASK) | (calling ? PHASE_EXPIRED : PHASE_DECIDED);
	if (!atomic_compare_exchange_strong(&m->state, &state, decided))
		return false;
	/* From here on the message is ours: it cannot be recycled. */
	struct subscription *s = m->subscription;
	struct handler *h = m->handler;
	uint32_t paused_by = 0;
	pthread_mutex_lock(&s->lock);
	s->count.timeouts++;
	s->count.failed++;
	if (calling && !m->call_returned) {
		m->call_busy = true;
		h->stuck++;
		paused_by = handler_has_slot(h) ? 0 : h->stuck;
	}
	pthread_mutex_unlock(&s->lock);
	message_cancel(m);
	if (runner)
		pool_stick(runner, m);
	if (paused_by)
		report_stuck(bus, h, m, paused_by);
	message_set_failure(bus, m, "the handler's time was up");
	verdict_failed(bus, NULL, m, FERRY_E_TIMEDOUT, REASON_TIMEOUT);
	pool_submit(s);
	return true;
}

void verdict_late(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, struct handler *h)
{
	struct subscription *s = m->subscription;
	struct ferry_message *next = NULL, *over = NULL;
	pthread_mutex_lock(&s->lock);
	s->count.late_results++;
	if (m->call_busy) {
		/* The lane belongs to the message that carries the delivery on. */
		struct ferry_message *head = m->twin ? m->twin : m;
		h->stuck--;
		m->call_busy = head->call_busy = false;
		if (head->ended)
			next = lane_leave(s, head);
		else if (head->call_awaited)
			next = head;
		s->resting -= head->call_awaited;
		head->call_awaited = false;
		/* Given up before the retry may run: a message that runs has no other reference. */
		if (m->twin && head->ended)
			over = head;
		else if (m->twin)
			atomic_fetch_sub(&head->refs, 1);
		m->twin = NULL;
	} else {
		m->call_returned = true; /* before verdict_expire could count it as stuck */
	}
	if (next)
		route_ready(s, next);
	pthread_mutex_unlock(&s->lock);
	if (over)
		message_drop(bus, w, over);
	message_drop(bus, w, m);
	if (next)
		pool_submit(s);
	bus_progress(bus);
}
