/*
 * pump.h - the one thread of a source that fetches (thread model PUMP).
 *
 * It fills the handlers' queues no further than they are likely to empty within a moment, so that other
 * processes of the group get their share and a slow topic leaves room for the others.
 */
#ifndef CORE_PUMP_H
#define CORE_PUMP_H

#include "core.h"

/* Returns an errno value. */
int pump_start(struct group *g);
void pump_stop(struct group *g);
/* There is room in the queues again. */
void pump_feed(struct group *g);

#endif
