/*
 * oom_test.c - every allocation of a bus's life fails once.
 *
 * One run is a whole life: open, subscribe, start, publish in three ways, a retry, a dead letter, its replay,
 * statistics, stop, close.  In run n the n-th allocation fails, and only that: the call that meets it returns
 * FERRY_E_NOMEM or manages without, is made again, and the run goes on.  At the end every confirmed message
 * has been handled exactly once and every allocation is freed.  The first run in which nothing fails is the
 * last one.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ferry/ferry.h>

#define RUNS_MAX 20000

static long run_number;

#define CHECK(condition, ...)                                                               \
	do {                                                                                \
		if (!(condition)) {                                                         \
			fprintf(stderr, "allocation %ld: line %d: ", run_number, __LINE__); \
			fprintf(stderr, __VA_ARGS__);                                       \
			fputc('\n', stderr);                                                \
			_Exit(1);                                                           \
		}                                                                           \
	} while (0)

/* ---- the allocator ---- */

struct injector {
	atomic_long count;   /* allocations so far */
	atomic_long balance; /* not freed */
	long fail_at;
};

static bool fails(struct injector *in)
{
	return atomic_fetch_add(&in->count, 1) + 1 == in->fail_at;
}

static void *inject_alloc(size_t bytes, void *ctx)
{
	struct injector *in = ctx;
	void *memory = fails(in) ? NULL : malloc(bytes);
	if (memory)
		atomic_fetch_add(&in->balance, 1);
	return memory;
}

static void *inject_resize(void *memory, size_t bytes, void *ctx)
{
	struct injector *in = ctx;
	void *resized = fails(in) ? NULL : realloc(memory, bytes);
	if (resized && !memory)
		atomic_fetch_add(&in->balance, 1);
	return resized;
}

static void inject_free(void *memory, void *ctx)
{
	struct injector *in = ctx;
	if (memory)
		atomic_fetch_sub(&in->balance, 1);
	free(memory);
}

/* ---- the messages: the first byte of a payload is its kind ---- */

enum { PLAIN = 'a', RETRIED = 'b', REJECTED = 'c', ASYNC = 'd', BATCH = 'e', BATCH_COUNT = 20 };
#define SYNC_ROUNDS  40 /* PLAIN messages, until slabs and chunks have grown */
#define PAYLOAD_SIZE 6000

struct life {
	struct injector injector;
	struct ferry_bus *bus;
	atomic_int competing[256], broadcast[256], manual[256]; /* handled, by kind */
	atomic_int expected[256];                               /* confirmed */
	atomic_int completions;
	atomic_bool accept_rejected;
};

static unsigned char kind_of(const struct ferry_message *message)
{
	size_t size;
	const unsigned char *payload = ferry_message_payload(message, &size);
	CHECK(size == PAYLOAD_SIZE, "a payload of %zu bytes", size);
	return *payload;
}

static int on_competing(struct ferry_message *message, void *ctx)
{
	struct life *life = ctx;
	unsigned char kind = kind_of(message);
	if (kind == RETRIED && ferry_message_attempt(message) < 3)
		return ferry_message_fail(message, FERRY_E_RETRY, "not yet");
	if (kind == REJECTED && !atomic_load(&life->accept_rejected))
		return FERRY_REJECT;
	const char *region = ferry_message_attribute(message, "region");
	const char *mark = ferry_message_attribute(message, "mark");
	CHECK(region && !strcmp(region, "eu") && mark && !strcmp(mark, "seen"), "an attribute is lost");
	CHECK(ferry_message_id(message)[0] && ferry_message_trace_id(message)[0],
	      "the id or the trace is lost");
	atomic_fetch_add(&life->competing[kind], 1);
	return 0;
}

static int on_broadcast(struct ferry_message *message, void *ctx)
{
	struct life *life = ctx;
	atomic_fetch_add(&life->broadcast[kind_of(message)], 1);
	return 0;
}

/* Settles by hand; the plain ones while it holds a reference of its own. */
static int on_manual(struct ferry_message *message, void *ctx)
{
	struct life *life = ctx;
	unsigned char kind = kind_of(message);
	int fd = ferry_message_cancel_fd(message);
	CHECK(fd >= 0 || fd == FERRY_E_NOMEM, "no descriptor: %s", ferry_error_name(fd));
	if (kind == PLAIN)
		ferry_message_ref(message);
	int code = ferry_message_ack(message);
	CHECK(code == 0, "ack: %s", ferry_error_name(code));
	if (kind == PLAIN)
		ferry_message_unref(message);
	atomic_fetch_add(&life->manual[kind], 1);
	return 0;
}

static int mark(struct ferry_publication *publication, struct ferry_next *next, void *ctx)
{
	(void)ctx;
	int code = ferry_publication_set_attribute(publication, "mark", "seen");
	return code ? code : ferry_next_publish(next, publication);
}

static void on_published(int code, const struct ferry_error *err, void *ctx)
{
	struct life *life = ctx;
	CHECK(code == 0 || code == FERRY_E_NOMEM, "a completion with %s", ferry_error_name(code));
	CHECK((code == 0) == (err == NULL), "a completion's error");
	if (!code)
		atomic_fetch_add(&life->expected[ASYNC], 1);
	atomic_fetch_add(&life->completions, 1);
}

static void on_dropped(struct ferry_bus *bus, const struct ferry_incident *incident, void *ctx)
{
	(void)bus, (void)ctx;
	CHECK(false, "dropped: %s: %s", incident->reason, incident->text);
}

/* ---- one life ---- */

/* True when the call has to be made again: its allocation failed, which happens once in a run. */
static bool again(int code, const struct ferry_error *err)
{
	CHECK(code == 0 || code == FERRY_E_NOMEM, "%s: %s", ferry_error_name(code), err->text);
	return code != 0;
}

static bool open_and_start(struct life *life)
{
	struct ferry_error err = {0};
	struct ferry_allocator allocator = {inject_alloc, inject_resize, inject_free, &life->injector};
	const struct ferry_bus_options *options =
		FERRY_OPTIONS(ferry_bus_options, .allocator = &allocator, .service = "oom", .threads = 2,
			      .on_dropped = on_dropped);
	do
		life->bus = ferry_bus_open("memory:?queue=64", options, &err);
	while (!life->bus && again(err.code, &err));
	const struct ferry_handler_options *competing = FERRY_OPTIONS(
		ferry_handler_options, .name = "reader", .filter = FERRY_ATTRIBUTES({"region", "eu"}),
		.initial_backoff_ms = 1, .concurrency = 2);
	const struct ferry_handler_options *broadcast = FERRY_OPTIONS(
		ferry_handler_options, .distribution = FERRY_BROADCAST, .order = FERRY_ORDER_KEY);
	const struct ferry_handler_options *manual =
		FERRY_OPTIONS(ferry_handler_options, .group = "manual", .ack = FERRY_ACK_MANUAL);
	const struct ferry_interceptor *interceptor = FERRY_OPTIONS(ferry_interceptor, .publish = mark);
	while (again(ferry_subscribe(life->bus, "t", on_competing, life, competing, &err), &err))
		;
	while (again(ferry_subscribe(life->bus, "t", on_broadcast, life, broadcast, &err), &err))
		;
	while (again(ferry_subscribe(life->bus, "t", on_manual, life, manual, &err), &err))
		;
	while (again(ferry_bus_intercept(life->bus, interceptor, &err), &err))
		;
	int code = ferry_bus_start(life->bus, 0, &err);
	CHECK(code == 0 || code == FERRY_E_NOMEM, "start: %s: %s", ferry_error_name(code), err.text);
	return code == 0;
}

/* Used by one thread. */
static const unsigned char *payload_of(unsigned char kind)
{
	static unsigned char payload[PAYLOAD_SIZE];
	memset(payload, kind, sizeof(payload));
	return payload;
}

static void publish(struct life *life, struct ferry_publisher *p, unsigned char kind,
		    const struct ferry_publish_options *options)
{
	struct ferry_error err = {0};
	while (again(ferry_publish(p, payload_of(kind), PAYLOAD_SIZE, options, &err), &err))
		;
	atomic_fetch_add(&life->expected[kind], 1);
}

static void publish_batch(struct life *life, struct ferry_publisher *p,
			  const struct ferry_publish_options *options)
{
	const unsigned char *payload = payload_of(BATCH);
	struct ferry_error err = {0};
	struct ferry_batch_item items[BATCH_COUNT];
	for (int i = 0; i < BATCH_COUNT; i++)
		items[i] = (struct ferry_batch_item){
			.payload = payload, .payload_size = PAYLOAD_SIZE, .options = options, .result = 1};
	int code = ferry_publish_batch(p, items, BATCH_COUNT, 0, &err);
	CHECK(code == 0 || code == FERRY_E_NOMEM, "batch: %s: %s", ferry_error_name(code), err.text);
	for (int i = 0; i < BATCH_COUNT; i++) {
		CHECK(items[i].result == 0 || items[i].result == FERRY_E_NOMEM, "item: %d", items[i].result);
		CHECK(code != 0 || items[i].result == 0, "an item failed and the batch did not");
		atomic_fetch_add(&life->expected[BATCH], items[i].result == 0);
	}
}

/* Wait until the counter has this value; the deadline covers a dead letter's own retry. */
static void wait_for(const char *what, atomic_int *counter, int value)
{
	for (int ms = 0; atomic_load(counter) != value; ms++) {
		CHECK(ms < 30000, "%s is %d, not %d", what, atomic_load(counter), value);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static struct ferry_stats *take_stats(struct life *life)
{
	struct ferry_error err = {0};
	struct ferry_stats *stats;
	do
		stats = ferry_stats_take(life->bus, &err);
	while (!stats && again(err.code, &err));
	return stats;
}

/* The sum over all rows; each row's accounts balance. */
static struct ferry_group_stats sum_of(struct life *life)
{
	struct ferry_stats *stats = take_stats(life);
	for (size_t i = 0; i < ferry_stats_group_count(stats); i++) {
		const struct ferry_group_stats *row = ferry_stats_group(stats, i);
		CHECK(row->received == row->handled + row->filtered + row->dead_lettered + row->dropped +
					       row->retried + row->handed_back + row->stale + row->in_flight,
		      "the accounts of %s do not balance", row->topic);
	}
	struct ferry_group_stats sum = ferry_stats_sum(stats, NULL);
	ferry_stats_free(stats);
	return sum;
}

static void wait_for_stats(struct life *life, const char *what, size_t counter, uint64_t value)
{
	for (int ms = 0;; ms++) {
		struct ferry_group_stats sum = sum_of(life);
		uint64_t now;
		memcpy(&now, (const char *)&sum + counter, sizeof(now));
		if (now == value)
			return;
		CHECK(ms < 30000, "%s is %" PRIu64 ", not %" PRIu64, what, now, value);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

/* The rejected message comes back from its dead letter and is handled. */
static void replay(struct life *life)
{
	struct ferry_error err = {0};
	struct ferry_replay_report report = {.size = sizeof(report)};
	wait_for_stats(life, "dead_lettered", offsetof(struct ferry_group_stats, dead_lettered), 1);
	atomic_store(&life->accept_rejected, true);
	uint64_t replayed = 0;
	int code;
	do {
		code = ferry_dlq_replay(life->bus, "dlq.oom.t", NULL, &report, &err);
		replayed += report.replayed;
		memset(&report, 0, sizeof(report));
		report.size = sizeof(report);
	} while (again(code, &err));
	CHECK(replayed == 1, "%" PRIu64 " dead letters were replayed, not 1", replayed);
	/* It is meant for its group alone: the other two settle it unseen. */
	wait_for_stats(life, "filtered", offsetof(struct ferry_group_stats, filtered), 2);
}

static void publish_all(struct life *life)
{
	struct ferry_error err = {0};
	struct ferry_publisher *p;
	const struct ferry_publish_options *options =
		FERRY_OPTIONS(ferry_publish_options, .attributes = FERRY_ATTRIBUTES({"region", "eu"}),
			      .key = "k", .key_size = 1, .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736");
	while (again(ferry_publisher_open(life->bus, "t", NULL, &p, &err), &err))
		;
	for (int i = 0; i < SYNC_ROUNDS; i++)
		publish(life, p, PLAIN, options);
	publish(life, p, RETRIED, options);
	publish(life, p, REJECTED, options);
	while (again(
		ferry_publish_async(p, payload_of(ASYNC), PAYLOAD_SIZE, options, on_published, life, &err),
		&err))
		;
	publish_batch(life, p, options);
	ferry_publisher_close(p);
	wait_for("completions", &life->completions, 1);
}

static void check_delivered(struct life *life)
{
	static const unsigned char kinds[] = {PLAIN, RETRIED, REJECTED, ASYNC, BATCH};
	for (size_t i = 0; i < sizeof(kinds); i++) {
		int expected = atomic_load(&life->expected[kinds[i]]);
		char what[32];
		snprintf(what, sizeof(what), "handled '%c'", kinds[i]);
		wait_for(what, &life->competing[kinds[i]], expected);
		snprintf(what, sizeof(what), "broadcast '%c'", kinds[i]);
		wait_for(what, &life->broadcast[kinds[i]], expected);
		snprintf(what, sizeof(what), "settled by hand '%c'", kinds[i]);
		wait_for(what, &life->manual[kinds[i]], expected);
	}
}

static void stop(struct life *life)
{
	struct ferry_error err = {0};
	struct ferry_stop_report report = {.size = sizeof(report)};
	while (again(ferry_bus_stop(life->bus, 10000, &report, &err), &err))
		;
	CHECK(!report.pending && !report.dropped && !report.unconfirmed, "stop left something behind");
	check_delivered(life);
}

/* True when the injected failure happened. */
static bool live(long fail_at)
{
	static struct life
		life; /* large; its atomics are set by memset, as no thread is left from the last run */
	memset(&life, 0, sizeof(life));
	life.injector.fail_at = fail_at;
	if (open_and_start(&life)) {
		publish_all(&life);
		replay(&life);
		check_delivered(&life);
		stop(&life);
	}
	ferry_bus_close(life.bus);
	CHECK(atomic_load(&life.injector.balance) == 0, "%ld allocations are not freed",
	      atomic_load(&life.injector.balance));
	return atomic_load(&life.injector.count) >= fail_at;
}

/* oom_test [N]: all allocations, or only the N-th. */
int main(int argc, char **argv)
{
	if (argc > 1) {
		run_number = atol(argv[1]);
		printf("allocation %ld %s\n", run_number, live(run_number) ? "failed" : "does not happen");
		return 0;
	}
	for (run_number = 1; live(run_number); run_number++)
		CHECK(run_number < RUNS_MAX, "a run does not end");
	CHECK(run_number > 20, "only %ld allocations: the allocator is not used", run_number - 1);
	printf("each of %ld allocations failed once, and nothing was lost\n", run_number - 1);
	return 0;
}
