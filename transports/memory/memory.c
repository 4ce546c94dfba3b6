/*
 * memory.c - events inside one process.
 *
 * The least that a transport can be, and so the one to copy: a struct of functions between the core's host
 * table and a place that keeps records.  Here that place is log.h: one log per topic, one cursor per
 * subscription.  Nothing is durable, nothing blocks, and there is no thread: workers of the core fetch.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- settings ---- */

enum { OPTION_QUEUE, OPTION_QUEUE_BYTES, OPTION_RETAIN, OPTION_RETAIN_DLQ };

static const struct ferry_option options[] = {
	[OPTION_QUEUE] =
		{"queue", FERRY_OPTION_INTEGER, 0, "4096", 1, INT32_MAX, NULL,
		 "Messages of a topic that the slowest reader may be behind before publishers wait."},
	[OPTION_QUEUE_BYTES] = {"queue_bytes", FERRY_OPTION_SIZE, 0, "16MiB", 1, INT64_MAX, NULL,
				"The same bound in bytes; one message is always let in."},
	[OPTION_RETAIN] = {"retain", FERRY_OPTION_INTEGER, 0, "0", 0, INT32_MAX, NULL,
			   "Newest messages of a topic that are kept for start=earliest, read or not."},
	[OPTION_RETAIN_DLQ] = {"retain_dlq", FERRY_OPTION_INTEGER, 0, "10000", 0, INT32_MAX, NULL,
			       "The same for topics that begin with dlq. or are given dead letters."},
	{NULL, 0, 0, NULL, 0, 0, NULL, NULL},
};

/* ---- types ---- */

struct ferry_connection {
	const struct ferry_host *host;
	void *core;
	const struct ferry_config *config;
	struct pool pool;
	pthread_mutex_t lock;
	struct ferry_destination *logs; /* newest first; a log stays until destroy */
};

struct ferry_source {
	struct ferry_connection *connection;
	char *group;
	int32_t distribution;
	struct ferry_subscription *subscriptions;
};

/* ---- small helpers ---- */

static int fail(struct ferry_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct ferry_error *err, int code, const char *format, ...)
{
	if (!err)
		return code;
	va_list args;
	va_start(args, format);
	vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	err->code = code;
	err->native_code = 0;
	err->flags = code == FERRY_E_NOMEM ? FERRY_ERROR_RETRIABLE : 0;
	return code;
}

static void *alloc_zeroed(struct ferry_connection *connection, size_t bytes)
{
	void *memory = connection->host->alloc(connection->core, bytes);
	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

static char *copy_text(struct ferry_connection *connection, const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = connection->host->alloc(connection->core, bytes);
	return copy ? memcpy(copy, text, bytes) : NULL;
}

static uint64_t setting(const struct ferry_connection *connection, int option)
{
	return (uint64_t)connection->config->settings[option].number;
}

/* ---- the connection ---- */

static int memory_create(const struct ferry_host *host, void *core, const struct ferry_config *config,
			 struct ferry_connection **ret, struct ferry_error *err)
{
	if (*config->hosts || *config->path)
		return fail(err, FERRY_E_CONFIG,
			    "%s: events in memory are in this process and nowhere else: write memory: or "
			    "memory:?queue=N",
			    config->url);
	struct ferry_connection *connection = host->alloc(core, sizeof *connection);
	if (!connection)
		return fail(err, FERRY_E_NOMEM, "memory: out of memory");
	memset(connection, 0, sizeof *connection);
	connection->host = host;
	connection->core = core;
	connection->config = config;
	pool_init(&connection->pool, host, core, config->memory_budget, config->service);
	pthread_mutex_init(&connection->lock, NULL);
	*ret = connection;
	return 0;
}

static int memory_start(struct ferry_connection *connection, int64_t deadline_us, struct ferry_error *err)
{
	(void)connection, (void)deadline_us, (void)err;
	return 0;
}

static int memory_stop(struct ferry_connection *connection, int64_t deadline_us)
{
	(void)connection, (void)deadline_us;
	return 0;
}

static void free_log(struct ferry_connection *connection, struct ferry_destination *log)
{
	while (log->named) {
		struct ferry_subscription *cursor = log->named;
		log->named = cursor->next_named;
		cursor_free(cursor);
	}
	log_finish(log);
	connection->host->free(connection->core, log->topic);
	connection->host->free(connection->core, log);
}

static void memory_destroy(struct ferry_connection *connection)
{
	while (connection->logs) {
		struct ferry_destination *log = connection->logs;
		connection->logs = log->next_log;
		free_log(connection, log);
	}
	pool_finish(&connection->pool);
	pthread_mutex_destroy(&connection->lock);
	connection->host->free(connection->core, connection);
}

/* ---- topics ---- */

/* connection.lock held. */
static struct ferry_destination *create_log(struct ferry_connection *connection, const char *topic)
{
	struct ferry_destination *log = alloc_zeroed(connection, sizeof *log);
	char *name = copy_text(connection, topic);
	if (!log || !name) {
		if (log)
			connection->host->free(connection->core, log);
		if (name)
			connection->host->free(connection->core, name);
		return NULL;
	}
	log_init(log, &connection->pool, name);
	log->queue = setting(connection, OPTION_QUEUE);
	log->queue_bytes = setting(connection, OPTION_QUEUE_BYTES);
	int option = strncmp(topic, "dlq.", 4) == 0 ? OPTION_RETAIN_DLQ : OPTION_RETAIN;
	atomic_init(&log->retain, setting(connection, option));
	log->next_log = connection->logs;
	connection->logs = log;
	return log;
}

static struct ferry_destination *get_log(struct ferry_connection *connection, const char *topic)
{
	pthread_mutex_lock(&connection->lock);
	struct ferry_destination *log = connection->logs;
	while (log && strcmp(log->topic, topic) != 0)
		log = log->next_log;
	if (!log)
		log = create_log(connection, topic);
	pthread_mutex_unlock(&connection->lock);
	return log;
}

static int memory_destination(struct ferry_connection *connection, const char *topic, int64_t deadline_us,
			      struct ferry_destination **ret, struct ferry_error *err)
{
	(void)deadline_us;
	struct ferry_destination *log = get_log(connection, topic);
	if (!log)
		return fail(err, FERRY_E_NOMEM, "memory: out of memory for topic %s", topic);
	*ret = log;
	return 0;
}

/* ---- publishing ---- */

/* The budget is used up: each topic gives up a chunk of what it only retains.  0 = nothing was given. */
static int shed(struct ferry_connection *connection)
{
	pthread_mutex_lock(&connection->lock);
	struct ferry_destination *log = connection->logs;
	pthread_mutex_unlock(&connection->lock);
	int given = 0;
	for (; log; log = log->next_log)
		given |= log_shed(log);
	return given;
}

static size_t memory_publish(struct ferry_connection *connection, struct ferry_outgoing *const *outs,
			     size_t count)
{
	size_t taken = 0;
	while (taken < count) {
		int starved;
		size_t run = log_publish(outs[taken]->destination, outs + taken, count - taken, 0, &starved);
		taken += run;
		if (starved ? !shed(connection) : !run)
			break;
	}
	pool_relieve(&connection->pool);
	return taken;
}

static int memory_flush(struct ferry_connection *connection, int64_t deadline_us)
{
	(void)connection, (void)deadline_us;
	return 0;
}

/* ---- sources ---- */

static int memory_source_open(struct ferry_connection *connection, const struct ferry_source_spec *spec,
			      struct ferry_source **ret, struct ferry_error *err)
{
	struct ferry_source *source = alloc_zeroed(connection, sizeof *source);
	char *group = copy_text(connection, spec->group);
	if (!source || !group) {
		if (source)
			connection->host->free(connection->core, source);
		if (group)
			connection->host->free(connection->core, group);
		return fail(err, FERRY_E_NOMEM, "memory: out of memory for group %s", spec->group);
	}
	source->connection = connection;
	source->group = group;
	source->distribution = spec->distribution;
	*ret = source;
	return 0;
}

/* log.lock held. */
static struct ferry_subscription *find_named(const struct ferry_destination *log, int32_t distribution,
					     const char *name)
{
	struct ferry_subscription *cursor = log->named;
	while (cursor && (cursor->distribution != distribution || strcmp(cursor->name, name) != 0))
		cursor = cursor->next_named;
	return cursor;
}

static struct ferry_subscription *create_cursor(struct ferry_source *source, struct ferry_destination *log,
						const char *name)
{
	struct ferry_connection *connection = source->connection;
	struct ferry_subscription *cursor = alloc_zeroed(connection, sizeof *cursor);
	if (!cursor)
		return NULL;
	cursor_init(cursor, log);
	cursor->distribution = source->distribution;
	if (name && !(cursor->name = copy_text(connection, name))) {
		cursor_free(cursor);
		return NULL;
	}
	return cursor;
}

/* The cursor that the name has left behind, or a new one.  NULL with *ret_code. */
static struct ferry_subscription *get_cursor(struct ferry_source *source, struct ferry_destination *log,
					     const char *name, int *ret_code)
{
	struct ferry_subscription *cursor;
	pthread_mutex_lock(&log->lock);
	cursor = name ? find_named(log, source->distribution, name) : NULL;
	*ret_code = cursor && cursor->in_use ? FERRY_E_STATE : FERRY_E_NOMEM;
	if (cursor && cursor->in_use) {
		cursor = NULL;
	} else if (!cursor && (cursor = create_cursor(source, log, name)) && name) {
		cursor->next_named = log->named;
		log->named = cursor;
	}
	if (cursor)
		cursor->in_use = 1;
	pthread_mutex_unlock(&log->lock);
	return cursor;
}

static int memory_subscribe(struct ferry_source *source, const struct ferry_subscription_spec *spec,
			    struct ferry_subscription **ret, struct ferry_error *err)
{
	const char *name = source->distribution == COMPETING ? source->group : spec->durable;
	struct ferry_destination *log = get_log(source->connection, spec->topic);
	int code = FERRY_E_NOMEM;
	struct ferry_subscription *cursor = log ? get_cursor(source, log, name, &code) : NULL;
	if (!cursor && code == FERRY_E_STATE)
		return fail(err, code, "memory: %s already reads topic %s", name, spec->topic);
	if (!cursor)
		return fail(err, code, "memory: out of memory for a subscription to topic %s", spec->topic);
	cursor->core = spec->core;
	cursor->start = spec->start;
	cursor->max_unsettled = spec->max_unsettled > 0 ? (uint64_t)spec->max_unsettled : UINT64_MAX;
	cursor->next_in_source = source->subscriptions;
	source->subscriptions = cursor;
	*ret = cursor;
	return 0;
}

static int memory_source_start(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err)
{
	(void)deadline_us, (void)err;
	for (struct ferry_subscription *c = source->subscriptions; c; c = c->next_in_source) {
		if (!c->joined)
			cursor_start(c);
	}
	return 0;
}

static int memory_source_stop(struct ferry_source *source, int64_t deadline_us,
			      struct ferry_source_rest *rest)
{
	(void)deadline_us;
	for (struct ferry_subscription *c = source->subscriptions; c; c = c->next_in_source) {
		uint64_t queued = c->joined ? cursor_stop(c) : 0;
		rest->dropped += queued;
		if (queued && rest->each)
			rest->each(rest->ctx, c->core, queued);
	}
	pool_relieve(&source->connection->pool);
	return 0;
}

static void close_cursor(struct ferry_subscription *cursor)
{
	struct ferry_destination *log = cursor->log;
	if (cursor->joined)
		cursor_stop(cursor);
	cursor_park(cursor);
	if (!cursor->name) {
		cursor_free(cursor);
		return;
	}
	pthread_mutex_lock(&log->lock);
	cursor->in_use = 0;
	pthread_mutex_unlock(&log->lock);
}

static void memory_source_close(struct ferry_source *source)
{
	struct ferry_connection *connection = source->connection;
	while (source->subscriptions) {
		struct ferry_subscription *cursor = source->subscriptions;
		source->subscriptions = cursor->next_in_source;
		close_cursor(cursor);
	}
	connection->host->free(connection->core, source->group);
	connection->host->free(connection->core, source);
	pool_relieve(&connection->pool);
}

/* ---- consuming ---- */

static int memory_fetch(struct ferry_source *source, struct ferry_subscription *only,
			struct ferry_delivery *const *deliveries, size_t max, int timeout_ms)
{
	(void)timeout_ms;
	int count = cursor_fetch(only, deliveries, max);
	pool_relieve(&source->connection->pool);
	return count;
}

static int memory_arm(struct ferry_subscription *subscription)
{
	int work = cursor_arm(subscription);
	pool_relieve(subscription->log->pool);
	return work;
}

static void memory_settle(struct ferry_source *source, struct ferry_settle *settles, size_t count)
{
	size_t run;
	for (size_t i = 0; i < count; i += run) {
		struct ferry_subscription *cursor = delivery_cursor(settles[i].delivery);
		for (run = 1; i + run < count && delivery_cursor(settles[i + run].delivery) == cursor; run++)
			;
		if (cursor) {
			cursor_settle(cursor, settles + i, run);
			continue;
		}
		for (size_t j = i; j < i + run; j++)
			settles[j].result = FERRY_E_STALE;
	}
	pool_relieve(&source->connection->pool);
}

static void memory_release(struct ferry_source *source, struct ferry_delivery *const *deliveries,
			   size_t count)
{
	delivery_release(&source->connection->pool, deliveries, count);
	pool_relieve(&source->connection->pool);
}

/* Nothing lies between the two steps that could fail.  The bounds do not apply: the message that the dead
 * letter replaces was held already, and its end is what makes room. */
static void memory_dead_letter(struct ferry_source *source, struct ferry_delivery *delivery,
			       struct ferry_outgoing *dead)
{
	struct ferry_connection *connection = source->connection;
	int starved;
	if (!delivery_cursor(delivery)) {
		dead->result = FERRY_E_STALE;
		return;
	}
	log_keep_dead_letters(dead->destination, setting(connection, OPTION_RETAIN_DLQ));
	log_publish(dead->destination, &dead, 1, 1, &starved);
	if (dead->result == 0)
		cursor_end(delivery);
	pool_relieve(&connection->pool);
}

static size_t memory_position(struct ferry_source *source, const struct ferry_delivery *delivery,
			      char *buffer, size_t size)
{
	(void)source;
	return (size_t)snprintf(buffer, size, "%llu", (unsigned long long)delivery_sequence(delivery));
}

/* ---- entry ---- */

static const struct ferry_transport transport = {
	.size = sizeof transport,
	.abi_major = FERRY_ABI_MAJOR,
	.abi_minor = FERRY_ABI_MINOR,
	.name = "memory",
	.version = "1.0",
	.summary = "events inside one process: bounded queues, nothing survives it",
	.schemes = "memory",
	.capabilities = FERRY_CAP_NACK_DELAY | FERRY_CAP_EXTEND | FERRY_CAP_ATOMIC_DLQ |
			FERRY_CAP_KEY_ORDER_GROUP | FERRY_CAP_RETAIN | FERRY_CAP_PUB_COPIES |
			FERRY_CAP_PUB_IMMEDIATE,
	.thread_model = FERRY_FETCH_FROM_WORKERS,
	.options = options,
	.create = memory_create,
	.start = memory_start,
	.stop = memory_stop,
	.destroy = memory_destroy,
	.destination = memory_destination,
	.publish = memory_publish,
	.flush = memory_flush,
	.source_open = memory_source_open,
	.subscribe = memory_subscribe,
	.source_start = memory_source_start,
	.source_stop = memory_source_stop,
	.source_close = memory_source_close,
	.fetch = memory_fetch,
	.arm = memory_arm,
	.settle = memory_settle,
	.release = memory_release,
	.dead_letter = memory_dead_letter,
	.position = memory_position,
};

const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host)
{
	return host->abi_major == FERRY_ABI_MAJOR ? &transport : NULL;
}
