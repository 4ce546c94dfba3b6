/*
 * publisher.h - the publish call: building the record, waiting for room and for the result.
 */
#ifndef CORE_PUBLISHER_H
#define CORE_PUBLISHER_H

#include "core.h"

struct publication;

/* A waited-for publication has its result. */
void waiter_complete(struct publication *p);

/*
 * Publish a record as it is and wait for the result until real time `deadline_us`: for replay.  The views are
 * free when it returns.
 */
int publish_record(struct ferry_bus *bus, struct topic *topic, const struct ferry_record *record,
		   struct ferry_view dedup_id, int64_t deadline_us, struct ferry_error *err);

/* 0 when the name is allowed; `derived`: up to 249 characters, for dead-letter topics. */
int topic_check(const char *name, bool derived, struct ferry_error *err);
/* Find or make the bus's entry for a topic: refuses a name that collides with a known one. */
int topic_get(struct ferry_bus *bus, const char *name, bool derived, struct topic **ret,
	      struct ferry_error *err);
/* Resolve it with the plugin, once; the bus is connected. */
int topic_resolve(struct ferry_bus *bus, struct topic *topic, int64_t deadline_us, struct ferry_error *err);
void topics_free(struct ferry_bus *bus);

/* There is room, the state has changed, or the bus stops: publishers that wait look again. */
void publishers_wake(struct ferry_bus *bus);

#endif
