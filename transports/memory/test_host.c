#include "test_host.h"

#include <dlfcn.h>
#include <time.h>

struct bus bus = {.fail_after = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the host ---- */

int64_t read_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
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

void host_ready(void *core, void *subscription_core)
{
	struct reader *reader = subscription_core;
	(void)core;
	atomic_store(&bus.in_ready, 1);
	for (volatile int spin = bus.slow_ready; spin > 0; spin--)
		;
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

int try_connect(struct limits limits)
{
	struct ferry_error err;
	bus.settings[0].number = limits.queue ? limits.queue : 4096;
	bus.settings[1].number = limits.queue_bytes ? limits.queue_bytes : 16 << 20;
	bus.settings[2].number = limits.retain;
	bus.settings[3].number = limits.retain_dlq;
	bus.config = (struct ferry_config){
		.size = sizeof bus.config,
		.hosts = "",
		.path = "",
		.settings = bus.settings,
		.service = "service",
		.memory_budget = limits.budget ? limits.budget : 64 << 20,
	};
	bus.writable = 0;
	bus.real_clock = 0;
	atomic_store(&bus.now_us, 1000);
	atomic_store(&bus.evicted, 0);
	return bus.api->create(&host, &bus, &bus.config, &bus.connection, &err);
}

void connect_bus(struct limits limits)
{
	struct ferry_error err;
	CHECK_EQ(try_connect(limits), 0);
	CHECK_EQ(bus.api->start(bus.connection, INT64_MAX, &err), 0);
}

void disconnect(void)
{
	CHECK_EQ(bus.api->stop(bus.connection, INT64_MAX), 0);
	bus.api->destroy(bus.connection);
	CHECK_EQ(atomic_load(&bus.allocations), 0);
}

struct ferry_destination *topic(const char *name)
{
	struct ferry_destination *destination = NULL;
	struct ferry_error err;
	CHECK_EQ(bus.api->destination(bus.connection, name, INT64_MAX, &destination, &err), 0);
	return destination;
}

struct ferry_source *open_source(const char *group, int distribution)
{
	struct ferry_source_spec spec = {.size = sizeof spec, .group = group, .distribution = distribution};
	struct ferry_source *source = NULL;
	struct ferry_error err;
	CHECK_EQ(bus.api->source_open(bus.connection, &spec, &source, &err), 0);
	return source;
}

int try_subscribe(struct reader *reader, struct ferry_source *source, const char *name, int start,
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
	cond_init(&reader->wake);
	return bus.api->subscribe(source, &spec, &reader->sub, &err);
}

void start_source(struct ferry_source *source)
{
	struct ferry_error err;
	CHECK_EQ(bus.api->source_start(source, INT64_MAX, &err), 0);
}

void subscribe(struct reader *reader, const char *group, const char *name, int start, int max_unsettled)
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

uint64_t close_source(struct ferry_source *source)
{
	uint64_t sum = 0;
	struct ferry_source_rest rest = {.size = sizeof rest, .each = count_rest, .ctx = &sum};
	CHECK_EQ(bus.api->source_stop(source, INT64_MAX, &rest), 0);
	CHECK_EQ(rest.dropped, sum);
	bus.api->source_close(source);
	return sum;
}

/* ---- messages ---- */

struct ferry_view view(const void *data, size_t size)
{
	return (struct ferry_view){data, size};
}

struct ferry_outgoing outgoing(const char *name, const void *data, size_t size)
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

int publish_bytes(const char *name, const void *data, size_t size)
{
	struct ferry_outgoing out = outgoing(name, data, size), *list = &out;
	if (!bus.api->publish(bus.connection, &list, 1))
		return 0;
	return out.result ? out.result : 1;
}

int publish(const char *name, const char *text)
{
	return publish_bytes(name, text, strlen(text));
}

int publish_numbers(const char *name, int from, int to)
{
	int stored = 0;
	for (int i = from; i < to; i++) {
		char text[16];
		snprintf(text, sizeof text, "%d", i);
		stored += publish(name, text) == 1;
	}
	return stored;
}

size_t fetch(struct reader *reader, struct batch *batch, size_t max)
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

int settle(struct reader *reader, struct ferry_delivery *delivery, int verb, int64_t delay_us, unsigned flags)
{
	struct ferry_settle settle = {
		.delivery = delivery, .verb = verb, .delay_us = delay_us, .flags = flags, .result = -99};
	bus.api->settle(reader->source, &settle, 1);
	return settle.result;
}

void ack_all(struct reader *reader, struct batch *batch)
{
	struct ferry_settle settles[BATCH];
	for (size_t i = 0; i < batch->count; i++)
		settles[i] =
			(struct ferry_settle){.delivery = &batch->deliveries[i], .verb = FERRY_SETTLE_ACK};
	bus.api->settle(reader->source, settles, batch->count);
	for (size_t i = 0; i < batch->count; i++)
		CHECK_EQ(settles[i].result, 0);
}

int number(const struct ferry_delivery *delivery)
{
	return atoi(delivery->record.payload.data);
}

void expect_numbers(struct reader *reader, int from, int to)
{
	struct batch batch;
	while (fetch(reader, &batch, BATCH)) {
		for (size_t i = 0; i < batch.count; i++)
			CHECK_EQ(number(&batch.deliveries[i]), from++);
		ack_all(reader, &batch);
	}
	CHECK_EQ(from, to);
}

int is_text(struct ferry_view text, const char *should)
{
	return text.size == strlen(should) && strcmp(text.data, should) == 0;
}

/* ---- running ---- */

void load(const char *plugin)
{
	void *library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
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
	cond_init(&bus.room);
}

int run_tests(const struct test *tests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		tests[i].run();
		printf("ok %s\n", tests[i].name);
		fflush(stdout);
	}
	return 0;
}
