/*
 * test_host.h - a small host for driving the built plugin through its own interface, and short words for
 * that.
 *
 * One bus at a time.  The clock stands still, at 1000 us, unless bus.real_clock is set.
 */
#ifndef MEMORY_TEST_HOST_H
#define MEMORY_TEST_HOST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/transport.h>

#define CHECK(condition)                                                                         \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__, \
				#condition);                                                     \
			exit(1);                                                                 \
		}                                                                                \
	} while (0)

#define CHECK_EQ(is, should)                                                                               \
	do {                                                                                               \
		long long is_ = (long long)(is), should_ = (long long)(should);                            \
		if (is_ != should_) {                                                                      \
			fprintf(stderr, "%s:%d: %s: %s is %lld, not %lld\n", __FILE__, __LINE__, __func__, \
				#is, is_, should_);                                                        \
			exit(1);                                                                           \
		}                                                                                          \
	} while (0)

enum { NEW = 1, EARLIEST = 2, COMPETING = 1, BROADCAST = 2 };

/* A subscription as the core would see it: ready and wake_at end up here. */
struct reader {
	struct ferry_subscription *sub;
	struct ferry_source *source;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* on the monotonic clock */
	int ready;
	int64_t due_us; /* INT64_MAX: no wake_at is pending */
	int closed;     /* `ready` must not be called any more */
};

struct bus {
	const struct ferry_transport *api;
	struct ferry_connection *connection;
	struct ferry_config config;
	struct ferry_setting settings[4];
	_Atomic long allocations; /* that live */
	_Atomic long fail_after;  /* so many allocations succeed; negative: all */
	_Atomic int64_t now_us;
	int real_clock;
	_Atomic int in_ready; /* `ready` has been called */
	int slow_ready;       /* turns of a loop before `ready` does anything */
	_Atomic uint64_t evicted;
	pthread_mutex_t lock;
	pthread_cond_t room; /* on the monotonic clock */
	uint64_t writable;
};
extern struct bus bus;

int64_t read_clock(void);
void cond_init(pthread_cond_t *cond);
void host_ready(void *core, void *subscription_core);

/* ---- the bus: zero = the default ---- */

struct limits {
	int64_t queue, queue_bytes, retain, retain_dlq, budget;
};

#define CONNECT(...) connect_bus((struct limits){__VA_ARGS__})

void load(const char *plugin);
int try_connect(struct limits limits);
void connect_bus(struct limits limits);
/* Everything that was allocated must be free. */
void disconnect(void);
struct ferry_destination *topic(const char *name);

struct ferry_source *open_source(const char *group, int distribution);
int try_subscribe(struct reader *reader, struct ferry_source *source, const char *name, int start,
		  int max_unsettled);
void start_source(struct ferry_source *source);
/* A competing source with one subscription, started. */
void subscribe(struct reader *reader, const char *group, const char *name, int start, int max_unsettled);
/* Stop and close; returns what it says was dropped. */
uint64_t close_source(struct ferry_source *source);

/* ---- messages ---- */

#define BATCH 64

struct batch {
	struct ferry_delivery deliveries[BATCH];
	size_t count;
};

struct ferry_view view(const void *data, size_t size);
int is_text(struct ferry_view text, const char *should);
struct ferry_outgoing outgoing(const char *name, const void *data, size_t size);
/* 1 = stored; 0 = full; negative = the result. */
int publish_bytes(const char *name, const void *data, size_t size);
int publish(const char *name, const char *text);
/* The numbers from, from + 1 ... to - 1 as text; returns how many were stored. */
int publish_numbers(const char *name, int from, int to);

size_t fetch(struct reader *reader, struct batch *batch, size_t max);
int settle(struct reader *reader, struct ferry_delivery *delivery, int verb, int64_t delay_us,
	   unsigned flags);
void ack_all(struct reader *reader, struct batch *batch);
int number(const struct ferry_delivery *delivery);
/* Fetch and ack everything: it must be the numbers from, from + 1 ... to - 1. */
void expect_numbers(struct reader *reader, int from, int to);

/* ---- running ---- */

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(name)          \
	{                   \
#name, name \
	}

/* Run them all; the first failure ends the process. */
int run_tests(const struct test *tests, size_t count);

#endif
