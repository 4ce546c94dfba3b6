/*
 * publish_test.c - how a publish ends, and what is counted.
 */
#include <limits.h>

#include "contract.h"

/* A bus whose topic "t" has room for `room` messages that nobody takes until turn. */
static struct ferry_bus *open_full(const char *query, int room, struct plan *plan)
{
	struct ferry_bus *bus = open_still(query, NULL);
	plan->bus = bus;
	OK(ferry_subscribe(bus, "t", follow_plan, plan, NULL, &err));
	OK(ferry_bus_start(bus, 0, &err));
	for (int i = 0; i < room; i++)
		OK(publish(bus, "t", "x", NULL));
	return bus;
}

static void a_full_queue_ends_a_publish_at_its_deadline(void)
{
	struct plan plan = {.results = NULL};
	struct ferry_bus *bus = open_full("&queue=4", 4, &plan);
	struct ferry_publisher *p = open_publisher(bus, "t");
	int64_t begin = real_ms();
	REFUSED(ferry_publish(p, "x", 1, PUBLISH(.deadline_ms = 30), &err), FERRY_E_TIMEDOUT, "t: ");
	CHECK(real_ms() - begin >= 20, "it did not wait");
	REFUSED(ferry_publish_async(p, "x", 1, PUBLISH(.deadline_ms = 30), NULL, NULL, &err),
		FERRY_E_TIMEDOUT, "t: ");
	struct ferry_topic_stats row = topic_stats_of(bus, "t");
	CHECK(row.published == 4 && row.rejected == 2 && row.unknown == 0, "published %d, rejected %d",
	      (int)row.published, (int)row.rejected);
	turn(bus);
	CHECK(atomic_load(&plan.calls) == 4, "%d calls", atomic_load(&plan.calls));
	OK(ferry_publish(p, "x", 1, NULL, &err));
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

static void every_way_to_refuse_a_message_is_counted(void)
{
	static char large[2048];
	struct plan plan = {.results = NULL};
	struct ferry_bus *bus = open_full("&queue=4&full=reject&max_message=1KiB", 4, &plan);
	struct ferry_publisher *p = open_publisher(bus, "t");
	struct ferry_batch_item items[] = {{.payload = "x", .payload_size = 1},
					   {.payload = large, .payload_size = sizeof large}};
	REFUSED(ferry_publish(p, "x", 1, NULL, &err), FERRY_E_AGAIN, "full");
	REFUSED(ferry_publish(p, large, sizeof large, NULL, &err), FERRY_E_TOO_LARGE, "max_message");
	REFUSED(ferry_publish(p, "x", 1, PUBLISH(.id = ""), &err), FERRY_E_INVALID, "id");
	REFUSED(ferry_publish_async(p, "x", 1, NULL, NULL, NULL, &err), FERRY_E_AGAIN, "full");
	REFUSED(ferry_publish_batch(p, items, 2, 0, &err), FERRY_E_AGAIN, "full");
	OK(ferry_bus_stop(bus, 5000, NULL, &err));
	REFUSED(ferry_publish(p, "x", 1, NULL, &err), FERRY_E_STATE, "stopped");
	REFUSED(ferry_publish_batch(p, items, 2, 0, &err), FERRY_E_STATE, "stopped");
	struct ferry_topic_stats row = topic_stats_of(bus, "t");
	CHECK(row.published == 4 && row.rejected == 9 && row.unknown == 0, "published %d, rejected %d",
	      (int)row.published, (int)row.rejected);
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

/* ---- batches ---- */

static void a_batch_describes_the_first_item_that_failed(void)
{
	static char large[2048];
	static const struct ferry_publish_options no_id = {.size = sizeof no_id, .id = ""};
	static const struct {
		int room;      /* of the queue */
		int too_large; /* index, or -1 */
		int no_id;
		int expected; /* the code, and a word of the sentence */
		const char *word;
	} rows[] = {
		{40, 3, 7, FERRY_E_TOO_LARGE, "max_message"},
		{40, 7, 3, FERRY_E_INVALID, "id"},
		{2, 7, 5, FERRY_E_AGAIN, "full"}, /* 0 and 1 fit, 2 does not */
		{40, 35, 39, FERRY_E_TOO_LARGE, "max_message"},
		{36, 39, 38, FERRY_E_AGAIN, "full"}, /* in the second part */
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct plan plan = {.results = NULL};
		char query[80];
		snprintf(query, sizeof query, "&queue=%d&full=reject&max_message=1KiB", rows[i].room);
		struct ferry_bus *bus = open_full(query, 0, &plan);
		struct ferry_publisher *p = open_publisher(bus, "t");
		struct ferry_batch_item items[40];
		for (int n = 0; n < 40; n++)
			items[n] = (struct ferry_batch_item){
				.payload = large,
				.payload_size = n == rows[i].too_large ? sizeof large : 1,
				.options = n == rows[i].no_id ? &no_id : NULL,
				.result = INT_MAX,
			};
		REFUSED(ferry_publish_batch(p, items, 40, 0, &err), rows[i].expected, rows[i].word);
		int sent = 0;
		for (int n = 0; n < 40; n++) {
			CHECK(items[n].result <= 0, "item %d has no result", n);
			sent += items[n].result == 0;
			if (n == rows[i].too_large || n == rows[i].no_id)
				CHECK(items[n].result ==
					      (n == rows[i].no_id ? FERRY_E_INVALID : FERRY_E_TOO_LARGE),
				      "item %d: %d", n, items[n].result);
			else
				CHECK(items[n].result == 0 || items[n].result == FERRY_E_AGAIN, "item %d: %d",
				      n, items[n].result);
		}
		turn(bus);
		CHECK(atomic_load(&plan.calls) == sent, "%d confirmed and %d delivered", sent,
		      atomic_load(&plan.calls));
		ferry_publisher_close(p);
		ferry_bus_close(bus);
	}
}

static void a_batch_that_cannot_begin_tells_every_item(void)
{
	struct ferry_bus *bus = open_still("", NULL);
	struct ferry_publisher *p = open_publisher(bus, "t");
	struct ferry_batch_item items[2] = {{.result = 7}, {.result = 7}};
	REFUSED(ferry_publish_batch(NULL, items, 2, 0, &err), FERRY_E_INVALID, "publisher");
	CHECK(items[0].result == FERRY_E_INVALID && items[1].result == FERRY_E_INVALID, "no result");
	items[0].result = items[1].result = 7;
	REFUSED(ferry_publish_batch(p, items, 2, -1, &err), FERRY_E_INVALID, "deadline_ms");
	CHECK(items[0].result == FERRY_E_INVALID && items[1].result == FERRY_E_INVALID, "no result");
	REFUSED(ferry_publish_batch(p, items, 2, 0, &err), FERRY_E_STATE, "start");
	CHECK(items[0].result == FERRY_E_STATE && items[1].result == FERRY_E_STATE, "no result");
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

/* ---- completions ---- */

struct completions {
	atomic_int count, wrong;
	struct ferry_publisher *publisher;
	int again, other;
};

static void count_completion(int code, const struct ferry_error *why, void *ctx)
{
	struct completions *c = ctx;
	if (code ? why == NULL || why->code != code : why != NULL)
		atomic_fetch_add(&c->wrong, 1);
	atomic_fetch_add(&c->count, 1);
}

static void every_completion_comes_once_though_the_bus_stops(void)
{
	static struct completions c;
	static atomic_int none;
	struct ferry_bus *bus = open_url("memory:", NULL);
	struct plan plan = {.bus = bus};
	OK(ferry_subscribe(bus, "t", follow_plan, &plan, NULL, &err));
	OK(ferry_bus_start(bus, 0, &err));
	struct ferry_publisher *p = open_publisher(bus, "t");
	for (int i = 0; i < 3000; i++)
		OK(ferry_publish_async(p, "x", 1, NULL, count_completion, &c, &err));
	ferry_publisher_close(p);
	OK(ferry_bus_stop(bus, 10000, NULL, &err));
	CHECK(atomic_load(&c.count) == 3000 && atomic_load(&c.wrong) == 0, "%d completions, %d wrong",
	      atomic_load(&c.count), atomic_load(&c.wrong));
	ferry_bus_close(bus);
	CHECK(atomic_load(&c.count) == 3000 && atomic_load(&none) == 0, "a completion came twice");
}

static void publish_in_completion(int code, const struct ferry_error *why, void *ctx)
{
	struct completions *c = ctx;
	(void)code, (void)why;
	int result = ferry_publish(c->publisher, "y", 1, PUBLISH(.deadline_ms = 5000), NULL);
	*(result == FERRY_E_AGAIN ? &c->again : &c->other) += 1;
	atomic_fetch_add(&c->count, 1);
}

static void a_completion_does_not_wait_for_its_own_bus(void)
{
	struct completions c = {.again = 0};
	struct plan plan = {.results = NULL};
	struct ferry_bus *bus = open_full("&queue=4", 3, &plan);
	c.publisher = open_publisher(bus, "t");
	OK(ferry_publish_async(c.publisher, "x", 1, NULL, publish_in_completion, &c, &err));
	int64_t begin = real_ms();
	turn(bus);
	CHECK(atomic_load(&c.count) == 1 && c.again == 1 && real_ms() - begin < 4000,
	      "%d completions, again %d, other %d", atomic_load(&c.count), c.again, c.other);
	ferry_publisher_close(c.publisher);
	ferry_bus_close(bus);
}

/* ---- eviction ---- */

static void evicted_records_are_counted(void)
{
	struct plan plan = {.results = NULL};
	struct ferry_bus *bus = open_full("&retain=5", 12, &plan);
	turn(bus);
	CHECK(topic_stats_of(bus, "t").evicted == 7, "evicted %d", (int)topic_stats_of(bus, "t").evicted);
	struct ferry_group_stats sum = stats_of(bus, NULL);
	CHECK(sum.received - sum.retried == 12 && sum.handled == 12, "received %d", (int)sum.received);
	ferry_bus_close(bus);
}

static void a_publisher_with_a_bad_type_is_refused(void)
{
	struct ferry_bus *bus = open_still("", NULL);
	struct ferry_publisher *p = NULL;
	static const char *const bad[] = {"two\r\nlines", "\377"};
	for (size_t i = 0; i < 2; i++)
		REFUSED(ferry_publisher_open(bus, "t",
					     FERRY_OPTIONS(ferry_publisher_options, .content_type = bad[i]),
					     &p, &err),
			FERRY_E_INVALID, "content_type");
	CHECK(!p, "a publisher was made");
	ferry_bus_close(bus);
}

const struct contract_test publish_tests[] = {
	{"a_full_queue_ends_a_publish_at_its_deadline", a_full_queue_ends_a_publish_at_its_deadline},
	{"every_way_to_refuse_a_message_is_counted", every_way_to_refuse_a_message_is_counted},
	{"a_batch_describes_the_first_item_that_failed", a_batch_describes_the_first_item_that_failed},
	{"a_batch_that_cannot_begin_tells_every_item", a_batch_that_cannot_begin_tells_every_item},
	{"every_completion_comes_once_though_the_bus_stops",
	 every_completion_comes_once_though_the_bus_stops},
	{"a_completion_does_not_wait_for_its_own_bus", a_completion_does_not_wait_for_its_own_bus},
	{"evicted_records_are_counted", evicted_records_are_counted},
	{"a_publisher_with_a_bad_type_is_refused", a_publisher_with_a_bad_type_is_refused},
	{NULL, NULL},
};
