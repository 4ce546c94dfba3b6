/*
 * template_test.c - the transport alone, driven by a small host: what a conformance run cannot look at.
 *
 *     template_test PLUGIN.so [TEST...]
 *
 * A test that needs a process that dies starts this program again with `--role NAME FILE`.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "test_host.h"

static const char *program, *plugin_path;
static char folder[64];

/* A file of its own for each call; lives until the next but three. */
static const char *new_file(void)
{
	static char names[4][128];
	static unsigned serial;
	char *name = names[serial % 4];
	snprintf(name, sizeof names[0], "%s/%u.db", folder, serial);
	serial++;
	return name;
}

static const struct consumer_options shop = {.group = "shop", .topic = "orders"};

static void settle_all(struct consumer *consumer, size_t count, int32_t verb)
{
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(consumer_settle(consumer, i, verb, 0, 0), 0);
}

/* ---- publishing and reading ---- */

static void check_text(struct ferry_view view, const char *expected)
{
	CHECK_EQ(view.size, strlen(expected));
	CHECK(!memcmp(view.data, expected, view.size + 1)); /* with the NUL behind it */
}

static void carries_a_record(int32_t envelope)
{
	static const struct ferry_attribute attributes[] = {
		{"region", "eu\r\n"}, {"empty", ""}, {"ferry-target-group", "shop"}};
	struct rig rig;
	struct consumer consumer;
	struct outbox outbox;
	rig_open(&rig, new_file(), &(struct rig_options){.envelope = envelope});
	consumer_open(&consumer, &rig, &shop);
	outbox_make(&outbox, &rig, "orders", 0, 1, WAIT_MS);
	struct ferry_record *record = &outbox.letters[0].out.record;
	record->payload = (struct ferry_view){"a\0b", 3};
	record->key = (struct ferry_view){"k\0y", 3};
	record->source = (struct ferry_view){"the shop", 8};
	record->id = (struct ferry_view){"id 1", 4};
	record->trace_id = (struct ferry_view){"t1", 2};
	record->traceparent = (struct ferry_view){"00-a-b-01", 9};
	record->wall_us = INT64_C(1709210096789012); /* 2024-02-29T12:34:56.789012Z */
	record->attributes = attributes;
	record->attribute_count = 3;
	CHECK_EQ(plugin->publish(rig.c, outbox.pointers, 1), 1);
	rig_wait_published(&rig, 1);
	CHECK_EQ(outbox.letters[0].out.result, 0);

	CHECK_EQ(consumer_take(&consumer, 8), 1);
	const struct ferry_delivery *d = consumer.pointers[0];
	CHECK(d->subscription == &consumer);
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
	CHECK_EQ(plugin->position(consumer.source, d, position, sizeof position), 8);
	CHECK(!strcmp(position, "orders/1"));
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

/* ---- groups ---- */

static void a_group_begins_where_it_was_asked_to(void)
{
	struct rig rig;
	struct consumer fresh, early;
	rig_open(&rig, new_file(), NULL);
	rig_publish(&rig, "orders", 0, 3);
	consumer_open(&fresh, &rig, &shop);
	consumer_open(&early, &rig,
		      &(struct consumer_options){.group = "audit", .topic = "orders", .start = 2});
	CHECK_EQ(consumer_fetch(&fresh, 8, 0), 0);
	CHECK_EQ(consumer_take(&early, 8), 3);
	settle_all(&early, 3, FERRY_SETTLE_ACK);
	rig_publish(&rig, "orders", 3, 1);
	CHECK_EQ(consumer_take(&fresh, 8), 1);
	CHECK_EQ(number_of(fresh.pointers[0]), 3);
	settle_all(&fresh, 1, FERRY_SETTLE_ACK);
	consumer_close(&fresh);
	rig_publish(&rig, "orders", 4, 2); /* while the group has no member */
	consumer_open(&fresh, &rig, &shop);
	CHECK_EQ(consumer_take(&fresh, 8), 2);
	settle_all(&fresh, 2, FERRY_SETTLE_ACK);
	consumer_close(&fresh);
	consumer_close(&early);
	rig_close(&rig);
}

#define SHARED 3000

struct member {
	struct consumer consumer;
	pthread_t thread;
	unsigned char *seen;   /* SHARED entries, of all members */
	pthread_mutex_t *lock; /* guards `seen` and `*left` */
	size_t *left;
};

static size_t members_left(struct member *m)
{
	pthread_mutex_lock(m->lock);
	size_t left = *m->left;
	pthread_mutex_unlock(m->lock);
	return left;
}

static void *compete(void *member)
{
	struct member *m = member;
	int64_t until = test_now_us() + 3 * WAIT_MS * INT64_C(1000);
	while (members_left(m)) {
		size_t count = consumer_fetch(&m->consumer, INBOX_MAX, 50);
		pthread_mutex_lock(m->lock);
		for (size_t i = 0; i < count; i++)
			CHECK_EQ(m->seen[number_of(m->consumer.pointers[i])]++, 0);
		*m->left -= count;
		pthread_mutex_unlock(m->lock);
		settle_all(&m->consumer, count, FERRY_SETTLE_ACK);
		CHECK(test_now_us() < until);
	}
	return NULL;
}

static void publish_shared(struct rig *rig, struct outbox *outbox)
{
	size_t sent = 0;
	while (sent < SHARED) {
		pthread_mutex_lock(&rig->lock);
		size_t writable = rig->writable;
		pthread_mutex_unlock(&rig->lock);
		size_t taken = plugin->publish(rig->c, outbox->pointers + sent, SHARED - sent);
		sent += taken;
		pthread_mutex_lock(&rig->lock);
		while (sent < SHARED && rig->writable == writable)
			pthread_cond_wait(&rig->changed, &rig->lock);
		pthread_mutex_unlock(&rig->lock);
	}
}

static void two_connections_compete(void)
{
	static unsigned char seen[SHARED];
	const char *file = new_file();
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	size_t left = SHARED;
	struct rig rigs[2];
	struct member members[2];
	struct outbox outbox;
	for (int i = 0; i < 2; i++) {
		rig_open(&rigs[i], file, &(struct rig_options){.queue = 128});
		members[i] = (struct member){.seen = seen, .lock = &lock, .left = &left};
		consumer_open(&members[i].consumer, &rigs[i], &shop);
	}
	outbox_make(&outbox, &rigs[0], "orders", 0, SHARED, WAIT_MS);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&members[i].thread, NULL, compete, &members[i]), 0);
	publish_shared(&rigs[0], &outbox);
	rig_wait_published(&rigs[0], SHARED);
	for (int i = 0; i < 2; i++) {
		pthread_join(members[i].thread, NULL);
		consumer_close(&members[i].consumer);
	}
	for (size_t i = 0; i < SHARED; i++)
		CHECK_EQ(outbox.letters[i].out.result, 0);
	CHECK_EQ(left, 0);
	outbox_free(&outbox);
	rig_close(&rigs[0]);
	rig_close(&rigs[1]);
}

static void max_unsettled_stalls_and_recovers(void)
{
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, new_file(), NULL);
	consumer_open(&consumer, &rig,
		      &(struct consumer_options){.group = "shop", .topic = "orders", .max_unsettled = 5});
	rig_publish(&rig, "orders", 0, 8);
	CHECK_EQ(consumer_take(&consumer, 8), 5);
	struct ferry_delivery kept[5];
	memcpy(kept, consumer.slots, sizeof kept);
	CHECK_EQ(consumer_fetch(&consumer, 8, 100), 0);
	for (int i = 0; i < 5; i++) {
		struct ferry_settle settle = {.delivery = &kept[i], .verb = FERRY_SETTLE_ACK};
		plugin->settle(consumer.source, &settle, 1);
		CHECK_EQ(settle.result, 0);
	}
	CHECK_EQ(consumer_take(&consumer, 8), 3);
	settle_all(&consumer, 3, FERRY_SETTLE_ACK);
	consumer_close(&consumer);
	rig_close(&rig);
}

/* ---- verdicts ---- */

static void what_is_handed_back_comes_again(void)
{
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, new_file(), NULL);
	consumer_open(&consumer, &rig, &shop);
	rig_publish(&rig, "orders", 0, 2);
	CHECK_EQ(consumer_take(&consumer, 8), 2);
	CHECK_EQ(consumer_settle(&consumer, 0, FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(consumer_settle(&consumer, 1, FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(consumer_take(&consumer, 8), 1);
	CHECK_EQ(number_of(consumer.pointers[0]), 0);
	CHECK_EQ(consumer.pointers[0]->attempt, 1);
	CHECK_EQ(consumer.pointers[0]->deliveries, 2);
	settle_all(&consumer, 1, FERRY_SETTLE_REJECT);
	consumer_close(&consumer);
	consumer_open(&consumer, &rig, &shop);
	CHECK_EQ(consumer_fetch(&consumer, 8, 50), 0);
	consumer_close(&consumer);
	rig_close(&rig);
}

static void views_stay_until_release(void)
{
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, new_file(), NULL);
	consumer_open(&consumer, &rig, &shop);
	rig_publish(&rig, "orders", 7, 1);
	CHECK_EQ(consumer_take(&consumer, 8), 1);
	struct ferry_settle settle = {
		.delivery = consumer.pointers[0], .verb = FERRY_SETTLE_ACK, .flags = FERRY_SETTLE_KEEP};
	plugin->settle(consumer.source, &settle, 1);
	CHECK_EQ(settle.result, 0);
	plugin->settle(consumer.source, &settle, 1);
	CHECK_EQ(settle.result, FERRY_E_STALE);
	CHECK_EQ(consumer_fetch(&(struct consumer){.rig = &rig,
						   .source = consumer.source,
						   .subscription = consumer.subscription},
				0, 50),
		 0);
	CHECK_EQ(number_of(consumer.pointers[0]), 7);
	plugin->release(consumer.source, consumer.pointers, 1);
	consumer_close(&consumer);
	rig_close(&rig);
}

static int start_role(const char *role, const char *file)
{
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		execl(program, program, plugin_path, "--role", role, file, (char *)NULL);
		_exit(127);
	}
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Holds message 0 as attempt 4, due in two seconds, and dies. */
static void role_hold(const char *file)
{
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, file, &(struct rig_options){.takeover_ms = 300});
	consumer_open(&consumer, &rig, &shop);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	CHECK_EQ(consumer_settle(&consumer, 0, FERRY_SETTLE_HOLD, 4, 2000000), 0);
	/* Verdicts are written before a fetch is served: the second message is proof that this one was. */
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	_exit(0);
}

static void a_hold_survives_the_process(void)
{
	const char *file = new_file();
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, file, &(struct rig_options){.takeover_ms = 300});
	consumer_open(&consumer, &rig, &shop);
	rig_publish(&rig, "orders", 0, 2);
	CHECK_EQ(start_role("hold", file), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(consumer_take(&consumer, 1), 1);
		const struct ferry_delivery *d = consumer.pointers[0];
		bool held = number_of(d) == 0;
		CHECK_EQ(d->attempt, held ? 4 : 1);
		CHECK_EQ(d->deliveries, 2);
		CHECK(held == (d->first_failed_wall_us != 0));
		int64_t left = d->due_us ? d->due_us - test_now_us() : 0;
		CHECK(held ? left > 0 && left < 2000000 : left == 0);
		settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	}
	consumer_close(&consumer);
	rig_close(&rig);
}

/* Takes whatever comes and dies at once. */
static void role_crash(const char *file)
{
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, file, &(struct rig_options){.takeover_ms = 100});
	consumer_open(&consumer, &rig, &shop);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	_exit(0);
}

static void deliveries_count_the_processes_that_died(void)
{
	const char *file = new_file();
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, file, &(struct rig_options){.takeover_ms = 100});
	consumer_open(&consumer, &rig, &shop);
	rig_publish(&rig, "orders", 0, 1);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(start_role("crash", file), 0);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	CHECK_EQ(consumer.pointers[0]->deliveries, 4);
	settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	consumer_close(&consumer);
	rig_close(&rig);
}

struct delivery_watch {
	struct consumer *consumer;
	const struct ferry_delivery *delivery;
};

static bool is_dead(void *ctx)
{
	const struct delivery_watch *watch = ctx;
	return !plugin->alive(watch->consumer->source, watch->delivery);
}

static void a_revoked_delivery_is_stale(void)
{
	static const struct ferry_attribute fields[] = {{"topic", "orders"}, {"group", "shop"}};
	const struct ferry_raw revoke = {.size = sizeof revoke, .fields = fields, .field_count = 2};
	struct rig rig, other;
	struct consumer consumer, heir;
	struct ferry_error err;
	const char *file = new_file();
	rig_open(&rig, file, NULL);
	rig_open(&other, file, NULL);
	consumer_open(&consumer, &rig, &shop);
	consumer_open(&heir, &other, &shop);
	rig_publish(&rig, "orders", 0, 1);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	CHECK(plugin->alive(consumer.source, consumer.pointers[0]));
	CHECK_EQ(plugin->raw_put(other.c, "ferry.revoke", &revoke, &err), 0);
	CHECK(test_wait(is_dead, &(struct delivery_watch){&consumer, consumer.pointers[0]}));
	CHECK_EQ(consumer_take(&heir, 1), 1);
	CHECK_EQ(heir.pointers[0]->deliveries, 2);
	CHECK_EQ(consumer_settle(&consumer, 0, FERRY_SETTLE_EXTEND, 0, 0), FERRY_E_STALE);
	CHECK_EQ(consumer_settle(&consumer, 0, FERRY_SETTLE_HOLD, 2, 0), FERRY_E_STALE);
	CHECK_EQ(consumer_settle(&consumer, 0, FERRY_SETTLE_ACK, 0, 0), FERRY_E_STALE);
	CHECK(plugin->alive(heir.source, heir.pointers[0]));
	settle_all(&heir, 1, FERRY_SETTLE_ACK);
	consumer_close(&heir);
	consumer_close(&consumer);
	rig_close(&other);
	rig_close(&rig);
}

static void a_lease_runs_out_without_extend(void)
{
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, new_file(), &(struct rig_options){.takeover_ms = 300});
	consumer_open(&consumer, &rig, &shop);
	CHECK_EQ(plugin->lease_ms(consumer.source), 100);
	rig_publish(&rig, "orders", 0, 1);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	CHECK(test_wait(is_dead, &(struct delivery_watch){&consumer, consumer.pointers[0]}));
	CHECK_EQ(consumer_settle(&consumer, 0, FERRY_SETTLE_ACK, 0, 0), FERRY_E_STALE);
	CHECK_EQ(consumer_take(&consumer, 1), 1); /* nobody else is there: it comes to us again */
	CHECK_EQ(consumer.pointers[0]->deliveries, 2);
	settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	consumer_close(&consumer);
	rig_close(&rig);
}

static void extend_keeps_a_delivery(void)
{
	struct rig rig, other;
	struct consumer consumer, rival;
	const char *file = new_file();
	const struct rig_options options = {.takeover_ms = 1500};
	rig_open(&rig, file, &options);
	rig_open(&other, file, &options);
	consumer_open(&consumer, &rig, &shop);
	consumer_open(&rival, &other, &shop);
	rig_publish(&rig, "orders", 0, 1);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	int64_t until = test_now_us() + 3000000; /* twice the lease */
	while (test_now_us() < until) {
		CHECK_EQ(consumer_settle(&consumer, 0, FERRY_SETTLE_EXTEND, 0, 0), 0);
		CHECK_EQ(consumer_fetch(&rival, 1, 200), 0);
	}
	settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	consumer_close(&rival);
	consumer_close(&consumer);
	rig_close(&other);
	rig_close(&rig);
}

/* ---- broadcast ---- */

static void every_broadcast_handler_gets_all(void)
{
	struct consumer_options options = {
		.group = "shop", .topic = "orders", .handler = "audit", .distribution = 2};
	struct rig rigs[2];
	struct consumer consumers[2];
	const char *file = new_file();
	for (int i = 0; i < 2; i++)
		rig_open(&rigs[i], file, NULL);
	consumer_open(&consumers[0], &rigs[0], &options);
	rig_publish(&rigs[0], "orders", 0, 2);
	consumer_open(&consumers[1], &rigs[1], &options); /* too late for these */
	rig_publish(&rigs[0], "orders", 2, 1);
	CHECK_EQ(plugin->objects(rigs[0].c, "audit"), 2);
	CHECK_EQ(consumer_take(&consumers[0], 8), 3);
	CHECK_EQ(consumers[0].pointers[0]->deliveries, 0);
	CHECK_EQ(consumer_settle(&consumers[0], 1, FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(consumer_settle(&consumers[0], 0, FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(consumer_settle(&consumers[0], 2, FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(consumer_take(&consumers[0], 8), 1);
	CHECK_EQ(number_of(consumers[0].pointers[0]), 1);
	settle_all(&consumers[0], 1, FERRY_SETTLE_ACK);
	CHECK_EQ(consumer_take(&consumers[1], 8), 1);
	CHECK_EQ(number_of(consumers[1].pointers[0]), 2);
	settle_all(&consumers[1], 1, FERRY_SETTLE_ACK);
	consumer_close(&consumers[0]);
	consumer_close(&consumers[1]);
	CHECK_EQ(plugin->objects(rigs[0].c, "audit"), 0);
	rig_close(&rigs[0]);
	rig_close(&rigs[1]);
}

static void a_durable_broadcast_handler_resumes(void)
{
	struct consumer_options options = {.group = "shop",
					   .topic = "orders",
					   .handler = "audit",
					   .durable = "node1",
					   .distribution = 2};
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, new_file(), NULL);
	consumer_open(&consumer, &rig, &options);
	rig_publish(&rig, "orders", 0, 2);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	consumer_close(&consumer);
	rig_publish(&rig, "orders", 2, 1);
	consumer_open(&consumer, &rig, &options);
	CHECK_EQ(consumer_take(&consumer, 8), 2);
	CHECK_EQ(number_of(consumer.pointers[0]), 1);
	settle_all(&consumer, 2, FERRY_SETTLE_ACK);
	consumer_close(&consumer);
	rig_close(&rig);
}

/* ---- limits and failures ---- */

struct lock {
	sqlite3 *db;
};

static void lock_file(struct lock *lock, const char *file)
{
	CHECK_EQ(sqlite3_open(file, &lock->db), SQLITE_OK);
	sqlite3_busy_timeout(lock->db, WAIT_MS);
	CHECK_EQ(sqlite3_exec(lock->db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void unlock_file(struct lock *lock)
{
	CHECK_EQ(sqlite3_exec(lock->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_close(lock->db), SQLITE_OK);
}

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

static void check_creates_nothing(void)
{
	const struct rig_options options = {.provision = 2};
	struct rig rig, maker;
	struct consumer consumer;
	struct ferry_destination *destination;
	struct ferry_error err;
	const char *file = new_file();
	rig_init(&rig, file, &options);
	CHECK_EQ(rig_start(&rig, 0, &err), FERRY_E_NOT_FOUND);
	CHECK(strstr(err.text, file));
	rig_open(&maker, file, NULL);
	CHECK_EQ(rig_start(&rig, WAIT_MS, &err), 0);
	CHECK_EQ(plugin->destination(rig.c, "orders", test_now_us(), &destination, &err), FERRY_E_NOT_FOUND);
	CHECK(strstr(err.text, "orders"));
	CHECK_EQ(consumer_try(&consumer, &rig, &shop, &err), FERRY_E_NOT_FOUND);
	CHECK(strstr(err.text, "orders"));
	rig_publish(&maker, "orders", 0, 1);
	CHECK_EQ(plugin->source_start(consumer.source, test_now_us() + WAIT_MS * INT64_C(1000), &err), 0);
	consumer_close(&consumer);
	rig_close(&maker);
	rig_close(&rig);
}

static int start_error(const char *file, struct ferry_error *err)
{
	struct rig rig;
	rig_init(&rig, file, NULL);
	int code = rig_start(&rig, 300, err);
	CHECK(strstr(err->text, file));
	if (rig.c)
		plugin->destroy(rig.c);
	rig.c = NULL;
	rig_close(&rig);
	return code;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	CHECK(file && fputs(text, file) >= 0);
	CHECK_EQ(fclose(file), 0);
}

static void start_says_what_is_wrong(void)
{
	struct ferry_error err;
	struct rig rig;
	struct lock lock;
	char missing[128];
	snprintf(missing, sizeof missing, "%s/missing/x.db", folder);
	CHECK_EQ(start_error(missing, &err), FERRY_E_UNREACHABLE);
	CHECK(err.flags & FERRY_ERROR_RETRIABLE);
	CHECK_EQ(start_error(folder, &err), FERRY_E_CONFIG);
	const char *text = new_file();
	write_file(text, "this is a text file, and not a short one: a database has a header of 100 bytes. "
			 "this is a text file, and not a short one: a database has a header of 100 bytes.");
	CHECK_EQ(start_error(text, &err), FERRY_E_CONFIG);
	const char *foreign = new_file();
	CHECK_EQ(sqlite3_open(foreign, &lock.db), SQLITE_OK);
	CHECK_EQ(sqlite3_exec(lock.db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_close(lock.db), SQLITE_OK);
	CHECK_EQ(start_error(foreign, &err), FERRY_E_CONFIG);
	const char *locked = new_file();
	rig_open(&rig, locked, NULL);
	lock_file(&lock, locked);
	CHECK_EQ(start_error(locked, &err), FERRY_E_UNREACHABLE);
	unlock_file(&lock);
	rig_close(&rig);
	snprintf(missing, sizeof missing, "%s/x.db", new_file());
	*strrchr(missing, '/') = '\0';
	CHECK_EQ(mkdir(missing, 0500), 0);
	missing[strlen(missing)] = '/';
	CHECK_EQ(start_role("denied", missing), 0);
}

/* In a folder where it may not write. */
static void role_denied(const char *file)
{
	struct ferry_error err;
	if (!geteuid()) /* root may */
		CHECK(!setgid(65534) && !setuid(65534));
	CHECK_EQ(start_error(file, &err), FERRY_E_DENIED);
	_exit(0);
}

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

/* The whole life of a connection, in which allocation `n` fails; false when there were not so many. */
static bool live_without_memory(const char *file, long n)
{
	struct rig rig;
	struct consumer consumer = {.source = NULL};
	struct ferry_destination *destination;
	struct ferry_error err;
	rig_init(&rig, file, NULL);
	rig.fail_at = n;
	int code = rig_start(&rig, WAIT_MS, &err);
	if (!code)
		code = consumer_try(&consumer, &rig, &shop, &err);
	if (!code)
		code = plugin->destination(rig.c, "orders", test_now_us(), &destination, &err);
	if (!code) {
		struct outbox outbox;
		outbox_make(&outbox, &rig, "orders", 0, 1, WAIT_MS);
		CHECK_EQ(plugin->publish(rig.c, outbox.pointers, 1), 1);
		rig_wait_published(&rig, 1);
		int result = outbox.letters[0].out.result;
		CHECK(result == 0 || result == FERRY_E_NOMEM);
		if (!result) /* a claim for which there was no memory is made later */
			CHECK_EQ(consumer_take(&consumer, 1), 1);
		if (!result)
			settle_all(&consumer, 1, FERRY_SETTLE_ACK);
		outbox_free(&outbox);
	}
	CHECK(!code || code == FERRY_E_NOMEM);
	bool failed = rig.failed;
	if (code && consumer.source) {
		plugin->source_close(consumer.source);
		consumer.source = NULL;
	}
	consumer_close(&consumer);
	rig_close(&rig);
	return failed;
}

static void every_allocation_may_fail(void)
{
	const char *file = new_file();
	long n = 0;
	while (live_without_memory(file, n))
		n++;
	CHECK(n > 8);
}

/* ---- running ---- */

struct named {
	const char *name;
	void (*run)(void);
};

#define TEST(name)          \
	{                   \
#name, name \
	}
static const struct named tests[] = {
	TEST(carries_a_record_as_cloudevents),
	TEST(carries_a_record_in_compact_form),
	TEST(writes_the_envelope_as_fields),
	TEST(accepts_a_foreign_record),
	TEST(a_group_begins_where_it_was_asked_to),
	TEST(two_connections_compete),
	TEST(max_unsettled_stalls_and_recovers),
	TEST(what_is_handed_back_comes_again),
	TEST(views_stay_until_release),
	TEST(a_hold_survives_the_process),
	TEST(deliveries_count_the_processes_that_died),
	TEST(a_revoked_delivery_is_stale),
	TEST(a_lease_runs_out_without_extend),
	TEST(extend_keeps_a_delivery),
	TEST(every_broadcast_handler_gets_all),
	TEST(a_durable_broadcast_handler_resumes),
	TEST(a_full_queue_takes_a_prefix),
	TEST(retain_keeps_the_newest),
	TEST(check_creates_nothing),
	TEST(start_says_what_is_wrong),
	TEST(a_failed_transaction_stores_nothing),
	TEST(an_unclear_commit_is_sent_again),
	TEST(every_allocation_may_fail),
};

static const struct {
	const char *name;
	void (*run)(const char *file);
} roles[] = {{"hold", role_hold},
	     {"crash", role_crash},
	     {"denied", role_denied},
	     {"full", role_full},
	     {"full_for_a_while", role_full_for_a_while}};

static int run_role(const char *name, const char *file)
{
	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
		if (!strcmp(roles[i].name, name))
			roles[i].run(file);
	return 1;
}

static bool is_selected(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static void clean_up(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	CHECK_EQ(system(command), 0);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: template_test PLUGIN.so [TEST...]\n");
		return 2;
	}
	program = argv[0];
	plugin_path = argv[1];
	test_load(plugin_path);
	snprintf(folder, sizeof folder, "/tmp/ferry-template-XXXXXX");
	if (argc == 5 && !strcmp(argv[2], "--role"))
		return run_role(argv[3], argv[4]);
	CHECK(mkdtemp(folder));
	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		if (!is_selected(tests[i].name, argv + 2))
			continue;
		int64_t begin = test_now_us();
		tests[i].run();
		printf("ok %s (%lld ms)\n", tests[i].name, (long long)(test_now_us() - begin) / 1000);
		fflush(stdout);
	}
	clean_up();
	return 0;
}
