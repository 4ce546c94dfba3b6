/*
 * argument_test.c - names, numbers, sizes and NULL where it is no value: each refusal names the thing.
 */
#include <limits.h>

#include "api_test.h"

/* `length` times 'a'. */
static const char *long_name(size_t length)
{
	static char text[512];
	CHECK(length < sizeof(text), "too long");
	memset(text, 'a', length);
	text[length] = '\0';
	return text;
}

static int subscribe(struct ferry_bus *bus, const char *topic, const struct ferry_handler_options *options,
		     struct ferry_error *err)
{
	static atomic_int calls;
	return ferry_subscribe(bus, topic, count_call, &calls, options, err);
}

static void topics_outside_the_charset_are_named(void)
{
	static const char *const bad[] = {"",   "two words",           "a/b", "a..b", ".a",
					  "a.", "gr\303\266\303\237e", "a*"};
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	struct ferry_publisher *publisher = NULL;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		REFUSED(subscribe(bus, bad[i], NULL, &err), FERRY_E_INVALID, &err, bad[i]);
		REFUSED(ferry_publisher_open(bus, bad[i], NULL, &publisher, &err), FERRY_E_INVALID, &err,
			bad[i]);
		CHECK(!publisher, "a publisher was made for \"%s\"", bad[i]);
	}
	REFUSED(subscribe(bus, long_name(201), NULL, &err), FERRY_E_INVALID, &err, "200");
	REFUSED(ferry_publisher_open(bus, long_name(250), NULL, &publisher, &err), FERRY_E_INVALID, &err,
		"2");
	OK(subscribe(bus, long_name(200), NULL, &err), &err);
	ferry_bus_close(bus);
}

static void groups_outside_the_charset_are_named(void)
{
	static const char *const bad[] = {"", "a.b", "two words", "caf\303\251"};
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED(subscribe(bus, "t", FERRY_OPTIONS(ferry_handler_options, .group = bad[i]), &err),
			FERRY_E_INVALID, &err, "group");
	REFUSED(subscribe(bus, "t", FERRY_OPTIONS(ferry_handler_options, .group = long_name(41)), &err),
		FERRY_E_INVALID, &err, "group");
	OK(subscribe(bus, "t", FERRY_OPTIONS(ferry_handler_options, .group = long_name(40)), &err), &err);
	REFUSED(subscribe(bus, "t", FERRY_OPTIONS(ferry_handler_options, .dlq_topic = "d l q"), &err),
		FERRY_E_INVALID, &err, "d l q");
	ferry_bus_close(bus);
}

static void names_that_would_be_one_on_another_transport_are_refused(void)
{
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	struct ferry_publisher *publisher = NULL;
	OK(subscribe(bus, "order.placed", NULL, &err), &err);
	REFUSED(subscribe(bus, "order_placed", NULL, &err), FERRY_E_INVALID, &err, "order.placed");
	REFUSED(ferry_publisher_open(bus, "order_placed", NULL, &publisher, &err), FERRY_E_INVALID, &err,
		"order.placed");
	OK(ferry_publisher_open(bus, "order-placed", NULL, &publisher, &err), &err);
	ferry_publisher_close(publisher);
	ferry_bus_close(bus);
}

/* One option struct with one wrong field, and the word that the refusal has to contain. */
#define WRONG(field, ...)                                                         \
	{                                                                         \
		field,                                                            \
		{                                                                 \
			.size = sizeof(struct ferry_handler_options), __VA_ARGS__ \
		}                                                                 \
	}

static void a_handler_option_out_of_range_is_named(void)
{
	const struct {
		const char *field;
		struct ferry_handler_options options;
	} wrong[] = {
		WRONG("concurrency", .concurrency = -1),
		WRONG("max_retries", .max_retries = -2),
		WRONG("initial_backoff", .initial_backoff_ms = -2),
		WRONG("max_backoff", .max_backoff_ms = -1),
		WRONG("jitter", .jitter_percent = 101),
		WRONG("timeout", .timeout_ms = -2),
		WRONG("max_unsettled", .max_unsettled = -2),
		WRONG("max_deliveries", .max_deliveries = -1),
		WRONG("distribution", .distribution = 3),
		WRONG("ack", .ack = 3),
		WRONG("order", .order = 5),
		WRONG("start", .start = 3),
		WRONG("dlq", .dlq = 7),
		WRONG("reserved", .reserved = 1),
		WRONG("filter", .filter = FERRY_ATTRIBUTES({"two words", "x"})),
		WRONG("filter", .filter = FERRY_ATTRIBUTES({"region", NULL})),
	};
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK(subscribe(bus, "t", &wrong[i].options, &err) == FERRY_E_INVALID &&
			      strstr(err.text, wrong[i].field),
		      "%s out of range: %s", wrong[i].field, err.text);
	ferry_bus_close(bus);
}

static void handlers_of_one_group_have_to_agree(void)
{
	static const struct {
		const char *field;
		struct ferry_handler_options options;
	} wrong[] = {
		WRONG("start", .start = FERRY_START_EARLIEST),
		WRONG("order", .order = FERRY_ORDER_KEY),
		WRONG("max_unsettled", .max_unsettled = 7),
		WRONG("dlq_topic", .dlq_topic = "graveyard"),
	};
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	OK(subscribe(bus, "t", NULL, &err), &err);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		REFUSED(subscribe(bus, "t", &wrong[i].options, &err), FERRY_E_INVALID, &err, wrong[i].field);
	OK(subscribe(bus, "t", FERRY_OPTIONS(ferry_handler_options, .group = "other", .max_unsettled = 7),
		     &err),
	   &err);
	ferry_bus_close(bus);
}

static void structs_of_another_size_are_checked(void)
{
	struct {
		struct ferry_handler_options options;
		int64_t added;
	} handler = {.options = {.size = sizeof(handler)}, .added = 1};
	struct {
		struct ferry_publish_options options;
		int64_t added;
	} publish = {.options = {.size = sizeof(publish)}, .added = 1};
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	REFUSED(subscribe(bus, "t", &handler.options, &err), FERRY_E_INVALID, &err, "ferry_handler_options");
	handler.added = 0;
	OK(subscribe(bus, "t", &handler.options, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "t");
	REFUSED(ferry_publish(publisher, "x", 1, &publish.options, &err), FERRY_E_INVALID, &err,
		"ferry_publish_options");
	publish.added = 0;
	OK(ferry_publish(publisher, "x", 1, &publish.options, &err), &err);
	ferry_publisher_close(publisher);
	ferry_bus_close(bus);
}

static void null_where_a_thing_is_needed_is_refused(void)
{
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	struct ferry_publisher *publisher = NULL;
	struct ferry_batch_item item = {.payload = "x", .payload_size = 1};
	REFUSED(subscribe(NULL, "t", NULL, &err), FERRY_E_INVALID, &err, "bus");
	REFUSED(subscribe(bus, NULL, NULL, &err), FERRY_E_INVALID, &err, "topic");
	REFUSED(ferry_subscribe(bus, "t", NULL, NULL, NULL, &err), FERRY_E_INVALID, &err, "handler");
	REFUSED(ferry_publisher_open(NULL, "t", NULL, &publisher, &err), FERRY_E_INVALID, &err, "bus");
	REFUSED(ferry_publisher_open(bus, NULL, NULL, &publisher, &err), FERRY_E_INVALID, &err, "topic");
	REFUSED(ferry_publisher_open(bus, "t", NULL, NULL, &err), FERRY_E_INVALID, &err, "ret");
	REFUSED(ferry_publish(NULL, "x", 1, NULL, &err), FERRY_E_INVALID, &err, "publisher");
	REFUSED(ferry_publish_async(NULL, "x", 1, NULL, NULL, NULL, &err), FERRY_E_INVALID, &err,
		"publisher");
	REFUSED(ferry_publish_batch(NULL, &item, 1, 0, &err), FERRY_E_INVALID, &err, "publisher");
	REFUSED(ferry_bus_start(NULL, 0, &err), FERRY_E_INVALID, &err, "bus");
	REFUSED(ferry_bus_stop(NULL, 0, NULL, &err), FERRY_E_INVALID, &err, "bus");
	REFUSED(ferry_bus_wait_ready(NULL, 0, &err), FERRY_E_INVALID, &err, "bus");
	REFUSED(ferry_bus_intercept(NULL, NULL, &err), FERRY_E_INVALID, &err, "bus");
	REFUSED(ferry_bus_intercept(bus, NULL, &err), FERRY_E_INVALID, &err, "interceptor");
	REFUSED(ferry_dlq_replay(NULL, "dlq.a.b", NULL, NULL, &err), FERRY_E_INVALID, &err, "bus");
	CHECK(!ferry_stats_take(NULL, &err) && err.code == FERRY_E_INVALID, "statistics of no bus");
	CHECK(ferry_bus_fd(NULL) == FERRY_E_INVALID, "a descriptor of no bus");
	CHECK(ferry_bus_dispatch(NULL, 0) == FERRY_E_INVALID, "dispatch on no bus");
	CHECK(ferry_bus_advance(NULL, 1) == FERRY_E_INVALID, "the clock of no bus");
	ferry_publisher_close(NULL);
	ferry_message_unref(NULL);
	ferry_stats_free(NULL);
	ferry_bus_close(bus);
}

static void what_a_message_cannot_carry_is_named(void)
{
	struct ferry_bus *bus = open_memory("memory:?max_message=1KiB", NULL);
	static atomic_int calls;
	static char large[1025];
	struct ferry_error err = {0};
	OK(ferry_subscribe(bus, "notes", count_call, &calls, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "notes");

	REFUSED(ferry_publish(p, large, 1025, NULL, &err), FERRY_E_TOO_LARGE, &err, "notes");
	REFUSED(ferry_publish_async(p, large, 1025, NULL, NULL, NULL, &err), FERRY_E_TOO_LARGE, &err,
		"notes");
	REFUSED(ferry_publish(p, large, SIZE_MAX, NULL, &err), FERRY_E_TOO_LARGE, &err, "notes");
	REFUSED(ferry_publish(p, NULL, 1, NULL, &err), FERRY_E_INVALID, &err, "payload");
#define OPTIONS(...) FERRY_OPTIONS(ferry_publish_options, __VA_ARGS__)
	REFUSED(ferry_publish(p, "x", 1, OPTIONS(.key_size = 3), &err), FERRY_E_INVALID, &err, "key");
	REFUSED(ferry_publish(p, "x", 1, OPTIONS(.id = ""), &err), FERRY_E_INVALID, &err, "id");
	REFUSED(ferry_publish(p, "x", 1, OPTIONS(.id = "two\nlines"), &err), FERRY_E_INVALID, &err, "id");
	REFUSED(ferry_publish(p, "x", 1, OPTIONS(.id = long_name(129)), &err), FERRY_E_INVALID, &err, "id");
	REFUSED(ferry_publish(p, "x", 1, OPTIONS(.deadline_ms = -1), &err), FERRY_E_INVALID, &err,
		"deadline");
	static const char *const bad[] = {"",
					  "two words",
					  "ce_id",
					  "ce-id",
					  "ferry-target-group",
					  "Nats-Msg-Id",
					  "traceparent",
					  "content-type"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED(ferry_publish(p, "x", 1, OPTIONS(.attributes = FERRY_ATTRIBUTES({bad[i], "1"})),
				      &err),
			FERRY_E_INVALID, &err, bad[i]);
	REFUSED(ferry_publish(p, "x", 1, OPTIONS(.attributes = FERRY_ATTRIBUTES({long_name(129), "1"})),
			      &err),
		FERRY_E_INVALID, &err, "attribute");
	REFUSED(ferry_publish(p, "x", 1, OPTIONS(.attributes = FERRY_ATTRIBUTES({"region", "\377"})), &err),
		FERRY_E_INVALID, &err, "region");
	REFUSED(ferry_publish(p, "x", 1, OPTIONS(.attributes = FERRY_ATTRIBUTES({"region", NULL})), &err),
		FERRY_E_INVALID, &err, "region");

	OK(ferry_publish(p, large, 1024, OPTIONS(.id = long_name(128)), &err), &err);
	OK(ferry_publish(p, NULL, 0, NULL, &err), &err);
	WAIT_FOR(&calls, 2);
	ferry_publisher_close(p);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(atomic_load(&calls) == 2, "a refused message was delivered");
	ferry_bus_close(bus);
}

static void a_batch_tells_each_item_its_own_error(void)
{
	struct ferry_bus *bus = open_memory("memory:?max_message=1KiB", NULL);
	static atomic_int calls;
	static char large[1025];
	struct ferry_error err = {0};
	OK(ferry_subscribe(bus, "t", count_call, &calls, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "t");
	struct ferry_batch_item items[] = {
		{.payload = "a", .payload_size = 1, .result = INT_MAX},
		{.payload = large, .payload_size = sizeof(large), .result = INT_MAX},
		{.payload = "c", .payload_size = 1, .result = INT_MAX, .options = OPTIONS(.id = "")},
		{.payload = "d", .payload_size = 1, .result = INT_MAX},
	};
	CHECK(ferry_publish_batch(p, items, 4, 0, &err) == FERRY_E_TOO_LARGE,
	      "the first error is not returned: %s", err.text);
	CHECK(items[0].result == 0 && items[1].result == FERRY_E_TOO_LARGE &&
		      items[2].result == FERRY_E_INVALID && items[3].result == 0,
	      "results %d %d %d %d", items[0].result, items[1].result, items[2].result, items[3].result);
	OK(ferry_publish_batch(p, items, 0, 0, &err), &err);
	REFUSED(ferry_publish_batch(p, NULL, 1, 0, &err), FERRY_E_INVALID, &err, "items");
	WAIT_FOR(&calls, 2);
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

const struct api_test argument_tests[] = {
	{"topics_outside_the_charset_are_named", topics_outside_the_charset_are_named},
	{"groups_outside_the_charset_are_named", groups_outside_the_charset_are_named},
	{"names_that_would_be_one_on_another_transport_are_refused",
	 names_that_would_be_one_on_another_transport_are_refused},
	{"a_handler_option_out_of_range_is_named", a_handler_option_out_of_range_is_named},
	{"handlers_of_one_group_have_to_agree", handlers_of_one_group_have_to_agree},
	{"structs_of_another_size_are_checked", structs_of_another_size_are_checked},
	{"null_where_a_thing_is_needed_is_refused", null_where_a_thing_is_needed_is_refused},
	{"what_a_message_cannot_carry_is_named", what_a_message_cannot_carry_is_named},
	{"a_batch_tells_each_item_its_own_error", a_batch_tells_each_item_its_own_error},
	{NULL, NULL},
};
