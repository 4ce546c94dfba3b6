/* scenario_retry.c - attempts and delays of retries outlive the consumer, and the server. */
#include <ferry/transport.h>

#include "role.h"
#include "run.h"

struct round {
	unsigned count;
	int64_t near_ms, far_ms;
	int64_t killed_us; /* the first fault began */
	int64_t over_us;   /* the last one was over */
};

/* Every message has failed twice and waits for its third attempt. */
static bool all_wait(struct run *run, void *ctx)
{
	const struct round *round = ctx;
	for (unsigned n = 0; n < round->count; n++) {
		const struct delivery *d = run_delivery(run, n, NULL);
		if (!d || d->attempt != 2 || d->outcome != 'r')
			return false;
	}
	return true;
}

/* The calls that ended with `outcome`: the newest. */
static const struct delivery *find(const struct message *m, char outcome)
{
	const struct delivery *found = NULL;
	for (const struct delivery *d = m->first; d; d = d->next)
		if (d->outcome == outcome)
			found = d;
	return found;
}

/* What the backend must have known at the first fault comes as the third attempt, when it is due. */
static void check_message(struct run *run, const struct round *round, unsigned n)
{
	const struct delivery *failed = find(&run->messages[n], 'r'), *last = find(&run->messages[n], 'o');
	CHECK(run, failed && last, "message %u was not handled", n);
	if (failed->end_us + SETTLE_US > round->killed_us)
		return;
	int64_t due_us = failed->end_us + round->far_ms * 1000;
	int64_t taken_over_us = round->over_us + run->takeover_ms * 1000;
	int64_t latest_us = (due_us > taken_over_us ? due_us : taken_over_us) + SLACK_MS * 1000;
	CHECK(run, last->attempt == 3, "message %u had failed twice, and came as attempt %u", n,
	      last->attempt);
	CHECK(run, last->begin_us >= due_us, "message %u came %.3f s before its retry was due", n,
	      (double)(due_us - last->begin_us) / 1e6);
	CHECK(run, last->begin_us <= latest_us, "message %u came %.3f s after its retry was due", n,
	      (double)(last->begin_us - due_us) / 1e6);
}

static void kill_server(struct run *run)
{
	size_t fault = fault_begin(run, NULL);
	run_control(run, "kill");
	run_pass(run, run_random(run, 50, 500));
	run_control(run, "start");
	fault_end(run, fault, run->takeover_ms);
}

static void kill_both(struct run *run, struct round *round, struct process *consumer)
{
	bool server_first = run_random(run, 0, 1);
	run_pass(run, SETTLE_US / 1000 + run_random(run, 0, 300));
	round->killed_us = now_us();
	if (run->settings->control && server_first)
		kill_server(run);
	process_kill(run, consumer);
	if (run->settings->control && !server_first)
		kill_server(run);
	round->over_us = now_us();
}

void scenario_kill_retry(struct run *run)
{
	struct round round = {.count = (unsigned)run_random(run, 20, 80),
			      .near_ms = run_random(run, 50, 300),
			      .far_ms = run_random(run, 2500, 3500)};
	run_begin(run);
	/* A backend that keeps the delay itself promises it up to takeover. */
	run->takeover_ms = (int)round.far_ms + 500;
	run->concurrency = 8;
	run->max_retries = 5;
	const char *near = run_text(run, "near_ms=%d", (int)round.near_ms);
	const char *far = run_text(run, "far_ms=%d", (int)round.far_ms);
	struct process *victim = run_start(run, ROLE_CONSUME, "c1", near, far, NULL);
	struct process *other = run_start(run, ROLE_CONSUME, "c2", near, far, NULL);
	run_wait_ready(run, victim);
	run_wait_ready(run, other);
	struct process *publisher = run_start(run, ROLE_PUBLISH, "load", "kind=l", "mode=batch",
					      run_text(run, "count=%u", round.count), NULL);
	run_wait_done(run, publisher, RESUME_MS);
	CHECK(run, run_until(run, all_wait, &round, RESUME_MS), "the messages have not failed twice");
	kill_both(run, &round, victim);
	run_wait_ready(run, run_start(run, ROLE_CONSUME, "c3", near, far, NULL));
	run_wait_settled(run);
	for (unsigned n = 0; n < round.count; n++)
		check_message(run, &round, n);
	run_finish(run);
}
