/*
 * message.h - the messages of a run: what becomes of each is written in its payload.
 *
 * A payload is "NUMBER KIND SIZE " and filler bytes that follow from the number, so that damage is seen.
 */
#ifndef FAULTS_MESSAGE_H
#define FAULTS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the consumers do with a message. */
enum kind {
	KIND_GOOD = 'g',     /* handle it */
	KIND_FLAKY = 'f',    /* fail the first attempt */
	KIND_REJECT = 'r',   /* reject it */
	KIND_HOPELESS = 'x', /* fail each attempt */
	KIND_OTHER = 'o',    /* their filter does not match */
	KIND_LARGE = 'b',    /* larger than the publisher's max_message: it must be refused */
	KIND_HELD = 'h',     /* the handler waits for the scenario's word */
	KIND_LATE = 'l',     /* fail twice, with two delays that the scenario chose */
	KIND_ABORT = 'a',    /* abort() */
};

/* The larger ones are KIND_LARGE. */
#define MESSAGE_MAX (64 * 1024)

/* How many of 1000 messages are of a kind; the others are good. */
struct mix {
	unsigned flaky, reject, hopeless, other, large;
};

/* A state of pseudo-random numbers. */
uint64_t random_next(uint64_t *state);
/* from <= result <= to */
int64_t random_between(uint64_t *state, int64_t from, int64_t to);

/* Which kind the seed gives to a number. */
enum kind message_kind(const struct mix *mix, uint64_t seed, unsigned number);
/* Write a payload; `size` is its size, and at least what its beginning needs.  Returns the size. */
size_t message_write(char *buffer, size_t size, unsigned number, enum kind kind);
/* False when the payload is damaged. */
bool message_read(const char *payload, size_t size, unsigned *ret_number, enum kind *ret_kind);
/* True when the consumers are to dead-letter this kind. */
bool message_is_fatal(enum kind kind);

#endif
