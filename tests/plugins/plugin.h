/*
 * plugin.h - a whole transport that does nothing, for the tests of the plugin host: each file here changes
 * one thing about it.
 */
#ifndef TESTS_PLUGINS_PLUGIN_H
#define TESTS_PLUGINS_PLUGIN_H

#include <ferry/transport.h>

/* Every slot is there; none is ever called. */
static int no_create(const struct ferry_host *host, void *core, const struct ferry_config *config,
		     struct ferry_connection **ret, struct ferry_error *err)
{
	(void)host, (void)core, (void)config, (void)ret, (void)err;
	return FERRY_E_UNSUPPORTED;
}

static int no_start(struct ferry_connection *connection, int64_t deadline_us, struct ferry_error *err)
{
	(void)connection, (void)deadline_us, (void)err;
	return FERRY_E_UNSUPPORTED;
}

static int no_stop(struct ferry_connection *connection, int64_t deadline_us)
{
	(void)connection, (void)deadline_us;
	return FERRY_E_UNSUPPORTED;
}

static void no_destroy(struct ferry_connection *connection)
{
	(void)connection;
}

static int no_destination(struct ferry_connection *connection, const char *topic, int64_t deadline_us,
			  struct ferry_destination **ret, struct ferry_error *err)
{
	(void)connection, (void)topic, (void)deadline_us, (void)ret, (void)err;
	return FERRY_E_UNSUPPORTED;
}

static size_t no_publish(struct ferry_connection *connection, struct ferry_outgoing *const *outs,
			 size_t count)
{
	(void)connection, (void)outs, (void)count;
	return 0;
}

static int no_source_open(struct ferry_connection *connection, const struct ferry_source_spec *spec,
			  struct ferry_source **ret, struct ferry_error *err)
{
	(void)connection, (void)spec, (void)ret, (void)err;
	return FERRY_E_UNSUPPORTED;
}

static int no_subscribe(struct ferry_source *source, const struct ferry_subscription_spec *spec,
			struct ferry_subscription **ret, struct ferry_error *err)
{
	(void)source, (void)spec, (void)ret, (void)err;
	return FERRY_E_UNSUPPORTED;
}

static int no_source_start(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err)
{
	(void)source, (void)deadline_us, (void)err;
	return FERRY_E_UNSUPPORTED;
}

static int no_source_stop(struct ferry_source *source, int64_t deadline_us, struct ferry_source_rest *rest)
{
	(void)source, (void)deadline_us, (void)rest;
	return FERRY_E_UNSUPPORTED;
}

static void no_source_close(struct ferry_source *source)
{
	(void)source;
}

static int no_fetch(struct ferry_source *source, struct ferry_subscription *only,
		    struct ferry_delivery *const *deliveries, size_t max, int timeout_ms)
{
	(void)source, (void)only, (void)deliveries, (void)max, (void)timeout_ms;
	return FERRY_E_UNSUPPORTED;
}

static int no_arm(struct ferry_subscription *subscription)
{
	(void)subscription;
	return 0;
}

static void no_credit(struct ferry_subscription *subscription, uint32_t count)
{
	(void)subscription, (void)count;
}

static void no_wakeup(struct ferry_source *source)
{
	(void)source;
}

static void no_settle(struct ferry_source *source, struct ferry_settle *settles, size_t count)
{
	(void)source, (void)settles, (void)count;
}

static void no_release(struct ferry_source *source, struct ferry_delivery *const *deliveries, size_t count)
{
	(void)source, (void)deliveries, (void)count;
}

static void no_dead_letter(struct ferry_source *source, struct ferry_delivery *delivery,
			   struct ferry_outgoing *dead)
{
	(void)source, (void)delivery, (void)dead;
}

/* A valid transport of this name. */
static inline struct ferry_transport plugin_valid(const char *name)
{
	return (struct ferry_transport){
		.size = sizeof(struct ferry_transport),
		.abi_major = FERRY_ABI_MAJOR,
		.abi_minor = FERRY_ABI_MINOR,
		.name = name,
		.version = "1.0",
		.summary = "A transport for tests of the plugin host.",
		.schemes = name,
		.capabilities = FERRY_CAP_ATOMIC_DLQ,
		.thread_model = FERRY_FETCH_FROM_WORKERS,
		.create = no_create,
		.start = no_start,
		.stop = no_stop,
		.destroy = no_destroy,
		.destination = no_destination,
		.publish = no_publish,
		.source_open = no_source_open,
		.subscribe = no_subscribe,
		.source_start = no_source_start,
		.source_stop = no_source_stop,
		.source_close = no_source_close,
		.fetch = no_fetch,
		.arm = no_arm,
		.credit = no_credit,
		.wakeup = no_wakeup,
		.settle = no_settle,
		.release = no_release,
		.dead_letter = no_dead_letter,
	};
}

/* An entry that gives a valid transport after a change to its `table`. */
#define PLUGIN(name, change)                                                               \
	const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host) \
	{                                                                                  \
		static struct ferry_transport table;                                       \
		(void)host;                                                                \
		table = plugin_valid(name);                                                \
		change;                                                                    \
		return &table;                                                             \
	}

#endif
