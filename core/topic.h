/*
 * topic.h - the topics that a bus publishes to or subscribes: one entry a name.
 */
#ifndef CORE_TOPIC_H
#define CORE_TOPIC_H

#include "core.h"

/* 0 when the name is allowed; `derived`: up to 249 characters, for dead-letter topics. */
int topic_check(const char *name, bool derived, struct ferry_error *err);
/* Find or make the bus's entry for a topic: refuses a name that collides with a known one. */
int topic_get(struct ferry_bus *bus, const char *name, bool derived, struct topic **ret,
	      struct ferry_error *err);
/* Resolve it with the plugin, once; the bus is connected. */
int topic_resolve(struct ferry_bus *bus, struct topic *topic, int64_t deadline_us, struct ferry_error *err);
void topics_free(struct ferry_bus *bus);

#endif
