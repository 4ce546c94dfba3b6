/*
 * intercept.h - the chain of interceptors around handle and around publish.
 */
#ifndef CORE_INTERCEPT_H
#define CORE_INTERCEPT_H

#include "core.h"

/* Decode, then the interceptors, then the handler: the handler's result. */
int handle_through(struct ferry_bus *bus, struct ferry_message *m);

/* A message about to be published; what interceptors set is owned by it. */
struct ferry_publication {
	struct ferry_bus *bus;
	struct topic *topic;
	struct ferry_record record;
	char traceparent[56];
	struct ferry_attribute *attributes; /* NULL until an interceptor sets one */
	void **owned;
	size_t owned_count;
	/* The end of the chain. */
	int (*send)(struct ferry_publication *publication, void *ctx);
	void *send_ctx;
	bool sent;   /* the end was reached */
	int outcome; /* what it returned */
};

/*
 * The interceptors, then `send`.  Once that was reached, its outcome is the result: what happened to the
 * message cannot be talked away.  Before that, whatever is not an error code counts as FERRY_E_REJECTED.
 */
int publish_through(struct ferry_publication *publication);
void publication_clear(struct ferry_publication *publication);
bool has_publish_interceptor(const struct ferry_bus *bus);

/* Put a trace id into the record: as traceparent where it fits. */
int set_trace(struct ferry_publication *publication, const char *trace_id, struct ferry_error *err);

#endif
