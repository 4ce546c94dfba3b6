#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base64.h"
#include "event.h"
#include "scan.h"

/* ---- text that grows ---- */

/* Room for `size` more bytes, or NULL. */
static char *text_extend(struct text *text, size_t size)
{
	size_t need = text->size + size, room = text->room ? text->room : 1024;
	if (text->failed || need < size)
		return NULL;
	while (room < need && room <= SIZE_MAX / 2)
		room *= 2;
	if (room > text->room) {
		char *data = room < need ? NULL : realloc(text->data, room);
		if (!data) {
			text->failed = true;
			return NULL;
		}
		text->data = data;
		text->room = room;
	}
	char *at = text->data + text->size;
	text->size = need;
	return at;
}

static void put(struct text *text, const void *bytes, size_t size)
{
	char *to = text_extend(text, size);
	if (to && size)
		memcpy(to, bytes, size);
}

static void put_text(struct text *text, const char *string)
{
	put(text, string, strlen(string));
}

void text_finish(struct text *text)
{
	free(text->data);
	*text = (struct text){.data = NULL};
}

/* ---- values ---- */

/* The escape of a byte that may not stand in a string as it is; "" for any other. */
static const char *escape_of(unsigned char byte, char buffer[8])
{
	static const char bytes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *found = byte ? strchr(bytes, byte) : NULL;
	buffer[0] = '\0';
	if (found)
		snprintf(buffer, 8, "\\%c", letters[found - bytes]);
	else if (byte < 0x20 || byte == 0x7F)
		snprintf(buffer, 8, "\\u%04x", byte);
	return buffer;
}

/* A string.  A foreign record can hold an attribute that is not UTF-8: the line stays valid all the same. */
static void put_string(struct text *text, const char *bytes, size_t size)
{
	size_t kept = 0, step;
	char buffer[8];
	put(text, "\"", 1);
	for (size_t at = 0; at < size; at += step) {
		const char *escape = "\\ufffd";
		step = utf8_sequence(bytes + at, size - at);
		if (step)
			escape = escape_of((unsigned char)bytes[at], buffer);
		else
			step = 1;
		if (!*escape)
			continue;
		put(text, bytes + kept, at - kept);
		put_text(text, escape);
		kept = at + step;
	}
	put(text, bytes + kept, size - kept);
	put(text, "\"", 1);
}

/* `,"name":`, or `,"name_base64":` */
static void put_name(struct text *text, const char *name, bool base64)
{
	put_text(text, ",\"");
	put_text(text, name);
	put_text(text, base64 ? "_base64\":" : "\":");
}

/* Bytes as a string if they are UTF-8, else in base64. */
static void put_bytes(struct text *text, const char *name, const char *bytes, size_t size)
{
	if (utf8_is_valid(bytes, size)) {
		put_name(text, name, false);
		put_string(text, bytes, size);
		return;
	}
	put_name(text, name, true);
	put(text, "\"", 1);
	char *to = text_extend(text, base64_size(size));
	if (to)
		base64_encode(bytes, size, to);
	put(text, "\"", 1);
}

/* A string that the publisher may have left out: "" is null. */
static void put_optional(struct text *text, const char *name, const char *string)
{
	put_name(text, name, false);
	if (*string)
		put_string(text, string, strlen(string));
	else
		put_text(text, "null");
}

/* ---- members ---- */

static void put_timestamp(struct text *text, int64_t us)
{
	char buffer[64];
	struct tm parts;
	int64_t fraction = us % 1000000;
	if (fraction < 0)
		fraction += 1000000;
	time_t seconds = (time_t)((us - fraction) / 1000000);
	put_name(text, "timestamp", false);
	if (!gmtime_r(&seconds, &parts) || !strftime(buffer, sizeof buffer, "\"%Y-%m-%dT%H:%M:%S", &parts)) {
		put_text(text, "null"); /* no year that a calendar knows */
		return;
	}
	put_text(text, buffer);
	snprintf(buffer, sizeof buffer, ".%06dZ\"", (int)fraction);
	put_text(text, buffer);
}

static void put_attributes(struct text *text, const struct ferry_message *message)
{
	put_name(text, "attributes", false);
	for (size_t i = 0, count = ferry_message_attribute_count(message); i < count; i++) {
		const struct ferry_attribute *a = ferry_message_attribute_at(message, i);
		put_text(text, i ? "," : "{");
		put_string(text, a->name, strlen(a->name));
		put_text(text, ":");
		put_string(text, a->value, strlen(a->value));
	}
	put_text(text, ferry_message_attribute_count(message) ? "}" : "{}");
}

static void put_key(struct text *text, const struct ferry_message *message)
{
	size_t size;
	const char *key = ferry_message_key(message, &size);
	if (key) {
		put_bytes(text, "key", key, size);
	} else {
		put_name(text, "key", false);
		put_text(text, "null");
	}
}

static void put_payload(struct text *text, const struct ferry_message *message)
{
	size_t size;
	const char *payload = ferry_message_payload(message, &size);
	bool one_line =
		!size || (*payload != '"' && !memchr(payload, '\n', size) && !memchr(payload, '\r', size));
	if (one_line && scan_is_value(payload, size)) {
		put_name(text, "payload", false);
		put(text, payload, size);
	} else {
		put_bytes(text, "payload", payload, size);
	}
}

bool event_write(struct text *text, const struct ferry_message *message)
{
	char attempt[32];
	const char *id = ferry_message_id(message), *topic = ferry_message_topic(message);
	text->size = 0;
	text->failed = false;
	put_text(text, "{\"id\":");
	put_string(text, id, strlen(id));
	put_name(text, "topic", false);
	put_string(text, topic, strlen(topic));
	snprintf(attempt, sizeof attempt, "%" PRIu32, ferry_message_attempt(message));
	put_name(text, "attempt", false);
	put_text(text, attempt);
	put_timestamp(text, ferry_message_timestamp_us(message));
	put_attributes(text, message);
	put_key(text, message);
	put_optional(text, "trace_id", ferry_message_trace_id(message));
	put_optional(text, "content_type", ferry_message_content_type(message));
	put_payload(text, message);
	put_text(text, "}\n");
	return !text->failed;
}
