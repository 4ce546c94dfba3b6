/*
 * claim_test.c - groups, claims and their leases, verdicts, processes that die.
 */
#include <string.h>
#include <unistd.h>

#include "test_cases.h"

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

static void flush_writes_verdicts(void)
{
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, new_file(), &(struct rig_options){.commit_ms = 1000});
	consumer_open(&consumer, &rig, &shop);
	rig_publish(&rig, "orders", 0, 3);
	CHECK_EQ(consumer_take(&consumer, 8), 3);
	CHECK_EQ(plugin->objects(rig.c, "shop"), 4); /* the group and its claims */
	settle_all(&consumer, 2, FERRY_SETTLE_ACK);
	CHECK_EQ(plugin->flush(rig.c, test_now_us() + WAIT_MS * INT64_C(1000)), 0);
	CHECK_EQ(plugin->objects(rig.c, "shop"), 2);
	CHECK_EQ(consumer_settle(&consumer, 2, FERRY_SETTLE_ACK, 0, 0), 0);
	consumer_close(&consumer);
	CHECK_EQ(plugin->flush(rig.c, test_now_us()), 0);
	CHECK_EQ(plugin->objects(rig.c, "shop"), 1);
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

const struct test_case claim_tests[] = {
	TEST(a_group_begins_where_it_was_asked_to),
	TEST(two_connections_compete),
	TEST(max_unsettled_stalls_and_recovers),
	TEST(what_is_handed_back_comes_again),
	TEST(flush_writes_verdicts),
	TEST(views_stay_until_release),
	TEST(a_hold_survives_the_process),
	TEST(deliveries_count_the_processes_that_died),
	TEST(a_revoked_delivery_is_stale),
	TEST(a_lease_runs_out_without_extend),
	TEST(extend_keeps_a_delivery),
	{NULL, NULL},
};

const struct test_role claim_roles[] = {
	{"hold", role_hold},
	{"crash", role_crash},
	{NULL, NULL},
};
