/*
 * stats.h - accounting: nothing is lost, as numbers.
 *
 * For each group and topic of this process (and for each broadcast handler)
 *
 *     received = handled + filtered + dead_lettered + dropped + retried + handed_back + stale + in_flight
 *
 * holds in every snapshot.  Each term is counted where it happens; none is computed from the
 * others.  `received` counts deliveries taken from the transport, so a message that is retried by
 * the backend is received again.
 */
#ifndef FERRY_STATS_H
#define FERRY_STATS_H

#include <ferry/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_bus;
struct ferry_stats;

struct ferry_group_stats {
	size_t size;
	const char *group;
	const char *topic;
	const char *handler; /* a broadcast handler's name; "" for a competing group */

	uint64_t received;
	uint64_t handled;       /* acked */
	uint64_t filtered;      /* no filter matched, or meant for another group */
	uint64_t dead_lettered; /* confirmed in the dead-letter topic */
	uint64_t dropped;       /* given up with dlq off, or lost by stopping a transport that is not durable */
	uint64_t retried;       /* ended by a retry that the backend keeps */
	uint64_t handed_back;   /* returned unhandled */
	uint64_t stale;         /* settled too late: taken over by another process meanwhile */
	uint64_t in_flight;     /* taken and not ended: queued, running, held for a retry, open by manual ack */

	/* what happened on the way; not part of the sum */
	uint64_t calls;        /* handler calls that were begun */
	uint64_t failed;       /* calls that failed */
	uint64_t timeouts;     /* calls that ran out of time */
	uint64_t late_results; /* results of calls whose time was up: ignored */
	uint64_t held;         /* of in_flight: waiting for their retry in this process */
	uint64_t stuck;        /* of in_flight's handlers: calls that do not return */
};

struct ferry_topic_stats {
	size_t size;
	const char *topic;
	/* Each message given to a publish call ends in one of these three. */
	uint64_t published; /* confirmed */
	uint64_t rejected;  /* certainly not stored: any other error */
	uint64_t unknown;   /* outcome unknown */
	uint64_t evicted;   /* retained records that the memory transport dropped */
};

/* A consistent snapshot, owned by the caller; NULL on failure. [thread-safe] */
FERRY_API struct ferry_stats *ferry_stats_take(struct ferry_bus *bus, struct ferry_error *err);
FERRY_API void ferry_stats_free(struct ferry_stats *stats);

/* Rows: 0 <= index < count; borrowed from the snapshot. */
FERRY_API size_t ferry_stats_group_count(const struct ferry_stats *stats);
FERRY_API const struct ferry_group_stats *ferry_stats_group(const struct ferry_stats *stats, size_t index);
FERRY_API size_t ferry_stats_topic_count(const struct ferry_stats *stats);
FERRY_API const struct ferry_topic_stats *ferry_stats_topic(const struct ferry_stats *stats, size_t index);

/* The sum over all rows whose group is `group` (NULL: all). Its group and topic are "". */
FERRY_API struct ferry_group_stats ferry_stats_sum(const struct ferry_stats *stats, const char *group);

#ifdef __cplusplus
}
#endif

#endif
