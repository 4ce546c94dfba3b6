/*
 * stress.c - rounds of random load on the memory transport until the time is over.
 *
 *     stress [--seconds N] [--seed S] [--rounds N]
 *
 * Queues are tiny, so that publishers and handlers wait for each other all the time: a lost wake-up stops a
 * round, and a round that stands still for a while is the failure.  Each round also checks that every message
 * came exactly once, undamaged, in the order of its key where that was asked for, and that the accounts
 * balance.  A failing round prints its seed: `--seed S --rounds 1` plays it again.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stress.h"

#define STALL_MS 60000 /* without any progress: a lost wake-up */

static struct plan plan_now; /* for the sentence of a failure */

static void print_plan(FILE *file, const struct plan *p)
{
	fprintf(file,
		"seed %" PRIu64
		": queue %u, %u publishers x %u messages, %u groups x %u handlers, %u broadcast, "
		"concurrency %u, threads %u, max_unsettled %u, payload <= %u%s%s\n",
		p->seed, p->queue, p->publishers, p->messages, p->groups, p->handlers, p->broadcasts,
		p->concurrency, p->threads, p->max_unsettled, p->max_size, p->manual ? ", manual ack" : "",
		p->keyed ? ", by key" : "");
}

void stress_failed(const char *format, ...)
{
	va_list arguments;
	fflush(stdout);
	print_plan(stderr, &plan_now);
	fputs("FAILED: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	_Exit(1);
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct plan make_plan(uint64_t seed)
{
	uint64_t r = seed;
	struct plan p = {.seed = seed};
	p.queue = 2u << random_below(&r, 6);
	p.publishers = 1 + random_below(&r, PUBLISHERS_MAX);
	p.messages = 200 + random_below(&r, 1800);
	p.groups = random_below(&r, 3);
	p.broadcasts = random_below(&r, 3) + (p.groups == 0);
	p.handlers = 1 + random_below(&r, 3);
	p.concurrency = 1 + random_below(&r, 4);
	p.threads = 1 + random_below(&r, 12);
	p.max_unsettled = random_below(&r, 2) ? 1 + random_below(&r, 64) : 0;
	p.manual = random_below(&r, 3) == 0;
	p.keyed = random_below(&r, 4) == 0;
	p.max_size = random_below(&r, 8) ? 300 : 30000;
	return p;
}

/* Everything that can move in a round. */
static uint64_t progress(struct round *round)
{
	uint64_t sum = atomic_load(&round->completions) + atomic_load(&round->published);
	for (unsigned i = 0; i < round->receiver_count; i++)
		sum += atomic_load(&round->receivers[i].done);
	return sum;
}

static void wait_until_done(struct round *round)
{
	uint64_t total = (uint64_t)round->plan.publishers * round->plan.messages;
	uint64_t goal = total * (2 + round->receiver_count);
	uint64_t last = 0;
	int64_t moved = now_ms();
	for (;;) {
		uint64_t now = progress(round);
		if (now >= goal)
			return;
		if (now != last) {
			last = now;
			moved = now_ms();
		}
		CHECK(now_ms() - moved < STALL_MS,
		      "nothing moves: %" PRIu64 " of %" PRIu64 " events, %lu published, %lu completed", now,
		      goal, atomic_load(&round->published), atomic_load(&round->completions));
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

/* One row of the statistics against what its receiver saw. */
static void check_row(struct round *round, const struct ferry_group_stats *row, uint64_t total)
{
	CHECK(row->received == row->handled + row->filtered + row->dead_lettered + row->dropped +
				       row->retried + row->handed_back + row->stale + row->in_flight,
	      "the accounts of %s %s do not balance", row->group, row->handler);
	CHECK(row->in_flight == 0 && row->dropped == 0 && row->stale == 0 && row->filtered == 0,
	      "%s %s: in_flight %" PRIu64 ", dropped %" PRIu64 ", stale %" PRIu64 ", filtered %" PRIu64,
	      row->group, row->handler, row->in_flight, row->dropped, row->stale, row->filtered);
	CHECK(row->received - row->retried - row->handed_back == total,
	      "%s %s: received %" PRIu64 " - retried %" PRIu64 " - handed back %" PRIu64 " is not %" PRIu64,
	      row->group, row->handler, row->received, row->retried, row->handed_back, total);
	for (unsigned i = 0; i < round->plan.groups; i++) {
		struct receiver *r = &round->receivers[i];
		if (!row->handler[0] && !strcmp(row->group, r->name))
			CHECK(row->dead_lettered == atomic_load(&r->rejected),
			      "%s: %" PRIu64 " dead letters of %lu rejected", r->name, row->dead_lettered,
			      atomic_load(&r->rejected));
	}
}

static void check_accounts(struct round *round)
{
	struct ferry_error err;
	uint64_t total = (uint64_t)round->plan.publishers * round->plan.messages;
	struct ferry_stats *stats = ferry_stats_take(round->bus, &err);
	CHECK(stats, "stats: %s", err.text);
	CHECK(ferry_stats_group_count(stats) == round->receiver_count, "%zu rows for %u receivers",
	      ferry_stats_group_count(stats), round->receiver_count);
	for (size_t i = 0; i < ferry_stats_group_count(stats); i++)
		check_row(round, ferry_stats_group(stats, i), total);
	ferry_stats_free(stats);
}

static void run_round(struct round *round, const struct plan *plan)
{
	struct ferry_error err;
	struct sender senders[PUBLISHERS_MAX];
	char url[64];
	struct ferry_stop_report report = {.size = sizeof(report)};
	memset(round, 0, sizeof(*round));
	round->plan = plan_now = *plan;
	snprintf(url, sizeof(url), "memory:?queue=%u", plan->queue);
	round->bus = ferry_bus_open(url, FERRY_OPTIONS(ferry_bus_options, .threads = (int32_t)plan->threads),
				    &err);
	CHECK(round->bus, "open: %s", err.text);
	receivers_subscribe(round);
	settler_start(&round->settler);
	CHECK(ferry_bus_start(round->bus, 0, &err) == 0, "start: %s", err.text);
	for (unsigned i = 0; i < plan->publishers; i++) {
		senders[i] = (struct sender){.round = round, .number = i};
		CHECK(pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]) == 0, "no thread");
	}
	wait_until_done(round);
	for (unsigned i = 0; i < plan->publishers; i++)
		pthread_join(senders[i].thread, NULL);
	settler_stop(&round->settler);
	CHECK(ferry_bus_stop(round->bus, STALL_MS, &report, &err) == 0, "stop: %s", err.text);
	CHECK(!report.dropped && !report.pending && !report.unconfirmed,
	      "stop: dropped %" PRIu64 ", pending %" PRIu64, report.dropped, report.pending);
	receivers_check(round);
	check_accounts(round);
	ferry_bus_close(round->bus);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
						{"seed", required_argument, NULL, 'S'},
						{"rounds", required_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	static struct round round; /* megabytes of what was seen */
	uint64_t seed = (uint64_t)time(NULL) * 1000003u;
	long seconds = 5, rounds = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 's')
			seconds = atol(optarg);
		else if (c == 'S')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 'r')
			rounds = atol(optarg);
		else
			return 2;
	}
	int64_t end = now_ms() + seconds * 1000;
	unsigned long done = 0, messages = 0;
	printf("first seed %" PRIu64 "\n", seed);
	do {
		struct plan plan = make_plan(seed + done);
		run_round(&round, &plan);
		messages += (unsigned long)plan.publishers * plan.messages;
		done++;
	} while (rounds ? done < (unsigned long)rounds : now_ms() < end);
	printf("%lu rounds, %lu messages: nothing lost, nothing twice\n", done, messages);
	return 0;
}
