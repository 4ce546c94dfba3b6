/*
 * recorder.h - a thread-safe log of what handlers saw.
 *
 * In a role's process a recorder also tells the parent, whose own recorder (given to conformance_spawn)
 * then holds the same entries: so one case can watch handlers of several processes.
 */
#ifndef FERRY_CONFORMANCE_RECORDER_H
#define FERRY_CONFORMANCE_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/message.h>

struct conformance;
struct recorder;

struct recorded {
	int64_t n; /* conformance_number of the message */
	uint32_t attempt;
	int handler;   /* the record_handler's number; of another process: the number it was spawned with */
	int64_t at_us; /* conformance_now_us when it was recorded */
	char id[64];   /* the message's id, cut to fit */
};

/* Lives as long as the case. */
struct recorder *conformance_recorder(struct conformance *c);
void recorder_add(struct recorder *recorder, const struct recorded *entry);
/* Record a message as seen by `handler`. */
void recorder_add_message(struct recorder *recorder, const struct ferry_message *message, int handler);

/* A handler that records and then asks `verdict` (NULL: 0) for its result.  Give it a record_handler. */
struct record_handler {
	struct recorder *recorder;
	int number;
	ferry_handler_fn *verdict;
	void *ctx; /* of the verdict */
};
int conformance_record(struct ferry_message *message, void *record_handler);

/* Looking, any thread. */
size_t recorder_count(struct recorder *recorder);
size_t recorder_count_of(struct recorder *recorder, int handler);
size_t recorder_count_n(struct recorder *recorder, int64_t n);
size_t recorder_distinct(struct recorder *recorder); /* different n */
/* Entries whose (n, handler) was there before with the same attempt: more than one call for one attempt. */
size_t recorder_duplicates(struct recorder *recorder);
/* How many of first .. first + count - 1 never came; *ret_example (may be NULL) is one of them. */
size_t recorder_missing(struct recorder *recorder, int64_t first, size_t count, int64_t *ret_example);
/* Entry by index, in the order of recording; index < count. */
struct recorded recorder_at(struct recorder *recorder, size_t index);
/* The index-th entry of message n (in order); false: there are not so many. */
bool recorder_find(struct recorder *recorder, int64_t n, size_t index, struct recorded *ret);
void recorder_clear(struct recorder *recorder);

/*
 * Waiting.  recorder_wait: until so many entries are there; _distinct: so many different n.  False at the
 * deadline.  With the manual clock time is moved on while nothing comes; _now never moves it.
 */
bool recorder_wait(struct recorder *recorder, size_t count, int64_t timeout_ms);
bool recorder_wait_distinct(struct recorder *recorder, size_t count, int64_t timeout_ms);
bool recorder_wait_now(struct recorder *recorder, size_t count, int64_t timeout_ms);
/* True when no further entry comes while `ms` of the case's clock pass. */
bool recorder_quiet(struct recorder *recorder, int64_t ms);

/* Fail the case unless first .. first + count - 1 came exactly once (each in all of the recorder), or at
 * least once; nothing else may have come. */
void conformance_each_once(struct conformance *c, struct recorder *recorder, int64_t first, size_t count);
void conformance_each(struct conformance *c, struct recorder *recorder, int64_t first, size_t count);

#endif
