#include "host.h"

#include <string.h>

#include "core.h"
#include "id.h"
#include "pool.h"
#include "publication.h"
#include "publisher.h"

#define TEXT_OF(number)                   #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

static void host_log(void *core, int level, const char *text)
{
	struct ferry_bus *bus = core;
	bus_log(bus, level, "%s: %s", bus->api->name, text);
}

static int64_t host_now_us(void *core)
{
	return clock_now(&((struct ferry_bus *)core)->clock);
}

static int64_t host_wall_us(void *core)
{
	return clock_wall(&((struct ferry_bus *)core)->clock);
}

static void *host_alloc(void *core, size_t bytes)
{
	return alloc_bytes(((struct ferry_bus *)core)->allocator, bytes);
}

static void *host_resize(void *core, void *memory, size_t bytes)
{
	return alloc_resize(((struct ferry_bus *)core)->allocator, memory, bytes);
}

static void host_free(void *core, void *memory)
{
	alloc_free(((struct ferry_bus *)core)->allocator, memory);
}

static void host_published(void *core, struct ferry_outgoing *const *outs, size_t count)
{
	publications_complete(core, outs, count);
}

static void host_writable(void *core)
{
	publishers_wake(core);
}

static void host_ready(void *core, void *subscription_core)
{
	(void)core;
	pool_submit(subscription_core);
}

void host_wake_over(struct timer *timer)
{
	pool_submit((struct subscription *)(void *)((char *)timer - offsetof(struct subscription, wake)));
}

static void host_wake_at(void *core, void *subscription_core, int64_t due_us)
{
	struct ferry_bus *bus = core;
	struct subscription *s = subscription_core;
	timer_set_earlier(&bus->timers, &s->wake, due_us);
}

static void host_evicted(void *core, const char *topic, uint64_t count)
{
	struct ferry_bus *bus = core;
	for (struct topic *t = atomic_load(&bus->topics); t; t = t->next)
		if (strcmp(t->name, topic) == 0)
			atomic_fetch_add_explicit(&t->evicted, count, memory_order_relaxed);
}

static void host_event(void *core, int event, const struct ferry_error *why)
{
	struct ferry_bus *bus = core;
	int state = atomic_load(&bus->state);
	struct ferry_error silent;
	if (!why && (event == FERRY_EVENT_DOWN || event == FERRY_EVENT_FATAL)) {
		fail(&silent, FERRY_E_UNREACHABLE, "the connection is lost");
		why = &silent;
	}
	bus_log(bus,
		event == FERRY_EVENT_UP || event == FERRY_EVENT_NOTICE ? FERRY_LOG_INFO : FERRY_LOG_WARNING,
		"%s: %s", bus->api->name,
		why                       ? why->text
		: event == FERRY_EVENT_UP ? "connected"
					  : "an event without a text");
	if (event == FERRY_EVENT_UP && state == FERRY_STATE_DISCONNECTED)
		bus_set_state(bus, FERRY_STATE_READY, NULL);
	else if (event == FERRY_EVENT_DOWN && state == FERRY_STATE_READY)
		bus_set_state(bus, FERRY_STATE_DISCONNECTED, why);
	else if (event == FERRY_EVENT_FATAL &&
		 (state == FERRY_STATE_READY || state == FERRY_STATE_DISCONNECTED))
		bus_set_state(bus, FERRY_STATE_FAILED, why);
}

const struct ferry_host host_table = {
	.size = sizeof host_table,
	.abi_major = FERRY_ABI_MAJOR,
	.abi_minor = FERRY_ABI_MINOR,
	.version = VERSION_TEXT(FERRY_VERSION_MAJOR, FERRY_VERSION_MINOR, FERRY_VERSION_PATCH),
	.log = host_log,
	.now_us = host_now_us,
	.wall_us = host_wall_us,
	.alloc = host_alloc,
	.resize = host_resize,
	.free = host_free,
	.format_id = id_format,
	.published = host_published,
	.writable = host_writable,
	.ready = host_ready,
	.wake_at = host_wake_at,
	.evicted = host_evicted,
	.event = host_event,
};
