/*
 * typed_test.c - the program that runs the tests of typed topics: typed_test [NAME].
 */
#include "typed_test.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

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

void wait_for(const char *file, int line, const char *what, atomic_int *counter, int value)
{
	for (int tries = 0; atomic_load(counter) < value; tries++) {
		if (tries > 40000)
			check_failed(file, line, "%s is %d and does not reach %d", what, atomic_load(counter),
				     value);
		nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	}
}

struct ferry_bus *open_memory(void)
{
	struct ferry_error err = {0};
	struct ferry_bus *bus = ferry_bus_open("memory:", NULL, &err);
	CHECK(bus, "memory: cannot be opened: %s", err.text);
	return bus;
}

static int run_nothing(struct ferry_message *message, void *ctx)
{
	(void)message;
	(void)ctx;
	return 0;
}

static int decode_nothing(struct ferry_message *message, void *ctx, struct ferry_error *why)
{
	(void)message;
	(void)ctx;
	(void)why;
	return FERRY_E_DECODE;
}

static void handle_nothing(void) {}

int open_publisher(const struct ferry_topic *topic, struct ferry_error *err)
{
	struct ferry_topic_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	int code = ferry_topic_publisher_open(bus, topic, NULL, &pub, err);
	ferry_topic_publisher_close(pub);
	ferry_bus_close(bus);
	return code;
}

int open_subscription(const struct ferry_topic *topic, struct ferry_error *err)
{
	struct ferry_bus *bus = open_memory();
	int code = ferry_topic_subscribe(bus, topic, decode_nothing, run_nothing, handle_nothing, NULL, NULL,
					 err);
	ferry_bus_close(bus);
	return code;
}

void both_refuse(const struct ferry_topic *topic, const char *sentence)
{
	struct ferry_error err = {0};
	REFUSED(open_publisher(topic, &err), FERRY_E_INVALID, &err, sentence);
	memset(&err, 0, sizeof err);
	REFUSED(open_subscription(topic, &err), FERRY_E_INVALID, &err, sentence);
}

int main(int argc, char **argv)
{
	const struct typed_test *const files[] = {round_tests,  number_tests, payload_tests, publish_tests,
						  schema_tests, codec_tests,  table_tests,   verb_tests};
	int ran = 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		for (const struct typed_test *test = files[i]; test->name; test++) {
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
