/*
 * server_test.c - which servers are accepted, by what INFO says of them.
 */
#include "redis.h"

#include <hiredis/hiredis.h>

#include "unit_test.h"

static const char *info;   /* what the server answers, or */
static const char *denial; /* the error */

/* In place of the link's. */
int admin_run(struct ferry_connection *c, int64_t until, const struct admin_call *call,
	      struct ferry_error *err)
{
	struct bytes out = {.host = &unit_host};
	(void)c, (void)until;
	call->fill(&out, call->ctx);
	CHECK(out.size == 14 && !memcmp(out.data, "*1\r\n$4\r\nINFO\r\n", 14));
	bytes_free(&out);
	if (denial)
		return fault_reply(err, call->what, denial);
	const struct reply reply = {.type = REDIS_REPLY_STRING, .text = info, .size = strlen(info)};
	return call->look(&reply, call->ctx, err);
}

#define GOOD_SERVER "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n"
#define GOOD_MEMORY "# Memory\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\n"
#define GOOD_DISK   "# Persistence\r\nloading:0\r\nasync_loading:0\r\naof_enabled:1\r\n"
#define PRIMARY     "# Replication\r\nrole:master\r\n"
#define GOOD        GOOD_SERVER GOOD_MEMORY GOOD_DISK PRIMARY

static const struct {
	enum durability durability;
	const char *info;
	int code;
	const char *says;
} cases[] = {
	{DURABILITY_AOF, GOOD, 0, NULL},
	{DURABILITY_REPLICA, GOOD, 0, NULL},
	{DURABILITY_AOF, "redis_version:6.2.0\r\n" GOOD_MEMORY GOOD_DISK PRIMARY, 0, NULL},
	{DURABILITY_AOF, "redis_version:10.0.1\r\n" GOOD_MEMORY GOOD_DISK PRIMARY, 0, NULL},
	{DURABILITY_AOF, "redis_version:6.0.16\r\n" GOOD_MEMORY GOOD_DISK PRIMARY, FERRY_E_UNSUPPORTED,
	 "Redis 6.0.16 is too old: 6.2 is needed"},
	{DURABILITY_RELAXED, "redis_version:5.0.14\r\n", FERRY_E_UNSUPPORTED, "6.2 is needed"},
	{DURABILITY_FSYNC, GOOD, FERRY_E_UNSUPPORTED, "durability=fsync needs Redis 7.2"},
	{DURABILITY_FSYNC, "redis_version:7.2.0\r\n" GOOD_MEMORY GOOD_DISK PRIMARY, 0, NULL},
	{DURABILITY_FSYNC, "redis_version:8.0.2\r\n" GOOD_MEMORY GOOD_DISK PRIMARY, 0, NULL},
	{DURABILITY_AOF, "redis_version:7.0.15\r\nredis_mode:cluster\r\n" GOOD_MEMORY GOOD_DISK PRIMARY,
	 FERRY_E_CONFIG, "this is a Redis cluster"},
	{DURABILITY_AOF,
	 "redis_version:7.2.4\r\nserver_name:valkey\r\nserver_mode:cluster\r\n" GOOD_MEMORY GOOD_DISK PRIMARY,
	 FERRY_E_CONFIG, "this is a Redis cluster"},
	{DURABILITY_RELAXED, "redis_version:7.0.15\r\nredis_mode:sentinel\r\n", FERRY_E_CONFIG,
	 "this is a Redis sentinel"},
	{DURABILITY_RELAXED, GOOD_SERVER "role:slave\r\n", FERRY_E_UNREACHABLE, "is a replica"},
	{DURABILITY_RELAXED, GOOD_SERVER "loading:1\r\n" PRIMARY, FERRY_E_UNREACHABLE, "reads its data"},
	{DURABILITY_AOF, GOOD_SERVER GOOD_MEMORY "aof_enabled:0\r\n" PRIMARY, FERRY_E_CONFIG,
	 "'appendonly yes'"},
	{DURABILITY_REPLICA, GOOD_SERVER GOOD_MEMORY "aof_enabled:0\r\n" PRIMARY, FERRY_E_CONFIG,
	 "'appendonly yes'"},
	{DURABILITY_RELAXED, GOOD_SERVER GOOD_MEMORY "aof_enabled:0\r\n" PRIMARY, 0, NULL},
	{DURABILITY_AOF, GOOD_SERVER "maxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n" GOOD_DISK PRIMARY,
	 FERRY_E_CONFIG, "maxmemory-policy allkeys-lru"},
	{DURABILITY_RELAXED, GOOD_SERVER "maxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n" PRIMARY, 0,
	 NULL},
	/* What has no bound evicts nothing. */
	{DURABILITY_AOF, GOOD_SERVER "maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n" GOOD_DISK PRIMARY, 0,
	 NULL},
	{DURABILITY_AOF, GOOD_SERVER "maxmemory:1000\r\nmaxmemory_policy:noeviction\r\n" GOOD_DISK PRIMARY, 0,
	 NULL},
};

static const struct ferry_config config = {.size = sizeof config, .url = "redis://there"};

static void servers_are_accepted_or_refused_by_name(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ferry_connection c = {
			.host = &unit_host, .config = &config, .durability = cases[i].durability};
		struct ferry_error err = {.text = ""};
		info = cases[i].info;
		denial = NULL;
		int code = server_check(&c, 0, &err);
		if (code != cases[i].code)
			fprintf(stderr, "case %zu: %s\n", i, err.text);
		CHECK_EQ(code, cases[i].code);
		if (!code)
			continue;
		CHECK(!strncmp(err.text, "redis://there: ", 15));
		CHECK_SAYS(err.text, cases[i].says);
	}
}

static void who_may_not_ask_must_not_care(void)
{
	struct ferry_connection c = {.host = &unit_host, .config = &config, .durability = DURABILITY_RELAXED};
	struct ferry_error err;
	denial = "NOPERM this user has no permissions to run the 'info' command";
	CHECK_EQ(server_check(&c, 0, &err), 0);
	c.durability = DURABILITY_AOF;
	CHECK_EQ(server_check(&c, 0, &err), FERRY_E_DENIED);
	CHECK_SAYS(err.text, "INFO");
	CHECK_EQ(server_check(&c, 0, NULL), FERRY_E_DENIED);
	c.durability = DURABILITY_RELAXED;
	denial = "NOAUTH Authentication required.";
	CHECK_EQ(server_check(&c, 0, &err), FERRY_E_DENIED);
}

const struct unit_test unit_tests[] = {
	TEST(servers_are_accepted_or_refused_by_name),
	TEST(who_may_not_ask_must_not_care),
	{NULL, NULL},
};
