/*
 * side.h - what each side does with the orders of a row, and what that costs.
 */
#ifndef BENCH_TYPED_SIDE_H
#define BENCH_TYPED_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct row {
	const char *name;
	const char *title;
	size_t items; /* in an order */
	bool has_customer;
	size_t batch;    /* ferry: orders of one call */
	uint64_t orders; /* sent in a run */
};

/* Of one run, per order. */
struct cost {
	double cpu_us, wall_us; /* of all threads; from the first order to the last */
};

/* Run the row once.  False: it could not be run, or an order was not what was sent; the reason was printed.
 */
bool ferry_side_run(const struct row *row, struct cost *ret);
bool jansson_side_run(const struct row *row, struct cost *ret);

/* The time that both sides measure by. */
struct watch {
	double cpu_us, wall_us;
};
struct watch watch_start(void);
struct cost watch_stop(const struct watch *watch, uint64_t orders);

#endif
