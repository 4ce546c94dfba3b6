/*
 * side.h - what a library has to do in a row of the table, and what is learned from it.
 *
 * Both sides do the same work around the library: a publisher writes the message's number into its own buffer
 * and sends that, a receiver reads the number and sets a bit (receiver.h).
 */
#ifndef BENCH_MEMORY_SIDE_H
#define BENCH_MEMORY_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for so many messages on both sides: the memory transport's default. */
#define QUEUE_MESSAGES 4096

struct row {
	const char *name;
	const char *title;
	size_t size;             /* of a payload, 16 at least */
	unsigned int publishers; /* threads */
	unsigned int receivers;  /* more than one: each gets every message */
	unsigned int batch;      /* ferry: messages of one call; ZeroMQ has no such call */
	bool filtered;           /* ferry: each message has an attribute and the handler filters by it */
	int64_t pause_ns;        /* between messages; 0: throughput, else latency */
	uint64_t messages, warmup;
};

struct outcome {
	double seconds;        /* from the first publish call to the last message received */
	double p50_us, p99_us; /* with a pause: publish call to receipt */
	uint64_t lost, duplicates;
};

/* Run the row once.  False: it could not be run, and the reason was printed. */
bool ferry_side_run(const struct row *row, struct outcome *ret);
bool zmq_side_run(const struct row *row, struct outcome *ret);

#endif
