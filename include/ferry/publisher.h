/*
 * publisher.h - sending messages.
 *
 *     struct ferry_publisher *pub;
 *     ferry_publisher_open(bus, "order.placed", NULL, &pub, &err);
 *     ferry_publish(pub, json, strlen(json), NULL, &err);
 *
 * A publish ends exactly once, in one of three ways:
 *   0                  the backend has confirmed it;
 *   FERRY_E_UNKNOWN    it may be stored: sending it again under the same id is safe for
 *                      idempotent handlers;
 *   any other error    it is certainly not stored.
 */
#ifndef FERRY_PUBLISHER_H
#define FERRY_PUBLISHER_H

#include <ferry/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_bus;
struct ferry_publisher;

struct ferry_publisher_options {
	size_t size;
	const char *content_type; /* of every message, e.g. "application/json" [none: opaque bytes] */
};

struct ferry_publish_options {
	size_t size;
	const struct ferry_attribute *attributes; /* [none] */
	const void *key;                          /* ordering key's bytes [none] */
	size_t key_size;
	const char *id;       /* unique id, 1..128 printable ASCII characters without spaces [made] */
	const char *trace_id; /* 32 lower-case hex digits or a traceparent travel as traceparent [none] */
	int64_t deadline_ms;  /* from now [the bus's publish_timeout] */
};

/* How an asynchronous publish ended.  `err` is NULL when code is 0, else lives for the call. */
typedef void ferry_published_fn(int code, const struct ferry_error *err, void *ctx);

/*
 * Resolve a topic once.  The publisher is owned by the caller and must be closed before
 * the bus.  [thread-safe, any time before ferry_bus_stop]
 * Errors: FERRY_E_INVALID (the name), FERRY_E_NOMEM, FERRY_E_FORK.
 */
FERRY_API int ferry_publisher_open(struct ferry_bus *bus, const char *topic,
                                   const struct ferry_publisher_options *options,
                                   struct ferry_publisher **ret, struct ferry_error *err);
/* Give it back.  Unconfirmed asynchronous publishes go on and complete.  NULL is allowed. */
FERRY_API void ferry_publisher_close(struct ferry_publisher *publisher);

/*
 * Publish and wait for the outcome, at most until the deadline.  Goes to the transport at
 * once.  The payload is the caller's and is free when the call returns.
 * [thread-safe, after ferry_bus_start]
 *
 * Errors besides the three ways above: FERRY_E_STATE (not started, or stopped),
 * FERRY_E_INVALID (an option), FERRY_E_TOO_LARGE, FERRY_E_NOMEM, FERRY_E_AGAIN (the
 * transport is full and full=reject, or the caller is a handler or a completion that
 * would wait for its own work), FERRY_E_TIMEDOUT (not accepted before the deadline, so
 * certainly not stored).
 */
FERRY_API int ferry_publish(struct ferry_publisher *publisher, const void *payload, size_t size,
                            const struct ferry_publish_options *options, struct ferry_error *err);

/*
 * Publish without waiting for the outcome.  When the call returns 0, `done` (may be NULL)
 * is called exactly once, later, on the bus's completion thread or inside
 * ferry_bus_dispatch, never inside this call.  When it returns an error, `done` is not
 * called and nothing was sent.  The payload is copied where it has to be.  A full
 * transport makes the call wait as ferry_publish does.
 */
FERRY_API int ferry_publish_async(struct ferry_publisher *publisher, const void *payload, size_t size,
                                  const struct ferry_publish_options *options, ferry_published_fn *done,
                                  void *ctx, struct ferry_error *err);

/* One message of a batch. */
struct ferry_batch_item {
	const void *payload;
	size_t payload_size;
	const struct ferry_publish_options *options; /* NULL: all defaults; deadline_ms is ignored */
	int32_t result;                              /* out: 0 or the message's own error */
	int32_t reserved;
};

/*
 * Publish `count` messages in one go and wait for all outcomes; `deadline_ms` (0: the bus's
 * publish_timeout) covers the whole batch.  Each item's `result` is set in any case.
 * Returns 0 when all were confirmed, else the error of the first item that failed, which *err describes.
 */
FERRY_API int ferry_publish_batch(struct ferry_publisher *publisher, struct ferry_batch_item *items,
                                  size_t count, int64_t deadline_ms, struct ferry_error *err);

#ifdef __cplusplus
}
#endif

#endif
