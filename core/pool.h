/*
 * pool.h - the workers of a bus, and the queue of subscriptions that have something for them.
 *
 * Threads are started on demand up to the limit.  With threads=caller there are none: the application's own
 * thread is the one worker, inside ferry_bus_dispatch.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "core.h"

int pool_init(struct ferry_bus *bus);
/* Start the first worker, so that a lack of threads is an error of the start. Returns an errno value. */
int pool_start(struct ferry_bus *bus);
/* Join all workers. False when some are stuck in a handler: their memory must stay. */
bool pool_stop(struct ferry_bus *bus);
void pool_destroy(struct ferry_bus *bus);

/* A subscription may have work for a worker. Cheap when it is queued already. [any thread] */
void pool_submit(struct subscription *s);
/* Other subscriptions wait and every worker is at work. */
bool pool_is_pressed(struct ferry_bus *bus);
/* threads=caller: make the file descriptor readable. */
void pool_signal_caller(struct ferry_bus *bus);

/* The worker's handler, called for `m`, is stuck: another thread may take its place; and it came back. */
void pool_stick(struct worker *w, const struct ferry_message *m);
void pool_unstick(struct worker *w);

/* The timer's tick: handlers whose time is up, and workers whose batch waits behind a slow handler. */
void pool_tick(void *bus);
/* Whether every worker that can has run out of work. */
bool pool_is_idle(struct ferry_bus *bus);

#endif
