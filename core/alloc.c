#include "alloc.h"

#include <stdlib.h>

static void *default_alloc(size_t bytes, void *ctx)
{
	(void)ctx;
	return malloc(bytes);
}

static void *default_resize(void *memory, size_t bytes, void *ctx)
{
	(void)ctx;
	return realloc(memory, bytes);
}

static void default_free(void *memory, void *ctx)
{
	(void)ctx;
	free(memory);
}

const struct ferry_allocator alloc_default = {default_alloc, default_resize, default_free, NULL};
