/*
 * loss_test.c - somebody else deletes groups, entries and everything, while they are in use.
 */
#include "scene.h"

#define KEY   "ferry:{t}"
#define DLQ   "ferry:{t}:dlq:g"
#define QUICK "claim_interval=50ms"
#define NEVER "claim_interval=1h" /* nobody looks for what was trimmed */

static void a_group_that_is_deleted_is_made_again(void)
{
	struct seen seen = SEEN;
	struct ferry_bus *bus = scene_reading(QUICK, &seen);
	for (int round = 0; round < 5; round++) {
		scene_publish(bus, "t", round * 100, round * 100 + 50);
		WAIT_UNTIL(strstr(ask("XINFO GROUPS " KEY), "name g"));
		CHECK_EQ(ask_number("XGROUP DESTROY " KEY " g"), 1);
		scene_publish(bus, "t", round * 100 + 50, round * 100 + 100);
	}
	WAIT_UNTIL(seen_distinct(&seen) == 500);
	CHECK(scene_logged("the group g was deleted") > 0);
	scene_stop(bus);
	CHECK_EQ(ask_number("XLEN " DLQ), 0);
}

static void goes_on_after_flushall(void)
{
	struct seen seen = SEEN, all = SEEN;
	const struct ferry_handler_options broadcast = {.distribution = FERRY_BROADCAST};
	struct ferry_bus *bus = scene_bus(QUICK);
	scene_subscribe(bus, "t", "g", &seen, NULL);
	scene_subscribe(bus, "t", "g", &all, &broadcast);
	scene_start(bus);
	scene_publish(bus, "t", 0, 10);
	WAIT_UNTIL(seen_distinct(&seen) == 10 && seen_distinct(&all) == 10);
	ask("FLUSHALL");
	/* Ids are times: in the same millisecond new ones would be as those that were read. */
	int64_t flushed = real_ms();
	WAIT_UNTIL(real_ms() > flushed + 1);
	scene_publish(bus, "t", 10, 20);
	WAIT_UNTIL(seen_distinct(&seen) == 20 && seen_distinct(&all) == 20);
	scene_stop(bus);
}

/* The one dead letter has what is left of the message. */
static void check_trimmed(const char *payload)
{
	WAIT_UNTIL(ask_number("XLEN " DLQ) == 1);
	const char *dead = ask("XRANGE " DLQ " - +");
	CHECK(strstr(dead, "ferry-dlq-reason trimmed"));
	CHECK(strstr(dead, "ferry-dlq-topic t") && strstr(dead, "ferry-dlq-group g"));
	const char *last = strstr(dead, " d ");
	CHECK(last && !strcmp(last + 3, payload));
	CHECK_EQ(scene_logged("was trimmed or deleted before group g had settled it"), 1);
	CHECK_EQ(ask_number("XPENDING " KEY " g"), 0);
}

static int notices(void)
{
	return scene_logged("was trimmed or deleted");
}

static void an_entry_trimmed_in_a_handler_is_a_dead_letter_when_it_fails(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .hold = true};
	struct ferry_bus *bus = scene_reading(NEVER, &seen);
	CHECK_EQ(notices(), 0);
	scene_publish(bus, "t", 7, 8);
	WAIT_UNTIL(seen_held(&seen) == 1);
	CHECK_EQ(ask_number("XTRIM " KEY " MAXLEN 0"), 1);
	seen_let_go(&seen);
	check_trimmed("7");
	CHECK_EQ(seen_total(&seen), 1);
	scene_stop(bus);
}

static void an_entry_trimmed_in_a_handler_is_done_when_it_succeeds(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .hold = true};
	struct ferry_bus *bus = scene_reading(NEVER, &seen);
	scene_publish(bus, "t", 7, 8);
	WAIT_UNTIL(seen_held(&seen) == 1);
	CHECK_EQ(ask_number("XTRIM " KEY " MAXLEN 0"), 1);
	seen_let_go(&seen);
	WAIT_UNTIL(ask_number("XPENDING " KEY " g") == 0);
	scene_stop(bus);
	CHECK_EQ(ask_number("XLEN " DLQ), 0);
}

static void an_entry_trimmed_before_its_retry_is_a_dead_letter(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 1500};
	struct ferry_bus *bus = scene_reading(QUICK, &seen);
	int before = notices();
	scene_publish(bus, "t", 7, 8);
	WAIT_UNTIL(strstr(ask("XINFO CONSUMERS " KEY " g"), "ferry-waiting pending 1"));
	CHECK_EQ(ask_number("XTRIM " KEY " MAXLEN 0"), 1);
	WAIT_UNTIL(ask_number("XLEN " DLQ) == 1);
	CHECK(strstr(ask("XRANGE " DLQ " - +"), "ferry-dlq-reason trimmed"));
	CHECK_EQ(notices(), before + 1);
	CHECK_EQ(ask_number("XPENDING " KEY " g"), 0);
	CHECK_EQ(seen_total(&seen), 1);
	scene_stop(bus);
}

/* Whoever starts next tells of it. */
static void an_entry_trimmed_while_nobody_runs_is_a_dead_letter(void)
{
	struct seen seen = SEEN;
	ask("XGROUP CREATE " KEY " g 0 MKSTREAM");
	ask("XADD " KEY " * d 1");
	ask("XREADGROUP GROUP g dead COUNT 1 STREAMS " KEY " >");
	CHECK_EQ(ask_number("XTRIM " KEY " MAXLEN 0"), 1);
	struct ferry_bus *bus = scene_reading("takeover=300ms&" QUICK, &seen);
	WAIT_UNTIL(ask_number("XLEN " DLQ) == 1);
	scene_stop(bus);
}

static const struct scene_test tests[] = {
	TEST(an_entry_trimmed_in_a_handler_is_a_dead_letter_when_it_fails),
	TEST(an_entry_trimmed_in_a_handler_is_done_when_it_succeeds),
	TEST(an_entry_trimmed_before_its_retry_is_a_dead_letter),
	TEST(a_group_that_is_deleted_is_made_again),
	TEST(goes_on_after_flushall),
	TEST(an_entry_trimmed_while_nobody_runs_is_a_dead_letter),
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	return scene_main(argc, argv, tests);
}
