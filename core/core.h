/*
 * core.h - the objects of a bus and how they hang together.
 *
 *     bus ---- group ---- subscription ---- handler
 *      |   (service x      (a topic; or      (a function and
 *      |    distribution:   one broadcast     its policy)
 *      |    one plugin      handler's)
 *      |    source)
 *      |-- topic      what publishers have resolved, and their counters
 *      |-- pool       workers and the run queue of subscriptions with work
 *      |-- timers     retries, deadlines
 *      `-- completer  results of asynchronous publishes
 *
 * Locks, in the order in which they may be taken while another is held:
 *     subscription.lock > group.lock > pool.lock > timers.lock; bus.lock and topics_lock alone.
 * A plugin is called with subscription.lock held for fetch and arm only, with group.lock held for EXTEND
 * only.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <ferry/admin.h>
#include <ferry/ferry.h>

#include "alloc.h"
#include "clock.h"
#include "config.h"
#include "fail.h"
#include "message.h"
#include "timer.h"

#define CACHE_LINE 64
#define BATCH_MAX  32 /* messages that a worker takes at most at a time */

/* ---- what an application registered ---- */

struct handler {
	struct subscription *subscription;
	struct handler *next;
	char *name;
	ferry_handler_fn *run;
	void *ctx;
	ferry_decode_fn *decode;
	void *decode_ctx;
	struct ferry_attribute *filter; /* ends with a NULL name; NULL = all */

	int32_t ack;
	bool dlq;
	uint32_t concurrency, max_retries, jitter_percent, max_deliveries;
	int64_t initial_backoff_us, max_backoff_us;
	int64_t timeout_us; /* INT64_MAX: none */

	/* under subscription.lock */
	struct message_queue ready;
	uint32_t running; /* calls, stuck ones included */
	uint32_t stuck;   /* of these, calls whose time is up */
	uint32_t turn;    /* when it was last chosen: "in turn among equals" */
	uint32_t batch;   /* how many messages a worker takes at a time: grows while calls are quick */
	int64_t quick_us; /* a moving average of one call's time */
};

struct counters {
	uint64_t received, handled, filtered, dead_lettered, dropped, retried, handed_back, stale, in_flight;
	uint64_t calls, failed, timeouts, late_results, held;
};

/* Messages of one subscription that wait for their key (order.c). */
#define LANES 256

struct subscription {
	struct group *group;
	struct subscription *next;
	char *topic;
	char *dlq_topic;
	struct topic *dlq; /* NULL until start, or without any handler that wants it */
	char *durable;     /* broadcast_durable */
	struct handler *handlers;
	struct ferry_subscription *plugin;
	int32_t order, start, max_unsettled;
	uint32_t handler_count;
	bool simple; /* one handler, no order: workers take batches */

	_Atomic bool queued;           /* stands in the run queue */
	struct subscription *run_next; /* run queue */
	struct timer wake;             /* host->wake_at */
	uint32_t credit;               /* what the plugin was told last (pump thread) */
	char pad[CACHE_LINE];          /* publishers read what stands above */

	pthread_mutex_t lock;
	struct counters count;
	uint32_t turn;
	bool stalled;    /* at max_unsettled: submit when a delivery ends */
	uint32_t target; /* how many messages the handlers' queues should hold (pump) */
	bool hungry;     /* the pump gave less credit than it would like: wake it when there is room */
	struct message_list held;     /* waiting for their retry in this process */
	struct ferry_message **lanes; /* order != none: LANES buckets of active heads */
	uint32_t resting; /* in flight, not held: behind their key's head, or behind a stuck call */
};

struct group {
	struct ferry_bus *bus;
	struct group *next;
	char *name;     /* the plugin's group */
	char *identity; /* what ferry-target-group compares with: name, or broadcast:<name> */
	int32_t distribution;
	struct subscription *subscriptions;
	uint32_t subscription_count;
	struct ferry_source *source;
	bool started, stopped;

	pthread_t pump;
	_Atomic bool pump_running;
	_Atomic bool granted;  /* the plugin may deliver: some credit was given */
	_Atomic int64_t bytes; /* payload bytes in flight */

	int64_t lease_us; /* 0: none */
	struct timer lease;
	pthread_mutex_t lock;       /* leased */
	struct message_list leased; /* every delivery that is open, when there is a lease */
};

/* ---- publishing ---- */

struct topic {
	struct topic *next;
	char *name;
	_Atomic(struct ferry_destination *) destination;
	_Atomic bool published_to; /* a publisher was opened for it */
	/* Written with every message by publishers: on a cache line that workers do not need. */
	char pad[CACHE_LINE];
	_Atomic uint64_t published, rejected, unknown, evicted;
	char pad_end[CACHE_LINE];
};

/* Results of asynchronous publishes on their way to the application (completion.c). */
struct completer {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct publication *head, **tail;
	bool stop, running;
	pthread_t thread;
};

struct interceptor {
	struct interceptor *next;
	struct ferry_interceptor call;
};

/* ---- workers ---- */

struct worker {
	struct ferry_bus *bus;
	struct worker *next; /* all workers, newest first; never removed before the bus is freed */
	pthread_t thread;
	uint32_t gather;    /* adaptive: how long to let messages gather between small batches */
	uint32_t spins;     /* adaptive: how often to poll an empty subscription before going to sleep */
	_Atomic bool stuck; /* changed under pool.lock: its handler's time is up, a replacement may run */
	bool finished;      /* under pool.lock: its thread has ended */
	bool joined;

	/* The batch: filled under `lock` by its owner, emptied by `head`.  The timer thread takes away what a
	 * worker with a slow handler has not begun, and settles what it has finished (worker_unload). */
	pthread_mutex_t lock;
	struct subscription *subscription;
	struct handler *handler;
	_Atomic uint32_t head;
	uint32_t count;
	struct ferry_message *batch[BATCH_MAX];
	_Atomic uint32_t done; /* entries of `settles` that may be flushed */
	uint32_t flushed;
	struct ferry_settle settles[BATCH_MAX];
	struct counters tally; /* calls, failed: merged with each batch */

	_Atomic(struct ferry_message *) current; /* whose handler runs */
	uint64_t runs;                           /* messages begun; owner only */
	_Atomic uint64_t seen_runs;              /* what the last tick saw */
	_Atomic uint64_t begun;                  /* `runs`, published per message */

	struct message_queue aside; /* within one take: what ends at once */
	int64_t now_us;             /* the clock as it was read last, at `ticks` */
	uint32_t ticks;
	int fetch_error;             /* of this take, told when no lock is held */
	struct ferry_message *spare; /* free messages, linked by `next` */
	uint32_t spare_count;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct subscription *head, **tail; /* run queue */
	_Atomic uint32_t waiting;          /* its length */
	_Atomic uint32_t idle;
	uint32_t threads, stuck, limit;
	bool stop;
	struct worker *workers;
	struct worker *caller; /* threads=caller */
	int event_fd;          /* threads=caller: readable while there is work */
};

struct ferry_bus {
	struct config config;
	const struct ferry_transport *api;
	uint64_t caps;
	const struct ferry_allocator *allocator;
	struct clock clock;
	uint32_t fork_generation;

	ferry_log_fn *log;
	ferry_incident_fn *on_dropped, *on_stuck;
	ferry_state_fn *on_state;
	void *hook_ctx;

	/* on_state hears of the states in their order.  Recursive; after stop_lock, before all others. */
	pthread_mutex_t state_lock;
	pthread_mutex_t lock; /* state, why, stopping */
	pthread_cond_t changed;
	_Atomic int state;
	struct ferry_error why;
	_Atomic bool winding_down;   /* a stop has begun: it wants to hear of every end (bus_progress) */
	uint64_t progress;           /* under `lock`: such ends so far */
	_Atomic bool stopping;       /* no new work is begun */
	_Atomic bool apart;          /* everything is at rest: nothing more is handed to the plugin */
	_Atomic uint32_t publishing; /* calls that hand something over */
	_Atomic bool cancelling;     /* stop's deadline is near: handlers should give up */
	bool connected;
	pthread_t starter;
	bool starter_running; /* under stop_lock */
	bool starter_done;    /* under `lock`: its thread is about to end */
	int64_t start_deadline_us;
	pthread_mutex_t stop_lock; /* one stop at a time; taken before every other lock */
	struct counters before_stop;
	pthread_mutex_t replay_lock;     /* one replay at a time */
	pthread_mutex_t cancel_lock;     /* cancellable */
	struct message_list cancellable; /* messages with a cancel_fd */

	struct ferry_connection *connection;
	struct group *groups;
	struct interceptor *interceptors;
	uint32_t handler_serial;

	pthread_mutex_t topics_lock;
	_Atomic(struct topic *) topics; /* newest first; entries stay: read without the lock */

	pthread_mutex_t room_lock; /* publishers that wait for room */
	pthread_cond_t room;
	_Atomic uint64_t room_generation;
	pthread_mutex_t publications_lock;
	struct publication *free_publications;
	_Atomic uint64_t unconfirmed; /* ended FERRY_E_UNKNOWN while stopping */

	struct message_pool messages;
	struct pool pool;
	struct timers timers;
	struct completer completer;
	struct suspects *suspects;
};

/* ---- bus.c ---- */

/* 0, or FERRY_E_FORK in a child of the process that opened the bus. */
int bus_guard(const struct ferry_bus *bus, struct ferry_error *err);
void bus_log(struct ferry_bus *bus, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
void bus_set_state(struct ferry_bus *bus, int state, const struct ferry_error *why);
/* A delivery has ended or a result has come: whoever waits in stop looks again. */
void bus_progress(struct ferry_bus *bus);

static inline bool bus_can(const struct ferry_bus *bus, uint64_t capability)
{
	return (bus->caps & capability) != 0;
}

/* What this thread is doing for a bus: a handler or a completion must not wait for its own work. */
enum inside { INSIDE_NOTHING = 0, INSIDE_HANDLER = 1, INSIDE_COMPLETION = 2 };
struct inside_mark {
	const struct ferry_bus *bus;
	enum inside what;
};
extern _Thread_local struct inside_mark inside __attribute__((tls_model("initial-exec")));

#endif
