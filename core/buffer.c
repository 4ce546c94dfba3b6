#include "buffer.h"

#include <stdint.h>

void buffer_finish(struct ferry_buffer *b)
{
	if (b->owned)
		alloc_free(b->allocator, b->bytes);
	b->owned = false;
}

bool buffer_grow(struct ferry_buffer *b, size_t size)
{
	if (size > SIZE_MAX / 2 - b->size)
		return false;
	size_t capacity = b->capacity < 256 ? 256 : b->capacity;
	while (capacity < b->size + size)
		capacity *= 2;
	char *bytes = b->owned ? alloc_resize(b->allocator, b->bytes, capacity)
			       : alloc_bytes(b->allocator, capacity);
	if (!bytes)
		return false;
	if (!b->owned && b->size)
		memcpy(bytes, b->bytes, b->size);
	b->bytes = bytes;
	b->capacity = capacity;
	b->owned = true;
	return true;
}

int ferry_buffer_append(struct ferry_buffer *buffer, const void *bytes, size_t size)
{
	char *room = buffer_room(buffer, size);
	if (!room)
		return FERRY_E_NOMEM;
	if (size)
		memcpy(room, bytes, size);
	buffer_written(buffer, size);
	return 0;
}
