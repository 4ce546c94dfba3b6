/*
 * load.h - publishing through a bus as fast as it goes, and checking what arrives.
 *
 * Each payload begins with 8 bytes: which run, which message.  A handler marks the message in a bitmap, so
 * that lost and repeated ones are known by number.  What is measured is disturbed by little else: a handler
 * has its own bitmap and counters, signals nobody and reads the clock for a sample of the messages only.
 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/ferry.h>

#include "histogram.h"

#define LOAD_SIZE_MIN     8
#define LOAD_MESSAGES_MAX (UINT64_C(1) << 36)

struct load_spec {
	const char *url; /* NULL: FERRY_URL */
	const char *topic;
	uint64_t messages; /* that are measured */
	uint64_t warmup;   /* before them */
	uint64_t rate;     /* messages per second that all publishers make together; 0 = as fast as it goes */
	uint64_t sample;   /* time every so many-th message; 0 = none */
	size_t size;       /* of a payload */
	unsigned int publishers, handlers;
	unsigned int batch;  /* messages of one ferry_publish_batch; 1 = ferry_publish */
	bool broadcast;      /* each handler gets every message; else they compete */
	int64_t patience_ms; /* give up when nothing arrives for so long */
};

struct load_result {
	char transport[64];
	uint64_t published;         /* confirmed */
	uint64_t rejected, unknown; /* publishes that ended otherwise */
	uint64_t unsent;            /* not tried: a publisher met an error that does not go away */
	struct ferry_error error;   /* the first of those errors; code 0 = none */
	uint64_t handled; /* messages that arrived, each counted once per handler that should get it */
	uint64_t lost, duplicates;
	uint64_t foreign;                    /* messages of somebody else on the topic; not counted above */
	int64_t published_ns;                /* from the first publish call to the end of the last */
	int64_t handled_ns;                  /* from the first publish call to the last handler call */
	struct histogram latency;            /* publish call to handler call, in ns */
	struct ferry_group_stats accounting; /* of the bus, warm-up included, after the stop */
	struct ferry_stop_report stopped;
};

/* Run it.  0, or a negative FERRY_E_* when it could not be run at all. */
int load_run(const struct load_spec *spec, struct load_result *ret, struct ferry_error *err);

#endif
