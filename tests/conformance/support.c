/* support.c - gates, kept messages, dead letters and counters for the cases from 24 on. */
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "context.h"
#include "support.h"

bool support_has_control(const struct conformance *c)
{
	return c->settings->control != NULL;
}

int64_t support_commit_us(const struct conformance *c)
{
	bool periodic =
		conformance_can(c, FERRY_CAP_HOLD_DURABLE) && !conformance_can(c, FERRY_CAP_ATTEMPT_DURABLE);

	return periodic ? 1000000 : 500000;
}

void support_check_delay(struct conformance *c, const char *what, int64_t from_us, int64_t at_us,
			 int64_t delay_ms)
{
	double took_ms = (double)(at_us - from_us) / 1000;
	int64_t slack_ms = delay_ms / 10 > 500 ? delay_ms / 10 : 500;

	CHECK(c, at_us - from_us >= delay_ms * 1000, "%s came too early: after %.1f ms instead of %" PRId64,
	      what, took_ms, delay_ms);
	CHECK(c, at_us - from_us <= (delay_ms + slack_ms) * 1000,
	      "%s came too late: after %.1f ms instead of %" PRId64, what, took_ms, delay_ms);
}

/* ---- counters ---- */

struct counter_goal {
	struct conformance *c;
	struct ferry_bus *bus;
	const char *group;
	size_t counter;
	uint64_t count;
};

static bool has_counted(void *ctx)
{
	const struct counter_goal *goal = ctx;
	struct ferry_group_stats sum = conformance_stats(goal->c, goal->bus, goal->group);
	uint64_t value;

	memcpy(&value, (const char *)&sum + goal->counter, sizeof value);
	return value >= goal->count;
}

bool support_counter(struct conformance *c, struct ferry_bus *bus, const char *group, size_t counter,
		     uint64_t count)
{
	struct counter_goal goal = {.c = c, .bus = bus, .group = group, .counter = counter, .count = count};

	return conformance_until(c, has_counted, &goal, WAIT_MS);
}

/* ---- gates ---- */

struct gate {
	struct conformance *c;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_open;
	size_t waiting;
};

struct gate *gate_new(struct conformance *c)
{
	struct gate *gate = conformance_alloc(c, sizeof *gate);

	gate->c = c;
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->changed, NULL);
	return gate;
}

void gate_pass(struct gate *gate)
{
	struct timespec until;
	int code = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(WAIT_MS / 1000) * 3;
	pthread_mutex_lock(&gate->lock);
	gate->waiting++;
	while (!gate->is_open && !code)
		code = pthread_cond_timedwait(&gate->changed, &gate->lock, &until);
	gate->waiting--;
	pthread_mutex_unlock(&gate->lock);
	CHECK(gate->c, !code, "a handler waited in vain for the case to go on");
}

void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->is_open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

struct crowd {
	struct gate *gate;
	size_t count;
};

static bool is_crowded(void *ctx)
{
	const struct crowd *crowd = ctx;
	size_t waiting;

	pthread_mutex_lock(&crowd->gate->lock);
	waiting = crowd->gate->waiting;
	pthread_mutex_unlock(&crowd->gate->lock);
	return waiting >= crowd->count;
}

bool gate_crowd(struct gate *gate, size_t count)
{
	return conformance_until_now(gate->c, is_crowded, &(struct crowd){gate, count}, WAIT_MS);
}

int gate_verdict(struct ferry_message *message, void *gate)
{
	(void)message;
	gate_pass(gate);
	return 0;
}

/* ---- keepers ---- */

struct kept {
	struct ferry_message *message;
	struct kept *next;
};

struct keeper {
	struct conformance *c;
	pthread_mutex_t lock;
	struct kept *oldest;
};

struct keeper *keeper_new(struct conformance *c)
{
	struct keeper *keeper = conformance_alloc(c, sizeof *keeper);

	keeper->c = c;
	pthread_mutex_init(&keeper->lock, NULL);
	return keeper;
}

int keeper_verdict(struct ferry_message *message, void *ctx)
{
	struct keeper *keeper = ctx;
	struct kept *kept = conformance_alloc(keeper->c, sizeof *kept);
	struct kept **at = &keeper->oldest;

	kept->message = ferry_message_ref(message);
	pthread_mutex_lock(&keeper->lock);
	while (*at)
		at = &(*at)->next;
	*at = kept;
	pthread_mutex_unlock(&keeper->lock);
	return 0;
}

struct search {
	struct keeper *keeper;
	int64_t n; /* -1: any */
	struct ferry_message *found;
};

static bool is_kept(void *ctx)
{
	struct search *search = ctx;
	struct kept **at = &search->keeper->oldest;

	pthread_mutex_lock(&search->keeper->lock);
	while (*at && search->n >= 0 && conformance_number((*at)->message) != search->n)
		at = &(*at)->next;
	if (*at) {
		search->found = (*at)->message;
		*at = (*at)->next;
	}
	pthread_mutex_unlock(&search->keeper->lock);
	return search->found != NULL;
}

struct ferry_message *keeper_take(struct keeper *keeper, int64_t n)
{
	struct search search = {.keeper = keeper, .n = n};

	CHECK(keeper->c, conformance_until(keeper->c, is_kept, &search, WAIT_MS),
	      "message %" PRId64 " did not come to its handler", n);
	return search.found;
}

size_t keeper_ack_all(struct keeper *keeper)
{
	size_t count = 0;

	for (;;) {
		struct search search = {.keeper = keeper, .n = -1};
		int code;

		if (!is_kept(&search))
			return count;
		code = ferry_message_ack(search.found);
		CHECK(keeper->c, !code, "a later ack is refused: %s", ferry_error_name(code));
		ferry_message_unref(search.found);
		count++;
	}
}

/* ---- dead letters ---- */

const char *dead_letters_topic(struct conformance *c, const char *group, const char *topic)
{
	return conformance_text(c, "dlq.%s.%s", group, topic);
}

static const struct ferry_attribute *copy_attributes(struct conformance *c, const struct ferry_message *m)
{
	size_t count = ferry_message_attribute_count(m);
	struct ferry_attribute *copy = conformance_alloc(c, (count + 1) * sizeof *copy);

	for (size_t i = 0; i < count; i++) {
		const struct ferry_attribute *from = ferry_message_attribute_at(m, i);

		copy[i].name = conformance_text(c, "%s", from->name);
		copy[i].value = conformance_text(c, "%s", from->value);
	}
	return copy;
}

static int bury(struct ferry_message *m, void *ctx)
{
	struct dead_letters *dead = ctx;
	struct conformance *c = dead->c;
	struct dead_letter *letter = conformance_alloc(c, sizeof *letter);
	const void *key = ferry_message_key(m, &letter->key_size);

	if (dead->gate)
		gate_pass(dead->gate);
	letter->n = conformance_number(m);
	letter->id = conformance_text(c, "%s", ferry_message_id(m));
	letter->source = conformance_text(c, "%s", ferry_message_source(m));
	letter->content_type = conformance_text(c, "%s", ferry_message_content_type(m));
	letter->trace_id = conformance_text(c, "%s", ferry_message_trace_id(m));
	letter->timestamp_us = ferry_message_timestamp_us(m);
	if (key)
		letter->key = memcpy(conformance_alloc(c, letter->key_size + 1), key, letter->key_size);
	letter->attributes = copy_attributes(c, m);
	letter->next = atomic_load(&dead->newest);
	while (!atomic_compare_exchange_weak(&dead->newest, &letter->next, letter))
		;
	recorder_add_message(dead->recorder, m, 0);
	return 0;
}

struct dead_letters *dead_letters_read(struct conformance *c, struct ferry_bus *bus, const char *dlq_topic)
{
	struct dead_letters *dead = conformance_alloc(c, sizeof *dead);

	dead->c = c;
	dead->recorder = conformance_recorder(c);
	conformance_subscribe(c, bus, dlq_topic, bury, dead,
			      FERRY_OPTIONS(ferry_handler_options, .group = conformance_name(c, "reader")));
	return dead;
}

const struct dead_letter *dead_letters_find(struct dead_letters *dead, int64_t n)
{
	const struct dead_letter *found = NULL;

	for (const struct dead_letter *at = atomic_load(&dead->newest); at; at = at->next)
		if (at->n == n)
			found = at;
	CHECK(dead->c, found, "message %" PRId64 " is not among the dead letters", n);
	return found;
}

const char *dead_letter_attribute(const struct dead_letter *letter, const char *name)
{
	for (const struct ferry_attribute *at = letter->attributes; at->name; at++)
		if (!strcmp(at->name, name))
			return at->value;
	return NULL;
}

void dead_letter_expect(struct conformance *c, const struct dead_letter *letter, const char *name,
			const char *value)
{
	const char *found = dead_letter_attribute(letter, name);

	CHECK(c, found, "the dead letter of message %" PRId64 " has no %s", letter->n, name);
	CHECK(c, !strcmp(found, value),
	      "the dead letter of message %" PRId64 " has %s \"%s\" instead of \"%s\"", letter->n, name,
	      found, value);
}
