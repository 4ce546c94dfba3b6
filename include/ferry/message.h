/*
 * message.h - what a handler is given, and how it ends a delivery.
 *
 * A message belongs to the handler's call.  To keep it longer take a reference;
 * everything that a getter returned lives until the last reference is dropped.
 *
 * Thread rules: getters and settle functions may be called from any thread that
 * holds the message (the handler's call, or a reference).
 */
#ifndef FERRY_MESSAGE_H
#define FERRY_MESSAGE_H

#include <ferry/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_message;

/* A handler's result: dead-letter this message now, without further attempts. */
#define FERRY_REJECT 1

/* ---- what it carries: borrowed, never NULL unless said ---- */

/* The unique id: the publisher's, or made from the record's position for a foreign record. */
FERRY_API const char *ferry_message_id(const struct ferry_message *message);
FERRY_API const char *ferry_message_topic(const struct ferry_message *message);
/* The service that published it; "" when unknown. */
FERRY_API const char *ferry_message_source(const struct ferry_message *message);
/* The payload's bytes; *ret_size may be 0.  Aligned to 8 bytes on no promise: copy before casting. */
FERRY_API const void *ferry_message_payload(const struct ferry_message *message, size_t *ret_size);
/* "" when the publisher gave none. */
FERRY_API const char *ferry_message_content_type(const struct ferry_message *message);
/* When it was published, in microseconds since 1970-01-01 UTC. */
FERRY_API int64_t ferry_message_timestamp_us(const struct ferry_message *message);
/* The value of an attribute, or NULL. */
FERRY_API const char *ferry_message_attribute(const struct ferry_message *message, const char *name);
/* Walk the attributes: 0 <= index < count. */
FERRY_API size_t ferry_message_attribute_count(const struct ferry_message *message);
FERRY_API const struct ferry_attribute *ferry_message_attribute_at(const struct ferry_message *message,
                                                                   size_t index);
/* The ordering key's bytes, or NULL when it has none. */
FERRY_API const void *ferry_message_key(const struct ferry_message *message, size_t *ret_size);
/* The trace id, or "" when it has none. */
FERRY_API const char *ferry_message_trace_id(const struct ferry_message *message);
/* Which attempt this is, from 1.  After a crash it may be higher than the calls that were made. */
FERRY_API uint32_t ferry_message_attempt(const struct ferry_message *message);
/* The group that handles it. */
FERRY_API const char *ferry_message_group(const struct ferry_message *message);
/* Where the record stands in its backend, e.g. "3/1042" on Kafka.  Writes at most
 * `size` bytes with the NUL and returns the length that the whole text has. */
FERRY_API size_t ferry_message_position(const struct ferry_message *message, char *buffer, size_t size);

/* ---- while the handler runs ---- */

/*
 * State the reason of a failure: it goes to logs and to the dead letter's
 * `ferry-dlq-error` (first 1 KiB; NULL: the code's name).  Returns `code`, so that a handler can end with
 * `return ferry_message_fail(m, FERRY_E_RETRY, "card service away")`.
 */
FERRY_API int ferry_message_fail(struct ferry_message *message, int code, const char *text);
/* The delay before the next attempt only, instead of the backoff's.  0 is "at once", negative the backoff's. */
FERRY_API void ferry_message_retry_after(struct ferry_message *message, int64_t delay_ms);
/* 1 once the handler's time is up or the bus must stop: finish soon, the result is ignored. */
FERRY_API int ferry_message_cancelled(const struct ferry_message *message);
/*
 * A file descriptor that becomes readable when the message is cancelled, for
 * poll(2).  Made at the first call; owned by the message; do not close or read it.
 * Returns a negative FERRY_E_* when it cannot be made.
 */
FERRY_API int ferry_message_cancel_fd(struct ferry_message *message);
/* The end of the handler's time on the bus's clock (ferry_bus_now_us), or INT64_MAX without a timeout. */
FERRY_API int64_t ferry_message_deadline_us(const struct ferry_message *message);
/* Ask for `more_ms` from now; never shortens the time that is left.  FERRY_E_STALE when it is up already. */
FERRY_API int ferry_message_extend(struct ferry_message *message, int64_t more_ms);

/* ---- manual ack ---- */

/* Keep the message beyond the handler's call.  Returns `message`. */
FERRY_API struct ferry_message *ferry_message_ref(struct ferry_message *message);
/* Drop a reference; the memory goes with the last one.  NULL is allowed. */
FERRY_API void ferry_message_unref(struct ferry_message *message);

/*
 * Settle: exactly one of these ends the delivery.  The first wins and returns 0; a
 * later one, and any after the deadline, returns FERRY_E_STALE and does nothing.  With
 * ack=auto the handler's return settles, and these return FERRY_E_STATE.
 */
FERRY_API int ferry_message_ack(struct ferry_message *message);
/* Failed: try again after `delay_ms`, or after the backoff's delay when negative. */
FERRY_API int ferry_message_nack(struct ferry_message *message, int64_t delay_ms);
/* Failed for good: dead-letter now. */
FERRY_API int ferry_message_reject(struct ferry_message *message);

/* ---- for a decode callback (handler.h) ---- */

/* Hang a decoded object on the message; `release` (may be NULL) is called when the message goes. */
FERRY_API void ferry_message_set_decoded(struct ferry_message *message, void *object,
                                         void (*release)(void *object));
/* What the decode callback hung there, or NULL. */
FERRY_API void *ferry_message_decoded(const struct ferry_message *message);

#ifdef __cplusplus
}
#endif

#endif
