/*
 * plugin_test.c - the plugin without ferry's core, which would not do this when it is asked to: its slots are
 * called one by one.
 */
#include <dlfcn.h>
#include <time.h>

#include <ferry/transport.h>

#include "scene.h"

#define KEY "ferry:{t}"

static const char *plugin_path, *hosts;

/* ---- the host ---- */

static void host_log(void *core, int level, const char *text)
{
	(void)core;
	printf("%d %s\n", level, text);
}

static int64_t host_now_us(void *core)
{
	struct timespec now;
	(void)core;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static int64_t host_wall_us(void *core)
{
	(void)core;
	return time(NULL) * INT64_C(1000000);
}

static void *host_alloc(void *core, size_t bytes)
{
	(void)core;
	return malloc(bytes);
}

static void *host_resize(void *core, void *memory, size_t bytes)
{
	(void)core;
	return realloc(memory, bytes);
}

static void host_free(void *core, void *memory)
{
	(void)core;
	free(memory);
}

static void host_format_id(const uint64_t id_bits[2], char text[FERRY_ID_TEXT_SIZE])
{
	(void)id_bits;
	text[0] = '\0';
}

static void host_published(void *core, struct ferry_outgoing *const *outs, size_t count)
{
	(void)core, (void)outs, (void)count;
}

static void host_writable(void *core)
{
	(void)core;
}

static void host_event(void *core, int event, const struct ferry_error *why)
{
	(void)core, (void)event, (void)why;
}

static const struct ferry_host host = {
	.size = sizeof host,
	.abi_major = FERRY_ABI_MAJOR,
	.abi_minor = FERRY_ABI_MINOR,
	.version = "test",
	.log = host_log,
	.now_us = host_now_us,
	.wall_us = host_wall_us,
	.alloc = host_alloc,
	.resize = host_resize,
	.free = host_free,
	.format_id = host_format_id,
	.published = host_published,
	.writable = host_writable,
	.event = host_event,
};

/* ---- a reader ---- */

#define SETTINGS_MAX 32

struct reader {
	const struct ferry_transport *api;
	struct ferry_setting settings[SETTINGS_MAX];
	struct ferry_config config;
	struct ferry_connection *connection;
	struct ferry_source *source;
	struct ferry_subscription *subscription;
	struct ferry_delivery deliveries[16], *each[16];
};

/* The settings that matter here; the rest is off, or empty. */
static void set_defaults(struct reader *r)
{
	static const struct {
		const char *name, *text;
		int64_t number;
	} values[] = {
		{"prefix", "ferry:", 0},
		{"durability", "aof", 0},
		{"queue", NULL, 100},
		{"queue_bytes", NULL, 1 << 20},
		{"claim_interval", NULL, 3600000},
		{"connect_timeout", NULL, 20000},
	};
	for (size_t i = 0; r->api->options[i].name; i++) {
		CHECK(i < SETTINGS_MAX);
		for (size_t k = 0; k < sizeof values / sizeof values[0]; k++)
			if (!strcmp(r->api->options[i].name, values[k].name))
				r->settings[i] = (struct ferry_setting){.text = values[k].text,
									.number = values[k].number};
	}
}

static void reader_start(struct reader *r)
{
	struct ferry_error err;
	int64_t deadline = host_now_us(NULL) + 30000000;
	void *library = dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL);
	CHECK(library);
	const struct ferry_transport *(*entry)(const struct ferry_host *);
	*(void **)&entry = dlsym(library, "ferry_transport_entry");
	CHECK(entry);
	*r = (struct reader){.api = entry(&host)};
	set_defaults(r);
	r->config = (struct ferry_config){
		.size = sizeof r->config,
		.url = "redis:",
		.scheme = "redis",
		.hosts = hosts,
		.user = "",
		.password = "",
		.path = "",
		.settings = r->settings,
		.extra = (const struct ferry_attribute[]){{NULL, NULL}},
		.service = "plugin",
		.instance = "plugin",
		.memory_budget = 1 << 20,
		.max_message = 1 << 20,
		.takeover_ms = 20000,
		.publish_timeout_ms = 30000,
		.provision = FERRY_PROVISION_AUTO,
		.envelope = FERRY_ENVELOPE_CLOUDEVENTS,
	};
	CHECK_EQ(r->api->create(&host, NULL, &r->config, &r->connection, &err), 0);
	CHECK_EQ(r->api->start(r->connection, deadline, &err), 0);
	const struct ferry_source_spec source = {.size = sizeof source,
						 .group = "g",
						 .distribution = FERRY_COMPETING,
						 .takeover_ms = 20000,
						 .memory_budget = 1 << 20};
	CHECK_EQ(r->api->source_open(r->connection, &source, &r->source, &err), 0);
	const struct ferry_subscription_spec subscription = {
		.size = sizeof subscription, .topic = "t", .handler = "", .start = FERRY_START_NEW};
	CHECK_EQ(r->api->subscribe(r->source, &subscription, &r->subscription, &err), 0);
	CHECK_EQ(r->api->source_start(r->source, deadline, &err), 0);
}

static int reader_fetch(struct reader *r)
{
	for (size_t i = 0; i < 16; i++) {
		r->deliveries[i] = (struct ferry_delivery){.size = sizeof r->deliveries[i]};
		r->each[i] = &r->deliveries[i];
	}
	return r->api->fetch(r->source, NULL, r->each, 16, 20);
}

static void reader_stop(struct reader *r)
{
	int64_t deadline = host_now_us(NULL) + 30000000;
	struct ferry_source_rest rest = {.size = sizeof rest};
	CHECK_EQ(r->api->source_stop(r->source, deadline, &rest), 0);
	r->api->source_close(r->source);
	CHECK_EQ(r->api->stop(r->connection, deadline), 0);
	r->api->destroy(r->connection);
}

/* ---- the tests ---- */

/* Ten were asked for; when they come two are wanted.  Nobody would renew the rest here. */
static void what_is_not_wanted_any_more_is_given_back(void)
{
	struct reader r;
	reader_start(&r);
	r.api->credit(r.subscription, 10);
	WAIT_UNTIL(reader_fetch(&r) == 0 && strstr(ask("CLIENT LIST"), "cmd=xreadgroup"));
	r.api->credit(r.subscription, 2);
	/* Together, for a read that waits is answered with what the first command brings. */
	ask_together((const char *const[]){"MULTI", "XADD " KEY " * d 1", "XADD " KEY " * d 2",
					   "XADD " KEY " * d 3", "XADD " KEY " * d 4", "XADD " KEY " * d 5",
					   "EXEC", NULL});
	int got;
	WAIT_UNTIL((got = reader_fetch(&r)) != 0);
	CHECK_EQ(got, 2);
	struct ferry_settle settles[2] = {{.delivery = &r.deliveries[0], .verb = FERRY_SETTLE_ACK},
					  {.delivery = &r.deliveries[1], .verb = FERRY_SETTLE_ACK}};
	r.api->settle(r.source, settles, 2);
	CHECK_EQ(reader_fetch(&r), 0);
	WAIT_UNTIL(strstr(ask("XINFO CONSUMERS " KEY " g"), "ferry-waiting pending 3"));
	reader_stop(&r);
	CHECK_EQ(ask_number("XPENDING " KEY " g"), 3);
}

static const struct scene_test tests[] = {
	TEST(what_is_not_wanted_any_more_is_given_back),
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	CHECK(argc == 3);
	plugin_path = argv[1];
	hosts = argv[2] + strlen("redis://");
	return scene_main(argc, argv, tests);
}
