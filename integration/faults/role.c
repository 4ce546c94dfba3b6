/* role.c - logs, arguments and buses: what the roles have in common. */
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 700
#define START_MS   30000
#define STOP_MS    30000
#define STALL_US   500000

static int log_fd = -1;
static int bus_log_fd = -1; /* what the bus says, for whoever looks into a failure */

int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void sleep_until_us(int64_t us)
{
	struct timespec until = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

void sleep_us(int64_t us)
{
	sleep_until_us(now_us() + us);
}

void log_open(const char *path)
{
	char bus_path[4096];
	snprintf(bus_path, sizeof bus_path, "%s.bus", path);
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	bus_log_fd = open(bus_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0 || bus_log_fd < 0) {
		fprintf(stderr, "faults: %s: %s\n", path, strerror(errno));
		exit(1);
	}
}

static void write_line(int fd, const char *format, va_list arguments)
{
	char line[LINE_BYTES + 32];
	int length = vsnprintf(line, LINE_BYTES, format, arguments);
	if (length >= LINE_BYTES)
		length = LINE_BYTES - 1;
	length += snprintf(line + length, 32, " %" PRId64 "\n", now_us());
	if (write(fd, line, (size_t)length) != length) {
		perror("faults: the log cannot be written");
		_exit(1);
	}
}

void log_line(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	write_line(log_fd, format, arguments);
	va_end(arguments);
}

void log_failure(const char *format, ...)
{
	char text[LINE_BYTES];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	log_line("failed %s", text);
	_exit(1);
}

const char *argument(const struct arguments *arguments, const char *key, const char *otherwise)
{
	size_t length = strlen(key);
	for (int i = arguments->count - 1; i >= 0; i--)
		if (!strncmp(arguments->values[i], key, length) && arguments->values[i][length] == '=')
			return arguments->values[i] + length + 1;
	return otherwise;
}

int64_t argument_number(const struct arguments *arguments, const char *key, int64_t otherwise)
{
	const char *value = argument(arguments, key, NULL);
	return value ? strtoll(value, NULL, 10) : otherwise;
}

static void log_bus(int level, const char *text, void *ctx)
{
	char line[LINE_BYTES];
	(void)ctx;
	int length = snprintf(line, sizeof line, "%" PRId64 " %d %.600s\n", now_us(), level, text);
	/* A hook has nobody to tell that this failed. */
	if (write(bus_log_fd, line, (size_t)length) < 0)
		return;
}

static void log_state(struct ferry_bus *bus, int state, const struct ferry_error *why, void *ctx)
{
	char text[LINE_BYTES];
	(void)bus;
	snprintf(text, sizeof text, "state %d: %.500s", state, why ? why->text : "");
	log_bus(FERRY_LOG_INFO, text, ctx);
}

struct ferry_bus *role_open(const struct arguments *arguments)
{
	const struct rlimit no_core = {0, 0};
	const struct ferry_bus_options options = {
		.size = sizeof options,
		.service = argument(arguments, "service", NULL),
		.transport_path = argument(arguments, "transport", NULL),
		.takeover_ms = (int32_t)argument_number(arguments, "takeover_ms", 0),
		.max_message = argument_number(arguments, "max_message", 0),
		.log = log_bus,
		.on_state = log_state,
	};
	struct ferry_error err = {0};
	setrlimit(RLIMIT_CORE, &no_core);
	struct ferry_bus *bus = ferry_bus_open(argument(arguments, "url", NULL), &options, &err);
	if (!bus)
		log_failure("the bus cannot be opened: %s", err.text);
	return bus;
}

/* A process that stands still for long loses its leases, as one that is frozen: the oracle has to know. */
static void *watch(void *unused)
{
	for (int64_t before_us = now_us(), at_us;; before_us = at_us) {
		sleep_us(BEAT_US);
		at_us = now_us();
		log_stall(before_us, at_us);
	}
	return unused;
}

void log_stall(int64_t from_us, int64_t to_us)
{
	if (to_us - from_us > STALL_US)
		log_line("stall %u", (unsigned)((to_us - from_us) / 1000));
}

void role_start(struct ferry_bus *bus)
{
	pthread_t watcher;
	struct ferry_error err = {0};
	if (ferry_bus_start(bus, START_MS, &err))
		log_failure("the bus cannot be started: %s", err.text);
	if (ferry_bus_state(bus, NULL) != FERRY_STATE_READY)
		log_failure("the bus is not ready after %d ms: %s", START_MS, err.text);
	if (pthread_create(&watcher, NULL, watch, NULL) || pthread_detach(watcher))
		log_failure("a thread cannot be started");
	log_line("ready %" PRIx64, ferry_bus_capabilities(bus));
}

void role_finish(struct ferry_bus *bus)
{
	struct ferry_error err = {0};
	uint64_t published = 0, rejected = 0, unknown = 0;
	if (ferry_bus_wait_ready(bus, START_MS, &err))
		log_failure("long after the last fault the bus is still not ready: %s", err.text);
	if (ferry_bus_stop(bus, STOP_MS, NULL, &err))
		log_failure("the bus cannot be stopped: %s", err.text);
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	if (!stats)
		log_failure("no statistics: %s", err.text);
	struct ferry_group_stats g = ferry_stats_sum(stats, NULL);
	for (size_t i = 0; i < ferry_stats_topic_count(stats); i++) {
		const struct ferry_topic_stats *t = ferry_stats_topic(stats, i);
		if (!strncmp(t->topic, "dlq.", 4))
			continue; /* the core's own */
		published += t->published;
		rejected += t->rejected;
		unknown += t->unknown;
	}
	ferry_stats_free(stats);
	log_line("groups %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		 " %" PRIu64 " %" PRIu64,
		 g.received, g.handled, g.filtered, g.dead_lettered, g.dropped, g.retried, g.handed_back,
		 g.stale, g.in_flight);
	log_line("topics %" PRIu64 " %" PRIu64 " %" PRIu64, published, rejected, unknown);
	ferry_bus_close(bus);
	log_line("done");
}
