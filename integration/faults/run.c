/* run.c - the frame of a run: failures, waiting, faults, and its beginning and end. */
#include "run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "role.h"

#define POLL_US  5000
#define READY_MS 60000
#define DONE_MS  120000
#define QUIET_MS 1000 /* after takeover: nothing more comes */

void run_fail(struct run *run, const char *format, ...)
{
	const struct settings *s = run->settings;
	va_list arguments;
	processes_kill_all(run);
	flockfile(stdout);
	printf("FAILED %s seed %ju: ", s->scenario, (uintmax_t)s->seed);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n  logs: %s\n  again: %s %s --seed %ju --url '%s'", run->folder, s->program, s->scenario,
	       (uintmax_t)s->seed, s->url);
	if (s->transport)
		printf(" --transport %s", s->transport);
	if (s->control)
		printf(" --control '%s'", s->control);
	putchar('\n');
	fflush(stdout);
	funlockfile(stdout);
	exit(1);
}

const char *run_text(struct run *run, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	CHECK(run, length >= 0, "a text cannot be made: %s", format);
	struct text *text = malloc(sizeof *text + (size_t)length + 1);
	CHECK(run, text, "out of memory");
	va_start(arguments, format);
	vsnprintf(text->text, (size_t)length + 1, format, arguments);
	va_end(arguments);
	text->next = run->texts;
	run->texts = text;
	return text->text;
}

int64_t run_random(struct run *run, int64_t from, int64_t to)
{
	return random_between(&run->random, from, to);
}

/* ---- waiting ---- */

static void check_alive(struct run *run)
{
	processes_reap(run);
	journal_read(run);
	for (size_t i = 0; i < run->process_count; i++) {
		const struct process *p = &run->processes[i];
		if (!p->ended || (p->mortal && WIFSIGNALED(p->status)))
			continue;
		CHECK(run, p->status == 0 && p->done, "%s ended with %s %d", p->name,
		      WIFSIGNALED(p->status) ? "signal" : "status",
		      WIFSIGNALED(p->status) ? WTERMSIG(p->status) : WEXITSTATUS(p->status));
	}
}

bool run_until(struct run *run, run_condition *holds, void *ctx, int64_t timeout_ms)
{
	int64_t until_us = now_us() + timeout_ms * 1000;
	for (;;) {
		check_alive(run);
		if (holds(run, ctx))
			return true;
		if (now_us() >= until_us)
			return false;
		sleep_us(POLL_US);
	}
}

static bool never(struct run *run, void *ctx)
{
	(void)run;
	(void)ctx;
	return false;
}

void run_pass(struct run *run, int64_t ms)
{
	run_until(run, never, NULL, ms);
}

static bool is_ready(struct run *run, void *process)
{
	(void)run;
	return ((struct process *)process)->ready;
}

void run_wait_ready(struct run *run, struct process *process)
{
	CHECK(run, run_until(run, is_ready, process, READY_MS), "%s is not ready", process->name);
}

static bool has_ended(struct run *run, void *process)
{
	(void)run;
	return ((struct process *)process)->ended;
}

void run_wait_done(struct run *run, struct process *process, int64_t timeout_ms)
{
	CHECK(run, run_until(run, has_ended, process, timeout_ms), "%s does not end", process->name);
	check_alive(run); /* what it wrote before it ended */
}

void run_stop(struct run *run, struct process *process)
{
	process_say(run, process, "stop");
	run_wait_done(run, process, DONE_MS);
}

static bool have_ends(struct run *run, void *ctx)
{
	unsigned count = 0;
	for (unsigned n = 0; n < run->message_count; n++)
		count += run->messages[n].handled || run->messages[n].dead;
	return count >= *(const unsigned *)ctx;
}

void run_wait_ends(struct run *run, unsigned count)
{
	CHECK(run, run_until(run, have_ends, &count, run->takeover_ms + RESUME_MS),
	      "fewer than %u messages have an end", count);
}

/* A confirmed message that has no end yet.  What a filter took away leaves no trace. */
static bool is_open(const struct message *m)
{
	return m->result == RESULT_OK && m->kind != KIND_OTHER &&
	       !(message_is_fatal(m->kind) ? m->dead : m->handled);
}

static bool all_settled(struct run *run, void *ctx)
{
	(void)ctx;
	for (unsigned n = 0; n < run->message_count; n++)
		if (is_open(&run->messages[n]))
			return false;
	return true;
}

void run_wait_settled(struct run *run)
{
	if (run_until(run, all_settled, NULL, run->takeover_ms + RESUME_MS))
		return;
	char lost[200] = "";
	unsigned count = 0;
	for (unsigned n = 0; n < run->message_count; n++)
		if (is_open(&run->messages[n]) && ++count <= 10)
			snprintf(lost + strlen(lost), sizeof lost - strlen(lost), " %u", n);
	run_fail(run, "%u confirmed messages have no end within takeover + %d s after the last fault:%s%s",
		 count, RESUME_MS / 1000, lost, count > 10 ? " ..." : "");
}

struct delivery *run_delivery(struct run *run, unsigned number, const struct process * not )
{
	struct delivery *found = NULL;
	for (struct delivery *d = run->messages[number].first; d; d = d->next)
		if (d->process != not &&d->outcome != 'd')
			found = d;
	return found;
}

/* ---- faults ---- */

size_t fault_begin(struct run *run, const struct process *process)
{
	CHECK(run, run->fault_count < FAULTS_MAX, "too many faults");
	run->faults[run->fault_count] =
		(struct fault){.process = process, .from_us = now_us(), .to_us = INT64_MAX};
	return run->fault_count++;
}

void fault_end(struct run *run, size_t fault, int64_t grace_ms)
{
	run->faults[fault].over_us = now_us();
	run->faults[fault].to_us = run->faults[fault].over_us + grace_ms * 1000;
}

void fault_add_stall(struct run *run, const struct process *process, int64_t from_us, int64_t over_us)
{
	for (size_t i = 0; i < run->fault_count; i++) {
		const struct fault *known = &run->faults[i];
		if ((!known->process || known->process == process) && from_us <= known->to_us &&
		    over_us >= known->from_us && over_us <= known->to_us)
			return; /* its consequence */
	}
	size_t fault = fault_begin(run, process);
	fault_end(run, fault, 0);
	run->faults[fault].from_us = from_us;
	run->faults[fault].over_us = over_us;
	run->faults[fault].to_us = over_us + (process ? 0 : run->takeover_ms * INT64_C(1000));
	run->faults[fault].stall = true;
}

void run_control(struct run *run, const char *verb)
{
	char command[1024];
	int length = snprintf(command, sizeof command, "%s %s >&2", run->settings->control, verb);
	CHECK(run, length > 0 && (size_t)length < sizeof command, "the control command is too long");
	int status = system(command);
	CHECK(run, status == 0, "the control command failed: %s", command);
}

/* ---- the frame of a scenario ---- */

void run_begin(struct run *run)
{
	run->begun_us = now_us();
	run->takeover_ms = (int)run_random(run, 2000, 2600);
	run->concurrency = (int)run_random(run, 2, 6);
	run->work_us = (int)run_random(run, 0, 4000);
	run->max_retries = (int)run_random(run, 2, 4);
	run->backoff_ms = (int)run_random(run, 50, 200);
	run->mix = (struct mix){.flaky = (unsigned)run_random(run, 30, 150),
				.reject = (unsigned)run_random(run, 5, 20),
				.hopeless = (unsigned)run_random(run, 5, 20),
				.large = 5};
	struct process *dead = run_start(run, ROLE_DEAD, "dead", NULL);
	run_wait_ready(run, run_start(run, ROLE_PULSE, "pulse", NULL));
	run_wait_ready(run, dead);
}

struct process *run_consumers(struct run *run, unsigned count)
{
	struct process *first = &run->processes[run->process_count];
	for (unsigned i = 0; i < count; i++)
		run_start(run, ROLE_CONSUME, run_text(run, "c%u", i + 1), NULL);
	for (unsigned i = 0; i < count; i++)
		run_wait_ready(run, &first[i]);
	return first;
}

/* Stop all of a role that still run, at the same time. */
static void stop_all(struct run *run, enum role role)
{
	for (size_t i = 0; i < run->process_count; i++)
		if (run->processes[i].role == role && !run->processes[i].ended)
			process_say(run, &run->processes[i], "stop");
	for (size_t i = 0; i < run->process_count; i++)
		if (run->processes[i].role == role)
			run_wait_done(run, &run->processes[i], DONE_MS);
}

static bool is_quiet(struct run *run, void *ctx)
{
	const struct process *sweep = ctx;
	return now_us() - sweep->last_us > (run->takeover_ms + QUIET_MS) * INT64_C(1000);
}

/* Another consumer of the group takes what is left; nothing that has been settled may come again. */
static void sweep(struct run *run)
{
	struct process *process = run_start(run, ROLE_SWEEP, "sweep", NULL);
	run_wait_ready(run, process);
	CHECK(run, run_until(run, is_quiet, process, run->takeover_ms + RESUME_MS),
	      "messages come without end after all was settled");
	run_stop(run, process);
}

/* Seconds from the end of the scenario's last fault until a consumer finished a message. */
static double resumed(const struct run *run)
{
	int64_t over_us = 0, first_us = INT64_MAX;
	for (size_t i = 0; i < run->fault_count; i++)
		if (!run->faults[i].stall && run->faults[i].over_us > over_us)
			over_us = run->faults[i].over_us;
	for (unsigned n = 0; n < run->message_count; n++)
		for (const struct delivery *d = run->messages[n].first; d; d = d->next)
			if (d->process->role == ROLE_CONSUME && d->end_us > over_us && d->end_us < first_us)
				first_us = d->end_us;
	return first_us == INT64_MAX ? 0 : (double)(first_us - over_us) / 1e6;
}

static unsigned count_stalls(const struct run *run)
{
	unsigned count = 0;
	for (size_t i = 0; i < run->fault_count; i++)
		count += run->faults[i].stall;
	return count;
}

void run_finish(struct run *run)
{
	run_wait_settled(run);
	double resumed_s = resumed(run);
	stop_all(run, ROLE_CONSUME);
	sweep(run);
	stop_all(run, ROLE_DEAD);
	stop_all(run, ROLE_PULSE);
	struct verdict v = oracle_judge(run);
	unsigned stalls = count_stalls(run);
	printf("%s seed %ju: %u messages (%u confirmed, %u refused, %u unknown), %u handled, %u dead "
	       "letters, "
	       "%u filtered, %u left, %u duplicates (at most %u; %u were stored twice), %zu faults, %u "
	       "stalls, resumed after %.2f "
	       "s, %.1f s%s\n",
	       run->settings->scenario, (uintmax_t)run->settings->seed, v.tried, v.confirmed, v.refused,
	       v.unknown, v.handled, v.dead, v.filtered, v.left, v.duplicates, v.bound, v.twice,
	       run->fault_count - stalls, stalls, resumed_s, (double)(now_us() - run->begun_us) / 1e6,
	       run->note);
	fflush(stdout);
}
