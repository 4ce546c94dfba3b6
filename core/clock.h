/*
 * clock.h - the bus's clock: the system's, or one that stands still until it is advanced.
 *
 * Retries, timeouts and leases follow this clock.  Calls that wait (start, stop, publish, dispatch) do so in
 * real time, so that a program under a manual clock cannot hang in one.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct clock {
	bool manual;
	int64_t wall_base_us; /* manual: wall time at now = 0 */
	_Atomic int64_t manual_us;
};

static inline int64_t clock_read(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t clock_real(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

static inline int64_t clock_now(const struct clock *c)
{
	return c->manual ? atomic_load_explicit(&c->manual_us, memory_order_acquire) : clock_real();
}

#ifdef CLOCK_MONOTONIC_COARSE
#define CLOCK_COARSE_MONOTONIC CLOCK_MONOTONIC_COARSE
#define CLOCK_COARSE_WALL      CLOCK_REALTIME_COARSE
#else
#define CLOCK_COARSE_MONOTONIC CLOCK_MONOTONIC
#define CLOCK_COARSE_WALL      CLOCK_REALTIME
#endif

/* A few milliseconds old at worst and about five times cheaper: for what happens per message. */
static inline int64_t clock_wall_coarse(const struct clock *c)
{
	return c->manual ? c->wall_base_us + clock_now(c) : clock_read(CLOCK_COARSE_WALL);
}

static inline int64_t clock_wall(const struct clock *c)
{
	return c->manual ? c->wall_base_us + clock_now(c) : clock_read(CLOCK_REALTIME);
}

void clock_init(struct clock *c, bool manual);

/* A condition variable that waits on the monotonic clock. Returns 0 or an errno value. */
int cond_init(pthread_cond_t *cond);
/* Wait until real time `deadline_us` (INT64_MAX: for ever). True when signalled (or woken), false when it
 * passed. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us);

/* now + ms without overflow; ms < 0 = never (INT64_MAX). */
static inline int64_t deadline_after(int64_t now_us, int64_t ms)
{
	if (ms < 0 || ms > (INT64_MAX - now_us) / 1000)
		return INT64_MAX;
	return now_us + ms * 1000;
}

#endif
