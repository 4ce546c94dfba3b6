#include "core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "completer.h"
#include "host.h"
#include "id.h"
#include "life.h"
#include "options.h"
#include "pool.h"
#include "publication.h"
#include "publisher.h"
#include "subscribe.h"
#include "suspect.h"
#include "topic.h"

_Thread_local struct inside_mark inside;

/* ---- small services ---- */

const char *ferry_version(void)
{
#define TEXT_OF(number)                   #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)
	return VERSION_TEXT(FERRY_VERSION_MAJOR, FERRY_VERSION_MINOR, FERRY_VERSION_PATCH);
}

int bus_guard(const struct ferry_bus *bus, struct ferry_error *err)
{
	if (!bus)
		return fail(err, FERRY_E_INVALID, "the bus is NULL");
	if (bus->fork_generation != fork_generation())
		return fail(err, FERRY_E_FORK,
			    "the bus was opened before a fork: open another one in this process");
	return 0;
}

void bus_log(struct ferry_bus *bus, int level, const char *format, ...)
{
	if (!bus->log)
		return;
	char text[600];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	bus->log(level, text, bus->hook_ctx);
}

/* The transition itself; false when there is nothing to tell.  A stop is not undone by news of the connection
 * that arrives meanwhile. */
static bool enter_state(struct ferry_bus *bus, int state, const struct ferry_error *why)
{
	pthread_mutex_lock(&bus->lock);
	int before = atomic_load(&bus->state);
	bool possible = before < FERRY_STATE_STOPPING || state >= before;
	bool news = possible && (before != state || (why && why->code != bus->why.code));
	if (possible) {
		if (why)
			bus->why = *why;
		else if (state == FERRY_STATE_READY)
			bus->why = (struct ferry_error){.code = 0};
		atomic_store(&bus->state, state);
		pthread_cond_broadcast(&bus->changed);
	}
	pthread_mutex_unlock(&bus->lock);
	return news;
}

void bus_set_state(struct ferry_bus *bus, int state, const struct ferry_error *why)
{
	pthread_mutex_lock(&bus->state_lock);
	bool news = enter_state(bus, state, why);
	publishers_wake(bus);
	if (news && bus->on_state)
		bus->on_state(bus, state, why, bus->hook_ctx);
	pthread_mutex_unlock(&bus->state_lock);
}

void bus_progress(struct ferry_bus *bus)
{
	if (!atomic_load(&bus->winding_down))
		return;
	pthread_mutex_lock(&bus->lock);
	bus->progress++;
	pthread_cond_broadcast(&bus->changed);
	pthread_mutex_unlock(&bus->lock);
}

/* ---- open ---- */

/* A hook may make the transport report an event, on its own thread. */
static int init_recursive(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int error = pthread_mutexattr_init(&attr);
	if (error)
		return error;
	error = pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	if (!error)
		error = pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return error;
}

/* The mutexes and condition variables, in the order of `inits`; undone together by bus_free. */
static int init_locks(struct ferry_bus *bus)
{
	if (init_recursive(&bus->state_lock))
		return FERRY_E_NOMEM;
	pthread_mutex_t *mutexes[] = {&bus->lock,       &bus->stop_lock,         &bus->topics_lock,
				      &bus->room_lock,  &bus->publications_lock, &bus->replay_lock,
				      &bus->cancel_lock};
	for (size_t i = 0; i < sizeof mutexes / sizeof mutexes[0]; i++)
		if (pthread_mutex_init(mutexes[i], NULL))
			return FERRY_E_NOMEM;
	if (cond_init(&bus->changed) || cond_init(&bus->room))
		return FERRY_E_NOMEM;
	return 0;
}

static void destroy_locks(struct ferry_bus *bus)
{
	pthread_cond_destroy(&bus->room);
	pthread_cond_destroy(&bus->changed);
	pthread_mutex_destroy(&bus->state_lock);
	pthread_mutex_t *mutexes[] = {&bus->lock,       &bus->stop_lock,         &bus->topics_lock,
				      &bus->room_lock,  &bus->publications_lock, &bus->replay_lock,
				      &bus->cancel_lock};
	for (size_t i = 0; i < sizeof mutexes / sizeof mutexes[0]; i++)
		pthread_mutex_destroy(mutexes[i]);
}

static int bus_init(struct ferry_bus *bus, const struct ferry_bus_options *o, struct ferry_error *err)
{
	bus->api = &bus->config.transport->api;
	bus->caps = bus->api->capabilities;
	bus->allocator = &bus->config.allocator;
	fork_watch();
	bus->fork_generation = fork_generation();
	bus->log = o->log;
	bus->on_dropped = o->on_dropped;
	bus->on_stuck = o->on_stuck;
	bus->on_state = o->on_state;
	bus->hook_ctx = o->hook_ctx;
	clock_init(&bus->clock, bus->config.clock == FERRY_CLOCK_MANUAL);
	atomic_init(&bus->state, FERRY_STATE_OPEN);
	if (init_locks(bus))
		return fail_nomem(err, "opening the bus");
	if (message_pool_init(&bus->messages, bus->allocator))
		return fail_nomem(err, "opening the bus");
	if (timers_init(&bus->timers, &bus->clock, pool_tick, bus))
		goto err_messages;
	if (completer_init(&bus->completer))
		goto err_timers;
	if (pool_init(bus))
		goto err_completer;
	bus->suspects = suspects_make(bus);
	if (!bus->suspects)
		goto err_pool;
	int code = bus->api->create(&host_table, bus, &bus->config.plugin, &bus->connection, err);
	if (!code)
		return 0;
	suspects_free(bus->suspects);
	pool_destroy(bus);
	completer_destroy(&bus->completer);
	timers_destroy(&bus->timers);
	message_pool_destroy(&bus->messages);
	destroy_locks(bus);
	return code;

err_pool:
	pool_destroy(bus);
err_completer:
	completer_destroy(&bus->completer);
err_timers:
	timers_destroy(&bus->timers);
err_messages:
	message_pool_destroy(&bus->messages);
	destroy_locks(bus);
	return fail_nomem(err, "opening the bus");
}

struct ferry_bus *ferry_bus_open(const char *url, const struct ferry_bus_options *options,
				 struct ferry_error *err)
{
	struct config config = {.owned = NULL};
	struct ferry_bus_options o;
	if (options_copy(&o, sizeof o, options, "ferry_bus_options", err))
		return NULL;
	if (config_open(&config, url, options, &host_table, err))
		return NULL;
	struct ferry_bus *bus = alloc_zeroed(&config.allocator, sizeof *bus);
	if (!bus) {
		fail_nomem(err, "opening the bus");
		config_close(&config);
		return NULL;
	}
	bus->config = config;
	if (bus_init(bus, &o, err)) {
		struct ferry_allocator allocator = config.allocator;
		config_close(&bus->config);
		alloc_free(&allocator, bus);
		return NULL;
	}
	return bus;
}

/* ---- close ---- */

static void bus_free(struct ferry_bus *bus)
{
	for (struct group *g = bus->groups; g; g = g->next)
		if (g->source)
			bus->api->source_close(g->source);
	bus->api->destroy(bus->connection);
	while (bus->groups) {
		struct group *g = bus->groups;
		bus->groups = g->next;
		group_free(g);
	}
	while (bus->interceptors) {
		struct interceptor *i = bus->interceptors;
		bus->interceptors = i->next;
		alloc_free(bus->allocator, i);
	}
	publications_free(bus);
	topics_free(bus);
	suspects_free(bus->suspects);
	pool_destroy(bus);
	completer_destroy(&bus->completer);
	timers_destroy(&bus->timers);
	message_pool_destroy(&bus->messages);
	destroy_locks(bus);
	struct ferry_allocator allocator = bus->config.allocator;
	config_close(&bus->config);
	alloc_free(&allocator, bus);
}

void ferry_bus_close(struct ferry_bus *bus)
{
	if (!bus || bus_guard(bus, NULL))
		return;
	if (inside.bus == bus) {
		bus_log(bus, FERRY_LOG_ERROR,
			"ferry_bus_close from inside a handler or a completion: ignored");
		return;
	}
	if (atomic_load(&bus->state) != FERRY_STATE_STOPPED && ferry_bus_stop(bus, 5000, NULL, NULL)) {
		bus_log(bus, FERRY_LOG_ERROR, "closing while handlers run: the bus's memory is left to them");
		return;
	}
	if (message_pool_in_use(&bus->messages)) {
		bus_log(bus, FERRY_LOG_ERROR,
			"closing while the program holds messages: their memory is left to it");
		return;
	}
	bus_free(bus);
}

/* ---- looking ---- */

int ferry_bus_state(const struct ferry_bus *bus, struct ferry_error *why)
{
	int code = bus_guard(bus, why);
	if (code)
		return code;
	struct ferry_bus *b = (struct ferry_bus *)(uintptr_t)bus;
	pthread_mutex_lock(&b->lock);
	int state = atomic_load(&b->state);
	if (why && b->why.code)
		*why = b->why;
	pthread_mutex_unlock(&b->lock);
	return state;
}

const char *ferry_bus_transport(const struct ferry_bus *bus)
{
	return bus ? bus->api->name : "";
}

uint64_t ferry_bus_capabilities(const struct ferry_bus *bus)
{
	return bus ? bus->caps : 0;
}

int64_t ferry_bus_now_us(const struct ferry_bus *bus)
{
	return bus ? clock_now(&bus->clock) : FERRY_E_INVALID;
}

int ferry_bus_advance(struct ferry_bus *bus, int64_t ms)
{
	int code = bus_guard(bus, NULL);
	if (code)
		return code;
	if (!bus->clock.manual)
		return FERRY_E_STATE;
	if (ms < 0 || ms > INT64_MAX / 2000)
		return FERRY_E_INVALID;
	atomic_fetch_add(&bus->clock.manual_us, ms * 1000);
	timers_run(&bus->timers);
	return 0;
}
