/*
 * stop_test.c - stopping, counting under load, and forks.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract.h"

static const int retry_always[] = {FERRY_E_RETRY};

static void the_report_counts_what_a_stop_left(void)
{
	struct plan plan = {.results = retry_always, .result_count = 1};
	struct ferry_bus *bus = open_still("", NULL);
	plan.bus = bus;
	OK(ferry_subscribe(bus, "t", follow_plan, &plan, NULL, &err));
	OK(ferry_bus_start(bus, 0, &err));
	for (int i = 0; i < 3; i++)
		OK(publish(bus, "t", "x", NULL));
	turn(bus); /* all three wait for their retry */
	struct ferry_stop_report report = {.size = sizeof report};
	OK(ferry_bus_stop(bus, 5000, &report, &err));
	CHECK(report.size == sizeof report && report.dropped == 3 && report.pending == 0 &&
		      report.handed_back == 0 && report.unconfirmed == 0,
	      "dropped %d, pending %d, handed back %d", (int)report.dropped, (int)report.pending,
	      (int)report.handed_back);
	CHECK(stats_of(bus, NULL).dropped == 3 && stats_of(bus, NULL).in_flight == 0, "dropped %d",
	      (int)stats_of(bus, NULL).dropped);
	ferry_bus_close(bus);
}

struct keeper {
	struct ferry_message *kept;
	atomic_int calls;
};

static int keep(struct ferry_message *m, void *ctx)
{
	struct keeper *k = ctx;
	k->kept = ferry_message_ref(m);
	atomic_fetch_add(&k->calls, 1);
	return 0;
}

static void a_stop_that_ran_out_of_time_can_be_called_again(void)
{
	struct keeper k = {.kept = NULL};
	struct ferry_bus *bus = open_url("memory:", NULL);
	OK(ferry_subscribe(bus, "t", keep, &k, HANDLER(.ack = FERRY_ACK_MANUAL), &err));
	OK(ferry_bus_start(bus, 0, &err));
	OK(publish(bus, "t", "x", NULL));
	WAIT_FOR(&k.calls, 1);
	struct ferry_stop_report report = {.size = sizeof report};
	REFUSED(ferry_bus_stop(bus, 50, &report, &err), FERRY_E_TIMEDOUT, "1 message");
	CHECK(report.pending == 1 && report.handled == 0, "pending %d", (int)report.pending);
	CHECK(ferry_bus_state(bus, NULL) == FERRY_STATE_STOPPING, "state %d", ferry_bus_state(bus, NULL));
	CHECK(ferry_message_ack(k.kept) == 0, "an ack while stopping was refused");
	ferry_message_unref(k.kept);
	OK(ferry_bus_stop(bus, 5000, &report, &err));
	CHECK(report.pending == 0 && report.handled == 1 && report.dropped == 0, "pending %d, handled %d",
	      (int)report.pending, (int)report.handled);
	ferry_bus_close(bus);
}

static void a_running_bus_can_be_closed(void)
{
	static struct plan plan;
	struct ferry_bus *bus = open_url("memory:", NULL);
	plan.bus = bus;
	OK(ferry_subscribe(bus, "t", follow_plan, &plan, NULL, &err));
	OK(ferry_bus_start(bus, 0, &err));
	for (int i = 0; i < 50; i++)
		OK(publish(bus, "t", "x", NULL));
	WAIT_FOR(&plan.calls, 1);
	ferry_bus_close(bus);
}

/* ---- counting under load ---- */

static atomic_bool finished;
static atomic_int failures_left;

static int fail_some(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	if (ferry_message_attempt(m) == 1 && atomic_fetch_sub(&failures_left, 1) > 0)
		return FERRY_E_RETRY;
	const char *payload = ferry_message_payload(m, NULL);
	return *payload == 'r' ? FERRY_REJECT : 0;
}

static void *publish_load(void *ctx)
{
	struct ferry_publisher *p = open_publisher(ctx, "t");
	const struct ferry_publish_options *us = PUBLISH(.attributes = FERRY_ATTRIBUTES({"region", "us"}));
	struct ferry_error why;
	for (int i = 0; i < 3000; i++)
		CHECK(!ferry_publish(p, i % 50 ? "x" : "r", 1, i % 3 ? us : NULL, &why), "%s", why.text);
	ferry_publisher_close(p);
	return NULL;
}

static void *look_at_counters(void *ctx)
{
	while (!atomic_load(&finished))
		(void)stats_of(ctx, NULL); /* checks the sum in every row */
	return NULL;
}

static void every_snapshot_adds_up_under_load(void)
{
	pthread_t publishers[2], looker;
	struct ferry_bus *bus = open_url("memory:", NULL);
	atomic_store(&failures_left, 300);
	OK(ferry_subscribe(bus, "t", fail_some, NULL, HANDLER(.initial_backoff_ms = 1, .concurrency = 3),
			   &err));
	OK(ferry_subscribe(bus, "t", fail_some, NULL,
			   HANDLER(.group = "us", .filter = FERRY_ATTRIBUTES({"region", "us"}),
				   .order = FERRY_ORDER_KEY_IN_PROCESS),
			   &err));
	OK(ferry_subscribe(bus, "t", fail_some, NULL, HANDLER(.distribution = FERRY_BROADCAST), &err));
	OK(ferry_bus_start(bus, 0, &err));
	CHECK(!pthread_create(&looker, NULL, look_at_counters, bus), "no thread");
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&publishers[i], NULL, publish_load, bus), "no thread");
	for (int i = 0; i < 2; i++)
		pthread_join(publishers[i], NULL);
	int64_t deadline = real_ms() + 30000;
	struct ferry_group_stats sum;
	do {
		sum = stats_of(bus, NULL);
		CHECK(real_ms() < deadline, "received %d, retried %d, in flight %d", (int)sum.received,
		      (int)sum.retried, (int)sum.in_flight);
	} while (sum.in_flight || sum.received - sum.retried != 3 * 6000);
	atomic_store(&finished, true);
	pthread_join(looker, NULL);
	CHECK(sum.filtered == 2000 && sum.dead_lettered == 80 + 120 + 120, "filtered %d, dead-lettered %d",
	      (int)sum.filtered, (int)sum.dead_lettered);
	CHECK(sum.handled == 3 * 6000 - sum.filtered - sum.dead_lettered, "handled %d", (int)sum.handled);
	ferry_bus_close(bus);
}

/* ---- fork ---- */

/* In the child: every call that can fail says so, and the rest does nothing. */
static int use_after_fork(struct ferry_bus *bus, struct ferry_publisher *p, struct ferry_message *m)
{
	struct ferry_batch_item item = {.payload = "x", .payload_size = 1};
	struct ferry_interceptor interceptor = {.size = sizeof interceptor};
	struct ferry_publisher *other = NULL;
	const int codes[] = {
		ferry_bus_start(bus, 0, &err),
		ferry_bus_state(bus, &err),
		ferry_bus_wait_ready(bus, 0, &err),
		ferry_bus_stop(bus, 0, NULL, &err),
		ferry_bus_fd(bus),
		ferry_bus_dispatch(bus, 0),
		ferry_bus_advance(bus, 1),
		ferry_bus_intercept(bus, &interceptor, &err),
		ferry_subscribe(bus, "t", keep, NULL, NULL, &err),
		ferry_publisher_open(bus, "t", NULL, &other, &err),
		ferry_publish(p, "x", 1, NULL, &err),
		ferry_publish(p, "x", 1, PUBLISH(.id = "a"), &err),
		ferry_publish_async(p, "x", 1, NULL, NULL, NULL, &err),
		ferry_publish_batch(p, &item, 1, 0, &err),
		item.result,
		ferry_dlq_replay(bus, "dlq.default.t", NULL, NULL, &err),
		ferry_stats_take(bus, &err) ? 0 : err.code,
		ferry_message_ack(m),
		ferry_message_nack(m, 0),
		ferry_message_reject(m),
		ferry_message_extend(m, 1000),
		ferry_message_cancel_fd(m),
	};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (codes[i] != FERRY_E_FORK)
			return 1 + (int)i;
	ferry_message_unref(m);
	ferry_publisher_close(p);
	ferry_bus_close(bus);
	return 0;
}

static void a_child_is_told_that_the_bus_is_not_its_own(void)
{
	struct keeper k = {.kept = NULL};
	struct ferry_bus *bus = open_still("", NULL);
	OK(ferry_subscribe(bus, "t", keep, &k, HANDLER(.ack = FERRY_ACK_MANUAL), &err));
	OK(ferry_bus_start(bus, 0, &err));
	OK(publish(bus, "t", "x", NULL));
	turn(bus);
	CHECK(k.kept, "no message");
	struct ferry_publisher *p = open_publisher(bus, "t");
	int ends[2], wrong = -1, status;
	CHECK(!pipe(ends), "no pipe");
	fflush(stdout);
	pid_t child = fork();
	CHECK(child >= 0, "no child");
	if (child == 0) {
		wrong = use_after_fork(bus, p, k.kept);
		bool told = write(ends[1], &wrong, sizeof wrong) == sizeof wrong;
		/* Without the work of an exit: sanitizers would look for the threads that stayed behind. */
		raise(told ? SIGKILL : SIGABRT);
	}
	close(ends[1]);
	CHECK(read(ends[0], &wrong, sizeof wrong) == sizeof wrong, "the child died in a call");
	close(ends[0]);
	CHECK(waitpid(child, &status, 0) == child, "no child to wait for");
	CHECK(wrong == 0, "call %d of the child was not FERRY_E_FORK", wrong);
	/* The parent goes on. */
	CHECK(ferry_message_ack(k.kept) == 0, "the parent cannot ack");
	ferry_message_unref(k.kept);
	ferry_publisher_close(p);
	OK(ferry_bus_stop(bus, 5000, NULL, &err));
	CHECK(stats_of(bus, NULL).handled == 1, "not handled");
	ferry_bus_close(bus);
}

const struct contract_test stop_tests[] = {
	{"the_report_counts_what_a_stop_left", the_report_counts_what_a_stop_left},
	{"a_stop_that_ran_out_of_time_can_be_called_again", a_stop_that_ran_out_of_time_can_be_called_again},
	{"a_running_bus_can_be_closed", a_running_bus_can_be_closed},
	{"every_snapshot_adds_up_under_load", every_snapshot_adds_up_under_load},
	{"a_child_is_told_that_the_bus_is_not_its_own", a_child_is_told_that_the_bus_is_not_its_own},
	{NULL, NULL},
};
