/*
 * retry_test.c - when a failed message comes again, and what a handler's result means.
 */
#include <limits.h>

#include "contract.h"

static const int retry_always[] = {FERRY_E_RETRY};

/* The next call comes after exactly `ms`. */
static void comes_after(struct plan *plan, int64_t ms)
{
	int calls = atomic_load(&plan->calls);
	if (ms > 0)
		pass(plan->bus, ms - 1);
	CHECK(atomic_load(&plan->calls) == calls, "call %d came before %lld ms", calls + 1, (long long)ms);
	pass(plan->bus, ms > 0 ? 1 : 0);
	CHECK(atomic_load(&plan->calls) == calls + 1, "call %d did not come after %lld ms", calls + 1,
	      (long long)ms);
}

static struct plan *begin(struct plan *plan, ferry_handler_fn *run,
			  const struct ferry_handler_options *options)
{
	plan->bus = open_still("", NULL);
	OK(ferry_subscribe(plan->bus, "t", run, plan, options, &err));
	OK(ferry_bus_start(plan->bus, 0, &err));
	OK(publish(plan->bus, "t", "x", NULL));
	turn(plan->bus);
	CHECK(atomic_load(&plan->calls) == 1, "%d calls", atomic_load(&plan->calls));
	return plan;
}

static void delays_double_up_to_the_cap(void)
{
	static const struct {
		int32_t initial, max;
		int64_t delays[8]; /* up to a 0 */
	} rows[] = {
		{0, 0, {1000, 2000, 4000, 8000, 16000, 32000, 60000}},
		{1, 5, {1, 2, 4, 5, 5, 5}},
		{700, 700, {700, 700, 700}},
		{5000, 100, {100, 100}},
		{INT32_MAX, INT32_MAX, {INT32_MAX, INT32_MAX}},
		{1 << 30, INT32_MAX, {1 << 30, INT32_MAX, INT32_MAX}},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct plan plan = {.results = retry_always, .result_count = 1};
		begin(&plan, follow_plan,
		      HANDLER(.initial_backoff_ms = rows[i].initial, .max_backoff_ms = rows[i].max));
		for (int n = 0; n < 8 && rows[i].delays[n]; n++)
			comes_after(&plan, rows[i].delays[n]);
		ferry_bus_close(plan.bus);
	}
}

static void a_hundred_attempts_do_not_overflow(void)
{
	struct plan plan = {.results = retry_always, .result_count = 1};
	begin(&plan, follow_plan,
	      HANDLER(.initial_backoff_ms = 1, .max_backoff_ms = INT32_MAX, .max_retries = 100));
	for (int n = 0; n < 31; n++)
		comes_after(&plan, INT64_C(1) << n);
	for (int n = 31; n < 100; n++)
		comes_after(&plan, INT32_MAX);
	CHECK(stats_of(plan.bus, NULL).dead_lettered == 1, "101 calls were not the end");
	ferry_bus_close(plan.bus);
}

/* A hundred messages that fail at the same time: when do they come again? */
static void jitter_is_added_before_the_cap(void)
{
	static const struct {
		int32_t percent, max, first, last;
		bool spread;
	} rows[] = {
		{50, 60000, 1000, 1500, true},
		{100, 60000, 1000, 2000, true},
		{100, 1000, 1000, 1000, false},
		{FERRY_NONE, 60000, 1000, 1000, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct plan plan = {.results = retry_always, .result_count = 1};
		begin(&plan, follow_plan,
		      HANDLER(.jitter_percent = rows[i].percent, .max_backoff_ms = rows[i].max));
		for (int n = 1; n < 100; n++)
			OK(publish(plan.bus, "t", "x", NULL));
		turn(plan.bus);
		int calls = atomic_load(&plan.calls);
		CHECK(calls == 100, "%d calls", calls);
		pass(plan.bus, rows[i].first - 1);
		CHECK(atomic_load(&plan.calls) == calls, "a retry came before %d ms", rows[i].first);
		pass(plan.bus, 1);
		bool spread = atomic_load(&plan.calls) < calls + 100;
		CHECK(spread == rows[i].spread, "jitter %d: %d at once", rows[i].percent,
		      atomic_load(&plan.calls) - calls);
		pass(plan.bus, rows[i].last - rows[i].first);
		CHECK(atomic_load(&plan.calls) == calls + 100, "a retry did not come by %d ms", rows[i].last);
		ferry_bus_close(plan.bus);
	}
}

/* ---- a delay of the handler's own ---- */

struct chooser {
	struct plan plan;
	int64_t after[8]; /* INT64_MIN: says nothing */
};

static int choose_delay(struct ferry_message *message, void *ctx)
{
	struct chooser *chooser = ctx;
	int64_t after = chooser->after[atomic_load(&chooser->plan.calls)];
	if (after != INT64_MIN)
		ferry_message_retry_after(message, after);
	return follow_plan(message, &chooser->plan);
}

static int choose_nack(struct ferry_message *message, void *ctx)
{
	struct chooser *chooser = ctx;
	int64_t after = chooser->after[atomic_load(&chooser->plan.calls)];
	(void)follow_plan(message, &chooser->plan);
	CHECK(ferry_message_nack(message, after) == 0, "nack was refused");
	CHECK(ferry_message_nack(message, after) == FERRY_E_STALE, "a second nack was taken");
	CHECK(ferry_message_ack(message) == FERRY_E_STALE, "an ack after a nack was taken");
	CHECK(ferry_message_reject(message) == FERRY_E_STALE, "a reject after a nack was taken");
	return 0;
}

static void a_handler_can_choose_the_next_delay_only(void)
{
	struct chooser c = {.plan = {.results = retry_always, .result_count = 1},
			    .after = {0, 5000, INT64_MIN, -1, INT64_MIN}};
	c.plan.bus = open_still("", NULL);
	OK(ferry_subscribe(c.plan.bus, "t", choose_delay, &c, NULL, &err));
	OK(ferry_bus_start(c.plan.bus, 0, &err));
	OK(publish(c.plan.bus, "t", "x", NULL));
	turn(c.plan.bus);
	CHECK(atomic_load(&c.plan.calls) == 2, "0 is not at once: %d calls", atomic_load(&c.plan.calls));
	comes_after(&c.plan, 5000);
	comes_after(&c.plan, 4000); /* the third failure's own backoff */
	comes_after(&c.plan, 8000);
	ferry_bus_close(c.plan.bus);
}

static void a_nack_can_choose_the_next_delay(void)
{
	struct chooser c = {.after = {0, 5000, -1, -1}};
	c.plan.bus = open_still("", NULL);
	OK(ferry_subscribe(c.plan.bus, "t", choose_nack, &c, HANDLER(.ack = FERRY_ACK_MANUAL), &err));
	OK(ferry_bus_start(c.plan.bus, 0, &err));
	OK(publish(c.plan.bus, "t", "x", NULL));
	turn(c.plan.bus);
	CHECK(atomic_load(&c.plan.calls) == 2, "0 is not at once: %d calls", atomic_load(&c.plan.calls));
	comes_after(&c.plan, 5000);
	comes_after(&c.plan, 4000);
	ferry_bus_close(c.plan.bus);
}

/* ---- results ---- */

static void a_result_says_what_becomes_of_the_message(void)
{
	static const struct {
		int result, calls;
		uint64_t handled, dead_lettered;
	} rows[] = {
		{0, 1, 1, 0},
		{FERRY_REJECT, 1, 0, 1},
		{FERRY_E_RETRY, 3, 0, 1},
		{-1000, 3, 0, 1},
		{INT_MIN, 3, 0, 1},
		{2, 3, 0, 1}, /* any other positive number is an error like any other */
		{INT_MAX, 3, 0, 1},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (int ack = FERRY_ACK_AUTO; ack <= FERRY_ACK_MANUAL; ack++) {
			struct plan plan = {.results = &rows[i].result, .result_count = 1};
			begin(&plan, follow_plan,
			      HANDLER(.max_retries = 2, .initial_backoff_ms = 1, .ack = ack));
			pass(plan.bus, 1);
			pass(plan.bus, 2);
			pass(plan.bus, 1000000);
			bool missing = rows[i].result == 0 && ack == FERRY_ACK_MANUAL;
			struct ferry_group_stats sum = stats_of(plan.bus, NULL);
			/* Neither settled nor kept: a failed attempt. */
			CHECK(atomic_load(&plan.calls) == (missing ? 3 : rows[i].calls), "%d: %d calls",
			      rows[i].result, atomic_load(&plan.calls));
			CHECK(sum.handled == (missing ? 0 : rows[i].handled) &&
				      sum.dead_lettered == (missing ? 1 : rows[i].dead_lettered),
			      "%d: handled %d, dead-lettered %d", rows[i].result, (int)sum.handled,
			      (int)sum.dead_lettered);
			ferry_bus_close(plan.bus);
		}
	}
}

static void no_retry_and_no_backoff_are_values(void)
{
	struct plan once = {.results = retry_always, .result_count = 1}, quick = once;
	begin(&once, follow_plan, HANDLER(.max_retries = FERRY_NONE));
	pass(once.bus, 1000000);
	CHECK(atomic_load(&once.calls) == 1, "%d calls without retries", atomic_load(&once.calls));
	ferry_bus_close(once.bus);

	quick.bus = open_still("", NULL);
	OK(ferry_subscribe(quick.bus, "t", follow_plan, &quick, HANDLER(.initial_backoff_ms = FERRY_NONE),
			   &err));
	OK(ferry_bus_start(quick.bus, 0, &err));
	OK(publish(quick.bus, "t", "x", NULL));
	turn(quick.bus);
	CHECK(atomic_load(&quick.calls) == 11, "%d calls without a backoff", atomic_load(&quick.calls));
	CHECK(quick.attempts[0] == 1 && quick.attempts[10] == 11, "attempts %u to %u", quick.attempts[0],
	      quick.attempts[10]);
	ferry_bus_close(quick.bus);
}

static int lacks_memory_once(struct ferry_message *message, void *ctx, struct ferry_error *why)
{
	(void)ctx;
	(void)why;
	return ferry_message_attempt(message) == 1 ? FERRY_E_NOMEM : 0;
}

static void a_decoder_without_memory_is_asked_again(void)
{
	struct plan plan = {.results = NULL};
	plan.bus = open_still("", NULL);
	OK(ferry_subscribe(plan.bus, "t", follow_plan, &plan, HANDLER(.decode = lacks_memory_once), &err));
	OK(ferry_bus_start(plan.bus, 0, &err));
	OK(publish(plan.bus, "t", "x", NULL));
	turn(plan.bus);
	CHECK(atomic_load(&plan.calls) == 0 && stats_of(plan.bus, NULL).dead_lettered == 0,
	      "a lack of memory was taken for a bad payload");
	comes_after(&plan, 1000);
	CHECK(stats_of(plan.bus, NULL).handled == 1, "it was not handled");
	ferry_bus_close(plan.bus);
}

const struct contract_test retry_tests[] = {
	{"delays_double_up_to_the_cap", delays_double_up_to_the_cap},
	{"a_hundred_attempts_do_not_overflow", a_hundred_attempts_do_not_overflow},
	{"jitter_is_added_before_the_cap", jitter_is_added_before_the_cap},
	{"a_handler_can_choose_the_next_delay_only", a_handler_can_choose_the_next_delay_only},
	{"a_nack_can_choose_the_next_delay", a_nack_can_choose_the_next_delay},
	{"a_result_says_what_becomes_of_the_message", a_result_says_what_becomes_of_the_message},
	{"no_retry_and_no_backoff_are_values", no_retry_and_no_backoff_are_values},
	{"a_decoder_without_memory_is_asked_again", a_decoder_without_memory_is_asked_again},
	{NULL, NULL},
};
