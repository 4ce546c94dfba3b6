/*
 * arena.h - a decoded struct and all that it points to: freed in one go.
 *
 *     arena | the struct | room for what it points to        further blocks, as needed
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include <stddef.h>

#include <ferry/codec.h>
#include <ferry/topic.h>

#include "alloc.h"

struct arena_block;
struct arena_owned;

struct ferry_arena {
	const struct ferry_allocator *allocator;
	unsigned char *at, *end; /* free room */
	struct arena_block *blocks;
	struct arena_owned *owned; /* newest first */
	void *handler;             /* a message's: what its handler's topic wants back */
	max_align_t event[];
};

/* An arena with a zeroed struct of `size` bytes as its event.  NULL: out of memory. */
struct ferry_arena *arena_make(const struct ferry_allocator *allocator, size_t size);
/* NULL is allowed. */
void arena_free(struct ferry_arena *arena);
/* Of an arena's event. */
struct ferry_arena *arena_of(const void *event);

#endif
