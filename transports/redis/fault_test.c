/*
 * fault_test.c - what the server's errors mean, and what is said about them.
 */
#include "fault.h"

#include "unit_test.h"

/* As servers write them. */
static const struct {
	const char *reply;
	int code;
	const char *says;
} cases[] = {
	{"WRONGPASS invalid username-password pair or user is disabled.", FERRY_E_DENIED,
	 "password is wrong"},
	{"NOAUTH Authentication required.", FERRY_E_DENIED, "wants a password"},
	{"ERR AUTH <password> called without any password configured for the default user.", FERRY_E_DENIED,
	 "leave it out"},
	{"NOPERM this user has no permissions to run the 'xadd' command", FERRY_E_DENIED, "lacks a right"},
	{"WRONGTYPE Operation against a key holding the wrong kind of value", FERRY_E_CONFIG,
	 "something else than a stream"},
	{"OOM command not allowed when used memory > 'maxmemory'.", FERRY_E_BROKER, "memory is full"},
	{"LOADING Redis is loading the dataset in memory", FERRY_E_UNREACHABLE, "reads its data"},
	{"READONLY You can't write against a read only replica.", FERRY_E_UNREACHABLE, "replica"},
	{"MASTERDOWN Link with MASTER is down", FERRY_E_UNREACHABLE, "primary"},
	{"NOREPLICAS Not enough good replicas to write.", FERRY_E_UNREACHABLE, "too few replicas"},
	{"BUSY Redis is busy running a script.", FERRY_E_UNREACHABLE, "script"},
	{"BUSYGROUP Consumer Group name already exists", FERRY_E_BROKER, "BUSYGROUP"},
	{"TRYAGAIN Multiple keys request during rehashing of slot", FERRY_E_UNREACHABLE, "try again"},
	{"MISCONF Redis is configured to save RDB snapshots", FERRY_E_BROKER, "disk"},
	{"MOVED 3999 127.0.0.1:6381", FERRY_E_CONFIG, "Redis Cluster"},
	{"ASK 3999 127.0.0.1:6381", FERRY_E_CONFIG, "Redis Cluster"},
	{"CLUSTERDOWN Hash slot not served", FERRY_E_CONFIG, "Redis Cluster"},
	{"CROSSSLOT Keys in request don't hash to the same slot", FERRY_E_CONFIG, "Redis Cluster"},
	{"NOGROUP No such key 'x' or consumer group 'g'", FERRY_E_NOT_FOUND, "deleted"},
	{"ERR DB index is out of range", FERRY_E_CONFIG, "no database"},
	{"ERR max number of clients reached", FERRY_E_UNREACHABLE, "no room"},
	{"ERR unknown command 'XAUTOCLAIM'", FERRY_E_UNSUPPORTED, "older than Redis 6.2"},
	{"ERR no such key", FERRY_E_BROKER, "ERR no such key"},
	{"", FERRY_E_BROKER, "the server answered"},
};

static void each_has_its_code_and_its_sentence(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ferry_error err;
		CHECK_EQ(fault_code(cases[i].reply), cases[i].code);
		CHECK_EQ(fault_reply(&err, "the topic orders", cases[i].reply), cases[i].code);
		CHECK_EQ(err.code, cases[i].code);
		CHECK(!strncmp(err.text, "the topic orders: ", 18));
		CHECK_SAYS(err.text, cases[i].says);
		CHECK_SAYS(err.text, cases[i].reply);
		CHECK_EQ((err.flags & FERRY_ERROR_RETRIABLE) != 0, cases[i].code == FERRY_E_UNREACHABLE);
		CHECK_EQ(fault_reply(NULL, "the topic orders", cases[i].reply), cases[i].code);
	}
}

static void a_sentence_ends_within_its_bounds(void)
{
	char long_text[4096];
	struct ferry_error err;
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	CHECK_EQ(fault_reply(&err, long_text, long_text), FERRY_E_BROKER);
	CHECK(memchr(err.text, 0, sizeof err.text));
	CHECK_EQ(fault(&err, FERRY_E_TIMEDOUT, "%s", "late"), FERRY_E_TIMEDOUT);
	CHECK_TEXT(err.text, "late");
	CHECK(err.flags & FERRY_ERROR_RETRIABLE);
	CHECK_EQ(fault(&err, FERRY_E_CONFIG, "%s", "wrong"), FERRY_E_CONFIG);
	CHECK_EQ(err.flags, 0);
}

const struct unit_test unit_tests[] = {
	TEST(each_has_its_code_and_its_sentence),
	TEST(a_sentence_ends_within_its_bounds),
	{NULL, NULL},
};
