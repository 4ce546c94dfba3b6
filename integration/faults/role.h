/*
 * role.h - what the other processes of a run do.  Each is this program, started with a role and a log.
 *
 * A log is appended to by one write(2) a line, so it is whole up to the last line, whatever ends the process.
 * Each line is a word, its arguments, and the time (CLOCK_MONOTONIC, microseconds: one clock for all
 * processes):
 *
 *     ready CAPABILITIES              the bus is ready
 *     try NUMBER KIND                 a publisher is about to publish it ...
 *     ok NUMBER                       ... it is confirmed
 *     refused NUMBER CODE             ... it is certainly not stored
 *     unknown NUMBER CODE             ... it may be stored
 *     begin NUMBER ATTEMPT POSITION   a handler was called
 *     end NUMBER OUTCOME POSITION     it is about to return: ok, retry or reject
 *     dead NUMBER REASON POSITION     a reader of dead letters saw it
 *     stall MILLISECONDS              this process did not run for so long; in the pulse: the server did not
 *     groups N N N N N N N N N        after the stop: received = handled + ... + in_flight
 *     topics N N N                    after the stop: published, rejected, unknown
 *     done                            it has ended in order
 *     failed TEXT                     it has not
 */
#ifndef FAULTS_ROLE_H
#define FAULTS_ROLE_H

#include <stdint.h>

#include <ferry/ferry.h>

/* ---- the log of this process ---- */

void log_open(const char *path);
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Log `failed` and end the process. */
_Noreturn void log_failure(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Log a stall when it took long from one to the other. */
void log_stall(int64_t from_us, int64_t to_us);

#define BEAT_US 100000 /* how often a process looks whether it, or the server, stands still */

int64_t now_us(void);
void sleep_until_us(int64_t us);
void sleep_us(int64_t us);

/* ---- arguments "key=value" ---- */

struct arguments {
	int count;
	char **values;
};

/* The value of the last one with this key, or `otherwise`. */
const char *argument(const struct arguments *arguments, const char *key, const char *otherwise);
int64_t argument_number(const struct arguments *arguments, const char *key, int64_t otherwise);

/* ---- buses ---- */

/* Open a bus by the arguments url, transport, service, takeover_ms.  Ends the process when it cannot. */
struct ferry_bus *role_open(const struct arguments *arguments);
/* Start it and log `ready`. */
void role_start(struct ferry_bus *bus);
/* It must be ready by now.  Stop it, log its numbers, close it, and log `done`. */
void role_finish(struct ferry_bus *bus);

/* ---- the roles; they return the exit status ---- */

/*
 * Publishes messages and ends.  Arguments: topic, run (the beginning of every id), seed, first, count, mode
 * (sync, async or batch), window (messages under way), rate (a second; 0: as fast as it goes), max_size,
 * deadline_ms, kind (of all), or the numbers of struct mix; abort (the number of one that is KIND_ABORT).
 */
int role_publish(const struct arguments *arguments);
/*
 * Handles messages until it reads "stop".  Arguments: topic, concurrency, work_us (most per call),
 * max_retries, backoff_ms, max_deliveries, filter (off: take all), near_ms and far_ms (the delays of
 * KIND_LATE), and mode: handle; sweep (everything is handled at once); dead (reads dead letters). It also
 * reads "release ok" and "release retry" (what the handlers that hold a message now return), and "open"
 * (messages are held no longer).
 */
int role_consume(const struct arguments *arguments);

/*
 * Publishes a small message ten times a second until it reads "stop", and logs when one takes long: the
 * server, its disk or the link to it stood still.  Arguments: topic.
 */
int role_pulse(const struct arguments *arguments);

#endif
