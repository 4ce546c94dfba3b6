#include "test_host.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct ferry_transport *plugin;

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list values;
	va_start(values, format);
	fprintf(stderr, "%s:%d: ", file, line);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
	va_end(values);
	_exit(1);
}

void test_load(const char *path)
{
	union { /* an object pointer is no function pointer in C, but is in POSIX */
		void *object;
		ferry_transport_entry_fn *function;
	} entry;
	static const struct ferry_host nobody = {.size = sizeof nobody};
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!library)
		test_fail(__FILE__, __LINE__, "%s", dlerror());
	entry.object = dlsym(library, FERRY_TRANSPORT_ENTRY);
	CHECK(entry.object);
	plugin = entry.function(&nobody);
	CHECK(plugin && plugin->size == sizeof *plugin);
}

/* ---- time ---- */

int64_t test_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool test_wait(bool (*condition)(void *ctx), void *ctx)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	int64_t until = test_now_us() + WAIT_MS * INT64_C(1000);
	while (!condition(ctx)) {
		if (test_now_us() > until)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* ---- the host table ---- */

static void host_log(void *core, int level, const char *text)
{
	(void)core;
	fprintf(stderr, "log %d: %s\n", level, text);
}

static int64_t host_now(void *core)
{
	struct rig *rig = core;
	pthread_mutex_lock(&rig->lock);
	int64_t manual = rig->manual_us;
	pthread_mutex_unlock(&rig->lock);
	return test_now_us() + manual;
}

static int64_t host_wall(void *core)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct rig *rig = core;
	pthread_mutex_lock(&rig->lock);
	int64_t manual = rig->manual_us;
	pthread_mutex_unlock(&rig->lock);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + manual;
}

static bool may_allocate(struct rig *rig, bool is_new)
{
	pthread_mutex_lock(&rig->lock);
	bool fails = rig->fail_at == 0;
	if (rig->fail_at >= 0)
		rig->fail_at--;
	rig->failed = rig->failed || fails;
	if (is_new && !fails)
		rig->blocks++;
	pthread_mutex_unlock(&rig->lock);
	return !fails;
}

static void *host_alloc(void *core, size_t bytes)
{
	return may_allocate(core, true) ? malloc(bytes) : NULL;
}

static void *host_resize(void *core, void *memory, size_t bytes)
{
	return may_allocate(core, !memory) ? realloc(memory, bytes) : NULL;
}

static void host_free(void *core, void *memory)
{
	struct rig *rig = core;
	pthread_mutex_lock(&rig->lock);
	rig->blocks -= memory != NULL;
	pthread_mutex_unlock(&rig->lock);
	free(memory);
}

static void host_format_id(const uint64_t bits[2], char text[FERRY_ID_TEXT_SIZE])
{
	snprintf(text, FERRY_ID_TEXT_SIZE, "%010llx%016llx", (unsigned long long)(bits[0] & 0xFFFFFFFFFF),
		 (unsigned long long)bits[1]);
}

static void host_published(void *core, struct ferry_outgoing *const *outs, size_t count)
{
	struct rig *rig = core;
	for (size_t i = 0; i < count; i++) /* each exactly once */
		CHECK_EQ(((struct letter *)(void *)outs[i])->results++, 0);
	pthread_mutex_lock(&rig->lock);
	rig->published += count;
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
}

static void host_writable(void *core)
{
	struct rig *rig = core;
	pthread_mutex_lock(&rig->lock);
	rig->writable++;
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
}

static void host_evicted(void *core, const char *topic, uint64_t count)
{
	struct rig *rig = core;
	CHECK(*topic);
	pthread_mutex_lock(&rig->lock);
	rig->evicted += count;
	pthread_mutex_unlock(&rig->lock);
}

static void host_event(void *core, int event, const struct ferry_error *why)
{
	struct rig *rig = core;
	pthread_mutex_lock(&rig->lock);
	rig->up += event == FERRY_EVENT_UP;
	rig->down += event == FERRY_EVENT_DOWN;
	rig->notices += event == FERRY_EVENT_NOTICE;
	if (why)
		rig->why = *why;
	pthread_mutex_unlock(&rig->lock);
}

/* ---- one connection ---- */

static size_t setting_index(const char *name)
{
	size_t i = 0;
	while (strcmp(plugin->options[i].name, name) != 0)
		i++;
	return i;
}

static void set(struct rig *rig, const char *name, int64_t number)
{
	rig->settings[setting_index(name)].number = number;
}

void rig_init(struct rig *rig, const char *file, const struct rig_options *options)
{
	static const struct rig_options defaults;
	static unsigned serial;
	const struct rig_options *o = options ? options : &defaults;
	memset(rig, 0, sizeof *rig);
	pthread_mutex_init(&rig->lock, NULL);
	pthread_cond_init(&rig->changed, NULL);
	snprintf(rig->instance, sizeof rig->instance, "test-%ld-%u", (long)getpid(), ++serial);
	rig->fail_at = -1;
	rig->takeover_ms = o->takeover_ms ? o->takeover_ms : 30000;
	set(rig, "durability", 0);
	set(rig, "commit_interval", o->commit_ms ? o->commit_ms : 20);
	set(rig, "poll_interval", 20);
	set(rig, "queue", o->queue ? o->queue : 4096);
	set(rig, "retain", o->retain ? o->retain : 1000000);
	rig->host = (struct ferry_host){
		.size = sizeof rig->host,
		.abi_major = FERRY_ABI_MAJOR,
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
		.evicted = host_evicted,
		.event = host_event,
	};
	rig->config = (struct ferry_config){
		.size = sizeof rig->config,
		.url = "sqlite:FILE",
		.scheme = "sqlite",
		.hosts = "",
		.user = "",
		.password = "",
		.path = file,
		.settings = rig->settings,
		.service = "shop",
		.instance = rig->instance,
		.memory_budget = 64 << 20,
		.max_message = 1 << 20,
		.takeover_ms = rig->takeover_ms,
		.publish_timeout_ms = 30000,
		.provision = o->provision ? o->provision : 1,
		.envelope = o->envelope ? o->envelope : 1,
		.on_unknown = o->on_unknown ? o->on_unknown : 1,
		.manual_clock = o->manual_clock,
	};
}

int rig_start(struct rig *rig, int64_t timeout_ms, struct ferry_error *err)
{
	int code = rig->c ? 0 : plugin->create(&rig->host, rig, &rig->config, &rig->c, err);
	return code ? code : plugin->start(rig->c, host_now(rig) + timeout_ms * 1000, err);
}

void rig_open(struct rig *rig, const char *file, const struct rig_options *options)
{
	struct ferry_error err;
	rig_init(rig, file, options);
	if (rig_start(rig, WAIT_MS, &err))
		test_fail(__FILE__, __LINE__, "start: %s", err.text);
}

void rig_close(struct rig *rig)
{
	if (rig->c) {
		CHECK_EQ(plugin->stop(rig->c, host_now(rig) + WAIT_MS * INT64_C(1000)), 0);
		plugin->destroy(rig->c);
	}
	CHECK_EQ(rig->blocks, 0);
	pthread_cond_destroy(&rig->changed);
	pthread_mutex_destroy(&rig->lock);
}

/* ---- publishing ---- */

void outbox_make(struct outbox *outbox, struct rig *rig, const char *topic, size_t first, size_t count,
		 int64_t timeout_ms)
{
	struct ferry_destination *destination;
	struct ferry_error err;
	int64_t now = host_now(rig);
	if (plugin->destination(rig->c, topic, now + WAIT_MS * INT64_C(1000), &destination, &err))
		test_fail(__FILE__, __LINE__, "destination: %s", err.text);
	outbox->count = count;
	outbox->letters = calloc(count, sizeof *outbox->letters);
	outbox->pointers = calloc(count, sizeof *outbox->pointers);
	for (size_t i = 0; i < count; i++) {
		struct letter *letter = &outbox->letters[i];
		struct ferry_outgoing *out = outbox->pointers[i] = &letter->out;
		int size = snprintf(letter->text, sizeof letter->text, "%zu", first + i);
		out->size = sizeof *out;
		out->destination = destination;
		out->deadline_us = now + timeout_ms * 1000;
		out->result = 1;
		out->record = (struct ferry_record){
			.size = sizeof out->record,
			.topic = {topic, strlen(topic)},
			.payload = {letter->text, (size_t)size},
			.source = {"shop", 4},
			.content_type = {"text/plain", 10},
			.id_bits = {7, first + i},
			.wall_us = host_wall(rig),
		};
	}
}

void outbox_free(struct outbox *outbox)
{
	free(outbox->letters);
	free(outbox->pointers);
}

void rig_wait_published(struct rig *rig, size_t count)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&rig->lock);
	while (rig->published < count)
		if (pthread_cond_timedwait(&rig->changed, &rig->lock, &until))
			test_fail(__FILE__, __LINE__, "%zu of %zu results have come", rig->published, count);
	pthread_mutex_unlock(&rig->lock);
}

void rig_publish(struct rig *rig, const char *topic, size_t first, size_t count)
{
	struct outbox outbox;
	outbox_make(&outbox, rig, topic, first, count, WAIT_MS);
	pthread_mutex_lock(&rig->lock);
	size_t before = rig->published;
	pthread_mutex_unlock(&rig->lock);
	CHECK_EQ(plugin->publish(rig->c, outbox.pointers, count), count);
	rig_wait_published(rig, before + count);
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(outbox.letters[i].out.result, 0);
	outbox_free(&outbox);
}

/* ---- consuming ---- */

int consumer_try(struct consumer *consumer, struct rig *rig, const struct consumer_options *options,
		 struct ferry_error *err)
{
	memset(consumer, 0, sizeof *consumer);
	consumer->rig = rig;
	for (size_t i = 0; i < INBOX_MAX; i++) {
		consumer->slots[i].size = sizeof consumer->slots[i];
		consumer->pointers[i] = &consumer->slots[i];
	}
	const struct ferry_source_spec source = {
		.size = sizeof source,
		.core = consumer,
		.group = options->group,
		.distribution = options->distribution ? options->distribution : 1,
		.takeover_ms = rig->takeover_ms,
		.memory_budget = 64 << 20,
	};
	const struct ferry_subscription_spec subscription = {
		.size = sizeof subscription,
		.core = consumer,
		.topic = options->topic,
		.handler = options->handler ? options->handler : "",
		.durable = options->durable,
		.start = options->start ? options->start : 1,
		.order = 1,
		.max_unsettled = options->max_unsettled ? options->max_unsettled : 10000,
		.crash_attempts = 3,
	};
	int code = plugin->source_open(rig->c, &source, &consumer->source, err);
	if (!code)
		code = plugin->subscribe(consumer->source, &subscription, &consumer->subscription, err);
	if (!code)
		code = plugin->source_start(consumer->source, host_now(rig) + WAIT_MS * INT64_C(1000), err);
	return code;
}

void consumer_open(struct consumer *consumer, struct rig *rig, const struct consumer_options *options)
{
	struct ferry_error err;
	if (consumer_try(consumer, rig, options, &err))
		test_fail(__FILE__, __LINE__, "consumer: %s", err.text);
}

void consumer_close(struct consumer *consumer)
{
	struct ferry_source_rest rest = {.size = sizeof rest};
	if (!consumer->source)
		return;
	CHECK_EQ(plugin->source_stop(consumer->source, host_now(consumer->rig) + WAIT_MS * INT64_C(1000),
				     &rest),
		 0);
	plugin->source_close(consumer->source);
	consumer->source = NULL;
}

size_t consumer_fetch(struct consumer *consumer, size_t max, int timeout_ms)
{
	plugin->credit(consumer->subscription, (uint32_t)max);
	int count = plugin->fetch(consumer->source, NULL, consumer->pointers, max, timeout_ms);
	CHECK(count >= 0 || consumer->rig->failed);
	CHECK(count <= (int)max);
	return count < 0 ? 0 : (size_t)count;
}

size_t consumer_take(struct consumer *consumer, size_t max)
{
	int64_t until = test_now_us() + WAIT_MS * INT64_C(1000);
	size_t count;
	while ((count = consumer_fetch(consumer, max, 100)) == 0)
		if (test_now_us() > until)
			test_fail(__FILE__, __LINE__, "no delivery came");
	return count;
}

int consumer_settle(struct consumer *consumer, size_t index, int32_t verb, uint32_t attempt, int64_t delay_us)
{
	struct ferry_settle settle = {.delivery = consumer->pointers[index],
				      .verb = verb,
				      .attempt = attempt,
				      .delay_us = delay_us};
	plugin->settle(consumer->source, &settle, 1);
	return settle.result;
}

long number_of(const struct ferry_delivery *delivery)
{
	char text[32] = "";
	size_t size = delivery->record.payload.size;
	memcpy(text, delivery->record.payload.data, size < 31 ? size : 31);
	return strtol(text, NULL, 10);
}

const char *attribute_of(const struct ferry_delivery *delivery, const char *name)
{
	for (size_t i = 0; i < delivery->record.attribute_count; i++)
		if (!strcmp(delivery->record.attributes[i].name, name))
			return delivery->record.attributes[i].value;
	return NULL;
}
