/* scenario_consumer.c - consumers that are killed, frozen, or that a message kills. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include <ferry/transport.h>

#include "role.h"
#include "run.h"

/* A publisher of a mixed load in the background. */
static struct process *start_load(struct run *run, unsigned first, unsigned count, int64_t rate)
{
	static const char *const modes[] = {"mode=sync", "mode=async", "mode=batch"};
	return run_start(run, ROLE_PUBLISH, "load", run_text(run, "first=%u", first),
			 run_text(run, "count=%u", count), run_text(run, "rate=%d", (int)rate),
			 modes[run_random(run, 0, 2)],
			 run_text(run, "window=%d", (int)run_random(run, 1, 100)),
			 run_text(run, "max_size=%d", (int)run_random(run, 20, 3000)), NULL);
}

/* Publish messages that handlers hold, and wait until they are confirmed. */
static void publish_held(struct run *run, unsigned first, unsigned count)
{
	struct process *p = run_start(run, ROLE_PUBLISH, "held", "kind=h", run_text(run, "first=%u", first),
				      run_text(run, "count=%u", count), NULL);
	run_wait_done(run, p, RESUME_MS);
}

/* Calls of handlers that a scenario waits for: of all messages from `first` on, outside `not`. */
struct calls {
	unsigned first, count;
	const struct process * not ; /* NULL: anywhere */
	char outcome;                /* of the newest; '?': it runs, 0: any */
};

static bool have_calls(struct run *run, void *ctx)
{
	const struct calls *want = ctx;
	for (unsigned n = want->first; n < want->first + want->count; n++) {
		const struct delivery *d = run_delivery(run, n, want->not );
		if (!d || (want->outcome && d->outcome != want->outcome))
			return false;
	}
	return true;
}

static void say_to_consumers(struct run *run, const char *word)
{
	for (size_t i = 0; i < run->process_count; i++)
		if (run->processes[i].role == ROLE_CONSUME && !run->processes[i].ended)
			process_say(run, &run->processes[i], word);
}

/* ---- kill -9 inside a handler ---- */

void scenario_kill_consumer(struct run *run)
{
	unsigned load = (unsigned)run_random(run, 300, 1000);
	run_begin(run);
	struct process *consumers = run_consumers(run, 4);
	struct process *publisher = start_load(run, 0, load, run_random(run, 150, 400));
	run_wait_ends(run, (unsigned)run_random(run, 20, load / 3));
	process_kill(run, &consumers[run_random(run, 0, 3)]); /* wherever it is */

	struct calls held = {.first = load, .count = 1, .outcome = '?'};
	publish_held(run, load, 1);
	CHECK(run, run_until(run, have_calls, &held, RESUME_MS), "the held message does not come");
	struct delivery *call = run_delivery(run, load, NULL);
	run_pass(run, run_random(run, 0, 800)); /* long enough for its lease to be renewed, or not */
	struct process *victim = &run->processes[call->process - run->processes];
	process_kill(run, victim);
	int64_t killed_us = now_us();

	held.not = victim;
	CHECK(run, run_until(run, have_calls, &held, run->takeover_ms + SLACK_MS),
	      "the message in whose handler %s was killed comes to no other within takeover + %d s",
	      victim->name, SLACK_MS / 1000);
	struct delivery *next = run_delivery(run, load, victim);
	CHECK(run, next->begin_us > killed_us, "the held message came to two consumers");
	if (next->process->capabilities & FERRY_CAP_ATTEMPT_DURABLE)
		CHECK(run, next->attempt == call->attempt + 1,
		      "after attempt %u, in which %s was killed, came %u", call->attempt, victim->name,
		      next->attempt);
	say_to_consumers(run, "open");
	run_wait_done(run, publisher, RESUME_MS);
	run_finish(run);
}

/* ---- SIGSTOP for longer than the lease ---- */

/*
 * The frozen process holds messages in its handlers.  Others take them over and hold them, too.  Then the
 * frozen one wakes up, its handlers return 0 and it stops; then the others fail.  If a late result had
 * settled what belongs to the others, their messages would not come again.
 */
void scenario_freeze_consumer(struct run *run)
{
	unsigned load = (unsigned)run_random(run, 300, 800);
	run_begin(run);
	unsigned count = (unsigned)run_random(run, 1, run->concurrency); /* held ones */
	struct calls held = {.first = load, .count = count, .outcome = '?'};
	run->mix.other = 50;
	struct process *frozen = run_start(run, ROLE_CONSUME, "c1", NULL);
	run_wait_ready(run, frozen);
	publish_held(run, load, count);
	CHECK(run, run_until(run, have_calls, &held, RESUME_MS), "the held messages do not come");

	run->concurrency = (int)count + 2; /* of the others */
	struct process *publisher = start_load(run, 0, load, run_random(run, 150, 400));
	for (int i = 2; i <= 3; i++)
		run_wait_ready(run, run_start(run, ROLE_CONSUME, run_text(run, "c%d", i), NULL));
	run_wait_ends(run, (unsigned)run_random(run, 5, load / 4));
	size_t fault = fault_begin(run, frozen);
	process_signal(run, frozen, SIGSTOP);
	held.not = frozen;
	CHECK(run, run_until(run, have_calls, &held, run->takeover_ms + SLACK_MS),
	      "what the frozen process held comes to no other within takeover + %d s", SLACK_MS / 1000);
	run_pass(run, run_random(run, 0, 500));
	process_signal(run, frozen, SIGCONT);
	fault_end(run, fault, 0);
	process_say(run, frozen, "open");
	run_stop(run, frozen);
	CHECK(run, frozen->stale >= count,
	      "the handlers of the frozen process returned %u results too late, and it counts %ju as stale",
	      count, (uintmax_t)frozen->stale);

	say_to_consumers(run, "release retry");
	held.outcome = 'r';
	CHECK(run, run_until(run, have_calls, &held, RESUME_MS), "the held messages have not failed");
	held.outcome = 'o';
	say_to_consumers(run, "open");
	CHECK(run, run_until(run, have_calls, &held, run->takeover_ms + RESUME_MS),
	      "messages that failed after a takeover do not come again: a late result has settled them");
	run_wait_done(run, publisher, RESUME_MS);
	run_finish(run);
}

/* ---- a message that kills ---- */

#define NEIGHBOURS 63

struct victims {
	struct process *process[2];
	unsigned count, killer;
};

static bool is_decided(struct run *run, void *ctx)
{
	const struct victims *victims = ctx;
	for (unsigned i = 0; i < victims->count; i++)
		if (victims->process[i]->ended)
			return true;
	return run->messages[victims->killer].dead > 0;
}

static struct process *start_victim(struct run *run, unsigned number)
{
	struct process *process = run_start(run, ROLE_CONSUME, run_text(run, "c%u", number), NULL);
	process->mortal = true;
	run_wait_ready(run, process);
	return process;
}

/* Start those again that have died; returns how many. */
static unsigned replace_dead(struct run *run, struct victims *victims)
{
	unsigned deaths = 0;
	for (unsigned i = 0; i < victims->count; i++) {
		struct process *p = victims->process[i];
		if (!p->ended)
			continue;
		CHECK(run, WIFSIGNALED(p->status) && WTERMSIG(p->status) == SIGABRT,
		      "%s ended with status %d", p->name, p->status);
		size_t fault = fault_begin(run, p);
		fault_end(run, fault, 0);
		run->faults[fault].from_us = p->last_us;
		deaths++;
		victims->process[i] = start_victim(run, i + 1);
	}
	return deaths;
}

/* Make the group, so that all messages wait for the first consumer.  Returns how many deaths are allowed. */
static unsigned prepare_abort(struct run *run, unsigned killer)
{
	struct process *first = run_start(run, ROLE_CONSUME, "c0", NULL);
	run_wait_ready(run, first);
	bool exact = first->capabilities & FERRY_CAP_HANDBACK_EXACT;
	run_stop(run, first);
	struct process *publisher =
		run_start(run, ROLE_PUBLISH, "load", run_text(run, "count=%d", NEIGHBOURS + 1),
			  run_text(run, "abort=%u", killer), NULL);
	run_wait_done(run, publisher, RESUME_MS);
	/* Where a hand-back counts as a delivery the guard needs more room, is slower, and still ends. */
	run->max_deliveries = run->max_retries + (exact ? (int)run_random(run, 2, 6) : 6);
	return (unsigned)run->max_deliveries * (exact ? 1 : 2) + 2;
}

void scenario_abort(struct run *run)
{
	struct victims victims = {.count = (unsigned)run_random(run, 1, 2),
				  .killer = (unsigned)run_random(run, 0, NEIGHBOURS)};
	unsigned deaths = 0;
	run_begin(run);
	run->takeover_ms = 1000;
	run->max_retries = (int)run_random(run, 1, 2);
	run->work_us = (int)run_random(run, 5000, 40000);
	run->mix = (struct mix){.flaky = 30};
	unsigned most = prepare_abort(run, victims.killer);
	for (unsigned i = 0; i < victims.count; i++)
		victims.process[i] = start_victim(run, i + 1);
	while (!run->messages[victims.killer].dead) {
		CHECK(run, run_until(run, is_decided, &victims, run->takeover_ms + RESUME_MS),
		      "the message that kills comes no more, and is not dead-lettered, after %u deaths",
		      deaths);
		deaths += replace_dead(run, &victims);
		CHECK(run, deaths <= most, "a message has killed %u processes and is not dead-lettered",
		      deaths);
	}
	snprintf(run->note, sizeof run->note, ", %u deaths (at most %u) of %u consumers, max_deliveries %d",
		 deaths, most, victims.count, run->max_deliveries);
	run_finish(run);
}
