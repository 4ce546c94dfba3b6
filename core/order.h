/*
 * order.h - one message of a key at a time.
 *
 * Each key that has a message in this process has a lane: its head runs, waits for its retry or is being
 * dead-lettered; later messages of the key wait behind it.  Lanes are made of the messages themselves, so
 * that nothing is allocated.  All functions: subscription.lock held.
 */
#ifndef CORE_ORDER_H
#define CORE_ORDER_H

#include "core.h"

/* True when the message may run now: it has no key, or is its lane's head. */
bool lane_enter(struct subscription *s, struct ferry_message *m);
/* The head has ended: returns the next head, which may run now, or NULL. */
struct ferry_message *lane_leave(struct subscription *s, struct ferry_message *m);
/* `twin` carries on the head's delivery. */
void lane_replace(struct subscription *s, struct ferry_message *head, struct ferry_message *twin);
/* Take out every message that waits behind a head, in no particular order of keys. */
void lane_take_waiting(struct subscription *s, struct message_queue *into);

#endif
