/*
 * inside_test.c - what a handler and a completion may call, and on whose thread a completion runs.
 */
#include <pthread.h>

#include "api_test.h"

/* ---- stop inside a handler, inside a completion ---- */

struct stopper {
	struct ferry_bus *bus;
	struct ferry_error err;
	int result;
	atomic_int calls;
};

static void try_to_stop(struct stopper *s)
{
	s->result = ferry_bus_stop(s->bus, 1000, NULL, &s->err);
	atomic_fetch_add(&s->calls, 1);
}

static int stop_in_handler(struct ferry_message *message, void *ctx)
{
	(void)message;
	try_to_stop(ctx);
	return 0;
}

static void stop_in_completion(int code, const struct ferry_error *err, void *ctx)
{
	(void)code, (void)err;
	try_to_stop(ctx);
}

static void stop_inside_a_handler_is_a_deadlock(void)
{
	static struct stopper s;
	static atomic_int calls;
	struct ferry_error err = {0};
	s.bus = open_memory("memory:", NULL);
	OK(ferry_subscribe(s.bus, "stop", stop_in_handler, &s, NULL, &err), &err);
	OK(ferry_subscribe(s.bus, "after", count_call, &calls, NULL, &err), &err);
	OK(ferry_bus_start(s.bus, 0, &err), &err);
	struct ferry_publisher *stop = open_publisher(s.bus, "stop"), *after = open_publisher(s.bus, "after");
	OK(ferry_publish(stop, "x", 1, NULL, &err), &err);
	WAIT_FOR(&s.calls, 1);
	REFUSED(s.result, FERRY_E_DEADLOCK, &s.err, "handler");
	OK(ferry_publish(after, "x", 1, NULL, &err), &err);
	WAIT_FOR(&calls, 1); /* the bus was left as it was */
	ferry_publisher_close(stop);
	ferry_publisher_close(after);
	ferry_bus_close(s.bus);
}

static void stop_inside_a_completion_is_a_deadlock(void)
{
	static struct stopper s;
	struct ferry_error err = {0};
	s.bus = open_memory("memory:", NULL);
	OK(ferry_bus_start(s.bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(s.bus, "t");
	OK(ferry_publish_async(p, "x", 1, NULL, stop_in_completion, &s, &err), &err);
	WAIT_FOR(&s.calls, 1);
	REFUSED(s.result, FERRY_E_DEADLOCK, &s.err, "");
	ferry_publisher_close(p);
	OK(ferry_bus_stop(s.bus, 5000, NULL, &err), &err);
	ferry_bus_close(s.bus);
}

/* ---- a handler that publishes into its own full topic ---- */

struct looper {
	struct ferry_publisher *publisher;
	atomic_int calls, published, again, other;
	struct ferry_error err;
};

/* The first call publishes until the queue is full: nobody but this handler could make room. */
static int fill_own_queue(struct ferry_message *message, void *ctx)
{
	struct looper *l = ctx;
	if (*(const char *)ferry_message_payload(message, &(size_t){0}) == 'x') {
		int code = 0;
		for (int i = 0; i < 1000 && !code; i++) {
			code = ferry_publish(l->publisher, "y", 1, NULL, &l->err);
			if (!code)
				atomic_fetch_add(&l->published, 1);
		}
		atomic_fetch_add(code == FERRY_E_AGAIN ? &l->again : &l->other, 1);
	}
	atomic_fetch_add(&l->calls, 1);
	return 0;
}

static void a_handler_that_fills_its_own_queue_is_told_again(void)
{
	static struct looper l;
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_memory("memory:?queue=8", NULL);
	OK(ferry_subscribe(bus, "loop", fill_own_queue, &l, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	l.publisher = open_publisher(bus, "loop");
	OK(ferry_publish(l.publisher, "x", 1, NULL, &err), &err);
	WAIT_FOR(&l.calls, 1);
	CHECK(atomic_load(&l.again) == 1 && atomic_load(&l.other) == 0,
	      "publishing to a full queue from its handler did not return FERRY_E_AGAIN: %s", l.err.text);
	REFUSED(FERRY_E_AGAIN, FERRY_E_AGAIN, &l.err, "loop");
	WAIT_FOR(&l.calls, 1 + atomic_load(&l.published)); /* what was confirmed is delivered */
	ferry_publisher_close(l.publisher);
	ferry_bus_close(bus);
}

static void a_full_queue_rejects_when_it_was_asked_to(void)
{
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_memory("memory:?queue=4&full=reject", NULL);
	static atomic_int calls;
	OK(ferry_subscribe(bus, "t", count_call, &calls,
			   FERRY_OPTIONS(ferry_handler_options, .max_unsettled = 1), &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "t");
	int confirmed = 0;
	for (int i = 0; i < 10000; i++) {
		int code = ferry_publish(p, "x", 1, NULL, &err);
		CHECK(code == 0 || code == FERRY_E_AGAIN, "%s", err.text);
		confirmed += !code;
	}
	WAIT_FOR(&calls, confirmed);
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

/* ---- completions ---- */

struct completion_watch {
	pthread_t publisher;
	atomic_bool in_call;
	atomic_int done, inside, failed;
};

static void watch_completion(int code, const struct ferry_error *err, void *ctx)
{
	struct completion_watch *w = ctx;
	if (pthread_equal(pthread_self(), w->publisher))
		atomic_fetch_add(&w->inside, 1);
	if (code || err)
		atomic_fetch_add(&w->failed, 1);
	atomic_fetch_add(&w->done, 1);
}

static void a_completion_never_runs_inside_the_publish_call(void)
{
	enum { MESSAGES = 10000 };
	static struct completion_watch w;
	static atomic_int calls;
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_memory("memory:?queue=64", NULL);
	OK(ferry_subscribe(bus, "t", count_call, &calls, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "t");
	w.publisher = pthread_self();
	for (int i = 0; i < MESSAGES; i++)
		OK(ferry_publish_async(p, "x", 1, NULL, watch_completion, &w, &err), &err);
	ferry_publisher_close(p); /* unconfirmed ones complete all the same */
	WAIT_FOR(&w.done, MESSAGES);
	WAIT_FOR(&calls, MESSAGES);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(atomic_load(&w.done) == MESSAGES, "%d completions of %d publishes", atomic_load(&w.done),
	      MESSAGES);
	CHECK(!atomic_load(&w.inside) && !atomic_load(&w.failed), "%d inside the call, %d failed",
	      atomic_load(&w.inside), atomic_load(&w.failed));
	ferry_bus_close(bus);
}

const struct api_test inside_tests[] = {
	{"stop_inside_a_handler_is_a_deadlock", stop_inside_a_handler_is_a_deadlock},
	{"stop_inside_a_completion_is_a_deadlock", stop_inside_a_completion_is_a_deadlock},
	{"a_handler_that_fills_its_own_queue_is_told_again",
	 a_handler_that_fills_its_own_queue_is_told_again},
	{"a_full_queue_rejects_when_it_was_asked_to", a_full_queue_rejects_when_it_was_asked_to},
	{"a_completion_never_runs_inside_the_publish_call", a_completion_never_runs_inside_the_publish_call},
	{NULL, NULL},
};
