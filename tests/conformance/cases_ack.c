/* cases_ack.c - acks, failed attempts and their delays: cases 24 to 26, 28, 33 and 34. */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "support.h"

/* ---- 24: a handler's 0 acks, not earlier and for good ---- */

void conformance_case_24(struct conformance *c)
{
	const struct ferry_bus_options *options =
		FERRY_OPTIONS(ferry_bus_options, .takeover_ms = TAKEOVER_MS);
	struct recorder *seen = conformance_recorder(c);
	struct gate *gate = gate_new(c);
	struct record_handler handler = {.recorder = seen, .verdict = gate_verdict, .ctx = gate};
	const char *topic = conformance_name(c, "orders");
	struct ferry_group_stats stats;
	struct ferry_bus *bus;
	size_t count = 100;

	conformance_manual_clock(c);
	bus = conformance_open(c, NULL, options);
	conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, count, NULL);
	CHECK(c, gate_crowd(gate, 1), "no message came to the handler");
	stats = conformance_stats(c, bus, NULL);
	CHECK(c, stats.handled == 0 && stats.in_flight > 0,
	      "while the first handler runs, %" PRIu64 " messages are handled and %" PRIu64 " in flight",
	      stats.handled, stats.in_flight);
	gate_open(gate);
	CHECK(c, recorder_wait(seen, count, WAIT_MS), "%zu of %zu messages came", recorder_count(seen),
	      count);
	conformance_drained(c, bus, NULL, count);
	CHECK(c, recorder_quiet(seen, 2 * TAKEOVER_MS), "a message came again after it was acked");
	stats = conformance_stats(c, bus, NULL);
	CHECK(c, stats.handled == count && !stats.failed,
	      "%zu were acked, but counted are %" PRIu64 " handled and %" PRIu64 " failed calls", count,
	      stats.handled, stats.failed);
	conformance_close(c, bus);

	if (conformance_can(c, FERRY_CAP_DURABLE)) { /* the acks are the backend's, not this bus's */
		bus = conformance_open(c, NULL, options);
		conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
		conformance_start(c, bus);
		conformance_publish(c, conformance_publisher(c, bus, topic), (int64_t)count++, NULL);
		CHECK(c, recorder_wait(seen, count, WAIT_MS), "the next bus of the group gets nothing");
		CHECK(c, recorder_quiet(seen, 2 * TAKEOVER_MS), "an acked message came to the next bus");
	}
	conformance_each_once(c, seen, 0, count);
	conformance_close_all(c);
}

/* ---- 25: a failure brings the message again, as the next attempt ---- */

/* Message n fails n % 4 times, each time in another way. */
static int fail_in_three_ways(struct ferry_message *m, void *ctx)
{
	uint32_t attempt = ferry_message_attempt(m);

	(void)ctx;
	if (attempt > conformance_number(m) % 4)
		return 0;
	if (attempt == 1)
		return ferry_message_fail(m, FERRY_E_RETRY, "the first attempt fails");
	return attempt == 2 ? -4711 : 7; /* any negative number, any positive one but FERRY_REJECT */
}

static void check_attempts(struct conformance *c, struct recorder *seen, int64_t n, size_t attempts)
{
	struct recorded first, entry;

	CHECK(c, recorder_count_n(seen, n) == attempts,
	      "message %" PRId64 " should be tried %zu times and was tried %zu times", n, attempts,
	      recorder_count_n(seen, n));
	for (size_t i = 0; i < attempts; i++) {
		CHECK(c, recorder_find(seen, n, 0, &first) && recorder_find(seen, n, i, &entry),
		      "message %" PRId64 " has no call %zu", n, i + 1);
		CHECK(c, entry.attempt == i + 1, "call %zu of message %" PRId64 " came as attempt %" PRIu32,
		      i + 1, n, entry.attempt);
		CHECK(c, !strcmp(entry.id, first.id),
		      "message %" PRId64 " came with id %s first and with id %s as attempt %zu", n, first.id,
		      entry.id, i + 1);
	}
}

void conformance_case_25(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .verdict = fail_in_three_ways};
	const char *topic = conformance_name(c, "orders");
	struct ferry_group_stats stats;
	struct ferry_bus *bus;
	size_t count = 40, failures = count / 4 * 6;

	bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(c, bus, topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = 50));
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, count, NULL);
	CHECK(c, recorder_wait(seen, count + failures, WAIT_MS), "%zu calls should be made, %zu were",
	      count + failures, recorder_count(seen));
	conformance_drained(c, bus, NULL, count);
	CHECK(c, recorder_quiet(seen, 1000), "a message came again after it was handled");
	for (size_t n = 0; n < count; n++)
		check_attempts(c, seen, (int64_t)n, n % 4 + 1);
	stats = conformance_stats(c, bus, NULL);
	CHECK(c, stats.handled == count && stats.failed == failures && !stats.dead_lettered,
	      "expected %zu handled, %zu failed calls, no dead letter; counted %" PRIu64 ", %" PRIu64
	      ", %" PRIu64,
	      count, failures, stats.handled, stats.failed, stats.dead_lettered);
	conformance_close_all(c);
}

/* ---- 26: the delays before the retries ---- */

#define TIMED_CALLS 11 /* with all defaults */

/* A topic with one message that always fails; delay i is between low_ms[i] and high_ms[i]. */
struct policy {
	const char *name;
	size_t delays;
	int64_t low_ms[TIMED_CALLS - 1], high_ms[TIMED_CALLS - 1];
	int64_t after_ms; /* asked for with retry_after; 0: not */

	struct conformance *c;
	struct ferry_bus *bus;
	struct ferry_publisher *publisher;
	_Atomic size_t calls;
	_Atomic int64_t at_us[TIMED_CALLS];
};

static int fail_by_policy(struct ferry_message *m, void *ctx)
{
	struct policy *policy = ctx;
	size_t call = atomic_load(&policy->calls);

	CHECK(policy->c, call <= policy->delays, "%s: %zu calls were made, and still another", policy->name,
	      call);
	atomic_store(&policy->at_us[call], ferry_bus_now_us(policy->bus));
	if (policy->after_ms)
		ferry_message_retry_after(m, policy->after_ms);
	atomic_store(&policy->calls, call + 1);
	return FERRY_E_RETRY;
}

struct calls_goal {
	struct policy *policy;
	size_t calls;
};

static bool has_calls(void *ctx)
{
	const struct calls_goal *goal = ctx;

	return atomic_load(&goal->policy->calls) >= goal->calls;
}

/* So many calls were made, and the last one's failure has become a retry that waits. */
static bool has_retry(void *ctx)
{
	const struct calls_goal *goal = ctx;
	struct ferry_group_stats stats = conformance_stats(goal->policy->c, goal->policy->bus, NULL);

	return has_calls(ctx) &&
	       (stats.held == 1 || (!stats.in_flight && stats.failed == stats.retried + stats.dead_lettered));
}

/* With the manual clock there is no slack: nothing a millisecond before, everything a millisecond after. */
static void check_exactly(struct conformance *c, struct policy *policy)
{
	for (size_t i = 0; i < policy->delays; i++) {
		struct calls_goal this = {policy, i + 1}, next = {policy, i + 2};

		CHECK(c, conformance_until_now(c, has_retry, &this, WAIT_MS),
		      "%s: the failed attempt %zu does not end", policy->name, i + 1);
		conformance_pass(c, policy->low_ms[i] - 1);
		CHECK(c, !conformance_until_now(c, has_calls, &next, 20),
		      "%s: attempt %zu came less than %" PRId64 " ms after the one before", policy->name,
		      i + 2, policy->low_ms[i]);
		conformance_pass(c, policy->high_ms[i] - policy->low_ms[i] + 2);
		CHECK(c, conformance_until_now(c, has_calls, &next, WAIT_MS),
		      "%s: attempt %zu did not come %" PRId64 " ms after the one before", policy->name, i + 2,
		      policy->high_ms[i]);
	}
}

static void check_roughly(struct conformance *c, struct policy *policy)
{
	size_t calls = policy->delays + 1;

	CHECK(c, conformance_until(c, has_calls, &(struct calls_goal){policy, calls}, WAIT_MS),
	      "%s: %zu calls should be made, %zu were", policy->name, calls, atomic_load(&policy->calls));
	for (size_t i = 0; i < policy->delays; i++) {
		const char *what = conformance_text(c, "%s: attempt %zu", policy->name, i + 2);
		int64_t from_us = atomic_load(&policy->at_us[i]), at_us = atomic_load(&policy->at_us[i + 1]);
		int64_t took_ms = (at_us - from_us) / 1000, delay_ms = policy->low_ms[i];

		if (took_ms > delay_ms)
			delay_ms = took_ms < policy->high_ms[i] ? took_ms : policy->high_ms[i];
		support_check_delay(c, what, from_us, at_us, delay_ms);
	}
}

static void open_policy(struct conformance *c, struct ferry_bus *bus, struct policy *policy, const char *base,
			int32_t initial_ms, int32_t max_ms, int32_t jitter_percent)
{
	int32_t max_retries = policy->delays == TIMED_CALLS - 1 ? 0 : (int32_t)policy->delays;
	const char *topic = conformance_name(c, base);

	policy->c = c;
	policy->bus = bus;
	policy->publisher = conformance_publisher(c, bus, topic);
	conformance_subscribe(c, bus, topic, fail_by_policy, policy,
			      FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = initial_ms,
					    .max_backoff_ms = max_ms, .jitter_percent = jitter_percent,
					    .max_retries = max_retries));
}

void conformance_case_26(struct conformance *c)
{
	/* Where time is real, half of it. */
	bool manual = conformance_manual_clock(c);
	int32_t s = manual ? 1000 : 500;
	struct policy backoff = {.name = "backoff",
				 .delays = 5,
				 .low_ms = {s, 2 * s, 4 * s, 5 * s, 5 * s},
				 .high_ms = {s, 2 * s, 4 * s, 5 * s, 5 * s}};
	struct policy after = {.name = "retry_after",
			       .delays = 3,
			       .low_ms = {700, 700, 700},
			       .high_ms = {700, 700, 700},
			       .after_ms = 700};
	struct policy jitter = {.name = "backoff with jitter",
				.delays = 3,
				.low_ms = {s, 2 * s, 2 * s},
				.high_ms = {s + s / 2, 2 * s, 2 * s}};
	struct policy defaults = {
		.name = "all defaults",
		.delays = TIMED_CALLS - 1,
		.low_ms = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000, 60000},
		.high_ms = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000, 60000}};
	struct policy *const all[] = {&backoff, &after, &jitter, &defaults};
	size_t count = manual ? 4 : 3; /* nobody waits for all defaults in real time */
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	open_policy(c, bus, &backoff, "backoff", s, 5 * s, 0);
	open_policy(c, bus, &after, "after", 30000, 0, 0);
	open_policy(c, bus, &jitter, "jitter", s, 2 * s, 50);
	open_policy(c, bus, &defaults, "defaults", 0, 0, 0);
	conformance_start(c, bus);
	for (size_t i = 0; i < count; i++) {
		conformance_publish(c, all[i]->publisher, 0, NULL);
		if (manual)
			check_exactly(c, all[i]);
	}
	for (size_t i = 0; i < count && !manual; i++)
		check_roughly(c, all[i]);
	conformance_drained(c, bus, NULL, count);
	CHECK(c, conformance_stats(c, bus, NULL).dead_lettered == count,
	      "after its last attempt a message should be dead-lettered: %" PRIu64 " of %zu are",
	      conformance_stats(c, bus, NULL).dead_lettered, count);
	conformance_close_all(c);
}

/* ---- 28: max_unsettled stalls the group, and it recovers ---- */

#define BOUND 8

/* The first BOUND calls fail. */
static int fail_up_to_bound(struct ferry_message *m, void *calls)
{
	(void)m;
	return atomic_fetch_add((_Atomic int *)calls, 1) < BOUND ? FERRY_E_RETRY : 0;
}

/* Publish, and fail unless exactly BOUND calls are made. */
static void stall(struct conformance *c, struct ferry_bus *bus, const char *topic, size_t count,
		  struct recorder *seen, const char *what)
{
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, count, NULL);
	CHECK(c, recorder_wait_now(seen, BOUND, WAIT_MS), "%s: max_unsettled is %d, but only %zu came", what,
	      BOUND, recorder_count(seen));
	CHECK(c, recorder_quiet(seen, 500) && recorder_count(seen) == BOUND,
	      "%s: max_unsettled is %d, but %zu came before one was settled", what, BOUND,
	      recorder_count(seen));
}

void conformance_case_28(struct conformance *c)
{
	struct recorder *retried = conformance_recorder(c), *kept = conformance_recorder(c);
	struct keeper *keeper = keeper_new(c);
	_Atomic int calls = 0;
	struct record_handler retrying = {.recorder = retried, .verdict = fail_up_to_bound, .ctx = &calls};
	struct record_handler keeping = {.recorder = kept, .verdict = keeper_verdict, .ctx = keeper};
	const char *fails = conformance_name(c, "fails"), *keeps = conformance_name(c, "keeps");
	size_t count = 5 * BOUND, acked = 0;
	struct ferry_bus *bus;

	bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(c, bus, fails, conformance_record, &retrying,
			      FERRY_OPTIONS(ferry_handler_options, .max_unsettled = BOUND, .concurrency = 4,
					    .initial_backoff_ms = (int32_t)conformance_limit_ms(3000)));
	conformance_subscribe(c, bus, keeps, conformance_record, &keeping,
			      FERRY_OPTIONS(ferry_handler_options, .max_unsettled = BOUND, .concurrency = 4,
					    .ack = FERRY_ACK_MANUAL));
	conformance_start(c, bus);

	stall(c, bus, fails, count, retried, "messages that wait for a retry");
	CHECK(c, recorder_wait(retried, count + BOUND, WAIT_MS),
	      "after the retries the group should go on, but %zu of %zu calls were made",
	      recorder_count(retried), count + BOUND);
	stall(c, bus, keeps, count, kept, "messages that are not acked yet");
	while (acked < count) {
		acked += keeper_ack_all(keeper);
		CHECK(c, recorder_wait(kept, acked + BOUND < count ? acked + BOUND : count, WAIT_MS),
		      "after %zu acks the group should go on, but only %zu came", acked,
		      recorder_count(kept));
	}
	conformance_drained(c, bus, NULL, 2 * count);
	conformance_each_once(c, kept, 0, count);
	conformance_each(c, retried, 0, count);
	CHECK(c, recorder_count(retried) == count + BOUND && recorder_duplicates(retried) == 0,
	      "%zu calls were made instead of %zu", recorder_count(retried), count + BOUND);
	conformance_close_all(c);
}

/* ---- 33: no retries ---- */

static int fail_always(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	return ferry_message_fail(m, FERRY_E_RETRY, "it always fails");
}

/* A reader has got exactly these n, once, for this reason and after one attempt. */
static void check_buried(struct conformance *c, struct dead_letters *dead, int64_t first, size_t count,
			 int64_t step, const char *reason)
{
	for (size_t i = 0; i < count; i++) {
		const struct dead_letter *letter = dead_letters_find(dead, first + (int64_t)i * step);

		dead_letter_expect(c, letter, "ferry-dlq-reason", reason);
		dead_letter_expect(c, letter, "ferry-dlq-attempts", "1");
	}
	CHECK(c, recorder_count(dead->recorder) == count, "%zu dead letters came instead of %zu",
	      recorder_count(dead->recorder), count);
}

void conformance_case_33(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c), *dropped = conformance_recorder(c);
	struct record_handler buried = {.recorder = seen, .verdict = fail_always};
	struct record_handler dropping = {.recorder = dropped, .verdict = fail_always};
	const char *topic = conformance_name(c, "orders"), *other = conformance_name(c, "hints");
	struct dead_letters *dead;
	struct ferry_bus *bus;
	size_t count = 10;

	conformance_manual_clock(c);
	bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(c, bus, topic, conformance_record, &buried,
			      FERRY_OPTIONS(ferry_handler_options, .max_retries = FERRY_NONE));
	conformance_subscribe(
		c, bus, other, conformance_record, &dropping,
		FERRY_OPTIONS(ferry_handler_options, .max_retries = FERRY_NONE, .dlq = FERRY_OFF));
	dead = dead_letters_read(c, bus, dead_letters_topic(c, SERVICE(c), topic));
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, count, NULL);
	conformance_publish_many(c, conformance_publisher(c, bus, other), 0, count, NULL);
	CHECK(c, recorder_wait_now(dead->recorder, count, WAIT_MS), "%zu of %zu messages were dead-lettered",
	      recorder_count(dead->recorder), count);
	conformance_drained(c, bus, SERVICE(c), 2 * count);
	CHECK(c, recorder_quiet(seen, 3000), "a message came again although max_retries is none");
	conformance_each_once(c, seen, 0, count);
	conformance_each_once(c, dropped, 0, count);
	check_buried(c, dead, 0, count, 1, "error");
	CHECK(c, conformance_stats(c, bus, SERVICE(c)).dropped == count,
	      "with the dead letters off %zu should be dropped, counted are %" PRIu64, count,
	      conformance_stats(c, bus, SERVICE(c)).dropped);
	conformance_close_all(c);
}

/* ---- 34: a handler rejects ---- */

static int reject_odd(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	return conformance_number(m) % 2 ? ferry_message_fail(m, FERRY_REJECT, "an odd number") : 0;
}

void conformance_case_34(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .verdict = reject_odd};
	const char *topic = conformance_name(c, "orders");
	struct ferry_group_stats stats;
	struct dead_letters *dead;
	struct ferry_bus *bus;
	size_t count = 20;

	conformance_manual_clock(c);
	bus = conformance_open(c, NULL, NULL);
	/* A retry would come much later than the case waits. */
	conformance_subscribe(
		c, bus, topic, conformance_record, &handler,
		FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = 600000, .max_backoff_ms = 600000));
	dead = dead_letters_read(c, bus, dead_letters_topic(c, SERVICE(c), topic));
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, count, NULL);
	CHECK(c, recorder_wait_now(dead->recorder, count / 2, WAIT_MS),
	      "%zu messages were rejected, but %zu dead "
	      "letters came",
	      count / 2, recorder_count(dead->recorder));
	conformance_drained(c, bus, SERVICE(c), count);
	CHECK(c, recorder_quiet(seen, 1000), "a message came again after it was rejected");
	conformance_each_once(c, seen, 0, count);
	check_buried(c, dead, 1, count / 2, 2, "rejected");
	dead_letter_expect(c, dead_letters_find(dead, 1), "ferry-dlq-error", "an odd number");
	stats = conformance_stats(c, bus, SERVICE(c));
	CHECK(c, stats.handled == count / 2 && stats.dead_lettered == count / 2,
	      "half of %zu were rejected; counted are %" PRIu64 " handled, %" PRIu64 " dead-lettered", count,
	      stats.handled, stats.dead_lettered);
	conformance_close_all(c);
}
