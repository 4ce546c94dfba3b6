/*
 * subscribe.h - registering handlers: groups, subscriptions and their agreement.
 */
#ifndef CORE_SUBSCRIBE_H
#define CORE_SUBSCRIBE_H

#include "core.h"

/* A group object for ferry_subscribe and for replay; NULL without memory. */
struct group *group_make(struct ferry_bus *bus, const char *name, int32_t distribution);
void group_free(struct group *g);
struct subscription *subscription_make(struct group *g, const char *topic);

#endif
