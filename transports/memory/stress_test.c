/*
 * stress_test.c - threads, tiny queues, failures and a time limit: nothing is lost, nothing comes twice,
 * nobody sleeps for ever.
 *
 *     stress_test PLUGIN
 */
#include "test_host.h"

#include <sched.h>
#include <time.h>

#define LIMIT_US 30000000 /* a run that takes longer has lost a wake-up */

struct stress {
	int messages, readers, workers; /* `workers` threads on each reader's cursor */
	int jitter;                     /* most turns of a loop between two publishes */
	int polls;                      /* how often a worker looks before it falls asleep */
	struct reader reader[2];
	unsigned char *seen[2]; /* how often each message was acked */
	_Atomic int left[2];
	_Atomic uint32_t seed;
	int64_t deadline_us;
};

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t due_us)
{
	struct timespec t = {.tv_sec = (time_t)(due_us / 1000000),
			     .tv_nsec = (long)(due_us % 1000000) * 1000};
	pthread_cond_timedwait(cond, lock, &t);
}

static void *steady_publisher(void *arg)
{
	struct stress *s = arg;
	struct ferry_destination *destination = topic("t");
	for (int32_t i = 0; i < s->messages;) {
		struct ferry_outgoing out = {.size = sizeof out, .destination = destination};
		struct ferry_outgoing *list = &out;
		out.record = (struct ferry_record){.size = sizeof out.record, .payload = view(&i, sizeof i)};
		pthread_mutex_lock(&bus.lock);
		uint64_t writable = bus.writable;
		pthread_mutex_unlock(&bus.lock);
		if (bus.api->publish(bus.connection, &list, 1)) {
			CHECK_EQ(out.result, 0);
			i++;
			for (volatile int spin = s->jitter ? i % s->jitter : 0; spin > 0; spin--)
				;
			continue;
		}
		pthread_mutex_lock(&bus.lock);
		while (bus.writable == writable) {
			CHECK(read_clock() < s->deadline_us);
			wait_until(&bus.room, &bus.lock, s->deadline_us);
		}
		pthread_mutex_unlock(&bus.lock);
	}
	return NULL;
}

/* Wait for ready, or until the time of wake_at, as the core does. */
static void fall_asleep(struct stress *s, struct reader *reader, int which)
{
	pthread_mutex_lock(&reader->lock);
	while (!reader->ready && atomic_load(&s->left[which]) > 0) {
		int64_t now = read_clock();
		CHECK(now < s->deadline_us);
		if (reader->due_us <= now) {
			reader->due_us = INT64_MAX;
			break;
		}
		wait_until(&reader->wake, &reader->lock,
			   reader->due_us < s->deadline_us ? reader->due_us : s->deadline_us);
	}
	if (reader->ready)
		reader->ready--;
	pthread_mutex_unlock(&reader->lock);
}

static void handle(struct stress *s, int which, struct batch *batch)
{
	struct reader *reader = &s->reader[which];
	struct ferry_settle settles[BATCH];
	int acked = 0;
	for (size_t i = 0; i < batch->count; i++) {
		uint32_t random = atomic_fetch_add(&s->seed, 1) * 2654435761u >> 8;
		int verb = random % 50 == 0 ? FERRY_SETTLE_NACK : FERRY_SETTLE_ACK;
		verb = random % 97 == 0 ? FERRY_SETTLE_HANDBACK : verb;
		settles[i] = (struct ferry_settle){
			.delivery = &batch->deliveries[i], .verb = verb, .delay_us = random % 7 * 10};
		if (verb != FERRY_SETTLE_ACK)
			continue;
		int32_t message;
		memcpy(&message, batch->deliveries[i].record.payload.data, sizeof message);
		CHECK(message >= 0 && message < s->messages);
		s->seen[which]
		       [message]++; /* its own byte: a second delivery of it would be a race and an error */
		acked++;
	}
	bus.api->settle(reader->source, settles, batch->count);
	for (size_t i = 0; i < batch->count; i++)
		CHECK_EQ(settles[i].result, 0);
	if (atomic_fetch_sub(&s->left[which], acked) == acked && acked)
		host_ready(NULL, reader); /* the end: let the other worker see it */
}

struct thread {
	struct stress *stress;
	int which;
};

static void *worker(void *arg)
{
	struct thread *t = arg;
	struct stress *s = t->stress;
	struct reader *reader = &s->reader[t->which];
	struct batch batch;
	for (int idle = 0; atomic_load(&s->left[t->which]) > 0;) {
		size_t max = 1 + atomic_fetch_add(&s->seed, 1) % 4;
		if (fetch(reader, &batch, max)) {
			handle(s, t->which, &batch);
			idle = 0;
		} else if (idle++ >= s->polls && !bus.api->arm(reader->sub)) {
			fall_asleep(s, reader, t->which);
			idle = 0;
		}
	}
	host_ready(NULL, reader);
	return NULL;
}

static void run(struct stress *s, void *(*publisher_main)(void *), int queue, int max_unsettled,
		int64_t budget)
{
	pthread_t publisher, workers[4];
	struct thread threads[4];
	CONNECT(.queue = queue, .budget = budget);
	bus.real_clock = 1;
	s->deadline_us = read_clock() + LIMIT_US;
	struct ferry_source *source = open_source("g", s->readers > 1 ? BROADCAST : COMPETING);
	for (int r = 0; r < s->readers; r++) {
		CHECK_EQ(try_subscribe(&s->reader[r], source, "t", NEW, max_unsettled), 0);
		s->seen[r] = calloc((size_t)s->messages, 1);
		atomic_store(&s->left[r], s->messages);
	}
	start_source(source);
	int count = s->readers * s->workers;
	for (int i = 0; i < count; i++) {
		threads[i] = (struct thread){s, i % s->readers};
		CHECK_EQ(pthread_create(&workers[i], NULL, worker, &threads[i]), 0);
	}
	CHECK_EQ(pthread_create(&publisher, NULL, publisher_main, s), 0);
	pthread_join(publisher, NULL);
	for (int i = 0; i < count; i++)
		pthread_join(workers[i], NULL);
	for (int r = 0; r < s->readers; r++) {
		for (int i = 0; i < s->messages; i++)
			CHECK_EQ(s->seen[r][i], 1);
		free(s->seen[r]);
	}
	CHECK_EQ(close_source(source), 0);
	disconnect();
}

static void loses_no_wake_up(void)
{
	for (int queue = 2; queue <= 8; queue += 2) {
		for (int max_unsettled = 1; max_unsettled <= 8; max_unsettled += 7) {
			struct stress one = {.messages = 10000, .readers = 1, .workers = 1};
			run(&one, steady_publisher, queue, max_unsettled, 0);
			struct stress shared = {.messages = 10000, .readers = 1, .workers = 2};
			run(&shared, steady_publisher, queue, max_unsettled, 0);
			struct stress broadcast = {.messages = 10000, .readers = 2, .workers = 1};
			run(&broadcast, steady_publisher, queue, max_unsettled, 0);
		}
	}
	/* The budget is the tightest bound. */
	struct stress tight = {.messages = 20000, .readers = 2, .workers = 1};
	run(&tight, steady_publisher, 4096, 0, 8000);
}

/* The publisher has the next message ready just when the worker is about to fall asleep. */
static void *step_publisher(void *arg)
{
	struct stress *s = arg;
	struct ferry_destination *destination = topic("t");
	for (int32_t i = 0; i < s->messages; i++) {
		struct ferry_outgoing out = {.size = sizeof out, .destination = destination};
		struct ferry_outgoing *list = &out;
		out.record = (struct ferry_record){.size = sizeof out.record, .payload = view(&i, sizeof i)};
		for (volatile int spin = i % 256; spin > 0; spin--)
			;
		CHECK_EQ(bus.api->publish(bus.connection, &list, 1), 1);
		while (atomic_load(&s->left[0]) > s->messages - 1 - i) {
			CHECK(read_clock() < s->deadline_us);
			sched_yield();
		}
	}
	return NULL;
}

static void wakes_for_each_message(void)
{
	struct stress s = {.messages = 50000, .readers = 1, .workers = 1, .seed = 1000};
	run(&s, step_publisher, 8, 0, 0);
}

/* The queue is full just when the worker empties it. */
static void wakes_for_each_place(void)
{
	struct stress s = {.messages = 50000, .readers = 1, .workers = 1, .jitter = 512, .polls = 500};
	run(&s, steady_publisher, 1, 0, 0);
}

static void *endless_publisher(void *arg)
{
	while (!atomic_load((_Atomic int *)arg))
		CHECK(publish("t", "0") >= 0);
	return NULL;
}

static void calls_nobody_after_stop(void)
{
	static struct reader readers[2000];
	struct batch batch;
	_Atomic int stop = 0;
	pthread_t publisher;
	CONNECT(.queue = 4);
	bus.slow_ready = 20000;
	CHECK_EQ(pthread_create(&publisher, NULL, endless_publisher, &stop), 0);
	for (int i = 0; i < 2000; i++) {
		/* For each round: on a loaded machine the publisher is long in coming, two thousand times. */
		int64_t deadline_us = read_clock() + LIMIT_US;
		atomic_store(&bus.in_ready, 0);
		subscribe(&readers[i], "g", "t", NEW, 0);
		do {
			while (fetch(&readers[i], &batch, BATCH))
				ack_all(&readers[i], &batch);
		} while (bus.api->arm(readers[i].sub));
		while (!atomic_load(&bus.in_ready)) { /* the publisher's next message wakes it */
			CHECK(read_clock() < deadline_us);
			sched_yield();
		}
		close_source(readers[i].source);
		pthread_mutex_lock(&readers[i].lock);
		readers[i].closed = 1;
		pthread_mutex_unlock(&readers[i].lock);
	}
	atomic_store(&stop, 1);
	pthread_join(publisher, NULL);
	bus.slow_ready = 0;
	disconnect();
}

static const struct test tests[] = {
	TEST(loses_no_wake_up),
	TEST(wakes_for_each_message),
	TEST(wakes_for_each_place),
	TEST(calls_nobody_after_stop),
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: stress_test PLUGIN\n");
		return 2;
	}
	load(argv[1]);
	return run_tests(tests, sizeof tests / sizeof *tests);
}
