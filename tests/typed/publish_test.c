/*
 * publish_test.c - structs that break the rules are refused before anything is sent.
 */
#include <math.h>
#include <stdlib.h>

#include "typed_test.h"

static const struct item item = {.sku = "A", .cents = 1, .count = 1};
static const struct item items[11] = {{.sku = "A", .cents = 1, .count = 1}, {.sku = NULL}};
static const struct item dear = {.sku = "A", .cents = -1, .count = 1};
static const char *const tags[] = {"a", NULL, "longer"};
static const struct item tagged = {.sku = "A", .cents = 1, .count = 1, .tags = tags, .tag_count = 2};
static const struct item tagless = {.sku = "A", .cents = 1, .count = 1, .tag_count = 2};
static const struct address nowhere = {.street = "S", .city = ""};

#define SIXTEEN "[[[[[[[[[[[[[[[["
#define SOUND                                                                \
	.order_id = "A1", .cents = 1, .weight = 1, .currency = CURRENCY_EUR, \
	.address = {"S", "C", false, 0}, .items = &item, .item_count = 1

struct wrong {
	struct order order;
	const char *says; /* after "order.placed: " */
};

/* Each line overrides a member of the sound order. */
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
static const struct wrong wrong[] = {
	{{SOUND, .order_id = NULL}, "order_id: required, and missing"},
	{{SOUND, .order_id = ""}, "order_id: expected at least 1 character, got 0"},
	{{SOUND, .order_id = "1234567890123"}, "order_id: expected at most 12 characters, got 13"},
	{{SOUND, .order_id = "\377"}, "order_id: expected UTF-8, got other bytes"},
	{{SOUND, .order_id = "\300\200"}, "order_id: expected UTF-8, got other bytes"},
	{{SOUND, .cents = -1}, "cents: expected at least 0, got -1"},
	{{SOUND, .cents = INT64_MIN}, "cents: expected at least 0, got -9223372036854775808"},
	{{SOUND, .cents = 1000001}, "cents: expected at most 1000000, got 1000001"},
	{{SOUND, .weight = 0.25}, "weight-kg: expected at least 0.5, got 0.25"},
	{{SOUND, .weight = 100}, "weight-kg: expected at most 99.5, got 100"},
	{{SOUND, .weight = NAN}, "weight-kg: expected a finite number, got NaN"},
	{{SOUND, .weight = -INFINITY}, "weight-kg: expected a finite number, got infinity"},
	{{SOUND, .currency = CURRENCY_NONE}, "currency: expected one of EUR, USD, got 0"},
	{{SOUND, .currency = (enum currency)3}, "currency: expected one of EUR, USD, got 3"},
	{{SOUND, .address = {NULL, "C", false, 0}}, "address.street: required, and missing"},
	{{SOUND, .address = {"123456789012345678901", "C", false, 0}},
	 "address.street: expected at most 20 characters, got 21"},
	{{SOUND, .address = {"S", "C", true, -4}}, "address.floor: expected at least -3, got -4"},
	{{SOUND, .billing = &nowhere}, "billing.city: expected at least 1 character, got 0"},
	{{SOUND, .items = NULL}, "items: expected 1 item, got NULL"},
	{{SOUND, .items = NULL, .item_count = 0}, "items: expected at least 1 item, got 0"},
	{{SOUND, .items = items, .item_count = 11}, "items: expected at most 10 items, got 11"},
	{{SOUND, .items = items, .item_count = 2}, "items[1].sku: required, and missing"},
	{{SOUND, .items = &dear}, "items[0].cents: expected at least 0, got -1"},
	{{SOUND, .items = &tagged}, "items[0].tags[1]: expected string, got NULL"},
	{{SOUND, .items = &tagless}, "items[0].tags: expected 2 items, got NULL"},
	{{SOUND, .note = "1234567890123456789012345678901"}, "note: expected at most 30 characters, got 31"},
	{{SOUND, .extra = {NULL, 1}}, "extra: expected JSON, got NULL"},
	{{SOUND, .extra = {"", 0}}, "extra: byte 0: "},
	{{SOUND, .extra = {"{\"a\":}", 6}}, "extra: byte 6: "},
	{{SOUND, .extra = {"1 2", 3}}, "extra: byte 3: "},
	{{SOUND, .extra = {"{\"a\":1,\"a\":1}", 13}}, "extra: byte 10: "},
	{{SOUND, .extra = {"1e400", 5}}, "extra: byte 5: "},
	{{SOUND, .extra = {"9223372036854775808", 19}}, "extra: byte 19: "},
	{{SOUND, .extra = {"\"\377\"", 3}}, "extra: byte 1: "},
	{{SOUND, .extra = {"\"\\u0000\"", 8}}, "extra: byte 8: \\u0000 is not allowed"},
	{{SOUND, .extra = {"\"a\0b\"", 5}}, "extra: byte 2: "},
	{{SOUND, .extra = {SIXTEEN SIXTEEN SIXTEEN SIXTEEN, 64}}, "extra: byte 64: nested deeper than 64"},
	{{SOUND, .has_discount = true, .discount = 101}, "discount: expected at most 100, got 101"},
};
#define WRONG_COUNT (sizeof(wrong) / sizeof(wrong[0]))
static const struct order sound = {SOUND};
#if defined(__clang__)
#pragma clang diagnostic pop
#else
#pragma GCC diagnostic pop
#endif

static bool says(const struct ferry_error *err, const char *text)
{
	return strncmp(err->text, "order.placed: ", 14) == 0 &&
	       strncmp(err->text + 14, text, strlen(text)) == 0;
}

static int count_order(const struct order *order, struct ferry_message *message, void *counter)
{
	(void)message;
	CHECK(strcmp(order->order_id, "A1") == 0, "another order: %s", order->order_id);
	atomic_fetch_add((atomic_int *)counter, 1);
	return 0;
}

static void never(int code, const struct ferry_error *err, void *ctx)
{
	(void)ctx;
	CHECK(false, "a completion of a message that was refused: %d %s", code, err ? err->text : "");
}

static const struct ferry_topic_stats *topic_row(const struct ferry_stats *stats, const char *name)
{
	for (size_t i = 0; i < ferry_stats_topic_count(stats); i++)
		if (strcmp(ferry_stats_topic(stats, i)->topic, name) == 0)
			return ferry_stats_topic(stats, i);
	CHECK(false, "no statistics of %s", name);
}

static void each_is_refused_and_nothing_is_sent(void)
{
	static atomic_int orders;
	struct ferry_error err = {0};
	struct order_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	OK(order_subscribe(bus, count_order, &orders, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(order_publisher_open(bus, NULL, &pub, &err), &err);
	for (size_t i = 0; i < WRONG_COUNT; i++) {
		err.text[0] = '\0';
		int code = order_publish(pub, &wrong[i].order, NULL, &err);
		CHECK(code == FERRY_E_INVALID && says(&err, wrong[i].says), "%zu: %s: \"%s\", not \"%s\"", i,
		      ferry_error_name(code), err.text, wrong[i].says);
		code = order_publish_async(pub, &wrong[i].order, NULL, never, NULL, NULL);
		CHECK(code == FERRY_E_INVALID, "%zu: async: %s", i, ferry_error_name(code));
	}
	REFUSED(order_publish(pub, NULL, NULL, &err), FERRY_E_INVALID, &err,
		"order.placed: the event is NULL");
	OK(order_publish(pub, &sound, NULL, &err), &err);
	WAIT_FOR(&orders, 1);

	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	CHECK(stats, "no statistics: %s", err.text);
	const struct ferry_topic_stats *row = topic_row(stats, "order.placed");
	CHECK(row->published == 1 && row->rejected == 2 * WRONG_COUNT + 1, "published %llu, rejected %llu",
	      (unsigned long long)row->published, (unsigned long long)row->rejected);
	ferry_stats_free(stats);
	order_publisher_close(pub);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(atomic_load(&orders) == 1, "%d orders were sent", atomic_load(&orders));
	ferry_bus_close(bus);
}

static void a_batch_sends_the_sound_ones(void)
{
	static atomic_int orders;
	struct order events[WRONG_COUNT * 2];
	int32_t results[WRONG_COUNT * 2];
	const struct ferry_publish_options *options[WRONG_COUNT * 2] = {NULL};
	struct ferry_error err = {0};
	struct order_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	OK(order_subscribe(bus, count_order, &orders, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(order_publisher_open(bus, NULL, &pub, &err), &err);
	for (size_t i = 0; i < WRONG_COUNT * 2; i++)
		events[i] = i % 2 ? wrong[i / 2].order : sound;
	options[2] = FERRY_OPTIONS(ferry_publish_options, .id = "two words");
	CHECK(order_publish_batch(pub, events, WRONG_COUNT * 2, NULL, 0, results, &err) == FERRY_E_INVALID &&
		      says(&err, wrong[0].says),
	      "the first is not told: %s", err.text);
	for (size_t i = 0; i < WRONG_COUNT * 2; i++)
		CHECK(results[i] == (i % 2 ? FERRY_E_INVALID : 0), "event %zu: %d", i, results[i]);
	WAIT_FOR(&orders, (int)WRONG_COUNT);
	events[1] = sound;
	CHECK(order_publish_batch(pub, events, 4, options, 0, results, &err) == FERRY_E_INVALID &&
		      strstr(err.text, "id"),
	      "the id is not told: %s", err.text);
	CHECK(results[0] == 0 && results[1] == 0 && results[2] == FERRY_E_INVALID &&
		      results[3] == FERRY_E_INVALID,
	      "%d %d %d %d", results[0], results[1], results[2], results[3]);
	OK(order_publish_batch(pub, events, 2, NULL, 0, NULL, &err), &err);
	OK(order_publish_batch(pub, NULL, 0, NULL, 0, NULL, &err), &err);
	REFUSED(order_publish_batch(pub, NULL, 1, NULL, 0, results, &err), FERRY_E_INVALID, &err,
		"order.placed: the events are NULL");
	WAIT_FOR(&orders, (int)WRONG_COUNT + 4);
	order_publisher_close(pub);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	ferry_bus_close(bus);
}

static void what_exceeds_max_message_is_refused(void)
{
	static char text[2000];
	struct ferry_error err = {0};
	struct widths_publisher *pub = NULL;
	struct ferry_bus *bus = ferry_bus_open("memory:?max_message=1KiB", NULL, &err);
	CHECK(bus, "%s", err.text);
	memset(text, 'a', sizeof text - 1);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(widths_publisher_open(bus, NULL, &pub, &err), &err);
	CHECK(widths_publish(pub, &(struct widths){.text = text}, NULL, &err) == FERRY_E_TOO_LARGE &&
		      strncmp(err.text, "test.widths: ", 13) == 0,
	      "it is sent: %s", err.text);
	widths_publisher_close(pub);
	ferry_bus_close(bus);
}

const struct typed_test publish_tests[] = {
	{"each_is_refused_and_nothing_is_sent", each_is_refused_and_nothing_is_sent},
	{"a_batch_sends_the_sound_ones", a_batch_sends_the_sound_ones},
	{"what_exceeds_max_message_is_refused", what_exceeds_max_message_is_refused},
	{NULL, NULL},
};
