/*
 * bytes.h - a growing buffer, and commands of the Redis protocol in it.
 *
 * A command is an array of bulk strings (RESP2,
 * https://redis.io/docs/latest/develop/reference/protocol-spec/). It is written straight into the buffer that
 * is sent, since a message has some twenty of them.
 */
#ifndef REDIS_BYTES_H
#define REDIS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/transport.h>

/* Grows by the host's allocator; all zero but for the first two is empty. */
struct bytes {
	const struct ferry_host *host;
	void *core;
	char *data;
	size_t size, capacity;
	bool failed; /* out of memory: what was added since is missing */
};

/* The id of an entry of a stream. */
struct entry_id {
	uint64_t ms, seq;
};

#define ENTRY_ID_TEXT 48

void bytes_free(struct bytes *bytes);
/* Empty it; memory beyond `keep` bytes is given back. */
void bytes_clear(struct bytes *bytes, size_t keep);
/* Room for `more` bytes behind the size; NULL without memory. */
char *bytes_room(struct bytes *bytes, size_t more);
void bytes_add(struct bytes *bytes, const void *data, size_t size);

/* The head of a command of `count` arguments, its name included, and the arguments one by one. */
void command_begin(struct bytes *bytes, size_t count);
void command_data(struct bytes *bytes, const void *data, size_t size);
void command_text(struct bytes *bytes, const char *text);
void command_number(struct bytes *bytes, int64_t number);
void command_id(struct bytes *bytes, struct entry_id id);
/* A whole command of texts; the last argument is NULL. */
void command(struct bytes *bytes, ...) __attribute__((sentinel));

int entry_id_compare(struct entry_id a, struct entry_id b);
/* "1700000000000-0"; returns the length. */
size_t entry_id_format(struct entry_id id, char text[ENTRY_ID_TEXT]);
bool entry_id_parse(const char *text, struct entry_id *ret);

#endif
