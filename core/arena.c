#include "arena.h"

#include <stdint.h>

#define ROOM       256 /* beside the struct itself */
#define BLOCK_ROOM 4096

struct arena_block {
	struct arena_block *next;
	max_align_t memory[];
};

struct arena_owned {
	struct arena_owned *next;
	void *object;
	void (*release)(void *object);
};

static size_t aligned(size_t size)
{
	return (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
}

struct ferry_arena *arena_make(const struct ferry_allocator *allocator, size_t size)
{
	size_t used = aligned(size);
	struct ferry_arena *arena = alloc_bytes(allocator, sizeof *arena + used + ROOM);
	if (!arena)
		return NULL;
	memset(arena->event, 0, used);
	arena->allocator = allocator;
	arena->at = (unsigned char *)arena->event + used;
	arena->end = arena->at + ROOM;
	arena->blocks = NULL;
	arena->owned = NULL;
	arena->handler = NULL;
	return arena;
}

void arena_free(struct ferry_arena *arena)
{
	if (!arena)
		return;
	for (struct arena_owned *owned = arena->owned; owned; owned = owned->next)
		owned->release(owned->object);
	for (struct arena_block *block = arena->blocks, *next; block; block = next) {
		next = block->next;
		alloc_free(arena->allocator, block);
	}
	alloc_free(arena->allocator, arena);
}

struct ferry_arena *arena_of(const void *event)
{
	return (struct ferry_arena *)((uintptr_t)event - offsetof(struct ferry_arena, event));
}

void *ferry_arena_alloc(struct ferry_arena *arena, size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	size_t used = aligned(size ? size : 1);
	if (used > (size_t)(arena->end - arena->at)) {
		size_t room = used > BLOCK_ROOM / 4 ? used : BLOCK_ROOM;
		struct arena_block *block = alloc_bytes(arena->allocator, sizeof *block + room);
		if (!block)
			return NULL;
		block->next = arena->blocks;
		arena->blocks = block;
		if (room == used)
			return memset(block->memory, 0, used);
		arena->at = (unsigned char *)block->memory;
		arena->end = arena->at + room;
	}
	void *memory = arena->at;
	arena->at += used;
	return memset(memory, 0, used);
}

int ferry_arena_own(struct ferry_arena *arena, void *object, void (*release)(void *object))
{
	struct arena_owned *owned = ferry_arena_alloc(arena, sizeof *owned);
	if (!owned) {
		release(object);
		return FERRY_E_NOMEM;
	}
	*owned = (struct arena_owned){arena->owned, object, release};
	arena->owned = owned;
	return 0;
}
