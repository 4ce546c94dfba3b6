/*
 * stress.h - one round of the stress: a bus with tiny queues, its publishers, its handlers and their oracle.
 */
#ifndef STRESS_STRESS_H
#define STRESS_STRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <ferry/ferry.h>

#define RECEIVERS_MAX  6 /* competing groups and broadcast handlers */
#define PUBLISHERS_MAX 4
#define MESSAGES_MAX   4096 /* of one publisher */

/* Print the round's description and the sentence, and end the program with status 1. */
_Noreturn void stress_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(condition, ...)                       \
	do {                                        \
		if (!(condition))                   \
			stress_failed(__VA_ARGS__); \
	} while (0)

/* What the seed decides. */
struct plan {
	uint64_t seed;
	unsigned queue, publishers, messages, groups, handlers, broadcasts, concurrency, threads,
		max_unsettled;
	bool manual;       /* handlers settle on another thread */
	bool keyed;        /* order=key */
	unsigned max_size; /* of a payload */
};

struct round;

/* Who gets every message once: a competing group, or a broadcast handler. */
struct receiver {
	struct round *round;
	unsigned number;
	char name[24];
	atomic_uchar seen[PUBLISHERS_MAX][MESSAGES_MAX]; /* times that the message was handled */
	_Atomic uint32_t newest[PUBLISHERS_MAX];         /* order=key: the last sequence that was handled */
	atomic_ulong done;                               /* handled or rejected */
	atomic_ulong rejected;
};

/* References that wait for another thread to settle them. */
struct settler {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct parcel *head, **tail;
	bool stop;
};

struct round {
	struct plan plan;
	struct ferry_bus *bus;
	struct receiver receivers[RECEIVERS_MAX];
	unsigned receiver_count;
	struct settler settler;
	atomic_ulong published, completions;
};

/* Random numbers: a state per thread. */
uint64_t random_next(uint64_t *state);
static inline unsigned random_below(uint64_t *state, unsigned bound)
{
	return (unsigned)(random_next(state) % bound);
}

/* receive.c: subscribe all receivers; what they saw. */
void receivers_subscribe(struct round *round);
void receivers_check(struct round *round);
void settler_start(struct settler *settler);
void settler_stop(struct settler *settler);

/* send.c: one publisher's thread; its context is a struct sender. */
struct sender {
	struct round *round;
	unsigned number;
	pthread_t thread;
};
void *sender_run(void *sender);

/* The beginning of every payload. */
struct stamp {
	uint32_t publisher, sequence, size, sum;
};
/* The sum over the bytes behind the stamp. */
uint32_t stamp_sum(const unsigned char *bytes, size_t size);

#endif
