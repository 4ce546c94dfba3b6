/*
 * verdict.h - what becomes of a delivery once its verdict is decided.
 *
 * The caller owns the message (it won message_decide, or nobody competes) and holds no lock.
 */
#ifndef CORE_VERDICT_H
#define CORE_VERDICT_H

#include "core.h"

enum ending {
	END_HANDLED,
	END_FILTERED,
	END_DEAD_LETTERED,
	END_DROPPED,
	END_RETRIED,
	END_HANDED_BACK,
	END_STALE,
};

/* Why a message failed, as written in ferry-dlq-reason. */
#define REASON_ERROR          "error"
#define REASON_TIMEOUT        "timeout"
#define REASON_DECODE         "decode"
#define REASON_REJECTED       "rejected"
#define REASON_MAX_DELIVERIES "max_deliveries"
#define REASON_STOPPED        "stopped"

/* Settle with a final verb, count how it ended (stale, if the plugin says so) and drop the delivery's
 * reference. */
void delivery_end(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, int verb,
		  int64_t delay_us, enum ending ending);
/* The same, when the plugin has ended it already (dead_letter). */
void delivery_ended(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, enum ending ending);
/* Before a settle, which may take the key's bytes away: the message that may run next, or NULL. */
struct ferry_message *leave_lane(struct ferry_message *m);
/* Not begun, or given up by a stop: hand back, or on a transport that is not durable drop and count. */
void delivery_hand_back(struct ferry_bus *bus, struct worker *w, struct ferry_message *m);

/* A handler's call has failed: retry, hold, dead-letter or drop. `code` is its result. */
void verdict_failed(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, int code,
		    const char *reason);
/* Give up: to the dead-letter topic, or dropped with dlq off. */
void verdict_give_up(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, const char *reason);
/* The deadline of a message has passed that was in `state`, RUNNING or OPEN, when its deadline was read; true
 * when this call decided it.  `runner` is the worker that runs it, or NULL. */
bool verdict_expire(struct ferry_bus *bus, struct ferry_message *m, uint32_t state, struct worker *runner);
/* A call whose time was up has returned at last; drops the call's reference. */
void verdict_late(struct ferry_bus *bus, struct worker *w, struct ferry_message *m, struct handler *h);

/* Wait in this process until `due_us`. [subscription.lock held] */
void hold_until(struct subscription *s, struct ferry_message *m, int64_t due_us, enum message_wait wait);
/* Take everything that waits in this process out of its timers, for a stop or for suspects. [lock held] */
void hold_take_all(struct subscription *s, struct message_queue *into);

/* Deliveries of a source with a lease. */
void lease_begin(struct group *g, struct ferry_message *m);
void lease_end(struct group *g, struct ferry_message *m);
/* Renew every lease of the source; false when it has none. */
bool lease_extend(struct group *g);
/* The same, and set the timer again. */
void lease_renew(struct timer *timer);

/* Count an ending. [subscription.lock held] */
void count_ending(struct subscription *s, enum ending ending);
/* Tell the application about dropped messages. */
void report_dropped(struct ferry_bus *bus, const struct subscription *s, const struct ferry_message *m,
		    const char *reason, const char *text, uint64_t count);

#endif
