/*
 * dlq.h - dead letters: stored and confirmed before the original is settled.
 */
#ifndef CORE_DLQ_H
#define CORE_DLQ_H

#include "core.h"

struct publication;

/* Begin to dead-letter a message; while the DLQ cannot be reached the message stays unsettled and this step
 * alone is tried again. */
void dead_letter_begin(struct ferry_bus *bus, struct ferry_message *m, const char *reason);
/* Try (again) to store it. */
void dead_letter_send(struct ferry_bus *bus, struct ferry_message *m);
/* The result of a try. */
void dead_letter_done(struct publication *p);

/* RFC 3339 in UTC, with microseconds: how dead letters write times. */
void format_time(int64_t wall_us, char text[32]);

#endif
