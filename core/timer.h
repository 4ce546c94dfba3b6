/*
 * timer.h - what has to happen at a time: one heap per bus, and the thread that watches it.
 *
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", 1986) of intrusive nodes, so that
 * setting a timer never allocates.  While handlers run the thread also ticks every 10 ms and looks at the
 * workers: handler timeouts need no timer of their own.  Under a manual clock there is no thread:
 * timers_run is called by ferry_bus_advance.
 */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include "clock.h"

#define TIMER_TICK_US 10000

struct timer {
	int64_t due_us;
	void (*fire)(struct timer *timer); /* called once per setting, without locks held */
	struct timer *child, *sibling, *previous;
	bool queued;
};

struct timers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct timer *root;
	const struct clock *clock;
	void (*tick)(void *ctx); /* while `busy` */
	void *tick_ctx;
	_Atomic uint32_t busy;  /* workers that are serving */
	_Atomic uint32_t ticks; /* how often it has ticked */
	_Atomic bool ticking;   /* the thread looks again within a tick */
	bool stop, running;
	pthread_t thread;
};

/* Returns 0 or an errno value. */
int timers_init(struct timers *timers, const struct clock *clock, void (*tick)(void *ctx), void *ctx);
int timers_start(struct timers *timers);
void timers_stop(struct timers *timers);
void timers_destroy(struct timers *timers);

/* Set, or move, a timer. [any thread] */
void timer_set(struct timers *timers, struct timer *timer, int64_t due_us);
/* Set it unless it is set for an earlier time. */
void timer_set_earlier(struct timers *timers, struct timer *timer, int64_t due_us);
/* True when it was set and now will not fire; false when it was not set, has fired or is firing. */
bool timer_cancel(struct timers *timers, struct timer *timer);

/* Fire all that is due, in order of time. [manual clock] */
void timers_run(struct timers *timers);

/* A worker begins or ends to serve: keeps the tick going. */
void timers_busy(struct timers *timers);
void timers_idle(struct timers *timers);

#endif
