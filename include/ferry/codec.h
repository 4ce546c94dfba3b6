/*
 * codec.h - another encoding than JSON for typed topics.
 *
 *     static const struct ferry_codec packed = {
 *         .size = sizeof(packed), .content_type = "application/x-packed", .encode = pack, .decode = unpack};
 *     FERRY_TOPIC_DEFINE_CODEC(point, struct point, "map.point", 1, &packed,
 *         FERRY_FIELD(x, .min = 0), FERRY_FIELD(y, .min = 0));
 *
 * A codec turns structs into bytes and bytes into structs, for example with protobuf-c.  The field
 * table still checks every struct: before `encode`, and after `decode` before a handler sees it.
 */
#ifndef FERRY_CODEC_H
#define FERRY_CODEC_H

#include <ferry/error.h>
#include <ferry/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_topic;

/* Bytes that grow. */
struct ferry_buffer;
/* Memory that lives as long as the decoded struct. */
struct ferry_arena;

/* Nothing may be NULL.  Both functions are called from any thread, also at the same time. */
struct ferry_codec {
	size_t size;
	const char *content_type; /* of the messages */
	/*
	 * Append the struct `event` to `out`.  0, or a negative FERRY_E_* and a text in *err; any other
	 * number becomes FERRY_E_INVALID.
	 */
	int (*encode)(const struct ferry_topic *topic, const void *event, struct ferry_buffer *out,
	              struct ferry_error *err);
	/*
	 * Fill in the struct `event`, which is all zero.  What it points to comes from `arena`, or lies in
	 * `payload`, which lives as long.  0, FERRY_E_NOMEM, or FERRY_E_DECODE and a text in *err that says
	 * what is wrong where; the topic's name is put before it.
	 */
	int (*decode)(const struct ferry_topic *topic, const void *payload, size_t size,
	              struct ferry_arena *arena, void *event, struct ferry_error *err);
};

/* 0 or FERRY_E_NOMEM. */
FERRY_API int ferry_buffer_append(struct ferry_buffer *buffer, const void *bytes, size_t size);
/* Zeroed memory, aligned for every type; never NULL for 0 bytes.  NULL: out of memory. */
FERRY_API void *ferry_arena_alloc(struct ferry_arena *arena, size_t size);
/* Call `release(object)` when the struct goes.  On FERRY_E_NOMEM it is called at once. */
FERRY_API int ferry_arena_own(struct ferry_arena *arena, void *object, void (*release)(void *object));

#ifdef __cplusplus
}
#endif

#endif
