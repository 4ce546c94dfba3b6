/*
 * run.h - one run of a scenario: its processes, what their logs say, and the faults that it made.
 *
 *     scenario  ->  run_start(...)     processes with a role (role.h), which write logs
 *               ->  run_wait(...)      reads the logs until a condition holds
 *               ->  fault_begin/_end   when which process was disturbed, or (NULL) the server and so all
 *               ->  run_finish(...)    stops the consumers, looks for what is left, asks the oracle
 *
 * A failure prints what was expected, where the logs are and how to repeat the run, ends all processes and
 * exits.  So no function here returns an error.
 */
#ifndef FAULTS_RUN_H
#define FAULTS_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "message.h"

#define PROCESSES_MAX 48
#define FAULTS_MAX    200
#define MESSAGES_MAX  20000

/*
 * What a handler said may be on its way to the backend for so long, and is forgotten when a process or the
 * server dies meanwhile.
 */
#define SETTLE_US 1000000
/* What the contract allows after the last fault, besides takeover, until work goes on. */
#define RESUME_MS 30000
/* How much later than promised something may happen on a busy machine. */
#define SLACK_MS 5000

struct settings {
	const char *program, *scenario, *url, *transport, *control, *logs;
	uint64_t seed;
	int64_t cut_ms; /* 0: as the seed says */
};

enum role { ROLE_PUBLISH = 1, ROLE_CONSUME, ROLE_SWEEP, ROLE_DEAD, ROLE_PULSE };

struct process {
	char name[24];
	enum role role;
	pid_t pid;
	int input; /* its standard input */
	int log;
	char path[512];
	char rest[1024]; /* the beginning of a line that is not whole yet */
	size_t rest_size;

	bool mortal; /* it may die of a signal */
	bool ended;
	int status;
	bool ready, done;
	uint64_t capabilities;
	int64_t ready_us, last_us; /* the last line */
	bool has_groups;
	uint64_t received, handled, filtered, dead_lettered, dropped, retried, handed_back, stale, in_flight;
	uint64_t published, rejected, unknown;
};

/* One call of a handler. */
struct delivery {
	struct delivery *next; /* of the same message, in the order of the logs' reading */
	const struct process *process;
	int64_t begin_us, end_us; /* INT64_MAX: it did not end */
	uint64_t position;        /* a hash */
	unsigned attempt;
	char outcome; /* 'o'k, 'r'etry, re'j'ect, 'd'ead letter, '?' */
	char reason[24];
};

enum result { RESULT_NONE, RESULT_OK, RESULT_REFUSED, RESULT_UNKNOWN };

struct message {
	bool tried;
	enum kind kind;
	enum result result;
	int64_t tried_us, result_us;
	const struct process *publisher;
	struct delivery *first, **last;
	unsigned begun, handled, dead; /* calls; those that ended well; dead letters that were seen */
	unsigned swept;                /* of handled: by the sweep */
};

struct fault {
	const struct process *process; /* NULL: the server, or the link to it */
	int64_t from_us, to_us;
	int64_t over_us; /* the disturbance itself was over */
	bool stall;      /* the machine's doing, not the scenario's */
};

struct text {
	struct text *next;
	char text[];
};

struct run {
	const struct settings *settings;
	struct text *texts;
	uint64_t random;
	char id[9], topic[40], group[40], dead_topic[90], folder[400];
	int64_t begun_us;
	char note[100]; /* what the scenario adds to the line */

	/* what the scenario chose */
	int takeover_ms, concurrency, work_us, max_retries, backoff_ms, max_deliveries;
	struct mix mix;

	struct process processes[PROCESSES_MAX];
	size_t process_count;
	struct fault faults[FAULTS_MAX];
	size_t fault_count;
	struct message messages[MESSAGES_MAX];
	unsigned message_count; /* tried ones are below */
};

/* Print the failure and end the program. */
_Noreturn void run_fail(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define CHECK(run, condition, ...)                    \
	do {                                          \
		if (!(condition))                     \
			run_fail((run), __VA_ARGS__); \
	} while (0)

/* A text that lives as long as the run. */
const char *run_text(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t run_random(struct run *run, int64_t from, int64_t to);

/* ---- processes (process.c) ---- */

/* Start a role with the run's arguments and those given, which end with NULL. */
struct process *run_start(struct run *run, enum role role, const char *name, ...);
/* Send a line. */
void process_say(struct run *run, struct process *process, const char *word);
void process_signal(struct run *run, struct process *process, int signal);
/* kill -9, and wait for the end; the fault is recorded. */
void process_kill(struct run *run, struct process *process);
/* Notice processes that have ended. */
void processes_reap(struct run *run);
void processes_kill_all(struct run *run);

/* ---- the logs (journal.c) ---- */

/* Read what has been added to the logs. */
void journal_read(struct run *run);

/* ---- waiting ---- */

typedef bool run_condition(struct run *run, void *ctx);

/* Read logs until the condition holds; false at the deadline.  A process that fails or dies fails the run. */
bool run_until(struct run *run, run_condition *holds, void *ctx, int64_t timeout_ms);
/* Let time pass, reading logs. */
void run_pass(struct run *run, int64_t ms);
void run_wait_ready(struct run *run, struct process *process);
void run_wait_done(struct run *run, struct process *process, int64_t timeout_ms);
/* Wait until so many messages have their end (handled, or seen as dead letters). */
void run_wait_ends(struct run *run, unsigned count);
/* Wait until each confirmed message has its end, at most as long as the contract allows after the last fault.
 */
void run_wait_settled(struct run *run);
/* Stop a consumer in order. */
void run_stop(struct run *run, struct process *process);

/* The call of a message's handler, the newest one, that a process other than `not` (may be NULL) made; or
 * NULL. */
struct delivery *run_delivery(struct run *run, unsigned number, const struct process * not );

/* ---- faults ---- */

/* Process NULL: the server.  Returned is what fault_end wants. */
size_t fault_begin(struct run *run, const struct process *process);
/* The disturbance is over; what it interrupted may be found out within `grace_ms`. */
void fault_end(struct run *run, size_t fault, int64_t grace_ms);
/* The machine kept this process, or (NULL) the server, waiting: that excuses what a fault would. */
void fault_add_stall(struct run *run, const struct process *process, int64_t from_us, int64_t over_us);
/* Run the control command with a verb. */
void run_control(struct run *run, const char *verb);

/* ---- the frame of a scenario ---- */

/* Choose the run's numbers by the seed, start the pulse and the reader of dead letters. */
void run_begin(struct run *run);
/* Start `count` consumers, c1, c2, ..., with the run's options, and wait until they are ready.  Returns the
 * first. */
struct process *run_consumers(struct run *run, unsigned count);
/* Wait until all is settled, stop everything in order, sweep, and ask the oracle; prints the run's line. */
void run_finish(struct run *run);

/* ---- the oracle (oracle.c) ---- */

struct verdict {
	unsigned tried, confirmed, refused, unknown;
	unsigned handled, dead, filtered, left; /* distinct messages */
	unsigned twice;                         /* stored at two places: sent again under the same id */
	unsigned duplicates, bound;
};

/* Fails the run unless everything adds up. */
struct verdict oracle_judge(struct run *run);

/* ---- the scenarios ---- */

struct scenario {
	const char *name;
	void (*play)(struct run *run);
	const char *promise;
	bool needs_control;
};

void scenario_kill_consumer(struct run *run);
void scenario_kill_server(struct run *run);
void scenario_cut_link(struct run *run);
void scenario_freeze_consumer(struct run *run);
void scenario_kill_retry(struct run *run);
void scenario_abort(struct run *run);
void scenario_kill_publisher(struct run *run);

#endif
