#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define PATIENCE_S 60

/* ---- measuring ---- */

static double micros(struct timeval time)
{
	return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

struct watch watch_start(void)
{
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return (struct watch){now_us(), micros(used.ru_utime) + micros(used.ru_stime)};
}

struct cost watch_stop(const struct watch *watch, uint64_t messages)
{
	struct watch now = watch_start();
	return (struct cost){.wall_us = (now.wall_us - watch->wall_us) / (double)messages,
			     .cpu_us = (now.cpu_us - watch->cpu_us) / (double)messages};
}

static int compare(const void *a, const void *b)
{
	const double one = *(const double *)a, other = *(const double *)b;
	return (one > other) - (one < other);
}

double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---- messages ---- */

void payload_write(unsigned char payload[PAYLOAD], uint64_t number)
{
	memcpy(payload, &number, sizeof number);
}

bool tally_init(struct tally *tally, const struct row *row)
{
	uint64_t total = row->warmup + row->messages;
	*tally = (struct tally){.row = row, .seen = calloc((size_t)total / 64 + 1, sizeof(uint64_t))};
	sem_init(&tally->complete, 0, 0);
	return tally->seen != NULL;
}

void tally_finish(struct tally *tally)
{
	free(tally->seen);
	sem_destroy(&tally->complete);
}

void tally_note(struct tally *tally, const void *payload, size_t size)
{
	const struct row *row = tally->row;
	uint64_t number = UINT64_MAX, total = row->warmup + row->messages;
	if (size == PAYLOAD)
		memcpy(&number, payload, sizeof number);
	if (number >= total || tally->seen[number / 64] >> number % 64 & 1) {
		tally->strange++;
		return;
	}
	tally->seen[number / 64] |= UINT64_C(1) << number % 64;
	tally->count++;
	if (tally->count == row->warmup) {
		tally->begin = watch_start();
	} else if (tally->count == total) {
		tally->cost = watch_stop(&tally->begin, row->messages);
		sem_post(&tally->complete);
	}
}

bool tally_is_sound(const struct tally *tally, const char *side)
{
	uint64_t total = tally->row->warmup + tally->row->messages;
	if (tally->count == total && !tally->strange)
		return true;
	fprintf(stderr, "bench-redis: %s: of %llu messages %llu came, and %llu that were not expected\n",
		side, (unsigned long long)total, (unsigned long long)tally->count,
		(unsigned long long)tally->strange);
	return false;
}

bool wait_for(sem_t *semaphore)
{
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	if (!sem_timedwait(semaphore, &end))
		return true;
	fprintf(stderr, "bench-redis: not everything came within %d s\n", PATIENCE_S);
	return false;
}
