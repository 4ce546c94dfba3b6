/* cases_load.c - a broker or a bus that stops while messages are being published: cases 46 to 48. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "support.h"

/* ---- a thread that publishes one message after the other, until it is stopped or refused ---- */

#define LOAD_MOST 1000000
#define LOAD_RUN  8 /* messages, then a pause of a millisecond: a load, not a race */

enum load_result { LOAD_NONE = 0, LOAD_CONFIRMED, LOAD_UNKNOWN, LOAD_REFUSED };

struct load {
	struct conformance *c;
	struct ferry_publisher *publisher;
	pthread_t thread;
	atomic_bool stop;
	_Atomic int64_t confirmed;          /* how many */
	int64_t count;                      /* tried; to be read after load_end */
	_Atomic uint8_t results[LOAD_MOST]; /* enum load_result, by n */
	_Atomic uint8_t handled[LOAD_MOST]; /* successful calls, by n */
};

static void nap_1ms(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void *publish_on(void *ctx)
{
	struct load *load = ctx;
	char payload[24];

	while (load->count < LOAD_MOST && !atomic_load(&load->stop)) {
		int size = snprintf(payload, sizeof payload, "%" PRId64, load->count);
		int code = ferry_publish(load->publisher, payload, (size_t)size, NULL, NULL);
		uint8_t result = code == 0                 ? LOAD_CONFIRMED
				 : code == FERRY_E_UNKNOWN ? LOAD_UNKNOWN
							   : LOAD_REFUSED;

		atomic_store(&load->results[load->count++], result);
		if (code == FERRY_E_STATE)
			break; /* the bus is stopped */
		if (code == 0)
			atomic_fetch_add(&load->confirmed, 1);
		if (load->count % LOAD_RUN == 0)
			nap_1ms();
	}
	return NULL;
}

static struct load *load_begin(struct conformance *c, struct ferry_bus *bus, const char *topic)
{
	struct load *load = conformance_alloc(c, sizeof *load);

	load->c = c;
	load->publisher = conformance_publisher(c, bus, topic);
	return load;
}

static void load_run(struct load *load)
{
	CHECK(load->c, !pthread_create(&load->thread, NULL, publish_on, load), "a thread cannot be started");
}

static void load_end(struct load *load)
{
	atomic_store(&load->stop, true);
	pthread_join(load->thread, NULL);
}

struct load_goal {
	struct load *load;
	int64_t confirmed;
};

static bool has_confirmed(void *ctx)
{
	const struct load_goal *goal = ctx;

	return atomic_load(&goal->load->confirmed) >= goal->confirmed;
}

/* Wait until so many more are confirmed. */
static void load_more(struct load *load, int64_t more, int64_t timeout_ms, const char *when)
{
	struct load_goal goal = {load, atomic_load(&load->confirmed) + more};

	CHECK(load->c, conformance_until_now(load->c, has_confirmed, &goal, timeout_ms),
	      "%s only %" PRId64 " of %" PRId64 " further messages are confirmed", when,
	      atomic_load(&load->confirmed) - goal.confirmed + more, more);
}

/* A handler that succeeds. */
static int count_call(struct ferry_message *m, void *ctx)
{
	struct load *load = ctx;
	int64_t n = conformance_number(m);

	CHECK(load->c, n >= 0 && n < LOAD_MOST, "message %" PRId64 " came, which was not published", n);
	atomic_fetch_add(&load->handled[n], 1);
	return 0;
}

/* How many of the confirmed messages have not come; *ret_example is one of them. */
static int64_t load_missing(const struct load *load, int64_t *ret_example)
{
	int64_t missing = 0;

	for (int64_t n = 0; n < load->count; n++)
		if (atomic_load(&load->results[n]) == LOAD_CONFIRMED && !atomic_load(&load->handled[n])) {
			missing++;
			*ret_example = n;
		}
	return missing;
}

static bool none_missing(void *ctx)
{
	int64_t example;

	return load_missing(ctx, &example) == 0;
}

/* Fail unless every confirmed message comes, and none that was refused. */
static void load_check(struct load *load, int64_t timeout_ms)
{
	struct conformance *c = load->c;
	bool complete = conformance_until_now(c, none_missing, load, timeout_ms);
	int64_t example = -1, missing = load_missing(load, &example);

	CHECK(c, complete || !missing,
	      "%" PRId64 " of %" PRId64 " confirmed messages are lost, for example message %" PRId64, missing,
	      atomic_load(&load->confirmed), example);
	for (int64_t n = 0; n < load->count; n++)
		CHECK(c, atomic_load(&load->results[n]) != LOAD_REFUSED || !atomic_load(&load->handled[n]),
		      "the publish of message %" PRId64 " was refused, and it was handled", n);
}

/* ---- 46: started before its broker ---- */

struct states {
	atomic_int connecting, ready;
};

static void on_state(struct ferry_bus *bus, int state, const struct ferry_error *why, void *ctx)
{
	struct states *states = ctx;

	(void)bus;
	(void)why;
	if (state == FERRY_STATE_CONNECTING)
		atomic_fetch_add(&states->connecting, 1);
	if (state == FERRY_STATE_READY)
		atomic_fetch_add(&states->ready, 1);
}

static void check_connecting(struct conformance *c, struct ferry_bus *bus)
{
	struct ferry_error err = {0}, why = {0};
	int64_t begin_us = conformance_now_us(c);

	conformance_ok(c, ferry_bus_start(bus, 1500, &err), &err, "start without a broker");
	CHECK(c, conformance_now_us(c) - begin_us < conformance_limit_ms(10000) * 1000,
	      "start with a wait of 1.5 s took %" PRId64 " ms", (conformance_now_us(c) - begin_us) / 1000);
	CHECK(c, ferry_bus_state(bus, &why) == FERRY_STATE_CONNECTING, "without a broker the state is %d",
	      ferry_bus_state(bus, NULL));
	CHECK(c, err.code && err.text[0] && why.code && why.text[0],
	      "start does not say why the bus is not ready");
	conformance_refused(c, ferry_bus_wait_ready(bus, 300, &err), FERRY_E_TIMEDOUT, &err, NULL,
			    "wait_ready");
}

void conformance_case_46(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	struct states states = {0};
	const char *topic = conformance_name(c, "orders");
	struct ferry_error err = {0};
	struct ferry_bus *bus;

	conformance_control(c, "stop");
	bus = conformance_open(c, NULL, FERRY_OPTIONS(ferry_bus_options, .fail_fast = FERRY_ON));
	conformance_refused(c, ferry_bus_start(bus, 1500, &err), FERRY_E_UNREACHABLE, &err, NULL,
			    "start without a broker and with fail_fast");
	conformance_close(c, bus);

	bus = conformance_open(c, NULL,
			       FERRY_OPTIONS(ferry_bus_options, .on_state = on_state, .hook_ctx = &states));
	conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
	check_connecting(c, bus);
	conformance_control(c, "start");
	conformance_ok(c, ferry_bus_wait_ready(bus, 3 * WAIT_MS, &err), &err,
		       "wait_ready after the broker's start");
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, 100, NULL);
	CHECK(c, recorder_wait(seen, 100, WAIT_MS), "%zu of 100 messages came", recorder_count(seen));
	conformance_drained(c, bus, NULL, 100);
	conformance_each_once(c, seen, 0, 100);
	conformance_close(c, bus);
	CHECK(c, atomic_load(&states.connecting) >= 1 && atomic_load(&states.ready) >= 1,
	      "on_state was told %d times of CONNECTING and %d times of READY",
	      atomic_load(&states.connecting), atomic_load(&states.ready));
}

/* ---- 47: the broker is restarted under load ---- */

void conformance_case_47(struct conformance *c)
{
	const struct ferry_bus_options *options = FERRY_OPTIONS(ferry_bus_options, .takeover_ms = 6000);
	const char *topic = conformance_name(c, "orders");
	struct ferry_bus *publishing = conformance_open(c, NULL, options);
	struct ferry_bus *consuming = conformance_open(c, NULL, options);
	struct load *load = load_begin(c, publishing, topic);

	conformance_subscribe(c, consuming, topic, count_call, load,
			      FERRY_OPTIONS(ferry_handler_options, .concurrency = 4));
	conformance_start(c, consuming);
	conformance_start(c, publishing);
	load_run(load);
	for (int restart = 0; restart < 2; restart++) {
		load_more(load, 300, WAIT_MS, "before a restart of the broker");
		conformance_control(c, "kill");
		conformance_control(c, "start");
	}
	load_more(load, 300, 3 * WAIT_MS, "after two restarts of the broker");
	load_end(load);
	load_check(load, 3 * WAIT_MS);
	conformance_close_all(c);
}

/* ---- 48: a graceful stop under load ---- */

#define WORKERS 4

struct worker {
	struct load *load;
	struct recorder *called, *done;
};

/* Takes a millisecond; some fail at first. */
static int work(struct ferry_message *m, void *ctx)
{
	struct worker *worker = ctx;
	uint32_t attempt = ferry_message_attempt(m);

	recorder_add_message(worker->called, m, 0);
	nap_1ms();
	if (conformance_number(m) % 50 == 7 && attempt == 1)
		return FERRY_E_RETRY;
	recorder_add_message(worker->done, m, 0);
	return count_call(m, worker->load);
}

static struct ferry_bus *open_worker(struct conformance *c, const char *topic, struct worker *worker,
				     int32_t backoff_ms)
{
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	worker->called = conformance_recorder(c);
	worker->done = conformance_recorder(c);
	conformance_subscribe(c, bus, topic, work, worker,
			      FERRY_OPTIONS(ferry_handler_options, .concurrency = WORKERS,
					    .initial_backoff_ms = backoff_ms));
	return bus;
}

/* Nothing else has the messages: what was confirmed and not handled is counted as dropped. */
static void check_balance(struct conformance *c, struct ferry_bus *bus, const struct worker *worker,
			  const struct ferry_stop_report *report)
{
	struct ferry_group_stats stats = conformance_stats(c, bus, SERVICE(c));
	uint64_t confirmed = (uint64_t)atomic_load(&worker->load->confirmed);

	CHECK(c, stats.dropped == report->dropped,
	      "stop reports %" PRIu64 " dropped messages, counted are %" PRIu64, report->dropped,
	      stats.dropped);
	CHECK(c, stats.handled == recorder_count(worker->done),
	      "%zu messages were handled, counted are %" PRIu64, recorder_count(worker->done), stats.handled);
	CHECK(c, confirmed == stats.handled + stats.dropped,
	      "of %" PRIu64 " confirmed messages %" PRIu64 " were handled and %" PRIu64 " dropped by stop",
	      confirmed, stats.handled, stats.dropped);
	CHECK(c, !recorder_duplicates(worker->called), "%zu messages were called twice",
	      recorder_duplicates(worker->called));
}

/* The next bus of the group gets the rest: nothing is lost, and hardly anything comes again. */
static void check_rest(struct conformance *c, const char *topic, struct worker *first)
{
	bool exact =
		conformance_can(c, FERRY_CAP_HANDBACK_EXACT) || conformance_can(c, FERRY_CAP_HOLD_DURABLE);
	struct worker second = {.load = first->load};
	struct ferry_bus *bus = open_worker(c, topic, &second, 300);
	struct recorded entry;
	size_t again = 0;

	conformance_start(c, bus);
	load_end(first->load);
	load_check(first->load, 3 * WAIT_MS);
	CHECK(c, recorder_quiet(second.called, 2000), "calls go on after every message has come");
	for (size_t i = 0; i < recorder_count(first->done); i++)
		again += recorder_count_n(second.called, recorder_at(first->done, i).n);
	CHECK(c, again <= WORKERS, "%zu messages were handled before a graceful stop and came again after it",
	      again);
	/* A failure is remembered; a hand-back may count as one only where it cannot be told apart. */
	for (size_t i = 0; i < recorder_count(first->called); i++) {
		int64_t n = recorder_at(first->called, i).n;

		if (recorder_count_n(first->done, n) || !recorder_find(second.called, n, 0, &entry))
			continue;
		CHECK(c, entry.attempt == 2 || (entry.attempt > 2 && !exact),
		      "message %" PRId64 " had failed once before the stop, and came as attempt %" PRIu32
		      " after it",
		      n, entry.attempt);
	}
	conformance_close(c, bus);
}

void conformance_case_48(struct conformance *c)
{
	bool durable = conformance_can(c, FERRY_CAP_DURABLE);
	struct ferry_stop_report report = {.size = sizeof report};
	const char *topic = conformance_name(c, "orders");
	struct worker worker = {0};
	struct ferry_bus *bus = open_worker(c, topic, &worker, durable ? 300 : 60000);
	struct ferry_bus *publishing = durable ? conformance_open(c, NULL, NULL) : bus;

	worker.load = load_begin(c, publishing, topic);
	conformance_start(c, bus);
	if (durable)
		conformance_start(c, publishing);
	load_run(worker.load);
	CHECK(c, recorder_wait(worker.called, 500, WAIT_MS), "only %zu of 500 calls were made",
	      recorder_count(worker.called));
	conformance_stop(c, bus, &report);
	CHECK(c, report.pending == 0 && report.unconfirmed == 0,
	      "a graceful stop leaves %" PRIu64 " pending messages and %" PRIu64 " unconfirmed publishes",
	      report.pending, report.unconfirmed);
	if (!durable) {
		load_end(worker.load);
		check_balance(c, bus, &worker, &report);
		conformance_close_all(c);
		return;
	}
	CHECK(c, report.dropped == 0, "stop drops %" PRIu64 " messages of a durable transport",
	      report.dropped);
	conformance_close(c, bus);
	load_more(worker.load, 200, WAIT_MS, "after the consumer's stop");
	check_rest(c, topic, &worker);
	conformance_close_all(c);
}
