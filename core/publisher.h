/*
 * publisher.h - what other parts ask of publishing.
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

/* There is room, the state has changed, or the bus stops: publishers that wait look again. */
void publishers_wake(struct ferry_bus *bus);

#endif
