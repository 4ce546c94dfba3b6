/*
 * start.c - connecting, creating what is missing, beginning to deliver.
 *
 * A thread of its own does it, so that a backend that cannot be reached now is tried for as long as it takes
 * while ferry_bus_start has returned.
 */
#include <stdio.h>
#include <string.h>

#include "completer.h"
#include "id.h"
#include "life.h"
#include "pool.h"
#include "pump.h"
#include "thread.h"
#include "topic.h"
#include "verdict.h"

#define START_DEFAULT_MS 10000
#define ATTEMPT_MS       10000
#define PAUSE_MIN_US     50000
#define PAUSE_MAX_US     5000000

/* ---- one attempt ---- */

static int subscribe_one(struct subscription *s, struct ferry_error *err)
{
	struct group *g = s->group;
	const struct handler *h = s->handlers;
	struct ferry_subscription_spec spec = {
		.size = sizeof spec,
		.core = s,
		.topic = s->topic,
		.handler = g->distribution == FERRY_BROADCAST ? h->name : "",
		.durable = s->durable,
		.start = s->start,
		.order = s->order,
		.max_unsettled = s->max_unsettled,
		.crash_attempts = 3,
		.initial_backoff_us = h ? h->initial_backoff_us : 0,
		.max_backoff_us = h ? h->max_backoff_us : 0,
	};
	return g->bus->api->subscribe(g->source, &spec, &s->plugin, err);
}

int group_begin(struct group *g, int64_t deadline_us, struct ferry_error *err)
{
	struct ferry_bus *bus = g->bus;
	int code = 0;
	if (!g->source) {
		struct ferry_source_spec spec = {
			.size = sizeof spec,
			.core = g,
			.group = g->name,
			.distribution = g->distribution,
			.takeover_ms = bus->config.takeover_ms,
			.memory_budget = bus->config.memory_budget,
		};
		code = bus->api->source_open(bus->connection, &spec, &g->source, err);
	}
	for (struct subscription *s = g->subscriptions; s && !code; s = s->next)
		if (!s->plugin)
			code = subscribe_one(s, err);
	if (!code && !g->started)
		code = bus->api->source_start(g->source, deadline_us, err);
	if (code)
		return code;
	g->started = true;
	g->lease_us = bus->api->lease_ms ? bus->api->lease_ms(g->source) * 1000 : 0;
	return 0;
}

/* Dead-letter topics, and what publishers have opened: a missing one is an error of the start. */
static int resolve_topics(struct ferry_bus *bus, int64_t deadline_us, struct ferry_error *err)
{
	int code = 0;
	for (struct group *g = bus->groups; g && !code; g = g->next) {
		for (struct subscription *s = g->subscriptions; s && !code; s = s->next) {
			bool wanted = false;
			for (const struct handler *h = s->handlers; h; h = h->next)
				wanted = wanted || h->dlq;
			if (!wanted || s->dlq)
				continue;
			struct topic *topic;
			code = topic_get(bus, s->dlq_topic, true, &topic, err);
			if (!code)
				code = topic_resolve(bus, topic, deadline_us, err);
			if (!code)
				s->dlq = topic;
		}
	}
	for (struct topic *t = atomic_load(&bus->topics); t && !code; t = t->next)
		if (atomic_load(&t->published_to))
			code = topic_resolve(bus, t, deadline_us, err);
	return code;
}

static int attempt(struct ferry_bus *bus, struct ferry_error *err)
{
	int64_t most_us = ATTEMPT_MS * 1000, left_us = bus->start_deadline_us - clock_real();
	if (bus->config.fail_fast && left_us < most_us)
		most_us = left_us > 0 ? left_us : 0;
	int64_t deadline = clock_now(&bus->clock) + most_us;
	int code = 0;
	if (!bus->connected)
		code = bus->api->start(bus->connection, deadline, err);
	if (!code) {
		bus->connected = true;
		code = resolve_topics(bus, deadline, err);
	}
	for (struct group *g = bus->groups; g && !code; g = g->next)
		code = group_begin(g, deadline, err);
	return code;
}

/* ---- the starter ---- */

static bool worth_retrying(int code)
{
	return code == FERRY_E_UNREACHABLE || code == FERRY_E_TIMEDOUT || code == FERRY_E_AGAIN ||
	       code == FERRY_E_BROKER;
}

/* From here on messages flow. */
static int deliver(struct ferry_bus *bus)
{
	for (struct group *g = bus->groups; g; g = g->next) {
		if (g->lease_us) {
			g->lease.fire = lease_renew;
			timer_set(&bus->timers, &g->lease, clock_now(&bus->clock) + g->lease_us);
		}
		if (bus->api->thread_model == FERRY_PUMP) {
			if (pump_start(g))
				return FERRY_E_NOMEM;
			continue;
		}
		for (struct subscription *s = g->subscriptions; s; s = s->next)
			pool_submit(s);
	}
	return 0;
}

/* Wait before the next attempt; false when the bus stops. */
static bool pause_for(struct ferry_bus *bus, int64_t us)
{
	int64_t until = clock_real() + us / 2 + (int64_t)(id_random() % (uint64_t)(us / 2));
	pthread_mutex_lock(&bus->lock);
	while (!atomic_load(&bus->stopping) && cond_wait_until(&bus->changed, &bus->lock, until))
		;
	bool go_on = !atomic_load(&bus->stopping);
	pthread_mutex_unlock(&bus->lock);
	return go_on;
}

/* The bus's deadline has cut an attempt short: why the one before failed says more. */
static bool is_cut_short(const struct ferry_bus *bus, int code)
{
	return code == FERRY_E_TIMEDOUT && bus->config.fail_fast && clock_real() >= bus->start_deadline_us;
}

static void keep_trying(struct ferry_bus *bus)
{
	int64_t pause_us = PAUSE_MIN_US;
	struct ferry_error last = {.code = 0};
	do {
		struct ferry_error why = {.code = 0};
		int code = attempt(bus, &why);
		if (!code && (code = deliver(bus)))
			fail_nomem(&why, "starting a thread");
		if (!code) {
			bus_set_state(bus, FERRY_STATE_READY, NULL);
			return;
		}
		if (!why.code)
			fail(&why, code, "%s: %s", bus->api->name, ferry_error_text(code));
		if (last.code && is_cut_short(bus, code))
			why = last;
		last = why;
		bool late = bus->config.fail_fast && clock_real() + pause_us > bus->start_deadline_us;
		if (!worth_retrying(code) || late) {
			bus_set_state(bus, FERRY_STATE_FAILED, &why);
			return;
		}
		bus_log(bus, FERRY_LOG_WARNING, "not connected yet, tried again: %s", why.text);
		bus_set_state(bus, FERRY_STATE_CONNECTING, &why);
	} while (pause_for(bus, pause_us = pause_us * 2 < PAUSE_MAX_US ? pause_us * 2 : PAUSE_MAX_US));
}

static void *starter(void *ctx)
{
	struct ferry_bus *bus = ctx;
	keep_trying(bus);
	pthread_mutex_lock(&bus->lock);
	bus->starter_done = true;
	pthread_cond_broadcast(&bus->changed);
	pthread_mutex_unlock(&bus->lock);
	return NULL;
}

bool starter_join(struct ferry_bus *bus, int64_t deadline_us)
{
	if (!bus->starter_running)
		return true;
	pthread_mutex_lock(&bus->lock);
	while (!bus->starter_done && cond_wait_until(&bus->changed, &bus->lock, deadline_us))
		;
	bool done = bus->starter_done;
	pthread_mutex_unlock(&bus->lock);
	if (!done)
		return false;
	pthread_join(bus->starter, NULL);
	bus->starter_running = false;
	return true;
}

/* ---- the calls ---- */

static int start_threads(struct ferry_bus *bus)
{
	if (timers_start(&bus->timers) || pool_start(bus))
		return FERRY_E_NOMEM;
	if (bus->config.threads != FERRY_THREADS_CALLER && completer_start(bus))
		return FERRY_E_NOMEM;
	if (thread_start(&bus->starter, "ferry-start", starter, bus))
		return FERRY_E_NOMEM;
	bus->starter_running = true;
	return 0;
}

/* 0 in READY, the reason in FAILED and while it goes on trying; *ret_state is the state that it ended with.
 */
static int wait_state(struct ferry_bus *bus, int64_t deadline_us, int *ret_state, struct ferry_error *err)
{
	int state;
	pthread_mutex_lock(&bus->lock);
	while ((state = atomic_load(&bus->state)) == FERRY_STATE_CONNECTING ||
	       state == FERRY_STATE_DISCONNECTED)
		if (!cond_wait_until(&bus->changed, &bus->lock, deadline_us))
			break;
	struct ferry_error why = bus->why;
	pthread_mutex_unlock(&bus->lock);
	*ret_state = state;
	switch (state) {
	case FERRY_STATE_READY:
		return 0;
	case FERRY_STATE_FAILED:
		return fail(err, why.code, "%s", why.text);
	case FERRY_STATE_CONNECTING:
	case FERRY_STATE_DISCONNECTED:
		return fail(err, why.code ? why.code : FERRY_E_TIMEDOUT, "%s",
			    why.code ? why.text : "not connected yet");
	default:
		return fail(err, FERRY_E_STATE, "the bus is %s",
			    state == FERRY_STATE_OPEN ? "not started" : "stopped");
	}
}

/* [stop_lock held] */
static int begin(struct ferry_bus *bus, int64_t deadline_us, struct ferry_error *err)
{
	int code = 0;
	pthread_mutex_lock(&bus->lock);
	if (atomic_load(&bus->state) != FERRY_STATE_OPEN)
		code = fail(err, FERRY_E_STATE, "ferry_bus_start: the bus was started before");
	else
		atomic_store(&bus->state, FERRY_STATE_CONNECTING);
	pthread_mutex_unlock(&bus->lock);
	if (code)
		return code;
	bus->start_deadline_us = deadline_us;
	if (!start_threads(bus))
		return 0;
	struct ferry_error why;
	code = fail_nomem(&why, "starting threads");
	bus_set_state(bus, FERRY_STATE_FAILED, &why);
	return fail(err, code, "%s", why.text);
}

int ferry_bus_start(struct ferry_bus *bus, int64_t timeout_ms, struct ferry_error *err)
{
	int code = bus_guard(bus, err);
	if (code)
		return code;
	if (timeout_ms < 0)
		return fail(err, FERRY_E_INVALID, "ferry_bus_start: timeout_ms is negative");
	int64_t deadline = deadline_after(clock_real(), timeout_ms ? timeout_ms : START_DEFAULT_MS);
	/* A stop that comes meanwhile waits, and finds every thread. */
	pthread_mutex_lock(&bus->stop_lock);
	code = begin(bus, deadline, err);
	pthread_mutex_unlock(&bus->stop_lock);
	if (code)
		return code;
	int state;
	code = wait_state(bus, bus->config.fail_fast ? INT64_MAX : deadline, &state, err);
	return state == FERRY_STATE_CONNECTING || state == FERRY_STATE_DISCONNECTED ? 0 : code;
}

int ferry_bus_wait_ready(struct ferry_bus *bus, int64_t timeout_ms, struct ferry_error *err)
{
	int code = bus_guard(bus, err);
	if (code)
		return code;
	int state;
	code = wait_state(bus, deadline_after(clock_real(), timeout_ms), &state, err);
	if (state != FERRY_STATE_CONNECTING && state != FERRY_STATE_DISCONNECTED)
		return code;
	struct ferry_error why = err ? *err : (struct ferry_error){.code = 0};
	return fail(err, FERRY_E_TIMEDOUT, "%s", why.text);
}
