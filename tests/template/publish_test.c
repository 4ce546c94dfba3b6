/*
 * publish_test.c - records on their way in and out; a queue, a disk that is full.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test_cases.h"

/* ---- records ---- */

/* A record with everything in it. */
static void fill_record(struct ferry_record *record)
{
	static const struct ferry_attribute attributes[] = {
		{"region", "eu\r\n"}, {"empty", ""}, {"ferry-target-group", "shop"}};
	record->payload = (struct ferry_view){"a\0b", 3};
	record->key = (struct ferry_view){"k\0y", 3};
	record->source = (struct ferry_view){"the shop", 8};
	record->id = (struct ferry_view){"id 1", 4};
	record->trace_id = (struct ferry_view){"t1", 2};
	record->traceparent = (struct ferry_view){"00-a-b-01", 9};
	record->wall_us = INT64_C(1709210096789012); /* 2024-02-29T12:34:56.789012Z */
	record->attributes = attributes;
	record->attribute_count = 3;
}

static void check_record(struct consumer *c)
{
	const struct ferry_delivery *d = c->pointers[0];
	CHECK(d->subscription == c);
	check_text(d->record.topic, "orders");
	check_text(d->record.id, "id 1");
	check_text(d->record.source, "the shop");
	check_text(d->record.content_type, "text/plain");
	check_text(d->record.trace_id, "t1");
	check_text(d->record.traceparent, "00-a-b-01");
	check_text(d->record.tracestate, "");
	CHECK_EQ(d->record.payload.size, 3);
	CHECK(!memcmp(d->record.payload.data, "a\0b", 3));
	CHECK_EQ(d->record.key.size, 3);
	CHECK(!memcmp(d->record.key.data, "k\0y", 3));
	CHECK_EQ(d->record.wall_us, INT64_C(1709210096789012));
	CHECK_EQ(d->record.attribute_count, 3);
	CHECK(!strcmp(attribute_of(d, "region"), "eu\r\n"));
	CHECK(!strcmp(attribute_of(d, "empty"), ""));
	CHECK(!strcmp(attribute_of(d, "ferry-target-group"), "shop"));
	CHECK_EQ(d->attempt, 1);
	CHECK_EQ(d->deliveries, 1);
	char position[64];
	CHECK_EQ(plugin->position(c->source, d, position, sizeof position), 8);
	CHECK(!strcmp(position, "orders/1"));
}

static void carries_a_record(int32_t envelope)
{
	struct rig rig;
	struct consumer consumer;
	struct outbox outbox;
	rig_open(&rig, new_file(), &(struct rig_options){.envelope = envelope});
	consumer_open(&consumer, &rig, &shop);
	outbox_make(&outbox, &rig, "orders", 0, 1, WAIT_MS);
	fill_record(&outbox.letters[0].out.record);
	CHECK_EQ(plugin->publish(rig.c, outbox.pointers, 1), 1);
	rig_wait_published(&rig, 1);
	CHECK_EQ(outbox.letters[0].out.result, 0);

	CHECK_EQ(consumer_take(&consumer, 8), 1);
	check_record(&consumer);
	settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	outbox_free(&outbox);
	consumer_close(&consumer);
	rig_close(&rig);
}

static void carries_a_record_as_cloudevents(void)
{
	carries_a_record(1);
}

static void carries_a_record_in_compact_form(void)
{
	carries_a_record(2);
}

static void count_fields(const struct ferry_raw *raw, void *ctx)
{
	static const char *const expected[] = {"ce-specversion", "ce-id",   "ce-source",
					       "ce-type",        "ce-time", "content-type"};
	*(size_t *)ctx = raw->field_count;
	for (size_t i = 0; i < raw->field_count; i++)
		CHECK(!strcmp(raw->fields[i].name, expected[i]));
	CHECK(!strcmp(raw->fields[0].value, "1.0"));
	CHECK(!strcmp(raw->fields[3].value, "orders"));
}

static void writes_the_envelope_as_fields(void)
{
	struct rig rig;
	struct ferry_error err;
	size_t count = 0;
	rig_open(&rig, new_file(), NULL);
	rig_publish(&rig, "orders", 0, 1);
	CHECK_EQ(plugin->raw_get(rig.c, "orders", 0, count_fields, &count, &err), 0);
	CHECK_EQ(count, 6);
	CHECK_EQ(plugin->raw_get(rig.c, "orders", 1, count_fields, &count, &err), FERRY_E_NOT_FOUND);
	rig_close(&rig);
}

static void accepts_a_foreign_record(void)
{
	static const struct ferry_attribute fields[] = {
		{"colour", "red"}, {"ce-time", "2024-02-29T14:34:56+02:00"}, {"ce-partitionkey", "k"}};
	const struct ferry_raw bare = {.size = sizeof bare, .payload = {"x", 1}};
	const struct ferry_raw some = {
		.size = sizeof some, .payload = {"y", 1}, .fields = fields, .field_count = 3};
	struct rig rig;
	struct consumer consumer;
	struct ferry_error err;
	rig_open(&rig, new_file(), NULL);
	consumer_open(&consumer, &rig, &shop);
	CHECK_EQ(plugin->raw_put(rig.c, "orders", &bare, &err), 0);
	CHECK_EQ(plugin->raw_put(rig.c, "orders", &some, &err), 0);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	check_text(consumer.pointers[0]->record.id, "orders/1");
	CHECK(!consumer.pointers[0]->record.key.data);
	CHECK_EQ(consumer.pointers[0]->record.attribute_count, 0);
	settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	const struct ferry_delivery *d = consumer.pointers[0];
	CHECK(!strcmp(attribute_of(d, "colour"), "red"));
	CHECK_EQ(d->record.attribute_count, 1);
	CHECK_EQ(d->record.wall_us, INT64_C(1709210096000000));
	check_text(d->record.key, "k");
	settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	consumer_close(&consumer);
	rig_close(&rig);
}

/* ---- limits ---- */

static bool is_writable(void *ctx)
{
	struct rig *rig = ctx;
	pthread_mutex_lock(&rig->lock);
	size_t writable = rig->writable;
	pthread_mutex_unlock(&rig->lock);
	return writable > 0;
}

static void a_full_queue_takes_a_prefix(void)
{
	struct rig rig;
	struct outbox outbox, late;
	struct lock lock;
	const char *file = new_file();
	rig_open(&rig, file, &(struct rig_options){.queue = 16});
	outbox_make(&late, &rig, "orders", 100, 4, 300);
	outbox_make(&outbox, &rig, "orders", 0, 20, WAIT_MS);
	lock_file(&lock, file);
	CHECK_EQ(plugin->publish(rig.c, outbox.pointers, 8), 8);
	CHECK_EQ(plugin->publish(rig.c, late.pointers, 4), 4);
	CHECK_EQ(plugin->publish(rig.c, outbox.pointers + 8, 12), 4);
	CHECK_EQ(plugin->flush(rig.c, test_now_us()), FERRY_E_TIMEDOUT);
	rig_wait_published(&rig, 4); /* their deadline, in the middle of the queue */
	for (size_t i = 0; i < 4; i++)
		CHECK_EQ(late.letters[i].out.result, FERRY_E_TIMEDOUT);
	CHECK(strstr(late.letters[0].out.reason, file));
	CHECK(test_wait(is_writable, &rig));
	CHECK_EQ(plugin->publish(rig.c, outbox.pointers + 12, 8), 4);
	unlock_file(&lock);
	rig_wait_published(&rig, 20);
	/* A result is told before its place is given up: flush waits for that. */
	CHECK_EQ(plugin->flush(rig.c, test_now_us() + WAIT_MS * INT64_C(1000)), 0);
	CHECK_EQ(plugin->publish(rig.c, outbox.pointers + 16, 4), 4);
	CHECK_EQ(plugin->flush(rig.c, test_now_us() + WAIT_MS * INT64_C(1000)), 0);
	rig_wait_published(&rig, 24);
	for (size_t i = 0; i < 20; i++)
		CHECK_EQ(outbox.letters[i].out.result, 0);
	outbox_free(&outbox);
	outbox_free(&late);
	rig_close(&rig);
}

static void retain_keeps_the_newest(void)
{
	struct rig rig;
	struct consumer consumer;
	const char *file = new_file();
	rig_open(&rig, file, &(struct rig_options){.retain = 10});
	consumer_open(&consumer, &rig, &shop);
	rig_publish(&rig, "orders", 0, 60);
	CHECK_EQ(consumer_take(&consumer, 64), 60);
	settle_all(&consumer, 40, FERRY_SETTLE_ACK); /* 40 is held: it and what follows must stay */
	int64_t until = test_now_us() + WAIT_MS * INT64_C(1000);
	uint64_t evicted = 0;
	while (evicted < 40 && test_now_us() < until) {
		plugin->credit(consumer.subscription, 1);
		struct ferry_delivery spare = {.size = sizeof spare}, *pointer = &spare;
		CHECK_EQ(plugin->fetch(consumer.source, NULL, &pointer, 1, 100), 0);
		pthread_mutex_lock(&rig.lock);
		evicted = rig.evicted;
		pthread_mutex_unlock(&rig.lock);
	}
	CHECK_EQ(evicted, 40);
	for (size_t i = 40; i < 60; i++)
		CHECK_EQ(consumer_settle(&consumer, i, FERRY_SETTLE_ACK, 0, 0), 0);
	consumer_close(&consumer);
	rig_close(&rig);
}

/* ---- a disk that is full ---- */

static bool is_down(void *ctx)
{
	struct rig *rig = ctx;
	pthread_mutex_lock(&rig->lock);
	size_t down = rig->down;
	pthread_mutex_unlock(&rig->lock);
	return down == 1;
}

/* The disk is full: a limit on the size of files stands in for it.  Returns what it was. */
static rlim_t limit_files(rlim_t bytes)
{
	struct rlimit limit;
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = bytes;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	return before;
}

/* Four messages that do not fit in. */
static void publish_too_much(struct rig *rig, struct outbox *outbox)
{
	static char big[200000];
	outbox_make(outbox, rig, "orders", 1, 4, WAIT_MS);
	for (size_t i = 0; i < 4; i++)
		outbox->letters[i].out.record.payload = (struct ferry_view){big, sizeof big};
	CHECK_EQ(plugin->publish(rig->c, outbox->pointers, 4), 4);
}

static void role_full(const char *file)
{
	struct rig rig;
	struct outbox outbox;
	struct ferry_error err;
	size_t count;
	signal(SIGXFSZ, SIG_IGN);
	rig_open(&rig, file, &(struct rig_options){.on_unknown = 2});
	rig_publish(&rig, "orders", 0, 1);
	rlim_t before = limit_files(100000);
	publish_too_much(&rig, &outbox);
	rig_wait_published(&rig, 5);
	limit_files(before);
	for (size_t i = 0; i < 4; i++) {
		int result = outbox.letters[i].out.result;
		CHECK(result == FERRY_E_UNKNOWN || result == FERRY_E_REJECTED);
		CHECK(strstr(outbox.letters[i].out.reason, file));
	}
	CHECK(test_wait(is_down, &rig));
	rig_publish(&rig, "orders", 9, 1);
	CHECK_EQ(plugin->raw_get(rig.c, "orders", 1, count_fields, &count, &err), 0);
	CHECK_EQ(plugin->raw_get(rig.c, "orders", 2, count_fields, &count, &err), FERRY_E_NOT_FOUND);
	outbox_free(&outbox);
	rig_close(&rig);
	_exit(0);
}

static void role_full_for_a_while(const char *file)
{
	struct rig rig;
	struct outbox outbox;
	signal(SIGXFSZ, SIG_IGN);
	rig_open(&rig, file, NULL);
	rig_publish(&rig, "orders", 0, 1);
	rlim_t before = limit_files(100000);
	publish_too_much(&rig, &outbox);
	CHECK(test_wait(is_down, &rig));
	limit_files(before);
	rig_wait_published(&rig, 5);
	for (size_t i = 0; i < 4; i++)
		CHECK_EQ(outbox.letters[i].out.result, 0);
	outbox_free(&outbox);
	rig_close(&rig);
	_exit(0);
}

static void a_failed_transaction_stores_nothing(void)
{
	CHECK_EQ(start_role("full", new_file()), 0);
}

static void an_unclear_commit_is_sent_again(void)
{
	CHECK_EQ(start_role("full_for_a_while", new_file()), 0);
}

const struct test_case publish_tests[] = {
	TEST(carries_a_record_as_cloudevents),
	TEST(carries_a_record_in_compact_form),
	TEST(writes_the_envelope_as_fields),
	TEST(accepts_a_foreign_record),
	TEST(a_full_queue_takes_a_prefix),
	TEST(retain_keeps_the_newest),
	TEST(a_failed_transaction_stores_nothing),
	TEST(an_unclear_commit_is_sent_again),
	{NULL, NULL},
};

const struct test_role publish_roles[] = {
	{"full", role_full},
	{"full_for_a_while", role_full_for_a_while},
	{NULL, NULL},
};
