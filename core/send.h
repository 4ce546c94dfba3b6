/*
 * send.h - handing records to the transport: waiting for room, and for the results.
 */
#ifndef CORE_SEND_H
#define CORE_SEND_H

#include "core.h"

/* What the messages of one call have in common. */
struct send {
	struct ferry_bus *bus;
	struct topic *topic;
	int64_t deadline_us; /* real time */
	struct ferry_view dedup_id;
	struct ferry_error *err;
	ferry_published_fn *done; /* asynchronous */
	void *ctx;
};

/* 0 once messages can be handed over: the bus is started, connected, and not yet stopped. */
int send_usable(struct ferry_bus *bus, struct topic *topic, int64_t deadline_us, struct ferry_error *err);
/* One record, waiting for its result. */
int send_one(const struct send *send, const struct ferry_record *record);
/* One record; `send->done` hears of its result. */
int send_async(const struct send *send, const struct ferry_record *record);

/*
 * A thread that waits for the results of several calls; on its stack, so a publication that outlives it must
 * forget it.
 */
struct waiter {
	struct ferry_bus *bus;
	struct ferry_error *err; /* the first failure's text goes here */
	bool failed;
	pthread_cond_t done;
	/* [room_lock] */
	size_t open;               /* results to come */
	struct publication *first; /* those without a result, by wait_next */
};

/* Get ready; FERRY_E_NOMEM. */
int waiter_begin(struct waiter *waiter, struct ferry_bus *bus, struct ferry_error *err);
/* Hand over up to BATCH_MAX records; what *results[i] points to is set when waiter_end returns, or before. */
void send_records(const struct send *send, struct waiter *waiter, const struct ferry_record *records,
		  int32_t *const *results, size_t count);
/* Wait for them; what has no result by real time `deadline_us` and a little ends UNKNOWN and is left to
 * itself. */
void waiter_end(struct waiter *waiter, int64_t deadline_us);

/* The text of a result that is not 0; returns the result. */
int send_outcome(const struct topic *topic, int result, const char *reason, struct ferry_error *err);
/* A message that never reached the transport: counted; returns `code`. */
int send_refused(struct ferry_bus *bus, struct topic *topic, int code);

#endif
