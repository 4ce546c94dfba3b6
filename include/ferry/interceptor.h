/*
 * interceptor.h - functions around publish and around handle: tracing, authentication, metrics.
 *
 * Interceptors form a chain in the order of registration; each calls the next one, or does not:
 *
 *     static int timed(struct ferry_message *m, struct ferry_next *next, void *ctx)
 *     {
 *         int64_t begin = now();
 *         int result = ferry_next_handle(next, m);
 *         observe(ctx, ferry_message_topic(m), now() - begin);
 *         return result;
 *     }
 *
 * Retries and dead letters are no interceptors: they are the handler's policy and see the chain's
 * result.
 */
#ifndef FERRY_INTERCEPTOR_H
#define FERRY_INTERCEPTOR_H

#include <ferry/message.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_bus;
struct ferry_next;        /* the rest of the chain; lives for the call */
struct ferry_publication; /* a message about to be published; lives for the call */

struct ferry_interceptor {
	size_t size;
	/* Around each handler's call, on its thread; the result is the handler's. NULL: none. */
	int (*handle)(struct ferry_message *message, struct ferry_next *next, void *ctx);
	/*
	 * Around each publish, on the caller's thread.  A negative result without calling the next one
	 * refuses the publish; any other result without calling it is FERRY_E_REJECTED, because nothing
	 * was sent.  Once the end of the chain was reached its outcome stands, whatever is returned.  For an
	 * asynchronous publish and for a batch the chain ends when the message is handed to the transport.
	 * NULL: none.
	 */
	int (*publish)(struct ferry_publication *publication, struct ferry_next *next, void *ctx);
	void *ctx;
};

/* Append an interceptor. The struct is copied. [thread-safe, before ferry_bus_start: else FERRY_E_STATE] */
FERRY_API int ferry_bus_intercept(struct ferry_bus *bus, const struct ferry_interceptor *interceptor,
                                  struct ferry_error *err);

/* Call the rest of the chain; at most once: a second ferry_next_publish sends nothing (FERRY_E_STATE). */
FERRY_API int ferry_next_handle(struct ferry_next *next, struct ferry_message *message);
FERRY_API int ferry_next_publish(struct ferry_next *next, struct ferry_publication *publication);

FERRY_API const char *ferry_publication_topic(const struct ferry_publication *publication);
FERRY_API const void *ferry_publication_payload(const struct ferry_publication *publication, size_t *ret_size);
/* The value of an attribute that will be sent, or NULL. */
FERRY_API const char *ferry_publication_attribute(const struct ferry_publication *publication, const char *name);
/*
 * Set or replace an attribute; both strings are copied.  Before ferry_next_publish.  FERRY_E_INVALID (a
 * reserved name too), FERRY_E_NOMEM.
 */
FERRY_API int ferry_publication_set_attribute(struct ferry_publication *publication, const char *name,
                                              const char *value);
/* Set the trace id; copied.  Before ferry_next_publish.  FERRY_E_INVALID, FERRY_E_NOMEM. */
FERRY_API int ferry_publication_set_trace_id(struct ferry_publication *publication, const char *trace_id);

#ifdef __cplusplus
}
#endif

#endif
