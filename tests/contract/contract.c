/*
 * contract.c - what the test files share, and the program that runs them: contract_test [NAME].
 */
#include "contract.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

struct ferry_error err;
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

void succeeded(const char *file, int line, const char *call, int code)
{
	if (code != 0)
		check_failed(file, line, "%s returned %s: %s", call, ferry_error_name(code), err.text);
}

void refused(const char *file, int line, const char *call, int code, int expected, const char *naming)
{
	if (code != expected)
		check_failed(file, line, "%s returned %s, not %s: %s", call,
			     code ? ferry_error_name(code) : "0", ferry_error_name(expected), err.text);
	if (err.code != code)
		check_failed(file, line, "%s returned %s and the error says %d", call, ferry_error_name(code),
			     err.code);
	if (!strstr(err.text, naming))
		check_failed(file, line, "%s does not name \"%s\": \"%s\"", call, naming, err.text);
	memset(&err, 0, sizeof err);
}

struct ferry_bus *open_url(const char *url, const struct ferry_bus_options *options)
{
	struct ferry_bus *bus = ferry_bus_open(url, options, &err);
	CHECK(bus, "%s cannot be opened: %s", url, err.text);
	return bus;
}

struct ferry_bus *open_still(const char *query, const struct ferry_bus_options *options)
{
	char url[200];
	snprintf(url, sizeof url, "memory:?clock=manual&threads=caller%s", query);
	return open_url(url, options);
}

void turn(struct ferry_bus *bus)
{
	int ran;
	while ((ran = ferry_bus_dispatch(bus, 0)) > 0)
		;
	CHECK(ran == 0, "dispatch returned %s", ferry_error_name(ran));
}

void pass(struct ferry_bus *bus, int64_t ms)
{
	int code = ferry_bus_advance(bus, ms);
	CHECK(code == 0, "advance returned %s", ferry_error_name(code));
	turn(bus);
}

struct ferry_publisher *open_publisher(struct ferry_bus *bus, const char *topic)
{
	struct ferry_publisher *publisher = NULL;
	OK(ferry_publisher_open(bus, topic, NULL, &publisher, &err));
	return publisher;
}

int publish(struct ferry_bus *bus, const char *topic, const char *payload,
	    const struct ferry_publish_options *options)
{
	struct ferry_publisher *publisher = open_publisher(bus, topic);
	int code = ferry_publish(publisher, payload, strlen(payload), options, &err);
	ferry_publisher_close(publisher);
	return code;
}

struct ferry_group_stats stats_of(struct ferry_bus *bus, const char *group)
{
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	CHECK(stats, "%s", err.text);
	for (size_t i = 0; i < ferry_stats_group_count(stats); i++) {
		const struct ferry_group_stats *row = ferry_stats_group(stats, i);
		uint64_t sum = row->handled + row->filtered + row->dead_lettered + row->dropped +
			       row->retried + row->handed_back + row->stale + row->in_flight;
		CHECK(row->received == sum, "%s %s: received %d and the terms are %d", row->group, row->topic,
		      (int)row->received, (int)sum);
	}
	struct ferry_group_stats sum = ferry_stats_sum(stats, group);
	ferry_stats_free(stats);
	return sum;
}

struct ferry_topic_stats topic_stats_of(struct ferry_bus *bus, const char *topic)
{
	struct ferry_topic_stats found = {.size = 0};
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	CHECK(stats, "%s", err.text);
	for (size_t i = 0; i < ferry_stats_topic_count(stats); i++)
		if (strcmp(ferry_stats_topic(stats, i)->topic, topic) == 0)
			found = *ferry_stats_topic(stats, i);
	CHECK(found.size, "no row for topic %s", topic);
	ferry_stats_free(stats);
	return found;
}

int follow_plan(struct ferry_message *message, void *ctx)
{
	struct plan *plan = ctx;
	int n = atomic_load(&plan->calls);
	if (n < 64) {
		plan->at_ms[n] = ferry_bus_now_us(plan->bus) / 1000;
		plan->attempts[n] = ferry_message_attempt(message);
	}
	atomic_fetch_add(&plan->calls, 1);
	if (!plan->results)
		return 0;
	int result = plan->results[n < plan->result_count ? n : plan->result_count - 1];
	return plan->text && result ? ferry_message_fail(message, result, plan->text) : result;
}

int64_t real_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void wait_for(const char *file, int line, const char *what, atomic_int *counter, int value)
{
	int64_t deadline = real_ms() + 20000;
	while (atomic_load(counter) < value) {
		if (real_ms() > deadline)
			check_failed(file, line, "%s is %d and does not reach %d", what, atomic_load(counter),
				     value);
		nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	}
}

int main(int argc, char **argv)
{
	const struct contract_test *const files[] = {subscribe_tests, retry_tests,   message_tests,
						     dlq_tests,       publish_tests, intercept_tests,
						     start_tests,     stop_tests,    null_tests};
	int ran = 0;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		for (const struct contract_test *test = files[i]; test->name; test++) {
			if (argc > 1 && strcmp(argv[1], test->name) != 0)
				continue;
			running = test->name;
			memset(&err, 0, sizeof err);
			test->run();
			printf("ok %d - %s\n", ++ran, test->name);
			fflush(stdout);
		}
	}
	printf("1..%d\n", ran);
	return ran ? 0 : 1;
}
