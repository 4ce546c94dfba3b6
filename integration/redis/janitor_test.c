/*
 * janitor_test.c - what is trimmed, and what is not.
 */
#include "scene.h"

#define KEY "ferry:{t}"
#define DLQ "ferry:{t}:dlq:g"

/* Trimming takes whole nodes of a stream; here a node is an entry. */
static void make_nodes_small(void)
{
	ask("CONFIG SET stream-node-max-entries 1");
}

/* Until streams were trimmed, or it was tried, so often again. */
static void wait_turns(int turns)
{
	long long before = calls_of("xtrim");
	WAIT_UNTIL(calls_of("xtrim") >= before + turns);
}

/* A group of somebody else has read ten, and has settled all but the fifth; its id is returned. */
static const char *read_by_other(void)
{
	static char fifth[64];
	char ids[10][64];
	ask("XGROUP CREATE " KEY " other 0");
	char *at = strdup(ask("XREADGROUP GROUP other me COUNT 10 STREAMS " KEY " >")), *rest = at;
	int count = 0;
	for (char *word; count < 10 && (word = strsep(&rest, " "));)
		if (strlen(word) > 13 && word[13] == '-' && strspn(word, "0123456789-") == strlen(word))
			snprintf(ids[count++], sizeof ids[0], "%s", word);
	free(at);
	CHECK_EQ(count, 10);
	for (int i = 0; i < 10; i++)
		if (i != 4)
			CHECK_EQ(ask_number("XACK " KEY " other %s", ids[i]), 1);
	snprintf(fifth, sizeof fifth, "%s", ids[4]);
	return fifth;
}

static uint64_t evicted(struct ferry_bus *bus)
{
	struct ferry_error err;
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	uint64_t count = 0;
	CHECK(stats);
	for (size_t i = 0; i < ferry_stats_topic_count(stats); i++)
		if (!strcmp(ferry_stats_topic(stats, i)->topic, "t"))
			count = ferry_stats_topic(stats, i)->evicted;
	ferry_stats_free(stats);
	return count;
}

static void trims_what_every_group_has_settled(void)
{
	struct seen seen = SEEN;
	struct ferry_bus *bus = scene_bus("retain=1s&trim_interval=100ms");
	make_nodes_small();
	scene_subscribe(bus, "t", "g", &seen, NULL);
	scene_start(bus);
	scene_publish(bus, "t", 0, 20);
	const char *fifth = read_by_other();
	WAIT_UNTIL(seen_distinct(&seen) == 20);

	WAIT_UNTIL(ask_number("XLEN " KEY) == 16);
	wait_turns(5);
	CHECK_EQ(ask_number("XLEN " KEY), 16); /* the fifth is unsettled */
	CHECK_EQ(ask_number("XPENDING " KEY " other"), 1);

	CHECK_EQ(ask_number("XACK " KEY " other %s", fifth), 1);
	WAIT_UNTIL(ask_number("XLEN " KEY) == 10);
	wait_turns(5);
	CHECK_EQ(ask_number("XLEN " KEY), 10); /* the eleventh and more are unread */

	ask("XGROUP DESTROY " KEY " other");
	WAIT_UNTIL(ask_number("XLEN " KEY) == 0);
	WAIT_UNTIL(evicted(bus) == 20);
	scene_stop(bus);
}

static void leaves_what_waits_for_a_retry(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 3000};
	struct ferry_bus *bus = scene_bus("retain=100ms&trim_interval=100ms");
	scene_subscribe(bus, "t", "g", &seen, NULL);
	scene_start(bus);
	scene_publish(bus, "t", 0, 3);
	WAIT_UNTIL(seen_total(&seen) == 3);
	wait_turns(5);
	CHECK_EQ(seen_total(&seen), 3);
	CHECK_EQ(ask_number("XLEN " KEY), 3);
	WAIT_UNTIL(seen_total(&seen) == 6);
	WAIT_UNTIL(ask_number("XLEN " KEY) == 0);
	scene_stop(bus);
}

static void leaves_what_is_younger_than_retain(void)
{
	struct seen seen = SEEN;
	struct ferry_bus *bus = scene_bus("retain=1h&trim_interval=100ms");
	scene_subscribe(bus, "t", "g", &seen, NULL);
	scene_start(bus);
	scene_publish(bus, "t", 0, 20);
	WAIT_UNTIL(seen_distinct(&seen) == 20);
	wait_turns(5);
	CHECK_EQ(ask_number("XLEN " KEY), 20);
	scene_stop(bus);
}

/* Not even for who publishes to it or reads it. */
static void leaves_dead_letters(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .reject = true}, dead = SEEN;
	struct ferry_bus *bus = scene_bus("retain=0&trim_interval=100ms");
	scene_subscribe(bus, "t", "g", &seen, NULL);
	scene_subscribe(bus, "dlq.g.t", "undertaker", &dead, NULL);
	scene_start(bus);
	scene_publish(bus, "t", 0, 5);
	scene_publish(bus, "dlq.g.t", 5, 6);
	WAIT_UNTIL(seen_distinct(&dead) == 6);
	WAIT_UNTIL(ask_number("XLEN " KEY) == 0);
	wait_turns(5);
	CHECK_EQ(ask_number("XLEN " DLQ), 6);
	scene_stop(bus);
}

/* Never more than one in an interval, which is that of the lock. */
static void one_of_two_trims(void)
{
	struct ferry_bus *a = scene_bus("retain=0&trim_interval=300ms");
	struct ferry_bus *b = scene_bus("retain=0&trim_interval=300ms");
	scene_start(a);
	scene_start(b);
	long long before = calls_of("xtrim"), set_before = calls_of("set");
	int64_t begin = real_ms();
	scene_publish(a, "t", 0, 1);
	scene_publish(b, "t", 1, 2);
	WAIT_UNTIL(calls_of("xtrim") >= before + 5);
	long long trims = calls_of("xtrim") - before;
	long long most = (real_ms() - begin) / 300 + 1;
	CHECK(trims <= most);
	CHECK(calls_of("set") - set_before > trims); /* the other has tried */
	scene_stop(a);
	scene_stop(b);
}

static const struct scene_test tests[] = {
	TEST(trims_what_every_group_has_settled),
	TEST(leaves_what_waits_for_a_retry),
	TEST(leaves_what_is_younger_than_retain),
	TEST(leaves_dead_letters),
	TEST(one_of_two_trims),
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	return scene_main(argc, argv, tests);
}
