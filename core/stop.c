/*
 * stop.c - stopping a bus without losing anything.
 *
 * In this order: where nothing is durable the queues are emptied; no new work is begun; what has not begun is
 * handed back; running handlers are waited for; results of publishes are waited for; sources leave their
 * groups; the connection is closed; threads end.
 */
#include <string.h>

#include "completer.h"
#include "life.h"
#include "order.h"
#include "pool.h"
#include "publisher.h"
#include "pump.h"
#include "suspect.h"
#include "verdict.h"

/* ---- handing back ---- */

static void drain_subscription(struct ferry_bus *bus, struct subscription *s)
{
	struct message_queue rest = {NULL, NULL, 0};
	pthread_mutex_lock(&s->lock);
	if (s->lanes)
		lane_take_waiting(s, &rest);
	for (struct handler *h = s->handlers; h; h = h->next)
		for (struct ferry_message *m; (m = queue_pop(&h->ready));)
			queue_push(&rest, m);
	hold_take_all(s, &rest);
	pthread_mutex_unlock(&s->lock);
	/* Counting from behind: what was fetched first is to be in front again where the transport puts it
	 * back. */
	struct message_queue reversed = {NULL, NULL, 0};
	for (struct ferry_message *m; (m = queue_pop(&rest));)
		queue_push_front(&reversed, m);
	for (struct ferry_message *m; (m = queue_pop(&reversed));)
		delivery_hand_back(bus, NULL, m);
}

static void drain(struct ferry_bus *bus)
{
	struct message_queue suspects = {NULL, NULL, 0};
	suspect_take_all(bus->suspects, &suspects);
	for (struct ferry_message *m; (m = queue_pop(&suspects));)
		delivery_hand_back(bus, NULL, m);
	for (struct group *g = bus->groups; g; g = g->next)
		for (struct subscription *s = g->subscriptions; s; s = s->next)
			drain_subscription(bus, s);
}

/* The sum over everything; late_results: calls that have not returned though their time is up. */
static struct counters total(struct ferry_bus *bus)
{
	struct counters sum = {.in_flight = 0};
	for (struct group *g = bus->groups; g; g = g->next) {
		for (struct subscription *s = g->subscriptions; s; s = s->next) {
			pthread_mutex_lock(&s->lock);
			sum.in_flight += s->count.in_flight;
			sum.handled += s->count.handled;
			sum.handed_back += s->count.handed_back;
			sum.dropped += s->count.dropped;
			for (const struct handler *h = s->handlers; h; h = h->next)
				sum.late_results += h->stuck;
			pthread_mutex_unlock(&s->lock);
		}
	}
	return sum;
}

/* ---- waiting ---- */

static bool at_rest(struct ferry_bus *bus)
{
	/* A worker that serves may be inside the plugin's fetch or arm even when it has found nothing. */
	return total(bus).in_flight == 0 && atomic_load(&bus->timers.busy) == 0;
}

static uint64_t progress(struct ferry_bus *bus)
{
	pthread_mutex_lock(&bus->lock);
	uint64_t now = bus->progress;
	pthread_mutex_unlock(&bus->lock);
	return now;
}

/* Wait until something has ended since `seen`, or until real time `until_us`. */
static void wait_progress(struct ferry_bus *bus, uint64_t seen, int64_t until_us)
{
	pthread_mutex_lock(&bus->lock);
	while (bus->progress == seen && cond_wait_until(&bus->changed, &bus->lock, until_us))
		;
	pthread_mutex_unlock(&bus->lock);
}

/*
 * A transport that is not durable would lose what is queued: its handlers get three quarters of the time to
 * empty the queues first.  Retries that wait for their delay are not waited for.
 */
static void empty_queues(struct ferry_bus *bus, int64_t deadline_us)
{
	int64_t now = clock_real();
	int64_t until = deadline_us == INT64_MAX ? INT64_MAX : now + (deadline_us - now) / 4 * 3;
	if (bus_can(bus, FERRY_CAP_DURABLE) || bus->pool.caller || !bus->connected)
		return;
	for (uint64_t seen = progress(bus); !pool_is_idle(bus) && clock_real() < until; seen = progress(bus))
		wait_progress(bus, seen, until);
}

/* Wait until nothing is in flight; at half of the time handlers hear that they should give up. */
static bool wait_for_rest(struct ferry_bus *bus, int64_t deadline_us)
{
	int64_t now = clock_real();
	int64_t cancel = deadline_us == INT64_MAX ? INT64_MAX : now + (deadline_us - now) / 2;
	for (;;) {
		uint64_t seen = progress(bus);
		drain(bus);
		if (at_rest(bus))
			return true;
		now = clock_real();
		if (now >= cancel) {
			atomic_store(&bus->cancelling, true);
			messages_cancel_all(bus);
			cancel = INT64_MAX;
		}
		if (now >= deadline_us)
			return false;
		wait_progress(bus, seen, cancel < deadline_us ? cancel : deadline_us);
	}
}

/* ---- the end ---- */

static void count_rest(void *ctx, void *subscription_core, uint64_t dropped)
{
	struct ferry_bus *bus = ctx;
	struct subscription *s = subscription_core;
	if (!dropped)
		return;
	pthread_mutex_lock(&s->lock);
	s->count.received += dropped;
	s->count.dropped += dropped;
	pthread_mutex_unlock(&s->lock);
	report_dropped(bus, s, NULL, REASON_STOPPED, "the bus was stopped", dropped);
}

/* Everything is at rest: take the backend apart.  0, or FERRY_E_TIMEDOUT when the plugin's threads are at
 * work. */
static int take_apart(struct ferry_bus *bus, int64_t deadline_real_us)
{
	int64_t left = deadline_real_us == INT64_MAX ? INT64_MAX / 4 : deadline_real_us - clock_real();
	int64_t deadline = clock_now(&bus->clock) + (left > 0 ? left : 0);
	int code = 0;
	atomic_store(&bus->apart, true);
	for (uint64_t seen = progress(bus); atomic_load(&bus->publishing); seen = progress(bus)) {
		if (clock_real() >= deadline_real_us)
			return FERRY_E_TIMEDOUT;
		wait_progress(bus, seen, deadline_real_us);
	}
	/* A replay sees that the bus stops and ends. */
	pthread_mutex_lock(&bus->replay_lock);
	pthread_mutex_unlock(&bus->replay_lock);
	if (bus->connected && bus->api->flush)
		(void)bus->api->flush(bus->connection,
				      deadline); /* what has no result then ends UNKNOWN in stop */
	for (struct group *g = bus->groups; g && !code; g = g->next) {
		timer_cancel(&bus->timers, &g->lease);
		for (struct subscription *s = g->subscriptions; s; s = s->next)
			timer_cancel(&bus->timers, &s->wake);
		if (!g->started || g->stopped)
			continue;
		struct ferry_source_rest rest = {.size = sizeof rest, .each = count_rest, .ctx = bus};
		code = bus->api->source_stop(g->source, deadline, &rest);
		g->stopped = code == 0;
	}
	if (!code && bus->connected)
		code = bus->api->stop(bus->connection, deadline);
	if (code)
		return FERRY_E_TIMEDOUT;
	bus->connected = false;
	if (!pool_stop(bus))
		return FERRY_E_TIMEDOUT;
	completer_stop(bus);
	timers_stop(&bus->timers);
	return 0;
}

static void fill_report(struct ferry_bus *bus, const struct counters *before,
			struct ferry_stop_report *report)
{
	if (!report)
		return;
	struct counters now = total(bus);
	struct ferry_stop_report full = {
		.handled = now.handled - before->handled,
		.handed_back = now.handed_back - before->handed_back,
		.pending = now.in_flight + now.late_results,
		.dropped = now.dropped - before->dropped,
		.unconfirmed = atomic_load(&bus->unconfirmed),
	};
	size_t size = report->size < sizeof full ? report->size : sizeof full;
	full.size = report->size;
	memcpy(report, &full, size);
}

static int stop_locked(struct ferry_bus *bus, int64_t deadline_us, struct ferry_stop_report *report,
		       struct ferry_error *err)
{
	struct counters before = total(bus);
	if (atomic_load(&bus->state) == FERRY_STATE_STOPPED) {
		fill_report(bus, &before, report);
		return 0;
	}
	if (!atomic_exchange(&bus->winding_down, true))
		bus->before_stop = before;
	bool ready = atomic_load(&bus->state) == FERRY_STATE_READY;
	bus_set_state(bus, FERRY_STATE_STOPPING, NULL);
	if (ready)
		empty_queues(bus, deadline_us);
	atomic_store(&bus->stopping, true);
	bus_set_state(bus, FERRY_STATE_STOPPING, NULL); /* wakes who waits for the flag */
	if (!starter_join(bus, deadline_us)) {
		fill_report(bus, &bus->before_stop, report);
		return fail(err, FERRY_E_TIMEDOUT, "%s: it is still connecting: stop again to go on waiting",
			    bus->api->name);
	}
	for (struct group *g = bus->groups; g; g = g->next)
		pump_stop(g);
	bool rest = wait_for_rest(bus, deadline_us);
	int code = rest ? take_apart(bus, deadline_us) : FERRY_E_TIMEDOUT;
	fill_report(bus, &bus->before_stop, report);
	if (!code) {
		bus_set_state(bus, FERRY_STATE_STOPPED, NULL);
		return 0;
	}
	if (!rest)
		return fail(err, code,
			    "%llu message(s) are still in a handler or held by the program: stop again to go "
			    "on waiting",
			    (unsigned long long)(total(bus).in_flight + total(bus).late_results));
	return fail(err, code, "%s: the transport is still at work: stop again to go on waiting",
		    bus->api->name);
}

int ferry_bus_stop(struct ferry_bus *bus, int64_t timeout_ms, struct ferry_stop_report *report,
		   struct ferry_error *err)
{
	int code = bus_guard(bus, err);
	if (code)
		return code;
	if (inside.bus == bus)
		return fail(err, FERRY_E_DEADLOCK, "ferry_bus_stop: it would wait for the %s that calls it",
			    inside.what == INSIDE_HANDLER ? "handler" : "completion");
	int64_t deadline = deadline_after(clock_real(), timeout_ms);
	pthread_mutex_lock(&bus->stop_lock);
	code = stop_locked(bus, deadline, report, err);
	pthread_mutex_unlock(&bus->stop_lock);
	return code;
}
