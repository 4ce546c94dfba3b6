/*
 * cases_order.c - what waits for what: retries and the rest, keys, nothing: cases 27, 44 and 45.
 *
 * They run on the system clock everywhere: with the manual one messages are taken one at a time.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"

/* ---- 27: a retrying message does not delay others ---- */

static int fail_first_of_0(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	return conformance_number(m) == 0 && ferry_message_attempt(m) == 1 ? FERRY_E_RETRY : 0;
}

void conformance_case_27(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .verdict = fail_first_of_0};
	const char *topic = conformance_name(c, "orders");
	int64_t backoff_ms = conformance_limit_ms(5000);
	struct ferry_publisher *publisher;
	struct recorded first, second;
	struct ferry_bus *bus;
	size_t others = 1000;

	bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(
		c, bus, topic, conformance_record, &handler,
		FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = (int32_t)backoff_ms));
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	conformance_publish(c, publisher, 0, NULL);
	CHECK(c, recorder_wait_now(seen, 1, WAIT_MS), "the message that fails does not come");
	conformance_publish_many(c, publisher, 1, others, NULL);
	CHECK(c, recorder_wait_now(seen, others + 1, WAIT_MS),
	      "while one message waits for its retry, %zu of "
	      "%zu others came",
	      recorder_count(seen) - 1, others);
	CHECK(c, recorder_count_n(seen, 0) == 1, "the retry came before %zu others that were there at once",
	      others);
	CHECK(c, recorder_wait(seen, others + 2, 2 * backoff_ms), "the retry did not come");
	CHECK(c,
	      recorder_find(seen, 0, 0, &first) && recorder_find(seen, 0, 1, &second) && second.attempt == 2,
	      "what came at the end was not the second attempt of message 0");
	support_check_delay(c, "the retry", first.at_us, second.at_us, backoff_ms);
	conformance_drained(c, bus, NULL, others + 1);
	CHECK(c, recorder_distinct(seen) == others + 1 && recorder_count(seen) == others + 2,
	      "%zu messages were published, and %zu different ones came in %zu calls", others + 1,
	      recorder_distinct(seen), recorder_count(seen));
	conformance_close_all(c);
}

/* ---- keys ---- */

/*
 * Message n has key (n / RUN) % KEYS: neighbours mostly have the same key, so that exchanging two neighbours
 * shows.
 */
#define KEYS 20
#define RUN  4

static int key_of(int64_t n)
{
	return (int)(n / RUN % KEYS);
}

/* Publish first .. first + count - 1, each with its key. */
static void publish_keyed(struct conformance *c, struct ferry_publisher *publisher, int64_t first,
			  size_t count)
{
	struct ferry_batch_item *items = conformance_alloc(c, count * sizeof *items);
	struct ferry_publish_options *options = conformance_alloc(c, count * sizeof *options);
	struct ferry_error err = {0};

	for (size_t i = 0; i < count; i++) {
		const char *key = conformance_text(c, "key-%d", key_of(first + (int64_t)i));

		options[i].size = sizeof options[i];
		options[i].key = key;
		options[i].key_size = strlen(key);
		items[i].payload = conformance_text(c, "%" PRId64, first + (int64_t)i);
		items[i].payload_size = strlen(items[i].payload);
		items[i].options = &options[i];
	}
	conformance_ok(c, ferry_publish_batch(publisher, items, count, 0, &err), &err, "publish_batch");
}

/* ---- a handler that watches the order of each key ---- */

struct watch {
	struct conformance *c;
	struct recorder *seen;
	_Atomic int inside[KEYS];   /* calls that run */
	_Atomic int64_t next[KEYS]; /* the message of the key that has to come */
};

/* One of the handlers that share a watch. */
struct watcher {
	struct watch *watch;
	struct gate *gate; /* messages up to `stops` wait here; NULL: none does */
	int64_t stops;
	int64_t nap_us; /* how long a call takes */
};

/* The message of the same key that follows n. */
static int64_t following(int64_t n)
{
	return n % RUN < RUN - 1 ? n + 1 : n + 1 + (int64_t)RUN * (KEYS - 1);
}

static struct watch *watch_new(struct conformance *c)
{
	struct watch *watch = conformance_alloc(c, sizeof *watch);

	watch->c = c;
	watch->seen = conformance_recorder(c);
	for (int key = 0; key < KEYS; key++)
		atomic_store(&watch->next[key], (int64_t)key * RUN);
	return watch;
}

/* Every twentieth message fails at first. */
static bool fails(int64_t n)
{
	return n % 20 == 7;
}

static int watch_order(struct ferry_message *m, void *ctx)
{
	struct watcher *watcher = ctx;
	struct watch *watch = watcher->watch;
	struct conformance *c = watch->c;
	int64_t n = conformance_number(m);
	int key = key_of(n);
	bool failing = fails(n) && ferry_message_attempt(m) == 1;

	CHECK(c, atomic_fetch_add(&watch->inside[key], 1) == 0,
	      "message %" PRId64 " of key %d was called while another one of its key runs", n, key);
	CHECK(c, atomic_load(&watch->next[key]) == n,
	      "message %" PRId64 " of key %d came as attempt %" PRIu32 ", where message %" PRId64
	      " had to come",
	      n, key, ferry_message_attempt(m), atomic_load(&watch->next[key]));
	if (watcher->gate && n <= watcher->stops)
		gate_pass(watcher->gate);
	if (watcher->nap_us)
		nanosleep(&(struct timespec){.tv_nsec = watcher->nap_us * 1000}, NULL);
	recorder_add_message(watch->seen, m, 0);
	if (!failing)
		atomic_store(&watch->next[key], following(n));
	atomic_fetch_sub(&watch->inside[key], 1);
	return failing ? FERRY_E_RETRY : 0;
}

/* ---- 44: per key, with concurrency and failures ---- */

void conformance_case_44(struct conformance *c)
{
	bool whole_group = conformance_can(c, FERRY_CAP_KEY_ORDER_GROUP);
	struct watch *watch = watch_new(c);
	struct watcher watcher = {.watch = watch, .gate = gate_new(c), .stops = (int64_t)KEYS * RUN - 1};
	const char *topic = conformance_name(c, "orders");
	size_t count = (size_t)KEYS * RUN * 10, failures = count / 20;
	struct ferry_group_stats stats;
	struct ferry_bus *bus;

	bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(
		c, bus, topic, watch_order, &watcher,
		FERRY_OPTIONS(ferry_handler_options, .concurrency = 8, .initial_backoff_ms = 50,
			      .order = whole_group ? FERRY_ORDER_KEY : FERRY_ORDER_KEY_IN_PROCESS));
	conformance_start(c, bus);
	publish_keyed(c, conformance_publisher(c, bus, topic), 0, count);
	CHECK(c, gate_crowd(watcher.gate, 4),
	      "with concurrency 8 messages of %d keys do not run side by side", KEYS);
	gate_open(watcher.gate);
	CHECK(c, recorder_wait(watch->seen, count + failures, 2 * WAIT_MS),
	      "%zu calls should be made, %zu were", count + failures, recorder_count(watch->seen));
	conformance_drained(c, bus, NULL, count);
	CHECK(c, recorder_count(watch->seen) == count + failures && !recorder_duplicates(watch->seen),
	      "%zu calls should be made, %zu were", count + failures, recorder_count(watch->seen));
	conformance_each(c, watch->seen, 0, count);
	stats = conformance_stats(c, bus, NULL);
	CHECK(c, stats.handled == count && stats.failed == failures,
	      "counted are %" PRIu64 " handled and %" PRIu64 " failed calls instead of %zu and %zu",
	      stats.handled, stats.failed, count, failures);
	conformance_close_all(c);
}

/* ---- 45: order=none, and an order that the transport does not have ---- */

static int fail_every_tenth(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	return conformance_number(m) % 10 == 3 && ferry_message_attempt(m) == 1 ? FERRY_E_RETRY : 0;
}

/* The first attempts of one key's messages come in the order of publishing. */
static void check_first_attempts(struct conformance *c, struct recorder *seen, const char *what)
{
	int64_t before = -1;

	for (size_t i = 0; i < recorder_count(seen); i++) {
		struct recorded entry = recorder_at(seen, i);

		if (entry.attempt > 1)
			continue;
		CHECK(c, entry.n == before + 1, "%s: message %" PRId64 " came after message %" PRId64, what,
		      entry.n, before);
		before = entry.n;
	}
}

/* Concurrency 1: a failed message comes later, no other changes its place; broadcast does not change any. */
static void check_unordered(struct conformance *c)
{
	struct recorder *competing = conformance_recorder(c), *broadcast = conformance_recorder(c);
	struct record_handler failing = {.recorder = competing, .verdict = fail_every_tenth};
	struct record_handler watching = {.recorder = broadcast};
	const char *topic = conformance_name(c, "unordered");
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	size_t count = 500;

	conformance_subscribe(
		c, bus, topic, conformance_record, &failing,
		FERRY_OPTIONS(ferry_handler_options, .order = FERRY_ORDER_NONE, .initial_backoff_ms = 50));
	conformance_subscribe(c, bus, topic, conformance_record, &watching,
			      FERRY_OPTIONS(ferry_handler_options, .distribution = FERRY_BROADCAST));
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, count,
				 FERRY_OPTIONS(ferry_publish_options, .key = "k", .key_size = 1));
	CHECK(c,
	      recorder_wait(competing, count + count / 10, WAIT_MS) &&
		      recorder_wait(broadcast, count, WAIT_MS),
	      "%zu and %zu calls should be made, %zu and %zu were", count + count / 10, count,
	      recorder_count(competing), recorder_count(broadcast));
	conformance_drained(c, bus, NULL, 2 * count);
	conformance_each(c, competing, 0, count);
	conformance_each_once(c, broadcast, 0, count);
	check_first_attempts(c, competing, "competing, order=none, concurrency 1");
	check_first_attempts(c, broadcast, "broadcast, concurrency 1");
	conformance_close(c, bus);
}

static void check_refused(struct conformance *c, int32_t order, const char *what)
{
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct ferry_error err = {0};
	int code = ferry_subscribe(bus, conformance_name(c, "refused"), fail_every_tenth, NULL,
				   FERRY_OPTIONS(ferry_handler_options, .order = order), &err);

	conformance_refused(c, code, FERRY_E_UNSUPPORTED, &err, "KEY_ORDER_GROUP", what);
	conformance_refused(c, code, FERRY_E_UNSUPPORTED, &err, "key_in_process", what);
	conformance_close(c, bus);
}

static struct ferry_bus *open_watcher(struct conformance *c, const char *topic, struct watcher *watcher,
				      int32_t order)
{
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	conformance_subscribe(c, bus, topic, watch_order, watcher,
			      FERRY_OPTIONS(ferry_handler_options, .order = order, .initial_backoff_ms = 50));
	conformance_start(c, bus);
	return bus;
}

/*
 * What is declared is there: over all consumers of the group messages of a key come one at a time, in order.
 * Where there can be two, one of them stops at its first message, and the other one is offered all the rest:
 * it must not take what follows that message.
 */
static void check_group_order(struct conformance *c, int32_t order)
{
	bool shared = conformance_can(c, FERRY_CAP_DURABLE);
	struct watch *watch = watch_new(c);
	struct watcher stopping = {.watch = watch, .gate = gate_new(c), .stops = INT64_MAX};
	struct watcher working = {.watch = watch, .nap_us = shared ? 3000 : 0};
	const char *topic = conformance_name(c, conformance_text(c, "order%d", order));
	size_t portion = (size_t)KEYS * RUN, count = 3 * portion;
	struct ferry_publisher *publisher;
	struct ferry_bus *bus = open_watcher(c, topic, &working, order);

	if (shared) {
		open_watcher(c, topic, &stopping, order);
		bus = conformance_open(c, NULL, NULL);
		conformance_start(c, bus);
	}
	publisher = conformance_publisher(c, bus, topic);
	for (size_t sent = 0; sent < count; sent += portion) {
		publish_keyed(c, publisher, (int64_t)sent, portion);
		while (shared && !recorder_quiet(watch->seen, 500))
			;
	}
	gate_open(stopping.gate);
	CHECK(c, recorder_wait(watch->seen, count + count / 20, 2 * WAIT_MS),
	      "%zu calls should be made, %zu were", count + count / 20, recorder_count(watch->seen));
	CHECK(c, recorder_quiet(watch->seen, 300), "more than %zu calls were made", count + count / 20);
	conformance_each(c, watch->seen, 0, count);
	conformance_close_all(c);
}

void conformance_case_45(struct conformance *c)
{
	check_unordered(c);
	if (conformance_can(c, FERRY_CAP_KEY_ORDER_GROUP)) {
		check_group_order(c, FERRY_ORDER_KEY);
		check_group_order(c, FERRY_ORDER_PARTITION);
	} else {
		check_refused(c, FERRY_ORDER_KEY, "order=key");
		check_refused(c, FERRY_ORDER_PARTITION, "order=partition");
	}
}

const struct conformance_role conformance_roles_order[] = {{NULL, NULL}};
