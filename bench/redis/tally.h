/*
 * tally.h - what has been measured, and which messages have come.
 */
#ifndef BENCH_REDIS_TALLY_H
#define BENCH_REDIS_TALLY_H

#include <semaphore.h>

#include "side.h"

struct watch {
	double wall_us, cpu_us; /* of all threads of this process */
};

double now_us(void);
struct watch watch_start(void);
struct cost watch_stop(const struct watch *watch, uint64_t messages);

/* Sorts the values. */
double median(double *values, size_t count);

/* A payload begins with the number of its message. */
void payload_write(unsigned char payload[PAYLOAD], uint64_t number);

/* Messages of a consumer, each to come once. [one thread at a time] */
struct tally {
	const struct row *row;
	uint64_t *seen;
	uint64_t count, strange; /* those that came first; those that came again or were never sent */
	struct watch begin;      /* when the warm-up was through */
	struct cost cost;
	sem_t complete;
};

bool tally_init(struct tally *tally, const struct row *row);
void tally_finish(struct tally *tally);
void tally_note(struct tally *tally, const void *payload, size_t size);
/* False, and a sentence, unless each has come exactly once. */
bool tally_is_sound(const struct tally *tally, const char *side);

/* Wait for the other thread, at most a minute. */
bool wait_for(sem_t *semaphore);

#endif
