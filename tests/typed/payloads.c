#include "payloads.h"

#define ADDRESS "\"address\":{\"street\":\"S\",\"city\":\"C\"}"
#define ITEMS   "\"items\":[{\"sku\":\"A\",\"cents\":1,\"count\":1}]"
#define HEAD    "{\"order_id\":\"A1\",\"cents\":1,\"currency\":\"EUR\","
/* A sound order with one more member, or with its address or its items replaced. */
#define WITH(MEMBER)       HEAD ADDRESS "," ITEMS "," MEMBER "}"
#define WITH_ADDRESS(JSON) HEAD "\"address\":" JSON "," ITEMS "}"
#define WITH_ITEMS(JSON)   HEAD ADDRESS ",\"items\":" JSON "}"
#define WITH_ITEM(JSON)    WITH_ITEMS("[{\"sku\":\"A\",\"cents\":1,\"count\":1}," JSON "]")
#define ITEM(MEMBERS)      WITH_ITEM("{\"sku\":\"B\",\"cents\":1," MEMBERS "}")

#define OPEN_7   "[[[[[[["
#define CLOSE_7  "]]]]]]]"
#define DEEP_63  OPEN_7 OPEN_7 OPEN_7 OPEN_7 OPEN_7 OPEN_7 OPEN_7 OPEN_7 OPEN_7
#define CLOSE_63 CLOSE_7 CLOSE_7 CLOSE_7 CLOSE_7 CLOSE_7 CLOSE_7 CLOSE_7 CLOSE_7 CLOSE_7

const struct bad_payload bad_payloads[] = {
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
	{"{\"a\\u000\303\251\":1}", "byte 9: invalid escape near '\"a\\u000?'", 0},
	{WITH("\"unknown\":" DEEP_63 "[]" CLOSE_63), "byte 196: nested deeper than 64", 0},

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
const size_t bad_payload_count = sizeof(bad_payloads) / sizeof(bad_payloads[0]);
_Static_assert(sizeof(bad_payloads) / sizeof(bad_payloads[0]) >= 60, "there are many ways to be wrong");

/* What the wrong ones are made from is right. */
const char *const sound_payloads[] = {
	WITH("\"note\":\"x\""),
	WITH_ADDRESS("{\"street\":\"S\",\"city\":\"C\",\"floor\":-3}"),
	WITH_ITEM("{\"sku\":\"B\",\"cents\":1,\"count\":1000,\"tags\":[]}"),
	ITEM("\"count\":1"),
	WITH("\"discount\":0"),
	WITH("\"weight-kg\":1"),
	WITH("\"unknown\":" DEEP_63 CLOSE_63),
};
const size_t sound_payload_count = sizeof(sound_payloads) / sizeof(sound_payloads[0]);

size_t bad_payload_size(const struct bad_payload *payload)
{
	return payload->size ? payload->size : strlen(payload->text);
}
