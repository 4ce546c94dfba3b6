/*
 * schema_test.c - the JSON Schema says what the field table says.
 */
#include <jansson.h>
#include <stdlib.h>

#include "typed_test.h"

static json_t *schema_of(const struct ferry_topic *topic)
{
	char text[16384], cut[100];
	json_error_t error;
	size_t size = ferry_topic_json_schema(topic, text, sizeof text);
	CHECK(size && size < sizeof text && strlen(text) == size, "%zu bytes", size);
	CHECK(ferry_topic_json_schema(topic, cut, sizeof cut) == size && strlen(cut) == sizeof cut - 1 &&
		      strncmp(cut, text, sizeof cut - 1) == 0,
	      "a small buffer is not cut");
	CHECK(ferry_topic_json_schema(topic, NULL, 0) == size, "without a buffer");
	json_t *schema = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	CHECK(schema, "byte %d: %s: %s", error.position, error.text, text);
	return schema;
}

/* The member of a struct: "" = the topic's own. */
static const json_t *property(const json_t *schema, const char *owner, const char *name)
{
	const json_t *s = *owner ? json_object_get(json_object_get(schema, "$defs"), owner) : schema;
	const json_t *found = json_object_get(json_object_get(s, "properties"), name);
	CHECK(found, "%s.%s is missing", owner, name);
	return found;
}

/* A property is, text for text. */
static void property_is(const json_t *schema, const char *owner, const char *name, const char *expected)
{
	json_t *wanted = json_loads(expected, 0, NULL);
	const json_t *found = property(schema, owner, name);
	CHECK(wanted, "%s", expected);
	if (!json_equal((json_t *)(uintptr_t)found, wanted)) {
		char *text = json_dumps(found, 0);
		CHECK(false, "%s.%s is %s, not %s", owner, name, text, expected);
	}
	json_decref(wanted);
}

static void required_is(const json_t *schema, const char *owner, const char *expected)
{
	const json_t *s = *owner ? json_object_get(json_object_get(schema, "$defs"), owner) : schema;
	json_t *wanted = json_loads(expected, 0, NULL);
	CHECK(json_equal(json_object_get(s, "required"), wanted), "what %s requires differs", owner);
	json_decref(wanted);
}

static void the_order_is_described(void)
{
	json_t *s = schema_of(&order_topic);
	CHECK(strcmp(json_string_value(json_object_get(s, "$schema")),
		     "https://json-schema.org/draft/2020-12/schema") == 0,
	      "another draft");
	CHECK(strcmp(json_string_value(json_object_get(s, "$id")), "urn:ferry:order.placed:1") == 0,
	      "another id");
	CHECK(strcmp(json_string_value(json_object_get(s, "type")), "object") == 0, "another type");
	CHECK(json_object_size(json_object_get(s, "properties")) == 11, "not 11 properties");
	CHECK(json_object_size(json_object_get(s, "$defs")) == 2, "not 2 definitions");
	required_is(s, "", "[\"order_id\",\"cents\",\"currency\",\"address\",\"items\"]");
	required_is(s, "address", "[\"street\",\"city\"]");
	required_is(s, "item", "[\"sku\",\"cents\",\"count\"]");
	property_is(s, "", "order_id",
		    "{\"type\":\"string\",\"minLength\":1,\"maxLength\":12,"
		    "\"description\":\"Unique id of the \\\"order\\\".\"}");
	property_is(s, "", "cents", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000}");
	property_is(s, "", "weight-kg", "{\"type\":[\"number\",\"null\"],\"minimum\":0.5,\"maximum\":99.5}");
	property_is(s, "", "gift", "{\"type\":[\"boolean\",\"null\"]}");
	property_is(s, "", "currency", "{\"enum\":[\"EUR\",\"USD\"]}");
	property_is(s, "", "address", "{\"anyOf\":[{\"$ref\":\"#/$defs/address\"}]}");
	property_is(s, "", "billing", "{\"anyOf\":[{\"$ref\":\"#/$defs/address\"},{\"type\":\"null\"}]}");
	property_is(s, "", "items",
		    "{\"type\":\"array\",\"items\":{\"anyOf\":[{\"$ref\":\"#/$defs/item\"}]},"
		    "\"minItems\":1,\"maxItems\":10}");
	property_is(s, "", "extra", "{\"$comment\":\"any value\"}");
	property_is(s, "address", "floor",
		    "{\"type\":[\"integer\",\"null\"],\"minimum\":-3,\"maximum\":32767}");
	property_is(s, "item", "count", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}");
	property_is(s, "item", "tags",
		    "{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\",\"maxLength\":5},"
		    "\"maxItems\":3}");
	json_decref(s);
}

static void each_width_has_its_range(void)
{
	json_t *s = schema_of(&widths_topic);
	property_is(s, "", "i8", "{\"type\":[\"integer\",\"null\"],\"minimum\":-128,\"maximum\":127}");
	property_is(s, "", "u16", "{\"type\":[\"integer\",\"null\"],\"minimum\":0,\"maximum\":65535}");
	property_is(s, "", "i32",
		    "{\"type\":[\"integer\",\"null\"],\"minimum\":-2147483648,\"maximum\":2147483647}");
	property_is(s, "", "i64",
		    "{\"type\":[\"integer\",\"null\"],\"minimum\":-9223372036854775808,"
		    "\"maximum\":9223372036854775807}");
	property_is(s, "", "u64",
		    "{\"type\":[\"integer\",\"null\"],\"minimum\":0,\"maximum\":9223372036854775807}");
	property_is(s, "", "currencies",
		    "{\"type\":[\"array\",\"null\"],\"items\":{\"enum\":[\"EUR\",\"USD\"]}}");
	CHECK(!json_object_get(s, "required"), "something is required");
	json_decref(s);
}

static void a_struct_may_hold_itself(void)
{
	json_t *s = schema_of(&tree_topic);
	CHECK(json_object_size(json_object_get(s, "$defs")) == 1, "not 1 definition");
	required_is(s, "tree", "[\"value\"]");
	property_is(s, "tree", "left", "{\"anyOf\":[{\"$ref\":\"#/$defs/tree\"},{\"type\":\"null\"}]}");
	json_decref(s);
}

static void no_topic_has_no_schema(void)
{
	char text[8] = "before";
	CHECK(ferry_topic_json_schema(NULL, text, sizeof text) == 0, "a schema of no topic");
	CHECK(text[0] == '\0', "\"%s\" is left behind", text);
	CHECK(ferry_topic_json_schema(NULL, NULL, 0) == 0, "a schema of no topic");
}

const struct typed_test schema_tests[] = {
	{"the_order_is_described", the_order_is_described},
	{"each_width_has_its_range", each_width_has_its_range},
	{"a_struct_may_hold_itself", a_struct_may_hold_itself},
	{"no_topic_has_no_schema", no_topic_has_no_schema},
	{NULL, NULL},
};
