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

/* Print each group's row, in which `received` is the sum of the others; false when a message is missing. */
bool accounting_print(const struct ferry_stats *stats, const char *const *groups, size_t count);

#endif
