/*
 * redis_test.c - settings, URLs and keys; the README says the same of them.
 *
 *     redis_test README
 */
#include "redis.h"

#include "unit_test.h"

#define SETTINGS_MAX 32

static struct ferry_setting values[SETTINGS_MAX];
static struct ferry_config config;

static const struct ferry_transport *api(void)
{
	return ferry_transport_entry(&unit_host);
}

static struct ferry_setting *setting(const char *name)
{
	size_t i = 0;
	while (strcmp(api()->options[i].name, name) != 0)
		i++;
	return &values[i];
}

static void set(const char *name, const char *text)
{
	*setting(name) = (struct ferry_setting){.text = text, .is_set = 1};
}

/* Everything at its default; numbers do not matter here. */
static void configure(const char *scheme, const char *hosts, const char *path)
{
	const struct ferry_option *option = api()->options;
	for (size_t i = 0; option[i].name; i++) {
		CHECK(i < SETTINGS_MAX);
		bool is_text = option[i].type == FERRY_OPTION_TEXT;
		values[i] = (struct ferry_setting){.text = is_text ? option[i].default_value : NULL,
						   .number = 1000};
	}
	config = (struct ferry_config){.size = sizeof config,
				       .url = "redis://the-url",
				       .scheme = scheme,
				       .hosts = hosts,
				       .user = "",
				       .password = "",
				       .path = path,
				       .settings = values,
				       .service = "service",
				       .instance = "instance"};
}

static int create(struct ferry_connection **ret, struct ferry_error *err)
{
	return api()->create(&unit_host, NULL, &config, ret, err);
}

static void check_accepted(const char *address, int port)
{
	struct ferry_connection *c;
	struct ferry_error err;
	CHECK_EQ(create(&c, &err), 0);
	CHECK_TEXT(c->target.address, address);
	CHECK_EQ(c->target.port, port);
	api()->destroy(c);
	CHECK_EQ(unit_allocations, 0);
}

static void check_refused(const char *says)
{
	struct ferry_connection *c = NULL;
	struct ferry_error err;
	CHECK_EQ(create(&c, &err), FERRY_E_CONFIG);
	CHECK_SAYS(err.text, says);
	CHECK(!c);
	CHECK_EQ(unit_allocations, 0);
}

static void is_described_by_its_readme(void)
{
	static char readme[65536], row[1024];
	static const char *const types[] = {[FERRY_OPTION_TEXT] = "text",
					    [FERRY_OPTION_INTEGER] = "integer",
					    [FERRY_OPTION_SIZE] = "size",
					    [FERRY_OPTION_DURATION] = "duration"};
	FILE *file = fopen(unit_arguments[0], "r");
	CHECK(file);
	size_t size = fread(readme, 1, sizeof readme - 1, file);
	CHECK(size && size < sizeof readme - 1);
	fclose(file);
	for (const struct ferry_option *o = api()->options; o->name; o++) {
		const char *tick = o->default_value ? "`" : "";
		snprintf(row, sizeof row, "\n| `%s` | %s | %s%s%s | %s |\n", o->name, types[o->type], tick,
			 o->default_value ? o->default_value : "none", tick, o->help);
		CHECK_SAYS(readme, row);
	}
}

static void can_do_what_it_says(void)
{
	CHECK_EQ(api()->capabilities, FERRY_CAP_DURABLE | FERRY_CAP_NACK_DELAY | FERRY_CAP_ATTEMPT_DURABLE |
					      FERRY_CAP_EXTEND | FERRY_CAP_ATOMIC_DLQ |
					      FERRY_CAP_HANDBACK_EXACT | FERRY_CAP_RETAIN |
					      FERRY_CAP_PUB_COPIES | FERRY_CAP_TLS);
	CHECK_EQ(api()->thread_model, FERRY_PUMP);
	CHECK_TEXT(api()->schemes, "redis rediss");
}

static void one_host_is_taken(void)
{
	static const struct {
		const char *hosts, *address;
		int port;
	} good[] = {
		{"there", "there", 6379},    {"there:1", "there", 1}, {"127.0.0.1:65535", "127.0.0.1", 65535},
		{"[::1]:6380", "::1", 6380}, {"[::1]", "::1", 6379},
	};
	static const char *const bad[] = {"",        ":6379",    "there:",  "there:0", "there:65536",
					  "there:x", "there:1x", "there:-1"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		configure("redis", good[i].hosts, "");
		check_accepted(good[i].address, good[i].port);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		configure("redis", bad[i], "");
		check_refused("expected redis://host:port");
	}
	configure("redis", "a:1,b:2", "");
	check_refused("expected one host");
}

static void a_path_is_the_number_of_a_database(void)
{
	static const struct {
		const char *path;
		int number; /* -1: refused */
	} paths[] = {{"", 0},     {"/", 0},    {"/0", 0},   {"/15", 15},       {"/x", -1},
		     {"/-1", -1}, {"/1/", -1}, {"/1 ", -1}, {"/99999999", -1}, {"x", -1}};
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct ferry_connection *c;
		configure("redis", "there", paths[i].path);
		if (paths[i].number < 0) {
			check_refused("number of a database");
			continue;
		}
		CHECK_EQ(create(&c, NULL), 0);
		CHECK_EQ(c->target.database, paths[i].number);
		api()->destroy(c);
	}
}

static void a_durability_is_one_of_four(void)
{
	static const struct {
		const char *text;
		enum durability durability;
		int replicas;
	} good[] = {{"aof", DURABILITY_AOF, 0},
		    {"relaxed", DURABILITY_RELAXED, 0},
		    {"fsync", DURABILITY_FSYNC, 0},
		    {"replica:1", DURABILITY_REPLICA, 1},
		    {"replica:100", DURABILITY_REPLICA, 100}};
	static const char *const bad[] = {"",           "AOF",       "aofx",        "replica",
					  "replica:",   "replica:0", "replica:101", "replica:-1",
					  "replica:1x", "replica:x"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct ferry_connection *c;
		configure("redis", "there", "");
		set("durability", good[i].text);
		CHECK_EQ(create(&c, NULL), 0);
		CHECK_EQ(c->durability, good[i].durability);
		CHECK_EQ(c->replicas, good[i].replicas);
		api()->destroy(c);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		configure("redis", "there", "");
		set("durability", bad[i]);
		check_refused("expected");
	}
}

static void settings_fit_together(void)
{
	configure("redis", "there", "");
	set("prefix", "a{b");
	check_refused("braces");
	configure("redis", "there", "");
	set("ca_file", "/nowhere");
	check_refused("write rediss://");
	configure("rediss", "there", "");
	set("ca_file", "/nowhere");
	check_refused("ca_file=/nowhere");
	configure("rediss", "there", "");
	set("cert_file", "/nowhere");
	check_refused("need each other");
	configure("rediss", "there", "");
	set("cert_file", "/nowhere");
	set("key_file", "/nowhere");
	check_refused("cert_file=/nowhere");
	configure("rediss", "there:7", "");
	check_accepted("there", 7);
}

/* However few allocations succeed: an error that says so, and nothing is left over. */
static void lacks_memory_anywhere(void)
{
	int code = FERRY_E_NOMEM;
	long allowed = 0;
	for (; code; allowed++) {
		struct ferry_connection *c;
		struct ferry_error err;
		configure("rediss", "there", "");
		unit_allocs_allowed = allowed;
		code = create(&c, &err);
		unit_allocs_allowed = -1;
		CHECK(code == 0 || code == FERRY_E_NOMEM);
		if (!code)
			api()->destroy(c);
		CHECK_EQ(unit_allocations, 0);
		CHECK(allowed < 100);
	}
	CHECK(allowed > 2);
}

static void a_topic_and_its_dead_letters_share_a_slot(void)
{
	static const struct {
		const char *prefix, *topic, *key;
	} cases[] = {
		{"ferry:", "orders", "ferry:{orders}"},
		{"", "order.placed", "{order.placed}"},
		{"ferry:", "dlq.shop.orders", "ferry:{orders}:dlq:shop"},
		{"ferry:", "dlq.shop.order.placed", "ferry:{order.placed}:dlq:shop"},
		{"ferry:", "dlq.shop.dlq.g.t", "ferry:{dlq.g.t}:dlq:shop"},
		{"ferry:", "dlq.shop", "ferry:{dlq.shop}"},
		{"ferry:", "dlq", "ferry:{dlq}"},
		{"ferry:", "dlqx.a.b", "ferry:{dlqx.a.b}"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct ferry_connection c = {.host = &unit_host, .prefix = cases[i].prefix};
		char *key = key_of_topic(&c, cases[i].topic);
		CHECK_TEXT(key, cases[i].key);
		host_free(&c, key);
	}
}

const struct unit_test unit_tests[] = {
	TEST(is_described_by_its_readme),
	TEST(can_do_what_it_says),
	TEST(one_host_is_taken),
	TEST(a_path_is_the_number_of_a_database),
	TEST(a_durability_is_one_of_four),
	TEST(settings_fit_together),
	TEST(lacks_memory_anywhere),
	TEST(a_topic_and_its_dead_letters_share_a_slot),
	{NULL, NULL},
};
