/*
 * receiver.h - what both sides share: the clock, the check for lost and repeated messages, and the threads.
 */
#ifndef BENCH_MEMORY_RECEIVER_H
#define BENCH_MEMORY_RECEIVER_H

#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "side.h"

#define WARMUP_NUMBER UINT64_MAX
#define CACHE_LINE    128

/* The beginning of a payload. */
struct head {
	uint64_t number;
	int64_t sent_ns; /* with a pause */
};

/* One thread at a time. */
struct receiver {
	_Alignas(CACHE_LINE) const struct row *row;
	uint64_t *seen; /* a bit per message */
	uint64_t warm, received, duplicates;
	int64_t end_ns;
	int64_t *latencies; /* one per message, with a pause */
	sem_t warmed, done;
};

struct publisher {
	_Alignas(CACHE_LINE) const struct row *row;
	pthread_t thread;
	pthread_barrier_t *begin; /* all publishers and the main thread, after the warm-up was received */
	uint64_t first, end;      /* its messages */
	uint64_t warmup;
	int64_t begin_ns;
	unsigned char *buffer; /* `batch` payloads */
	/* Send the first `count` payloads of the buffer; false when that failed (and the reason was printed).
	 */
	bool (*send)(struct publisher *publisher, unsigned int count);
	void *side; /* the side's own */
	bool failed;
};

static inline int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Take a message. */
static inline void receive(struct receiver *receiver, const void *payload)
{
	struct head head;
	memcpy(&head, payload, sizeof head);
	if (head.number == WARMUP_NUMBER) {
		if (++receiver->warm == receiver->row->warmup)
			sem_post(&receiver->warmed);
		return;
	}
	if (head.number >= receiver->row->messages) {
		receiver->duplicates++; /* nothing that was sent */
		return;
	}
	uint64_t *word = &receiver->seen[head.number / 64], bit = UINT64_C(1) << head.number % 64;
	receiver->duplicates += (*word & bit) != 0;
	*word |= bit;
	if (receiver->latencies)
		receiver->latencies[head.number] = now_ns() - head.sent_ns;
	if (++receiver->received == receiver->row->messages) {
		receiver->end_ns = now_ns();
		sem_post(&receiver->done);
	}
}

/* An array of `row->receivers`; NULL: no memory. */
struct receiver *receivers_make(const struct row *row);
void receivers_free(struct receiver *receivers);

/*
 * Publish through `row->publishers` threads: the warm-up, and when that has arrived, the messages; then wait
 * until every receiver has all.  `sides[i]` is for the i-th publisher.  False when something was not sent or
 * has not arrived within a minute.
 */
bool publish_all(const struct row *row, struct receiver *receivers,
		 bool (*send)(struct publisher *publisher, unsigned int count), void *const *sides,
		 struct outcome *ret);

/* Read lost, duplicates and latencies: nobody receives any more. */
void receivers_count(const struct row *row, const struct receiver *receivers, struct outcome *ret);

#endif
