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
/* Up to BATCH_MAX records, waiting for their results; each is set. */
void send_records(const struct send *send, const struct ferry_record *records, size_t count,
		  int32_t *results);
/* One record; `send->done` hears of its result. */
int send_async(const struct send *send, const struct ferry_record *record);

/* The text of a result that is not 0; returns the result. */
int send_outcome(const struct topic *topic, int result, const char *reason, struct ferry_error *err);
/* A message that never reached the transport: counted; returns `code`. */
int send_refused(struct ferry_bus *bus, struct topic *topic, int code);

#endif
