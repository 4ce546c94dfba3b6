/*
 * worker.h - one worker: takes messages of a subscription, calls handlers, settles.
 */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include "core.h"

/* NULL: out of memory. */
struct worker *worker_make(struct ferry_bus *bus);
void worker_free(struct worker *w);

/* Serve a subscription until it has nothing more for this worker. [the worker's own thread] */
void worker_serve(struct worker *w, struct subscription *s);
/* Timeouts, and what waits behind a slow call. [timer thread] */
void worker_look(struct worker *w);

/* Enough spare messages for a fetch; returns how many there are. */
uint32_t worker_reserve(struct worker *w, uint32_t count);

#endif
