/*
 * life.h - starting and stopping a bus.
 */
#ifndef CORE_LIFE_H
#define CORE_LIFE_H

#include "core.h"

/* Open a source with its subscriptions and start it; what succeeded before is not done again. */
int group_begin(struct group *g, int64_t deadline_us, struct ferry_error *err);
/* Wait for the starter's thread, if there is one, until real time `deadline_us`; false: still at work. */
bool starter_join(struct ferry_bus *bus, int64_t deadline_us);

#endif
