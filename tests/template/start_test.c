/*
 * start_test.c - what a connection needs to start: the file, its topics, memory.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_cases.h"

static void check_creates_nothing(void)
{
	const struct rig_options options = {.provision = 2};
	struct rig rig, maker;
	struct consumer consumer;
	struct ferry_destination *destination;
	struct ferry_error err;
	const char *file = new_file();
	rig_init(&rig, file, &options);
	CHECK_EQ(rig_start(&rig, 0, &err), FERRY_E_NOT_FOUND);
	CHECK(strstr(err.text, file));
	rig_open(&maker, file, NULL);
	CHECK_EQ(rig_start(&rig, WAIT_MS, &err), 0);
	CHECK_EQ(plugin->destination(rig.c, "orders", test_now_us(), &destination, &err), FERRY_E_NOT_FOUND);
	CHECK(strstr(err.text, "orders"));
	CHECK_EQ(consumer_try(&consumer, &rig, &shop, &err), FERRY_E_NOT_FOUND);
	CHECK(strstr(err.text, "orders"));
	rig_publish(&maker, "orders", 0, 1);
	CHECK_EQ(plugin->source_start(consumer.source, test_now_us() + WAIT_MS * INT64_C(1000), &err), 0);
	consumer_close(&consumer);
	rig_close(&maker);
	rig_close(&rig);
}

static int start_error(const char *file, struct ferry_error *err)
{
	struct rig rig;
	rig_init(&rig, file, NULL);
	int code = rig_start(&rig, 300, err);
	CHECK(strstr(err->text, file));
	if (rig.c)
		plugin->destroy(rig.c);
	rig.c = NULL;
	rig_close(&rig);
	return code;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	CHECK(file && fputs(text, file) >= 0);
	CHECK_EQ(fclose(file), 0);
}

static void start_says_what_is_wrong(void)
{
	struct ferry_error err;
	struct rig rig;
	struct lock lock;
	char missing[128];
	snprintf(missing, sizeof missing, "%s/missing/x.db", test_folder);
	CHECK_EQ(start_error(missing, &err), FERRY_E_UNREACHABLE);
	CHECK(err.flags & FERRY_ERROR_RETRIABLE);
	CHECK_EQ(start_error(test_folder, &err), FERRY_E_CONFIG);
	const char *text = new_file();
	write_file(text, "this is a text file, and not a short one: a database has a header of 100 bytes. "
			 "this is a text file, and not a short one: a database has a header of 100 bytes.");
	CHECK_EQ(start_error(text, &err), FERRY_E_CONFIG);
	const char *foreign = new_file();
	CHECK_EQ(sqlite3_open(foreign, &lock.db), SQLITE_OK);
	CHECK_EQ(sqlite3_exec(lock.db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_close(lock.db), SQLITE_OK);
	CHECK_EQ(start_error(foreign, &err), FERRY_E_CONFIG);
	const char *locked = new_file();
	rig_open(&rig, locked, NULL);
	lock_file(&lock, locked);
	CHECK_EQ(start_error(locked, &err), FERRY_E_UNREACHABLE);
	unlock_file(&lock);
	rig_close(&rig);
	snprintf(missing, sizeof missing, "%s/x.db", new_file());
	*strrchr(missing, '/') = '\0';
	CHECK_EQ(mkdir(missing, 0500), 0);
	missing[strlen(missing)] = '/';
	CHECK_EQ(start_role("denied", missing), 0);
}

/* In a test_folder where it may not write. */
static void role_denied(const char *file)
{
	struct ferry_error err;
	if (!geteuid()) /* root may */
		CHECK(!setgid(65534) && !setuid(65534));
	CHECK_EQ(start_error(file, &err), FERRY_E_DENIED);
	_exit(0);
}

/* The whole life of a connection, in which allocation `n` fails; false when there were not so many. */
static bool live_without_memory(const char *file, long n)
{
	struct rig rig;
	struct consumer consumer = {.source = NULL};
	struct ferry_destination *destination;
	struct ferry_error err;
	rig_init(&rig, file, NULL);
	rig.fail_at = n;
	int code = rig_start(&rig, WAIT_MS, &err);
	if (!code)
		code = consumer_try(&consumer, &rig, &shop, &err);
	if (!code)
		code = plugin->destination(rig.c, "orders", test_now_us(), &destination, &err);
	if (!code) {
		struct outbox outbox;
		outbox_make(&outbox, &rig, "orders", 0, 1, WAIT_MS);
		CHECK_EQ(plugin->publish(rig.c, outbox.pointers, 1), 1);
		rig_wait_published(&rig, 1);
		int result = outbox.letters[0].out.result;
		CHECK(result == 0 || result == FERRY_E_NOMEM);
		if (!result) /* a claim for which there was no memory is made later */
			CHECK_EQ(consumer_take(&consumer, 1), 1);
		if (!result)
			settle_all(&consumer, 1, FERRY_SETTLE_ACK);
		outbox_free(&outbox);
	}
	CHECK(!code || code == FERRY_E_NOMEM);
	bool failed = rig.failed;
	if (code && consumer.source) {
		plugin->source_close(consumer.source);
		consumer.source = NULL;
	}
	consumer_close(&consumer);
	rig_close(&rig);
	return failed;
}

static void every_allocation_may_fail(void)
{
	const char *file = new_file();
	long n = 0;
	while (live_without_memory(file, n))
		n++;
	CHECK(n > 8);
}

/* ---- what is said about it ---- */

static void the_readme_lists_every_setting(void)
{
	static const char *const types[] = {"",         "text",   "secret", "integer", "size",
					    "duration", "switch", "choice", "prefix"};
	static char text[64 * 1024];
	FILE *file = fopen(TEST_README, "r");
	CHECK(file);
	CHECK(fread(text, 1, sizeof text - 1, file) > 0);
	CHECK_EQ(fclose(file), 0);
	for (const struct ferry_option *option = plugin->options; option->name; option++) {
		char row[512];
		snprintf(row, sizeof row, "| `%s` | %s | `%s` | %s |\n", option->name, types[option->type],
			 option->default_value, option->help);
		if (!strstr(text, row))
			test_fail(__FILE__, __LINE__, "%s lacks the row: %s", TEST_README, row);
	}
}

const struct test_case start_tests[] = {
	TEST(check_creates_nothing),
	TEST(start_says_what_is_wrong),
	TEST(every_allocation_may_fail),
	TEST(the_readme_lists_every_setting),
	{NULL, NULL},
};

const struct test_role start_roles[] = {
	{"denied", role_denied},
	{NULL, NULL},
};
