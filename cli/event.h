/*
 * event.h - a message as one line of JSON, both ways, so that `ferry sub` into `ferry pub --ndjson` copies
 * it.
 *
 *     {"topic": "build.finished", "attributes": {"action": "failed"}, "key": "main", "payload": {"id": 7}}
 *
 * The bytes of the payload are
 *   - `payload` a string: the string's text, in UTF-8;
 *   - `payload` anything else: that value's own text, byte for byte as it stands in the line;
 *   - `payload_base64`: what it encodes.
 * A key is a string, or `key_base64`.  `id`, `trace_id` and `content_type` are strings.  Null is as good as
 * absent, but for `payload`; other members are skipped.
 *
 * Written is the first of these that says exactly the message's bytes: the value, if they are one JSON value
 * that is no string, without a line break; a string, if they are UTF-8; base64.
 */
#ifndef CLI_EVENT_H
#define CLI_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include <ferry/ferry.h>

#define EVENT_ATTRIBUTES_MAX 256

/* What a line says; all zero before the first.  Strings are NULL where it says nothing. */
struct event {
	const char *topic, *id, *trace_id, *content_type;
	const char *key, *payload; /* bytes */
	size_t key_size, payload_size;
	struct ferry_attribute attributes[EVENT_ATTRIBUTES_MAX + 1]; /* ends with a NULL name */
	size_t attribute_count;

	char *strings; /* memory of all that is not in the line itself; kept for the next line */
	size_t room;
};

struct event_error {
	size_t byte; /* where in the line, from 1 */
	const char *text;
};

/* Read a line without its newline.  0, or -1 and *err.  The event is good until the line changes or the next
 * call. */
int event_read(struct event *event, const char *line, size_t size, struct event_error *err);
void event_finish(struct event *event);

/* Text that grows. */
struct text {
	char *data;
	size_t size, room;
	bool failed; /* there was no memory: `data` is not whole */
};

/* Replace what `text` holds by the message's line and its newline.  False without memory. */
bool event_write(struct text *text, const struct ferry_message *message);
void text_finish(struct text *text);

#endif
