/*
 * suspect.h - messages that may be what kills the process.
 *
 * The backend has handed such a message out more often than its handler may fail on it: earlier processes
 * died, and it was among what they had taken.  Then the process finishes (or hands back, where that is exact)
 * everything else, fetches nothing, and runs the suspects one at a time: if it dies now, the one that ran was
 * the cause.  Past max_deliveries a suspect is dead-lettered unseen.  Where a hand-back is exact, the other
 * suspects are handed back before one runs, so that its death counts for it alone.  Where a hand-back counts
 * as a delivery (no HANDBACK_EXACT) every suspect's count grows with each death, the innocent ones' too; so
 * the order alternates with the count, oldest first and newest first, and only the first in that order is
 * dead-lettered unseen, once per process: whichever it is, the others still run before the next death.
 */
#ifndef CORE_SUSPECT_H
#define CORE_SUSPECT_H

#include "core.h"

/* NULL: out of memory. */
struct suspects *suspects_make(struct ferry_bus *bus);
void suspects_free(struct suspects *suspects);

/* Put a message aside. [subscription.lock held] */
void suspect_add(struct suspects *suspects, struct ferry_message *m);
/* Nothing else may be begun. */
bool suspect_active(const struct suspects *suspects);
/* Something has ended: a pump looks whether the next suspect may run. Cheap when there are none. [no locks]
 */
void suspect_progress(struct ferry_bus *bus);
/* Go on with the next suspect if nothing else is at work, or with everything when none is left. [a pump's
 * thread: it waits until earlier settles are stored] */
void suspect_step(struct ferry_bus *bus);
/* For a stop. */
void suspect_take_all(struct suspects *suspects, struct message_queue *into);

#endif
