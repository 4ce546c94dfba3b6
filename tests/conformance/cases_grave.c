/* cases_grave.c - dead letters that cannot be written, that are sent back, and that kill: cases 38 to 40. */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* ---- 38: the dead letter cannot be written ---- */

/*
 * What makes it impossible:
 *   always: the bus gets no memory for it;
 *   with --control: the whole backend is away while the handlers reject;
 *   else, on a durable transport: the process that writes it is killed in the middle, several times.
 */

#define REJECTED_AT_ONCE 8

/* An allocator that can be empty. */
struct store {
	atomic_bool empty;
	atomic_int refused;
};

static bool refuses(struct store *store)
{
	bool refused = atomic_load(&store->empty);

	if (refused)
		atomic_fetch_add(&store->refused, 1);
	return refused;
}

static void *store_alloc(size_t bytes, void *ctx)
{
	return refuses(ctx) ? NULL : malloc(bytes);
}

static void *store_resize(void *memory, size_t bytes, void *ctx)
{
	return refuses(ctx) ? NULL : realloc(memory, bytes);
}

static void store_free(void *memory, void *ctx)
{
	(void)ctx;
	free(memory);
}

static bool has_refused(void *ctx)
{
	return atomic_load(&((struct store *)ctx)->refused) >= 2 * REJECTED_AT_ONCE;
}

static int reject_after_gate(struct ferry_message *m, void *gate)
{
	(void)m;
	gate_pass(gate);
	return FERRY_REJECT;
}

/* A bus with REJECTED_AT_ONCE messages in their handlers, which reject them when the gate is opened. */
struct burial {
	struct ferry_bus *bus;
	struct gate *gate;
	struct record_handler handler;
	struct dead_letters *dead;
};

static struct burial *burial_begin(struct conformance *c, const char *base,
				   const struct ferry_bus_options *options)
{
	struct burial *burial = conformance_alloc(c, sizeof *burial);
	const char *topic = conformance_name(c, base);

	burial->gate = gate_new(c);
	burial->handler = (struct record_handler){
		.recorder = conformance_recorder(c), .verdict = reject_after_gate, .ctx = burial->gate};
	burial->bus = conformance_open(c, NULL, options);
	conformance_subscribe(c, burial->bus, topic, conformance_record, &burial->handler,
			      FERRY_OPTIONS(ferry_handler_options, .concurrency = REJECTED_AT_ONCE));
	burial->dead = dead_letters_read(c, burial->bus, dead_letters_topic(c, SERVICE(c), topic));
	conformance_start(c, burial->bus);
	conformance_publish_many(c, conformance_publisher(c, burial->bus, topic), 0, REJECTED_AT_ONCE, NULL);
	CHECK(c, gate_crowd(burial->gate, REJECTED_AT_ONCE), "%d messages should be in their handlers",
	      REJECTED_AT_ONCE);
	return burial;
}

/* Now that it is possible again, all of them are dead-lettered. */
static void burial_end(struct conformance *c, struct burial *burial)
{
	CHECK(c, recorder_wait_distinct(burial->dead->recorder, REJECTED_AT_ONCE, 3 * WAIT_MS),
	      "%zu of %d messages were dead-lettered in the end", recorder_distinct(burial->dead->recorder),
	      REJECTED_AT_ONCE);
	conformance_drained(c, burial->bus, SERVICE(c), REJECTED_AT_ONCE);
	conformance_each(c, burial->dead->recorder, 0, REJECTED_AT_ONCE);
}

static void bury_without_memory(struct conformance *c)
{
	struct store *store = conformance_alloc(c, sizeof *store);
	const struct ferry_allocator allocator = {store_alloc, store_resize, store_free, store};
	struct burial *burial =
		burial_begin(c, "hungry", FERRY_OPTIONS(ferry_bus_options, .allocator = &allocator));

	atomic_store(&store->empty, true);
	gate_open(burial->gate);
	CHECK(c, conformance_until(c, has_refused, store, WAIT_MS),
	      "a dead letter that cannot be written is not tried again: memory was asked for %d times",
	      atomic_load(&store->refused));
	CHECK(c, recorder_count(burial->dead->recorder) == 0,
	      "%zu dead letters came, for which there was no memory", recorder_count(burial->dead->recorder));
	atomic_store(&store->empty, false);
	burial_end(c, burial);
	/* Only the dead letter is tried again, not the handler. */
	conformance_each_once(c, burial->handler.recorder, 0, REJECTED_AT_ONCE);
	conformance_close(c, burial->bus);
}

static void bury_without_backend(struct conformance *c)
{
	struct burial *burial = burial_begin(c, "orders", NULL);

	conformance_control(c, "stop");
	gate_open(burial->gate);
	conformance_pass(c, 2000);
	CHECK(c, !conformance_stats(c, burial->bus, SERVICE(c)).dead_lettered,
	      "messages count as dead-lettered while the backend is away");
	conformance_control(c, "start");
	burial_end(c, burial);
}

static int reject(struct ferry_message *m, void *ctx)
{
	(void)m;
	(void)ctx;
	return FERRY_REJECT;
}

static int run_undertaker(struct conformance *c, int argc, char **argv)
{
	struct ferry_bus *bus =
		conformance_open(c, NULL, FERRY_OPTIONS(ferry_bus_options, .takeover_ms = TAKEOVER_MS));

	conformance_subscribe(c, bus, conformance_argument(argc, argv, "topic", ""), reject, NULL,
			      FERRY_OPTIONS(ferry_handler_options, .concurrency = 4));
	return conformance_serve(c, bus);
}

static void bury_and_be_killed(struct conformance *c)
{
	const char *topic = conformance_name(c, "orders"), *argument = conformance_text(c, "topic=%s", topic);
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct dead_letters *dead = dead_letters_read(c, bus, dead_letters_topic(c, SERVICE(c), topic));
	struct process *process = conformance_spawn(c, NULL, 0, "undertaker", argument, NULL);
	struct ferry_publisher *publisher;
	size_t count = 0;

	process_expect(process, "ready", WAIT_MS, NULL, 0);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	for (int round = 0; round < 4; round++) {
		size_t before = recorder_distinct(dead->recorder);

		conformance_publish_many(c, publisher, (int64_t)count, 150, NULL);
		count += 150;
		CHECK(c, recorder_wait_distinct(dead->recorder, before + 30, WAIT_MS),
		      "no more dead letters than %zu come", recorder_distinct(dead->recorder));
		process_kill(process);
		process = conformance_spawn(c, NULL, 0, "undertaker", argument, NULL);
		process_expect(process, "ready", WAIT_MS, NULL, 0);
	}
	CHECK(c, recorder_wait_distinct(dead->recorder, count, WAIT_MS),
	      "%zu of %zu messages were dead-lettered in the end", recorder_distinct(dead->recorder), count);
	process_reap(process);
	conformance_each(c, dead->recorder, 0, count);
}

void conformance_case_38(struct conformance *c)
{
	bool manual = conformance_manual_clock(c);

	bury_without_memory(c);
	if (support_has_control(c))
		bury_without_backend(c);
	else if (!manual)
		bury_and_be_killed(c);
	conformance_close_all(c);
}

/* ---- 39: a replay ---- */

#define REPLAYED 12

/* While `broken`, n % 3 = 0 is rejected and n % 3 = 1 fails. */
static int fail_while_broken(struct ferry_message *m, void *broken)
{
	int64_t n = conformance_number(m);

	if (!atomic_load((atomic_bool *)broken) || n % 3 == 2)
		return 0;
	return n % 3 ? FERRY_E_RETRY : FERRY_REJECT;
}

struct replay {
	struct conformance *c;
	struct ferry_bus *bus;
	const char *dlq_topic;
	struct recorder *failing, *other; /* what the two groups see */
	size_t calls;                     /* of the failing group, so far */
};

/* Replay, and fail unless so many are sent, each to the failing group alone, as a first attempt. */
static void replay(struct replay *r, const struct ferry_replay_options *options, size_t expected,
		   const char *what)
{
	struct conformance *c = r->c;
	struct ferry_replay_report report = {.size = sizeof report};
	struct ferry_error err = {0};
	int code = ferry_dlq_replay(r->bus, r->dlq_topic, options, &report, &err);

	conformance_ok(c, code, &err, what);
	CHECK(c, report.replayed == expected, "%s: %" PRIu64 " were replayed instead of %zu", what,
	      report.replayed, expected);
	CHECK(c, recorder_wait(r->failing, r->calls + expected, WAIT_MS), "%s: %zu of %zu messages came back",
	      what, recorder_count(r->failing) - r->calls, expected);
	CHECK(c, recorder_quiet(r->failing, 300) && recorder_count(r->failing) == r->calls + expected,
	      "%s: %zu messages came back instead of %zu", what, recorder_count(r->failing) - r->calls,
	      expected);
	for (; r->calls < recorder_count(r->failing); r->calls++) {
		struct recorded again = recorder_at(r->failing, r->calls), first;

		CHECK(c, recorder_find(r->failing, again.n, 0, &first) && !strcmp(first.id, again.id),
		      "%s: message %" PRId64 " came back with id %s", what, again.n, again.id);
		CHECK(c, again.attempt == 1, "%s: message %" PRId64 " came back as attempt %" PRIu32, what,
		      again.n, again.attempt);
		CHECK(c, again.n % 3 != 2 && recorder_count_n(r->failing, again.n) == 2,
		      "%s: message %" PRId64 " came back, which was not to be replayed", what, again.n);
	}
	CHECK(c, recorder_count(r->other) == REPLAYED, "%s: the other group was called too", what);
}

static void check_replays(struct replay *r)
{
	struct conformance *c = r->c;
	struct ferry_replay_report report = {.size = sizeof report};
	struct ferry_error err = {0};
	struct recorded entry;
	int code = ferry_dlq_replay(r->bus, r->dlq_topic,
				    FERRY_OPTIONS(ferry_replay_options, .dry_run = FERRY_ON), &report, &err);

	conformance_ok(c, code, &err, "dry run");
	CHECK(c, report.seen == 8, "a dry run sees %" PRIu64 " dead letters instead of 8", report.seen);
	CHECK(c, recorder_quiet(r->failing, 300), "a dry run sends messages");
	replay(r, FERRY_OPTIONS(ferry_replay_options, .reason = "rejected"), 4, "replay by reason");
	for (size_t i = REPLAYED; i < r->calls; i++)
		CHECK(c, recorder_at(r->failing, i).n % 3 == 0,
		      "replay by reason: message %" PRId64 " was not rejected and came back",
		      recorder_at(r->failing, i).n);
	CHECK(c, recorder_find(r->failing, 7, 0, &entry), "message 7 did not come");
	replay(r, FERRY_OPTIONS(ferry_replay_options, .id = entry.id), 1, "replay by id");
	CHECK(c, recorder_at(r->failing, r->calls - 1).n == 7, "replay by id: another message came back");
	replay(r, FERRY_OPTIONS(ferry_replay_options, .max_count = 1), 1, "replay of one");
	replay(r, NULL, 2, "replay of the rest");
	replay(r, NULL, 0, "second replay");
}

void conformance_case_39(struct conformance *c)
{
	struct replay r = {.c = c, .failing = conformance_recorder(c), .other = conformance_recorder(c)};
	atomic_bool broken = true;
	struct record_handler failing = {.recorder = r.failing, .verdict = fail_while_broken, .ctx = &broken};
	struct record_handler other = {.recorder = r.other};
	const char *topic = conformance_name(c, "orders"), *group = conformance_name(c, "other");

	r.bus = conformance_open(c, NULL, NULL);
	r.dlq_topic = dead_letters_topic(c, SERVICE(c), topic);
	conformance_subscribe(c, r.bus, topic, conformance_record, &failing,
			      FERRY_OPTIONS(ferry_handler_options, .max_retries = FERRY_NONE));
	conformance_subscribe(c, r.bus, topic, conformance_record, &other,
			      FERRY_OPTIONS(ferry_handler_options, .group = group));
	conformance_start(c, r.bus);
	conformance_publish_many(c, conformance_publisher(c, r.bus, topic), 0, REPLAYED, NULL);
	CHECK(c, recorder_wait(r.failing, REPLAYED, WAIT_MS) && recorder_wait(r.other, REPLAYED, WAIT_MS),
	      "%d messages were published, %zu and %zu came to the two groups", REPLAYED,
	      recorder_count(r.failing), recorder_count(r.other));
	conformance_drained(c, r.bus, NULL, (uint64_t)2 * REPLAYED);
	CHECK(c, conformance_stats(c, r.bus, SERVICE(c)).dead_lettered == 8,
	      "8 messages should be dead-lettered, "
	      "counted are %" PRIu64,
	      conformance_stats(c, r.bus, SERVICE(c)).dead_lettered);
	conformance_each_once(c, r.failing, 0, REPLAYED);
	r.calls = REPLAYED;
	atomic_store(&broken, false);
	check_replays(&r);
	CHECK(c, support_counter(c, r.bus, group, COUNTER(filtered), 8),
	      "the other group should count 8 replayed messages as filtered, it counts %" PRIu64,
	      conformance_stats(c, r.bus, group).filtered);
	conformance_each_once(c, r.other, 0, REPLAYED);
	conformance_close_all(c);
}

/* ---- 40: a message that kills its process ---- */

#define POISON      5
#define NEIGHBOURS  20
#define DEATHS_MOST 16 /* the default of max_deliveries is 7 here; some backends count another way */

static int die_of_poison(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	if (conformance_number(m) == POISON)
		kill(getpid(), SIGKILL);
	return 0;
}

static int run_victim(struct conformance *c, int argc, char **argv)
{
	struct record_handler handler = {.recorder = conformance_recorder(c), .verdict = die_of_poison};
	struct ferry_bus *bus =
		conformance_open(c, NULL, FERRY_OPTIONS(ferry_bus_options, .takeover_ms = TAKEOVER_MS));

	conformance_subscribe(c, bus, conformance_argument(argc, argv, "topic", ""), conformance_record,
			      &handler,
			      FERRY_OPTIONS(ferry_handler_options, .max_retries = 1, .concurrency = 4));
	return conformance_serve(c, bus);
}

const struct conformance_role conformance_roles_dlq[] = {
	{"undertaker", run_undertaker}, {"victim", run_victim}, {NULL, NULL}};

struct victim {
	struct process *process;
	struct recorder *dead;
};

static bool has_died(const struct process *process)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)process_pid(process), &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

static bool is_decided(void *ctx)
{
	const struct victim *victim = ctx;

	return recorder_count(victim->dead) || has_died(victim->process);
}

/* Start the consumer again and again, until the message that kills it is dead-lettered. */
static struct process *restart_until_dead(struct conformance *c, struct dead_letters *dead,
					  struct recorder *seen, struct process *process,
					  const char *argument, struct ferry_publisher *publisher,
					  int64_t *ret_next)
{
	struct victim victim = {.process = process, .dead = dead->recorder};

	for (int deaths = 0;; deaths++) {
		int status;

		CHECK(c, deaths <= DEATHS_MOST, "a message has killed %d processes and is not dead-lettered",
		      deaths);
		CHECK(c, conformance_until(c, is_decided, &victim, 2 * WAIT_MS),
		      "the message that kills comes no more, and is not dead-lettered, after %d deaths",
		      deaths);
		if (!has_died(victim.process))
			return victim.process;
		status = process_wait(victim.process, WAIT_MS);
		CHECK(c, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		      "the consumer ended with status %d", status);
		conformance_publish_many(c, publisher, *ret_next, 2, NULL); /* healthy ones go on coming */
		*ret_next += 2;
		victim.process = conformance_spawn(c, seen, 1, "victim", argument, NULL);
	}
}

void conformance_case_40(struct conformance *c)
{
	const char *topic = conformance_name(c, "orders"), *argument = conformance_text(c, "topic=%s", topic);
	struct recorder *seen = conformance_recorder(c);
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct dead_letters *dead = dead_letters_read(c, bus, dead_letters_topic(c, SERVICE(c), topic));
	struct process *process = conformance_spawn(c, seen, 1, "victim", argument, NULL);
	struct ferry_publisher *publisher;
	int64_t next = NEIGHBOURS;

	process_expect(process, "ready", WAIT_MS, NULL, 0);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	conformance_publish_many(c, publisher, 0, NEIGHBOURS, NULL);
	process = restart_until_dead(c, dead, seen, process, argument, publisher, &next);
	conformance_publish_many(c, publisher, next, 5, NULL);
	next += 5;
	CHECK(c, recorder_wait_distinct(seen, (size_t)next, WAIT_MS),
	      "%zu of %" PRId64 " messages were handled", recorder_distinct(seen), next);
	recorder_quiet(dead->recorder, 2 * TAKEOVER_MS);
	for (size_t i = 0; i < recorder_count(dead->recorder); i++)
		CHECK(c, recorder_at(dead->recorder, i).n == POISON,
		      "message %d kills, but message %" PRId64 " was dead-lettered", POISON,
		      recorder_at(dead->recorder, i).n);
	process_reap(process);
	dead_letter_expect(c, dead_letters_find(dead, POISON), "ferry-dlq-reason", "max_deliveries");
	CHECK(c, recorder_count_n(seen, POISON) >= 2, "the message that kills was called only %zu times",
	      recorder_count_n(seen, POISON));
	conformance_each(c, seen, 0, (size_t)next);
	conformance_close_all(c);
}
