/*
 * caller_test.c - threads=caller: everything runs on the thread that calls ferry_bus_dispatch.
 */
#include <poll.h>
#include <pthread.h>

#include "api_test.h"

struct loop {
	pthread_t thread;
	int calls, completions, elsewhere;
	int fail_first; /* so many attempts of each message fail */
};

static void note_thread(struct loop *loop)
{
	loop->elsewhere += !pthread_equal(pthread_self(), loop->thread);
}

static int on_message(struct ferry_message *message, void *ctx)
{
	struct loop *loop = ctx;
	note_thread(loop);
	loop->calls++;
	return ferry_message_attempt(message) <= (uint32_t)loop->fail_first ? FERRY_E_RETRY : 0;
}

static void on_published(int code, const struct ferry_error *err, void *ctx)
{
	struct loop *loop = ctx;
	(void)err;
	note_thread(loop);
	loop->completions += code == 0;
}

static struct ferry_bus *open_caller(const char *url)
{
	return open_memory(url, FERRY_OPTIONS(ferry_bus_options, .threads = FERRY_THREADS_CALLER));
}

/* One turn of an event loop: wait for the descriptor, then dispatch without waiting. */
static void turn(struct ferry_bus *bus)
{
	struct pollfd fd = {.fd = ferry_bus_fd(bus), .events = POLLIN};
	CHECK(fd.fd >= 0, "ferry_bus_fd returned %d", fd.fd);
	CHECK(poll(&fd, 1, 20000) == 1, "the descriptor does not become readable");
	int ran = ferry_bus_dispatch(bus, 0);
	CHECK(ran >= 0, "dispatch returned %s", ferry_error_name(ran));
}

static void handlers_completions_and_retries_run_in_dispatch(void)
{
	struct loop loop = {.thread = pthread_self(), .fail_first = 2};
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_caller("memory:");
	OK(ferry_subscribe(bus, "t", on_message, &loop,
			   FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = 5, .concurrency = 4),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "t");
	for (int i = 0; i < 100; i++)
		OK(ferry_publish_async(p, "x", 1, NULL, on_published, &loop, &err), &err);
	OK(ferry_publish(p, "x", 1, NULL, &err), &err);
	CHECK(loop.calls == 0 && loop.completions == 0, "something ran outside dispatch");
	while (loop.calls < 3 * 101 || loop.completions < 100)
		turn(bus);
	CHECK(loop.elsewhere == 0, "%d calls ran on another thread", loop.elsewhere);
	CHECK(ferry_bus_dispatch(bus, 0) == 0, "there is work after the last message");
	CHECK(loop.calls == 3 * 101 && loop.completions == 100, "%d calls, %d completions", loop.calls,
	      loop.completions);
	ferry_publisher_close(p);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	ferry_bus_close(bus);
}

static void an_idle_bus_is_not_readable_and_dispatch_waits(void)
{
	struct loop loop = {.thread = pthread_self()};
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_caller("memory:");
	OK(ferry_subscribe(bus, "t", on_message, &loop, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	while (ferry_bus_dispatch(bus, 0) > 0)
		;
	struct pollfd fd = {.fd = ferry_bus_fd(bus), .events = POLLIN};
	CHECK(poll(&fd, 1, 0) == 0, "an idle bus is readable");
	int64_t begin = real_ms();
	CHECK(ferry_bus_dispatch(bus, 50) == 0, "an idle bus ran something");
	CHECK(real_ms() - begin >= 49, "dispatch came back after %d ms of 50", (int)(real_ms() - begin));
	ferry_bus_close(bus);
}

struct filler {
	struct ferry_publisher *publisher;
	int last;
};

/* With one thread nobody but this handler can make room. */
static int publish_until_full(struct ferry_message *message, void *ctx)
{
	struct filler *filler = ctx;
	(void)message;
	for (int i = 0; i < 100 && !filler->last; i++)
		filler->last = ferry_publish(filler->publisher, "y", 1, NULL, NULL);
	return 0;
}

static void a_full_queue_does_not_block_the_only_thread(void)
{
	struct filler filler = {0};
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_caller("memory:?queue=4");
	OK(ferry_subscribe(bus, "t", publish_until_full, &filler, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	filler.publisher = open_publisher(bus, "t");
	OK(ferry_publish(filler.publisher, "x", 1, NULL, &err), &err);
	while (!filler.last)
		turn(bus);
	CHECK(filler.last == FERRY_E_AGAIN, "the handler's publish returned %s",
	      ferry_error_name(filler.last));
	ferry_publisher_close(filler.publisher);
	ferry_bus_close(bus);
}

const struct api_test caller_tests[] = {
	{"handlers_completions_and_retries_run_in_dispatch",
	 handlers_completions_and_retries_run_in_dispatch},
	{"an_idle_bus_is_not_readable_and_dispatch_waits", an_idle_bus_is_not_readable_and_dispatch_waits},
	{"a_full_queue_does_not_block_the_only_thread", a_full_queue_does_not_block_the_only_thread},
	{NULL, NULL},
};
