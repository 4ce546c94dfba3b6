/*
 * scene.h - what the programs of this folder share: a bus on a server of their own, and a second way to look
 * at the server.
 *
 *     PROGRAM PLUGIN URL
 */
#ifndef SCENE_H
#define SCENE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ferry.h>

struct scene_test {
	const char *name;
	void (*run)(void);
};

#define TEST(name)          \
	{                   \
#name, name \
	}

/* Print the sentence and end the program with status 1. */
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define CHECK(condition)                                                                      \
	do {                                                                                  \
		if (!(condition))                                                             \
			check_failed(__FILE__, __LINE__, "%s: not %s", __func__, #condition); \
	} while (0)
#define CHECK_EQ(is, should)                                                                             \
	do {                                                                                             \
		long long is_ = (long long)(is), should_ = (long long)(should);                          \
		if (is_ != should_)                                                                      \
			check_failed(__FILE__, __LINE__, "%s: %s is %lld, not %lld", __func__, #is, is_, \
				     should_);                                                           \
	} while (0)
/* Wait until the condition holds; fails after 30 s. */
#define WAIT_UNTIL(condition)                                                                              \
	do {                                                                                               \
		int64_t wait_deadline = real_ms() + 30000;                                                 \
		while (!(condition)) {                                                                     \
			if (real_ms() > wait_deadline)                                                     \
				check_failed(__FILE__, __LINE__, "%s: in vain: %s", __func__, #condition); \
			nap();                                                                             \
		}                                                                                          \
	} while (0)
int64_t real_ms(void);
void nap(void);

/* ---- the bus ---- */

#define NUMBERS_MAX 1000

/* What a handler has seen, and what it does. */
struct seen {
	pthread_mutex_t lock;
	int count[NUMBERS_MAX]; /* calls for the message with this number */
	int distinct, total;
	int fail_first;     /* so many calls of each message fail */
	int retry_after_ms; /* then */
	int last_attempt;
	bool reject; /* instead of done */
	bool hold;   /* a call does not return while this is set */
	int held;    /* calls that wait */
};
#define SEEN                                      \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}
/* A handler with a struct seen. */
int on_message(struct ferry_message *message, void *seen);
int seen_distinct(struct seen *seen);
int seen_total(struct seen *seen);
int seen_held(struct seen *seen);
void seen_hold(struct seen *seen);
void seen_let_go(struct seen *seen);
int seen_count(struct seen *seen, int number);
int seen_last_attempt(struct seen *seen);

/* A bus on the scene's server; `query` are more settings, "" or "a=1&b=2". */
struct ferry_bus *scene_bus(const char *query);
void scene_subscribe(struct ferry_bus *bus, const char *topic, const char *group, struct seen *seen,
		     const struct ferry_handler_options *more);
void scene_start(struct ferry_bus *bus);
/* A bus that runs and has a handler of topic t in group g, four calls at a time. */
struct ferry_bus *scene_reading(const char *query, struct seen *seen);
void scene_stop(struct ferry_bus *bus);
/* Publish the numbers from, from + 1, ... to - 1 and wait until they are confirmed. */
void scene_publish(struct ferry_bus *bus, const char *topic, int from, int to);
/* How many lines of all buses' logs have this text. */
int scene_logged(const char *text);

/* ---- the server ---- */

/* A command, its reply as text: a number, a text, or all texts of an array with spaces between; "" for nil.
 * Valid until the next call. */
const char *ask(const char *format, ...);
long long ask_number(const char *format, ...);
/* Commands that the server gets at once; their replies are not looked at. */
void ask_together(const char *const *commands);
/* How often the server has run a command, by INFO commandstats. */
long long calls_of(const char *command);

int scene_main(int argc, char **argv, const struct scene_test *tests);

#endif
