#include "receiver.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_S 60

struct receiver *receivers_make(const struct row *row)
{
	struct receiver *receivers = aligned_alloc(CACHE_LINE, row->receivers * sizeof *receivers);
	if (!receivers)
		return NULL;
	memset(receivers, 0, row->receivers * sizeof *receivers);
	bool complete = true;
	for (unsigned int i = 0; i < row->receivers; i++) {
		receivers[i].row = row;
		receivers[i].seen = calloc((size_t)row->messages / 64 + 1, sizeof(uint64_t));
		if (row->pause_ns)
			receivers[i].latencies = calloc((size_t)row->messages, sizeof(int64_t));
		sem_init(&receivers[i].warmed, 0, 0);
		sem_init(&receivers[i].done, 0, 0);
		complete = complete && receivers[i].seen && (!row->pause_ns || receivers[i].latencies);
	}
	if (complete)
		return receivers;
	receivers_free(receivers);
	return NULL;
}

void receivers_free(struct receiver *receivers)
{
	if (!receivers)
		return;
	unsigned int count = receivers->row->receivers;
	for (unsigned int i = 0; i < count; i++) {
		free(receivers[i].seen);
		free(receivers[i].latencies);
		sem_destroy(&receivers[i].warmed);
		sem_destroy(&receivers[i].done);
	}
	free(receivers);
}

/* ---- publishing ---- */

static void pause_ns(int64_t ns)
{
	struct timespec time = {.tv_nsec = ns};
	nanosleep(&time, NULL);
}

/* Send the messages first <= number < end, or as many warm-up messages. */
static bool send_range(struct publisher *publisher, uint64_t first, uint64_t end, bool warmup)
{
	const struct row *row = publisher->row;
	for (uint64_t number = first; number < end;) {
		unsigned int count = end - number < row->batch ? (unsigned int)(end - number) : row->batch;
		struct head head = {0};
		if (row->pause_ns) {
			pause_ns(row->pause_ns);
			head.sent_ns = now_ns();
		}
		for (unsigned int i = 0; i < count; i++) {
			head.number = warmup ? WARMUP_NUMBER : number + i;
			memcpy(publisher->buffer + i * row->size, &head, sizeof head);
		}
		if (!publisher->send(publisher, count))
			return false;
		number += count;
	}
	return true;
}

static void *publisher_main(void *ctx)
{
	struct publisher *publisher = ctx;
	bool ok = send_range(publisher, 0, publisher->warmup, true);
	pthread_barrier_wait(publisher->begin);
	publisher->begin_ns = now_ns();
	publisher->failed = !ok || !send_range(publisher, publisher->first, publisher->end, false);
	return NULL;
}

static bool wait_all(const struct row *row, struct receiver *receivers, bool warmed)
{
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	for (unsigned int i = 0; i < row->receivers; i++) {
		if (sem_timedwait(warmed ? &receivers[i].warmed : &receivers[i].done, &end)) {
			fprintf(stderr, "bench-memory: row %s: not everything arrived\n", row->name);
			return false;
		}
	}
	return true;
}

static void prepare(struct publisher *publisher, const struct row *row, unsigned int index,
		    pthread_barrier_t *begin)
{
	*publisher = (struct publisher){.row = row, .begin = begin};
	publisher->first = row->messages / row->publishers * index;
	publisher->end =
		index + 1 == row->publishers ? row->messages : row->messages / row->publishers * (index + 1);
	publisher->warmup = row->warmup / row->publishers;
	publisher->buffer = calloc(row->batch, row->size);
}

static void take_times(const struct row *row, const struct publisher *publishers,
		       const struct receiver *receivers, struct outcome *ret)
{
	int64_t begin = INT64_MAX, end = 0;
	for (unsigned int i = 0; i < row->publishers; i++)
		begin = publishers[i].begin_ns < begin ? publishers[i].begin_ns : begin;
	for (unsigned int i = 0; i < row->receivers; i++)
		end = receivers[i].end_ns > end ? receivers[i].end_ns : end;
	ret->seconds = (double)(end - begin) / 1e9;
}

bool publish_all(const struct row *row, struct receiver *receivers,
		 bool (*send)(struct publisher *publisher, unsigned int count), void *const *sides,
		 struct outcome *ret)
{
	struct publisher *publishers = aligned_alloc(CACHE_LINE, row->publishers * sizeof *publishers);
	pthread_barrier_t begin;
	bool ok = publishers != NULL;
	if (!ok)
		return false;
	pthread_barrier_init(&begin, NULL, row->publishers + 1);
	for (unsigned int i = 0; i < row->publishers; i++) {
		prepare(&publishers[i], row, i, &begin);
		publishers[i].send = send;
		publishers[i].side = sides[i];
		if (!publishers[i].buffer ||
		    pthread_create(&publishers[i].thread, NULL, publisher_main, &publishers[i])) {
			fprintf(stderr, "bench-memory: no memory or threads\n");
			exit(1); /* the others wait at the barrier for one that will not come */
		}
	}
	ok = wait_all(row, receivers, true);
	pthread_barrier_wait(&begin);
	ok = ok && wait_all(row, receivers, false);
	for (unsigned int i = 0; i < row->publishers; i++) {
		pthread_join(publishers[i].thread, NULL);
		ok = ok && !publishers[i].failed;
		free(publishers[i].buffer);
	}
	if (ok)
		take_times(row, publishers, receivers, ret);
	pthread_barrier_destroy(&begin);
	free(publishers);
	return ok;
}

/* ---- counting ---- */

static int compare(const void *a, const void *b)
{
	const int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
	return (one > other) - (one < other);
}

void receivers_count(const struct row *row, const struct receiver *receivers, struct outcome *ret)
{
	ret->lost = ret->duplicates = 0;
	for (unsigned int i = 0; i < row->receivers; i++) {
		for (uint64_t number = 0; number < row->messages; number++)
			ret->lost += !(receivers[i].seen[number / 64] >> number % 64 & 1);
		ret->duplicates += receivers[i].duplicates;
	}
	if (row->pause_ns) {
		size_t count = (size_t)row->messages, middle = count / 2, high = count * 99 / 100;
		qsort(receivers->latencies, count, sizeof(int64_t), compare);
		ret->p50_us = (double)receivers->latencies[middle] / 1000;
		ret->p99_us = (double)receivers->latencies[high] / 1000;
	}
}
