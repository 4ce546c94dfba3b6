/*
 * payload_test.c - payloads that break the rules: each is refused with the topic and the field, or the byte
 * where there is no field, goes to the DLQ with reason `decode`, and is never handed to the handler.
 */
#include <stdlib.h>

#include "typed_test.h"

#define ADDRESS "\"address\":{\"street\":\"S\",\"city\":\"C\"}"
#define ITEMS   "\"items\":[{\"sku\":\"A\",\"cents\":1,\"count\":1}]"
#define HEAD    "{\"order_id\":\"A1\",\"cents\":1,\"currency\":\"EUR\","
/* A sound order with one more member, or with its address or its items replaced. */
#define WITH(MEMBER)       HEAD ADDRESS "," ITEMS "," MEMBER "}"
#define WITH_ADDRESS(JSON) HEAD "\"address\":" JSON "," ITEMS "}"
#define WITH_ITEMS(JSON)   HEAD ADDRESS ",\"items\":" JSON "}"
#define WITH_ITEM(JSON)    WITH_ITEMS("[{\"sku\":\"A\",\"cents\":1,\"count\":1}," JSON "]")
#define ITEM(MEMBERS)      WITH_ITEM("{\"sku\":\"B\",\"cents\":1," MEMBERS "}")

struct bad {
	const char *text;
	const char *names; /* the sentence begins with "order.placed: " and this */
	size_t size;       /* 0: the text's length */
};

static const struct bad bad[] = {
	/* no JSON at all, or none that is allowed: the byte */
	{"", "byte 0: ", 0},
	{" ", "byte 1: ", 0},
	{"nonsense", "byte 8: ", 0},
	{"{", "byte 1: ", 0},
	{WITH("\"note\":\"x\"") "x", "byte 134: ", 0},
	{WITH("\"note\":\"x\"") "{}", "byte 134: ", 0},
	{WITH("\"note\":\"x\","), "byte 134: ", 0},
	{WITH("\"note\":'x'"), "byte 130: ", 0},
	{WITH("\"note\":\"x"), "byte 132: ", 0},
	{WITH("\"note\":\"\n\""), "byte 130: ", 0},
	{WITH("\"note\":\"\377\""), "byte 130: ", 0},
	{WITH("\"note\":\"\300\200\""), "byte 130: ", 0},
	{WITH("\"note\":\"\355\240\200\""), "byte 130: ", 0},
	{WITH("\"note\":\"\\ud800\""), "byte 137: ", 0},
	{WITH("\"note\":\"\\udc00\""), "byte 137: ", 0},
	{WITH("\"note\":\"a\\u0000b\""), "byte 139: ", 0},
	{WITH("\"no\\u0000te\":1"), "byte 134: ", 0},
	{WITH("\"note\":\"\\x41\""), "byte 132: ", 0},
	{"{\"order_id\":\"a\0b\"}", "byte 14: ", 18},
	{WITH("\"gift\":tru"), "byte 132: ", 0},
	{WITH("\"gift\":True"), "byte 133: ", 0},
	{WITH("\"weight-kg\":NaN"), "byte 137: ", 0},
	{WITH("\"weight-kg\":1e400"), "byte 139: ", 0},
	{WITH("\"weight-kg\":-1e400"), "byte 140: ", 0},
	{WITH("\"weight-kg\":.5"), "byte 135: ", 0},
	{WITH("\"weight-kg\":1."), "byte 136: ", 0},
	{WITH("\"discount\":01"), "byte 134: ", 0},
	{WITH("\"discount\":9223372036854775808"), "byte 152: ", 0},
	{WITH("\"discount\":-9223372036854775809"), "byte 153: ", 0},
	{WITH("\"discount\":99999999999999999999999"), "byte 156: ", 0},
	{WITH("\"cents\":2"), "byte 129: ", 0},
	{WITH("\"unknown\":{\"a\":1,\"a\":2}"), "byte 142: ", 0},
	{"\357\273\277{}", "byte 3: ", 0},

	/* the payload itself */
	{"[]", "expected object, got array", 0},
	{"\"text\"", "byte 6: ", 0},
	{"12", "byte 2: ", 0},
	{"null", "byte 4: ", 0},

	/* missing */
	{"{}", "order_id: required, and missing", 0},
	{"{\"order_id\":\"A1\"}", "cents: required, and missing", 0},
	{"{\"order_id\":\"A1\",\"cents\":1," ADDRESS "," ITEMS "}", "currency: required, and missing", 0},
	{HEAD ITEMS "}", "address: required, and missing", 0},
	{HEAD ADDRESS "}", "items: required, and missing", 0},
	{WITH_ADDRESS("{\"street\":\"S\"}"), "address.city: required, and missing", 0},
	{WITH("\"billing\":{\"city\":\"C\"}"), "billing.street: required, and missing", 0},
	{WITH_ITEM("{}"), "items[1].sku: required, and missing", 0},
	{ITEM("\"tags\":[]"), "items[1].count: required, and missing", 0},
	{"{\"order_id\":null}", "order_id: expected string, got null", 0},
	{"{\"order_id\":\"A1\",\"cents\":null}", "cents: expected integer, got null", 0},
	{WITH_ITEMS("null"), "items: expected array, got null", 0},
	{WITH_ADDRESS("null"), "address: expected object, got null", 0},

	/* another type */
	{"{\"order_id\":7}", "order_id: expected string, got integer", 0},
	{"{\"order_id\":[\"A1\"]}", "order_id: expected string, got array", 0},
	{"{\"order_id\":\"A1\",\"cents\":\"1\"}", "cents: expected integer, got string", 0},
	{"{\"order_id\":\"A1\",\"cents\":1.0}", "cents: expected integer, got real number", 0},
	{"{\"order_id\":\"A1\",\"cents\":1e2}", "cents: expected integer, got real number", 0},
	{"{\"order_id\":\"A1\",\"cents\":true}", "cents: expected integer, got boolean", 0},
	{WITH("\"weight-kg\":\"1.5\""), "weight-kg: expected number, got string", 0},
	{WITH("\"gift\":1"), "gift: expected boolean, got integer", 0},
	{WITH("\"gift\":\"true\""), "gift: expected boolean, got string", 0},
	{WITH("\"note\":{}"), "note: expected string, got object", 0},
	{WITH("\"billing\":[]"), "billing: expected object, got array", 0},
	{WITH_ADDRESS("\"C\""), "address: expected object, got string", 0},
	{WITH_ADDRESS("{\"street\":\"S\",\"city\":\"C\",\"floor\":{}}"),
	 "address.floor: expected integer, got object", 0},
	{WITH_ITEMS("{}"), "items: expected array, got object", 0},
	{WITH_ITEMS("[1]"), "items[0]: expected object, got integer", 0},
	{WITH_ITEM("null"), "items[1]: expected object, got null", 0},
	{ITEM("\"count\":\"2\""), "items[1].count: expected integer, got string", 0},
	{ITEM("\"count\":2,\"tags\":\"a\""), "items[1].tags: expected array, got string", 0},
	{ITEM("\"count\":2,\"tags\":[\"a\",null]"), "items[1].tags[1]: expected string, got null", 0},
	{"{\"order_id\":\"A1\",\"cents\":1,\"currency\":1}", "currency: expected string, got integer", 0},

	/* out of range, too long, unknown */
	{"{\"order_id\":\"A1\",\"cents\":-1}", "cents: expected at least 0, got -1", 0},
	{"{\"order_id\":\"A1\",\"cents\":1000001}", "cents: expected at most 1000000, got 1000001", 0},
	{WITH("\"weight-kg\":0.25"), "weight-kg: expected at least 0.5, got 0.25", 0},
	{WITH("\"weight-kg\":100"), "weight-kg: expected at most 99.5, got 100", 0},
	{WITH("\"discount\":-1"), "discount: expected at least 0, got -1", 0},
	{WITH("\"discount\":2147483648"), "discount: expected at most 2147483647, got 2147483648", 0},
	{WITH_ADDRESS("{\"street\":\"S\",\"city\":\"C\",\"floor\":32768}"),
	 "address.floor: expected at most 32767, got 32768", 0},
	{WITH_ADDRESS("{\"street\":\"S\",\"city\":\"C\",\"floor\":-4}"),
	 "address.floor: expected at least -3, got -4", 0},
	{ITEM("\"count\":0"), "items[1].count: expected at least 1, got 0", 0},
	{ITEM("\"count\":-1"), "items[1].count: expected at least 0, got -1", 0},
	{ITEM("\"count\":65536"), "items[1].count: expected at most 65535, got 65536", 0},
	{"{\"order_id\":\"\"}", "order_id: expected at least 1 character, got 0", 0},
	{"{\"order_id\":\"1234567890123\"}", "order_id: expected at most 12 characters, got 13", 0},
	{"{\"order_id\":"
	 "\"\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266"
	 "\303\266\303\266\"}",
	 "order_id: expected at most 12 characters, got 13", 0},
	{ITEM("\"count\":1,\"tags\":[\"a\",\"b\",\"longer\"]"),
	 "items[1].tags[2]: expected at most 5 characters, got 6", 0},
	{ITEM("\"count\":1,\"tags\":[\"a\",\"b\",\"c\",\"d\"]"),
	 "items[1].tags: expected at most 3 items, got 4", 0},
	{WITH_ITEMS("[]"), "items: expected at least 1 item, got 0", 0},
	{"{\"order_id\":\"A1\",\"cents\":1,\"currency\":\"EURO\"}",
	 "currency: expected one of EUR, USD, got \"EURO\"", 0},
	{"{\"order_id\":\"A1\",\"cents\":1,\"currency\":\"\"}",
	 "currency: expected one of EUR, USD, got \"\"", 0},
	{"{\"order_id\":\"A1\",\"cents\":1,\"currency\":\"eur\"}",
	 "currency: expected one of EUR, USD, got \"eur\"", 0},
	{"{\"order_id\":\"A1\",\"cents\":1,\"currency\":\"\\u001b[2J\\n\"}",
	 "currency: expected one of EUR, USD, got \"?[2J?\"", 0},
	{"{\"order_id\":\"A1\",\"cents\":1,\"currency\":"
	 "\"-"
	 "\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266"
	 "\303\266\303\266\303\266"
	 "\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266"
	 "\303\266\303\266\303\266\"}",
	 "currency: expected one of EUR, USD, got \"-"
	 "\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266"
	 "\303\266\303\266\303\266"
	 "\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266\303\266"
	 "\303\266\303\266\"",
	 0},
};
#define BAD_COUNT (sizeof(bad) / sizeof(bad[0]))
_Static_assert(sizeof(bad) / sizeof(bad[0]) >= 60, "there are many ways to be wrong");

/* 65 levels, in a member that the table does not know. */
static char too_deep[512];

static void make_too_deep(void)
{
	char *at = too_deep;
	at += sprintf(at, "{\"x\":");
	for (int i = 0; i < 64; i++)
		*at++ = '[';
	for (int i = 0; i < 64; i++)
		*at++ = ']';
	strcpy(at, "}");
}

static size_t size_of(const struct bad *b)
{
	return b->size ? b->size : strlen(b->text);
}

static bool names(const char *text, const char *expected)
{
	char whole[200];
	snprintf(whole, sizeof whole, "order.placed: %s", expected);
	return strncmp(text, whole, strlen(whole)) == 0;
}

static void each_is_refused_by_its_field_or_byte(void)
{
	for (size_t i = 0; i < BAD_COUNT; i++) {
		struct ferry_error err = {0};
		const struct order *decoded = NULL;
		int code = order_decode(bad[i].text, size_of(&bad[i]), &decoded, &err);
		CHECK(code == FERRY_E_DECODE, "%zu: %s: %s", i, bad[i].text, ferry_error_name(code));
		CHECK(names(err.text, bad[i].names), "%zu: %s: \"%s\" does not begin with \"%s\"", i,
		      bad[i].text, err.text, bad[i].names);
		CHECK(!decoded, "%zu: something was returned", i);
		CHECK(order_decode(bad[i].text, size_of(&bad[i]), &decoded, NULL) == FERRY_E_DECODE,
		      "%zu: without an error struct", i);
	}
	struct ferry_error err = {0};
	const struct order *decoded = NULL;
	make_too_deep();
	REFUSED(order_decode(too_deep, strlen(too_deep), &decoded, &err), FERRY_E_DECODE, &err,
		"order.placed: byte 69: nested deeper than 64");
}

/* What the wrong ones are made from is right. */
static void the_sound_one_is_accepted(void)
{
	static const char *const sound[] = {
		WITH("\"note\":\"x\""),
		WITH_ADDRESS("{\"street\":\"S\",\"city\":\"C\",\"floor\":-3}"),
		WITH_ITEM("{\"sku\":\"B\",\"cents\":1,\"count\":1000,\"tags\":[]}"),
		ITEM("\"count\":1"),
		WITH("\"discount\":0"),
		WITH("\"weight-kg\":1"),
	};
	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
		struct ferry_error err = {0};
		const struct order *decoded = NULL;
		OK(order_decode(sound[i], strlen(sound[i]), &decoded, &err), &err);
		order_free(decoded);
	}
}

/* ---- through a bus ---- */

struct shop {
	atomic_int orders, dead;
	bool seen[BAD_COUNT + 1];
};

static int on_order(const struct order *order, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	(void)message;
	CHECK(strcmp(order->order_id, "A1") == 0, "another order: %s", order->order_id);
	atomic_fetch_add(&shop->orders, 1);
	return 0;
}

static int on_dead(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	size_t size, i = (size_t)atoi(ferry_message_id(message) + 1);
	const void *payload = ferry_message_payload(message, &size);
	const char *text = i < BAD_COUNT ? bad[i].text : too_deep;
	size_t text_size = i < BAD_COUNT ? size_of(&bad[i]) : strlen(too_deep);
	CHECK(size == text_size && memcmp(payload, text, size) == 0, "payload %zu is another", i);
	const char *reason = ferry_message_attribute(message, "ferry-dlq-reason");
	CHECK(reason && strcmp(reason, "decode") == 0, "payload %zu: the reason is %s", i, reason);
	const char *error = ferry_message_attribute(message, "ferry-dlq-error");
	CHECK(error && names(error, i < BAD_COUNT ? bad[i].names : "byte 69: "),
	      "payload %zu: the error is %s", i, error);
	CHECK(!shop->seen[i], "payload %zu is dead twice", i);
	shop->seen[i] = true;
	atomic_fetch_add(&shop->dead, 1);
	return 0;
}

static void each_goes_to_the_dlq_and_not_to_the_handler(void)
{
	static struct shop shop;
	struct ferry_error err = {0};
	struct ferry_publisher *bytes = NULL;
	struct ferry_bus *bus = open_memory();
	make_too_deep();
	OK(order_subscribe(bus, on_order, &shop, NULL, &err), &err);
	OK(ferry_subscribe(bus, "dlq.default.order.placed", on_dead, &shop, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(ferry_publisher_open(bus, "order.placed", NULL, &bytes, &err), &err);
	for (size_t i = 0; i <= BAD_COUNT; i++) {
		const char *text = i < BAD_COUNT ? bad[i].text : too_deep;
		char id[24];
		snprintf(id, sizeof id, "p%zu", i);
		OK(ferry_publish(bytes, text, i < BAD_COUNT ? size_of(&bad[i]) : strlen(text),
				 FERRY_OPTIONS(ferry_publish_options, .id = id), &err),
		   &err);
	}
	OK(ferry_publish(bytes, full_order_json, strlen(full_order_json), NULL, &err), &err);
	WAIT_FOR(&shop.dead, (int)BAD_COUNT + 1);
	WAIT_FOR(&shop.orders, 1);
	ferry_publisher_close(bytes);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(atomic_load(&shop.orders) == 1, "%d orders were handled", atomic_load(&shop.orders));
	ferry_bus_close(bus);
}

const struct typed_test payload_tests[] = {
	{"each_is_refused_by_its_field_or_byte", each_is_refused_by_its_field_or_byte},
	{"the_sound_one_is_accepted", the_sound_one_is_accepted},
	{"each_goes_to_the_dlq_and_not_to_the_handler", each_goes_to_the_dlq_and_not_to_the_handler},
	{NULL, NULL},
};
