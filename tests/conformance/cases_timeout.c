/* cases_timeout.c - handlers that take long, too long, or for ever: cases 41 to 43. */
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

/* ---- 41: a cancelled call ---- */

#define TIMEOUT_MS 1000
#define MORE_MS    2000

/* What each message is there for, by its n. */
enum {
	BY_FLAG,  /* the handler looks at the flag */
	BY_FD,    /* the handler waits for the descriptor */
	EXTENDED, /* the handler asks for more time, and gets it */
	TIMED_MESSAGES,
};

struct timed {
	struct conformance *c;
	struct ferry_bus *bus;
	struct gate *gate; /* a cancelled call returns only when it is open */
	_Atomic int64_t cancelled_us[TIMED_MESSAGES];
};

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Wait, in real time, until the handler is told to stop; false: it never is. */
static bool wait_cancelled(struct ferry_message *m, bool by_fd)
{
	struct pollfd polled = {.events = POLLIN};
	int64_t left_ms = WAIT_MS;

	if (!by_fd) {
		while (!ferry_message_cancelled(m) && left_ms-- > 0)
			nap();
		return left_ms > 0;
	}
	polled.fd = ferry_message_cancel_fd(m);
	return polled.fd >= 0 && poll(&polled, 1, (int)left_ms) == 1 && ferry_message_cancelled(m);
}

static int outlast(struct ferry_message *m, void *ctx)
{
	struct timed *timed = ctx;
	int64_t n = conformance_number(m), begin_us = ferry_bus_now_us(timed->bus);
	int64_t time_us = ferry_message_deadline_us(m) - begin_us;

	CHECK(timed->c, time_us > (TIMEOUT_MS - 200) * 1000 && time_us <= (TIMEOUT_MS + 10) * 1000,
	      "a handler with a timeout of %d ms is told that it has %" PRId64 " us", TIMEOUT_MS, time_us);
	CHECK(timed->c, !ferry_message_cancelled(m), "a call begins cancelled");
	if (ferry_message_attempt(m) > 1)
		return 0;
	if (n == EXTENDED) {
		int code = ferry_message_extend(m, MORE_MS);

		CHECK(timed->c, !code, "extend within the time: %s", ferry_error_name(code));
	}
	CHECK(timed->c, wait_cancelled(m, n == BY_FD), "message %" PRId64 ": the handler is never cancelled",
	      n);
	atomic_store(&timed->cancelled_us[n], ferry_bus_now_us(timed->bus) - begin_us);
	CHECK(timed->c, ferry_message_extend(m, MORE_MS) == FERRY_E_STALE,
	      "extend after the time was granted");
	gate_pass(timed->gate);
	CHECK(timed->c, ferry_message_attempt(m) == 1 && conformance_number(m) == n,
	      "after its timeout a call sees its message changed: attempt %" PRIu32 " of message %" PRId64,
	      ferry_message_attempt(m), conformance_number(m));
	return n == BY_FD ? ferry_message_fail(m, FERRY_E_RETRY, "too late to fail") : 0; /* and to succeed */
}

static void check_cancelled(struct conformance *c, const struct timed *timed, int64_t n, int64_t time_ms)
{
	int64_t took_us = atomic_load(&timed->cancelled_us[n]);

	CHECK(c, took_us >= (time_ms - 10) * 1000 && took_us <= (time_ms + 500) * 1000,
	      "message %" PRId64 ": a handler with %" PRId64 " ms was cancelled after %" PRId64 " us", n,
	      time_ms, took_us);
}

void conformance_case_41(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c);
	struct timed timed = {.c = c, .gate = gate_new(c)};
	struct record_handler handler = {.recorder = seen, .verdict = outlast, .ctx = &timed};
	const char *topic = conformance_name(c, "orders");
	struct ferry_group_stats stats;

	conformance_manual_clock(c);
	timed.bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(c, timed.bus, topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .timeout_ms = TIMEOUT_MS, .concurrency = 3,
					    .initial_backoff_ms = 300));
	conformance_start(c, timed.bus);
	conformance_publish_many(c, conformance_publisher(c, timed.bus, topic), 0, TIMED_MESSAGES, NULL);
	CHECK(c, recorder_wait_now(seen, TIMED_MESSAGES, WAIT_MS), "%zu of %d messages came",
	      recorder_count(seen), TIMED_MESSAGES);
	/* The second attempts run while the first ones have not returned yet. */
	CHECK(c, recorder_wait(seen, (size_t)2 * TIMED_MESSAGES, WAIT_MS),
	      "after a timeout each message should be tried again: %zu calls instead of %d",
	      recorder_count(seen), 2 * TIMED_MESSAGES);
	CHECK(c, gate_crowd(timed.gate, TIMED_MESSAGES), "%d handlers should have been cancelled",
	      TIMED_MESSAGES);
	conformance_drained(c, timed.bus, NULL, TIMED_MESSAGES);
	stats = conformance_stats(c, timed.bus, NULL);
	CHECK(c, stats.handled == TIMED_MESSAGES && stats.late_results == 0,
	      "%d second attempts have succeeded; counted are %" PRIu64 " handled and %" PRIu64
	      " late results",
	      TIMED_MESSAGES, stats.handled, stats.late_results);
	gate_open(timed.gate);
	CHECK(c, support_counter(c, timed.bus, NULL, COUNTER(late_results), TIMED_MESSAGES),
	      "%d results came too late, counted are %" PRIu64, TIMED_MESSAGES,
	      conformance_stats(c, timed.bus, NULL).late_results);
	CHECK(c, recorder_quiet(seen, 1000), "a message came again after its second attempt was handled");
	stats = conformance_stats(c, timed.bus, NULL);
	CHECK(c, stats.handled == TIMED_MESSAGES && stats.timeouts == TIMED_MESSAGES && !stats.dead_lettered,
	      "counted are %" PRIu64 " handled, %" PRIu64 " timeouts, %" PRIu64 " dead letters",
	      stats.handled, stats.timeouts, stats.dead_lettered);
	check_cancelled(c, &timed, BY_FLAG, TIMEOUT_MS);
	check_cancelled(c, &timed, BY_FD, TIMEOUT_MS);
	check_cancelled(c, &timed, EXTENDED, MORE_MS);
	conformance_close_all(c);
}

/* ---- 42: longer than takeover, within the timeout ---- */

#define LONG_MESSAGES 3

void conformance_case_42(struct conformance *c)
{
	const struct ferry_bus_options *options =
		FERRY_OPTIONS(ferry_bus_options, .takeover_ms = TAKEOVER_MS);
	const struct ferry_handler_options *handler_options =
		FERRY_OPTIONS(ferry_handler_options, .timeout_ms = 60000, .concurrency = LONG_MESSAGES + 1);
	struct recorder *seen = conformance_recorder(c);
	struct gate *gate = gate_new(c);
	struct record_handler slow = {.recorder = seen, .number = 1, .verdict = gate_verdict, .ctx = gate};
	struct record_handler other = {.recorder = seen, .number = 2};
	const char *topic = conformance_name(c, "orders");
	struct ferry_publisher *publisher;
	struct ferry_bus *bus;

	conformance_manual_clock(c);
	bus = conformance_open(c, NULL, options);
	conformance_subscribe(c, bus, topic, conformance_record, &slow, handler_options);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	conformance_publish_many(c, publisher, 0, LONG_MESSAGES, NULL);
	CHECK(c, gate_crowd(gate, LONG_MESSAGES), "%d messages should be in their handlers", LONG_MESSAGES);
	if (conformance_can(c, FERRY_CAP_DURABLE)) { /* somebody who would take them over */
		struct ferry_bus *idle = conformance_open(c, NULL, options);

		conformance_subscribe(c, idle, topic, conformance_record, &other, handler_options);
		conformance_start(c, idle);
	}
	CHECK(c, recorder_quiet(seen, 3 * TAKEOVER_MS),
	      "a message came again while its handler was within its timeout");
	gate_open(gate);
	CHECK(c, support_counter(c, bus, NULL, COUNTER(handled), LONG_MESSAGES),
	      "%d messages were handled, counted are %" PRIu64, LONG_MESSAGES,
	      conformance_stats(c, bus, NULL).handled);
	CHECK(c, recorder_quiet(seen, TAKEOVER_MS + 500),
	      "a message came again after its long handler returned");
	conformance_each_once(c, seen, 0, LONG_MESSAGES);
	CHECK(c, !conformance_stats(c, bus, NULL).stale, "the slow process lost %" PRIu64 " of its messages",
	      conformance_stats(c, bus, NULL).stale);
	conformance_close_all(c);
}

/* ---- 43: a handler that never returns ---- */

enum { STUCK_1 = 0, HEALTHY_1 = 1, STUCK_2 = 6, HEALTHY_2 = 7, STUCK_MESSAGES = 12 };

struct stuck {
	struct conformance *c;
	atomic_int reported;
};

static int never_return(struct ferry_message *m, void *ctx)
{
	int64_t n = conformance_number(m);

	(void)ctx;
	while (ferry_message_attempt(m) == 1 && (n == STUCK_1 || n == STUCK_2))
		pause();
	return 0;
}

static void on_stuck(struct ferry_bus *bus, const struct ferry_incident *incident, void *ctx)
{
	struct stuck *stuck = ctx;

	(void)bus;
	CHECK(stuck->c, !strcmp(incident->handler, "sleeper"), "on_stuck names the handler \"%s\"",
	      incident->handler);
	atomic_fetch_add(&stuck->reported, 1);
}

static bool is_reported(void *ctx)
{
	return atomic_load((atomic_int *)ctx) > 0;
}

/* All of the case, in a process that must end by itself while two of its threads never will. */
static int run_stuck(struct conformance *c, int argc, char **argv)
{
	static struct stuck stuck; /* hooks may be called until the very end */
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .verdict = never_return};
	struct ferry_stop_report report = {.size = sizeof report};
	const char *topic = conformance_argument(argc, argv, "topic", "");
	struct ferry_publisher *publisher;
	struct ferry_group_stats stats;
	struct ferry_error err = {0};
	struct ferry_bus *bus;

	stuck.c = c;
	bus = conformance_open(c, NULL,
			       FERRY_OPTIONS(ferry_bus_options, .on_stuck = on_stuck, .hook_ctx = &stuck));
	conformance_forget(c, bus);
	conformance_subscribe(c, bus, topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .name = "sleeper", .timeout_ms = 500,
					    .initial_backoff_ms = 300));
	conformance_start(c, bus);
	conformance_ok(c, ferry_publisher_open(bus, topic, NULL, &publisher, &err), &err, "publisher_open");
	conformance_publish_many(c, publisher, 0, STUCK_2, NULL);
	CHECK(c, recorder_wait(seen, STUCK_2 + 1, WAIT_MS),
	      "a replacement should work on: %zu calls instead of %d", recorder_count(seen), STUCK_2 + 1);
	CHECK(c, !atomic_load(&stuck.reported), "on_stuck was called while a replacement works");
	conformance_publish_many(c, publisher, STUCK_2, STUCK_MESSAGES - STUCK_2, NULL);
	CHECK(c, conformance_until(c, is_reported, &stuck.reported, WAIT_MS),
	      "two calls of a handler with concurrency 1 are stuck, and on_stuck was not called");
	CHECK(c, recorder_quiet(seen, 1500) && recorder_count(seen) == STUCK_2 + 2,
	      "the stuck handler should be paused, but was called %zu times instead of %d",
	      recorder_count(seen), STUCK_2 + 2);
	stats = conformance_stats(c, bus, NULL);
	CHECK(c, stats.stuck == 2 && stats.timeouts == 2,
	      "2 calls are stuck, counted are %" PRIu64 " and %" PRIu64 " timeouts", stats.stuck,
	      stats.timeouts);
	conformance_accounts(c, bus);
	ferry_publisher_close(publisher);
	conformance_refused(c, ferry_bus_stop(bus, 1000, &report, &err), FERRY_E_TIMEDOUT, &err, NULL,
			    "stop");
	CHECK(c, report.pending >= 1,
	      "two handlers do not return, but the report says that %" PRIu64 " are pending", report.pending);
	conformance_say(c, "stopped");
	ferry_bus_close(bus);
	conformance_say(c, "closed");
	return 0;
}

const struct conformance_role conformance_roles_timeout[] = {{"stuck", run_stuck}, {NULL, NULL}};

void conformance_case_43(struct conformance *c)
{
	struct process *process = conformance_spawn(
		c, NULL, 0, "stuck", conformance_text(c, "topic=%s", conformance_name(c, "orders")), NULL);
	int status;

	process_expect(process, "stopped", 3 * WAIT_MS, NULL, 0);
	process_expect(process, "closed", WAIT_MS, NULL, 0);
	status = process_wait(process, WAIT_MS);
	CHECK(c, WIFEXITED(status) && WEXITSTATUS(status) == 0,
	      "a process with stuck handlers ended with %s %d instead of status 0",
	      WIFSIGNALED(status) ? "signal" : "status",
	      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}
