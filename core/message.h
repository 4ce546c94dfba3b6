/*
 * message.h - a message inside the core: the plugin's delivery, the verdict on it and its references.
 *
 * A verdict is decided once, by compare-and-swap on `state`: the handler's return, a settle function, the
 * deadline and the revocation all compete for it.  The state carries a generation, so that a thread which
 * looks at a message that has been recycled meanwhile cannot decide anything.
 *
 *     FREE -> QUEUED -> RUNNING --------> DECIDED -> ENDED -> FREE
 *               ^          | handler returned 0, manual      ^
 *               |          v                                 |
 *               |        OPEN ----------> DECIDED -----------'
 *               `--- HOLD: waits for its retry in this process
 */
#ifndef CORE_MESSAGE_H
#define CORE_MESSAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <ferry/message.h>
#include <ferry/transport.h>

#include "alloc.h"
#include "timer.h"

struct ferry_bus;
struct subscription;
struct handler;
struct worker;
struct topic;

enum phase {
	PHASE_FREE = 0,
	PHASE_QUEUED = 1,
	PHASE_RUNNING = 2,
	PHASE_OPEN = 3,
	PHASE_DECIDED = 4,
	PHASE_EXPIRED = 5, /* decided by the deadline while the handler still runs */
	PHASE_ENDED = 6,
};
#define PHASE_MASK 7u
#define PHASE_STEP 8u /* one generation */

struct message_link {
	struct ferry_message *previous, *next;
};
/* A doubly linked list through one of the message's links. */
struct message_list {
	struct ferry_message *first;
};
/* First in, first out, through `next`. */
struct message_queue {
	struct ferry_message *first, *last;
	uint32_t count;
};

struct ferry_message {
	struct ferry_delivery delivery;

	_Atomic uint32_t state; /* generation and phase */
	_Atomic uint32_t refs;  /* the delivery's, the running call's, a timer's, the application's */
	_Atomic int64_t deadline_us;
	struct subscription *subscription;
	struct handler *handler;
	struct ferry_message *next;
	uint32_t attempt;
	bool kept;            /* settled with FERRY_SETTLE_KEEP: give the views up with the last reference */
	bool leased, is_held; /* stands in group.leased, subscription.held */
	bool lane_head;       /* active in its key's lane */
	bool call_busy;       /* its time is up and the call still runs (subscription.lock) */
	bool call_awaited;    /* its retry is due and waits for that call to return */
	bool call_returned;   /* its time was up, and the call returned before that was counted */
	bool ended;           /* the delivery has ended (subscription.lock) */
	bool suspect;         /* handed out too often without an outcome (suspect.c) */
	_Atomic bool touched; /* this life has left something to clear */
	_Atomic bool cancelled;
	_Atomic int cancel_fd;          /* -1: none yet */
	_Atomic int64_t retry_after_ms; /* -1: the backoff's */
	int64_t first_failed_wall_us;
	char *failure; /* text of the last failure, or NULL (messages.lock until the verdict is decided) */
	void *decoded;
	void (*decoded_release)(void *object);
	struct ferry_message *origin; /* of a retry beside a held message: that one owns the views */

	struct ferry_message *twin; /* of an origin whose stuck call keeps the key: the retry; a reference */

	struct message_link lease_link, held_link, cancel_link;
	struct ferry_message *lane_next;                /* next head in the bucket */
	struct ferry_message *lane_waiting, *lane_last; /* of a head: later messages of its key */

	struct timer ack_timer; /* ack=manual: the deadline of an open message; has a reference */
	struct timer timer;
	enum message_wait { WAIT_NOTHING, WAIT_RETRY, WAIT_ACK, WAIT_DLQ } wait;

	const char *give_up_reason; /* a REASON_* */
	struct dead_letter *dead;   /* on its way to the DLQ (dlq.c): one block */
	_Atomic bool id_made;
	char id[FERRY_ID_TEXT_SIZE];
	char trace[33];
};

/* Free messages: slabs that live as long as the bus. */
struct message_pool {
	pthread_mutex_t lock;
	const struct ferry_allocator *allocator;
	struct ferry_message *free;
	struct slab *slabs;
};

int message_pool_init(struct message_pool *pool, const struct ferry_allocator *allocator);
void message_pool_destroy(struct message_pool *pool);
/* Up to `count` messages linked by `next`; *ret_count tells how many (0: out of memory). */
struct ferry_message *message_pool_take(struct message_pool *pool, uint32_t count, uint32_t *ret_count);
/* Some message is not free: the program still holds it. */
bool message_pool_in_use(struct message_pool *pool);
void message_pool_give(struct message_pool *pool, struct ferry_message *first, struct ferry_message *last);

static inline uint32_t message_phase(const struct ferry_message *m)
{
	return atomic_load_explicit(&m->state, memory_order_acquire) & PHASE_MASK;
}

/* Without competition: only the owner of the message moves it so. */
static inline void message_set_phase(struct ferry_message *m, enum phase phase)
{
	uint32_t state = atomic_load_explicit(&m->state, memory_order_relaxed);
	atomic_store_explicit(&m->state, (state & ~PHASE_MASK) | phase, memory_order_release);
}

/* The competition for the verdict: true for exactly one caller. */
static inline bool message_decide(struct ferry_message *m, enum phase from, enum phase to)
{
	uint32_t state = atomic_load_explicit(&m->state, memory_order_acquire);
	if ((state & PHASE_MASK) != from)
		return false;
	return atomic_compare_exchange_strong(&m->state, &state, (state & ~PHASE_MASK) | to);
}

static inline void queue_push(struct message_queue *q, struct ferry_message *m)
{
	m->next = NULL;
	if (q->last)
		q->last->next = m;
	else
		q->first = m;
	q->last = m;
	q->count++;
}

static inline void queue_push_front(struct message_queue *q, struct ferry_message *m)
{
	m->next = q->first;
	if (!q->last)
		q->last = m;
	q->first = m;
	q->count++;
}

static inline struct ferry_message *queue_pop(struct message_queue *q)
{
	struct ferry_message *m = q->first;
	if (!m)
		return NULL;
	q->first = m->next;
	if (!q->first)
		q->last = NULL;
	q->count--;
	m->next = NULL;
	return m;
}

/* Something needs clearing at the end. */
static inline void message_touch(struct ferry_message *m)
{
	atomic_store_explicit(&m->touched, true, memory_order_relaxed);
}

/* Make a message ready for a fetch to fill in. */
static inline void message_prepare(struct ferry_message *m)
{
	struct ferry_delivery *d = &m->delivery;
	/* A length that the compiler cannot see: for one it sees, it emits `rep stos`, which costs five times
	 * what the C library's memset does here. */
	size_t bytes = sizeof *d;
	__asm__("" : "+r"(bytes));
	memset(d, 0, bytes);
	d->size = sizeof *d;
	d->record.size = sizeof d->record;
}

/* Take what fetch has filled in. */
static inline void message_adopt(struct ferry_message *m)
{
	m->subscription = m->delivery.subscription;
	m->handler = NULL;
	m->next = NULL;
	m->attempt = m->delivery.attempt ? m->delivery.attempt : 1;
	atomic_store_explicit(&m->retry_after_ms, -1, memory_order_relaxed);
	m->first_failed_wall_us = m->delivery.first_failed_wall_us;
	m->kept = m->lane_head = m->call_busy = m->call_awaited = m->call_returned = m->ended = false;
	m->suspect = false;
	m->wait = WAIT_NOTHING;
	atomic_store_explicit(&m->id_made, false, memory_order_relaxed);
	atomic_store_explicit(&m->refs, 1, memory_order_relaxed);
	message_set_phase(m, PHASE_QUEUED);
}

/* The last reference is gone: to `w`'s spares, or to the pool when NULL. */
void message_free(struct ferry_bus *bus, struct worker *w, struct ferry_message *m);

/* Drop one reference. */
static inline void message_drop(struct ferry_bus *bus, struct worker *w, struct ferry_message *m)
{
	/* The only reference needs no atomic exchange: nobody else can take another. */
	if (atomic_load_explicit(&m->refs, memory_order_acquire) == 1 || atomic_fetch_sub(&m->refs, 1) == 1)
		message_free(bus, w, m);
}
/* The application hears that it should give up. */
void message_cancel(struct ferry_message *m);
/* The same for every message that somebody may be polling. */
void messages_cancel_all(struct ferry_bus *bus);
/* The id as text, NUL-terminated: made at the first call. */
const char *message_id(const struct ferry_message *m);
/* Keep the text of a failure (at most 1 KiB); without memory the text before stays.  For whoever has decided
 * the verdict: from then on the text is his. */
void message_set_failure(struct ferry_bus *bus, struct ferry_message *m, const char *text);
/* The same, for the application: ignored once the verdict is decided. */
void message_say_failure(struct ferry_bus *bus, struct ferry_message *m, const char *text);
/* Whether the application has said anything.  Who has decided the verdict calls this or message_set_failure
 * before it reads the text: a call that is late may be saying something this very moment. */
bool message_has_failure(struct ferry_bus *bus, struct ferry_message *m);
const char *message_attribute(const struct ferry_message *m, const char *name);

#endif
