/*
 * ndjson_test.c - lines that are accepted, with what is read from them, and lines that are refused, with
 * where.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ndjson.h"

static int failures;

static void check(int ok, const char *line, const char *what)
{
	if (ok)
		return;
	failures++;
	printf("FAILED: %s: %s\n", line, what);
}

static const struct {
	const char *line, *topic, *key, *name, *value, *payload; /* key, name: NULL = none */
} good[] = {
	{"{\"topic\":\"a\",\"payload\":1}", "a", NULL, NULL, NULL, "1"},
	{" { \"payload\" : [ 1 , {} ] , \"topic\" : \"a.b\" } \r", "a.b", NULL, NULL, NULL, "[ 1 , {} ]"},
	{"{\"topic\":\"a\",\"key\":\"k\",\"attributes\":{\"n\":\"v\"},\"payload\":\"\\u0000\\ud800\"}", "a",
	 "k", "n", "v", "\"\\u0000\\ud800\""},
	{"{\"topic\":\"a\",\"key\":null,\"attributes\":{},\"payload\":null}", "a", NULL, NULL, NULL, "null"},
	{"{\"t\\u006fpic\":\"\\u00e9\\uD83D\\ude00\\n\\/\",\"payload\":-0.5e+3}",
	 "\xC3\xA9\xF0\x9F\x98\x80\n/", NULL, NULL, NULL, "-0.5e+3"},
	{"{\"topic\":\"a\",\"payload\":{\"x\":[true,false]},\"other\":[{\"y\":0}]}", "a", NULL, NULL, NULL,
	 "{\"x\":[true,false]}"},
};

static const struct {
	const char *line;
	size_t byte;
	const char *text;
} bad[] = {
	{"", 1, "an object is expected"},
	{"[]", 1, "an object is expected"},
	{"{}", 2, "a string is expected"},
	{"{\"topic\":\"a\"}", 14, "there is no payload"},
	{"{\"payload\":1}", 14, "there is no topic"},
	{"{\"topic\":7,\"payload\":1}", 10, "a string is expected"},
	{"{\"topic\":\"a\",\"topic\":\"b\",\"payload\":1}", 21, "the member is there twice"},
	{"{\"topic\":\"a\",\"payload\":01}", 25, "',' or '}' is expected"},
	{"{\"topic\":\"a\",\"payload\":1.}", 26, "a digit is expected"},
	{"{\"topic\":\"a\",\"payload\":-}", 25, "a digit is expected"},
	{"{\"topic\":\"a\",\"payload\":1e}", 26, "a digit is expected"},
	{"{\"topic\":\"a\",\"payload\":nul}", 24, "a value is expected"},
	{"{\"topic\":\"a\",\"payload\":[1,]}", 27, "a value is expected"},
	{"{\"topic\":\"a\",\"payload\":[1 2]}", 27, "',' or ']' is expected"},
	{"{\"topic\":\"a\",\"payload\":{\"x\" 1}}", 29, "':' is expected"},
	{"{\"topic\":\"a\",\"payload\":{x:1}}", 25, "a string is expected"},
	{"{\"topic\":\"a\",\"payload\":1} x", 27, "something follows the object"},
	{"{\"topic\":\"a\",\"payload\":1", 25, "',' or '}' is expected"},
	{"{\"topic\":\"a", 12, "the string does not end"},
	{"{\"topic\":\"a\tb\",\"payload\":1}", 12, "a control character has to be escaped"},
	{"{\"topic\":\"\\x\",\"payload\":1}", 12, "no such escape"},
	{"{\"topic\":\"\\u12g4\",\"payload\":1}", 15, "\\u needs four hex digits"},
	{"{\"topic\":\"\\u0000\",\"payload\":1}", 17, "a NUL character is not allowed here"},
	{"{\"topic\":\"\\ud83dx\",\"payload\":1}", 17, "half of a surrogate pair"},
	{"{\"topic\":\"\\ude00\",\"payload\":1}", 17, "half of a surrogate pair"},
	{"{\"topic\":\"\xC0\xAF\",\"payload\":1}", 11, "not UTF-8"},
	{"{\"topic\":\"a\",\"payload\":\"\xED\xA0\x80\"}", 25, "not UTF-8"},
	{"{\"topic\":\"a\",\"payload\":\"\xF4\x90\x80\x80\"}", 25, "not UTF-8"},
	{"{\"topic\":\"a\",\"payload\":\"\x80\"}", 25, "not UTF-8"},
	{"{\"topic\":\"a\",\"payload\":\"\xE2\x82", 25, "not UTF-8"},
	{"{\"topic\":\"a\",\"attributes\":[],\"payload\":1}", 27, "attributes have to be an object"},
	{"{\"topic\":\"a\",\"attributes\":{\"n\":1},\"payload\":1}", 32,
	 "an attribute's value has to be a string"},
	{"{\"topic\":\"a\",\"attributes\":{\"n\":\"1\",\"n\":\"2\"},\"payload\":1}", 43,
	 "the attribute is there twice"},
};

static int same(const char *expected, const char *text)
{
	return expected && text ? strcmp(expected, text) == 0 : !expected && !text;
}

/* Parse a copy of exactly this length, so that reading past its end is found. */
static int parse(const char *text, size_t size, char **ret_copy, struct ndjson_event *event,
		 struct ndjson_error *err)
{
	char *copy = malloc(size ? size : 1);
	if (!copy)
		abort();
	memcpy(copy, text, size);
	*ret_copy = copy;
	return ndjson_parse(copy, size, event, err);
}

static void check_good(size_t i)
{
	struct ndjson_event event = {0};
	struct ndjson_error err;
	char *copy;
	int code = parse(good[i].line, strlen(good[i].line), &copy, &event, &err);
	check(code == 0, good[i].line, "refused");
	if (code == 0) {
		check(same(good[i].topic, event.topic), good[i].line, "topic");
		check(same(good[i].key, event.key), good[i].line, "key");
		check(!event.key || event.key_size == strlen(event.key), good[i].line, "key_size");
		check(same(good[i].name, event.attributes[0].name), good[i].line, "attribute's name");
		check(same(good[i].value, event.attributes[0].value), good[i].line, "attribute's value");
		check(!event.attributes[1].name, good[i].line, "one attribute at most");
		check(event.payload_size == strlen(good[i].payload) &&
			      memcmp(event.payload, good[i].payload, event.payload_size) == 0,
		      good[i].line, "payload");
	}
	ndjson_free(&event);
	free(copy);
}

static void check_bad(size_t i)
{
	struct ndjson_event event = {0};
	struct ndjson_error err = {0};
	char *copy;
	check(parse(bad[i].line, strlen(bad[i].line), &copy, &event, &err) != 0, bad[i].line, "accepted");
	if (err.byte != bad[i].byte || !same(bad[i].text, err.text)) {
		failures++;
		printf("FAILED: %s: byte %zu, %s\n", bad[i].line, err.byte, err.text ? err.text : "-");
	}
	ndjson_free(&event);
	free(copy);
}

/* Every beginning of a good line is refused. */
static void check_cut(const char *line)
{
	for (size_t size = 0; line[size] != '}' || strchr(line + size + 1, '}'); size++) {
		struct ndjson_event event = {0};
		struct ndjson_error err;
		char *copy;
		check(parse(line, size, &copy, &event, &err) != 0, line, "a beginning of it is accepted");
		ndjson_free(&event);
		free(copy);
	}
}

static void check_depth(size_t depth, int accepted)
{
	static const char head[] = "{\"topic\":\"a\",\"payload\":";
	char line[1024] = {0};
	size_t at = sizeof head - 1;
	memcpy(line, head, at);
	memset(line + at, '[', depth);
	memset(line + at + depth, ']', depth);
	line[at + 2 * depth] = '}';
	struct ndjson_event event = {0};
	struct ndjson_error err = {0};
	check((ndjson_parse(line, strlen(line), &event, &err) == 0) == accepted, "depth",
	      accepted ? "refused" : "accepted");
	check(accepted || same("nested too deeply", err.text), "depth", "text");
	ndjson_free(&event);
}

static void check_attribute_count(int count, int accepted)
{
	char line[2048];
	int at = snprintf(line, sizeof line, "{\"topic\":\"a\",\"payload\":1,\"attributes\":{");
	for (int i = 0; i < count; i++)
		at += snprintf(line + at, sizeof line - (size_t)at, "%s\"n%d\":\"\"", i ? "," : "", i);
	snprintf(line + at, sizeof line - (size_t)at, "}}");
	struct ndjson_event event = {0};
	struct ndjson_error err = {0};
	check((ndjson_parse(line, strlen(line), &event, &err) == 0) == accepted, "attributes",
	      accepted ? "refused" : "accepted");
	check(accepted || same("too many attributes", err.text), "attributes", "text");
	ndjson_free(&event);
}

int main(void)
{
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		check_good(i);
		check_cut(good[i].line);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		check_bad(i);
	check_depth(NDJSON_DEPTH_MAX, 1);
	check_depth(NDJSON_DEPTH_MAX + 1, 0);
	check_attribute_count(NDJSON_ATTRIBUTES_MAX, 1);
	check_attribute_count(NDJSON_ATTRIBUTES_MAX + 1, 0);
	printf("%d failures\n", failures);
	return failures ? 1 : 0;
}
