/*
 * api_test.c - what the test files share, and the program that runs them: api_test [NAME].
 */
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "api_test.h"

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

void refused(const char *file, int line, const char *call, int code, int expected, struct ferry_error *err,
	     const char *naming)
{
	if (code != expected)
		check_failed(file, line, "%s returned %s, not %s", call, code ? ferry_error_name(code) : "0",
			     ferry_error_name(expected));
	if (!err)
		return;
	if (err->code != code)
		check_failed(file, line, "%s returned %s and the error says %d", call, ferry_error_name(code),
			     err->code);
	if (!strstr(err->text, naming))
		check_failed(file, line, "%s does not name \"%s\": \"%s\"", call, naming, err->text);
	memset(err, 0, sizeof(*err));
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

struct ferry_bus *open_memory(const char *url, const struct ferry_bus_options *options)
{
	struct ferry_error err = {0};
	struct ferry_bus *bus = ferry_bus_open(url, options, &err);
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

int count_call(struct ferry_message *message, void *counter)
{
	(void)message;
	atomic_fetch_add((atomic_int *)counter, 1);
	return 0;
}

int main(int argc, char **argv)
{
	const struct api_test *const files[] = {open_tests,   argument_tests, state_tests,       inside_tests,
						caller_tests, clock_tests,    interceptor_tests, many_tests};
	int ran = 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		for (const struct api_test *test = files[i]; test->name; test++) {
			if (argc > 1 && strcmp(argv[1], test->name) != 0)
				continue;
			running = test->name;
			test->run();
			printf("ok %d - %s\n", ++ran, test->name);
			fflush(stdout);
		}
	}
	printf("1..%d\n", ran);
	return ran ? 0 : 1;
}
