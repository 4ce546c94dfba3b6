/*
 * memory_test.c - drives the built plugin through its own interface, with a small host of its own.
 *
 *     memory_test PATH-OF-THE-PLUGIN
 *
 * A plain main, so that it also runs under ThreadSanitizer.
 */
#include <ferry/transport.h>

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(condition)                                                                         \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__, \
				#condition);                                                     \
			exit(1);                                                                 \
		}                                                                                \
	} while (0)

#define CHECK_EQ(is, should)                                                                               \
	do {                                                                                               \
		long long is_ = (long long)(is), should_ = (long long)(should);                            \
		if (is_ != should_) {                                                                      \
			fprintf(stderr, "%s:%d: %s: %s is %lld, not %lld\n", __FILE__, __LINE__, __func__, \
				#is, is_, should_);                                                        \
			exit(1);                                                                           \
		}                                                                                          \
	} while (0)

enum { NEW = 1, EARLIEST = 2, COMPETING = 1, BROADCAST = 2 };

/* ---- the host ---- */

/* A subscription as the core would see it: ready and wake_at end up here. */
struct reader {
	struct ferry_subscription *sub;
	struct ferry_source *source;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int ready;
	int64_t due_us; /* INT64_MAX: no wake_at is pending */
	int closed;
};

static struct bus {
	const struct ferry_transport *api;
	struct ferry_connection *connection;
	struct ferry_config config;
	struct ferry_setting settings[4];
	_Atomic long allocations; /* that live */
	_Atomic long fail_after;  /* so many allocations succeed; negative: all */
	_Atomic int64_t now_us;
	int real_clock;
	int slow_ready; /* be preempted before `ready` does anything */
	_Atomic uint64_t evicted;
	pthread_mutex_t lock;
	pthread_cond_t room;
	uint64_t writable;
} bus = {.fail_after = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .room = PTHREAD_COND_INITIALIZER};

static int64_t read_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void host_log(void *core, int level, const char *text)
{
	(void)core, (void)level;
	fprintf(stderr, "%s\n", text);
}

static int64_t host_now(void *core)
{
	(void)core;
	return bus.real_clock ? read_clock() : atomic_load(&bus.now_us);
}

static int64_t host_wall(void *core)
{
	return 1700000000000000 + host_now(core);
}

static int may_allocate(void)
{
	long left = atomic_load(&bus.fail_after);
	if (left == 0)
		return 0;
	if (left > 0)
		atomic_fetch_sub(&bus.fail_after, 1);
	return 1;
}

static void *host_alloc(void *core, size_t bytes)
{
	(void)core;
	void *memory = may_allocate() ? malloc(bytes) : NULL;
	if (memory)
		atomic_fetch_add(&bus.allocations, 1);
	return memory;
}

static void *host_resize(void *core, void *memory, size_t bytes)
{
	(void)core;
	return may_allocate() ? realloc(memory, bytes) : NULL;
}

static void host_free(void *core, void *memory)
{
	(void)core;
	atomic_fetch_sub(&bus.allocations, 1);
	free(memory);
}

static void host_format_id(const uint64_t id_bits[2], char text[FERRY_ID_TEXT_SIZE])
{
	snprintf(text, FERRY_ID_TEXT_SIZE, "%013llx%013llx", (unsigned long long)id_bits[0],
		 (unsigned long long)id_bits[1]);
}

static void host_published(void *core, struct ferry_outgoing *const *outs, size_t count)
{
	(void)core, (void)outs, (void)count;
	CHECK(!"published is never called with PUB_IMMEDIATE");
}

static void host_writable(void *core)
{
	(void)core;
	pthread_mutex_lock(&bus.lock);
	bus.writable++;
	pthread_cond_broadcast(&bus.room);
	pthread_mutex_unlock(&bus.lock);
}

static void host_ready(void *core, void *subscription_core)
{
	struct reader *reader = subscription_core;
	(void)core;
	if (bus.slow_ready)
		sched_yield();
	pthread_mutex_lock(&reader->lock);
	CHECK(!reader->closed);
	reader->ready++;
	pthread_cond_broadcast(&reader->wake);
	pthread_mutex_unlock(&reader->lock);
}

static void host_wake_at(void *core, void *subscription_core, int64_t due_us)
{
	struct reader *reader = subscription_core;
	(void)core;
	pthread_mutex_lock(&reader->lock);
	if (due_us < reader->due_us)
		reader->due_us = due_us;
	pthread_cond_broadcast(&reader->wake);
	pthread_mutex_unlock(&reader->lock);
}

static void host_evicted(void *core, const char *topic, uint64_t count)
{
	(void)core, (void)topic;
	atomic_fetch_add(&bus.evicted, count);
}

static void host_event(void *core, int event, const struct ferry_error *why)
{
	(void)core, (void)event, (void)why;
}

static const struct ferry_host host = {
	.size = sizeof host,
	.abi_major = FERRY_ABI_MAJOR,
	.abi_minor = FERRY_ABI_MINOR,
	.version = "test",
	.log = host_log,
	.now_us = host_now,
	.wall_us = host_wall,
	.alloc = host_alloc,
	.resize = host_resize,
	.free = host_free,
	.format_id = host_format_id,
	.published = host_published,
	.writable = host_writable,
	.ready = host_ready,
	.wake_at = host_wake_at,
	.evicted = host_evicted,
	.event = host_event,
};

/* ---- the bus ---- */

struct limits {
	int64_t queue, queue_bytes, retain, retain_dlq, budget;
};

static int try_connect(struct limits limits)
{
	struct ferry_error err;
	bus.settings[0].number = limits.queue ? limits.queue : 4096;
	bus.settings[1].number = limits.queue_bytes ? limits.queue_bytes : 16 << 20;
	bus.settings[2].number = limits.retain;
	bus.settings[3].number = limits.retain_dlq;
	bus.config = (struct ferry_config){
		.size = sizeof bus.config,
		.settings = bus.settings,
		.memory_budget = limits.budget ? limits.budget : 64 << 20,
	};
	bus.writable = 0;
	bus.real_clock = 0;
	atomic_store(&bus.now_us, 1000);
	atomic_store(&bus.evicted, 0);
	return bus.api->create(&host, &bus, &bus.config, &bus.connection, &err);
}

static void connect_bus(struct limits limits)
{
	struct ferry_error err;
	CHECK_EQ(try_connect(limits), 0);
	CHECK_EQ(bus.api->start(bus.connection, INT64_MAX, &err), 0);
}

#define CONNECT(...) connect_bus((struct limits){__VA_ARGS__})

static void disconnect(void)
{
	CHECK_EQ(bus.api->stop(bus.connection, INT64_MAX), 0);
	bus.api->destroy(bus.connection);
	CHECK_EQ(atomic_load(&bus.allocations), 0);
}

static struct ferry_destination *topic(const char *name)
{
	struct ferry_destination *destination = NULL;
	struct ferry_error err;
	CHECK_EQ(bus.api->destination(bus.connection, name, INT64_MAX, &destination, &err), 0);
	return destination;
}

static struct ferry_source *open_source(const char *group, int distribution)
{
	struct ferry_source_spec spec = {.size = sizeof spec, .group = group, .distribution = distribution};
	struct ferry_source *source = NULL;
	struct ferry_error err;
	CHECK_EQ(bus.api->source_open(bus.connection, &spec, &source, &err), 0);
	return source;
}

static int try_subscribe(struct reader *reader, struct ferry_source *source, const char *name, int start,
			 int max_unsettled)
{
	struct ferry_subscription_spec spec = {.size = sizeof spec,
					       .core = reader,
					       .topic = name,
					       .handler = "",
					       .start = start,
					       .max_unsettled = max_unsettled};
	struct ferry_error err;
	*reader = (struct reader){.source = source, .due_us = INT64_MAX};
	pthread_mutex_init(&reader->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&reader->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	return bus.api->subscribe(source, &spec, &reader->sub, &err);
}

static void start_source(struct ferry_source *source)
{
	struct ferry_error err;
	CHECK_EQ(bus.api->source_start(source, INT64_MAX, &err), 0);
}

/* A source with one subscription, started. */
static void subscribe(struct reader *reader, const char *group, const char *name, int start,
		      int max_unsettled)
{
	struct ferry_source *source = open_source(group, COMPETING);
	CHECK_EQ(try_subscribe(reader, source, name, start, max_unsettled), 0);
	start_source(source);
}

static void count_rest(void *ctx, void *subscription_core, uint64_t dropped)
{
	(void)subscription_core;
	*(uint64_t *)ctx += dropped;
}

static uint64_t close_source(struct ferry_source *source)
{
	uint64_t sum = 0;
	struct ferry_source_rest rest = {.size = sizeof rest, .each = count_rest, .ctx = &sum};
	CHECK_EQ(bus.api->source_stop(source, INT64_MAX, &rest), 0);
	CHECK_EQ(rest.dropped, sum);
	bus.api->source_close(source);
	return sum;
}

/* ---- messages ---- */

static struct ferry_view view(const void *data, size_t size)
{
	return (struct ferry_view){data, size};
}

static struct ferry_outgoing outgoing(const char *name, const void *data, size_t size)
{
	return (struct ferry_outgoing){
		.size = sizeof(struct ferry_outgoing),
		.destination = topic(name),
		.record = {.size = sizeof(struct ferry_record),
			   .payload = view(data, size),
			   .id_bits = {7, 9}},
		.result = -99,
	};
}

/* 1 = stored; 0 = full; negative = the result. */
static int publish_bytes(const char *name, const void *data, size_t size)
{
	struct ferry_outgoing out = outgoing(name, data, size), *list = &out;
	if (!bus.api->publish(bus.connection, &list, 1))
		return 0;
	return out.result ? out.result : 1;
}

static int publish(const char *name, const char *text)
{
	return publish_bytes(name, text, strlen(text));
}

static int publish_numbers(const char *name, int from, int to)
{
	int stored = 0;
	for (int i = from; i < to; i++) {
		char text[16];
		snprintf(text, sizeof text, "%d", i);
		stored += publish(name, text) == 1;
	}
	return stored;
}

#define BATCH 64

struct batch {
	struct ferry_delivery deliveries[BATCH];
	size_t count;
};

static size_t fetch(struct reader *reader, struct batch *batch, size_t max)
{
	struct ferry_delivery *list[BATCH];
	memset(batch, 0, sizeof *batch);
	for (size_t i = 0; i < max; i++) {
		list[i] = &batch->deliveries[i];
		list[i]->size = sizeof *list[i];
		list[i]->record.size = sizeof list[i]->record;
	}
	int count = bus.api->fetch(reader->source, reader->sub, list, max, 0);
	CHECK(count >= 0);
	batch->count = (size_t)count;
	for (size_t i = 0; i < batch->count; i++)
		CHECK(list[i]->subscription == reader);
	return batch->count;
}

static int settle(struct reader *reader, struct ferry_delivery *delivery, int verb, int64_t delay_us,
		  unsigned flags)
{
	struct ferry_settle settle = {
		.delivery = delivery, .verb = verb, .delay_us = delay_us, .flags = flags, .result = -99};
	bus.api->settle(reader->source, &settle, 1);
	return settle.result;
}

static void ack_all(struct reader *reader, struct batch *batch)
{
	struct ferry_settle settles[BATCH];
	for (size_t i = 0; i < batch->count; i++)
		settles[i] =
			(struct ferry_settle){.delivery = &batch->deliveries[i], .verb = FERRY_SETTLE_ACK};
	bus.api->settle(reader->source, settles, batch->count);
	for (size_t i = 0; i < batch->count; i++)
		CHECK_EQ(settles[i].result, 0);
}

static int number(const struct ferry_delivery *delivery)
{
	return atoi(delivery->record.payload.data);
}

/* Fetch and ack everything; the payloads must be from, from + 1 ... to - 1. */
static void expect_numbers(struct reader *reader, int from, int to)
{
	struct batch batch;
	while (fetch(reader, &batch, BATCH)) {
		for (size_t i = 0; i < batch.count; i++)
			CHECK_EQ(number(&batch.deliveries[i]), from++);
		ack_all(reader, &batch);
	}
	CHECK_EQ(from, to);
}

static int is_text(struct ferry_view text, const char *should)
{
	return text.size == strlen(should) && strcmp(text.data, should) == 0;
}

/* ---- tests ---- */

static void carries_every_field(void)
{
	const struct ferry_attribute attributes[] = {{"region", "eu"}, {"empty", ""}};
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	struct ferry_outgoing out = outgoing("t", "a\0b", 3), *list = &out;
	out.record.key = view("k", 1);
	out.record.id = view("id-1", 4);
	out.record.source = view("shop", 4);
	out.record.content_type = view("text/plain", 10);
	out.record.trace_id = view("t1", 2);
	out.record.traceparent = view("00-ab", 5);
	out.record.tracestate = view("x=y", 3);
	out.record.wall_us = 42;
	out.record.attributes = attributes;
	out.record.attribute_count = 2;
	CHECK_EQ(bus.api->publish(bus.connection, &list, 1), 1);
	CHECK_EQ(out.result, 0);
	CHECK_EQ(publish_bytes("t", NULL, 0), 1);

	CHECK_EQ(fetch(&reader, &batch, BATCH), 2);
	const struct ferry_delivery *first = &batch.deliveries[0], *second = &batch.deliveries[1];
	const struct ferry_record *r = &first->record;
	CHECK(is_text(r->topic, "t") && is_text(r->key, "k") && is_text(r->id, "id-1"));
	CHECK(is_text(r->source, "shop") && is_text(r->content_type, "text/plain"));
	CHECK(is_text(r->trace_id, "t1") && is_text(r->traceparent, "00-ab") &&
	      is_text(r->tracestate, "x=y"));
	CHECK(r->payload.size == 3 && memcmp(r->payload.data, "a\0b", 3) == 0);
	CHECK_EQ((uintptr_t)r->payload.data % 16, 0);
	CHECK_EQ(r->wall_us, 42);
	CHECK_EQ(r->attribute_count, 2);
	CHECK(strcmp(r->attributes[0].name, "region") == 0 && strcmp(r->attributes[0].value, "eu") == 0);
	CHECK(strcmp(r->attributes[1].name, "empty") == 0 && strcmp(r->attributes[1].value, "") == 0);
	CHECK_EQ(first->attempt, 1);
	CHECK_EQ(first->first_failed_wall_us, 0);
	CHECK(!second->record.key.data && !second->record.payload.size && !second->record.id.size);
	CHECK(second->record.id_bits[0] == 7 && second->record.id_bits[1] == 9);

	char position[8];
	CHECK_EQ(bus.api->position(reader.source, second, position, sizeof position), 1);
	CHECK(strcmp(position, "1") == 0);
	ack_all(&reader, &batch);
	CHECK_EQ(close_source(reader.source), 0);
	disconnect();
}

/* Nothing is stored for nobody. */
static void stores_nothing_without_a_reader(void)
{
	CONNECT(.queue = 2);
	CHECK_EQ(publish_numbers("t", 0, 100), 100);
	struct reader reader;
	subscribe(&reader, "g", "t", EARLIEST, 0);
	CHECK_EQ(publish_numbers("t", 100, 101), 1);
	expect_numbers(&reader, 100, 101);
	close_source(reader.source);
	disconnect();
}

/* More than a chunk, settled out of order: one late message must not stop the rest. */
static void settles_out_of_order(void)
{
	struct reader reader;
	struct batch late, batch;
	CONNECT(.budget = 256 << 10);
	subscribe(&reader, "g", "t", NEW, 0);
	CHECK_EQ(publish_numbers("t", 0, 1), 1);
	CHECK_EQ(fetch(&reader, &late, BATCH), 1);
	for (int i = 1; i < 20000; i += 50) {
		CHECK_EQ(publish_numbers("t", i, i + 50), 50);
		CHECK_EQ(fetch(&reader, &batch, 50), 50);
		for (size_t k = batch.count; k-- > 0;) {
			CHECK_EQ(number(&batch.deliveries[k]), i + (int)k);
			CHECK_EQ(settle(&reader, &batch.deliveries[k], FERRY_SETTLE_ACK, 0, 0), 0);
		}
	}
	CHECK_EQ(number(&late.deliveries[0]), 0);
	ack_all(&reader, &late);
	close_source(reader.source);
	disconnect();
}

static void retries_when_due_in_order(void)
{
	struct reader reader;
	struct batch batch, again;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	publish_numbers("t", 0, 4);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 4);
	const int64_t delay[] = {3000, 1000, 2000, 1000};
	for (int i = 0; i < 4; i++)
		CHECK_EQ(settle(&reader, &batch.deliveries[i], FERRY_SETTLE_NACK, delay[i], 0), 0);
	CHECK_EQ(reader.due_us, 2000); /* now is 1000 */
	CHECK_EQ(fetch(&reader, &again, BATCH), 0);
	CHECK_EQ(bus.api->arm(reader.sub), 0);

	atomic_store(&bus.now_us, 2000);
	CHECK_EQ(bus.api->arm(reader.sub), 1);
	publish_numbers("t", 4, 5);
	CHECK_EQ(fetch(&reader, &again, BATCH), 3); /* due retries first */
	CHECK_EQ(number(&again.deliveries[0]), 1);
	CHECK_EQ(number(&again.deliveries[1]), 3);
	CHECK_EQ(number(&again.deliveries[2]), 4);
	CHECK_EQ(again.deliveries[0].attempt, 2);
	CHECK_EQ(again.deliveries[0].first_failed_wall_us, 1700000000001000);
	CHECK_EQ(settle(&reader, &again.deliveries[0], FERRY_SETTLE_NACK, 500, 0), 0);
	CHECK_EQ(settle(&reader, &again.deliveries[1], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &again.deliveries[2], FERRY_SETTLE_ACK, 0, 0), 0);

	atomic_store(&bus.now_us, 10000);
	CHECK_EQ(fetch(&reader, &again, BATCH), 3);
	CHECK_EQ(number(&again.deliveries[0]), 1);
	CHECK_EQ(again.deliveries[0].attempt, 3);
	CHECK_EQ(again.deliveries[0].first_failed_wall_us, 1700000000001000);
	CHECK_EQ(number(&again.deliveries[1]), 2);
	CHECK_EQ(number(&again.deliveries[2]), 0);
	ack_all(&reader, &again);
	CHECK_EQ(close_source(reader.source), 0);
	disconnect();
}

static void hands_back_in_front_with_the_same_attempt(void)
{
	struct reader reader;
	struct batch batch, again;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	publish_numbers("t", 0, 6);
	CHECK_EQ(fetch(&reader, &batch, 4), 4);
	CHECK_EQ(bus.api->arm(reader.sub), 1); /* two are left */
	for (int i = 3; i > 0; i--)
		CHECK_EQ(settle(&reader, &batch.deliveries[i], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(fetch(&reader, &again, BATCH), 5);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(number(&again.deliveries[i]), i + 1);
		CHECK_EQ(again.deliveries[i].attempt, 1);
	}
	/* A held retry that is handed back keeps the attempt that it waited for. */
	struct ferry_settle hold = {
		.delivery = &batch.deliveries[0], .verb = FERRY_SETTLE_HOLD, .attempt = 4};
	bus.api->settle(reader.source, &hold, 1);
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_EXTEND, 0, 0), 0);
	CHECK_EQ(reader.ready, 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(reader.ready, 1);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 1);
	CHECK_EQ(batch.deliveries[0].attempt, 4);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	ack_all(&reader, &again);
	CHECK_EQ(close_source(reader.source), 1); /* what was handed back is dropped by the stop */
	disconnect();
}

static void refuses_a_second_settle(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	publish_numbers("t", 0, 1);
	fetch(&reader, &batch, 1);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_NACK, 0, 0), FERRY_E_STALE);
	CHECK_EQ(fetch(&reader, &batch, 1), 0);
	close_source(reader.source);
	disconnect();
}

static void gives_each_broadcast_reader_everything(void)
{
	struct reader a, b, late;
	struct batch batch;
	CONNECT(.queue = 8);
	struct ferry_source *source = open_source("svc", BROADCAST);
	CHECK_EQ(try_subscribe(&a, source, "t", NEW, 0), 0);
	CHECK_EQ(try_subscribe(&b, source, "t", NEW, 0), 0);
	start_source(source);
	CHECK_EQ(publish_numbers("t", 0, 10),
		 8); /* the slowest reader counts, and half a broadcast there is not */
	expect_numbers(&a, 0, 8);
	CHECK_EQ(publish("t", "8"), 0);
	CHECK_EQ(fetch(&b, &batch, 3), 3);
	CHECK_EQ(bus.writable, 0);
	ack_all(&b, &batch);
	CHECK_EQ(fetch(&b, &batch, 1), 1);
	CHECK_EQ(bus.writable, 1);
	ack_all(&b, &batch);
	subscribe(&late, "g", "t", NEW, 0);
	CHECK_EQ(publish_numbers("t", 8, 9), 1);
	expect_numbers(&a, 8, 9);
	expect_numbers(&b, 4, 9);
	expect_numbers(&late, 8, 9);
	close_source(late.source);
	CHECK_EQ(close_source(source), 0);
	disconnect();
}

static void bounds_the_queue_and_says_when_there_is_room(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(.queue = 4);
	subscribe(&reader, "g", "t", NEW, 0);
	struct ferry_outgoing outs[6], *list[6];
	for (int i = 0; i < 6; i++) {
		outs[i] = outgoing("t", "0", 1);
		list[i] = &outs[i];
	}
	CHECK_EQ(bus.api->publish(bus.connection, list, 6), 4);
	CHECK_EQ(outs[3].result, 0);
	CHECK_EQ(outs[4].result, -99);
	CHECK_EQ(fetch(&reader, &batch, 1), 1);
	CHECK_EQ(bus.writable, 0);
	ack_all(&reader, &batch);
	CHECK_EQ(fetch(&reader, &batch, 1), 1); /* taken counts, not settled */
	CHECK_EQ(bus.writable, 1);
	ack_all(&reader, &batch);
	CHECK_EQ(bus.api->publish(bus.connection, list + 4, 2), 2);
	CHECK_EQ(publish("t", "x"), 0);
	CHECK_EQ(close_source(reader.source), 4); /* and then nobody holds publishers back */
	CHECK_EQ(bus.writable, 2);
	CHECK_EQ(publish("t", "x"), 1);
	disconnect();
}

static void bounds_the_bytes_of_the_queue(void)
{
	static char big[100000];
	struct reader reader;
	struct batch batch;
	CONNECT(.queue_bytes = 10000, .budget = 300000);
	subscribe(&reader, "g", "t", NEW, 0);
	CHECK_EQ(publish_bytes("t", big, sizeof big), 1); /* one is always let in */
	CHECK_EQ(publish("t", "1"), 0);
	CHECK_EQ(fetch(&reader, &batch, 1), 1);
	CHECK_EQ(bus.writable, 1);
	CHECK_EQ(batch.deliveries[0].record.payload.size, sizeof big);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(publish_bytes("t", big, 3000), 1);
	CHECK_EQ(publish_bytes("t", big, 3000), 0);
	ack_all(&reader, &batch);
	while (fetch(&reader, &batch, 1))
		ack_all(&reader, &batch);
	CHECK_EQ(publish_bytes("t", big, 400000), FERRY_E_REJECTED); /* can never be held */
	close_source(reader.source);
	disconnect();
}

static void bounds_the_memory_of_the_connection(void)
{
	static char big[8000];
	struct reader reader, other;
	struct batch batch, held;
	CONNECT(.budget = 64 << 10);
	subscribe(&reader, "g", "t", NEW, 0);
	subscribe(&other, "g", "other", NEW, 0);
	int stored = 0;
	while (publish_bytes("t", big, sizeof big) == 1)
		stored++;
	CHECK(stored >= 4 && stored <= 8);
	CHECK_EQ(publish("other", "x"), 0); /* all topics share it */
	CHECK_EQ(fetch(&reader, &held, BATCH), stored);
	CHECK_EQ(publish("other", "x"), 0);
	/* A failure never lacks memory. */
	for (int i = 0; i < stored; i++)
		CHECK_EQ(settle(&reader, &held.deliveries[i], FERRY_SETTLE_NACK, 10, 0), 0);
	CHECK_EQ(bus.api->arm(reader.sub), 0); /* it lets go of the chunk that it stood in */
	atomic_store(&bus.now_us, 5000);
	CHECK_EQ(fetch(&reader, &batch, BATCH), stored);
	ack_all(&reader, &batch);
	CHECK_EQ(bus.writable, 1);
	CHECK_EQ(publish("other", "0"), 1);
	expect_numbers(&other, 0, 1);
	close_source(reader.source);
	close_source(other.source);
	disconnect();
}

/* What is only retained gives way to what is to be delivered. */
static void gives_up_retained_messages_for_memory(void)
{
	static char big[8000];
	struct reader reader;
	struct batch batch;
	CONNECT(.budget = 64 << 10, .retain_dlq = 10000);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(publish_bytes("dlq.g.t", big, sizeof big), 1);
	CHECK(atomic_load(&bus.evicted) >= 92);
	subscribe(&reader, "g", "t", NEW, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(publish_bytes("t", big, sizeof big), 1);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 4);
	ack_all(&reader, &batch);
	close_source(reader.source);
	disconnect();
}

static void stops_at_max_unsettled_but_for_retries(void)
{
	struct reader reader;
	struct batch batch, again;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 3);
	publish_numbers("t", 0, 6);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 3);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_NACK, 1000, 0), 0);
	CHECK_EQ(fetch(&reader, &again, BATCH), 0); /* a waiting retry counts */
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	publish_numbers("t", 6, 7);
	atomic_store(&bus.now_us, 3000);
	CHECK_EQ(fetch(&reader, &again, BATCH), 1); /* the retry alone */
	CHECK_EQ(number(&again.deliveries[0]), 0);
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	int ready = reader.ready;
	ack_all(&reader, &again);
	CHECK_EQ(reader.ready, ready + 1); /* below the bound: wakes the one that was armed */
	CHECK_EQ(fetch(&reader, &again, BATCH), 1);
	CHECK_EQ(number(&again.deliveries[0]), 3);
	ack_all(&reader, &again);
	CHECK_EQ(settle(&reader, &batch.deliveries[1], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[2], FERRY_SETTLE_REJECT, 0, 0), 0);
	expect_numbers(&reader, 4, 7);
	close_source(reader.source);
	disconnect();
}

static void wakes_an_armed_reader_once(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	CHECK_EQ(publish("t", "0"), 1);
	CHECK_EQ(reader.ready, 0);
	CHECK_EQ(bus.api->arm(reader.sub), 1);
	CHECK_EQ(publish("t", "1"), 1);
	CHECK_EQ(reader.ready, 0); /* not armed: there was something */
	expect_numbers(&reader, 0, 2);
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	CHECK_EQ(publish_numbers("t", 2, 4), 2);
	CHECK_EQ(reader.ready, 1);
	expect_numbers(&reader, 2, 4);

	publish_numbers("t", 4, 5);
	CHECK_EQ(fetch(&reader, &batch, 1), 1);
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_NACK, 0, 0), 0);
	CHECK_EQ(reader.ready, 2);
	expect_numbers(&reader, 4, 5);
	close_source(reader.source);
	disconnect();
}

/* Many more readers than are woken at a time. */
static void wakes_a_thousand_readers(void)
{
	static struct reader readers[1000];
	CONNECT(0);
	struct ferry_source *source = open_source("svc", BROADCAST);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(try_subscribe(&readers[i], source, "t", NEW, 0), 0);
	start_source(source);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++)
			CHECK_EQ(bus.api->arm(readers[i].sub), 0);
		CHECK_EQ(publish("t", "0"), 1);
		for (int i = 0; i < 1000; i++) {
			CHECK_EQ(readers[i].ready, round + 1);
			expect_numbers(&readers[i], 0, 1);
			if (i == 0)
				CHECK_EQ(bus.api->arm(readers[i].sub), 0);
		}
	}
	close_source(source);
	disconnect();
}

static void retains_the_newest(void)
{
	struct reader reader, again;
	struct batch batch;
	CONNECT(.retain = 10);
	CHECK_EQ(publish_numbers("t", 0, 25), 25); /* for nobody, yet kept */
	CHECK_EQ(atomic_load(&bus.evicted), 15);
	subscribe(&reader, "g", "t", EARLIEST, 0);
	expect_numbers(&reader, 15, 25);
	/* What a reader has not taken is not evicted. */
	CHECK_EQ(publish_numbers("t", 25, 45), 20);
	CHECK_EQ(atomic_load(&bus.evicted), 30 - 5); /* 25..34 are queued, 0..24 have gone */
	CHECK_EQ(fetch(&reader, &batch, 4), 4);
	CHECK_EQ(atomic_load(&bus.evicted), 29);
	expect_numbers(&reader, 29, 45);
	CHECK_EQ(atomic_load(&bus.evicted), 35);
	CHECK_EQ(number(&batch.deliveries[0]), 25); /* evicted, and still in our hands */
	ack_all(&reader, &batch);
	subscribe(&again, "h", "t", EARLIEST, 0);
	expect_numbers(&again, 35, 45);
	close_source(again.source);
	subscribe(&again, "i", "t", NEW, 0);
	expect_numbers(&again, 45, 45);
	close_source(again.source);
	close_source(reader.source);
	disconnect();
}

/* A reader that starts far behind holds publishers back like any other. */
static void counts_a_backlog_as_queued(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(.retain = 10, .queue = 4);
	CHECK_EQ(publish_numbers("t", 0, 10), 10);
	subscribe(&reader, "g", "t", EARLIEST, 0);
	CHECK_EQ(publish("t", "10"), 0);
	CHECK_EQ(fetch(&reader, &batch, 8), 8);
	CHECK_EQ(bus.writable, 1);
	ack_all(&reader, &batch);
	CHECK_EQ(publish("t", "10"), 1);
	expect_numbers(&reader, 8, 11);
	close_source(reader.source);
	disconnect();
}

static void keeps_views_until_release(void)
{
	struct reader reader;
	struct batch batch, more;
	CONNECT(.budget = 200 << 10);
	subscribe(&reader, "g", "t", NEW, 0);
	const int verbs[] = {FERRY_SETTLE_ACK, FERRY_SETTLE_NACK, FERRY_SETTLE_HANDBACK, FERRY_SETTLE_REJECT};
	publish_numbers("t", 0, 4);
	CHECK_EQ(fetch(&reader, &batch, 4), 4);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(settle(&reader, &batch.deliveries[i], verbs[i], 100, FERRY_SETTLE_KEEP), 0);
	CHECK_EQ(fetch(&reader, &more, BATCH), 1);
	CHECK_EQ(number(&more.deliveries[0]), 2);
	ack_all(&reader, &more);
	atomic_store(&bus.now_us, 5000);
	CHECK_EQ(fetch(&reader, &more, BATCH), 1);
	CHECK_EQ(number(&more.deliveries[0]), 1);
	ack_all(&reader, &more);
	for (int i = 4; i < 5000; i += 50) { /* other messages come and go */
		publish_numbers("t", i, i + 50);
		expect_numbers(&reader, i, i + 50);
		CHECK_EQ(bus.api->arm(reader.sub), 0); /* so that chunks are reused from the smallest on */
	}
	struct ferry_delivery *list[4];
	for (int i = 0; i < 4; i++) {
		list[i] = &batch.deliveries[i];
		CHECK_EQ(number(list[i]), i);
	}
	bus.api->release(reader.source, list, 4);
	close_source(reader.source);
	disconnect();
}

static int dead_letter(struct reader *reader, struct ferry_delivery *delivery, const char *name)
{
	struct ferry_outgoing dead = outgoing(name, NULL, 0);
	dead.record = delivery->record;
	bus.api->dead_letter(reader->source, delivery, &dead);
	return dead.result;
}

static void moves_dead_letters(void)
{
	struct reader reader, dlq;
	struct batch batch;
	struct ferry_delivery *list[2] = {&batch.deliveries[0], &batch.deliveries[1]};
	CONNECT(.retain_dlq = 3, .queue = 2);
	subscribe(&reader, "g", "t", NEW, 1);
	for (int i = 0; i < 4; i += 2) {
		publish_numbers("t", i, i + 2);
		CHECK_EQ(fetch(&reader, &batch, BATCH), 1);
		CHECK_EQ(dead_letter(&reader, &batch.deliveries[0], "dlq.g.t"), 0);
		CHECK_EQ(dead_letter(&reader, &batch.deliveries[0], "dlq.g.t"), FERRY_E_STALE);
		CHECK_EQ(number(&batch.deliveries[0]), i);
		bus.api->release(reader.source, list, 1);
		CHECK_EQ(fetch(&reader, &batch, BATCH), 1); /* it no longer counts as unsettled */
		CHECK_EQ(dead_letter(&reader, &batch.deliveries[0], "failed"), 0);
		bus.api->release(reader.source, list, 1);
	}
	subscribe(&dlq, "ops", "dlq.g.t", EARLIEST, 0);
	CHECK_EQ(fetch(&dlq, &batch, BATCH), 2);
	CHECK_EQ(number(&batch.deliveries[0]), 0);
	CHECK_EQ(number(&batch.deliveries[1]), 2);
	CHECK(is_text(batch.deliveries[1].record.topic, "dlq.g.t"));
	ack_all(&dlq, &batch);
	close_source(dlq.source);
	subscribe(&dlq, "ops", "failed", EARLIEST, 0); /* retained whatever its name is */
	CHECK_EQ(fetch(&dlq, &batch, BATCH), 2);
	CHECK_EQ(number(&batch.deliveries[1]), 3);
	ack_all(&dlq, &batch);
	/* A full queue of dead letters does not stop them: their memory was held already. */
	for (int i = 10; i < 16; i++) {
		publish_numbers("t", i, i + 1);
		CHECK_EQ(fetch(&reader, &batch, 1), 1);
		CHECK_EQ(dead_letter(&reader, &batch.deliveries[0], "failed"), 0);
		bus.api->release(reader.source, list, 1);
	}
	expect_numbers(&dlq, 10, 16);
	close_source(dlq.source);
	close_source(reader.source);
	disconnect();
}

static void resumes_a_group(void)
{
	struct reader reader, twin;
	struct batch batch;
	CONNECT(.retain = 6);
	subscribe(&reader, "g", "t", NEW, 0);
	struct ferry_source *other = open_source("g", COMPETING);
	CHECK_EQ(try_subscribe(&twin, other, "t", NEW, 0), FERRY_E_STATE);
	close_source(other);
	publish_numbers("t", 0, 8);
	CHECK_EQ(fetch(&reader, &batch, 6), 6);
	CHECK_EQ(settle(&reader, &batch.deliveries[1], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[3], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[4], FERRY_SETTLE_NACK, 100, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[2], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[5], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(close_source(reader.source), 2 + 3);
	publish_numbers("t", 8, 9); /* 3..8 are retained: 1 has gone */
	atomic_store(&bus.now_us, 9000);
	subscribe(&reader, "g", "t", NEW, 0);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 5);
	const int should[] = {3, 4, 6, 7, 8}, attempt[] = {1, 2, 1, 1, 1};
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(number(&batch.deliveries[i]), should[i]);
		CHECK_EQ(batch.deliveries[i].attempt, attempt[i]);
	}
	ack_all(&reader, &batch);
	close_source(reader.source);
	publish_numbers("t", 9, 30); /* a group that is away holds nothing back */
	subscribe(&reader, "g", "t", NEW, 0);
	expect_numbers(&reader, 24, 30);
	close_source(reader.source);
	disconnect();
}

static void carries_big_and_small(void)
{
	static unsigned char bytes[300000];
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 7);
	const size_t sizes[] = {1, 0, 4000, 65000, 16, 70000, 300000, 5};
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < 8; i++)
			CHECK_EQ(publish_bytes("t", bytes, sizes[i]), 1);
		CHECK_EQ(fetch(&reader, &batch, BATCH), 8);
		for (size_t i = 0; i < 8; i++) {
			CHECK_EQ(batch.deliveries[i].record.payload.size, sizes[i]);
			CHECK(!sizes[i] || !memcmp(batch.deliveries[i].record.payload.data, bytes, sizes[i]));
			CHECK_EQ(settle(&reader, &batch.deliveries[i],
					round & 1 ? FERRY_SETTLE_NACK : FERRY_SETTLE_ACK, 0, 0),
				 0);
		}
		if (round & 1) {
			CHECK_EQ(fetch(&reader, &batch, BATCH), 8);
			for (size_t i = 0; i < 8; i++)
				CHECK(!sizes[i] ||
				      !memcmp(batch.deliveries[i].record.payload.data, bytes, sizes[i]));
			ack_all(&reader, &batch);
		}
	}
	CHECK_EQ(close_source(reader.source), 0);
	disconnect();
}

/* A thousand topics must not need a thousand chunks of full size, nor any when they are idle. */
static void is_cheap_for_quiet_topics(void)
{
	static struct reader readers[1000];
	char name[32];
	CONNECT(.budget = 5 << 20);
	struct ferry_source *source = open_source("g", COMPETING);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "t%d", i);
		CHECK_EQ(try_subscribe(&readers[i], source, name, NEW, 0), 0);
	}
	start_source(source);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "t%d", i);
		CHECK_EQ(publish(name, "0"), 1);
	}
	for (int i = 0; i < 1000; i++) {
		expect_numbers(&readers[i], 0, 1);
		CHECK_EQ(bus.api->arm(readers[i].sub), 0);
	}
	static char big[4 << 20];
	CHECK_EQ(publish_bytes("t0", big, sizeof big), 1);
	CHECK_EQ(close_source(source), 1);
	disconnect();
}

/* ---- allocation failures ---- */

/* Every allocation of a short life fails once: an error or less work, but nothing lost and nothing leaked. */
static int life_with_failures(long succeed)
{
	struct reader reader;
	struct batch batch;
	struct ferry_error err;
	struct ferry_source *source = NULL;
	struct ferry_source_spec spec = {.size = sizeof spec, .group = "g", .distribution = COMPETING};
	struct ferry_destination *destination;
	int failed = 1;

	atomic_store(&bus.fail_after, succeed);
	if (try_connect((struct limits){0}))
		goto done;
	CHECK_EQ(bus.api->start(bus.connection, INT64_MAX, &err), 0);
	if (bus.api->source_open(bus.connection, &spec, &source, &err))
		goto disconnect;
	if (try_subscribe(&reader, source, "t", NEW, 0) ||
	    bus.api->destination(bus.connection, "t", INT64_MAX, &destination, &err))
		goto close;
	start_source(source);
	failed = 0;
	int results[3], stored = 0;
	for (int i = 0; i < 3; i++) {
		results[i] = publish("t", "0");
		CHECK(results[i] == 1 || results[i] == FERRY_E_NOMEM);
		stored += results[i] == 1;
		failed |= results[i] != 1;
	}
	struct ferry_delivery *list[1] = {&batch.deliveries[0]};
	for (int i = 0; i < stored; i++) {
		batch.deliveries[0].size = sizeof batch.deliveries[0];
		int got = bus.api->fetch(source, reader.sub, list, 1, 0);
		if (got == FERRY_E_NOMEM) {
			failed = 1;
			atomic_store(&bus.fail_after, -1);
			got = bus.api->fetch(source, reader.sub, list, 1, 0);
		}
		CHECK_EQ(got, 1);
		long before = atomic_load(&bus.fail_after);
		CHECK_EQ(settle(&reader, list[0], FERRY_SETTLE_NACK, 10, 0), 0);
		failed |= before == 0; /* the copy could not be made */
	}
	atomic_store(&bus.now_us, 9000);
	CHECK_EQ(fetch(&reader, &batch, BATCH), stored);
	for (int i = 0; i < stored; i++) {
		CHECK_EQ(number(&batch.deliveries[i]), 0);
		CHECK_EQ(batch.deliveries[i].attempt, 2);
	}
	atomic_store(&bus.fail_after, -1);
	ack_all(&reader, &batch);
close:
	CHECK_EQ(close_source(source), 0);
disconnect:
	disconnect();
done:
	atomic_store(&bus.fail_after, -1);
	CHECK_EQ(atomic_load(&bus.allocations), 0);
	return failed;
}

static void survives_every_allocation_failure(void)
{
	long n = 0;
	while (life_with_failures(n))
		CHECK(++n < 100);
	CHECK(n >= 8);
}

/* ---- stress ---- */

#define STRESS_LIMIT_US 30000000 /* no progress within this is a lost wake-up */

struct stress {
	int messages, readers, workers; /* `workers` threads on each reader's cursor */
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

static void *stress_publisher(void *arg)
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
static void stress_sleep(struct stress *s, struct reader *reader, int which)
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

static void stress_handle(struct stress *s, int which, struct batch *batch)
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

struct stress_thread {
	struct stress *stress;
	int which;
};

static void *stress_worker(void *arg)
{
	struct stress_thread *t = arg;
	struct stress *s = t->stress;
	struct reader *reader = &s->reader[t->which];
	struct batch batch;
	while (atomic_load(&s->left[t->which]) > 0) {
		size_t max = 1 + atomic_fetch_add(&s->seed, 1) % 4;
		if (fetch(reader, &batch, max))
			stress_handle(s, t->which, &batch);
		else if (!bus.api->arm(reader->sub))
			stress_sleep(s, reader, t->which);
	}
	host_ready(NULL, reader);
	return NULL;
}

static void stress_run(struct stress *s, void *(*publisher_main)(void *), int queue, int max_unsettled,
		       int64_t budget)
{
	pthread_t publisher, workers[4];
	struct stress_thread threads[4];
	CONNECT(.queue = queue, .budget = budget);
	bus.real_clock = 1;
	s->deadline_us = read_clock() + STRESS_LIMIT_US;
	struct ferry_source *source = open_source("g", s->readers > 1 ? BROADCAST : COMPETING);
	for (int r = 0; r < s->readers; r++) {
		CHECK_EQ(try_subscribe(&s->reader[r], source, "t", NEW, max_unsettled), 0);
		s->seen[r] = calloc((size_t)s->messages, 1);
		atomic_store(&s->left[r], s->messages);
	}
	start_source(source);
	int count = s->readers * s->workers;
	for (int i = 0; i < count; i++) {
		threads[i] = (struct stress_thread){s, i % s->readers};
		CHECK_EQ(pthread_create(&workers[i], NULL, stress_worker, &threads[i]), 0);
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
			stress_run(&one, stress_publisher, queue, max_unsettled, 0);
			struct stress shared = {.messages = 10000, .readers = 1, .workers = 2};
			stress_run(&shared, stress_publisher, queue, max_unsettled, 0);
			struct stress broadcast = {.messages = 10000, .readers = 2, .workers = 1};
			stress_run(&broadcast, stress_publisher, queue, max_unsettled, 0);
		}
	}
	/* The budget is the tightest bound. */
	struct stress tight = {.messages = 20000, .readers = 2, .workers = 1};
	stress_run(&tight, stress_publisher, 4096, 0, 8000);
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
	struct stress s = {.messages = 100000, .readers = 1, .workers = 1, .seed = 1000};
	stress_run(&s, step_publisher, 8, 0, 0);
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
	_Atomic int stop = 0;
	pthread_t publisher;
	CONNECT(.queue = 4);
	bus.slow_ready = 1;
	CHECK_EQ(pthread_create(&publisher, NULL, endless_publisher, &stop), 0);
	for (int i = 0; i < 2000; i++) {
		subscribe(&readers[i], "g", "t", NEW, 0);
		bus.api->arm(readers[i].sub);
		for (volatile int spin = i % 512; spin > 0; spin--)
			;
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

/* ---- main ---- */

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
#define TEST(name)          \
	{                   \
#name, name \
	}
	TEST(carries_every_field),
	TEST(stores_nothing_without_a_reader),
	TEST(settles_out_of_order),
	TEST(retries_when_due_in_order),
	TEST(hands_back_in_front_with_the_same_attempt),
	TEST(refuses_a_second_settle),
	TEST(gives_each_broadcast_reader_everything),
	TEST(bounds_the_queue_and_says_when_there_is_room),
	TEST(bounds_the_bytes_of_the_queue),
	TEST(bounds_the_memory_of_the_connection),
	TEST(gives_up_retained_messages_for_memory),
	TEST(stops_at_max_unsettled_but_for_retries),
	TEST(wakes_an_armed_reader_once),
	TEST(wakes_a_thousand_readers),
	TEST(retains_the_newest),
	TEST(counts_a_backlog_as_queued),
	TEST(keeps_views_until_release),
	TEST(moves_dead_letters),
	TEST(resumes_a_group),
	TEST(carries_big_and_small),
	TEST(is_cheap_for_quiet_topics),
	TEST(survives_every_allocation_failure),
	TEST(loses_no_wake_up),
	TEST(wakes_for_each_message),
	TEST(calls_nobody_after_stop),
};

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		exit(2);
	}
	void *symbol = dlsym(library, FERRY_TRANSPORT_ENTRY);
	ferry_transport_entry_fn *entry;
	CHECK(symbol);
	memcpy(&entry, &symbol, sizeof entry);
	bus.api = entry(&host);
	CHECK(bus.api && strcmp(bus.api->name, "memory") == 0);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: memory_test PATH\n");
		return 2;
	}
	load(argv[1]);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		tests[i].run();
		printf("ok %s\n", tests[i].name);
		fflush(stdout);
	}
	return 0;
}
