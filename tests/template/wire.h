/*
 * wire.h - how a message stands in a row of the table `record`.
 *
 *     column    holds
 *     topic     the topic
 *     time      when it was published, microseconds since 1970 UTC
 *     key       the ordering key's bytes; NULL without one
 *     headers   name NUL value NUL name NUL value NUL ...
 *     payload   the bytes as they are
 *
 * Headers, envelope=cloudevents (CloudEvents 1.0, binary mode):
 *
 *     ce-specversion ce-id ce-source ce-type ce-time content-type
 *     traceparent tracestate   W3C Trace Context
 *     ferry-traceid            a trace id that traceparent cannot carry
 *     any other name           an attribute
 *
 * envelope=compact replaces those that begin with ce- by one header, `ferry`, whose value is
 * "<time> <n> <source> <id>" with the time in microseconds and n the bytes of the source.  The type is the
 * topic.
 *
 * Reading accepts both, and a record of a stranger, who may have written nothing but a payload: whatever is
 * missing comes from the row, and the id is "<topic>/<seq>".
 */
#ifndef SQLITE_WIRE_H
#define SQLITE_WIRE_H

#include <stdbool.h>

#include <ferry/transport.h>

/* The bytes of the headers column; grows by the host's allocator and is used again for the next record. */
struct wire_headers {
	const struct ferry_host *host;
	void *core;
	char *bytes;
	size_t size, capacity;
	bool failed; /* out of memory: what was added is incomplete */
};

/* Empty it, add a header, free it. */
void wire_clear(struct wire_headers *headers);
void wire_add(struct wire_headers *headers, const char *name, const void *value, size_t size);
void wire_free(struct wire_headers *headers);

/* The headers of a record, in place of what was there. FERRY_E_NOMEM. */
int wire_encode(struct wire_headers *headers, const struct ferry_record *record, bool compact);

/* How many pairs the bytes hold; ends at the first that is incomplete. */
size_t wire_count(const char *bytes, size_t size);
/* The pairs as attributes that point into `bytes`; returns the count. */
size_t wire_pairs(const char *bytes, size_t size, struct ferry_attribute *pairs);

/*
 * Take the envelope out of `count` pairs: fills in the record's id, source, content type, trace and time
 * where a header has them, and leaves the attributes in the front of `pairs`; record->attributes is that
 * list.  `pairs` must point into memory that may be written to.
 */
void wire_decode(struct ferry_record *record, struct ferry_attribute *pairs, size_t count);

#endif
