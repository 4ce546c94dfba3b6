/*
 * encode.h - a struct as JSON, straight from its memory.
 */
#ifndef CORE_ENCODE_H
#define CORE_ENCODE_H

#include "buffer.h"
#include "schema.h"

/* Append the struct `event` as a JSON object, checking every rule of its table on the way. */
int encode_json(const struct check *check, const void *event, struct ferry_buffer *out);
/* Check only. */
int encode_check(const struct check *check, const void *event, const struct ferry_allocator *allocator);

/* Append text as a JSON string, with its quotes; false: out of memory. */
bool encode_text(struct ferry_buffer *out, const char *text, size_t size);

#endif
