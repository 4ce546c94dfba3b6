/*
 * life.h - what the programs of this folder share: they look at the life of messages and of buses where
 * several things happen at once.
 */
#ifndef LIFE_H
#define LIFE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <ferry/ferry.h>

struct life_test {
	const char *name;
	void (*run)(void);
};

/* One table per file; each ends with a NULL name. */
extern const struct life_test key_tests[];
extern const struct life_test suspect_tests[];
extern const struct life_test bus_tests[];
extern const struct life_test late_tests[];
extern const struct life_test load_tests[];

/* Print the sentence and end the program with status 1. */
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define CHECK(condition, ...)                                          \
	do {                                                           \
		if (!(condition))                                      \
			check_failed(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

/* The call returned 0. */
#define OK(code, err) succeeded(__FILE__, __LINE__, #code, (code), (err))
void succeeded(const char *file, int line, const char *call, int code, const struct ferry_error *err);

/* Wait until the condition holds; fails after 20 s. */
#define WAIT_UNTIL(condition)                                                        \
	do {                                                                         \
		int64_t wait_deadline = real_ms() + 20000;                           \
		while (!(condition)) {                                               \
			CHECK(real_ms() < wait_deadline, "in vain: %s", #condition); \
			nap();                                                       \
		}                                                                    \
	} while (0)
int64_t real_ms(void);
/* Half a millisecond, between two looks at a condition. */
void nap(void);

/* Opened with service "life" unless the options say otherwise. */
struct ferry_bus *open_bus(const char *url, const struct ferry_bus_options *options);
struct ferry_publisher *open_publisher(struct ferry_bus *bus, const char *topic);
void send_one(struct ferry_publisher *publisher, int number, const struct ferry_publish_options *options);
/* The number that send_one wrote. */
int number_of(const struct ferry_message *message);

/* The sum over all groups, checked: every term of stats.h adds up. */
struct ferry_group_stats totals(struct ferry_bus *bus);

/* Stop within 20 s and close. */
void close_bus(struct ferry_bus *bus);

#endif
