/*
 * api_test.h - the public interface as an application meets it, in plain programs that sanitizers can run.
 */
#ifndef API_TEST_H
#define API_TEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <ferry/ferry.h>

struct api_test {
	const char *name;
	void (*run)(void);
};

/* One table per file; each ends with a NULL name. */
extern const struct api_test open_tests[];
extern const struct api_test argument_tests[];
extern const struct api_test state_tests[];
extern const struct api_test inside_tests[];
extern const struct api_test caller_tests[];
extern const struct api_test clock_tests[];
extern const struct api_test interceptor_tests[];
extern const struct api_test many_tests[];

/* Print the sentence and end the program with status 1. */
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define CHECK(condition, ...)                                          \
	do {                                                           \
		if (!(condition))                                      \
			check_failed(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

/* The call was refused with this code, and with a sentence that contains `naming`. */
#define REFUSED(code, expected, err, naming) \
	refused(__FILE__, __LINE__, #code, (code), (expected), (err), (naming))
void refused(const char *file, int line, const char *call, int code, int expected, struct ferry_error *err,
	     const char *naming);

/* The call returned 0. */
#define OK(code, err) succeeded(__FILE__, __LINE__, #code, (code), (err))
void succeeded(const char *file, int line, const char *call, int code, const struct ferry_error *err);

/* Wait until *counter reaches `value`; fails after 20 s. */
#define WAIT_FOR(counter, value) wait_for(__FILE__, __LINE__, #counter, (counter), (value))
void wait_for(const char *file, int line, const char *what, atomic_int *counter, int value);

/* Milliseconds of the real clock. */
int64_t real_ms(void);

/* "memory:", opened. */
struct ferry_bus *open_memory(const char *url, const struct ferry_bus_options *options);
struct ferry_publisher *open_publisher(struct ferry_bus *bus, const char *topic);

/* A handler that counts into the atomic_int that is its context. */
int count_call(struct ferry_message *message, void *counter);

#endif
