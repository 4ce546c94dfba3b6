/* role_publish.c - a publisher: every message and its outcome goes to the log. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "role.h"

#define BATCH 16

struct sender {
	struct ferry_publisher *publisher;
	const char *run;
	uint64_t seed, random;
	struct mix mix;
	int kind; /* of all, or 0 */
	int64_t abort_at, max_size, deadline_ms, rate;
	unsigned first, count;

	pthread_mutex_t lock;
	pthread_cond_t room;
	unsigned under_way, window;
};

/* One message that is on its way. */
struct letter {
	struct sender *sender;
	unsigned number;
	char id[48];
	char *payload; /* MESSAGE_MAX + 1 bytes */
	size_t size;
	struct ferry_publish_options options;
};

static const struct ferry_attribute here[] = {{"side", "here"}, {NULL, NULL}};
static const struct ferry_attribute there[] = {{"side", "there"}, {NULL, NULL}};

static enum kind kind_of(const struct sender *s, unsigned number)
{
	if (number == s->abort_at)
		return KIND_ABORT;
	return s->kind ? (enum kind)s->kind : message_kind(&s->mix, s->seed, number);
}

static void letter_write(struct letter *letter, struct sender *s, unsigned number)
{
	enum kind kind = kind_of(s, number);
	size_t size =
		kind == KIND_LARGE ? MESSAGE_MAX + 1 : (size_t)random_between(&s->random, 0, s->max_size);
	letter->sender = s;
	letter->number = number;
	letter->size = message_write(letter->payload, size, number, kind);
	snprintf(letter->id, sizeof letter->id, "%s-%u", s->run, number);
	letter->options = (struct ferry_publish_options){
		.size = sizeof letter->options,
		.attributes = kind == KIND_OTHER ? there : here,
		.id = letter->id,
		.deadline_ms = s->deadline_ms,
	};
	log_line("try %u %c", number, kind);
}

static void log_result(unsigned number, int code)
{
	if (code == 0)
		log_line("ok %u", number);
	else
		log_line("%s %u %s", code == FERRY_E_UNKNOWN ? "unknown" : "refused", number,
			 ferry_error_name(code));
}

/* Keep the rate; the next message is number `sent`. */
static void pace(const struct sender *s, int64_t begun_us, unsigned sent)
{
	if (s->rate)
		sleep_until_us(begun_us + (int64_t)sent * 1000000 / s->rate);
}

static char *payload_new(void)
{
	char *payload = malloc(MESSAGE_MAX + 1);
	if (!payload)
		log_failure("out of memory");
	return payload;
}

static void send_each(struct sender *s)
{
	struct letter letter = {.payload = payload_new()};
	int64_t begun_us = now_us();
	for (unsigned i = 0; i < s->count; i++) {
		pace(s, begun_us, i);
		letter_write(&letter, s, s->first + i);
		log_result(letter.number,
			   ferry_publish(s->publisher, letter.payload, letter.size, &letter.options, NULL));
	}
	free(letter.payload);
}

static void send_batches(struct sender *s)
{
	struct letter letters[BATCH];
	struct ferry_batch_item items[BATCH];
	int64_t begun_us = now_us();
	for (unsigned i = 0; i < BATCH; i++)
		letters[i].payload = payload_new();
	for (unsigned i = 0; i < s->count; i += BATCH) {
		unsigned count = s->count - i < BATCH ? s->count - i : BATCH;
		pace(s, begun_us, i);
		for (unsigned k = 0; k < count; k++) {
			letter_write(&letters[k], s, s->first + i + k);
			items[k] = (struct ferry_batch_item){.payload = letters[k].payload,
							     .payload_size = letters[k].size,
							     .options = &letters[k].options};
		}
		ferry_publish_batch(s->publisher, items, count, s->deadline_ms, NULL);
		for (unsigned k = 0; k < count; k++)
			log_result(letters[k].number, items[k].result);
	}
	for (unsigned i = 0; i < BATCH; i++)
		free(letters[i].payload);
}

static void letter_free(struct letter *letter)
{
	struct sender *s = letter->sender;
	free(letter->payload);
	free(letter);
	pthread_mutex_lock(&s->lock);
	s->under_way--;
	pthread_cond_signal(&s->room);
	pthread_mutex_unlock(&s->lock);
}

static void published(int code, const struct ferry_error *err, void *ctx)
{
	struct letter *letter = ctx;
	(void)err;
	log_result(letter->number, code);
	letter_free(letter);
}

/* Wait until fewer than `bound` messages are under way. */
static void wait_for_room(struct sender *s, unsigned bound)
{
	pthread_mutex_lock(&s->lock);
	while (s->under_way >= bound)
		pthread_cond_wait(&s->room, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void send_async(struct sender *s)
{
	int64_t begun_us = now_us();
	for (unsigned i = 0; i < s->count; i++) {
		struct letter *letter = calloc(1, sizeof *letter);
		if (!letter)
			log_failure("out of memory");
		letter->payload = payload_new();
		pace(s, begun_us, i);
		wait_for_room(s, s->window);
		pthread_mutex_lock(&s->lock);
		s->under_way++;
		pthread_mutex_unlock(&s->lock);
		letter_write(letter, s, s->first + i);
		int code = ferry_publish_async(s->publisher, letter->payload, letter->size, &letter->options,
					       published, letter, NULL);
		if (code) {
			log_result(letter->number, code);
			letter_free(letter);
		}
	}
	wait_for_room(s, 1);
}

static struct sender *sender_new(const struct arguments *a)
{
	static struct sender s = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = PTHREAD_COND_INITIALIZER};
	s.run = argument(a, "run", "");
	s.seed = s.random = (uint64_t)argument_number(a, "seed", 1);
	s.mix = (struct mix){.flaky = (unsigned)argument_number(a, "flaky", 0),
			     .reject = (unsigned)argument_number(a, "reject", 0),
			     .hopeless = (unsigned)argument_number(a, "hopeless", 0),
			     .other = (unsigned)argument_number(a, "other", 0),
			     .large = (unsigned)argument_number(a, "large", 0)};
	s.kind = (unsigned char)*argument(a, "kind", "");
	s.abort_at = argument_number(a, "abort", -1);
	s.max_size = argument_number(a, "max_size", 200);
	s.deadline_ms = argument_number(a, "deadline_ms", 30000);
	s.rate = argument_number(a, "rate", 0);
	s.first = (unsigned)argument_number(a, "first", 0);
	s.count = (unsigned)argument_number(a, "count", 1);
	s.window = (unsigned)argument_number(a, "window", 64);
	return &s;
}

int role_publish(const struct arguments *arguments)
{
	struct sender *s = sender_new(arguments);
	struct ferry_bus *bus = role_open(arguments);
	const char *mode = argument(arguments, "mode", "sync");
	struct ferry_error err = {0};
	role_start(bus);
	if (ferry_publisher_open(bus, argument(arguments, "topic", ""), NULL, &s->publisher, &err))
		log_failure("the publisher cannot be opened: %s", err.text);
	if (!strcmp(mode, "async"))
		send_async(s);
	else if (!strcmp(mode, "batch"))
		send_batches(s);
	else
		send_each(s);
	ferry_publisher_close(s->publisher);
	role_finish(bus);
	return 0;
}
