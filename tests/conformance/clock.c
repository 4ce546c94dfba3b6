/* clock.c - a case's time: the system's, or the manual clock of all its buses. */
#include <errno.h>
#include <time.h>

#include "context.h"

#define QUIET_US 2000 /* real time without an event before the manual clock moves on */
#define STEP_MS  10   /* how far it then moves */

int64_t conformance_real_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool conformance_manual_clock(struct conformance *c)
{
	c->manual = !conformance_can(c, FERRY_CAP_DURABLE);
	return c->manual;
}

int64_t conformance_now_us(const struct conformance *c)
{
	return c->manual ? atomic_load(&c->manual_us) : conformance_real_us();
}

static void advance(struct conformance *c, int64_t ms)
{
	/* First the case's clock: a handler that a bus sets off now must not find the old time. */
	atomic_fetch_add(&c->manual_us, ms * 1000);
	for (struct open_bus *at = c->buses; at; at = at->next) {
		int code = ferry_bus_advance(at->bus, ms);

		CHECK(c, !code, "advance: %s", ferry_error_name(code));
	}
}

static void sleep_ms(int64_t ms)
{
	struct timespec rest = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&rest, &rest) && errno == EINTR)
		;
}

void conformance_pass(struct conformance *c, int64_t ms)
{
	if (c->manual)
		advance(c, ms);
	else
		sleep_ms(ms);
}

void conformance_wait_changed(struct conformance *c, int64_t until_us)
{
	struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
				 .tv_nsec = (long)(until_us % 1000000) * 1000};

	pthread_cond_timedwait(&c->changed, &c->lock, &until);
}

/* Wait for an event, at most QUIET_US (conditions also look at things that raise no event).  False: none. */
static bool wait_event(struct conformance *c)
{
	int64_t until = conformance_real_us() + QUIET_US;

	pthread_mutex_lock(&c->lock);
	conformance_wait_changed(c, until);
	pthread_mutex_unlock(&c->lock);
	return conformance_real_us() < until;
}

bool conformance_until_now(struct conformance *c, bool (*condition)(void *ctx), void *ctx, int64_t timeout_ms)
{
	int64_t deadline = conformance_real_us() + timeout_ms * 1000;

	while (!condition(ctx)) {
		if (conformance_real_us() >= deadline)
			return condition(ctx);
		wait_event(c);
	}
	return true;
}

bool conformance_until(struct conformance *c, bool (*condition)(void *ctx), void *ctx, int64_t timeout_ms)
{
	int64_t deadline = conformance_now_us(c) + timeout_ms * 1000;

	if (!c->manual)
		return conformance_until_now(c, condition, ctx, timeout_ms);
	while (!condition(ctx)) {
		if (conformance_now_us(c) >= deadline)
			return condition(ctx);
		if (!wait_event(c))
			advance(c, STEP_MS);
	}
	return true;
}
