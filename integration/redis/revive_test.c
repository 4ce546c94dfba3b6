/*
 * revive_test.c - a group is deleted while messages of it are unsettled here.
 */
#include "scene.h"

#define KEY   "ferry:{t}"
#define DLQ   "ferry:{t}:dlq:g"
#define QUICK "claim_interval=50ms"

/* What waits for its retry is not in the group any more, but it is in the stream. */
static void a_retry_outlives_its_group(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 1500};
	struct ferry_bus *bus = scene_reading(QUICK, &seen);
	scene_publish(bus, "t", 1, 2);
	WAIT_UNTIL(strstr(ask("XINFO CONSUMERS " KEY " g"), "ferry-waiting pending 1"));
	CHECK_EQ(ask_number("XGROUP DESTROY " KEY " g"), 1);
	WAIT_UNTIL(seen_total(&seen) >= 2);
	scene_stop(bus);
	CHECK_EQ(ask_number("XLEN " DLQ), 0);
}

/* The verdict of a running handler comes when the group is a new one. */
static void a_failure_outlives_its_group(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .hold = true};
	struct ferry_bus *bus = scene_reading(QUICK, &seen);
	scene_publish(bus, "t", 1, 2);
	WAIT_UNTIL(seen_held(&seen) == 1);
	CHECK_EQ(ask_number("XGROUP DESTROY " KEY " g"), 1);
	WAIT_UNTIL(strstr(ask("XINFO GROUPS " KEY), "name g"));
	seen_let_go(&seen);
	WAIT_UNTIL(seen_total(&seen) >= 2);
	scene_stop(bus);
	CHECK_EQ(ask_number("XLEN " DLQ), 0);
}

static struct ferry_bus *one_at_a_time(const char *query, struct seen *seen)
{
	const struct ferry_handler_options more = {.concurrency = 1};
	struct ferry_bus *bus = scene_bus(query);
	scene_subscribe(bus, "t", "g", seen, &more);
	scene_subscribe(bus, "u", "g", seen, &more);
	scene_start(bus);
	return bus;
}

/* 1 waits for its retry in a process that has no room for it, for it has 2 and 3. */
static struct ferry_bus *too_busy(const char *query, struct seen *seen)
{
	struct ferry_bus *bus = one_at_a_time(query, seen);
	/* A slow handler is given little in advance. */
	seen_hold(seen);
	scene_publish(bus, "t", 1, 2);
	WAIT_UNTIL(seen_held(seen) == 1);
	int64_t begun = real_ms();
	WAIT_UNTIL(real_ms() > begun + 500);
	seen_let_go(seen);
	WAIT_UNTIL(strstr(ask("XINFO CONSUMERS " KEY " g"), "ferry-waiting pending 1"));
	seen_hold(seen);
	scene_publish(bus, "t", 2, 4);
	WAIT_UNTIL(seen_held(seen) == 1 && ask_number("XPENDING " KEY " g") == 3);
	return bus;
}

/* Who has not been told that the group is another one finds that out. */
static void a_retry_outlives_its_group_that_another_process_makes_again(void)
{
	struct seen busy = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 2000};
	struct seen idle = SEEN;
	struct ferry_bus *first = too_busy("takeover=3s&" QUICK, &busy);
	struct ferry_bus *second = one_at_a_time("takeover=3s&" QUICK, &idle);
	CHECK_EQ(ask_number("XGROUP DESTROY " KEY " g"), 1);
	WAIT_UNTIL(seen_count(&idle, 1) == 1);
	seen_let_go(&busy);
	scene_stop(first);
	scene_stop(second);
}

/* What this process has not come to, another one has settled. */
static void the_loss_of_one_group_brings_nothing_back_in_another(void)
{
	struct seen busy = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 1500};
	struct seen idle = SEEN;
	struct ferry_bus *first = too_busy("takeover=10s&" QUICK, &busy);
	struct ferry_bus *second = one_at_a_time("takeover=10s&" QUICK, &idle);
	WAIT_UNTIL(seen_count(&idle, 1) == 1 && ask_number("XPENDING " KEY " g") == 2);
	CHECK_EQ(ask_number("XGROUP DESTROY ferry:{u} g"), 1);
	WAIT_UNTIL(strstr(ask("XINFO GROUPS ferry:{u}"), "name g"));
	long long scans = calls_of("xautoclaim");
	WAIT_UNTIL(calls_of("xautoclaim") > scans + 6);
	CHECK_EQ(seen_count(&idle, 1), 1);
	CHECK_EQ(ask_number("XPENDING " KEY " g"), 2);
	seen_let_go(&busy);
	scene_stop(first);
	scene_stop(second);
}

/* A delay that is longer than takeover is kept up from here. */
static void a_long_retry_keeps_its_attempts_without_its_group(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 2, .retry_after_ms = 2500};
	struct ferry_bus *bus = scene_reading("takeover=1s&" QUICK, &seen);
	scene_publish(bus, "t", 1, 2);
	WAIT_UNTIL(seen_total(&seen) == 2);
	WAIT_UNTIL(strstr(ask("XINFO CONSUMERS " KEY " g"), "ferry-waiting pending 1"));
	CHECK_EQ(ask_number("XGROUP DESTROY " KEY " g"), 1);
	WAIT_UNTIL(seen_total(&seen) == 3);
	CHECK_EQ(seen_last_attempt(&seen), 3);
	scene_stop(bus);
}

/* XAUTOCLAIM names a trimmed entry whoever has it, and however short a time. */
static void what_a_handler_has_is_no_dead_letter_before_it_ends(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .hold = true};
	struct ferry_bus *bus = scene_reading(QUICK, &seen);
	scene_publish(bus, "t", 1, 2);
	WAIT_UNTIL(seen_held(&seen) == 1);
	CHECK_EQ(ask_number("XTRIM " KEY " MAXLEN 0"), 1);
	long long before = calls_of("xautoclaim");
	WAIT_UNTIL(calls_of("xautoclaim") >= before + 3);
	seen_let_go(&seen);
	scene_stop(bus);
	CHECK_EQ(ask_number("XLEN " DLQ), 0);
}

/* EXEC runs the rest when XADD fails: the message must not be acknowledged then. */
static void a_message_outlives_the_loss_of_its_dead_letter_stream(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .reject = true, .hold = true};
	struct ferry_bus *bus = scene_reading(QUICK, &seen);
	scene_publish(bus, "t", 1, 2);
	WAIT_UNTIL(seen_held(&seen) == 1);
	ask("SET " DLQ " taken");
	long long before = calls_of("exec");
	seen_let_go(&seen);
	WAIT_UNTIL(calls_of("exec") > before);
	WAIT_UNTIL(ask_number("XPENDING " KEY " g") == 1);
	CHECK_EQ(ask_number("DEL " DLQ), 1);
	WAIT_UNTIL(ask_number("EXISTS " DLQ) && ask_number("XLEN " DLQ) == 1);
	scene_stop(bus);
}

static const struct scene_test tests[] = {
	TEST(what_a_handler_has_is_no_dead_letter_before_it_ends),
	TEST(a_message_outlives_the_loss_of_its_dead_letter_stream),
	TEST(a_failure_outlives_its_group),
	TEST(a_retry_outlives_its_group),
	TEST(a_retry_outlives_its_group_that_another_process_makes_again),
	TEST(the_loss_of_one_group_brings_nothing_back_in_another),
	TEST(a_long_retry_keeps_its_attempts_without_its_group),
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	return scene_main(argc, argv, tests);
}
