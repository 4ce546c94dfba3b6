/*
 * ndjson.h - reading one event from one line of JSON, strictly.
 *
 *     {"topic": "build.finished", "attributes": {"action": "failed"}, "key": "main", "payload": {"id": 7}}
 *
 * `topic` and `payload` are required, `attributes` (strings only) and `key` are not, other members are
 * skipped. The payload is any JSON value and is not read but found: its bytes are the line's own, so that
 * what is published is what was written, to the last space.
 */
#ifndef EXAMPLES_NDJSON_H
#define EXAMPLES_NDJSON_H

#include <stddef.h>

#include <ferry/base.h>

#define NDJSON_DEPTH_MAX      64
#define NDJSON_ATTRIBUTES_MAX 64

struct ndjson_event {
	const char *topic;
	struct ferry_attribute attributes[NDJSON_ATTRIBUTES_MAX + 1]; /* ends with a NULL name */
	const char *key;                                              /* NULL: none */
	size_t key_size;
	const char *payload; /* points into the line */
	size_t payload_size;
	char *strings; /* memory of the strings above */
};

struct ndjson_error {
	size_t byte; /* where in the line, from 1 */
	const char *text;
};

/*
 * Read a line (without its newline).  0, or -1 and *err says what is wrong and where.  After 0 the event must
 * be given to ndjson_free, and the line must live as long as the payload is used.
 */
int ndjson_parse(const char *line, size_t size, struct ndjson_event *ret, struct ndjson_error *err);

/* Free the strings.  A zeroed event is allowed. */
void ndjson_free(struct ndjson_event *event);

#endif
