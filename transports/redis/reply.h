/*
 * reply.h - replies of the server, parsed by hiredis into memory that is used again.
 *
 * hiredis' own reply objects are an allocation for each string; a message has about twenty.  Here they lie in
 * an arena, which is emptied when the reply has been looked at.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/transport.h>

struct reply {
	int type;    /* REDIS_REPLY_* of hiredis */
	size_t size; /* of the text, or how many items */
	int64_t integer;
	const char *text; /* strings, statuses and errors; a NUL follows; else "" */
	struct reply **items;
};

struct reply_reader;

/* NULL without memory. */
struct reply_reader *reply_reader_make(const struct ferry_host *host, void *core);
void reply_reader_free(struct reply_reader *reader);
/* Bytes that have come from the server; false without memory. */
bool reply_feed(struct reply_reader *reader, const char *data, size_t size);
/* The next whole reply, which replaces the one before: 1, 0 = more bytes are needed, -1 = they are no replies
 * or there is no memory. */
int reply_next(struct reply_reader *reader, const struct reply **ret);

bool reply_is_array(const struct reply *reply, size_t least);
bool reply_is_error(const struct reply *reply);
/* An array of names and values: the value of a name, or NULL. */
const struct reply *reply_value(const struct reply *map, const char *name);

#endif
