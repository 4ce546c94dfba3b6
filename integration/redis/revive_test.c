/*
 * revive_test.c - a group is deleted while messages of it are unsettled here.
 */
#include "scene.h"

#define KEY   "ferry:{t}"
#define DLQ   "ferry:{t}:dlq:g"
#define QUICK "claim_interval=50ms"

static struct ferry_bus *reading(const char *query, struct seen *seen)
{
	const struct ferry_handler_options more = {.concurrency = 4, .initial_backoff_ms = 10};
	struct ferry_bus *bus = scene_bus(query);
	scene_subscribe(bus, "t", "g", seen, &more);
	scene_start(bus);
	return bus;
}

/* What waits for its retry is not in the group any more, but it is in the stream. */
static void a_retry_outlives_its_group(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 1500};
	struct ferry_bus *bus = reading(QUICK, &seen);
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
	struct ferry_bus *bus = reading(QUICK, &seen);
	scene_publish(bus, "t", 1, 2);
	WAIT_UNTIL(seen_held(&seen) == 1);
	CHECK_EQ(ask_number("XGROUP DESTROY " KEY " g"), 1);
	WAIT_UNTIL(strstr(ask("XINFO GROUPS " KEY), "name g"));
	seen_let_go(&seen);
	WAIT_UNTIL(seen_total(&seen) >= 2);
	scene_stop(bus);
	CHECK_EQ(ask_number("XLEN " DLQ), 0);
}

/* XAUTOCLAIM names a trimmed entry whoever has it, and however short a time. */
static void what_a_handler_has_is_no_dead_letter_before_it_ends(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .hold = true};
	struct ferry_bus *bus = reading(QUICK, &seen);
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
	struct ferry_bus *bus = reading(QUICK, &seen);
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
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	return scene_main(argc, argv, tests);
}
