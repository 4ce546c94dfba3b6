/*
 * contract.h - what the test files share.
 */
#ifndef CONTRACT_H
#define CONTRACT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <ferry/ferry.h>

struct contract_test {
	const char *name;
	void (*run)(void);
};

/* One table per file; each ends with a NULL name. */
extern const struct contract_test subscribe_tests[], retry_tests[], message_tests[], dlq_tests[],
	publish_tests[], intercept_tests[], start_tests[], stop_tests[], null_tests[];

/* Print the sentence and end the program with status 1. */
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define CHECK(condition, ...)                                          \
	do {                                                           \
		if (!(condition))                                      \
			check_failed(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

/* The call returned 0. */
#define OK(code) succeeded(__FILE__, __LINE__, #code, (code))
void succeeded(const char *file, int line, const char *call, int code);

/* The call was refused with this code, and with a sentence in `err` that contains `naming`. */
#define REFUSED(code, expected, naming) refused(__FILE__, __LINE__, #code, (code), (expected), (naming))
void refused(const char *file, int line, const char *call, int code, int expected, const char *naming);

/* Where every call of the tests leaves its sentence. */
extern struct ferry_error err;

#define HANDLER(...) FERRY_OPTIONS(ferry_handler_options, __VA_ARGS__)
#define PUBLISH(...) FERRY_OPTIONS(ferry_publish_options, __VA_ARGS__)

/* A memory bus that runs on this thread only and whose clock stands still; `query` is appended to the URL. */
struct ferry_bus *open_still(const char *query, const struct ferry_bus_options *options);
struct ferry_bus *open_url(const char *url, const struct ferry_bus_options *options);
/* Run all that can run now. */
void turn(struct ferry_bus *bus);
/* Move the clock, then turn. */
void pass(struct ferry_bus *bus, int64_t ms);
/* Open a publisher, publish one message, close it. */
int publish(struct ferry_bus *bus, const char *topic, const char *payload,
	    const struct ferry_publish_options *options);
struct ferry_publisher *open_publisher(struct ferry_bus *bus, const char *topic);
struct ferry_group_stats stats_of(struct ferry_bus *bus, const char *group);
struct ferry_topic_stats topic_stats_of(struct ferry_bus *bus, const char *topic);

/* What a handler does and has seen. */
struct plan {
	struct ferry_bus *bus;
	/* The results of its calls; the last one is repeated.  NULL: 0. */
	const int *results;
	int result_count;
	const char *text; /* given to ferry_message_fail, if there is one */
	int64_t at_ms[64];
	uint32_t attempts[64];
	atomic_int calls;
};
int follow_plan(struct ferry_message *message, void *plan);

/* Wait until *counter reaches `value`; fails after 20 s. */
#define WAIT_FOR(counter, value) wait_for(__FILE__, __LINE__, #counter, (counter), (value))
void wait_for(const char *file, int line, const char *what, atomic_int *counter, int value);
int64_t real_ms(void);

#endif
