/*
 * alloc.h - allocation through the bus's allocator (ferry_bus_options.allocator).
 */
#ifndef CORE_ALLOC_H
#define CORE_ALLOC_H

#include <string.h>

#include <ferry/base.h>

/* The allocator that uses malloc. */
extern const struct ferry_allocator alloc_default;

static inline void *alloc_bytes(const struct ferry_allocator *a, size_t bytes)
{
	return a->alloc(bytes, a->ctx);
}

static inline void *alloc_zeroed(const struct ferry_allocator *a, size_t bytes)
{
	void *memory = a->alloc(bytes, a->ctx);
	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

static inline void *alloc_resize(const struct ferry_allocator *a, void *memory, size_t bytes)
{
	return a->resize(memory, bytes, a->ctx);
}

/* NULL is allowed. */
static inline void alloc_free(const struct ferry_allocator *a, const void *memory)
{
	if (memory)
		a->free((void *)(uintptr_t)memory, a->ctx);
}

/* A copy of `size` bytes with a NUL behind them. */
static inline char *alloc_text(const struct ferry_allocator *a, const void *text, size_t size)
{
	char *copy = a->alloc(size + 1, a->ctx);
	if (copy) {
		if (size)
			memcpy(copy, text, size);
		copy[size] = '\0';
	}
	return copy;
}

static inline char *alloc_string(const struct ferry_allocator *a, const char *text)
{
	return alloc_text(a, text, strlen(text));
}

#endif
