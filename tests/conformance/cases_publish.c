/* cases_publish.c - a publish ends exactly once, and what was confirmed is there: cases 1 to 3, 5 and 10. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"

#define LATE_MS 100 /* how long a second copy is waited for */

/* ---- 1 ---- */

void conformance_case_1(struct conformance *c)
{
	const char *topic = conformance_name(c, "orders");
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct ferry_publisher *publisher;

	conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	for (int n = 0; n < 20; n++) {
		conformance_publish(c, publisher, n, NULL);
		CHECK(c, recorder_wait(seen, (size_t)n + 1, WAIT_MS),
		      "message %d was confirmed and never came", n);
	}
	conformance_drained(c, bus, NULL, 20);
	CHECK(c, recorder_quiet(seen, LATE_MS), "more came than was published");
	conformance_each_once(c, seen, 0, 20);
	CHECK(c, conformance_stats(c, bus, NULL).handled == 20,
	      "20 messages were handled, but %" PRIu64 " count", conformance_stats(c, bus, NULL).handled);
	conformance_close_all(c);
}

/* ---- asynchronous publishes, for 2 and 10 ---- */

/* How one of them ended. */
struct completion {
	struct completions *all;
	atomic_int calls;
	_Atomic int code;
};

struct completions {
	struct conformance *c;
	struct completion *each;
	size_t count;
	atomic_size_t done; /* calls, all together */
};

static _Thread_local bool inside_publish;

static void completed(int code, const struct ferry_error *err, void *ctx)
{
	struct completion *completion = ctx;
	struct conformance *c = completion->all->c;

	CHECK(c, !inside_publish, "a completion was called inside publish_async");
	CHECK(c, (code == 0) == (err == NULL), "a completion with code %d has %s error", code,
	      err ? "an" : "no");
	CHECK(c, !err || err->code == code, "a completion's code is %d, but its error's is %d", code,
	      err->code);
	atomic_store(&completion->code, code);
	atomic_fetch_add(&completion->calls, 1);
	atomic_fetch_add(&completion->all->done, 1);
}

/* Publish messages 0 .. count - 1. */
static struct completions *publish_async(struct conformance *c, struct ferry_publisher *publisher,
					 size_t count)
{
	struct completions *all = conformance_alloc(c, sizeof *all);

	all->c = c;
	all->count = count;
	all->each = conformance_alloc(c, count * sizeof *all->each);
	for (size_t i = 0; i < count; i++) {
		struct ferry_error err = {0};
		char payload[24];
		int size = snprintf(payload, sizeof payload, "%zu", i);
		int code;

		all->each[i].all = all;
		inside_publish = true;
		code = ferry_publish_async(publisher, payload, (size_t)size, NULL, completed, &all->each[i],
					   &err);
		inside_publish = false;
		memset(payload, '#', sizeof payload); /* it is ours again */
		conformance_ok(c, code, &err, "publish_async");
	}
	return all;
}

static bool all_done(void *ctx)
{
	struct completions *all = ctx;

	return atomic_load(&all->done) >= all->count;
}

static void check_completed_once(struct conformance *c, struct completions *all)
{
	for (size_t i = 0; i < all->count; i++)
		CHECK(c, atomic_load(&all->each[i].calls) == 1, "publish %zu of %zu completed %d times", i,
		      all->count, atomic_load(&all->each[i].calls));
}

/* ---- 2 ---- */

void conformance_case_2(struct conformance *c)
{
	enum { COUNT = 1000 };
	const char *topic = conformance_name(c, "orders");
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct ferry_publisher *publisher;
	struct completions *all;
	struct ferry_error err = {0};

	conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	all = publish_async(c, publisher, COUNT);
	CHECK(c, conformance_until(c, all_done, all, WAIT_MS),
	      "%d messages were published, but only %zu completed", COUNT, atomic_load(&all->done));
	for (size_t i = 0; i < COUNT; i++)
		CHECK(c, !atomic_load(&all->each[i].code), "publish %zu ended with %s", i,
		      ferry_error_name(atomic_load(&all->each[i].code)));
	/* Nobody has to listen. */
	conformance_ok(c, ferry_publish_async(publisher, "1000", 4, NULL, NULL, NULL, &err), &err,
		       "publish_async without a completion");
	CHECK(c, recorder_wait(seen, COUNT + 1, WAIT_MS), "%d messages were published, but %zu came",
	      COUNT + 1, recorder_count(seen));
	CHECK(c, recorder_quiet(seen, LATE_MS), "more came than was published");
	conformance_each_once(c, seen, 0, COUNT + 1);
	conformance_close(c, bus);
	check_completed_once(c, all);
}

/* ---- 3 ---- */

#define MIXED        10000
#define MIXED_HEADER 8 /* the number, in decimal */

static size_t mixed_size(size_t n)
{
	if (n % 100 == 0)
		return MIXED_HEADER + 16384;
	if (n % 10 == 0)
		return MIXED_HEADER + 1024 + n % 511;
	return MIXED_HEADER + n % 97;
}

static void fill_mixed(char *payload, size_t n)
{
	size_t size = mixed_size(n);
	char header[MIXED_HEADER + 1];

	snprintf(header, sizeof header, "%08zu", n);
	memcpy(payload, header, MIXED_HEADER);
	for (size_t i = MIXED_HEADER; i < size; i++)
		payload[i] = (char)(n * 31 + i);
}

static int check_mixed(struct ferry_message *message, void *ctx)
{
	struct record_handler *handler = ctx;
	struct conformance *c = handler->ctx;
	char expected[MIXED_HEADER + 16384];
	char header[MIXED_HEADER + 1] = "";
	size_t size, n;
	const void *payload = ferry_message_payload(message, &size);
	struct recorded entry = {.attempt = ferry_message_attempt(message)};

	memcpy(header, payload, size < MIXED_HEADER ? size : MIXED_HEADER);
	n = strtoul(header, NULL, 10);
	CHECK(c, n < MIXED && size == mixed_size(n),
	      "a message of %zu bytes came that says it is number \"%s\"", size, header);
	fill_mixed(expected, n);
	CHECK(c, !memcmp(payload, expected, size), "message %zu of %zu bytes was changed on the way", n,
	      size);
	entry.n = (int64_t)n;
	recorder_add(handler->recorder, &entry);
	return 0;
}

static void publish_mixed(struct conformance *c, struct ferry_publisher *publisher)
{
	struct ferry_batch_item *items = calloc(MIXED, sizeof *items);
	struct ferry_error err = {0};
	size_t total = 0, at = 0;
	char *bytes;
	int code;

	for (size_t n = 0; n < MIXED; n++)
		total += mixed_size(n);
	bytes = malloc(total);
	CHECK(c, items && bytes, "out of memory");
	for (size_t n = 0; n < MIXED; n++) {
		fill_mixed(bytes + at, n);
		items[n] = (struct ferry_batch_item){
			.payload = bytes + at, .payload_size = mixed_size(n), .result = 1};
		at += mixed_size(n);
	}
	code = ferry_publish_batch(publisher, items, MIXED, WAIT_MS, &err);
	conformance_ok(c, code, &err, "publish_batch");
	for (size_t n = 0; n < MIXED; n++)
		CHECK(c, !items[n].result, "publish_batch returned 0, but item %zu has result %d", n,
		      items[n].result);
	free(bytes);
	free(items);
}

void conformance_case_3(struct conformance *c)
{
	const char *topic = conformance_name(c, "orders");
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .ctx = c};
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	conformance_subscribe(c, bus, topic, check_mixed, &handler, NULL);
	conformance_start(c, bus);
	publish_mixed(c, conformance_publisher(c, bus, topic));
	CHECK(c, recorder_wait(seen, MIXED, WAIT_MS), "a batch of %d was confirmed, but %zu came", MIXED,
	      recorder_count(seen));
	conformance_drained(c, bus, NULL, MIXED);
	CHECK(c, recorder_quiet(seen, LATE_MS), "more came than was published");
	conformance_each_once(c, seen, 0, MIXED);
	conformance_close_all(c);
}

/* ---- 5 ---- */

#define BINARIES 4

struct binary {
	unsigned char payload[1024];
	size_t size;
	unsigned char key[8];
	size_t key_size;
	atomic_int came;
};

struct binaries {
	struct conformance *c;
	struct binary each[BINARIES];
	atomic_int came;
};

static void fill_binaries(struct binaries *all)
{
	static const struct {
		size_t size, key_size;
		const char *key;
	} shapes[BINARIES] = {
		{1024, 4, "\0k\xff\0"}, {64, 1, "\0"}, {1, 8, "\r\n%\"\\\x80 ="}, {257, 3, "abc"}};

	for (size_t i = 0; i < BINARIES; i++) {
		struct binary *binary = &all->each[i];

		binary->size = shapes[i].size;
		binary->key_size = shapes[i].key_size;
		memcpy(binary->key, shapes[i].key, shapes[i].key_size);
		/* Every byte, beginning and ending with a NUL; the second is nothing but NULs. */
		for (size_t at = 0; at + 1 < binary->size; at++)
			binary->payload[at] = i == 1 ? 0 : (unsigned char)at;
	}
}

static int check_binary(struct ferry_message *message, void *ctx)
{
	struct binaries *all = ctx;
	size_t size, key_size = 0;
	const void *payload = ferry_message_payload(message, &size);
	const void *key = ferry_message_key(message, &key_size);

	for (size_t i = 0; i < BINARIES; i++) {
		struct binary *binary = &all->each[i];

		if (size != binary->size || memcmp(payload, binary->payload, size))
			continue;
		CHECK(all->c, key && key_size == binary->key_size && !memcmp(key, binary->key, key_size),
		      "the key of %zu bytes came as %zu bytes, or changed", binary->key_size, key_size);
		atomic_fetch_add(&binary->came, 1);
		atomic_fetch_add(&all->came, 1);
		return 0;
	}
	conformance_fail(all->c, "a payload of %zu bytes came that was not published", size);
}

static bool all_binaries(void *ctx)
{
	return atomic_load(&((struct binaries *)ctx)->came) >= BINARIES;
}

void conformance_case_5(struct conformance *c)
{
	const char *topic = conformance_name(c, "bytes");
	struct binaries *all = conformance_alloc(c, sizeof *all);
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct ferry_publisher *publisher;

	all->c = c;
	fill_binaries(all);
	conformance_subscribe(c, bus, topic, check_binary, all, NULL);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	for (size_t i = 0; i < BINARIES; i++) {
		struct binary *binary = &all->each[i];
		struct ferry_error err = {0};

		conformance_ok(c,
			       ferry_publish(publisher, binary->payload, binary->size,
					     FERRY_OPTIONS(ferry_publish_options, .key = binary->key,
							   .key_size = binary->key_size),
					     &err),
			       &err, "publish");
	}
	CHECK(c, conformance_until(c, all_binaries, all, WAIT_MS), "%d messages were published, but %d came",
	      BINARIES, atomic_load(&all->came));
	conformance_drained(c, bus, NULL, BINARIES);
	for (size_t i = 0; i < BINARIES; i++)
		CHECK(c, atomic_load(&all->each[i].came) == 1, "message %zu came %d times", i,
		      atomic_load(&all->each[i].came));
	conformance_close_all(c);
}

/* ---- 10 ---- */

/* A publisher is closed with its messages in flight: they go on. */
static void close_publisher_early(struct conformance *c)
{
	enum { COUNT = 10000 };
	const char *topic = conformance_name(c, "closed");
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct ferry_publisher *publisher;
	struct completions *all;
	struct ferry_error err = {0};

	conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
	conformance_start(c, bus);
	conformance_ok(c, ferry_publisher_open(bus, topic, NULL, &publisher, &err), &err, "publisher_open");
	all = publish_async(c, publisher, COUNT);
	ferry_publisher_close(publisher);
	CHECK(c, conformance_until(c, all_done, all, WAIT_MS),
	      "the publisher was closed, and only %zu of %d publishes completed", atomic_load(&all->done),
	      COUNT);
	CHECK(c, recorder_wait(seen, COUNT, WAIT_MS), "%d messages were published, but %zu came", COUNT,
	      recorder_count(seen));
	conformance_each_once(c, seen, 0, COUNT);
	conformance_close(c, bus);
	check_completed_once(c, all);
	for (size_t i = 0; i < COUNT; i++)
		CHECK(c, !atomic_load(&all->each[i].code), "publish %zu ended with %s", i,
		      ferry_error_name(atomic_load(&all->each[i].code)));
}

/* The bus is stopped with messages in flight: each has its outcome when stop returns. */
static void stop_early(struct conformance *c)
{
	enum { COUNT = 2000 };
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct ferry_stop_report report = {.size = sizeof report};
	struct completions *all;
	uint64_t unknown = 0;

	conformance_start(c, bus);
	all = publish_async(c, conformance_publisher(c, bus, conformance_name(c, "stopped")), COUNT);
	conformance_stop(c, bus, &report);
	CHECK(c, atomic_load(&all->done) == COUNT, "stop returned, and %zu of %d publishes had completed",
	      atomic_load(&all->done), COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		int code = atomic_load(&all->each[i].code);

		unknown += code == FERRY_E_UNKNOWN;
		CHECK(c, !code || code == FERRY_E_UNKNOWN, "publish %zu ended with %s", i,
		      ferry_error_name(code));
	}
	CHECK(c, report.unconfirmed == unknown,
	      "%" PRIu64 " publishes ended unknown, but stop reports %" PRIu64, unknown, report.unconfirmed);
	conformance_close(c, bus);
	check_completed_once(c, all);
}

void conformance_case_10(struct conformance *c)
{
	close_publisher_early(c);
	stop_early(c);
}
