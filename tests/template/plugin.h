/*
 * plugin.h - the objects of the transport and how they hang together.
 *
 *     connection --- source --- subscription --- claim       sqlite.c  source.c  claim.c
 *         |          (a group,   (a topic, or     (a delivery
 *         |           or the      a broadcast      that the core
 *         |           broadcasts) handler)         has)
 *         |-- queue    publishes without a result yet          queue.c
 *         |-- dirty    claims with a verdict to be written     verdict.c
 *         `-- I/O thread: writes both, claims for fetch        io.c round.h
 *
 * One lock per connection guards all of it, and is never held while SQLite works or the host is called.
 * The I/O thread owns the store `io`; other calls that need the file share `control`.
 */
#ifndef SQLITE_PLUGIN_H
#define SQLITE_PLUGIN_H

#include <pthread.h>
#include <stdbool.h>

#include <ferry/bus.h>     /* FERRY_LOG_*, FERRY_PROVISION_* and such: only their numbers */
#include <ferry/handler.h> /* FERRY_COMPETING and such */
#include <ferry/transport.h>

#include "store.h"
#include "wire.h"

/* ---- claims ---- */

enum claim_todo {
	TODO_RENEW = 1 << 0, /* the lease */
	TODO_HOLD = 1 << 1,  /* attempt, due and the lease */
	TODO_END = 1 << 2,   /* done: delete the row */
	TODO_BACK = 1 << 3,  /* for anybody */
};

/*
 * A delivery, from the transaction that took it until its verdict is written and its views are released.
 * `record` points into the same piece of memory.
 */
struct claim {
	struct ferry_subscription *subscription;
	struct claim *next, **link; /* all claims of the subscription */
	struct claim *next_dirty;   /* verdicts to be written, oldest first */
	struct claim *next_work;    /* those that the I/O thread is writing */
	struct claim *next_back;    /* broadcast: handed back, to be delivered again */
	unsigned refs;              /* the delivery's views: 1; in the dirty list: 1; being written: 1 */
	unsigned todo, doing;       /* TODO_*: not yet, or now, being written */
	bool queued;                /* in the dirty list */
	bool ended;                 /* by a final verb */
	bool lost;                  /* revoked, taken over, or the lease has run out */
	bool gone;                  /* the I/O thread found the row not ours */
	struct stored row;          /* the views in it are not used */
	struct stored writing;      /* `row` as the I/O thread writes it */
	int64_t lease_until_us;     /* of the host's monotonic clock */
	size_t bytes;
	struct ferry_record record;
};

/* Copy a row; NULL without memory. */
struct claim *claim_create(struct ferry_subscription *subscription, const struct stored *row);
/* Drop a reference; after the last one the claim is in the list *dead, for claims_free. [lock] */
void claim_unref(struct claim *claim, struct claim **dead);
/* Free a list that is linked by next_work: the host is not called under the lock. [no lock] */
void claims_free(struct ferry_connection *connection, struct claim *dead);
/* Hand it out. [lock] */
void claim_deliver(struct claim *claim, struct ferry_delivery *delivery, int64_t now_us, int64_t wall_us);
/* There is something to write. [lock] */
void claim_dirty(struct claim *claim, unsigned todo);
/* The delivery is no longer ours. Notices a lease that has run out: then it is given up. [lock] */
bool claim_is_lost(struct claim *claim, int64_t now_us);

/* ---- subscriptions and sources ---- */

struct ferry_subscription {
	struct ferry_subscription *next;
	struct ferry_source *source;
	void *core;
	char *topic;
	char *name;   /* group, or a passing broadcast handler's cursor */
	bool passing; /* broadcast without a durable name: read by a cursor, nothing is claimed */
	bool earliest;
	int64_t max_unsettled;
	uint32_t credit;

	struct claim *claims;
	int64_t open;       /* delivered and not ended */
	struct claim *back; /* passing: handed back */
	int64_t room;       /* how many the transaction that is open may take */

	/* I/O thread, once the source is started */
	int64_t next_seq; /* the next one to read; of a group as last seen, the file decides */
	int64_t reached;  /* what next_seq becomes when the transaction succeeds */
	bool revoked;     /* it is losing its claims */
};

struct ferry_source {
	struct ferry_source *next;
	struct ferry_connection *connection;
	char *owner; /* in the claims' rows */
	char *group; /* the service for broadcast */
	int32_t distribution;
	int64_t takeover_us, memory_budget;
	struct ferry_subscription *subscriptions;
	int64_t bytes; /* of its claims */

	bool started;
	bool leaving; /* asked to */
	bool left;    /* has done so */

	/* A fetch that waits: the I/O thread fills it in. */
	struct ferry_delivery *const *deliveries;
	size_t wanted, filled;
	bool fresh;   /* it has not been looked at */
	bool serving; /* it is being looked at: fetch may not return */
	bool woken;
	int error;

	/* I/O thread: the transaction that is open */
	bool departing;
	int64_t spare;                    /* bytes that are left of the budget */
	struct claim *taken, **taken_end; /* claimed; linked by next_work */
	struct ferry_subscription *turn;  /* which comes first the next time */
	int64_t renew_at;                 /* rows of passing cursors; pacing clock */
};

/* ---- publishing ---- */

struct ferry_destination {
	struct ferry_destination *next;
	char topic[];
};

struct queued {
	struct ferry_outgoing *out;
	uint64_t ticket; /* counts all that were ever queued */
	bool unclear;    /* an earlier commit may have stored it */
};

/* Publishes in the order of their calls, in a ring; the front is what the I/O thread works at. */
struct queue {
	struct queued *slots;
	struct ferry_outgoing **report; /* I/O thread: results on their way to the host */
	size_t capacity, head, count;
	uint64_t tickets;
	bool refused; /* a publish found it full: host->writable is owed */
};

static inline struct queued *queue_at(struct queue *queue, size_t index)
{
	return &queue->slots[(queue->head + index) % queue->capacity];
}

/* How to end a publish that is not stored. */
struct outcome {
	int32_t result, native_code;
	const char *reason;
};

/* Report the results of the first `count` and let them go. [I/O thread, no lock] */
void queue_report(struct ferry_connection *connection, size_t count);
/* End the first `count` with this outcome. [I/O thread, no lock] */
void queue_fail(struct ferry_connection *connection, size_t count, const struct outcome *outcome);

size_t sqlite_publish(struct ferry_connection *connection, struct ferry_outgoing *const *outs, size_t count);
int sqlite_flush(struct ferry_connection *connection, int64_t deadline_us);

/* ---- the connection ---- */

/* What only the I/O thread touches. */
struct io {
	struct store store;
	struct wire_headers headers;
	uint64_t verdicts;     /* connection->verdicts when the dirty list was taken */
	struct claim *work;    /* verdicts that are being written; kept until it has succeeded */
	int64_t version;       /* data_version, as last seen */
	int64_t poll_at;       /* pacing clock: look whether another process has committed */
	int64_t look_at;       /* look for leases that have run out */
	int64_t sweep_at;      /* trim topics, sweep what the dead have left */
	int64_t retry_at;      /* after a failure */
	int64_t failing_since; /* 0: all is well */
	bool down;             /* the host was told so */
	char reason[500];      /* of a failed publish */
	char trim_topic[256];  /* trimming goes round from here */
};

struct ferry_connection {
	const struct ferry_host *host;
	void *core;
	const struct ferry_config *config;
	bool full_sync;
	int64_t commit_us, poll_us, retain;

	pthread_mutex_t control_lock;
	struct store control;

	pthread_mutex_t lock;
	pthread_cond_t wake;    /* for the I/O thread */
	pthread_cond_t changed; /* for everybody who waits for it */
	struct ferry_destination *destinations;
	struct ferry_source *sources; /* started and not closed */
	unsigned sources_opened;
	struct queue queue;
	struct claim *dirty, **dirty_end;
	int64_t write_at;                    /* when the dirty list must be written; pacing clock */
	uint64_t verdicts, verdicts_written; /* how many claims were ever put into it, and written from it */
	bool running, stopping, idle;
	bool in_round; /* the I/O thread works without the lock: no source may be unlinked */
	int64_t stop_at;

	pthread_t thread;
	struct io io;
};

/* Start the I/O thread (the store is open); ask it to end and wait for it. */
int io_start(struct ferry_connection *connection, struct ferry_error *err);
void io_stop(struct ferry_connection *connection, int64_t deadline_us);

/*
 * Pacing.  What things mean (leases, due times, deadlines) is decided by the host's clock, which may stand
 * still; how long a thread sleeps between two looks is real time.
 */
int64_t pacing_us(void);
/* The pacing clock's time for a deadline of the host's clock. */
int64_t pacing_deadline(const struct ferry_connection *connection, int64_t deadline_us);
/* Wait for `condition` with the lock held; false at the pacing clock's `until`. */
bool pacing_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until);

/* Wake the I/O thread. [lock] */
static inline void io_wake(struct ferry_connection *connection)
{
	if (connection->idle)
		pthread_cond_signal(&connection->wake);
}

/* ---- helpers ---- */

/* Describe a failure in *err (may be NULL) and return its code. */
int fail(struct ferry_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* From the host's allocator; zeroed; NULL without memory. */
void *host_zeroed(const struct ferry_connection *connection, size_t bytes);
char *host_text(const struct ferry_connection *connection, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void host_free(const struct ferry_connection *connection, void *memory);

/* One transaction of the control store, on the caller's thread: `work` returns an SQLite code, and is called
 * again when another process was in the way, until the deadline.  0 or a FERRY_E_*. */
typedef int control_fn(struct store *store, void *ctx);
int control_run(struct ferry_connection *connection, int64_t deadline_us, control_fn *work, void *ctx,
		struct ferry_error *err);
/* A topic must be there: made under provision=auto, else FERRY_E_NOT_FOUND. */
int control_topic(struct ferry_connection *connection, const char *topic, int64_t deadline_us,
		  struct ferry_error *err);

/* ---- slots, by file ---- */

/* source.c */
int sqlite_source_open(struct ferry_connection *connection, const struct ferry_source_spec *spec,
		       struct ferry_source **ret, struct ferry_error *err);
int sqlite_subscribe(struct ferry_source *source, const struct ferry_subscription_spec *spec,
		     struct ferry_subscription **ret, struct ferry_error *err);
int sqlite_source_start(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err);
int sqlite_source_stop(struct ferry_source *source, int64_t deadline_us, struct ferry_source_rest *rest);
void sqlite_source_close(struct ferry_source *source);
int sqlite_fetch(struct ferry_source *source, struct ferry_subscription *only,
		 struct ferry_delivery *const *deliveries, size_t max, int timeout_ms);
void sqlite_credit(struct ferry_subscription *subscription, uint32_t count);
void sqlite_wakeup(struct ferry_source *source);

/* claim.c */
void sqlite_settle(struct ferry_source *source, struct ferry_settle *settles, size_t count);
void sqlite_release(struct ferry_source *source, struct ferry_delivery *const *deliveries, size_t count);
int sqlite_alive(struct ferry_source *source, const struct ferry_delivery *delivery);
size_t sqlite_position(struct ferry_source *source, const struct ferry_delivery *delivery, char *buffer,
		       size_t size);
int64_t sqlite_lease_ms(struct ferry_source *source);

/* admin.c */
int sqlite_raw_put(struct ferry_connection *connection, const char *topic, const struct ferry_raw *raw,
		   struct ferry_error *err);
int sqlite_raw_get(struct ferry_connection *connection, const char *topic, uint64_t index, ferry_raw_fn *each,
		   void *ctx, struct ferry_error *err);
int64_t sqlite_objects(struct ferry_connection *connection, const char *needle);

#endif
