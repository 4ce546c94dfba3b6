#include "model.h"

FERRY_ENUM_DEFINE(currency, {CURRENCY_EUR, "EUR"}, {CURRENCY_USD, "USD"});

FERRY_STRUCT_DEFINE(address, struct address, FERRY_FIELD(street, .required = true, .max_length = 20),
		    FERRY_FIELD(city, .required = true, .min_length = 1), FERRY_OPTIONAL(floor, .min = -3));

FERRY_STRUCT_DEFINE(item, struct item, FERRY_FIELD(sku, .required = true, .max_length = 8),
		    FERRY_FIELD(cents, .required = true, .min = 0),
		    FERRY_FIELD(count, .required = true, .min = 1, .max = 1000),
		    FERRY_LIST(tags, tag_count, .max_items = 3, .max_length = 5));

FERRY_TOPIC_DEFINE(order, struct order, "order.placed", 1,
		   FERRY_FIELD(order_id, .required = true, .min_length = 1, .max_length = 12,
			       .doc = "Unique id of the \"order\"."),
		   FERRY_FIELD(cents, .required = true, .min = 0, .max = 1000000),
		   FERRY_FIELD(weight, .name = "weight-kg", .min = 0.5, .max = 99.5), FERRY_FIELD(gift),
		   FERRY_ENUM(currency, currency, .required = true),
		   FERRY_OBJECT(address, address, .required = true), FERRY_OBJECT(billing, address),
		   FERRY_OBJECT_LIST(items, item_count, item, .required = true, .min_items = 1,
				     .max_items = 10),
		   FERRY_FIELD(note, .max_length = 30), FERRY_FIELD(extra),
		   FERRY_OPTIONAL(discount, .min = 0, .max = 100));

FERRY_TOPIC_DEFINE(widths, struct widths, "test.widths", 2, FERRY_FIELD(i8), FERRY_FIELD(i16),
		   FERRY_FIELD(i32), FERRY_FIELD(i64), FERRY_FIELD(u8), FERRY_FIELD(u16), FERRY_FIELD(u32),
		   FERRY_FIELD(u64), FERRY_FIELD(l), FERRY_FIELD(ul), FERRY_FIELD(ll), FERRY_FIELD(ull),
		   FERRY_FIELD(text), FERRY_LIST(small, small_count),
		   FERRY_LIST(large, large_count, .min = 1), FERRY_LIST(numbers, number_count, .max = 1e9),
		   FERRY_LIST(flags, flag_count), FERRY_LIST(raws, raw_count),
		   FERRY_ENUM_LIST(currencies, currency_count, currency),
		   FERRY_OBJECT(address, address, .has = FERRY_HAS(has_address)));

FERRY_TOPIC_DEFINE(tree, struct tree, "test.tree", 1, FERRY_FIELD(value, .required = true),
		   FERRY_OBJECT(left, tree), FERRY_OBJECT_LIST(children, child_count, tree),
		   FERRY_FIELD(raw));

static const char *const tags[] = {"blue", "h\303\251"};
static const struct item items[] = {
	{.sku = "A-1", .cents = 250, .count = 2, .tags = tags, .tag_count = 2},
	{.sku = "B-2", .cents = 490, .count = 1, .tags = tags, .tag_count = 1},
};
static const struct address billing = {
	.street = "Long Road 5", .city = "Oslo", .has_floor = true, .floor = -2};

const struct order full_order = {
	.order_id = "A1",
	.cents = 990,
	.weight = 1.25,
	.gift = true,
	.currency = CURRENCY_USD,
	.address = {.street = "Short Street 1", .city = "M\303\274nchen", .has_floor = true, .floor = 4},
	.billing = &billing,
	.items = items,
	.item_count = 2,
	.note = "\"ring\"\ttwice\\\n\001",
	.extra = {"{\"a\":[1,null,\"x\"]}", 18},
	.has_discount = true,
	.discount = 15,
};

const char full_order_json[] =
	"{\"order_id\":\"A1\",\"cents\":990,\"weight-kg\":1.25,\"gift\":true,\"currency\":\"USD\","
	"\"address\":{\"street\":\"Short Street 1\",\"city\":\"M\303\274nchen\",\"floor\":4},"
	"\"billing\":{\"street\":\"Long Road 5\",\"city\":\"Oslo\",\"floor\":-2},"
	"\"items\":[{\"sku\":\"A-1\",\"cents\":250,\"count\":2,\"tags\":[\"blue\",\"h\303\251\"]},"
	"{\"sku\":\"B-2\",\"cents\":490,\"count\":1,\"tags\":[\"blue\"]}],"
	"\"note\":\"\\\"ring\\\"\\ttwice\\\\\\n\\u0001\",\"extra\":{\"a\":[1,null,\"x\"]},\"discount\":15}";

static const int8_t small[] = {-128, 127, 3};
static uint64_t large[] = {1, INT64_MAX};
static const double numbers[] = {0.1, -1e-300, 5, 1e9};
static bool flags[] = {true, false};
static char text[] = "writable";
static const struct ferry_json raws[] = {{"1", 1}, {"null", 4}, {"[true]", 6}};
static const enum currency currencies[] = {CURRENCY_USD, CURRENCY_EUR};

const struct widths full_widths = {
	.i8 = INT8_MIN,
	.i16 = INT16_MIN,
	.i32 = INT32_MIN,
	.i64 = INT64_MIN,
	.u8 = UINT8_MAX,
	.u16 = UINT16_MAX,
	.u32 = UINT32_MAX,
	.u64 = INT64_MAX,
	.l = -5,
	.ul = 6,
	.ll = -7,
	.ull = 8,
	.text = text,
	.small = small,
	.small_count = 3,
	.large = large,
	.large_count = 2,
	.numbers = numbers,
	.number_count = 4,
	.flags = flags,
	.flag_count = 2,
	.raws = raws,
	.raw_count = 3,
	.currencies = currencies,
	.currency_count = 2,
	.has_address = true,
	.address = {.street = "S", .city = "C", .has_floor = true, .floor = 1},
};
