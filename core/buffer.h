/*
 * buffer.h - bytes that grow, for encoders.
 *
 * Begins in memory of the caller's and moves to the allocator's when that is full.
 */
#ifndef CORE_BUFFER_H
#define CORE_BUFFER_H

#include <stdbool.h>
#include <string.h>

#include <ferry/codec.h>

#include "alloc.h"

struct ferry_buffer {
	const struct ferry_allocator *allocator;
	char *bytes;
	size_t size, capacity;
	bool owned;   /* `bytes` is the allocator's */
	bool discard; /* nothing is kept: the encoding only checks */
};

static inline void buffer_init(struct ferry_buffer *b, const struct ferry_allocator *allocator, void *memory,
			       size_t capacity)
{
	*b = (struct ferry_buffer){.allocator = allocator, .bytes = memory, .capacity = capacity};
}

void buffer_finish(struct ferry_buffer *b);
/* Make room for `size` more; false: out of memory. */
bool buffer_grow(struct ferry_buffer *b, size_t size);

/* Where `size` bytes may be written; counted by buffer_written.  NULL: out of memory. */
static inline char *buffer_room(struct ferry_buffer *b, size_t size)
{
	if (b->discard)
		b->size = 0;
	if (size > b->capacity - b->size && !buffer_grow(b, size))
		return NULL;
	return b->bytes + b->size;
}

static inline void buffer_written(struct ferry_buffer *b, size_t size)
{
	b->size += size;
}

#endif
