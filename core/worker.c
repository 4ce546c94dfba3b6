#include "worker.h"

#include <sched.h>

#include "intercept.h"
#include "pool.h"
#include "pump.h"
#include "route.h"
#include "suspect.h"
#include "verdict.h"

/* ---- life ---- */

struct worker *worker_make(struct ferry_bus *bus)
{
	struct worker *w = alloc_zeroed(bus->allocator, sizeof *w);
	if (!w)
		return NULL;
	if (pthread_mutex_init(&w->lock, NULL)) {
		alloc_free(bus->allocator, w);
		return NULL;
	}
	w->bus = bus;
	/* One message at least, so that no lack of memory later can stop the flow altogether. */
	if (worker_reserve(w, 1))
		return w;
	worker_free(w);
	return NULL;
}

void worker_free(struct worker *w)
{
	pthread_mutex_destroy(&w->lock);
	alloc_free(w->bus->allocator, w); /* its spare messages belong to the pool's slabs */
}

uint32_t worker_reserve(struct worker *w, uint32_t count)
{
	if (w->spare_count < count) {
		uint32_t got;
		struct ferry_message *m = message_pool_take(&w->bus->messages, count - w->spare_count, &got);
		while (m) {
			struct ferry_message *next = m->next;
			m->next = w->spare;
			w->spare = m;
			w->spare_count++;
			m = next;
		}
	}
	return w->spare_count < count ? w->spare_count : count;
}

static struct ferry_message *take_spare(struct worker *w)
{
	struct ferry_message *m = w->spare;
	w->spare = m->next;
	w->spare_count--;
	return m;
}

/* ---- taking ---- */

enum taken {
	TAKEN,   /* there is a batch */
	AGAIN,   /* only what ended at once (filtered): look again */
	NOTHING, /* the subscription is empty */
	NO_SLOT  /* all handlers are at work, or the subscription may have no more unsettled */
};

/* Fetch up to `max` messages; returns how many. [subscription.lock held] */
static uint32_t fetch(struct worker *w, struct subscription *s, uint32_t max, struct ferry_message **messages)
{
	struct ferry_delivery *deliveries[BATCH_MAX];
	uint32_t room = s->max_unsettled > 0 && s->count.in_flight + max > (uint64_t)s->max_unsettled
				? (uint32_t)((uint64_t)s->max_unsettled - s->count.in_flight)
				: max;
	max = worker_reserve(w, room < max ? room : max);
	for (uint32_t i = 0; i < max; i++) {
		messages[i] = take_spare(w);
		message_prepare(messages[i]);
		deliveries[i] = &messages[i]->delivery;
	}
	int got = max ? w->bus->api->fetch(s->group->source, s->plugin, deliveries, max, 0) : 0;
	w->fetch_error = got < 0 ? got : 0;
	if (got < 0)
		got = 0;
	for (uint32_t i = max; i-- > (uint32_t)got;) {
		messages[i]->next = w->spare;
		w->spare = messages[i];
		w->spare_count++;
	}
	for (int i = 0; i < got; i++)
		message_adopt(messages[i]);
	s->count.received += (uint64_t)got;
	s->count.in_flight += (uint64_t)got;
	return (uint32_t)got;
}

/* After its beginning a stop drains the queues; nothing new is begun. */
static bool closing(const struct worker *w)
{
	return atomic_load_explicit(&w->bus->stopping, memory_order_relaxed);
}

static bool at_bound(struct subscription *s)
{
	if (s->max_unsettled <= 0 || s->count.in_flight < (uint64_t)s->max_unsettled)
		return false;
	s->stalled = true;
	return true;
}

static bool fetches(const struct worker *w)
{
	return w->bus->api->thread_model == FERRY_FETCH_FROM_WORKERS;
}

/* One handler: a batch, straight from the transport. */
static enum taken take_simple(struct worker *w, struct subscription *s)
{
	struct handler *h = s->handlers;
	if (!handler_has_slot(h))
		return NO_SLOT;
	uint32_t want = h->batch;
	while (w->count < want && h->ready.first)
		w->batch[w->count++] = queue_pop(&h->ready);
	if (!w->count && fetches(w)) {
		if (at_bound(s))
			return NO_SLOT;
		struct ferry_message *messages[BATCH_MAX];
		uint32_t got = fetch(w, s, want, messages);
		if (!got)
			return NOTHING;
		for (uint32_t i = 0; i < got; i++) {
			struct ferry_message *m = messages[i];
			if ((m->delivery.record.attribute_count && route_is_foreign(s, m)) ||
			    (h->filter && !handler_matches(h, m))) {
				queue_push(&w->aside, m);
			} else if (m->delivery.due_us || m->delivery.deliveries) {
				if (route_new(s, m) == ROUTE_FILTERED)
					queue_push(&w->aside, m);
			} else {
				m->handler = h;
				w->batch[w->count++] = m;
			}
		}
		if (!w->count)
			return AGAIN;
	}
	if (!w->count)
		return NOTHING;
	w->handler = h;
	return TAKEN;
}

/* A handler with a free slot and something in its queue, or in that of a busy sibling that it could do. */
static struct ferry_message *pop_for(struct subscription *s, struct handler *h)
{
	struct ferry_message *m = queue_pop(&h->ready);
	for (struct handler *other = s->handlers; !m && other; other = other->next) {
		struct ferry_message **link = &other->ready.first, *previous = NULL;
		if (other == h || handler_has_slot(other))
			continue;
		while (*link && !handler_matches(h, *link)) {
			previous = *link;
			link = &(*link)->next;
		}
		if (!(m = *link))
			continue;
		*link = m->next;
		if (other->ready.last == m)
			other->ready.last = previous;
		other->ready.count--;
		m->next = NULL;
		m->handler = h;
	}
	return m;
}

static bool take_ready(struct worker *w, struct subscription *s, bool *any_slot)
{
	*any_slot = false;
	for (struct handler *h = s->handlers; h; h = h->next) {
		if (!handler_has_slot(h))
			continue;
		*any_slot = true;
		struct ferry_message *m = pop_for(s, h);
		if (m) {
			w->batch[w->count++] = m;
			w->handler = h;
			return true;
		}
	}
	return false;
}

/* Several handlers, filters or an order: one message at a time, to the idlest that matches. */
static enum taken take_routed(struct worker *w, struct subscription *s)
{
	bool any_slot;
	if (take_ready(w, s, &any_slot))
		return TAKEN;
	if (!any_slot)
		return NO_SLOT;
	if (!fetches(w))
		return NOTHING;
	if (at_bound(s))
		return NO_SLOT;
	uint32_t free = 0;
	for (const struct handler *h = s->handlers; h; h = h->next)
		free += handler_has_slot(h) ? h->concurrency : 0;
	struct ferry_message *messages[BATCH_MAX];
	uint32_t got = fetch(w, s, free < BATCH_MAX ? free : BATCH_MAX, messages);
	if (!got)
		return NOTHING;
	for (uint32_t i = 0; i < got; i++)
		if (route_new(s, messages[i]) == ROUTE_FILTERED)
			queue_push(&w->aside, messages[i]);
	return take_ready(w, s, &any_slot) ? TAKEN : AGAIN;
}

/* Another worker could go on beside this one. [subscription.lock held] */
static bool has_more(const struct worker *w, const struct subscription *s)
{
	for (const struct handler *h = s->handlers; h; h = h->next)
		if (handler_has_slot(h) && (h->ready.count || (fetches(w) && w->count >= h->batch)))
			return true;
	return false;
}

/* ---- settling what went well ---- */

static void leave_lanes(const struct ferry_settle *settles, uint32_t count, struct message_queue *next)
{
	for (uint32_t i = 0; i < count; i++) {
		struct ferry_message *m = leave_lane((struct ferry_message *)(void *)settles[i].delivery);
		if (m)
			queue_push(next, m);
	}
}

/* Settle the finished part of the batch; `own` is the worker on whose thread this runs, or NULL.
 * [worker.lock held] */
static void flush(struct worker *w, struct worker *own)
{
	struct ferry_bus *bus = w->bus;
	uint32_t done = atomic_load_explicit(&w->done, memory_order_acquire);
	uint32_t count = done - w->flushed;
	struct subscription *s = w->subscription;
	if (!count)
		return;
	struct ferry_settle *settles = w->settles + w->flushed;
	int64_t bytes = 0;
	if (bus->api->thread_model == FERRY_PUMP) {
		for (uint32_t i = 0; i < count; i++) {
			struct ferry_message *m = (struct ferry_message *)(void *)settles[i].delivery;
			bytes += (int64_t)m->delivery.record.payload.size;
			lease_end(s->group, m);
		}
		atomic_fetch_sub(&s->group->bytes, bytes);
	}
	struct message_queue next = {NULL, NULL, 0};
	if (s->lanes)
		leave_lanes(settles, count, &next);
	bus->api->settle(s->group->source, settles, count);
	w->flushed = done;

	uint32_t stale = 0;
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < count; i++) {
		((struct ferry_message *)(void *)settles[i].delivery)->ended = true;
		stale += settles[i].result != 0;
	}
	s->count.handled += count - stale;
	s->count.stale += stale;
	s->count.in_flight -= count;
	bool submit = s->stalled || next.first;
	for (struct ferry_message *m; (m = queue_pop(&next));)
		route_ready(s, m);
	s->stalled = false;
	/* A worker that flushes for itself looks at this when it takes again. */
	bool hungry = !own && subscription_hungry(s);
	pthread_mutex_unlock(&s->lock);
	for (uint32_t i = 0; i < count; i++) {
		struct ferry_message *m = (struct ferry_message *)(void *)settles[i].delivery;
		message_set_phase(m, PHASE_ENDED);
		message_drop(bus, own, m);
	}
	if (submit)
		pool_submit(s);
	if (hungry)
		pump_feed(s->group);
	suspect_progress(bus);
	bus_progress(bus);
}

static void settle_later(struct worker *w, struct ferry_message *m)
{
	uint32_t i = atomic_load_explicit(&w->done, memory_order_relaxed);
	/* The call's reference goes; the delivery's stays until the flush.  Alone means: nobody else can hold
	 * on. */
	if (atomic_load_explicit(&m->refs, memory_order_acquire) == 2)
		atomic_store_explicit(&m->refs, 1, memory_order_relaxed);
	else
		m->kept = atomic_fetch_sub(&m->refs, 1) > 2;
	m->kept = m->kept || m->origin;
	w->settles[i] = (struct ferry_settle){
		.delivery = &m->delivery,
		.verb = FERRY_SETTLE_ACK,
		.flags = m->kept ? FERRY_SETTLE_KEEP : 0,
		.attempt = m->attempt,
	};
	atomic_store_explicit(&w->done, i + 1, memory_order_release);
}

/* ---- one call ---- */

static struct ferry_message *message_of_ack_timer(struct timer *timer)
{
	return (struct ferry_message *)(void *)((char *)timer - offsetof(struct ferry_message, ack_timer));
}

/* Nobody settled a manual message in time.  The timer had a reference. */
static void ack_overdue(struct timer *timer)
{
	struct ferry_message *m = message_of_ack_timer(timer);
	struct ferry_bus *bus = m->subscription->group->bus;
	uint32_t state = atomic_load(&m->state);
	uint32_t phase = state & PHASE_MASK;
	int64_t deadline = atomic_load(&m->deadline_us);
	if (deadline > clock_now(&bus->clock)) {
		timer_set(&bus->timers, timer, deadline); /* extended meanwhile */
		return;
	}
	if (phase == PHASE_OPEN || phase == PHASE_RUNNING)
		verdict_expire(bus, m, state, NULL);
	message_drop(bus, NULL, m);
}

/* ack=manual: the call has returned. */
static void returned_manual(struct worker *w, struct ferry_message *m, struct handler *h, int code)
{
	struct ferry_bus *bus = w->bus;
	if (code == 0 && atomic_load(&m->refs) > 2) {
		int64_t deadline = atomic_load(&m->deadline_us);
		/* Set before the message is open: whoever settles it then finds the timer to cancel. */
		if (deadline != INT64_MAX) {
			atomic_fetch_add(&m->refs, 1);
			m->ack_timer.fire = ack_overdue;
			timer_set(&bus->timers, &m->ack_timer, deadline);
		}
		if (message_decide(m, PHASE_RUNNING, PHASE_OPEN)) {
			message_drop(bus, w, m);
			return;
		}
		if (deadline != INT64_MAX && timer_cancel(&bus->timers, &m->ack_timer))
			message_drop(bus, w, m);
	} else if (message_decide(m, PHASE_RUNNING, PHASE_DECIDED)) {
		w->tally.failed++;
		if (code == 0) {
			code = FERRY_E_MISSING_ACK;
			message_set_failure(bus, m, ferry_error_text(code));
		}
		message_drop(bus, w, m);
		verdict_failed(bus, w, m, code, REASON_ERROR);
		return;
	}
	/* Settled by the application, or its time was up. */
	if (message_phase(m) == PHASE_EXPIRED)
		verdict_late(bus, w, m, h);
	else
		message_drop(bus, w, m);
}

static void returned_auto(struct worker *w, struct ferry_message *m, struct handler *h, int code)
{
	struct ferry_bus *bus = w->bus;
	if (!message_decide(m, PHASE_RUNNING, PHASE_DECIDED)) {
		verdict_late(bus, w, m, h);
		return;
	}
	if (code == 0) {
		settle_later(w, m);
		return;
	}
	w->tally.failed++;
	message_drop(bus, w, m);
	verdict_failed(bus, w, m, code, REASON_ERROR);
}

/* False when the payload cannot be decoded: the message is on its way to the DLQ. */
static bool decode(struct worker *w, struct ferry_message *m, struct handler *h)
{
	struct ferry_error why = {.code = 0};
	int code = h->decode(m, h->decode_ctx, &why);
	if (code == 0)
		return true;
	if (!message_decide(m, PHASE_RUNNING, PHASE_DECIDED)) {
		verdict_late(w->bus, w, m, h);
		return false;
	}
	message_set_failure(w->bus, m, why.text[0] ? why.text : ferry_error_text(FERRY_E_DECODE));
	message_drop(w->bus, w, m);
	/* A lack of memory says nothing about the payload. */
	if (code == FERRY_E_NOMEM)
		verdict_failed(w->bus, w, m, code, REASON_ERROR);
	else
		verdict_give_up(w->bus, w, m, REASON_DECODE);
	return false;
}

static void run_one(struct worker *w, struct handler *h, struct ferry_message *m)
{
	struct ferry_bus *bus = w->bus;
	const struct ferry_transport *api = bus->api;
	if (api->alive && !api->alive(h->subscription->group->source, &m->delivery)) {
		delivery_end(bus, w, m, FERRY_SETTLE_HANDBACK, 0, END_STALE);
		return;
	}
	/* The clock is read once a batch, and again when a tick has passed. */
	uint32_t ticks = atomic_load_explicit(&bus->timers.ticks, memory_order_relaxed);
	if (ticks != w->ticks) {
		w->ticks = ticks;
		w->now_us = clock_now(&bus->clock);
	}
	int64_t deadline = h->timeout_us == INT64_MAX ? INT64_MAX : w->now_us + h->timeout_us;
	atomic_store_explicit(&m->deadline_us, deadline, memory_order_relaxed);
	/* The delivery's and the call's: a message that is about to run has no other. */
	atomic_store_explicit(&m->refs, 2, memory_order_relaxed);
	message_set_phase(m, PHASE_RUNNING);
	w->runs++;
	atomic_store_explicit(&w->begun, w->runs, memory_order_relaxed);
	atomic_store_explicit(&w->current, m, memory_order_release);
	if (!h->decode || decode(w, m, h)) {
		w->tally.calls++;
		int code = handle_through(bus, m);
		atomic_store_explicit(&w->current, NULL, memory_order_release);
		if (h->ack == FERRY_ACK_AUTO)
			returned_auto(w, m, h, code);
		else
			returned_manual(w, m, h, code);
	} else {
		atomic_store_explicit(&w->current, NULL, memory_order_release);
	}
}

/* ---- a batch ---- */

/* Larger batches while calls are quick, so that a slow one never has many behind it. */
static void adapt(struct handler *h, uint32_t count, int64_t elapsed_us)
{
	int64_t each = elapsed_us / count;
	h->quick_us = (3 * h->quick_us + each) / 4;
	if (elapsed_us < 500 && count >= h->batch && h->batch < BATCH_MAX)
		h->batch *= 2;
	else if (elapsed_us > 2000)
		h->batch = each > 500 ? 1 : (h->batch + 1) / 2;
}

/* True when the handler takes next to no time. */
static bool run_batch(struct worker *w, struct subscription *s)
{
	struct ferry_bus *bus = w->bus;
	struct handler *h = w->handler;
	struct inside_mark before = inside;
	inside = (struct inside_mark){bus, INSIDE_HANDLER};
	w->subscription = s;
	int64_t begin = clock_now(&bus->clock);
	w->now_us = begin;
	atomic_store_explicit(&w->head, 0, memory_order_release);
	uint32_t ran = 0;
	for (uint32_t i; (i = atomic_fetch_add_explicit(&w->head, 1, memory_order_acquire)) < w->count; ran++)
		run_one(w, h, w->batch[i]);
	inside = before;

	pthread_mutex_lock(&w->lock);
	flush(w, w);
	w->count = 0;
	w->flushed = 0;
	atomic_store_explicit(&w->done, 0, memory_order_relaxed);
	pthread_mutex_unlock(&w->lock);

	pthread_mutex_lock(&s->lock);
	h->running--;
	s->count.calls += w->tally.calls;
	s->count.failed += w->tally.failed;
	w->tally = (struct counters){.calls = 0};
	if (!bus->clock.manual && ran)
		adapt(h, ran, clock_now(&bus->clock) - begin);
	bool quick = h->quick_us == 0;
	pthread_mutex_unlock(&s->lock);
	if (w->stuck)
		pool_unstick(w);
	return quick;
}

/* ---- serving ---- */

#define SPINS_MAX 40 /* polls, half a microsecond apart */

static void relax(void)
{
	for (int i = 0; i < 20; i++) {
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#elif defined(__aarch64__)
		__asm__ volatile("yield");
#else
		sched_yield();
#endif
	}
}

/* Poll a little before going to sleep: a politely polling worker costs the publisher less than a wake-up.
 * The budget halves when it was in vain and doubles when it was not. */
static bool spin(struct worker *w, uint32_t *polls)
{
	if (w->bus->pool.caller || atomic_load_explicit(&w->bus->pool.waiting, memory_order_relaxed))
		return false;
	if (*polls >= w->spins) {
		w->spins /= 2;
		return false;
	}
	(*polls)++;
	relax();
	return true;
}

#define GATHER_MAX 16

/* The smaller the batches stay, the longer: a cache line costs from 50 ns to more than a microsecond. */
static void gather(struct worker *w)
{
	if (w->gather < GATHER_MAX)
		w->gather++;
	for (uint32_t i = 0; i < w->gather; i++)
		relax();
}

static void end_aside(struct worker *w)
{
	for (struct ferry_message *m; (m = queue_pop(&w->aside));)
		delivery_end(w->bus, w, m, FERRY_SETTLE_ACK, 0, END_FILTERED);
}

static enum taken take(struct worker *w, struct subscription *s, bool *ret_more)
{
	pthread_mutex_lock(&s->lock);
	enum taken taken = closing(w) ? NO_SLOT : s->simple ? take_simple(w, s) : take_routed(w, s);
	if (taken == TAKEN) {
		w->handler->running++;
		*ret_more = has_more(w, s);
	}
	bool hungry = subscription_hungry(s);
	pthread_mutex_unlock(&s->lock);
	if (hungry)
		pump_feed(s->group);
	end_aside(w);
	if (w->fetch_error) {
		bus_log(w->bus, FERRY_LOG_ERROR, "%s: fetching failed: %s", s->topic,
			ferry_error_text(w->fetch_error));
		w->fetch_error = 0;
	}
	return taken;
}

/* How often ferry_bus_dispatch may look at a subscription before its caller has a turn again. */
#define CALLER_TURNS 64

void worker_serve(struct worker *w, struct subscription *s)
{
	struct ferry_bus *bus = w->bus;
	uint32_t polls = 0;
	timers_busy(&bus->timers);
	for (uint32_t turns = 0;; turns++) {
		bool more = false;
		if (bus->pool.caller && turns == CALLER_TURNS) {
			pool_submit(s);
			break;
		}
		enum taken taken = take(w, s, &more);
		if (taken == NO_SLOT)
			break;
		if (taken == NOTHING) {
			if (!fetches(w))
				break;
			if (spin(w, &polls))
				continue;
			if (bus->api->arm(s->plugin))
				continue;
			break;
		}
		if (taken == AGAIN)
			continue;
		if (polls || w->count > 1) {
			w->spins = w->count > 1 ? SPINS_MAX : 2 * w->spins + 1;
			if (w->spins > SPINS_MAX)
				w->spins = SPINS_MAX;
		}
		bool trickle = !polls && w->count < BATCH_MAX / 2 && fetches(w);
		polls = 0;
		if (more)
			pool_submit(s);
		bool quick = run_batch(w, s);
		/* A publisher that is as fast as we are: let a few messages gather, or each of them moves its
		 * cache lines back and forth alone. */
		if (trickle && quick)
			gather(w);
		else if (w->gather)
			w->gather--;
		if (pool_is_pressed(bus)) {
			pool_submit(s);
			break;
		}
	}
	timers_idle(&bus->timers);
}

/* ---- the timer thread's look ---- */

/* What the worker has taken and not begun goes back, in order, to where another can take it; what it has
 * finished is settled. */
static void unload(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	if (atomic_load(&w->current)) {
		flush(w, NULL);
		struct subscription *s = w->subscription;
		uint32_t from = atomic_exchange(&w->head, w->count);
		uint32_t until = w->count;
		pthread_mutex_lock(&s->lock);
		for (uint32_t i = until; i > from; i--)
			queue_push_front(&w->handler->ready, w->batch[i - 1]);
		pthread_mutex_unlock(&s->lock);
		if (from < until)
			pool_submit(s);
	}
	pthread_mutex_unlock(&w->lock);
}

void worker_look(struct worker *w)
{
	struct ferry_bus *bus = w->bus;
	struct ferry_message *m = atomic_load_explicit(&w->current, memory_order_acquire);
	if (!m)
		return;
	uint64_t begun = atomic_load_explicit(&w->begun, memory_order_relaxed);
	uint32_t state = atomic_load_explicit(&m->state, memory_order_acquire);
	int64_t deadline = atomic_load_explicit(&m->deadline_us, memory_order_relaxed);
	bool slow = atomic_exchange(&w->seen_runs, begun) == begun;
	if (slow)
		unload(w);
	/* A message recycled since has another state, and the decision fails. */
	if ((state & PHASE_MASK) == PHASE_RUNNING && clock_now(&bus->clock) >= deadline)
		verdict_expire(bus, m, state, w);
}
