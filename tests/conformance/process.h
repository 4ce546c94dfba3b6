/*
 * process.h - other processes of a case: the program itself, started with a role (conformance.h).
 *
 *        case                                          role
 *        conformance_spawn(c, seen, 1, "consumer", ...) ->  run(c, argc, argv)
 *        process_expect(p, "ready", ...)        <-  conformance_say(c, "ready")
 *        (recorder `seen`, handler 1)           <-  conformance_record(...)      every call of a handler
 *        process_send(p, "stop")                ->  conformance_hear(c, line, size)
 *        process_kill(p), process_reap(p)
 *
 * A role ends by itself when its case's process is gone.
 */
#ifndef FERRY_CONFORMANCE_PROCESS_H
#define FERRY_CONFORMANCE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fixture.h"

struct process;
struct recorder;

/* ---- in the case ---- */

/*
 * Start the role; the arguments are strings and end with NULL.  What its handlers record goes to
 * `recorder` (may be NULL) under `number`.  Owned by the case.
 */
struct process *conformance_spawn(struct conformance *c, struct recorder *recorder, int number,
				  const char *role, ...);
pid_t process_pid(const struct process *process);
/* Send one line; fails the case when the process is gone. */
void process_send(struct process *process, const char *line);
/*
 * Wait for the next line that begins with `word` (lines before it are passed over) and put what follows the
 * word and a space into `ret_rest` (may be NULL).  Fails the case at the deadline or when the process ends.
 */
void process_expect(struct process *process, const char *word, int64_t timeout_ms, char *ret_rest,
		    size_t size);
/* The same, but false instead of a failure. */
bool process_try_expect(struct process *process, const char *word, int64_t timeout_ms, char *ret_rest,
			size_t size);
/* Send a signal, for example SIGSTOP or SIGCONT. */
void process_signal(struct process *process, int signal);
/* kill -9, and wait for the end.  What it said before can still be read. */
void process_kill(struct process *process);
/* Wait until it has ended; returns waitpid's status.  Fails the case at the deadline. */
int process_wait(struct process *process, int64_t timeout_ms);
/* Send "stop" to a role that runs conformance_serve, and fail the case unless it ends with status 0. */
void process_reap(struct process *process);

/* ---- in the role ---- */

/* One line to the case. */
void conformance_say(struct conformance *c, const char *format, ...) CONFORMANCE_PRINTF(2, 3);
/* The next line from the case; false when it has gone. */
bool conformance_hear(struct conformance *c, char *line, size_t size);
/* True in a role's process. */
bool conformance_is_role(const struct conformance *c);
/*
 * Start the bus, say "ready", wait for "stop", stop gracefully, say
 * "stopped <handled> <handed_back> <pending> <dropped>", close.  Returns the role's exit status.
 */
int conformance_serve(struct conformance *c, struct ferry_bus *bus);

/* The value of the role's argument "key=value", or `otherwise`. */
const char *conformance_argument(int argc, char **argv, const char *key, const char *otherwise);
int64_t conformance_argument_number(int argc, char **argv, const char *key, int64_t otherwise);

/*
 * The common role "consumer": one handler that records and acks.  Arguments "key=value": topic, group,
 * name, service, durable (broadcast_durable), query (of the URL), takeover_ms, concurrency, hold_ms (each
 * call takes so long), distribution=broadcast, start=earliest.  Then conformance_serve.
 */

#endif
