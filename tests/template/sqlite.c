/*
 * sqlite.c - the transport `sqlite`: its settings, its connections, and the table of its slots.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "plugin.h"

/* How long start tries at a file that is locked.  The core calls it again; an answer that comes soon is what
 * tells the operator why nothing happens. */
#define START_WAIT_US 1000000

enum setting { DURABILITY, COMMIT_INTERVAL, POLL_INTERVAL, QUEUE, RETAIN };

static const struct ferry_option settings[] = {
	[DURABILITY] =
		{.name = "durability",
		 .type = FERRY_OPTION_CHOICE,
		 .default_value = "normal",
		 .choices = "normal|full",
		 .help = "What a confirmed message survives: normal, the end of any process; full, a power "
			 "loss too."},
	[COMMIT_INTERVAL] =
		{.name = "commit_interval",
		 .type = FERRY_OPTION_DURATION,
		 .default_value = "20ms",
		 .min = 0,
		 .max = 1000,
		 .help = "How long verdicts may wait to be written together while no fetch waits."},
	[POLL_INTERVAL] = {.name = "poll_interval",
			   .type = FERRY_OPTION_DURATION,
			   .default_value = "20ms",
			   .min = 1,
			   .max = 1000,
			   .help = "How often to look whether another process has written to the file."},
	[QUEUE] = {.name = "queue",
		   .type = FERRY_OPTION_INTEGER,
		   .default_value = "4096",
		   .min = 1,
		   .max = 1000000,
		   .help = "Messages that may wait for their confirmation."},
	[RETAIN] = {.name = "retain",
		    .type = FERRY_OPTION_INTEGER,
		    .default_value = "1000000",
		    .min = 0,
		    .max = INT64_MAX,
		    .help = "Records that a topic keeps after every group has settled them; the oldest go "
			    "first."},
	{.name = NULL},
};

/* ---- made ---- */

static int check(const struct ferry_config *config, struct ferry_error *err)
{
	const char *file = config->path;
	if (*config->hosts || *config->user)
		return fail(err, FERRY_E_CONFIG, "%s: expected sqlite:FILE, without a host", config->url);
	if (!*file)
		return fail(err, FERRY_E_CONFIG, "%s: the name of the file is missing: sqlite:FILE",
			    config->url);
	if (*file == ':')
		return fail(err, FERRY_E_CONFIG,
			    "%s: a file whose name begins with ':' is SQLite's memory: write ./%s",
			    config->url, file);
	if (!sqlite3_threadsafe())
		return fail(err, FERRY_E_UNSUPPORTED, "this SQLite library was built without threads");
	return 0;
}

static void init_locks(struct ferry_connection *c)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->control_lock, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_cond_init(&c->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void destroy(struct ferry_connection *c)
{
	store_close(&c->control);
	store_close(&c->io.store);
	while (c->destinations) {
		struct ferry_destination *next = c->destinations->next;
		host_free(c, c->destinations);
		c->destinations = next;
	}
	wire_free(&c->io.headers);
	host_free(c, c->queue.slots);
	host_free(c, c->queue.report);
	pthread_cond_destroy(&c->changed);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->control_lock);
	host_free(c, c);
}

static int create(const struct ferry_host *host, void *core, const struct ferry_config *config,
		  struct ferry_connection **ret, struct ferry_error *err)
{
	int code = check(config, err);
	if (code)
		return code;
	const struct ferry_connection maker = {.host = host, .core = core};
	struct ferry_connection *c = host_zeroed(&maker, sizeof *c);
	if (!c)
		return fail(err, FERRY_E_NOMEM, "out of memory while opening %s", config->url);
	c->host = host;
	c->core = core;
	c->config = config;
	c->full_sync = config->settings[DURABILITY].number == 1;
	c->commit_us = config->settings[COMMIT_INTERVAL].number * 1000;
	c->poll_us = config->settings[POLL_INTERVAL].number * 1000;
	c->retain = config->settings[RETAIN].number;
	c->dirty_end = &c->dirty;
	c->io.headers = (struct wire_headers){.host = host, .core = core};
	c->queue.capacity = (size_t)config->settings[QUEUE].number;
	init_locks(c);
	c->queue.slots = host_zeroed(c, c->queue.capacity * sizeof *c->queue.slots);
	c->queue.report = host_zeroed(c, c->queue.capacity * sizeof(struct ferry_outgoing *));
	if (!c->queue.slots || !c->queue.report) {
		destroy(c);
		return fail(err, FERRY_E_NOMEM, "out of memory while opening %s", config->url);
	}
	*ret = c;
	return 0;
}

/* ---- started and stopped ---- */

static int open_store(struct ferry_connection *c, struct store *store, int64_t until, struct ferry_error *err)
{
	const struct store_options options = {
		.file = c->config->path,
		.create = c->config->provision == FERRY_PROVISION_AUTO,
		.full = c->full_sync,
	};
	for (;;) {
		int rc = store_open(store, &options);
		if (rc == SQLITE_OK)
			return 0;
		int code = store_fail(store, options.file, rc, err);
		store_close(store);
		if ((rc & 0xFF) != SQLITE_BUSY || pacing_us() >= until)
			return code;
	}
}

static int start(struct ferry_connection *c, int64_t deadline_us, struct ferry_error *err)
{
	const char *file = c->config->path;
	int64_t until = pacing_deadline(c, deadline_us), soon = pacing_us() + START_WAIT_US;
	if (until > soon)
		until = soon;
	if (c->config->provision != FERRY_PROVISION_AUTO && access(file, F_OK) && errno == ENOENT)
		return fail(err, FERRY_E_NOT_FOUND,
			    "%s: there is no such file, and only provision=auto makes it", file);
	int code = open_store(c, &c->control, until, err);
	if (!code)
		code = open_store(c, &c->io.store, until, err);
	if (!code)
		code = io_start(c, err);
	if (code) {
		store_close(&c->control);
		store_close(&c->io.store);
	}
	return code;
}

static int stop(struct ferry_connection *c, int64_t deadline_us)
{
	if (c->running)
		io_stop(c, deadline_us);
	store_close(&c->control);
	store_close(&c->io.store);
	return 0;
}

/* ---- the control store ---- */

static int transact(struct store *store, control_fn *work, void *ctx)
{
	int rc = store_begin(store);
	if (rc == SQLITE_OK)
		rc = work(store, ctx);
	if (rc == SQLITE_OK)
		rc = store_commit(store);
	if (rc != SQLITE_OK)
		store_rollback(store);
	return rc;
}

int control_run(struct ferry_connection *c, int64_t deadline_us, control_fn *work, void *ctx,
		struct ferry_error *err)
{
	int64_t until = pacing_deadline(c, deadline_us);
	int rc, code = 0;
	pthread_mutex_lock(&c->control_lock);
	if (c->control.db) {
		do
			rc = transact(&c->control, work, ctx);
		while ((rc & 0xFF) == SQLITE_BUSY && pacing_us() < until);
		if (rc != SQLITE_OK)
			code = store_fail(&c->control, c->config->path, rc, err);
	} else {
		code = fail(err, FERRY_E_STATE, "%s: the file is not open", c->config->path);
	}
	pthread_mutex_unlock(&c->control_lock);
	return code;
}

struct topic_request {
	const char *topic;
	bool make, found;
};

static int find_topic(struct store *store, void *ctx)
{
	struct topic_request *request = ctx;
	int rc = store_topic_exists(store, request->topic, &request->found);
	if (rc != SQLITE_OK || request->found || !request->make)
		return rc;
	request->found = true;
	return store_topic_add(store, request->topic);
}

int control_topic(struct ferry_connection *c, const char *topic, int64_t deadline_us, struct ferry_error *err)
{
	struct topic_request request = {.topic = topic, .make = c->config->provision == FERRY_PROVISION_AUTO};
	int code = control_run(c, deadline_us, find_topic, &request, err);
	if (!code && !request.found)
		return fail(err, FERRY_E_NOT_FOUND,
			    "%s: the topic %s does not exist, and only provision=auto makes it",
			    c->config->path, topic);
	return code;
}

/* ---- destinations ---- */

static struct ferry_destination *find_destination(struct ferry_connection *c, const char *topic)
{
	pthread_mutex_lock(&c->lock);
	struct ferry_destination *found = c->destinations;
	while (found && strcmp(found->topic, topic) != 0)
		found = found->next;
	pthread_mutex_unlock(&c->lock);
	return found;
}

static int destination(struct ferry_connection *c, const char *topic, int64_t deadline_us,
		       struct ferry_destination **ret, struct ferry_error *err)
{
	struct ferry_destination *found = find_destination(c, topic);
	if (found) {
		*ret = found;
		return 0;
	}
	int code = control_topic(c, topic, deadline_us, err);
	if (code)
		return code;
	size_t size = strlen(topic) + 1;
	struct ferry_destination *made = host_zeroed(c, sizeof *made + size);
	if (!made)
		return fail(err, FERRY_E_NOMEM, "%s: out of memory", topic);
	memcpy(made->topic, topic, size);
	pthread_mutex_lock(&c->lock);
	made->next = c->destinations;
	c->destinations = made;
	pthread_mutex_unlock(&c->lock);
	*ret = made;
	return 0;
}

/* ---- the entry ---- */

static const struct ferry_transport transport = {
	.size = sizeof transport,
	.abi_major = FERRY_ABI_MAJOR,
	.abi_minor = FERRY_ABI_MINOR,
	.name = "sqlite",
	.version = "0.1.0",
	.summary = "one SQLite file, shared by the processes of one machine",
	.schemes = "sqlite",
	.capabilities = FERRY_CAP_DURABLE | FERRY_CAP_HOLD_DURABLE | FERRY_CAP_EXTEND | FERRY_CAP_RETAIN,
	.thread_model = FERRY_PUMP,
	.options = settings,

	.create = create,
	.start = start,
	.stop = stop,
	.destroy = destroy,
	.destination = destination,
	.publish = sqlite_publish,
	.flush = sqlite_flush,
	.source_open = sqlite_source_open,
	.subscribe = sqlite_subscribe,
	.source_start = sqlite_source_start,
	.source_stop = sqlite_source_stop,
	.source_close = sqlite_source_close,
	.fetch = sqlite_fetch,
	.credit = sqlite_credit,
	.wakeup = sqlite_wakeup,
	.settle = sqlite_settle,
	.release = sqlite_release,
	.alive = sqlite_alive,
	.position = sqlite_position,
	.lease_ms = sqlite_lease_ms,
	.raw_put = sqlite_raw_put,
	.raw_get = sqlite_raw_get,
	.objects = sqlite_objects,
};

const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host)
{
	(void)host; /* create is given the same one */
	return &transport;
}
