/*
 * side.h - a row of the table, and the two sides that play it.
 */
#ifndef BENCH_REDIS_SIDE_H
#define BENCH_REDIS_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVICE  "bench"
#define TOPIC    "bench.events"
#define WINDOW   1000 /* messages without a confirmation; also the size of a batch */
#define READ_MAX 500  /* messages that the raw consumer takes, and then acknowledges, at once */
#define PAYLOAD  256

enum row_kind { ROW_PUBLISH, ROW_BATCH, ROW_CONSUME, ROW_SYNC };

struct row {
	const char *name, *title;
	enum row_kind kind;
	uint64_t messages, warmup; /* the messages follow the warm-up and are measured */
};

/* What a message cost, in the mean; `wait_us` is the median of the single waits of ROW_SYNC. */
struct cost {
	double wall_us, cpu_us, wait_us;
};

struct server;

bool ferry_side_run(const struct server *server, const struct row *row, struct cost *ret);
bool raw_side_run(const struct server *server, const struct row *row, struct cost *ret);

/* Publish all messages of a row for a consumer to find. */
bool raw_side_fill(const struct server *server, const struct row *row);

#endif
