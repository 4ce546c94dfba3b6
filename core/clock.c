#include "clock.h"

#include <errno.h>

void clock_init(struct clock *c, bool manual)
{
	c->manual = manual;
	c->wall_base_us = clock_read(CLOCK_REALTIME);
	/* Not 0: a time of 0 means "unset" in several places. */
	atomic_init(&c->manual_us, 1000000);
}

int cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int error = pthread_condattr_init(&attr);
	if (error)
		return error;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	error = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return error;
}

bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us)
{
	if (deadline_us == INT64_MAX) {
		pthread_cond_wait(cond, mutex);
		return true;
	}
	struct timespec t = {.tv_sec = (time_t)(deadline_us / 1000000),
			     .tv_nsec = (long)(deadline_us % 1000000) * 1000};
	return pthread_cond_timedwait(cond, mutex, &t) != ETIMEDOUT;
}
