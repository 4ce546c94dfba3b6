/*
 * outbox.h - messages that are on their way, a bounded number of them, and what became of the others.
 *
 * Each failure is told at once, with its line.  Whoever sends waits for room before each message, so memory
 * stays bounded however long the input is.
 */
#ifndef CLI_OUTBOX_H
#define CLI_OUTBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/ferry.h>

#define OUTBOX_MESSAGES 1024
#define OUTBOX_BYTES    ((size_t)16 << 20)

/* A message on its way. */
struct outbox_slot {
	struct outbox *outbox;
	struct outbox_slot *next; /* free ones */
	uint64_t line;
	size_t bytes;
};

struct outbox {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct outbox_slot slots[OUTBOX_MESSAGES];
	struct outbox_slot *free;
	size_t out, bytes; /* on their way */
	uint64_t confirmed, failed;
	bool broken; /* a message failed for a reason that is not its own: the next ones would too */

	bool terminal;     /* standard error is one: show how far it is */
	bool shown;        /* something is shown there now */
	int64_t next_show; /* ms */
};

void outbox_init(struct outbox *outbox);
void outbox_finish(struct outbox *outbox);

/* Wait for room. */
struct outbox_slot *outbox_take(struct outbox *outbox, uint64_t line, size_t bytes);

/* How the message of a slot ended; a ferry_published_fn. */
void outbox_ended(int code, const struct ferry_error *err, void *slot);

/* A line that was not sent; `byte` 0: not about a byte of it. */
void outbox_refused(struct outbox *outbox, uint64_t line, size_t byte, const char *why);

bool outbox_is_broken(struct outbox *outbox);

/* Wait until nothing is on its way. */
void outbox_drain(struct outbox *outbox);

/* Show how far it is, on a terminal and not too often; `size` 0: how much there is to read is not known. */
void outbox_show(struct outbox *outbox, uint64_t lines, uint64_t bytes, uint64_t size);

#endif
