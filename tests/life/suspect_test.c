/*
 * suspect_test.c - messages that were handed out too often without an outcome run alone, and nothing waits
 * for ever because of them.
 */
#include "life.h"

#define HANDED_OUT FERRY_ATTRIBUTES({"x-deliveries", "20"})

static int count(struct ferry_message *message, void *ctx)
{
	(void)message;
	atomic_fetch_add((atomic_int *)ctx, 1);
	return 0;
}

/* The log may look at the bus: no lock is held when it is called. */
static void look(int level, const char *text, void *ctx)
{
	struct ferry_bus **bus = ctx;
	(void)level;
	(void)text;
	if (*bus)
		totals(*bus);
}

static void run_suspects(const char *url, int suspects)
{
	struct ferry_bus *bus = NULL;
	atomic_int calls = 0;
	struct ferry_error err = {0};
	struct ferry_bus *opened =
		open_bus(url, FERRY_OPTIONS(ferry_bus_options, .log = look, .hook_ctx = &bus));
	OK(ferry_subscribe(opened, "t", count, &calls,
			   FERRY_OPTIONS(ferry_handler_options, .max_deliveries = 1000, .concurrency = 3),
			   &err),
	   &err);
	bus = opened;
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "t");
	int64_t begin = real_ms();
	for (int i = 0; i < suspects; i++) {
		send_one(publisher, i, NULL);
		send_one(publisher, i, FERRY_OPTIONS(ferry_publish_options, .attributes = HANDED_OUT));
		send_one(publisher, i, NULL);
	}
	ferry_publisher_close(publisher);
	WAIT_UNTIL(calls >= 3 * suspects && totals(bus).in_flight == 0);
	int64_t took = real_ms() - begin;
	CHECK(took < 100 * suspects + 2000, "%d suspects took %lld ms", suspects, (long long)took);
	CHECK(totals(bus).handled == (uint64_t)(3 * suspects), "%llu were handled",
	      (unsigned long long)totals(bus).handled);
	close_bus(bus);
}

static void a_suspect_runs_where_a_hand_back_is_exact(void)
{
	run_suspects("exact:", 1);
	run_suspects("exact:", 20);
}

static void a_suspect_runs_where_a_hand_back_counts(void)
{
	run_suspects("holding:", 1);
	run_suspects("holding:", 20);
}

static int fail_first(struct ferry_message *message, void *ctx)
{
	atomic_fetch_add((atomic_int *)ctx, 1);
	return number_of(message) == 1 && ferry_message_attempt(message) == 1 ? FERRY_E_RETRY : 0;
}

static void run_beside_a_key(const char *url)
{
	atomic_int calls = 0;
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus(url, NULL);
	OK(ferry_subscribe(bus, "t", fail_first, &calls,
			   FERRY_OPTIONS(ferry_handler_options, .order = FERRY_ORDER_KEY_IN_PROCESS,
					 .max_deliveries = 1000, .initial_backoff_ms = 300, .concurrency = 2),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "t");
	send_one(publisher, 1, FERRY_OPTIONS(ferry_publish_options, .key = "a", .key_size = 1));
	WAIT_UNTIL(totals(bus).held == 1);
	send_one(publisher, 2, FERRY_OPTIONS(ferry_publish_options, .key = "a", .key_size = 1));
	send_one(publisher, 3,
		 FERRY_OPTIONS(ferry_publish_options, .attributes = HANDED_OUT, .key = "b", .key_size = 1));
	/* One of the key that waits is a suspect, too. */
	send_one(publisher, 4,
		 FERRY_OPTIONS(ferry_publish_options, .attributes = HANDED_OUT, .key = "a", .key_size = 1));
	ferry_publisher_close(publisher);
	WAIT_UNTIL(totals(bus).handled == 4);
	close_bus(bus);
}

static void a_suspect_does_not_wait_for_a_key_that_waits_for_its_retry(void)
{
	run_beside_a_key("holding:");
	run_beside_a_key("exact:");
}

const struct life_test suspect_tests[] = {
	{"a_suspect_runs_where_a_hand_back_is_exact", a_suspect_runs_where_a_hand_back_is_exact},
	{"a_suspect_runs_where_a_hand_back_counts", a_suspect_runs_where_a_hand_back_counts},
	{"a_suspect_does_not_wait_for_a_key_that_waits_for_its_retry",
	 a_suspect_does_not_wait_for_a_key_that_waits_for_its_retry},
	{NULL, NULL},
};
