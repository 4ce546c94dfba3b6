/*
 * faulty.c - a transport that wraps another one and injects one fault: the connection and the entry.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "faulty.h"

/* ---- settings: ours, then the inner transport's ---- */

#define CHOICE(name, text, every, help) text "|"
#define CHOICES                         FAULTS(CHOICE)

enum { SETTING_INNER, SETTING_FAULT, SETTING_EVERY, SETTING_COUNT };

static const unsigned default_every[] = {
#define FAULT_EVERY(name, text, every, help) every,
	FAULTS(FAULT_EVERY)
#undef FAULT_EVERY
};

static char choices[sizeof(CHOICES)];

static const struct ferry_option own_options[SETTING_COUNT] = {
	[SETTING_INNER] = {.name = "inner",
			   .type = FERRY_OPTION_TEXT,
			   .default_value = "memory:",
			   .help = "URL of the transport that is wrapped, without a query."},
	[SETTING_FAULT] = {.name = "fault",
			   .type = FERRY_OPTION_CHOICE,
			   .default_value = "none",
			   .choices = choices,
			   .help = "What goes wrong."},
	[SETTING_EVERY] = {.name = "every",
			   .type = FERRY_OPTION_INTEGER,
			   .min = 1,
			   .max = 1000000000,
			   .help = "The fault happens at every n-th chance."},
};

static const struct ferry_option *merge_options(void)
{
	size_t count = 0;
	while (inner.options && inner.options[count].name)
		count++;
	struct ferry_option *all = calloc(SETTING_COUNT + count + 1, sizeof(*all));
	if (!all)
		return NULL;
	memcpy(choices, CHOICES, sizeof(CHOICES));
	choices[strlen(choices) - 1] = '\0'; /* the last '|' */
	memcpy(all, own_options, sizeof(own_options));
	if (count)
		memcpy(all + SETTING_COUNT, inner.options, count * sizeof(*all));
	return all;
}

/* ---- the connection ---- */

static int faulty_create(const struct ferry_host *host, void *core, const struct ferry_config *config,
			 struct ferry_connection **ret, struct ferry_error *err)
{
	struct ferry_connection *c = host->alloc(core, sizeof(*c));
	if (!c)
		return FERRY_E_NOMEM;
	memset(c, 0, sizeof(*c));
	c->host = host;
	c->core = core;
	const struct ferry_setting *settings = config->settings;
	c->fault = (enum fault)settings[SETTING_FAULT].number;
	c->every = settings[SETTING_EVERY].is_set ? (unsigned)settings[SETTING_EVERY].number
						  : default_every[c->fault];
	int rc = inner_config(c, config, settings[SETTING_INNER].text, SETTING_COUNT, err);
	if (!rc && c->fault == FAULT_IGNORE_PROVISION)
		c->config.provision = FERRY_PROVISION_AUTO;
	if (!rc)
		rc = inner.create(&inner_host, c, &c->config, &c->inner, err);
	if (rc) {
		host->free(core, c->inner_url);
		host->free(core, c);
		return rc;
	}
	*ret = c;
	return 0;
}

static void *sleep_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* A thread that stays; with `shared` it takes the process's signals. */
static void leave_thread(bool shared)
{
	sigset_t all, before;
	sigfillset(&all);
	if (shared)
		sigemptyset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_t thread;
	if (!pthread_create(&thread, NULL, sleep_for_ever, NULL))
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int faulty_start(struct ferry_connection *c, int64_t deadline_us, struct ferry_error *err)
{
	if (c->fault == FAULT_THREAD_LEAK)
		leave_thread(false);
	if (c->fault == FAULT_TAKE_SIGNALS)
		leave_thread(true);
	if (c->fault == FAULT_IGNORE_SIGPIPE)
		signal(SIGPIPE, SIG_IGN);
	return inner.start(c->inner, deadline_us, err);
}

static int faulty_stop(struct ferry_connection *c, int64_t deadline_us)
{
	if (c->fault == FAULT_NEVER_STOPS)
		return FERRY_E_TIMEDOUT;
	return inner.stop(c->inner, deadline_us);
}

static void faulty_destroy(struct ferry_connection *c)
{
	const struct ferry_host *host = c->host;
	void *core = c->core;
	inner.destroy(c->inner);
	host->free(core, c->inner_url);
	host->free(core, c);
}

static int faulty_destination(struct ferry_connection *c, const char *topic, int64_t deadline_us,
			      struct ferry_destination **ret, struct ferry_error *err)
{
	return inner.destination(c->inner, topic, deadline_us, ret, err);
}

static int faulty_flush(struct ferry_connection *c, int64_t deadline_us)
{
	return inner.flush(c->inner, deadline_us);
}

/* ---- looking at the backend ---- */

static int faulty_raw_put(struct ferry_connection *c, const char *topic, const struct ferry_raw *raw,
			  struct ferry_error *err)
{
	return inner.raw_put(c->inner, topic, raw, err);
}

struct raw_reader {
	ferry_raw_fn *each;
	void *ctx;
};

static void without_first_field(const struct ferry_raw *raw, void *ctx)
{
	const struct raw_reader *reader = ctx;
	struct ferry_raw less = *raw;
	if (less.field_count) {
		less.fields++;
		less.field_count--;
	}
	reader->each(&less, reader->ctx);
}

static int faulty_raw_get(struct ferry_connection *c, const char *topic, uint64_t index, ferry_raw_fn *each,
			  void *ctx, struct ferry_error *err)
{
	struct raw_reader reader = {.each = each, .ctx = ctx};
	if (c->fault == FAULT_RAW_DIFFERS)
		return inner.raw_get(c->inner, topic, index, without_first_field, &reader, err);
	return inner.raw_get(c->inner, topic, index, each, ctx, err);
}

static int64_t faulty_objects(struct ferry_connection *c, const char *needle)
{
	return inner.objects(c->inner, needle);
}

/* ---- the transport ---- */

static struct ferry_transport faulty = {
	.size = sizeof(faulty),
	.abi_major = FERRY_ABI_MAJOR,
	.abi_minor = FERRY_ABI_MINOR,
	.name = "faulty",
	.version = "1",
	.summary = "wraps another transport and injects one fault",
	.schemes = "faulty",
	.create = faulty_create,
	.start = faulty_start,
	.stop = faulty_stop,
	.destroy = faulty_destroy,
	.destination = faulty_destination,
	.publish = faulty_publish,
	.source_open = faulty_source_open,
	.subscribe = faulty_subscribe,
	.source_start = faulty_source_start,
	.source_stop = faulty_source_stop,
	.source_close = faulty_source_close,
	.fetch = faulty_fetch,
	.settle = faulty_settle,
	.release = faulty_release,
};

/* The slots that are there only when the inner transport has them. */
static void copy_optional(void)
{
#define OPTIONAL(slot)  \
	if (inner.slot) \
	faulty.slot = faulty_##slot
	OPTIONAL(flush);
	OPTIONAL(credit);
	OPTIONAL(wakeup);
	OPTIONAL(arm);
	OPTIONAL(dead_letter);
	OPTIONAL(alive);
	OPTIONAL(position);
	OPTIONAL(lease_ms);
	OPTIONAL(raw_put);
	OPTIONAL(raw_get);
	OPTIONAL(objects);
#undef OPTIONAL
}

FERRY_API const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host)
{
	host_init(host);
	if (!inner_load(host))
		return NULL;
	faulty.capabilities = inner.capabilities;
	if (getenv("FAULTY_LIE"))
		faulty.capabilities |= FERRY_CAP_KEY_ORDER_GROUP;
	faulty.thread_model = inner.thread_model;
	faulty.options = merge_options();
	copy_optional();
	return faulty.options ? &faulty : NULL;
}
