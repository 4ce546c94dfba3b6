/*
 * bus_test.c - starting, stopping and dispatching while something else happens.
 */
#include <pthread.h>

#include "life.h"

/* ---- stop while connecting ---- */

static void a_stop_keeps_its_deadline_while_the_bus_connects(void)
{
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus("holding:?start_takes=3s", NULL);
	OK(ferry_bus_start(bus, 20, &err), &err);
	int64_t begin = real_ms();
	int code = ferry_bus_stop(bus, 100, NULL, &err);
	int64_t took = real_ms() - begin;
	CHECK(code == FERRY_E_TIMEDOUT, "the stop returned %d", code);
	CHECK(took < 1500, "a stop of 100 ms took %lld ms", (long long)took);
	close_bus(bus);
}

struct states {
	atomic_int stopping, after;
};

static void note_state(struct ferry_bus *bus, int state, const struct ferry_error *why, void *ctx)
{
	struct states *states = ctx;
	(void)bus;
	(void)why;
	if (state == FERRY_STATE_STOPPING)
		atomic_store(&states->stopping, 1);
	else if (state != FERRY_STATE_STOPPED && atomic_load(&states->stopping))
		atomic_store(&states->after, state);
}

static void a_bus_that_stops_does_not_become_ready(void)
{
	struct states states = {0};
	struct ferry_error err = {0};
	struct ferry_bus *bus =
		open_bus("holding:?start_takes=300ms",
			 FERRY_OPTIONS(ferry_bus_options, .on_state = note_state, .hook_ctx = &states));
	OK(ferry_bus_start(bus, 20, &err), &err);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(states.after == 0, "state %d after STOPPING", states.after);
	ferry_bus_close(bus);
}

static void *start_it(void *bus)
{
	struct ferry_error err = {0};
	int code = ferry_bus_start(bus, 5000, &err);
	CHECK(code == 0 || code == FERRY_E_STATE, "the start returned %s", ferry_error_name(code));
	return NULL;
}

static int ignore(struct ferry_message *message, void *ctx)
{
	(void)message;
	(void)ctx;
	return 0;
}

static void start_and_stop_may_meet(void)
{
	for (int i = 0; i < 100; i++) {
		struct ferry_error err = {0};
		struct ferry_bus *bus = open_bus(i % 2 ? "memory:" : "holding:", NULL);
		OK(ferry_subscribe(bus, "t", ignore, NULL, NULL, &err), &err);
		pthread_t thread;
		CHECK(pthread_create(&thread, NULL, start_it, bus) == 0, "no thread");
		OK(ferry_bus_stop(bus, 20000, NULL, &err), &err);
		pthread_join(thread, NULL);
		CHECK(ferry_bus_state(bus, NULL) == FERRY_STATE_STOPPED, "state %d",
		      ferry_bus_state(bus, NULL));
		ferry_bus_close(bus);
	}
}

/* ---- threads=caller ---- */

struct feeder {
	struct ferry_publisher *publisher;
	atomic_bool stop;
	atomic_int sent;
};

static void *feed(void *ctx)
{
	struct feeder *feeder = ctx;
	struct ferry_error err = {0};
	int64_t end = real_ms() + 6000; /* a dispatch that never came back would feed for ever */
	while (!atomic_load(&feeder->stop) && real_ms() < end) {
		int code = ferry_publish(feeder->publisher, "x", 1, NULL, &err);
		CHECK(code == 0 || code == FERRY_E_TIMEDOUT || code == FERRY_E_AGAIN, "publish: %s",
		      err.text);
		if (code == 0)
			atomic_fetch_add(&feeder->sent, 1);
	}
	return NULL;
}

/* Publish without a pause while the caller dispatches with a short time limit. */
static void dispatch_under_load(const struct ferry_attribute *filter)
{
	struct feeder feeder = {.sent = 0};
	struct ferry_error err = {0};
	struct ferry_bus *bus =
		open_bus("memory:", FERRY_OPTIONS(ferry_bus_options, .threads = FERRY_THREADS_CALLER,
						  .full = FERRY_FULL_REJECT));
	OK(ferry_subscribe(bus, "t", ignore, NULL, FERRY_OPTIONS(ferry_handler_options, .filter = filter),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	feeder.publisher = open_publisher(bus, "t");
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, feed, &feeder) == 0, "no thread");
	int64_t end = real_ms() + 300, longest = 0;
	while (real_ms() < end) {
		int64_t begin = real_ms();
		int ran = ferry_bus_dispatch(bus, 1);
		CHECK(ran >= 0, "dispatch returned %s", ferry_error_name(ran));
		int64_t took = real_ms() - begin;
		longest = took > longest ? took : longest;
	}
	atomic_store(&feeder.stop, true);
	pthread_join(thread, NULL);
	CHECK(longest < 1000, "a dispatch of 1 ms came back after %lld ms", (long long)longest);
	while (ferry_bus_dispatch(bus, 0) > 0)
		;
	WAIT_UNTIL(ferry_bus_dispatch(bus, 1) >= 0 &&
		   totals(bus).handled + totals(bus).filtered == (uint64_t)feeder.sent);
	ferry_publisher_close(feeder.publisher);
	close_bus(bus);
}

static void dispatch_comes_back_while_publishers_go_on(void)
{
	dispatch_under_load(NULL);
	dispatch_under_load(FERRY_ATTRIBUTES({"never", "there"}));
}

/* ---- completions ---- */

struct asynchronous {
	struct ferry_bus *bus;
	atomic_bool over;
	atomic_int accepted, completed, failed;
};

static void note_result(int code, const struct ferry_error *err, void *ctx)
{
	struct asynchronous *a = ctx;
	(void)err;
	atomic_fetch_add(&a->completed, 1);
	if (code)
		atomic_fetch_add(&a->failed, 1);
}

static void *publish_async(void *ctx)
{
	struct asynchronous *a = ctx;
	struct ferry_publisher *publisher = open_publisher(a->bus, "t");
	int code = 0;
	while (code != FERRY_E_STATE) {
		code = ferry_publish_async(publisher, "x", 1, NULL, note_result, a, NULL);
		CHECK(code == 0 || code == FERRY_E_STATE || code == FERRY_E_AGAIN, "publish returned %s",
		      ferry_error_name(code));
		if (code == 0)
			atomic_fetch_add(&a->accepted, 1);
	}
	ferry_publisher_close(publisher);
	return NULL;
}

static void *dispatch_on(void *ctx)
{
	struct asynchronous *a = ctx;
	while (!atomic_load(&a->over))
		CHECK(ferry_bus_dispatch(a->bus, 1) >= 0, "dispatch failed");
	return NULL;
}

static void complete_on(const char *url, int32_t threads)
{
	struct asynchronous a = {.bus = NULL};
	struct ferry_error err = {0};
	a.bus = open_bus(url,
			 FERRY_OPTIONS(ferry_bus_options, .threads = threads, .full = FERRY_FULL_REJECT));
	OK(ferry_subscribe(a.bus, "t", ignore, NULL, NULL, &err), &err);
	OK(ferry_bus_start(a.bus, 0, &err), &err);
	pthread_t publishers[2], dispatcher;
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&publishers[i], NULL, publish_async, &a) == 0, "no thread");
	if (threads == FERRY_THREADS_CALLER)
		CHECK(pthread_create(&dispatcher, NULL, dispatch_on, &a) == 0, "no thread");
	WAIT_UNTIL(a.completed > 200);
	OK(ferry_bus_stop(a.bus, 20000, NULL, &err), &err);
	for (int i = 0; i < 2; i++)
		pthread_join(publishers[i], NULL);
	atomic_store(&a.over, true);
	if (threads == FERRY_THREADS_CALLER)
		pthread_join(dispatcher, NULL);
	struct ferry_group_stats t = totals(a.bus);
	CHECK(t.in_flight == 0, "in flight after the stop");
	ferry_bus_close(a.bus);
	CHECK(a.completed == a.accepted, "%d were accepted, %d completed", a.accepted, a.completed);
	CHECK(t.received <= (uint64_t)a.accepted, "%llu were received of %d", (unsigned long long)t.received,
	      a.accepted);
}

static void every_accepted_publish_completes_once_though_the_bus_stops(void)
{
	for (int i = 0; i < 10; i++) {
		complete_on("memory:?queue=64", 0);
		complete_on("memory:?queue=64", FERRY_THREADS_CALLER);
		complete_on("holding:", 0);
		complete_on("holding:", FERRY_THREADS_CALLER);
	}
}

const struct life_test bus_tests[] = {
	{"a_stop_keeps_its_deadline_while_the_bus_connects",
	 a_stop_keeps_its_deadline_while_the_bus_connects},
	{"a_bus_that_stops_does_not_become_ready", a_bus_that_stops_does_not_become_ready},
	{"start_and_stop_may_meet", start_and_stop_may_meet},
	{"dispatch_comes_back_while_publishers_go_on", dispatch_comes_back_while_publishers_go_on},
	{"every_accepted_publish_completes_once_though_the_bus_stops",
	 every_accepted_publish_completes_once_though_the_bus_stops},
	{NULL, NULL},
};
