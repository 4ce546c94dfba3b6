/* event_fuzz.c - hostile lines for `ferry pub --ndjson`, compared with jansson's opinion. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "fuzz.h"

/* What jansson refuses though it is JSON: numbers that do not fit, NUL in a name, halves of pairs; and what
 * is nested deeper than it goes. */
static bool is_beyond_jansson(const json_error_t *why, const char *text, size_t size)
{
	enum json_error_code code = json_error_code(why);
	return code == json_error_numeric_overflow || code == json_error_stack_overflow ||
	       code == json_error_null_byte_in_key || memmem(text, size, "\\u", 2);
}

static void check_json(const char *text, size_t size)
{
	json_error_t why;
	json_t *value = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	FUZZ_CHECK(value || is_beyond_jansson(&why, text, size));
	json_decref(value);
}

static bool is_within(const char *bytes, size_t size, const char *text, size_t text_size)
{
	return bytes >= text && size <= text_size && bytes + size <= text + text_size;
}

/* Strings are in the event's own memory and end; a payload that is a value is the line's own text. */
static void check_event(const struct event *event, const char *line, size_t size)
{
	FUZZ_CHECK(event->attribute_count <= EVENT_ATTRIBUTES_MAX);
	FUZZ_CHECK(!event->attributes[event->attribute_count].name);
	for (size_t i = 0; i < event->attribute_count; i++) {
		const struct ferry_attribute *a = &event->attributes[i];
		FUZZ_CHECK(is_within(a->name, strlen(a->name) + 1, event->strings, event->room));
		FUZZ_CHECK(is_within(a->value, strlen(a->value) + 1, event->strings, event->room));
	}
	FUZZ_CHECK(!event->key || is_within(event->key, event->key_size + 1, event->strings, event->room));
	if (is_within(event->payload, event->payload_size, line, size))
		check_json(event->payload, event->payload_size);
	else
		FUZZ_CHECK(is_within(event->payload, event->payload_size + 1, event->strings, event->room));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event event; /* its memory serves one line after the other */
	const char *line = size ? (const char *)data : "";
	struct event_error err = {0, NULL};
	if (event_read(&event, line, size, &err)) {
		FUZZ_CHECK(err.text && err.byte >= 1 && err.byte <= size + 1);
		return 0;
	}
	check_json(line, size);
	check_event(&event, line, size);
	return 0;
}
