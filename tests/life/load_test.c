/*
 * load_test.c - everything at once.  LIFE_URL names a further transport to try, on an empty backend.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "life.h"

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

/* ---- settled by many threads while the time runs out ---- */

#define SETTLERS 4
#define MANUAL   300

struct manual {
	pthread_mutex_t lock;
	struct ferry_message *waiting[2 * MANUAL];
	size_t count;
	bool over;
	atomic_int acked, stale, unfinished;
};

static int pass_on(struct ferry_message *message, void *ctx)
{
	struct manual *manual = ctx;
	if (number_of(message) % 17 == 0)
		return FERRY_E_RETRY;
	pthread_mutex_lock(&manual->lock);
	bool room = manual->count < 2 * MANUAL;
	if (room)
		manual->waiting[manual->count++] = ferry_message_ref(message);
	pthread_mutex_unlock(&manual->lock);
	return room ? 0 : FERRY_E_RETRY;
}

static struct ferry_message *take_one(struct manual *manual, unsigned *seed, bool *ret_over)
{
	struct ferry_message *message = NULL;
	pthread_mutex_lock(&manual->lock);
	*ret_over = manual->over;
	if (manual->count) {
		size_t i = next_random(seed) % manual->count;
		message = manual->waiting[i];
		manual->waiting[i] = manual->waiting[--manual->count];
	}
	pthread_mutex_unlock(&manual->lock);
	return message;
}

static void settle_one(struct manual *manual, struct ferry_message *message, unsigned *seed)
{
	int code = 0;
	switch (next_random(seed) % 6) {
	case 0:
		code = ferry_message_nack(message, (int64_t)(next_random(seed) % 3));
		break;
	case 1:
		code = ferry_message_reject(message);
		break;
	case 2: /* nobody settles it: its time runs out */
		atomic_fetch_add(&manual->unfinished, 1);
		break;
	default:
		(void)ferry_message_extend(message, 5);
		code = ferry_message_ack(message);
		if (code == 0)
			atomic_fetch_add(&manual->acked, 1);
	}
	CHECK(code == 0 || code == FERRY_E_STALE, "settling returned %s", ferry_error_name(code));
	if (code)
		atomic_fetch_add(&manual->stale, 1);
	code = ferry_message_ack(message);
	CHECK(code == FERRY_E_STALE || number_of(message) >= 0, "a second settle returned %d", code);
	if (code == 0)
		atomic_fetch_add(&manual->acked, 1);
	ferry_message_unref(message);
}

static void *settle_them(void *ctx)
{
	struct manual *manual = ctx;
	unsigned seed = (unsigned)(uintptr_t)&seed;
	for (bool over = false; !over;) {
		struct ferry_message *message = take_one(manual, &seed, &over);
		if (message && next_random(&seed) % 4 == 0)
			nanosleep(&(struct timespec){.tv_nsec = (long)(next_random(&seed) % 12) * 1000000},
				  NULL);
		if (message) {
			settle_one(manual, message, &seed);
			over = false;
		} else {
			nap();
		}
	}
	return NULL;
}

static void settle_on(const char *url, int32_t order)
{
	struct manual manual = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus(url, NULL);
	OK(ferry_subscribe(bus, "manual", pass_on, &manual,
			   FERRY_OPTIONS(ferry_handler_options, .ack = FERRY_ACK_MANUAL, .concurrency = 4,
					 .order = order, .timeout_ms = 10, .max_retries = 3,
					 .initial_backoff_ms = 1, .max_backoff_ms = 4, .max_unsettled = 100),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	pthread_t threads[SETTLERS];
	for (int i = 0; i < SETTLERS; i++)
		CHECK(pthread_create(&threads[i], NULL, settle_them, &manual) == 0, "no thread");
	struct ferry_publisher *publisher = open_publisher(bus, "manual");
	for (int i = 0; i < MANUAL; i++) {
		char key = (char)('a' + i % 8);
		send_one(publisher, i, FERRY_OPTIONS(ferry_publish_options, .key = &key, .key_size = 1));
	}
	ferry_publisher_close(publisher);
	WAIT_UNTIL(totals(bus).handled + totals(bus).dead_lettered >= MANUAL);
	pthread_mutex_lock(&manual.lock);
	manual.over = true;
	pthread_mutex_unlock(&manual.lock);
	for (int i = 0; i < SETTLERS; i++)
		pthread_join(threads[i], NULL);
	struct ferry_group_stats t = totals(bus);
	CHECK(t.handled + t.dead_lettered == MANUAL && t.in_flight == 0, "%llu handled, %llu dead-lettered",
	      (unsigned long long)t.handled, (unsigned long long)t.dead_lettered);
	CHECK(t.handled == (uint64_t)manual.acked, "%llu handled, but %d acks were accepted",
	      (unsigned long long)t.handled, manual.acked);
	close_bus(bus);
}

static void manual_settles_race_with_their_deadlines(void)
{
	const char *urls[] = {"memory:", "exact:", "holding:", getenv("LIFE_URL")};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0] && urls[i]; i++) {
		settle_on(urls[i], FERRY_ORDER_NONE);
		settle_on(urls[i], FERRY_ORDER_KEY_IN_PROCESS);
	}
}

/* ---- stopped in the middle of everything ---- */

#define PUBLISHERS 3

struct crowd {
	struct ferry_bus *bus;
	atomic_bool stop;
	atomic_int sent, unknown, seed;
};

static int around_handle(struct ferry_message *message, struct ferry_next *next, void *ctx)
{
	(void)ctx;
	return number_of(message) % 50 == 49 ? FERRY_E_RETRY : ferry_next_handle(next, message);
}

static int around_publish(struct ferry_publication *publication, struct ferry_next *next, void *ctx)
{
	(void)ctx;
	(void)ferry_publication_set_attribute(publication, "seen", "yes");
	return ferry_next_publish(next, publication);
}

static int undecodable(struct ferry_message *message, void *ctx, struct ferry_error *why)
{
	(void)ctx;
	(void)why;
	return number_of(message) % 40 == 39 ? FERRY_E_DECODE : 0;
}

static int now_and_then(struct ferry_message *message, void *ctx)
{
	struct crowd *crowd = ctx;
	unsigned seed = (unsigned)atomic_fetch_add(&crowd->seed, 7919), dice = next_random(&seed) % 50;
	if (dice == 0)
		return FERRY_REJECT;
	if (dice < 4)
		return ferry_message_fail(message, FERRY_E_RETRY, "now and then");
	if (dice == 4)
		nanosleep(&(struct timespec){.tv_nsec = 12000000}, NULL);
	return 0;
}

static void *publish_on_and_on(void *ctx)
{
	struct crowd *crowd = ctx;
	struct ferry_publisher *publisher = open_publisher(crowd->bus, "crowd");
	for (int i = 0; !atomic_load(&crowd->stop); i++) {
		char key = (char)('a' + i % 8);
		struct ferry_error err = {0};
		int code =
			ferry_publish(publisher, &i, sizeof i,
				      FERRY_OPTIONS(ferry_publish_options, .key = &key, .key_size = 1), &err);
		if (code == 0)
			atomic_fetch_add(&crowd->sent, 1);
		else if (code == FERRY_E_UNKNOWN)
			atomic_fetch_add(&crowd->unknown, 1);
		else if (code == FERRY_E_STATE)
			break;
		else
			CHECK(code == FERRY_E_TIMEDOUT, "publish: %s", err.text);
	}
	ferry_publisher_close(publisher);
	return NULL;
}

/* Each group's messages have all ended; on a durable transport some went back. */
static void check_groups(struct crowd *crowd, bool durable)
{
	struct ferry_error err = {0};
	struct ferry_stats *stats = ferry_stats_take(crowd->bus, &err);
	CHECK(stats, "no statistics: %s", err.text);
	for (size_t i = 0; i < ferry_stats_group_count(stats); i++) {
		const struct ferry_group_stats *g = ferry_stats_group(stats, i);
		uint64_t ended = g->handled + g->filtered + g->dead_lettered + g->dropped;
		uint64_t sent = (uint64_t)crowd->sent, unknown = (uint64_t)crowd->unknown;
		CHECK(durable ? ended <= sent + unknown : ended >= sent && ended <= sent + unknown,
		      "%s %s: of %llu messages %llu have ended", g->group, g->handler,
		      (unsigned long long)sent, (unsigned long long)ended);
	}
	ferry_stats_free(stats);
}

static void crowd_on(const char *url, int32_t order, long run_ms)
{
	struct crowd crowd = {.seed = 1};
	struct ferry_error err = {0};
	struct ferry_bus *bus = crowd.bus = open_bus(url, FERRY_OPTIONS(ferry_bus_options, .threads = 6));
	struct ferry_handler_options competing = {.size = sizeof competing,
						  .concurrency = 3,
						  .order = order,
						  .timeout_ms = 5,
						  .max_retries = 2,
						  .initial_backoff_ms = 1,
						  .max_unsettled = 50,
						  .decode = undecodable};
	OK(ferry_subscribe(bus, "crowd", now_and_then, &crowd, &competing, &err), &err);
	OK(ferry_subscribe(bus, "crowd", now_and_then, &crowd, &competing, &err), &err);
	competing.group = "other";
	OK(ferry_subscribe(bus, "crowd", now_and_then, &crowd, &competing, &err), &err);
	for (int i = 0; i < 2; i++)
		OK(ferry_subscribe(bus, "crowd", now_and_then, &crowd,
				   FERRY_OPTIONS(ferry_handler_options, .distribution = FERRY_BROADCAST,
						 .name = i ? "audit" : "mirror", .timeout_ms = 5,
						 .max_retries = 1, .initial_backoff_ms = 1),
				   &err),
		   &err);
	OK(ferry_bus_intercept(bus,
			       &(struct ferry_interceptor){.size = sizeof(struct ferry_interceptor),
							   .handle = around_handle,
							   .publish = around_publish},
			       &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	pthread_t threads[PUBLISHERS];
	for (int i = 0; i < PUBLISHERS; i++)
		CHECK(pthread_create(&threads[i], NULL, publish_on_and_on, &crowd) == 0, "no thread");
	for (int64_t end = real_ms() + run_ms; real_ms() < end; nap())
		totals(bus);
	/* Publishers go on during the stop; those that come too late are refused. */
	OK(ferry_bus_stop(bus, 20000, NULL, &err), &err);
	atomic_store(&crowd.stop, true);
	for (int i = 0; i < PUBLISHERS; i++)
		pthread_join(threads[i], NULL);
	CHECK(totals(bus).in_flight == 0, "in flight after the stop");
	/* What an earlier round has handed back comes again where it is kept beyond the bus. */
	if (!getenv("LIFE_URL") || strcmp(url, getenv("LIFE_URL")) != 0)
		check_groups(&crowd, strcmp(url, "memory:?queue=64") != 0);
	ferry_bus_close(bus);
}

static void a_stop_in_the_middle_of_everything_loses_nothing(void)
{
	const char *urls[] = {"memory:?queue=64", "exact:", "holding:", getenv("LIFE_URL")};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0] && urls[i]; i++) {
		for (int round = 0; round < 4; round++)
			crowd_on(urls[i], round % 2 ? FERRY_ORDER_KEY_IN_PROCESS : FERRY_ORDER_NONE,
				 20 + 40 * round);
	}
}

/* ---- replayed while they fail ---- */

static int fail_until(struct ferry_message *message, void *ctx)
{
	(void)message;
	return atomic_load((atomic_bool *)ctx) ? 0 : FERRY_REJECT;
}

static void replay_on(const char *url)
{
	atomic_bool well = false;
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_bus(url, NULL);
	OK(ferry_subscribe(bus, "sick", fail_until, &well,
			   FERRY_OPTIONS(ferry_handler_options, .concurrency = 2), &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *publisher = open_publisher(bus, "sick");
	for (int i = 0; i < 100; i++)
		send_one(publisher, i, NULL);
	ferry_publisher_close(publisher);
	for (int round = 0; round < 3; round++) {
		WAIT_UNTIL(totals(bus).dead_lettered >= (uint64_t)(100 + 100 * round));
		atomic_store(&well, round == 2);
		struct ferry_replay_report report = {.size = sizeof report};
		OK(ferry_dlq_replay(bus, "dlq.life.sick", NULL, &report, &err), &err);
		CHECK(report.replayed == 100, "%llu were replayed", (unsigned long long)report.replayed);
	}
	WAIT_UNTIL(totals(bus).handled == 100);
	close_bus(bus);
}

static void a_replay_ends_while_its_messages_fail_again(void)
{
	replay_on("memory:");
	if (getenv("LIFE_URL"))
		replay_on(getenv("LIFE_URL"));
}

const struct life_test load_tests[] = {
	{"manual_settles_race_with_their_deadlines", manual_settles_race_with_their_deadlines},
	{"a_stop_in_the_middle_of_everything_loses_nothing",
	 a_stop_in_the_middle_of_everything_loses_nothing},
	{"a_replay_ends_while_its_messages_fail_again", a_replay_ends_while_its_messages_fail_again},
	{NULL, NULL},
};
