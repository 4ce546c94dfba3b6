/*
 * host.c - the host table that the inner transport sees: it takes us for the core.
 */
#include "faulty.h"

struct ferry_host inner_host;

/* The core's table as entry was given it: the inner transport may log before there is a connection. */
static const struct ferry_host *entry_host;

static void host_log(void *core, int level, const char *text)
{
	struct ferry_connection *c = core;
	if (c)
		c->host->log(c->core, level, text);
	else
		entry_host->log(NULL, level, text);
}

static int64_t host_now_us(void *core)
{
	struct ferry_connection *c = core;
	return c->host->now_us(c->core);
}

static int64_t host_wall_us(void *core)
{
	struct ferry_connection *c = core;
	return c->host->wall_us(c->core);
}

static void *host_alloc(void *core, size_t bytes)
{
	struct ferry_connection *c = core;
	return c->host->alloc(c->core, bytes);
}

static void *host_resize(void *core, void *memory, size_t bytes)
{
	struct ferry_connection *c = core;
	return c->host->resize(c->core, memory, bytes);
}

static void host_free(void *core, void *memory)
{
	struct ferry_connection *c = core;
	c->host->free(c->core, memory);
}

static void host_published(void *core, struct ferry_outgoing *const *outs, size_t count)
{
	struct ferry_connection *c = core;
	for (size_t i = 0; i < count; i++) {
		if (fault_hits(c, FAULT_DROP_COMPLETION))
			continue;
		if (fault_hits(c, FAULT_LIE_REJECTED))
			outs[i]->result = FERRY_E_REJECTED;
		bool twice = fault_hits(c, FAULT_DOUBLE_COMPLETION);
		c->host->published(c->core, &outs[i], 1);
		if (twice)
			c->host->published(c->core, &outs[i], 1);
	}
}

static void host_writable(void *core)
{
	struct ferry_connection *c = core;
	c->host->writable(c->core);
}

static void host_ready(void *core, void *subscription_core)
{
	struct ferry_connection *c = core;
	c->host->ready(c->core, subscription_core);
}

static void host_wake_at(void *core, void *subscription_core, int64_t due_us)
{
	struct ferry_connection *c = core;
	c->host->wake_at(c->core, subscription_core, due_us);
}

static void host_evicted(void *core, const char *topic, uint64_t count)
{
	struct ferry_connection *c = core;
	c->host->evicted(c->core, topic, count);
}

static void host_event(void *core, int event, const struct ferry_error *why)
{
	struct ferry_connection *c = core;
	c->host->event(c->core, event, why);
}

void host_init(const struct ferry_host *host)
{
	entry_host = host;
	inner_host = (struct ferry_host){
		.size = sizeof(inner_host),
		.abi_major = host->abi_major,
		.abi_minor = host->abi_minor,
		.version = host->version,
		.log = host_log,
		.now_us = host_now_us,
		.wall_us = host_wall_us,
		.alloc = host_alloc,
		.resize = host_resize,
		.free = host_free,
		.format_id = host->format_id,
		.published = host_published,
		.writable = host_writable,
		.ready = host_ready,
		.wake_at = host_wake_at,
		.evicted = host_evicted,
		.event = host_event,
	};
}
