/*
 * typed_test.h - what the tests of typed topics share: plain programs, so that every sanitizer can run them.
 */
#ifndef TYPED_TEST_H
#define TYPED_TEST_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

struct typed_test {
	const char *name;
	void (*run)(void);
};

/* One table per file; each ends with a NULL name. */
extern const struct typed_test round_tests[];
extern const struct typed_test number_tests[];
extern const struct typed_test payload_tests[];
extern const struct typed_test publish_tests[];
extern const struct typed_test schema_tests[];
extern const struct typed_test codec_tests[];
extern const struct typed_test table_tests[];
extern const struct typed_test verb_tests[];

/* Print the sentence and end the program with status 1. */
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define CHECK(condition, ...)                                          \
	do {                                                           \
		if (!(condition))                                      \
			check_failed(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

/* The call returned 0. */
#define OK(call, err)                                                                             \
	do {                                                                                      \
		int ok_code = (call);                                                             \
		CHECK(ok_code == 0, "%s: %s: %s", #call, ferry_error_name(ok_code), (err)->text); \
	} while (0)

/* The call was refused with this code and exactly this sentence. */
#define REFUSED(call, expected, err, sentence)                                                          \
	do {                                                                                            \
		int refused_code = (call);                                                              \
		CHECK(refused_code == (expected), "%s: %s, not %s", #call,                              \
		      refused_code ? ferry_error_name(refused_code) : "0", ferry_error_name(expected)); \
		CHECK(strcmp((err)->text, sentence) == 0, "%s: \"%s\", not \"%s\"", #call, (err)->text, \
		      (const char *)(sentence));                                                        \
	} while (0)

/* Wait until *counter reaches `value`; fails after 20 s. */
#define WAIT_FOR(counter, value) wait_for(__FILE__, __LINE__, #counter, (counter), (value))
void wait_for(const char *file, int line, const char *what, atomic_int *counter, int value);

/* "memory:", opened. */
struct ferry_bus *open_memory(void);

/* Open a publisher of the topic, or subscribe to it, on a bus of its own, which is closed again. */
int open_publisher(const struct ferry_topic *topic, struct ferry_error *err);
int open_subscription(const struct ferry_topic *topic, struct ferry_error *err);
/* Both are refused with FERRY_E_INVALID and exactly this sentence. */
void both_refuse(const struct ferry_topic *topic, const char *sentence);

#endif
