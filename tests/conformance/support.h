/*
 * support.h - what the cases from 24 on share besides the frame: gates and kept messages for handlers, dead
 * letters, and waiting for a counter.
 */
#ifndef FERRY_CONFORMANCE_SUPPORT_H
#define FERRY_CONFORMANCE_SUPPORT_H

#include <stddef.h>

#include "conformance.h"

/* How soon a dead process's messages move to another, in the cases that kill one or outlive a lease. */
#define TAKEOVER_MS 2000

/* The default group of every bus of a case. */
#define SERVICE(c) conformance_name((c), "service")

/* True when the case was given --control. */
bool support_has_control(const struct conformance *c);
/* How long a transport that commits verdicts from time to time may take to do so, else to send one. */
int64_t support_commit_us(const struct conformance *c);
/* Fail unless what should have come `delay_ms` after `from_us` came in [delay, delay + max(0.5 s, 10 %)]. */
void support_check_delay(struct conformance *c, const char *what, int64_t from_us, int64_t at_us,
			 int64_t delay_ms);

/* ---- waiting for a counter of stats.h ---- */

#define COUNTER(field) offsetof(struct ferry_group_stats, field)

/* Wait until the sum of a counter over the rows of `group` is at least `count`; false after WAIT_MS. */
bool support_counter(struct conformance *c, struct ferry_bus *bus, const char *group, size_t counter,
		     uint64_t count);

/* ---- gates: a handler waits at one until the case opens it ---- */

struct gate;

/* Closed; lives as long as the case. */
struct gate *gate_new(struct conformance *c);
/* Wait until it is open.  Fails the case when it stays closed for longer than any case may run. */
void gate_pass(struct gate *gate);
void gate_open(struct gate *gate);
/* Wait until `count` threads stand at the closed gate, without moving the clock; false after WAIT_MS. */
bool gate_crowd(struct gate *gate, size_t count);
/* A verdict (recorder.h) that passes the gate and is 0. */
int gate_verdict(struct ferry_message *message, void *gate);

/* ---- keepers: messages of a manual-ack handler, for a later settle ---- */

struct keeper;

/* Lives as long as the case; what it keeps must be taken before the bus is closed. */
struct keeper *keeper_new(struct conformance *c);
/* A verdict that keeps a reference and is 0. */
int keeper_verdict(struct ferry_message *message, void *keeper);
/* Take out the oldest kept delivery of message n, waiting for it (time passes); the caller settles and
 * unrefs. */
struct ferry_message *keeper_take(struct keeper *keeper, int64_t n);
/* Ack and unref all that is kept now; returns how many. */
size_t keeper_ack_all(struct keeper *keeper);

/* ---- dead letters ---- */

struct dead_letter {
	int64_t n;
	const char *id, *source, *content_type, *trace_id;
	int64_t timestamp_us;
	const char *key; /* NULL: none */
	size_t key_size;
	const struct ferry_attribute *attributes; /* ends with a NULL name */
	struct dead_letter *next;
};

/* What a reader of a dead-letter topic has seen; lives as long as the case. */
struct dead_letters {
	struct conformance *c;
	struct recorder *recorder; /* every one of them, by n */
	struct gate *gate;         /* the reader stops at it before each; NULL: it does not */
	struct dead_letter *_Atomic newest;
};

/* The name of the topic for what `group` could not handle of `topic`. */
const char *dead_letters_topic(struct conformance *c, const char *group, const char *topic);
/* Subscribe to a dead-letter topic, as a group of its own; before the bus is started. */
struct dead_letters *dead_letters_read(struct conformance *c, struct ferry_bus *bus, const char *dlq_topic);
/* The first dead letter of message n; fails the case when there is none. */
const struct dead_letter *dead_letters_find(struct dead_letters *dead, int64_t n);
/* An attribute's value, NULL when it is absent. */
const char *dead_letter_attribute(const struct dead_letter *letter, const char *name);
/* Fail unless the attribute has this value. */
void dead_letter_expect(struct conformance *c, const struct dead_letter *letter, const char *name,
			const char *value);

#endif
