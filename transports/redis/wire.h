/*
 * wire.h - how a message stands in an entry of a stream.
 *
 * Fields, in this order, those without a value left out (CloudEvents 1.0, binary mode, with the names of its
 * HTTP binding in lower case, since there is no binding for Redis):
 *
 *     ce-specversion ce-id ce-source ce-type ce-time content-type
 *     ce-partitionkey          the ordering key
 *     traceparent tracestate   W3C Trace Context
 *     ferry-traceid            a trace id that traceparent cannot carry
 *     any other name           an attribute
 *     d                        the payload; always last
 *
 * envelope=compact has one field, `ferry`, in place of ce-specversion to ce-time; its value is
 * "<time> <n> <source> <id>" with the time in microseconds and n the bytes of the source.
 *
 * Reading accepts both, and an entry of a stranger.  What is missing comes from the entry: the id is
 * "<topic>/<entry id>", the time that of the entry id.  The last field `d` is the payload; without one the
 * payload is empty.
 */
#ifndef REDIS_WIRE_H
#define REDIS_WIRE_H

#include "bytes.h"
#include "reply.h"

struct wire_format {
	bool compact;
	bool make_stream; /* else XADD NOMKSTREAM, which answers nil when the stream does not exist */
};

/* Add the XADD of a record to a stream. */
void wire_write(struct bytes *out, const struct wire_format *format, const char *key,
		const struct ferry_record *record);

/* Bytes that wire_read needs for the texts of these fields. */
size_t wire_room(const struct reply *fields);
/* Fill in a record whose topic is set.  `attributes` has room for half as many as there are fields, `room` is
 * wire_room and ENTRY_ID_TEXT and the topic's size bytes. */
void wire_read(struct ferry_record *record, struct ferry_attribute *attributes, char *room,
	       const struct reply *fields, struct entry_id id);

#endif
