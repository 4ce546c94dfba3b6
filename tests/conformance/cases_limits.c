/* cases_limits.c - sizes, unknown topics and full buffers: cases 4, 8 and 9. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"
#include "support.h"

#define LATE_MS 100

/* ---- 4 ---- */

#define MAX_MESSAGE (1024 * 1024)

static char pattern(size_t at)
{
	return (char)(at * 7 + at / 251);
}

/* How many of each size came. */
struct sizes {
	struct conformance *c;
	atomic_int empty, single, largest;
};

static int check_size(struct ferry_message *message, void *ctx)
{
	struct sizes *sizes = ctx;
	size_t size;
	const char *payload = ferry_message_payload(message, &size);

	CHECK(sizes->c, size <= 1 || size == MAX_MESSAGE, "a message of %zu bytes came that was refused",
	      size);
	for (size_t i = 0; i < size; i++)
		CHECK(sizes->c, payload[i] == pattern(i), "byte %zu of %zu was changed on the way", i, size);
	atomic_fetch_add(size == 0 ? &sizes->empty : size == 1 ? &sizes->single : &sizes->largest, 1);
	return 0;
}

static bool all_sizes(void *ctx)
{
	struct sizes *sizes = ctx;

	return atomic_load(&sizes->empty) + atomic_load(&sizes->single) + atomic_load(&sizes->largest) >= 5;
}

static void refuse_too_large(struct conformance *c, struct ferry_publisher *publisher, const char *bytes)
{
	struct ferry_batch_item items[] = {{.payload = bytes, .payload_size = 1, .result = 1},
					   {.payload = bytes, .payload_size = MAX_MESSAGE + 1, .result = 1},
					   {.payload = bytes, .payload_size = 0, .result = 1}};
	struct ferry_error err = {0};
	int code;

	code = ferry_publish(publisher, bytes, MAX_MESSAGE + 1, NULL, &err);
	conformance_refused(c, code, FERRY_E_TOO_LARGE, &err, NULL, "publish of max_message + 1 bytes");
	code = ferry_publish_async(publisher, bytes, MAX_MESSAGE + 1, NULL, NULL, NULL, &err);
	conformance_refused(c, code, FERRY_E_TOO_LARGE, &err, NULL, "publish_async of max_message + 1 bytes");
	code = ferry_publish_batch(publisher, items, 3, 0, &err);
	conformance_refused(c, code, FERRY_E_TOO_LARGE, &err, NULL,
			    "publish_batch with one of max_message + 1 bytes");
	CHECK(c, !items[0].result && items[1].result == FERRY_E_TOO_LARGE && !items[2].result,
	      "in a batch of one byte, max_message + 1 bytes and none the results are %d, %d and %d",
	      items[0].result, items[1].result, items[2].result);
}

void conformance_case_4(struct conformance *c)
{
	const char *topic = conformance_name(c, "sizes");
	struct sizes sizes = {.c = c};
	struct ferry_bus *bus =
		conformance_open(c, NULL, FERRY_OPTIONS(ferry_bus_options, .max_message = MAX_MESSAGE));
	char *bytes = conformance_alloc(c, MAX_MESSAGE + 1);
	struct ferry_publisher *publisher;
	struct ferry_error err = {0};

	for (size_t i = 0; i <= MAX_MESSAGE; i++)
		bytes[i] = pattern(i);
	conformance_subscribe(c, bus, topic, check_size, &sizes, NULL);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	conformance_ok(c, ferry_publish(publisher, NULL, 0, NULL, &err), &err, "publish of nothing");
	conformance_ok(c, ferry_publish(publisher, bytes, 1, NULL, &err), &err, "publish of one byte");
	conformance_ok(c, ferry_publish(publisher, bytes, MAX_MESSAGE, NULL, &err), &err,
		       "publish of max_message bytes");
	refuse_too_large(c, publisher, bytes);
	CHECK(c, conformance_until(c, all_sizes, &sizes, WAIT_MS),
	      "5 messages were confirmed, but fewer came");
	conformance_drained(c, bus, NULL, 5);
	conformance_pass(c, LATE_MS);
	CHECK(c, sizes.empty == 2 && sizes.single == 2 && sizes.largest == 1,
	      "2 empty, 2 of one byte and 1 of max_message bytes were published, but %d, %d and %d came",
	      atomic_load(&sizes.empty), atomic_load(&sizes.single), atomic_load(&sizes.largest));
	conformance_close(c, bus);
}

/* ---- 8 ---- */

static struct ferry_bus *open_provision(struct conformance *c, int provision)
{
	return conformance_open(c, NULL, FERRY_OPTIONS(ferry_bus_options, .provision = provision));
}

/* What publishing to a topic gives that nobody has made. */
static int publish_unknown(struct conformance *c, int provision, const char *topic, struct ferry_error *err)
{
	struct ferry_bus *bus = open_provision(c, provision);
	struct ferry_publisher *publisher = NULL;
	int code;

	conformance_start(c, bus);
	code = ferry_publisher_open(bus, topic, NULL, &publisher, err);
	if (!code)
		code = ferry_publish(publisher, "0", 1,
				     FERRY_OPTIONS(ferry_publish_options, .deadline_ms = WAIT_MS), err);
	ferry_publisher_close(publisher);
	conformance_close(c, bus);
	return code;
}

static int start_unknown(struct conformance *c, int provision, const char *topic, struct recorder *seen,
			 struct ferry_error *err)
{
	struct record_handler *handler = conformance_alloc(c, sizeof *handler);
	struct ferry_bus *bus = open_provision(c, provision);
	int code;

	handler->recorder = seen;
	conformance_subscribe(c, bus, topic, conformance_record, handler, NULL);
	code = ferry_bus_start(bus, WAIT_MS, err);
	if (!code)
		conformance_ok(c, ferry_bus_wait_ready(bus, WAIT_MS, err), err, "ready");
	conformance_close(c, bus);
	return code;
}

/* A transport that is not durable has nothing to make: every topic is there. */
static void strict(struct conformance *c, int provision, const char *word, struct recorder *seen)
{
	const char *topic = conformance_name(c, conformance_text(c, "missing-%s", word));
	struct ferry_error err = {0};
	int code = publish_unknown(c, provision, topic, &err);

	if (!conformance_can(c, FERRY_CAP_DURABLE)) {
		conformance_ok(c, code, &err, conformance_text(c, "publish under provision=%s", word));
		conformance_ok(c, start_unknown(c, provision, topic, seen, &err), &err, "start");
		return;
	}
	conformance_refused(c, code, FERRY_E_NOT_FOUND, &err, topic,
			    conformance_text(c, "publish to an unknown topic under provision=%s", word));
	code = start_unknown(c, provision, topic, seen, &err);
	conformance_refused(c, code, FERRY_E_NOT_FOUND, &err, topic,
			    conformance_text(c, "start with an unknown topic under provision=%s", word));
}

void conformance_case_8(struct conformance *c)
{
	const char *topic = conformance_name(c, "fresh");
	struct recorder *seen = conformance_recorder(c);
	struct ferry_error err = {0};

	/* auto: a topic is made by whoever comes first, publisher or group. */
	conformance_ok(c, publish_unknown(c, FERRY_PROVISION_AUTO, topic, &err), &err,
		       "publish to an unknown topic under provision=auto");
	conformance_ok(c, start_unknown(c, FERRY_PROVISION_AUTO, conformance_name(c, "other"), seen, &err),
		       &err, "start with an unknown topic under provision=auto");
	/* What auto has made is enough for the others. */
	conformance_ok(c, publish_unknown(c, FERRY_PROVISION_CHECK, topic, &err), &err,
		       "publish to a known topic under provision=check");
	conformance_ok(c, start_unknown(c, FERRY_PROVISION_CHECK, conformance_name(c, "other"), seen, &err),
		       &err, "start with a known topic and group under provision=check");
	conformance_ok(c, start_unknown(c, FERRY_PROVISION_OFF, conformance_name(c, "other"), seen, &err),
		       &err, "start with a known topic and group under provision=off");
	strict(c, FERRY_PROVISION_CHECK, "check", seen);
	strict(c, FERRY_PROVISION_OFF, "off", seen);
	CHECK(c, recorder_count(seen) == 0, "a message came from a topic that nobody published to");
}

/* ---- 9 ---- */

#define QUEUE       16    /* where the transport has a queue to set */
#define UNBOUNDED   500   /* a durable backend need not be full after these */
#define BOUNDED     40000 /* one that is not durable must be */
#define DEADLINE_MS 200

/* A group whose one handler stands at a gate. */
struct stall {
	struct conformance *c;
	struct ferry_bus *bus;
	struct ferry_publisher *publisher;
	struct gate *gate;
	struct recorder *seen;
	struct record_handler handler;
	size_t accepted;
	bool full;
};

static void open_stall(struct conformance *c, struct stall *stall, int full, const char *name)
{
	const char *topic = conformance_name(c, name);

	*stall = (struct stall){.c = c, .gate = gate_new(c), .seen = conformance_recorder(c)};
	stall->handler =
		(struct record_handler){.recorder = stall->seen, .verdict = gate_verdict, .ctx = stall->gate};
	stall->bus = conformance_open(
		c, conformance_has_option(c, "queue") ? conformance_text(c, "queue=%d", QUEUE) : NULL,
		FERRY_OPTIONS(ferry_bus_options, .full = full));
	conformance_subscribe(
		c, stall->bus, topic, conformance_record, &stall->handler,
		FERRY_OPTIONS(ferry_handler_options, .max_unsettled = 1, .timeout_ms = FERRY_NONE));
	conformance_start(c, stall->bus);
	stall->publisher = conformance_publisher(c, stall->bus, topic);
	conformance_publish(c, stall->publisher, 0, NULL);
	stall->accepted = 1;
	CHECK(c, gate_crowd(stall->gate, 1), "the first message never came");
}

static int publish_one(struct stall *stall, int64_t deadline_ms, struct ferry_error *err)
{
	char payload[24];
	int size = snprintf(payload, sizeof payload, "%zu", stall->accepted);
	int code = ferry_publish(stall->publisher, payload, (size_t)size,
				 FERRY_OPTIONS(ferry_publish_options, .deadline_ms = deadline_ms), err);

	stall->accepted += code == 0;
	return code;
}

/* Publish into the stalled group until the transport says `expected`, or for as long as it need not. */
static void fill(struct stall *stall, int expected, int64_t deadline_ms)
{
	struct conformance *c = stall->c;
	bool durable = conformance_can(c, FERRY_CAP_DURABLE);
	struct ferry_error err = {0};
	int code = 0;

	while (!code && stall->accepted < (durable ? UNBOUNDED : BOUNDED))
		code = publish_one(stall, deadline_ms, &err);
	stall->full = code != 0;
	if (code)
		conformance_refused(c, code, expected, &err, NULL, "publish into a full transport");
	else
		CHECK(c, durable, "%zu messages were published into a stalled group, and there was no limit",
		      stall->accepted);
}

static void finish_stall(struct stall *stall)
{
	struct conformance *c = stall->c;

	CHECK(c, recorder_wait(stall->seen, stall->accepted, WAIT_MS),
	      "%zu messages were accepted while a group stalled, but %zu came", stall->accepted,
	      recorder_count(stall->seen));
	CHECK(c, recorder_quiet(stall->seen, LATE_MS), "a message came that the full transport had refused");
	conformance_each_once(c, stall->seen, 0, stall->accepted);
	conformance_close(c, stall->bus);
}

static void full_reject(struct conformance *c)
{
	struct stall stall;
	struct ferry_error err = {0};

	open_stall(c, &stall, FERRY_FULL_REJECT, "reject");
	fill(&stall, FERRY_E_AGAIN, WAIT_MS);
	gate_open(stall.gate);
	CHECK(c, recorder_wait(stall.seen, stall.accepted, WAIT_MS),
	      "%zu messages were accepted while a group stalled, but %zu came", stall.accepted,
	      recorder_count(stall.seen));
	conformance_ok(c, publish_one(&stall, WAIT_MS, &err), &err, "publish when there is room again");
	finish_stall(&stall);
}

struct blocked {
	struct stall *stall;
	struct ferry_error err;
	int code;
};

static void *publish_blocked(void *ctx)
{
	struct blocked *blocked = ctx;

	blocked->code = publish_one(blocked->stall, 2 * WAIT_MS, &blocked->err);
	return NULL;
}

static void full_block(struct conformance *c)
{
	struct stall stall;
	struct blocked blocked = {.stall = &stall};
	pthread_t thread;
	int64_t begin, took_ms;

	open_stall(c, &stall, FERRY_FULL_BLOCK, "block");
	fill(&stall, FERRY_E_TIMEDOUT, DEADLINE_MS);
	if (stall.full) {
		struct ferry_error err = {0};

		begin = conformance_now_us(c);
		conformance_refused(c, publish_one(&stall, DEADLINE_MS, &err), FERRY_E_TIMEDOUT, &err, NULL,
				    "publish into a full transport");
		took_ms = (conformance_now_us(c) - begin) / 1000;
		CHECK(c, took_ms >= DEADLINE_MS - 10 && took_ms <= DEADLINE_MS + conformance_limit_ms(2000),
		      "publish with a deadline of %d ms gave up after %" PRId64 " ms", DEADLINE_MS, took_ms);
	}
	CHECK(c, !pthread_create(&thread, NULL, publish_blocked, &blocked), "a thread cannot be started");
	conformance_pass(c, 50); /* long enough to block; if it does not, the case is only easier */
	gate_open(stall.gate);
	pthread_join(thread, NULL);
	conformance_ok(c, blocked.code, &blocked.err, "a publish that waited for room");
	finish_stall(&stall);
}

void conformance_case_9(struct conformance *c)
{
	full_reject(c);
	full_block(c);
}
