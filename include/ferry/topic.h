/*
 * topic.h - typed topics: a C struct and a name.
 *
 *     struct order_placed { const char *order_id; int64_t cents; };
 *     FERRY_TOPIC_DECLARE(order_placed, struct order_placed);                      // in a header
 *
 *     FERRY_TOPIC_DEFINE(order_placed, struct order_placed, "order.placed", 1,     // in one .c
 *         FERRY_FIELD(order_id, .required = true, .doc = "Unique id of the order."),
 *         FERRY_FIELD(cents, .required = true, .min = 0));
 *
 *     static int on_order(const struct order_placed *order, struct ferry_message *message, void *shop);
 *
 *     order_placed_subscribe(bus, on_order, &shop, NULL, &err);
 *     struct order_placed_publisher *pub;
 *     order_placed_publisher_open(bus, NULL, &pub, &err);
 *     order_placed_publish(pub, &(struct order_placed){"A1", 990}, NULL, &err);
 *
 * The messages are JSON objects, content type application/json.  A struct that breaks its table's rules is
 * refused by publish with FERRY_E_INVALID before anything is sent; a payload that breaks them is
 * dead-lettered with reason `decode` and never handed to the handler.  The texts name topic and field:
 * "order.placed: items[3].cents: expected integer, got string".  Members that the table does not know are
 * ignored.
 *
 * Opening a publisher and subscribing check the table once, and those of the structs inside: schema.h says
 * what is refused, with FERRY_E_INVALID.  Encoding and decoding without a bus do not check it.
 *
 * FERRY_TOPIC_DECLARE compiles as C++17 too; schema.h has the fields, codec.h other encodings.
 *
 * Compile with -Werror=incompatible-pointer-types (CMake's ferry::ferry brings it): then the wrong struct or
 * handler is an error, where older compilers only warn.
 */
#ifndef FERRY_TOPIC_H
#define FERRY_TOPIC_H

#include <ferry/codec.h>
#include <ferry/handler.h>
#include <ferry/publisher.h>
#include <ferry/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_topic {
	size_t size;
	const char *name;
	int32_t version; /* of the struct; in the JSON Schema's $id */
	int32_t reserved;
	const struct ferry_struct *(*fields)(void);
	const struct ferry_codec *codec; /* NULL: JSON */
};

/*
 * The JSON Schema (draft 2020-12) of a topic's payload, whatever its codec.  Writes at most `size` bytes with
 * the NUL and returns the length that the whole text has; 0 when memory is out or `topic` is NULL.
 * [thread-safe]
 */
FERRY_API size_t ferry_topic_json_schema(const struct ferry_topic *topic, char *buffer, size_t size);

/*
 * A struct's bytes.  *ret_size is their number, also when they do not fit into `size`: FERRY_E_TOO_LARGE.
 * FERRY_E_INVALID: the struct breaks a rule; the text names the field.  [thread-safe]
 */
FERRY_API int ferry_topic_encode(const struct ferry_topic *topic, const void *event, void *buffer,
                                 size_t size, size_t *ret_size, struct ferry_error *err);
/*
 * The struct of a payload, which has to live as long; to be given back with ferry_topic_free.
 * FERRY_E_DECODE: the text names the field, or the byte.  [thread-safe]
 */
FERRY_API int ferry_topic_decode(const struct ferry_topic *topic, const void *payload, size_t size,
                                 const void **ret, struct ferry_error *err);
/* NULL is allowed. */
FERRY_API void ferry_topic_free(const void *event);

/* ---- what the verbs of a topic call ---- */

struct ferry_topic_publisher;
/* A handler whose type only its topic knows. */
typedef void ferry_untyped_fn(void);

FERRY_API int ferry_topic_publisher_open(struct ferry_bus *bus, const struct ferry_topic *topic,
                                         const struct ferry_publisher_options *options,
                                         struct ferry_topic_publisher **ret, struct ferry_error *err);
FERRY_API void ferry_topic_publisher_close(struct ferry_topic_publisher *publisher);
FERRY_API int ferry_topic_publish(struct ferry_topic_publisher *publisher, const void *event,
                                  const struct ferry_publish_options *options, struct ferry_error *err);
FERRY_API int ferry_topic_publish_async(struct ferry_topic_publisher *publisher, const void *event,
                                        const struct ferry_publish_options *options, ferry_published_fn *done,
                                        void *ctx, struct ferry_error *err);
FERRY_API int ferry_topic_publish_batch(struct ferry_topic_publisher *publisher, const void *events,
                                        size_t count,
                                        const struct ferry_publish_options *const *options,
                                        int64_t deadline_ms, int32_t *ret_results, struct ferry_error *err);
FERRY_API int ferry_topic_subscribe(struct ferry_bus *bus, const struct ferry_topic *topic,
                                    ferry_decode_fn *decode, ferry_handler_fn *run,
                                    ferry_untyped_fn *handler, void *ctx,
                                    const struct ferry_handler_options *options,
                                    struct ferry_error *err);
/* Decode the message's payload and hang it on; `handler` comes back from ferry_message_event. */
FERRY_API int ferry_message_decode(struct ferry_message *message, const struct ferry_topic *topic,
                                   void *handler, struct ferry_error *why);
FERRY_API const void *ferry_message_event(const struct ferry_message *message,
                                          ferry_untyped_fn **ret_handler);

#ifdef __cplusplus
}
#define FERRY_CAST_(TYPE, VALUE)       (reinterpret_cast<TYPE>(VALUE))
#define FERRY_CAST_EVENT_(TYPE, VALUE) (static_cast<TYPE>(VALUE))
#define FERRY_NULL_                    nullptr
#else
#define FERRY_CAST_(TYPE, VALUE)       ((TYPE)(VALUE))
#define FERRY_CAST_EVENT_(TYPE, VALUE) ((TYPE)(VALUE))
#define FERRY_NULL_                    NULL
#endif

#if defined(__GNUC__)
#define FERRY_VERB_ __attribute__((unused)) static inline
#else
#define FERRY_VERB_ static inline
#endif

/*
 * The verbs of a topic.  They do what the untyped functions of publisher.h and handler.h do, with the same
 * options and errors, and:
 *
 *   NAME_publisher_open    `content_type` stays unset: the codec's is used
 *   NAME_publisher_close
 *   NAME_publish, NAME_publish_async    also FERRY_E_INVALID: the event breaks a rule
 *   NAME_publish_batch     `events`: an array of `count` structs.  `options`: NULL, or a pointer or NULL
 *                          for each.  `ret_results`: NULL, or room for a result of each.  An event
 *                          that breaks a rule does not keep the others from being sent.
 *   NAME_subscribe         `decode` stays unset.  What the handler is given, strings included, lives as
 *                          long as the message: ferry_message_ref keeps both.
 *   NAME_encode, NAME_decode, NAME_free    the same bytes without a bus
 */
#define FERRY_TOPIC_DECLARE(NAME, TYPE)                                                                      \
	FERRY_STRUCT_DECLARE(NAME, TYPE);                                                                    \
	FERRY_EXTERN const struct ferry_topic NAME##_topic;                                                  \
	struct NAME##_publisher;                                                                             \
	typedef int NAME##_handler_fn(const TYPE *event, struct ferry_message *message, void *ctx);          \
                                                                                                             \
	FERRY_VERB_ int NAME##_publisher_open(struct ferry_bus *bus,                                         \
	                                      const struct ferry_publisher_options *options,                 \
	                                      struct NAME##_publisher **ret, struct ferry_error *err)        \
	{                                                                                                    \
		struct ferry_topic_publisher *publisher = FERRY_NULL_;                                       \
		int code = ferry_topic_publisher_open(bus, &NAME##_topic, options,                           \
		                                      ret ? &publisher : FERRY_NULL_, err);                  \
		if (code == 0)                                                                               \
			*ret = FERRY_CAST_(struct NAME##_publisher *, publisher);                            \
		return code;                                                                                 \
	}                                                                                                    \
	FERRY_VERB_ void NAME##_publisher_close(struct NAME##_publisher *publisher)                          \
	{                                                                                                    \
		ferry_topic_publisher_close(FERRY_CAST_(struct ferry_topic_publisher *, publisher));         \
	}                                                                                                    \
	FERRY_VERB_ int NAME##_publish(struct NAME##_publisher *publisher, const TYPE *event,                \
	                               const struct ferry_publish_options *options, struct ferry_error *err) \
	{                                                                                                    \
		return ferry_topic_publish(FERRY_CAST_(struct ferry_topic_publisher *, publisher), event,    \
		                           options, err);                                                    \
	}                                                                                                    \
	FERRY_VERB_ int NAME##_publish_async(struct NAME##_publisher *publisher, const TYPE *event,          \
	                                     const struct ferry_publish_options *options,                    \
	                                     ferry_published_fn *done, void *ctx, struct ferry_error *err)   \
	{                                                                                                    \
		return ferry_topic_publish_async(FERRY_CAST_(struct ferry_topic_publisher *, publisher),     \
		                                 event, options, done, ctx, err);                            \
	}                                                                                                    \
	FERRY_VERB_ int NAME##_publish_batch(struct NAME##_publisher *publisher, const TYPE *events,         \
	                                     size_t count,                                                   \
	                                     const struct ferry_publish_options *const *options,             \
	                                     int64_t deadline_ms, int32_t *ret_results,                      \
	                                     struct ferry_error *err)                                        \
	{                                                                                                    \
		return ferry_topic_publish_batch(FERRY_CAST_(struct ferry_topic_publisher *, publisher),     \
		                                 events, count, options, deadline_ms, ret_results, err);     \
	}                                                                                                    \
                                                                                                             \
	FERRY_VERB_ int NAME##_ferry_decode(struct ferry_message *message, void *handler,                    \
	                                    struct ferry_error *why)                                         \
	{                                                                                                    \
		return ferry_message_decode(message, &NAME##_topic, handler, why);                           \
	}                                                                                                    \
	FERRY_VERB_ int NAME##_ferry_run(struct ferry_message *message, void *ctx)                           \
	{                                                                                                    \
		ferry_untyped_fn *handler = FERRY_NULL_;                                                     \
		const void *event = ferry_message_event(message, &handler);                                  \
		return FERRY_CAST_(NAME##_handler_fn *, handler)(FERRY_CAST_EVENT_(const TYPE *, event),     \
		                                                 message, ctx);                              \
	}                                                                                                    \
	FERRY_VERB_ int NAME##_subscribe(struct ferry_bus *bus, NAME##_handler_fn *handler, void *ctx,       \
	                                 const struct ferry_handler_options *options,                        \
	                                 struct ferry_error *err)                                            \
	{                                                                                                    \
		return ferry_topic_subscribe(bus, &NAME##_topic, NAME##_ferry_decode, NAME##_ferry_run,      \
		                             FERRY_CAST_(ferry_untyped_fn *, handler), ctx, options, err);   \
	}                                                                                                    \
                                                                                                             \
	FERRY_VERB_ int NAME##_encode(const TYPE *event, void *buffer, size_t size, size_t *ret_size,        \
	                              struct ferry_error *err)                                               \
	{                                                                                                    \
		return ferry_topic_encode(&NAME##_topic, event, buffer, size, ret_size, err);                \
	}                                                                                                    \
	FERRY_VERB_ int NAME##_decode(const void *payload, size_t size, const TYPE **ret,                    \
	                              struct ferry_error *err)                                               \
	{                                                                                                    \
		const void *event = FERRY_NULL_;                                                             \
		int code = ferry_topic_decode(&NAME##_topic, payload, size, ret ? &event : FERRY_NULL_,      \
		                              err);                                                          \
		if (code == 0)                                                                               \
			*ret = FERRY_CAST_EVENT_(const TYPE *, event);                                       \
		return code;                                                                                 \
	}                                                                                                    \
	FERRY_VERB_ void NAME##_free(const TYPE *event)                                                      \
	{                                                                                                    \
		ferry_topic_free(event);                                                                     \
	}                                                                                                    \
	struct NAME##_publisher

#ifndef __cplusplus

/* The table of a topic's fields (schema.h), in one .c; FERRY_TOPIC_DECLARE comes before it. */
#define FERRY_TOPIC_DEFINE(NAME, TYPE, TOPIC, VERSION, ...) \
	FERRY_TOPIC_DEFINE_CODEC(NAME, TYPE, TOPIC, VERSION, NULL, __VA_ARGS__)

/* The same with a codec of one's own (codec.h). */
#define FERRY_TOPIC_DEFINE_CODEC(NAME, TYPE, TOPIC, VERSION, CODEC, ...) \
	FERRY_STRUCT_DEFINE(NAME, TYPE, __VA_ARGS__);                    \
	const struct ferry_topic NAME##_topic = {                        \
		.size = sizeof(struct ferry_topic),                      \
		.name = (TOPIC),                                         \
		.version = (VERSION),                                    \
		.fields = NAME##_fields,                                 \
		.codec = (CODEC),                                        \
	}

#endif

#endif
