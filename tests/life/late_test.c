/*
 * late_test.c - a call whose time is up while it still looks at its message.
 */
#include <poll.h>

#include "life.h"

/* ---- what the call says comes too late ---- */

static void spin_until_cancelled(const struct ferry_message *message)
{
	int64_t deadline = real_ms() + 20000;
	while (!ferry_message_cancelled(message))
		CHECK(real_ms() < deadline, "the handler's time is never up");
}

static int fail_late(struct ferry_message *message, void *ctx)
{
	atomic_int *calls = ctx;
	atomic_fetch_add(calls, 1);
	spin_until_cancelled(message);
	for (int i = 0; i < 20; i++) {
		ferry_message_retry_after(message, 1);
		ferry_message_fail(message, FERRY_E_RETRY, "a text that comes too late");
	}
	return FERRY_E_RETRY;
}

static void fail_late_on(const char *url, int32_t order)
{
	atomic_int calls = 0;
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus(url, NULL);
	OK(ferry_subscribe(bus, "t", fail_late, &calls,
			   FERRY_OPTIONS(ferry_handler_options, .order = order, .concurrency = 4,
					 .timeout_ms = 1, .max_retries = 2, .initial_backoff_ms = FERRY_NONE),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "t");
	for (int i = 0; i < 60; i++)
		send_one(publisher, i, NULL);
	ferry_publisher_close(publisher);
	WAIT_UNTIL(totals(bus).dead_lettered == 60);
	CHECK(calls == 180, "%d calls", calls);
	close_bus(bus);
}

static void a_late_failure_text_is_ignored(void)
{
	fail_late_on("memory:", FERRY_ORDER_NONE);
	fail_late_on("memory:", FERRY_ORDER_KEY_IN_PROCESS);
	fail_late_on("holding:", FERRY_ORDER_NONE);
}

/* ---- each attempt begins anew ---- */

struct anew {
	atomic_int calls, born_cancelled;
};

static int return_at_the_bell(struct ferry_message *message, void *ctx)
{
	struct anew *anew = ctx;
	atomic_fetch_add(&anew->calls, 1);
	if (ferry_message_cancelled(message))
		atomic_fetch_add(&anew->born_cancelled, 1);
	else if (ferry_message_attempt(message) < 3)
		spin_until_cancelled(message);
	return 0;
}

static void a_retry_is_not_cancelled_from_its_birth(void)
{
	struct anew anew = {0};
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus("holding:", NULL);
	OK(ferry_subscribe(bus, "t", return_at_the_bell, &anew,
			   FERRY_OPTIONS(ferry_handler_options, .timeout_ms = 1, .concurrency = 2,
					 .initial_backoff_ms = FERRY_NONE),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "t");
	for (int i = 0; i < 40; i++)
		send_one(publisher, i, NULL);
	ferry_publisher_close(publisher);
	WAIT_UNTIL(totals(bus).handled == 40);
	CHECK(anew.born_cancelled == 0, "%d of %d calls began cancelled", anew.born_cancelled, anew.calls);
	close_bus(bus);
}

/* ---- a message does not change under the call ---- */

struct still {
	struct ferry_bus *bus;
	atomic_int stage;
	uint32_t before, after;
};

static int watch_attempt(struct ferry_message *message, void *ctx)
{
	struct still *still = ctx;
	if (ferry_message_attempt(message) > 1)
		return 0;
	still->before = ferry_message_attempt(message);
	atomic_store(&still->stage, 1);
	WAIT_UNTIL(atomic_load(&still->stage) == 2);
	still->after = ferry_message_attempt(message);
	atomic_store(&still->stage, 3);
	return 0;
}

static void the_attempt_stays_while_a_stuck_call_looks(void)
{
	struct still still = {.stage = 0};
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus("holding:", NULL);
	OK(ferry_subscribe(bus, "t", watch_attempt, &still,
			   FERRY_OPTIONS(ferry_handler_options, .timeout_ms = 1, .initial_backoff_ms = 1),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "t");
	send_one(publisher, 1, NULL);
	ferry_publisher_close(publisher);
	WAIT_UNTIL(totals(bus).handled == 1);
	atomic_store(&still.stage, 2);
	WAIT_UNTIL(atomic_load(&still.stage) == 3);
	CHECK(still.after == still.before, "the attempt went from %u to %u under the call", still.before,
	      still.after);
	close_bus(bus);
}

/* ---- interrupted by a stop ---- */

static int give_up_when_told(struct ferry_message *message, void *ctx)
{
	atomic_int *calls = ctx;
	atomic_fetch_add(calls, 1);
	spin_until_cancelled(message);
	return ferry_message_fail(message, FERRY_E_RETRY, "interrupted");
}

static void a_call_that_a_stop_interrupts_has_not_failed(void)
{
	atomic_int calls = 0;
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus("exact:", NULL);
	OK(ferry_subscribe(bus, "t", give_up_when_told, &calls,
			   FERRY_OPTIONS(ferry_handler_options, .max_retries = FERRY_NONE), &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "t");
	send_one(publisher, 1, NULL);
	ferry_publisher_close(publisher);
	WAIT_UNTIL(calls == 1);
	struct ferry_stop_report report = {.size = sizeof report};
	OK(ferry_bus_stop(bus, 400, &report, &err), &err);
	struct ferry_group_stats t = totals(bus);
	CHECK(t.dead_lettered == 0 && t.handed_back == 1, "%llu dead-lettered, %llu handed back",
	      (unsigned long long)t.dead_lettered, (unsigned long long)t.handed_back);
	ferry_bus_close(bus);
}

const struct life_test late_tests[] = {
	{"a_late_failure_text_is_ignored", a_late_failure_text_is_ignored},
	{"a_retry_is_not_cancelled_from_its_birth", a_retry_is_not_cancelled_from_its_birth},
	{"the_attempt_stays_while_a_stuck_call_looks", the_attempt_stays_while_a_stuck_call_looks},
	{"a_call_that_a_stop_interrupts_has_not_failed", a_call_that_a_stop_interrupts_has_not_failed},
	{NULL, NULL},
};
