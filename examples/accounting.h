/*
 * accounting.h - what became of every message, group by group.
 */
#ifndef EXAMPLES_ACCOUNTING_H
#define EXAMPLES_ACCOUNTING_H

#include <stdbool.h>
#include <stddef.h>

#include <ferry/ferry.h>

/*
 * Wait until each group (a list that ends in NULL) has accounted for `count` messages, at most `timeout_ms`.
 * For a filtered message no handler is called, so the counters are all there is to look at.  0, also when the
 * time is up, or a negative error.
 */
int accounting_wait(struct ferry_bus *bus, const char *const *groups, size_t count, int64_t timeout_ms,
		    struct ferry_error *err);

/*
 * Wait until no more than `count` messages are under way, at most `timeout_ms`: a handler's note is a moment
 * older than the end of its delivery, and the end is not announced.  0, also when the time is up, or a
 * negative error.
 */
int accounting_wait_in_flight(struct ferry_bus *bus, uint64_t count, int64_t timeout_ms,
			      struct ferry_error *err);

/* Print each group's row, in which `received` is the sum of the others; false when a message is missing. */
bool accounting_print(const struct ferry_stats *stats, const char *const *groups, size_t count);

/* A topic's handlers of the bus's own group (""), or one broadcast handler. */
struct accounting_row {
	const char *topic, *handler;
};

/* Print the rows in this order, so that no transport prints another; false when one does not add up. */
bool accounting_print_rows(const struct ferry_stats *stats, const struct accounting_row *rows, size_t count);

#endif
