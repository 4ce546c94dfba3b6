/*
 * codec.h - a topic's structs and bytes, by JSON or by the codec that the topic brings.
 */
#ifndef CORE_CODEC_H
#define CORE_CODEC_H

#include "arena.h"
#include "buffer.h"

const char *codec_content_type(const struct ferry_topic *topic);
/* Can the topic be used?  FERRY_E_INVALID: its codec lacks something, or its table cannot be right. */
int codec_check(const struct ferry_topic *topic, const struct ferry_allocator *allocator,
		struct ferry_error *err);
/* Append the struct's bytes: FERRY_E_INVALID when it breaks a rule. */
int codec_encode(const struct ferry_topic *topic, const void *event, struct ferry_buffer *out,
		 struct ferry_error *err);
/* A new arena whose event is the payload's struct. */
int codec_decode(const struct ferry_topic *topic, const void *payload, size_t size,
		 const struct ferry_allocator *allocator, struct ferry_arena **ret, struct ferry_error *err);

#endif
