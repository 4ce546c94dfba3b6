/*
 * dlq.h - sending dead letters back to the group that failed on them.
 *
 * A dead letter is an ordinary message on an ordinary topic, `dlq.<group>.<topic>` unless the
 * handler named another: the original payload, key and attributes, plus
 *
 *   ferry-dlq-topic, -group, -handler      where it failed; the group of a broadcast handler is
 *                                          broadcast:<group>
 *   ferry-dlq-reason                       error, timeout, decode, max_deliveries, trimmed or rejected
 *   ferry-dlq-error                        the text, at most 1 KiB
 *   ferry-dlq-attempts                     calls that were counted
 *   ferry-dlq-first-failed, -last-failed   RFC 3339
 *   ferry-dlq-source-pos                   where the original stands
 *   ferry-dlq-instance, -host              which process gave up
 *
 * Reading one is subscribing to that topic.
 */
#ifndef FERRY_DLQ_H
#define FERRY_DLQ_H

#include <ferry/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_bus;

struct ferry_replay_options {
	size_t size;
	const char *reason;  /* only dead letters with this reason [all] */
	const char *id;      /* only this message [all] */
	uint64_t max_count;  /* at most so many [all that were there when the call began] */
	int64_t timeout_ms;  /* [30000] */
	int32_t dry_run;     /* FERRY_ON: count, send nothing, settle nothing */
	int32_t reserved;
};

struct ferry_replay_report {
	size_t size;
	uint64_t seen;     /* dead letters looked at */
	uint64_t replayed; /* published to the original topic, confirmed, and settled in the DLQ; with
			    * dry_run those that would be */
	uint64_t skipped;  /* left where they are */
};

/*
 * Publish the dead letters of `dlq_topic` to the topics they came from, marked
 * `ferry-target-group` so that only the group that failed handles them, with a fresh attempt
 * count and the same id.  What was replayed is not replayed again by a later call.
 * [thread-safe, bus READY; not from inside a handler]
 *
 * Errors: FERRY_E_STATE, FERRY_E_INVALID, FERRY_E_DEADLOCK, FERRY_E_UNSUPPORTED (needs RETAIN),
 * FERRY_E_TIMEDOUT (the report says how far it came), a publish's errors.
 */
FERRY_API int ferry_dlq_replay(struct ferry_bus *bus, const char *dlq_topic,
                               const struct ferry_replay_options *options,
                               struct ferry_replay_report *report, struct ferry_error *err);

#ifdef __cplusplus
}
#endif

#endif
