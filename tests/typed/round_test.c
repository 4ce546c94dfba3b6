/*
 * round_test.c - structs as JSON and back.
 */
#include <stdlib.h>

#include "typed_test.h"

/* Bytes of an object that have no name hold padding: of the whole order none may be zero by omission. */
static void check_order(const struct order *o)
{
	const struct order *f = &full_order;
	CHECK(strcmp(o->order_id, f->order_id) == 0 && o->cents == f->cents && o->weight == f->weight &&
		      o->gift == f->gift && o->currency == f->currency,
	      "the plain members differ");
	CHECK(strcmp(o->address.street, f->address.street) == 0 &&
		      strcmp(o->address.city, f->address.city) == 0 && o->address.has_floor &&
		      o->address.floor == 4,
	      "the address differs");
	CHECK(strcmp(o->billing->street, f->billing->street) == 0 &&
		      strcmp(o->billing->city, f->billing->city) == 0 && o->billing->has_floor &&
		      o->billing->floor == -2,
	      "the billing address differs");
	CHECK(o->item_count == 2, "%zu items", o->item_count);
	for (size_t i = 0; i < o->item_count; i++) {
		CHECK(strcmp(o->items[i].sku, f->items[i].sku) == 0 &&
			      o->items[i].cents == f->items[i].cents &&
			      o->items[i].count == f->items[i].count &&
			      o->items[i].tag_count == f->items[i].tag_count,
		      "item %zu differs", i);
		for (size_t k = 0; k < o->items[i].tag_count; k++)
			CHECK(strcmp(o->items[i].tags[k], f->items[i].tags[k]) == 0, "tag %zu differs", k);
	}
	CHECK(strcmp(o->note, f->note) == 0, "the note differs: %s", o->note);
	CHECK(o->extra.size == f->extra.size && memcmp(o->extra.text, f->extra.text, f->extra.size) == 0,
	      "the raw JSON differs");
	CHECK(o->has_discount && o->discount == f->discount, "the discount differs");
}

static void a_full_order_comes_back_whole(void)
{
	char json[2048], again[2048];
	size_t size = 0, again_size = 0;
	struct ferry_error err = {0};
	const struct order *decoded = NULL;
	OK(order_encode(&full_order, json, sizeof json, &size, &err), &err);
	CHECK(size == strlen(full_order_json) && memcmp(json, full_order_json, size) == 0, "%.*s", (int)size,
	      json);
	OK(order_decode(json, size, &decoded, &err), &err);
	check_order(decoded);
	OK(order_encode(decoded, again, sizeof again, &again_size, &err), &err);
	CHECK(again_size == size && memcmp(json, again, size) == 0, "%.*s", (int)again_size, again);
	order_free(decoded);
}

static void every_width_and_list_comes_back_whole(void)
{
	static const char expected[] =
		"{\"i8\":-128,\"i16\":-32768,\"i32\":-2147483648,\"i64\":-9223372036854775808,"
		"\"u8\":255,\"u16\":65535,\"u32\":4294967295,\"u64\":9223372036854775807,"
		"\"l\":-5,\"ul\":6,\"ll\":-7,\"ull\":8,\"text\":\"writable\",\"small\":[-128,127,3],"
		"\"large\":[1,9223372036854775807],\"numbers\":[0.1,-1e-300,5.0,1000000000.0],"
		"\"flags\":[true,false],\"raws\":[1,null,[true]],\"currencies\":[\"USD\",\"EUR\"],"
		"\"address\":{\"street\":\"S\",\"city\":\"C\",\"floor\":1}}";
	char json[2048], again[2048];
	size_t size = 0, again_size = 0;
	struct ferry_error err = {0};
	const struct widths *decoded = NULL;
	OK(widths_encode(&full_widths, json, sizeof json, &size, &err), &err);
	CHECK(size == strlen(expected) && memcmp(json, expected, size) == 0, "%.*s", (int)size, json);
	OK(widths_decode(json, size, &decoded, &err), &err);
	CHECK(decoded->i8 == INT8_MIN && decoded->i16 == INT16_MIN && decoded->i32 == INT32_MIN &&
		      decoded->i64 == INT64_MIN && decoded->u8 == UINT8_MAX && decoded->u16 == UINT16_MAX &&
		      decoded->u32 == UINT32_MAX && decoded->u64 == INT64_MAX,
	      "a width differs");
	CHECK(decoded->numbers[0] == 0.1 && decoded->small[0] == -128 && decoded->flags[0] &&
		      decoded->currencies[1] == CURRENCY_EUR && decoded->has_address,
	      "a list differs");
	OK(widths_encode(decoded, again, sizeof again, &again_size, &err), &err);
	CHECK(again_size == size && memcmp(json, again, size) == 0, "%.*s", (int)again_size, again);
	widths_free(decoded);
}

static void what_is_absent_or_null_is_zero(void)
{
	static const char json[] =
		"{\"order_id\":\"A1\",\"cents\":0,\"currency\":\"EUR\",\"billing\":null,\"note\":null,"
		"\"discount\":null,\"address\":{\"street\":\"\",\"city\":\"C\",\"zip\":[1]},"
		"\"items\":[{\"sku\":\"\",\"cents\":0,\"count\":1}],\"unknown\":{\"cents\":\"x\"}}";
	static const char expected[] =
		"{\"order_id\":\"A1\",\"cents\":0,\"weight-kg\":0.5,\"gift\":false,\"currency\":\"EUR\","
		"\"address\":{\"street\":\"\",\"city\":\"C\"},"
		"\"items\":[{\"sku\":\"\",\"cents\":0,\"count\":1}]}";
	char again[512];
	size_t size = 0;
	struct ferry_error err = {0};
	const struct order *decoded = NULL;
	OK(order_decode(json, strlen(json), &decoded, &err), &err);
	CHECK(decoded->weight == 0 && !decoded->gift && !decoded->billing && !decoded->note &&
		      !decoded->extra.text && !decoded->has_discount && !decoded->discount &&
		      !decoded->items[0].tags && !decoded->address.has_floor,
	      "something absent is not zero");
	struct order copy = *decoded;
	copy.weight = 0.5;
	OK(order_encode(&copy, again, sizeof again, &size, &err), &err);
	CHECK(size == strlen(expected) && memcmp(again, expected, size) == 0, "%.*s", (int)size, again);
	order_free(decoded);
}

static void empty_and_absent_lists_stay_apart(void)
{
	static const char given[] = "{\"value\":1,\"children\":[],\"raw\":null}";
	char json[512];
	size_t size = 0;
	struct ferry_error err = {0};
	const struct tree *decoded = NULL;
	OK(tree_decode(given, strlen(given), &decoded, &err), &err);
	CHECK(decoded->children && decoded->child_count == 0, "the empty list is absent");
	CHECK(decoded->raw.size == 4 && memcmp(decoded->raw.text, "null", 4) == 0, "raw null is lost");
	OK(tree_encode(decoded, json, sizeof json, &size, &err), &err);
	CHECK(size == strlen(given) && memcmp(json, given, size) == 0, "%.*s", (int)size, json);
	tree_free(decoded);
	OK(tree_encode(&(struct tree){.value = 1}, json, sizeof json, &size, &err), &err);
	CHECK(size == 11 && memcmp(json, "{\"value\":1}", 11) == 0, "%.*s", (int)size, json);
}

/* Lists and strings that do not fit into the first piece of memory. */
static void large_events_come_back_whole(void)
{
	enum { COUNT = 2000 };
	struct tree *children = calloc(COUNT, sizeof *children);
	char *json = malloc(1 << 20), *again = malloc(1 << 20);
	size_t size = 0, again_size = 0;
	struct ferry_error err = {0};
	const struct tree *decoded = NULL;
	CHECK(children && json && again, "out of memory");
	for (int i = 0; i < COUNT; i++)
		children[i] =
			(struct tree){.value = i, .left = i ? &children[i - 1] : NULL, .raw = {"[]", 2}};
	for (int i = 1; i < COUNT; i++)
		children[i].left = &children[0];
	struct tree root = {.value = -1, .children = children, .child_count = COUNT};
	OK(tree_encode(&root, json, 1 << 20, &size, &err), &err);
	OK(tree_decode(json, size, &decoded, &err), &err);
	for (int i = 0; i < COUNT; i++)
		CHECK(decoded->children[i].value == i && (i == 0 || decoded->children[i].left->value == 0),
		      "child %d differs", i);
	OK(tree_encode(decoded, again, 1 << 20, &again_size, &err), &err);
	CHECK(size == again_size && memcmp(json, again, size) == 0, "the JSON differs");
	tree_free(decoded);
	free(children);
	free(json);
	free(again);
}

static void a_small_buffer_is_told_the_size(void)
{
	char json[16];
	size_t size = 0;
	struct ferry_error err = {0};
	CHECK(order_encode(&full_order, NULL, 0, &size, &err) == FERRY_E_TOO_LARGE, "it fits into nothing");
	CHECK(size == strlen(full_order_json), "%zu bytes", size);
	size = 0;
	CHECK(order_encode(&full_order, json, sizeof json, &size, NULL) == FERRY_E_TOO_LARGE, "it fits");
	CHECK(size == strlen(full_order_json), "%zu bytes", size);
}

/* An element of the depth `depth`, objects and lists counted. */
static size_t nested(char *json, int depth)
{
	char *at = json;
	for (int i = 0; i < depth - 1; i++)
		at += sprintf(at, "{\"value\":1,\"left\":");
	at += sprintf(at, "{\"value\":2}");
	for (int i = 0; i < depth - 1; i++)
		*at++ = '}';
	*at = '\0';
	return (size_t)(at - json);
}

static void sixty_four_levels_are_allowed_both_ways(void)
{
	char json[4096], again[4096];
	struct ferry_error err = {0};
	size_t size = nested(json, 64), again_size = 0;
	const struct tree *decoded = NULL;
	OK(tree_decode(json, size, &decoded, &err), &err);
	OK(tree_encode(decoded, again, sizeof again, &again_size, &err), &err);
	CHECK(again_size == size && memcmp(json, again, size) == 0, "the JSON differs");
	struct tree deeper = {.value = 0, .left = decoded};
	CHECK(tree_encode(&deeper, again, sizeof again, &again_size, &err) == FERRY_E_INVALID &&
		      strstr(err.text, "nested deeper than 64") && strstr(err.text, "test.tree: left.left."),
	      "depth 65 is encoded: %s", err.text);
	tree_free(decoded);
	struct tree ring = {.value = 1};
	ring.children = &ring;
	ring.child_count = 1;
	CHECK(tree_encode(&ring, again, sizeof again, &again_size, &err) == FERRY_E_INVALID &&
		      strstr(err.text, "nested deeper than 64"),
	      "a ring is encoded: %s", err.text);
}

/* Brackets in strings do not nest. */
static void brackets_in_text_are_no_depth(void)
{
	char json[512] = "{\"value\":1,\"note\":\"\\\"";
	struct ferry_error err = {0};
	const struct tree *decoded = NULL;
	memset(json + strlen(json), '[', 200);
	strcat(json, "\\\\\"}");
	OK(tree_decode(json, strlen(json), &decoded, &err), &err);
	tree_free(decoded);
}

const struct typed_test round_tests[] = {
	{"a_full_order_comes_back_whole", a_full_order_comes_back_whole},
	{"every_width_and_list_comes_back_whole", every_width_and_list_comes_back_whole},
	{"what_is_absent_or_null_is_zero", what_is_absent_or_null_is_zero},
	{"empty_and_absent_lists_stay_apart", empty_and_absent_lists_stay_apart},
	{"large_events_come_back_whole", large_events_come_back_whole},
	{"a_small_buffer_is_told_the_size", a_small_buffer_is_told_the_size},
	{"sixty_four_levels_are_allowed_both_ways", sixty_four_levels_are_allowed_both_ways},
	{"brackets_in_text_are_no_depth", brackets_in_text_are_no_depth},
	{NULL, NULL},
};
