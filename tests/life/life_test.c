/*
 * life_test.c - what the test files share, and the program that runs them: life_test [NAME].
 */
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "life.h"

static const char *running = "";

void check_failed(const char *file, int line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "%s:%d: %s: ", file, line, running);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	_Exit(1);
}

void succeeded(const char *file, int line, const char *call, int code, const struct ferry_error *err)
{
	if (code != 0)
		check_failed(file, line, "%s returned %s: %s", call, ferry_error_name(code),
			     err ? err->text : "");
}

int64_t real_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

struct ferry_bus *open_bus(const char *url, const struct ferry_bus_options *options)
{
	struct ferry_bus_options o = {.size = sizeof o};
	struct ferry_error err = {0};
	if (options)
		o = *options;
	if (!o.service)
		o.service = "life";
	struct ferry_bus *bus = ferry_bus_open(url, &o, &err);
	CHECK(bus, "%s cannot be opened: %s", url, err.text);
	return bus;
}

struct ferry_publisher *open_publisher(struct ferry_bus *bus, const char *topic)
{
	struct ferry_error err = {0};
	struct ferry_publisher *publisher = NULL;
	OK(ferry_publisher_open(bus, topic, NULL, &publisher, &err), &err);
	return publisher;
}

void send_one(struct ferry_publisher *publisher, int number, const struct ferry_publish_options *options)
{
	struct ferry_error err = {0};
	OK(ferry_publish(publisher, &number, sizeof number, options, &err), &err);
}

int number_of(const struct ferry_message *message)
{
	size_t size;
	int number;
	const void *payload = ferry_message_payload(message, &size);
	CHECK(size == sizeof number, "a payload of %zu bytes", size);
	memcpy(&number, payload, sizeof number);
	return number;
}

struct ferry_group_stats totals(struct ferry_bus *bus)
{
	struct ferry_error err = {0};
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	CHECK(stats, "no statistics: %s", err.text);
	for (size_t i = 0; i < ferry_stats_group_count(stats); i++) {
		const struct ferry_group_stats *g = ferry_stats_group(stats, i);
		uint64_t sum = g->handled + g->filtered + g->dead_lettered + g->dropped + g->retried +
			       g->handed_back + g->stale + g->in_flight;
		CHECK(sum == g->received, "%s/%s: received %llu, but its parts are %llu", g->group, g->topic,
		      (unsigned long long)g->received, (unsigned long long)sum);
	}
	struct ferry_group_stats sum = ferry_stats_sum(stats, NULL);
	ferry_stats_free(stats);
	return sum;
}

void close_bus(struct ferry_bus *bus)
{
	struct ferry_error err = {0};
	OK(ferry_bus_stop(bus, 20000, NULL, &err), &err);
	struct ferry_group_stats t = totals(bus);
	CHECK(t.in_flight == 0 && t.held == 0, "after the stop %llu are in flight",
	      (unsigned long long)t.in_flight);
	ferry_bus_close(bus);
}

int main(int argc, char **argv)
{
	const struct life_test *const files[] = {key_tests, suspect_tests, bus_tests, late_tests, load_tests};
	int ran = 0;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		for (const struct life_test *test = files[i]; test->name; test++) {
			if (argc > 1 && strcmp(argv[1], test->name) != 0)
				continue;
			running = test->name;
			int64_t begin = real_ms();
			test->run();
			printf("ok %s (%lld ms)\n", test->name, (long long)(real_ms() - begin));
			fflush(stdout);
			ran++;
		}
	}
	if (!ran)
		fprintf(stderr, "life_test: no test of this name\n");
	return ran ? 0 : 2;
}
