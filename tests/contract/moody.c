/*
 * moody.c - a durable transport without a message, whose start goes as its URL says:
 * moody:?refusals=N&refusal=unreachable|denied|missing&late=on
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <ferry/transport.h>

enum { REFUSALS, REFUSAL, LATE };

static const struct ferry_option options[] = {
	[REFUSALS] = {"refusals", FERRY_OPTION_INTEGER, 0, "0", 0, 1000000, NULL, "Starts that fail."},
	[REFUSAL] = {"refusal", FERRY_OPTION_CHOICE, 0, "unreachable", 0, 0, "unreachable|denied|missing",
		     "How they fail."},
	[LATE] = {"late", FERRY_OPTION_SWITCH, 0, "off", 0, 0, NULL,
		  "Whether the starts after those last until their deadline, and fail then."},
	{NULL, 0, 0, NULL, 0, 0, NULL, NULL},
};

/* Also every destination, source and subscription: none has anything of its own. */
struct ferry_connection {
	const struct ferry_host *host;
	void *core;
	int64_t refusals, refusal, late;
};

static int create(const struct ferry_host *host, void *core, const struct ferry_config *config,
		  struct ferry_connection **ret, struct ferry_error *err)
{
	(void)err;
	struct ferry_connection *c = host->alloc(core, sizeof *c);
	if (!c)
		return FERRY_E_NOMEM;
	*c = (struct ferry_connection){.host = host,
				       .core = core,
				       .refusals = config->settings[REFUSALS].number,
				       .refusal = config->settings[REFUSAL].number,
				       .late = config->settings[LATE].number};
	*ret = c;
	return 0;
}

static int start(struct ferry_connection *c, int64_t deadline_us, struct ferry_error *err)
{
	static const int codes[] = {FERRY_E_UNREACHABLE, FERRY_E_DENIED, FERRY_E_NOT_FOUND};
	if (c->refusals == 0 && c->late) {
		while (c->host->now_us(c->core) < deadline_us)
			(void)poll(NULL, 0, 1);
		snprintf(err->text, sizeof err->text, "moody comes late");
		return err->code = FERRY_E_TIMEDOUT;
	}
	if (c->refusals == 0)
		return 0;
	c->refusals--;
	err->code = codes[c->refusal];
	snprintf(err->text, sizeof err->text, "moody does not want to");
	return err->code;
}

static int stop(struct ferry_connection *c, int64_t deadline_us)
{
	(void)c, (void)deadline_us;
	return 0;
}

static void destroy(struct ferry_connection *c)
{
	c->host->free(c->core, c);
}

static int destination(struct ferry_connection *c, const char *topic, int64_t deadline_us,
		       struct ferry_destination **ret, struct ferry_error *err)
{
	(void)topic, (void)deadline_us, (void)err;
	*ret = (struct ferry_destination *)(void *)c;
	return 0;
}

static size_t publish(struct ferry_connection *c, struct ferry_outgoing *const *outs, size_t count)
{
	/* The payload asks for an event: only a connection that is up has a core that listens. */
	for (size_t i = 0; i < count; i++) {
		const struct ferry_view *word = &outs[i]->record.payload;
		outs[i]->result = FERRY_E_REJECTED;
		outs[i]->reason = "moody keeps nothing";
		if (word->size == 4 && memcmp(word->data, "down", 4) == 0)
			c->host->event(c->core, FERRY_EVENT_DOWN, NULL);
		else if (word->size == 2 && memcmp(word->data, "up", 2) == 0)
			c->host->event(c->core, FERRY_EVENT_UP, NULL);
	}
	return count;
}

static int source_open(struct ferry_connection *c, const struct ferry_source_spec *spec,
		       struct ferry_source **ret, struct ferry_error *err)
{
	(void)spec, (void)err;
	*ret = (struct ferry_source *)(void *)c;
	return 0;
}

static int subscribe(struct ferry_source *source, const struct ferry_subscription_spec *spec,
		     struct ferry_subscription **ret, struct ferry_error *err)
{
	(void)spec, (void)err;
	*ret = (struct ferry_subscription *)(void *)source;
	return 0;
}

static int source_start(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err)
{
	(void)source, (void)deadline_us, (void)err;
	return 0;
}

static int source_stop(struct ferry_source *source, int64_t deadline_us, struct ferry_source_rest *rest)
{
	(void)source, (void)deadline_us, (void)rest;
	return 0;
}

static void source_close(struct ferry_source *source)
{
	(void)source;
}

static int fetch(struct ferry_source *source, struct ferry_subscription *only,
		 struct ferry_delivery *const *deliveries, size_t max, int timeout_ms)
{
	(void)source, (void)only, (void)deliveries, (void)max, (void)timeout_ms;
	return 0;
}

static int arm(struct ferry_subscription *subscription)
{
	(void)subscription;
	return 0;
}

static void settle(struct ferry_source *source, struct ferry_settle *settles, size_t count)
{
	(void)source, (void)settles, (void)count;
}

static void release(struct ferry_source *source, struct ferry_delivery *const *deliveries, size_t count)
{
	(void)source, (void)deliveries, (void)count;
}

const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host)
{
	static const struct ferry_transport table = {
		.size = sizeof table,
		.abi_major = FERRY_ABI_MAJOR,
		.abi_minor = FERRY_ABI_MINOR,
		.name = "moody",
		.version = "1",
		.summary = "Starts as its URL says and keeps nothing; for tests.",
		.schemes = "moody",
		.capabilities = FERRY_CAP_DURABLE | FERRY_CAP_PUB_IMMEDIATE,
		.thread_model = FERRY_FETCH_FROM_WORKERS,
		.options = options,
		.create = create,
		.start = start,
		.stop = stop,
		.destroy = destroy,
		.destination = destination,
		.publish = publish,
		.source_open = source_open,
		.subscribe = subscribe,
		.source_start = source_start,
		.source_stop = source_stop,
		.source_close = source_close,
		.fetch = fetch,
		.arm = arm,
		.settle = settle,
		.release = release,
	};
	(void)host;
	return &table;
}
