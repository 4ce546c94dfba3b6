/* role_consume.c - a consumer: every call of its handler goes to the log, at its beginning and at its end. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "role.h"

#define HELD_MS 120000 /* of a handler that holds a message: longer than any run */

struct consumer {
	uint64_t seed;
	int64_t work_us, near_ms, far_ms;
	bool sweeps;

	/* handlers that hold a message wait here for the next word */
	pthread_mutex_t lock;
	pthread_cond_t said;
	unsigned words;
	int verdict;
	bool open;
};

static void position_of(const struct ferry_message *m, char *buffer, size_t size)
{
	if (ferry_message_position(m, buffer, size) >= size || strpbrk(buffer, " \n"))
		log_failure("a position that cannot be logged: %s", buffer);
}

/* The number and kind of a message; a damaged one ends the process. */
static unsigned read_message(const struct ferry_message *m, enum kind *ret_kind)
{
	size_t size;
	unsigned number;
	const char *payload = ferry_message_payload(m, &size);
	if (!message_read(payload, size, &number, ret_kind))
		log_failure("message %s came damaged", ferry_message_id(m));
	return number;
}

static int hold(struct consumer *c)
{
	int verdict;
	pthread_mutex_lock(&c->lock);
	for (unsigned words = c->words; !c->open && c->words == words;)
		pthread_cond_wait(&c->said, &c->lock);
	verdict = c->open ? 0 : c->verdict;
	pthread_mutex_unlock(&c->lock);
	return verdict;
}

static int fail_late(const struct consumer *c, struct ferry_message *m)
{
	uint32_t attempt = ferry_message_attempt(m);
	if (attempt > 2)
		return 0;
	ferry_message_retry_after(m, attempt == 1 ? c->near_ms : c->far_ms);
	return FERRY_E_RETRY;
}

static void work(const struct consumer *c, unsigned number)
{
	uint64_t random = c->seed + number;
	if (c->work_us)
		sleep_us(random_between(&random, 0, c->work_us));
}

static int decide(struct consumer *c, struct ferry_message *m, enum kind kind, unsigned number)
{
	if (c->sweeps)
		return 0;
	work(c, number);
	switch (kind) {
	case KIND_FLAKY:
		return ferry_message_attempt(m) == 1 ? FERRY_E_RETRY : 0;
	case KIND_REJECT:
		return FERRY_REJECT;
	case KIND_HOPELESS:
		return FERRY_E_RETRY;
	case KIND_HELD:
		return hold(c);
	case KIND_LATE:
		return fail_late(c, m);
	case KIND_ABORT:
		abort();
	case KIND_OTHER:
		log_failure("message %u came in spite of the filter", number);
	case KIND_LARGE:
		log_failure("message %u came in spite of its size", number);
	default:
		return 0;
	}
}

static int handle(struct ferry_message *m, void *ctx)
{
	struct consumer *c = ctx;
	enum kind kind;
	char position[100];
	unsigned number = read_message(m, &kind);
	position_of(m, position, sizeof position);
	log_line("begin %u %u %s", number, ferry_message_attempt(m), position);
	int code = decide(c, m, kind, number);
	log_line("end %u %s %s", number,
		 code == 0              ? "ok"
		 : code == FERRY_REJECT ? "reject"
					: "retry",
		 position);
	return code;
}

static int read_dead(struct ferry_message *m, void *ctx)
{
	enum kind kind;
	char position[100];
	const char *reason = ferry_message_attribute(m, "ferry-dlq-reason");
	unsigned number = read_message(m, &kind);
	(void)ctx;
	position_of(m, position, sizeof position);
	log_line("dead %u %s %s", number, reason ? reason : "?", position);
	return 0;
}

static void subscribe(struct ferry_bus *bus, struct consumer *c, const struct arguments *a)
{
	bool dead = !strcmp(argument(a, "mode", "handle"), "dead");
	const struct ferry_handler_options options = {
		.size = sizeof options,
		.filter = dead || c->sweeps || !strcmp(argument(a, "filter", "on"), "off")
				  ? NULL
				  : FERRY_ATTRIBUTES({"side", "here"}),
		.concurrency = (int32_t)argument_number(a, "concurrency", 1),
		.max_retries = (int32_t)argument_number(a, "max_retries", 0),
		.initial_backoff_ms = (int32_t)argument_number(a, "backoff_ms", 0),
		.max_deliveries = (int32_t)argument_number(a, "max_deliveries", 0),
		.timeout_ms = HELD_MS,
	};
	struct ferry_error err = {0};
	if (ferry_subscribe(bus, argument(a, "topic", ""), dead ? read_dead : handle, c, &options, &err))
		log_failure("subscribing: %s", err.text);
}

/* A word from the scenario. */
static void hear(struct consumer *c, const char *word)
{
	pthread_mutex_lock(&c->lock);
	c->verdict = !strcmp(word, "release retry") ? FERRY_E_RETRY : 0;
	c->open = c->open || !strcmp(word, "open");
	c->words++;
	pthread_cond_broadcast(&c->said);
	pthread_mutex_unlock(&c->lock);
}

int role_consume(const struct arguments *arguments)
{
	static struct consumer c = {.lock = PTHREAD_MUTEX_INITIALIZER, .said = PTHREAD_COND_INITIALIZER};
	char line[64];
	c.seed = (uint64_t)argument_number(arguments, "seed", 1);
	c.work_us = argument_number(arguments, "work_us", 0);
	c.near_ms = argument_number(arguments, "near_ms", 0);
	c.far_ms = argument_number(arguments, "far_ms", 0);
	c.sweeps = !strcmp(argument(arguments, "mode", "handle"), "sweep");
	struct ferry_bus *bus = role_open(arguments);
	subscribe(bus, &c, arguments);
	role_start(bus);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "stop")) {
			role_finish(bus);
			return 0;
		}
		hear(&c, line);
	}
	/* The scenario has gone without a word. */
	_exit(1);
}
