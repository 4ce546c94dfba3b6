/*
 * decode.h - a JSON payload as a struct.
 */
#ifndef CORE_DECODE_H
#define CORE_DECODE_H

#include "arena.h"
#include "schema.h"

/* Fill in the arena's event.  Strings stay in the parsed JSON, which the arena comes to own. */
int decode_json(const struct check *check, const void *payload, size_t size, struct ferry_arena *arena);

#endif
