/* scenario_server.c - the server is killed, the link to it is cut, a publisher is killed: under load. */
#include "role.h"
#include "run.h"

static struct process *start_load(struct run *run, unsigned count, int64_t rate, int64_t deadline_ms)
{
	static const char *const modes[] = {"mode=sync", "mode=async", "mode=batch"};
	return run_start(run, ROLE_PUBLISH, "load", run_text(run, "count=%u", count),
			 run_text(run, "rate=%d", (int)rate),
			 run_text(run, "deadline_ms=%d", (int)deadline_ms), modes[run_random(run, 0, 2)],
			 run_text(run, "window=%d", (int)run_random(run, 1, 200)),
			 run_text(run, "max_size=%d", (int)run_random(run, 20, 3000)), NULL);
}

void scenario_kill_server(struct run *run)
{
	int64_t rate = run_random(run, 200, 500);
	unsigned count = (unsigned)(rate * run_random(run, 4, 6)), kills = (unsigned)run_random(run, 1, 2);
	run_begin(run);
	run->mix.other = 50;
	run_consumers(run, 3);
	struct process *publisher = start_load(run, count, rate, RESUME_MS);
	run_wait_ends(run, (unsigned)run_random(run, 20, count / 4));
	for (unsigned i = 0; i < kills; i++) {
		size_t fault = fault_begin(run, NULL);
		run_control(run, "kill");
		run_pass(run, run_random(run, 50, 1500));
		run_control(run, "start");
		fault_end(run, fault, run->takeover_ms);
		run_pass(run, run_random(run, 500, 1000));
	}
	run_wait_done(run, publisher, 2 * RESUME_MS);
	run_finish(run);
}

void scenario_cut_link(struct run *run)
{
	/* One in five lasts 10 s; longer than the lease are most. */
	int64_t cut_ms = run->settings->seed % 5 ? run_random(run, 1000, 4500) : 10000;
	if (run->settings->cut_ms)
		cut_ms = run->settings->cut_ms;
	int64_t rate = run_random(run, 100, 300);
	unsigned count = (unsigned)(rate * (cut_ms / 1000 + 3));
	run_begin(run);
	run->mix.other = 50;
	run_consumers(run, 3);
	/* With deadlines shorter and longer than the cut. */
	struct process *publisher = start_load(run, count, rate, run_random(run, 500, 15000));
	run_wait_ends(run, (unsigned)run_random(run, 20, 100));
	size_t fault = fault_begin(run, NULL);
	run_control(run, "cut");
	run_pass(run, cut_ms);
	run_control(run, "heal");
	fault_end(run, fault, run->takeover_ms);
	run_wait_done(run, publisher, 4 * RESUME_MS);
	run_finish(run);
}

struct count {
	const struct process *publisher;
	unsigned confirmed;
};

static bool is_confirmed(struct run *run, void *ctx)
{
	const struct count *want = ctx;
	unsigned confirmed = 0;
	for (unsigned n = 0; n < run->message_count; n++)
		confirmed +=
			run->messages[n].publisher == want->publisher && run->messages[n].result == RESULT_OK;
	return confirmed >= want->confirmed;
}

void scenario_kill_publisher(struct run *run)
{
	unsigned count = 9000; /* more than it comes to publish */
	run_begin(run);
	run->work_us = (int)run_random(run, 2000, 8000);
	run->mix.other = 50;
	struct process *consumers = run_consumers(run, 2);
	for (unsigned round = 0; round < 2; round++) {
		struct count want = {.confirmed = (unsigned)run_random(run, 50, 1500)};
		struct process *publisher =
			run_start(run, ROLE_PUBLISH, "load", run_text(run, "first=%u", round * count),
				  run_text(run, "count=%u", count), "mode=async",
				  run_text(run, "window=%d", (int)run_random(run, 16, 1000)),
				  run_text(run, "rate=%d", (int)run_random(run, 1000, 8000)),
				  run_text(run, "max_size=%d", (int)run_random(run, 20, 3000)), NULL);
		want.publisher = publisher;
		CHECK(run, run_until(run, is_confirmed, &want, RESUME_MS), "the publisher does not come on");
		process_kill(run, publisher);
		/* A consumer that stops in order now has much to hand back. */
		run_stop(run, &consumers[round]);
		run_wait_ready(run, run_start(run, ROLE_CONSUME, run_text(run, "c%u", round + 3), NULL));
	}
	struct process *publisher =
		run_start(run, ROLE_PUBLISH, "load", run_text(run, "first=%u", 2 * count), "count=100", NULL);
	run_wait_done(run, publisher, RESUME_MS);
	run_finish(run);
}
