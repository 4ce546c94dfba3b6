/*
 * key_test.c - order=key_in_process while calls run out of time: a stuck call keeps its key, and the key goes
 * on whoever comes last, the call or the end of its delivery.
 */
#include <poll.h>

#include "life.h"

#define KEYS    8
#define PER_KEY 30

struct keys {
	atomic_int running[KEYS]; /* calls of a key at this moment */
	atomic_int overlaps, done[KEYS], last[KEYS], reorders;
	uint32_t succeed_at; /* the attempt that does not wait for its time to be up; 0: none */
};

static void wait_cancelled(struct ferry_message *message)
{
	struct pollfd fd = {.fd = ferry_message_cancel_fd(message), .events = POLLIN};
	CHECK(fd.fd >= 0, "no cancel_fd");
	CHECK(poll(&fd, 1, 20000) == 1, "the handler's time is never up");
}

static int on_key(struct ferry_message *message, void *ctx)
{
	struct keys *keys = ctx;
	int number = number_of(message), key = number % KEYS;
	keys->overlaps += atomic_fetch_add(&keys->running[key], 1) != 0;
	if (atomic_exchange(&keys->last[key], number) > number)
		atomic_fetch_add(&keys->reorders, 1);
	bool well = keys->succeed_at && ferry_message_attempt(message) >= keys->succeed_at;
	if (!well)
		wait_cancelled(message);
	else
		atomic_fetch_add(&keys->done[key], 1);
	atomic_fetch_sub(&keys->running[key], 1);
	return 0;
}

static void run_keys(const char *url, struct keys *keys, const struct ferry_handler_options *options)
{
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus(url, NULL);
	OK(ferry_subscribe(bus, "t", on_key, keys, options, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "t");
	for (int i = 0; i < KEYS * PER_KEY; i++) {
		char key = (char)('a' + i % KEYS);
		send_one(publisher, i, FERRY_OPTIONS(ferry_publish_options, .key = &key, .key_size = 1));
	}
	ferry_publisher_close(publisher);
	WAIT_UNTIL(totals(bus).handled + totals(bus).dead_lettered == KEYS * PER_KEY);
	struct ferry_group_stats t = totals(bus);
	CHECK(keys->overlaps == 0, "%d calls of a key ran beside another", keys->overlaps);
	CHECK(keys->reorders == 0, "%d calls came out of order", keys->reorders);
	CHECK(t.handled == (keys->succeed_at ? KEYS * PER_KEY : 0), "%llu were handled",
	      (unsigned long long)t.handled);
	close_bus(bus);
}

static void a_key_goes_on_after_a_dead_letter_whose_call_returns_late(void)
{
	struct keys on_holding = {.succeed_at = 0}, on_memory = {.succeed_at = 0};
	const struct ferry_handler_options *options =
		FERRY_OPTIONS(ferry_handler_options, .order = FERRY_ORDER_KEY_IN_PROCESS, .concurrency = KEYS,
			      .max_retries = FERRY_NONE, .timeout_ms = 1);
	run_keys("holding:", &on_holding, options);
	run_keys("memory:", &on_memory, options);
}

static void a_key_goes_on_after_a_retry_whose_first_call_returns_late(void)
{
	struct keys on_holding = {.succeed_at = 2}, on_memory = {.succeed_at = 2};
	const struct ferry_handler_options *options =
		FERRY_OPTIONS(ferry_handler_options, .order = FERRY_ORDER_KEY_IN_PROCESS, .concurrency = KEYS,
			      .initial_backoff_ms = FERRY_NONE, .timeout_ms = 1);
	run_keys("holding:", &on_holding, options);
	run_keys("memory:", &on_memory, options);
}

const struct life_test key_tests[] = {
	{"a_key_goes_on_after_a_dead_letter_whose_call_returns_late",
	 a_key_goes_on_after_a_dead_letter_whose_call_returns_late},
	{"a_key_goes_on_after_a_retry_whose_first_call_returns_late",
	 a_key_goes_on_after_a_retry_whose_first_call_returns_late},
	{NULL, NULL},
};
