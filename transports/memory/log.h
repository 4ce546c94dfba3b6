/*
 * log.h - a topic's log, and the cursors that read it.
 *
 *     publish --> [ chunk ] -> [ chunk ] -> [ chunk ] <-- at        oldest  retained from here on
 *                     ^            ^                                 taken   how far a cursor has come
 *                   cursor       cursor                             next    the sequence to come
 *
 * Publishers hold log.lock.  A cursor's workers hold cursor.lock; they read `committed` and never touch
 * log.lock but when they go from one chunk to the next, fall asleep, or find that a publisher waits.  So in
 * the steady state each side writes cache lines of its own.  Locks are taken in the order cursor.lock,
 * log.lock, pool.lock, and of the host's functions only the allocator and the clocks are called under one.
 *
 * Nobody is left asleep because on both roads each side first writes, then reads what the other writes,
 * and all four accesses are sequentially consistent: at least one side sees the other.
 *     a worker falls asleep   armed = 1,     then reads committed | publish: committed, then reads armed
 *     a publisher finds full  waiting = 1,   then reads taken     | fetch:   taken,     then reads waiting
 */
#ifndef MEMORY_LOG_H
#define MEMORY_LOG_H

#include "chunk.h"

#define CACHE_LINE 64

struct ferry_destination {
	struct pool *pool;
	struct ferry_destination *next_log; /* in the connection */
	char *topic;
	size_t topic_size;
	uint64_t queue, queue_bytes; /* bounds of what the slowest cursor has not taken */
	_Atomic uint64_t retain;     /* grows once if dead letters come: log_keep_dead_letters */
	char pad[CACHE_LINE];

	/* publishers, under `lock` */
	pthread_mutex_t lock;
	unsigned char *at; /* where the next record goes: `left` bytes of the newest chunk */
	size_t left;
	size_t grain; /* size of the next chunk */
	uint64_t next, bytes;
	uint64_t seen_taken, seen_bytes; /* the slowest cursor as last looked at: never ahead of it */
	uint64_t oldest;                 /* first retained record; meaningful with `retain` */
	struct chunk *head, *tail;
	struct ferry_subscription *cursors; /* joined */
	struct ferry_subscription *named;   /* those that outlive their source, joined or parked */
	pthread_cond_t calm;                /* some cursor's `waking` has become 0 */
	char pad_committed[CACHE_LINE];

	/* what cursors read with each fetch */
	_Atomic uint64_t committed; /* records before this one can be read */
	_Atomic int waiting;        /* a publisher was told "full" and waits for half of the queue */
	char pad_end[CACHE_LINE];
};

struct retry {
	int64_t due_us; /* RETRY_NOW: handed back */
	uint64_t sequence;
	int64_t first_failed_wall_us;
	struct record *record;
	struct chunk *chunk; /* one reference */
	uint32_t attempt;
};

#define RETRY_NOW INT64_MIN

enum { COMPETING = 1, BROADCAST = 2 };      /* of struct ferry_source_spec */
enum { START_NEW = 1, START_EARLIEST = 2 }; /* of struct ferry_subscription_spec */

/* A cursor: a competing group's, or a broadcast handler's. */
struct ferry_subscription {
	struct ferry_destination *log;
	struct ferry_subscription *next_in_source, *next_in_log, *next_named;
	void *core;
	char *name; /* group or durable name; NULL = ends with its source */
	int32_t distribution, start;
	int32_t in_use; /* by a source; under log.lock */
	int32_t joined; /* stands in log.cursors */
	int32_t known;  /* has been joined before: goes on where it stopped */

	/* publishers, under log.lock; `armed` is seldom written, so reading it costs them nothing */
	_Atomic int armed;
	uint64_t woken;  /* the `next` for which it was woken last */
	uint32_t waking; /* calls of host->ready under way */
	char pad[CACHE_LINE];

	/* workers, under `lock` */
	pthread_mutex_t lock;
	_Atomic uint64_t taken, taken_bytes; /* also read by publishers */
	struct chunk *chunk;                 /* that `taken` lies in, or NULL; written under log.lock too */
	size_t offset;                       /* of the next record in it */
	uint64_t chunk_first;                /* `first` of the chunk that `offset` belongs to */
	uint64_t unsettled;                  /* taken and not ended, waiting retries included */
	uint64_t max_unsettled;
	struct retry *retries; /* a heap: earliest due first, then the order of the topic */
	size_t retry_count, retry_capacity;
	char pad_end[CACHE_LINE];
};

/* ---- log.c ---- */

void log_init(struct ferry_destination *log, struct pool *pool, char *topic);
void log_finish(struct ferry_destination *log);

/*
 * Store the leading messages for this log and set their results; less than there are when the queue is full
 * or (*ret_starved) the memory budget is used up.  `always` ignores both bounds.
 */
size_t log_publish(struct ferry_destination *log, struct ferry_outgoing *const *outs, size_t count,
		   int always, int *ret_starved);
/* This topic is given dead letters, whatever its name: retain at least so many. */
void log_keep_dead_letters(struct ferry_destination *log, uint64_t retain);
/* Under memory pressure: drop the oldest chunk that is only retained.  0 = there is none. */
int log_shed(struct ferry_destination *log);

/* Let the cursor read from its start, or from where it was when it left. */
void log_join(struct ferry_subscription *cursor);
/* The opposite.  Afterwards host->ready is not called for it.  Returns how many records it had not taken. */
uint64_t log_leave(struct ferry_subscription *cursor);
/* cursor.lock held, and a record to read: put `chunk` and `offset` at `taken`. */
void log_seek(struct ferry_subscription *cursor, uint64_t taken);
/* cursor.lock held: the cursor has read everything; do not hold the chunk while it is idle. */
void log_let_go(struct ferry_subscription *cursor);
/* The cursor has taken records: make room for publishers that wait, and evict. */
void log_taken(struct ferry_destination *log);
/* The retained record with this sequence, with a reference on its chunk, or NULL. */
struct record *log_find_retained(struct ferry_destination *log, uint64_t sequence, struct chunk **ret_chunk);

/* ---- cursor.c ---- */

void cursor_init(struct ferry_subscription *cursor, struct ferry_destination *log);
void cursor_free(struct ferry_subscription *cursor);

/* Join the log; retries that were left when it was parked are found again, as far as they are retained. */
void cursor_start(struct ferry_subscription *cursor);
/* Leave the log; returns how many messages were queued or waited for a retry. */
uint64_t cursor_stop(struct ferry_subscription *cursor);
/* Stopped: give up all memory but the position and the order of retries. */
void cursor_park(struct ferry_subscription *cursor);

/* Slots of struct ferry_transport.  Deliveries and settles are all of this cursor. */
int cursor_fetch(struct ferry_subscription *cursor, struct ferry_delivery *const *deliveries, size_t max);
int cursor_arm(struct ferry_subscription *cursor);
void cursor_settle(struct ferry_subscription *cursor, struct ferry_settle *settles, size_t count);

/* End a delivery that has been dead-lettered; its views stay until delivery_release. */
void cursor_end(struct ferry_delivery *delivery);

/* Whose delivery it is; NULL when it has ended. */
struct ferry_subscription *delivery_cursor(const struct ferry_delivery *delivery);
uint64_t delivery_sequence(const struct ferry_delivery *delivery);
/* Drop the chunk references of deliveries that have ended. */
void delivery_release(struct pool *pool, struct ferry_delivery *const *deliveries, size_t count);

#endif
