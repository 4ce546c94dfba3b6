/*
 * event_test.c - reading a line of JSON as an event: what each line means, and where each wrong one is wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "event.h"
#include "scan.h"

static int failures;

static void complain(const char *line, const char *what)
{
	failures++;
	printf("FAILED: %s\n  %s\n", line, what);
}

#define BYTES(text) text, sizeof(text) - 1

/* ---- good lines ---- */

static const struct good {
	const char *line;
	const char *payload;
	size_t payload_size;
	const char *topic, *key; /* NULL: none */
	const char *attributes;  /* "name=value;..." */
} good[] = {
	{"{\"topic\":\"t\",\"payload\":{\"a\" :  1.50, \"b\":\"\\u00e9\"}}",
	 BYTES("{\"a\" :  1.50, \"b\":\"\\u00e9\"}"), "t", NULL, ""},
	{"{\"payload\":[ ]}", BYTES("[ ]"), NULL, NULL, ""},
	{" { \"payload\" : [1,[2,{}],{\"a\":[]}] } \r", BYTES("[1,[2,{}],{\"a\":[]}]"), NULL, NULL, ""},
	{"{\"payload\":1e400}", BYTES("1e400"), NULL, NULL, ""},
	{"{\"payload\":123456789012345678901234567890}", BYTES("123456789012345678901234567890"), NULL, NULL,
	 ""},
	{"{\"payload\":-0.0E-5}", BYTES("-0.0E-5"), NULL, NULL, ""},
	{"{\"payload\":null}", BYTES("null"), NULL, NULL, ""},
	{"{\"payload\":false,\"key\":null,\"topic\":null,\"attributes\":null}", BYTES("false"), NULL, NULL,
	 ""},
	{"{\"payload\":{\"a\":\"\\ud800\"}}", BYTES("{\"a\":\"\\ud800\"}"), NULL, NULL, ""},
	{"{\"payload\":\"two words\"}", BYTES("two words"), NULL, NULL, ""},
	{"{\"payload\":\"\"}", BYTES(""), NULL, NULL, ""},
	{"{\"payload\":\"\\\"q\\\"\"}", BYTES("\"q\""), NULL, NULL, ""},
	{"{\"payload\":\"a\\u0000b\"}", BYTES("a\0b"), NULL, NULL, ""},
	{"{\"payload\":\"\\u00e9\\u20ac\\ud83d\\ude00\\n\\/\"}",
	 BYTES("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\n/"), NULL, NULL, ""},
	{"{\"payload_base64\":\"AP8=\"}", BYTES("\0\xFF"), NULL, NULL, ""},
	{"{\"payload_base64\":\"\"}", BYTES(""), NULL, NULL, ""},
	{"{\"key\":\"k\\u00e9\",\"payload\":1}", BYTES("1"), NULL, "k\xC3\xA9", ""},
	{"{\"key_base64\":\"/w==\",\"payload\":1}", BYTES("1"), NULL, "\xFF", ""},
	{"{\"attributes\":{},\"payload\":1}", BYTES("1"), NULL, NULL, ""},
	{"{\"attributes\":{\"a\":\"1\",\"b\" : \"\"},\"payload\":1}", BYTES("1"), NULL, NULL, "a=1;b=;"},
	{"{\"attempt\":3,\"timestamp\":\"x\",\"other\":{\"payload\":2},\"payload\":1}", BYTES("1"), NULL,
	 NULL, ""},
};

static int same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_good(struct event *event, const struct good *expected)
{
	struct event_error err;
	char attributes[64] = "";
	if (event_read(event, expected->line, strlen(expected->line), &err)) {
		complain(expected->line, err.text);
		return;
	}
	for (const struct ferry_attribute *a = event->attributes; a->name; a++) {
		size_t used = strlen(attributes);
		snprintf(attributes + used, sizeof attributes - used, "%s=%s;", a->name, a->value);
	}
	if (event->payload_size != expected->payload_size ||
	    memcmp(event->payload, expected->payload, event->payload_size) != 0)
		complain(expected->line, "the payload");
	if (!same(event->topic, expected->topic))
		complain(expected->line, "the topic");
	const char *key = expected->key ? expected->key : "";
	if ((event->key != NULL) != (expected->key != NULL) || event->key_size != strlen(key) ||
	    (event->key && memcmp(event->key, key, event->key_size) != 0))
		complain(expected->line, "the key");
	if (strcmp(attributes, expected->attributes) != 0)
		complain(expected->line, attributes);
}

/* ---- wrong lines ---- */

static const struct bad {
	const char *line;
	size_t byte;
	const char *text;
} bad[] = {
	{"", 1, "an object is expected"},
	{"hello", 1, "an object is expected"},
	{"[]", 1, "an object is expected"},
	{"{", 2, "a string is expected"},
	{"{}", 3, "there is no payload"},
	{"{\"topic\":\"t\"}", 14, "there is no payload"},
	{"{\"a\":1,}", 8, "a string is expected"},
	{"{\"payload\":1,}", 14, "a string is expected"},
	{"{\"payload\":1", 13, "',' or '}' is expected"},
	{"{\"payload\":1 \"a\":2}", 14, "',' or '}' is expected"},
	{"{\"payload\":1}x", 14, "something follows the object"},
	{"{\"payload\" 1}", 12, "':' is expected"},
	{"{\"payload\":}", 12, "a value is expected"},
	{"{\"payload\":nul}", 12, "a value is expected"},
	{"{\"payload\":01}", 13, "',' or '}' is expected"},
	{"{\"payload\":1.}", 14, "a digit is expected"},
	{"{\"payload\":-}", 13, "a digit is expected"},
	{"{\"payload\":1e+}", 15, "a digit is expected"},
	{"{\"payload\":[1,]}", 15, "a value is expected"},
	{"{\"payload\":[1}}", 14, "',' or ']' is expected"},
	{"{\"payload\":{\"a\"}}", 16, "':' is expected"},
	{"{\"payload\":{\"a\":1]}", 18, "',' or '}' is expected"},
	{"{\"payload\":{1:2}}", 13, "a string is expected"},
	{"{\"payload\":\"x}", 15, "the string does not end"},
	{"{\"payload\":\"\\x\"}", 14, "no such escape"},
	{"{\"payload\":\"\\u12g4\"}", 17, "\\u needs four hex digits"},
	{"{\"payload\":\"\\ud800\"}", 19, "half of a surrogate pair"},
	{"{\"payload\":\"\\udc00\"}", 19, "half of a surrogate pair"},
	{"{\"payload\":\"\\ud800\\u0041\"}", 25, "half of a surrogate pair"},
	{"{\"payload\":\"a\tb\"}", 14, "a control character has to be escaped"},
	{"{\"payload\":\"a\xFF\"}", 14, "not UTF-8"},
	{"{\"payload\":{\"a\":\"\xC0\x80\"}}", 18, "not UTF-8"},
	{"{\"payload\":\"\xED\xA0\x80\"}", 13, "not UTF-8"},
	{"{\"payload\":\"\xE2\x82\"}", 13, "not UTF-8"},
	{"{\"payload\":1,\"payload\":2}", 14, "this is there twice"},
	{"{\"payload\":1,\"payload_base64\":\"\"}", 14, "this is there twice"},
	{"{\"key\":\"a\",\"key_base64\":\"\"}", 12, "this is there twice"},
	{"{\"payload_base64\":\"AA\"}", 19, "not base64"},
	{"{\"payload_base64\":\"AA=A\"}", 19, "not base64"},
	{"{\"payload_base64\":\"A===\"}", 19, "not base64"},
	{"{\"payload_base64\":\"AB==\"}", 19, "not base64"},
	{"{\"payload_base64\":\"AA==AAAA\"}", 19, "not base64"},
	{"{\"payload_base64\":\"A\\u0000AA\"}", 19, "not base64"},
	{"{\"payload_base64\":1}", 19, "a string is expected"},
	{"{\"payload_base64\":null}", 24, "there is no payload"},
	{"{\"topic\":7,\"payload\":1}", 10, "a string is expected"},
	{"{\"topic\":\"a\\u0000b\",\"payload\":1}", 10, "a NUL character is not allowed here"},
	{"{\"key\":[],\"payload\":1}", 8, "a string is expected"},
	{"{\"attributes\":[],\"payload\":1}", 15, "attributes have to be an object"},
	{"{\"attributes\":{\"a\":1},\"payload\":1}", 20, "an attribute's value has to be a string"},
	{"{\"attributes\":{\"a\":\"1\",},\"payload\":1}", 24, "a string is expected"},
	{"{\"attributes\":{\"a\":\"1\",\"a\":\"2\"},\"payload\":1}", 24, "the attribute is there twice"},
	{"{\"attributes\":{\"a\":\"\\u0000\"},\"payload\":1}", 20, "a NUL character is not allowed here"},
	{"{\"attributes\":{\"a\":\"\xFF\"},\"payload\":1}", 21, "not UTF-8"},
};

static void check_bad(struct event *event, const struct bad *expected)
{
	struct event_error err = {0, "it was read"};
	char found[200];
	/* In memory of just its size: a sanitizer sees a read behind the end. */
	size_t size = strlen(expected->line);
	char *line = malloc(size ? size : 1);
	if (!line)
		exit(1);
	memcpy(line, expected->line, size);
	event_read(event, line, size, &err);
	free(line);
	snprintf(found, sizeof found, "byte %zu: %s", err.byte, err.text);
	if (err.byte != expected->byte || strcmp(err.text, expected->text) != 0)
		complain(expected->line, found);
}

/* ---- the rest ---- */

static void check_depth(void)
{
	char text[2 * (SCAN_DEPTH_MAX + 1)];
	memset(text, '[', SCAN_DEPTH_MAX + 1);
	memset(text + SCAN_DEPTH_MAX + 1, ']', SCAN_DEPTH_MAX + 1);
	if (!scan_is_value(text + 1, 2 * SCAN_DEPTH_MAX))
		complain("[[[...", "the deepest nesting is refused");
	if (scan_is_value(text, sizeof text))
		complain("[[[...", "nested too deeply, and accepted");
}

static void check_whole_values(void)
{
	static const char *const none[] = {"", " 1", "1 ", "1 2", "{}{}", "text", "'a'"};
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
		if (scan_is_value(none[i], strlen(none[i])))
			complain(none[i], "is no value by itself");
	}
	if (!scan_is_value(BYTES("{ \"a\": [1, 2] }")))
		complain("{ \"a\": [1, 2] }", "is a value");
}

static void check_base64(void)
{
	unsigned char bytes[256], back[256];
	char text[344];
	size_t size;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 167 + 13);
	for (size_t i = 0; i <= sizeof bytes; i++) {
		base64_encode(bytes, i, text);
		if (!base64_decode(text, base64_size(i), back, &size) || size != i ||
		    memcmp(bytes, back, i) != 0)
			complain("base64", "does not come back");
	}
	base64_encode("Man", 3, text);
	base64_encode("Ma", 2, text + 4);
	base64_encode("M", 1, text + 8);
	if (memcmp(text, "TWFuTWE=TQ==", 12) != 0)
		complain("base64", "is spelt wrong");
}

static void check_many_attributes(struct event *event)
{
	char line[EVENT_ATTRIBUTES_MAX * 16 + 100];
	struct event_error err = {0, ""};
	for (int more = 0; more < 2; more++) {
		size_t size =
			(size_t)snprintf(line, sizeof line, "{\"payload\":1,\"attributes\":{\"a\":\"\"");
		for (int i = 1; i < EVENT_ATTRIBUTES_MAX + more; i++)
			size += (size_t)snprintf(line + size, sizeof line - size, ",\"a%d\":\"\"", i);
		size += (size_t)snprintf(line + size, sizeof line - size, "}}");
		if ((event_read(event, line, size, &err) == 0) != (more == 0))
			complain("many attributes", err.text);
	}
	if (strcmp(err.text, "too many attributes") != 0)
		complain("too many attributes", err.text);
}

int main(void)
{
	struct event event = {.strings = NULL};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		check_good(&event, &good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		check_bad(&event, &bad[i]);
	check_depth();
	check_whole_values();
	check_base64();
	check_many_attributes(&event);
	event_finish(&event);
	printf("%zu lines, %d failures\n", sizeof good / sizeof good[0] + sizeof bad / sizeof bad[0],
	       failures);
	return failures ? 1 : 0;
}
