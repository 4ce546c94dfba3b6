/* cases_competing.c - each message to one handler of a group, over all processes: cases 11 to 16. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "conformance.h"

#define LATE_MS 100

static void work_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* ---- 11 ---- */

#define SHARERS 3

static int work(struct ferry_message *message, void *ctx)
{
	(void)message;
	(void)ctx;
	work_ms(2);
	return 0;
}

static void check_shares(struct conformance *c, struct recorder *seen, const char *when)
{
	size_t all = recorder_count(seen);

	for (int i = 0; i < SHARERS; i++) {
		size_t share = recorder_count_of(seen, i);

		CHECK(c, share * 5 >= all && share * 2 <= all,
		      "%s: of %d handlers, handler %d got %zu of %zu messages: not between 20 and 50 %%",
		      when, SHARERS, i, share, all);
	}
}

void conformance_case_11(struct conformance *c)
{
	enum { PACED = 60, BURST = 300 };
	const char *topic = conformance_name(c, "orders");
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handlers[SHARERS];
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct ferry_publisher *publisher;

	for (int i = 0; i < SHARERS; i++) {
		handlers[i] = (struct record_handler){.recorder = seen, .number = i, .verdict = work};
		conformance_subscribe(c, bus, topic, conformance_record, &handlers[i], NULL);
	}
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	/* One message at a time: all are idle. */
	for (uint64_t n = 0; n < PACED; n++) {
		conformance_publish(c, publisher, (int64_t)n, NULL);
		conformance_drained(c, bus, NULL, n + 1);
	}
	conformance_each_once(c, seen, 0, PACED);
	check_shares(c, seen, "one message at a time");
	recorder_clear(seen);
	/* All at once: all are busy. */
	conformance_publish_many(c, publisher, PACED, BURST, NULL);
	CHECK(c, recorder_wait(seen, BURST, WAIT_MS), "%d messages were published, but %zu came", BURST,
	      recorder_count(seen));
	CHECK(c, recorder_quiet(seen, LATE_MS), "more came than was published");
	conformance_each_once(c, seen, PACED, BURST);
	check_shares(c, seen, "all at once");
	conformance_close(c, bus);
}

/* ---- 12 ---- */

static struct process *spawn_consumer(struct conformance *c, struct recorder *seen, int number)
{
	return conformance_spawn(c, seen, number, "consumer",
				 conformance_text(c, "topic=%s", conformance_name(c, "orders")), "hold_ms=5",
				 NULL);
}

/* A bus that only publishes to "orders". */
static struct ferry_publisher *open_publisher(struct conformance *c)
{
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	conformance_start(c, bus);
	return conformance_publisher(c, bus, conformance_name(c, "orders"));
}

void conformance_case_12(struct conformance *c)
{
	enum { COUNT = 300 };
	struct recorder *seen = conformance_recorder(c);
	struct process *consumers[SHARERS];

	for (int i = 0; i < SHARERS; i++)
		consumers[i] = spawn_consumer(c, seen, i);
	for (int i = 0; i < SHARERS; i++)
		process_expect(consumers[i], "ready", WAIT_MS, NULL, 0);
	conformance_publish_many(c, open_publisher(c), 0, COUNT, NULL);
	CHECK(c, recorder_wait(seen, COUNT, WAIT_MS), "%d messages were published, but %zu came", COUNT,
	      recorder_count(seen));
	CHECK(c, recorder_quiet(seen, LATE_MS), "more came than was published");
	conformance_each_once(c, seen, 0, COUNT);
	/* Where partitions belong to processes, how many have work is a matter of their number. */
	for (int i = 0; i < SHARERS && !conformance_can(c, FERRY_CAP_KEY_ORDER_GROUP); i++)
		CHECK(c, recorder_count_of(seen, i) > 0, "process %d of %d got none of %d messages", i,
		      SHARERS, COUNT);
	for (int i = 0; i < SHARERS; i++)
		process_reap(consumers[i]);
	conformance_close_all(c);
}

/* ---- 13 ---- */

void conformance_case_13(struct conformance *c)
{
	enum { COUNT = 200 };
	static const char *const bases[] = {"billing", "shipping"};
	const char *topic = conformance_name(c, "orders");
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct recorder *seen[2];
	struct record_handler handlers[2][2];

	for (int g = 0; g < 2; g++) {
		seen[g] = conformance_recorder(c);
		for (int i = 0; i < 2; i++) {
			handlers[g][i] = (struct record_handler){.recorder = seen[g], .number = i};
			conformance_subscribe(
				c, bus, topic, conformance_record, &handlers[g][i],
				FERRY_OPTIONS(ferry_handler_options, .group = conformance_name(c, bases[g])));
		}
	}
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, COUNT, NULL);
	for (int g = 0; g < 2; g++) {
		CHECK(c, recorder_wait(seen[g], COUNT, WAIT_MS),
		      "%d messages were published, but %zu came to group %s", COUNT, recorder_count(seen[g]),
		      bases[g]);
		conformance_drained(c, bus, conformance_name(c, bases[g]), COUNT);
	}
	for (int g = 0; g < 2; g++) {
		CHECK(c, recorder_quiet(seen[g], LATE_MS), "more came than was published");
		conformance_each_once(c, seen[g], 0, COUNT);
	}
	conformance_close(c, bus);
}

/* ---- 14 ---- */

void conformance_case_14(struct conformance *c)
{
	enum { COUNT = 50 };
	struct recorder *seen = conformance_recorder(c);
	struct ferry_publisher *publisher = open_publisher(c);
	struct process *consumer = spawn_consumer(c, seen, 1);

	process_expect(consumer, "ready", WAIT_MS, NULL, 0);
	conformance_publish_many(c, publisher, 0, COUNT, NULL);
	CHECK(c, recorder_wait(seen, COUNT, WAIT_MS), "%d messages were published, but %zu came", COUNT,
	      recorder_count(seen));
	process_reap(consumer);
	/* Nobody is there. */
	conformance_publish_many(c, publisher, COUNT, COUNT, NULL);
	consumer = spawn_consumer(c, seen, 2);
	process_expect(consumer, "ready", WAIT_MS, NULL, 0);
	recorder_wait_distinct(seen, 2 * COUNT, WAIT_MS);
	CHECK(c, recorder_quiet(seen, LATE_MS), "messages that were done came again after a restart");
	conformance_each_once(c, seen, 0, 2 * COUNT);
	CHECK(c, recorder_count_of(seen, 1) == COUNT, "a process that had ended got messages");
	process_reap(consumer);
	conformance_close_all(c);
}

/* ---- 15 ---- */

/* Without RETAIN start=earliest has nothing to read, and must be refused by name. */
static void refuse_earliest(struct conformance *c, struct ferry_bus *bus, const char *topic)
{
	struct ferry_error err = {0};
	struct record_handler handler = {.recorder = conformance_recorder(c)};
	int code = ferry_subscribe(bus, topic, conformance_record, &handler,
				   FERRY_OPTIONS(ferry_handler_options, .start = FERRY_START_EARLIEST,
						 .group = conformance_name(c, "earliest")),
				   &err);

	conformance_refused(c, code, FERRY_E_UNSUPPORTED, &err, "RETAIN", "start=earliest without RETAIN");
}

void conformance_case_15(struct conformance *c)
{
	enum { OLD = 20, COUNT = 40 };
	bool retains = conformance_can(c, FERRY_CAP_RETAIN);
	const char *topic = conformance_name(c, "orders");
	struct recorder *fresh = conformance_recorder(c), *earliest = conformance_recorder(c);
	struct record_handler for_fresh = {.recorder = fresh}, for_earliest = {.recorder = earliest};
	/* Only a backend outside this process has a past. */
	int64_t first = conformance_can(c, FERRY_CAP_DURABLE) ? OLD : 0;
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct ferry_publisher *publisher;

	if (first)
		conformance_publish_many(c, open_publisher(c), 0, OLD, NULL);
	conformance_subscribe(c, bus, topic, conformance_record, &for_fresh,
			      FERRY_OPTIONS(ferry_handler_options, .group = conformance_name(c, "new")));
	if (retains)
		conformance_subscribe(c, bus, topic, conformance_record, &for_earliest,
				      FERRY_OPTIONS(ferry_handler_options, .start = FERRY_START_EARLIEST,
						    .group = conformance_name(c, "earliest")));
	else
		refuse_earliest(c, bus, topic);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	conformance_publish_many(c, publisher, first, (size_t)(COUNT - first), NULL);
	CHECK(c, recorder_wait(fresh, (size_t)(COUNT - first), WAIT_MS),
	      "%d messages were published after a group with start=new, but %zu came", (int)(COUNT - first),
	      recorder_count(fresh));
	CHECK(c, !retains || recorder_wait(earliest, COUNT, WAIT_MS),
	      "start=earliest should give all %d messages, but %zu came", COUNT, recorder_count(earliest));
	CHECK(c, recorder_quiet(fresh, LATE_MS), "start=new gives more than was published after it");
	conformance_each_once(c, fresh, first, (size_t)(COUNT - first));
	if (retains)
		conformance_each_once(c, earliest, 0, COUNT);
	conformance_close(c, bus);
	conformance_close_all(c);
}

/* ---- 16 ---- */

/* A thread that publishes one message after the other. */
struct load {
	struct conformance *c;
	struct ferry_publisher *publisher;
	atomic_bool stop;
	_Atomic int64_t published;
	pthread_t thread;
};

static void *run_load(void *ctx)
{
	struct load *load = ctx;

	while (!atomic_load(&load->stop)) {
		conformance_publish(load->c, load->publisher, atomic_load(&load->published), NULL);
		atomic_fetch_add(&load->published, 1);
		work_ms(2);
	}
	return NULL;
}

/* Wait until so many more have come. */
static void go_on(struct conformance *c, struct recorder *seen, size_t more)
{
	size_t before = recorder_count(seen);

	CHECK(c, recorder_wait(seen, before + more, 2 * WAIT_MS),
	      "under load %zu more messages should have come, but %zu did", more,
	      recorder_count(seen) - before);
}

void conformance_case_16(struct conformance *c)
{
	enum { PEERS = 4 };
	struct recorder *seen = conformance_recorder(c);
	struct load load = {.c = c, .publisher = open_publisher(c)};
	struct process *consumers[PEERS];
	size_t all;

	consumers[0] = spawn_consumer(c, seen, 0);
	process_expect(consumers[0], "ready", WAIT_MS, NULL, 0);
	CHECK(c, !pthread_create(&load.thread, NULL, run_load, &load), "a thread cannot be started");
	go_on(c, seen, 100);
	for (int i = 1; i < PEERS; i++)
		consumers[i] = spawn_consumer(c, seen, i);
	for (int i = 1; i < PEERS; i++)
		process_expect(consumers[i], "ready", WAIT_MS, NULL, 0);
	go_on(c, seen, 400);
	for (int i = 1; i < PEERS && !conformance_can(c, FERRY_CAP_KEY_ORDER_GROUP); i++)
		CHECK(c, recorder_count_of(seen, i) > 0, "process %d joined under load and got nothing", i);
	for (int i = 1; i < PEERS; i++)
		process_reap(consumers[i]);
	go_on(c, seen, 100);
	atomic_store(&load.stop, true);
	pthread_join(load.thread, NULL);
	all = (size_t)atomic_load(&load.published);
	recorder_wait_distinct(seen, all, 2 * WAIT_MS);
	conformance_each(c, seen, 0, all);
	process_reap(consumers[0]);
	conformance_close_all(c);
}

const struct conformance_role conformance_roles_competing[] = {{NULL, NULL}};
