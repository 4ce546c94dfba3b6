/*
 * load_parts.h - what load.c (the run), load_feeder.c (publishers) and load_sink.c (handlers) share.
 */
#ifndef CLI_LOAD_PARTS_H
#define CLI_LOAD_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "load.h"

/* The first 8 bytes of a payload: | run, 24 bits | warm-up | stamped | tail | 0 | number, 36 bits | */
#define WORD_RUN_SHIFT 40
#define WORD_RUN_MASK  ((UINT64_C(1) << 24) - 1)
#define WORD_WARMUP    (UINT64_C(1) << 39)
#define WORD_STAMPED   (UINT64_C(1) << 38)
#define WORD_TAIL      (UINT64_C(1) << 37)
#define WORD_NUMBER    (LOAD_MESSAGES_MAX - 1)

/* The last messages of each publisher are marked and the handler notes when they came: the last message of
 * all is one of them, or came a moment before one. */
#define TAIL 1024

#define CACHE_LINE 128 /* two of 64 bytes: processors fetch pairs */

/* A handler's context. */
struct sink {
	_Alignas(CACHE_LINE) const struct load *load;
	_Atomic uint64_t arrived, warm; /* written by one call at a time, read by the main thread meanwhile */
	_Atomic uint64_t *seen;         /* a bit per message; as above */
	uint64_t duplicates, foreign;
	int64_t last_ns;
	struct histogram latency;
};

/* A publishing thread. */
struct feeder {
	_Alignas(CACHE_LINE) struct load *load;
	pthread_t thread;
	struct ferry_publisher *publisher;
	unsigned int index, failures; /* failures in a row */
	uint64_t begin, end, warmup;  /* its share: begin <= number < end, and so many before */
	uint64_t next_sample;         /* number of the next message to time; UINT64_MAX = none */
	uint64_t warmed;              /* confirmed */
	uint64_t rejected, unknown, unsent;
	struct ferry_error error; /* the first one */
	int64_t done_ns;
	unsigned char *payloads; /* of one batch */
	struct ferry_batch_item *items;
};

enum stage { STAGE_WARMUP, STAGE_MEASURE, STAGE_ABANDONED };

struct load {
	const struct load_spec *spec;
	struct ferry_bus *bus;
	uint64_t run;
	struct sink *sinks;
	struct feeder *feeders;
	size_t words;             /* of a bitmap */
	_Atomic uint64_t *failed; /* a bit per message whose publish did not end well */
	_Atomic int64_t *stamps;  /* when every sample-th message was published */

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum stage stage;
	unsigned int running; /* feeders that have not finished their warm-up */
	int64_t start_ns;     /* of STAGE_MEASURE */
};

int64_t load_now_ns(void);

/* The handler; ctx is a struct sink. */
int sink_handle(struct ferry_message *message, void *ctx);

/* The thread; ctx is a struct feeder.  Publishes its warm-up, waits for the stage to change, and publishes
 * its share when that is STAGE_MEASURE. */
void *feeder_main(void *ctx);

#endif
