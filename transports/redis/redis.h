/*
 * redis.h - the objects of the transport, the threads, and who owns what.
 *
 *     connection --- publisher   batches of XADD, confirmed in order      publisher.c
 *         |      `-- admin       a link for calls that may wait           admin.c
 *         |      `-- janitor     trims what everybody has settled         janitor.c
 *         |
 *         `-- source ----------- reader: XREADGROUP, XAUTOCLAIM           reader.c claimer.c
 *               |          `---- control: XACK, leases, retries           verdict.c
 *               `-- subscription --- claim: a delivery that is open       claim.c
 *
 * Three links by role, since a link that waits in a blocking read can carry nothing else:
 *
 *     thread              links                       runs
 *     redis-io            publisher, every control    io.c, publisher.c, verdict.c
 *     the core's pump     the source's reader         reader.c, claimer.c
 *     redis-janitor       its own, now and then       janitor.c
 *     any (they wait)     admin, one at a time        redis.c, source.c, admin.c
 *
 * Locks: connection.lock (destinations, sources, publisher's staging), source.lock (claims, verdicts,
 * retries); connection.lock may be held when source.lock is taken.  The host is called with none, but for
 * memory and time.
 *
 * Time.  Redis counts idle times by its own clock, so everything here is real time; deadlines of the host's
 * clock are converted where they come in.
 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <ferry/bus.h>     /* FERRY_LOG_*, FERRY_PROVISION_* and such: only their numbers */
#include <ferry/handler.h> /* FERRY_COMPETING and such */
#include <ferry/transport.h>

#include "fault.h"
#include "link.h"
#include "wire.h"

/* The consumer of every group that owns what waits for a retry or was handed back: whoever has a message in
 * work owns it under its own name, so that a process that ends leaves a name without messages. */
#define WAITING_CONSUMER "ferry-waiting"

/* ---- claims ---- */

enum claim_todo {
	TODO_ACK = 1 << 0,   /* XACK */
	TODO_RETRY = 1 << 1, /* to WAITING_CONSUMER, claimable at `due` */
	TODO_BACK = 1 << 2,  /* to WAITING_CONSUMER, claimable now, not counted */
	TODO_HOLD = 1 << 3,  /* the attempt, and the lease */
	TODO_RENEW = 1 << 4, /* the lease */
	TODO_BURY = 1 << 5,  /* `burial` */
	TODO_FINAL = TODO_ACK | TODO_RETRY | TODO_BACK,
};

/* A dead letter on its way. */
struct burial {
	struct ferry_outgoing *out;
	struct bytes commands;
	bool whole; /* MULTI, XADD, XACK, EXEC; else XADD alone */
};

/*
 * A delivery, from the reply that brought it until its verdict is confirmed and its views are released.
 * `record` points into the same piece of memory.
 */
struct claim {
	struct ferry_subscription *subscription;
	struct claim *next_hash;
	struct claim
		*next; /* in one of: backlog, resting, the dirty list, the list of a command that was sent */
	struct entry_id id;
	uint32_t count;       /* deliveries as the server counts them; of a passing handler the attempt */
	unsigned refs;        /* the delivery's views: 1; while a verdict is on its way: 1 */
	unsigned todo, doing; /* TODO_*: to be written, and being written */
	bool queued;          /* in the dirty list */
	_Atomic int64_t
		doubtful_at; /* a retry or hand-back written then may have been done: its reply was lost */
	bool force;          /* the group does not know it: make it pending again */
	bool hashed;
	bool ended;        /* by a final verb */
	_Atomic bool lost; /* the lease has run out */
	_Atomic int64_t lease_until;
	int64_t due;
	int64_t first_failed_wall_us;
	struct burial *burial;
	size_t bytes;
	struct ferry_record record;
};

/* An entry that waits for a retry which this process has asked for. */
struct pause {
	struct ferry_subscription *subscription;
	struct entry_id id;
	int64_t due;
	int64_t lease_until; /* of one that is parked: until then nobody else may have it */
	int64_t first_failed_wall_us;
	uint32_t count; /* of deliveries */
	unsigned tries; /* at claiming it, in vain */
};

/* Those of a source: a binary heap by `due`. */
struct pauses {
	struct pause *items;
	size_t count, capacity;
};

/* ---- subscriptions and sources ---- */

struct ferry_subscription {
	struct ferry_subscription *next;
	struct ferry_subscription *next_read; /* pump: in the order in which they are read */
	struct ferry_source *source;
	void *core;
	char *topic, *key, *dlq_key;
	char *group; /* NULL for a passing broadcast handler: it reads by id and nothing is pending */
	bool earliest;
	int64_t max_unsettled;

	/* pump */
	uint32_t credit;
	struct entry_id seen; /* the last entry that was read */
	struct entry_id told; /* broadcast_durable: the first that is to be read */
	struct entry_id scan; /* where XAUTOCLAIM goes on */
	bool hot;             /* the last read was full: there is more */
	unsigned reading;     /* which command of the round that is out asks for it, from 1; 0 = none */
	uint32_t asked;       /* at most so many */
	uint32_t scanning;    /* at most so many of the dead */
	size_t typical;       /* bytes of a message, lately */
	int64_t rest_until;   /* its stream cannot be read */
	int64_t initial_backoff_us, max_backoff_us;

	struct claim *backlog, **backlog_end; /* read, but there was no room or credit any more */

	/* [source.lock] */
	int64_t pending;       /* unsettled in the group, as far as is known */
	struct claim *resting; /* passing: waiting for a retry */

	_Atomic bool group_missing; /* any thread has seen that, or that it is another one */

	/* redis-io, while verdicts are written */
	struct claim *acks, *renewals;
	size_t ack_count, renewal_count;
};

/* More verbs of a command. */
enum { SENT_PARK = 1 << 8, SENT_UNPARK = 1 << 9, SENT_OTHER = 1 << 10 };

/* A command on the control link that has no reply yet. */
struct sent {
	struct sent *next;
	unsigned verb;    /* of enum claim_todo, or SENT_* */
	unsigned replies; /* how many are to come */
	int64_t at;
	struct ferry_subscription *subscription;
	struct claim *claims; /* linked by next */
	struct pause pause;   /* SENT_UNPARK */
	char failure[200];    /* TODO_BURY: the first error */
};

struct ferry_source {
	struct ferry_source *next;
	struct ferry_connection *connection;
	char *consumer;
	char *group;
	int32_t distribution;
	int64_t takeover_us, memory_budget;
	struct ferry_subscription *subscriptions;
	unsigned subscription_count;
	bool started;

	/* pump */
	struct link reader;
	int wake; /* eventfd */
	_Atomic bool woken, sleeping;
	_Atomic bool control_wanted;        /* messages come: it may not wait before it connects again */
	struct ferry_subscription *readers; /* by next_read */
	bool reader_was_up;
	bool reader_lost;           /* an earlier link may still have a read at the server */
	unsigned commands, replies; /* of the round that is out: sent, and answered */
	bool blocking;              /* its last command waits at the server */
	int64_t unblock_at;         /* when it may be asked (again) not to */
	int64_t asked_at;
	int64_t idle_at;            /* nothing was there to be read at this time: leases count from it */
	_Atomic bool group_missing; /* of one of the subscriptions */
	int64_t scan_at;
	int64_t complained_at;
	struct bytes trimmed; /* dead letters of entries that are gone */
	size_t trimmed_count;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* verdicts_done, left */
	struct claim **hash;
	size_t open; /* claims in the hash */
	int64_t bytes;
	struct claim *dirty, **dirty_end;
	uint64_t verdicts, verdicts_done; /* how often a claim was put into the dirty list, and was done */
	struct pauses due;                /* heap: claimable from their time on; pump takes from it */
	int64_t reader_id;                /* of the reader at the server; 0 = unknown */
	bool unblock;                     /* redis-io: end the reader's blocking read */
	bool given_back;                  /* what we gave back may be claimed, by us too */
	bool leaving;

	/* redis-io */
	struct link control;
	struct sent *sent, **sent_end;
	struct pauses parked; /* their delay is longer than takeover */
	int64_t park_at;
	int64_t noticed_at;
	int64_t write_at; /* not before, for the group is missing */
};

/* ---- publishing ---- */

struct ferry_destination {
	struct ferry_destination *next;
	char *topic, *key;
	bool is_dlq; /* never trimmed */
};

struct item {
	struct ferry_outgoing *out; /* NULL: it has its result */
	size_t begin, end;          /* its command in the batch */
	int64_t deadline;           /* host's clock */
	bool tried;                 /* some of it may have reached the server */
	bool cancelled;             /* it is not sent (again) */
};

/* Commands that were gathered while earlier ones were on their way. */
struct batch {
	struct batch *next;
	struct bytes bytes;
	struct item *items;
	size_t count, capacity;
	uint64_t ticket;  /* of the first item: counts all that were ever taken */
	size_t sent;      /* bytes that this link has taken or passed over */
	size_t at;        /* the item that `sent` stands in */
	size_t confirmed; /* items whose reply has come or will not */
	bool fenced;      /* WAIT or WAITAOF was sent behind it on this link */
};

#define REPORT_MAX 256

struct publisher {
	struct link link;
	bool was_up, told_down;
	/* [connection.lock] */
	struct batch *staging, *spare;
	size_t waiting, waiting_bytes; /* without a result */
	uint64_t taken, done;          /* tickets: given, and such that all before it have results */
	bool refused;                  /* a publish found it full: host->writable is owed */
	/* redis-io */
	struct batch *first, *last; /* on their way, oldest first */
	struct batch *replies_for;  /* whose replies come next */
	struct batch *to_send;
	int64_t heard_at; /* something came, or nothing was owed to us */
	int64_t deadline; /* host's clock: no item has an earlier one */
	struct ferry_outgoing *report[REPORT_MAX];
	size_t report_count, report_bytes;
	char reason[400];
};

enum durability { DURABILITY_RELAXED, DURABILITY_AOF, DURABILITY_FSYNC, DURABILITY_REPLICA };

struct ferry_connection {
	const struct ferry_host *host;
	void *core;
	const struct ferry_config *config;
	struct link_target target;
	const char *prefix;
	enum durability durability;
	int replicas;
	size_t queue, queue_bytes;
	int64_t claim_us, retain_ms, trim_us;
	bool compact;

	struct link admin; /* whose `admin_taken` it is */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* publisher.done, in_round, closing, admin_taken */
	bool admin_taken;
	pthread_cond_t janitor_wake;
	unsigned flushing; /* threads that wait for publisher.done */
	struct ferry_destination *destinations;
	struct ferry_source *sources; /* started and not closed */
	unsigned sources_opened;
	struct publisher publisher;

	pthread_t io, janitor;
	bool io_running, janitor_running;
	bool janitor_leaving;
	bool janitor_complained; /* redis-janitor */
	int wake;                /* eventfd of redis-io */
	int halt;                /* eventfd: stop waiting */
	_Atomic bool io_idle;
	bool readable;    /* redis-io: the publisher's link has something */
	unsigned hasty;   /* rounds without a look at the sockets */
	bool in_round;    /* redis-io works on the sources: none may be unlinked */
	unsigned closing; /* threads that want to */
	bool stopping;
	int64_t stop_at;
};

/* ---- redis.c: helpers ---- */

void *host_zeroed(const struct ferry_connection *connection, size_t bytes);
void host_free(const struct ferry_connection *connection, void *memory);
char *host_text(const struct ferry_connection *connection, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Real time for a deadline of the host's clock. */
int64_t real_deadline(const struct ferry_connection *connection, int64_t deadline_us);
/* Wait with the lock held; false at real time `until`. */
bool real_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until);
int cond_init_real(pthread_cond_t *condition);
void eventfd_set(int fd);
void eventfd_clear(int fd);
void notice(const struct ferry_connection *connection, int event, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The stream of a topic: "<prefix>{<topic>}", or for "dlq.<group>.<topic>" "<prefix>{<topic>}:dlq:<group>",
 * so that a message and its dead letter lie in one slot.  NULL without memory. */
char *key_of_topic(const struct ferry_connection *connection, const char *topic);

/* ---- admin.c ---- */

/* Around writing on a thread of the application: OpenSSL writes without MSG_NOSIGNAL. */
void sigpipe_block(sigset_t *before, bool *was_pending);
void sigpipe_restore(const sigset_t *before, bool was_pending);

/* One command on the admin link, which is opened when it is not up; what is added to admin.out by `fill`
 * before.  The reply is given to `look` while nobody else has the link; what it returns is returned. */
struct admin_call {
	void (*fill)(struct bytes *out, void *ctx);
	int (*look)(const struct reply *reply, void *ctx, struct ferry_error *err);
	void *ctx;
	const char *what; /* for errors: "the topic orders" */
};
/* The admin link for this thread alone; false at real time `until`. */
bool admin_take(struct ferry_connection *connection, int64_t until);
void admin_give(struct ferry_connection *connection);
int admin_run(struct ferry_connection *connection, int64_t until, const struct admin_call *call,
	      struct ferry_error *err);
int redis_raw_put(struct ferry_connection *connection, const char *topic, const struct ferry_raw *raw,
		  struct ferry_error *err);
int redis_raw_get(struct ferry_connection *connection, const char *topic, uint64_t index, ferry_raw_fn *each,
		  void *ctx, struct ferry_error *err);
int64_t redis_objects(struct ferry_connection *connection, const char *needle);

/* ---- server.c ---- */

/* Look at INFO: the version, the role, what a crash loses. */
int server_check(struct ferry_connection *connection, int64_t until, struct ferry_error *err);

/* ---- io.c ---- */

/* A thread that takes no signals. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
		 struct ferry_connection *connection, struct ferry_error *err);
int io_start(struct ferry_connection *connection, struct ferry_error *err);
void io_stop(struct ferry_connection *connection, int64_t until);
/* Something is to be done. [any thread] */
void io_wake(struct ferry_connection *connection);

/* ---- publisher.c ---- */

size_t redis_publish(struct ferry_connection *connection, struct ferry_outgoing *const *outs, size_t count);
/* [redis-io] Real time when it has to be looked at again. */
int64_t publisher_run(struct ferry_connection *connection);
/* [redis-io] End everything: rejected or unknown. */
void publisher_abandon(struct ferry_connection *connection);
void publisher_free(struct ferry_connection *connection);

/* ---- source.c ---- */

int redis_source_open(struct ferry_connection *connection, const struct ferry_source_spec *spec,
		      struct ferry_source **ret, struct ferry_error *err);
int redis_subscribe(struct ferry_source *source, const struct ferry_subscription_spec *spec,
		    struct ferry_subscription **ret, struct ferry_error *err);
int redis_source_start(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err);
int redis_source_stop(struct ferry_source *source, int64_t deadline_us, struct ferry_source_rest *rest);
void redis_source_close(struct ferry_source *source);

/* ---- reader.c ---- */

int redis_fetch(struct ferry_source *source, struct ferry_subscription *only,
		struct ferry_delivery *const *deliveries, size_t max, int timeout_ms);
void redis_credit(struct ferry_subscription *subscription, uint32_t count);
void redis_wakeup(struct ferry_source *source);

/* What fetch fills in. */
struct basket {
	struct ferry_delivery *const *deliveries;
	size_t max, count;
};
/* Hand it out, or put it into the backlog when there is no room or credit. [pump] */
void basket_add(struct basket *basket, struct claim *claim);

/* End the read that is out, if there is one; what it brings goes to the backlog.  False when that cannot be
 * known by real time `until`. [pump, or when there is none] */
bool reader_drain(struct ferry_source *source, int64_t until);
/* Something that is wrong with the reads: said at most every ten seconds. [pump] */
void reader_complain(struct ferry_source *source, const struct reply *reply);
/* How many messages of a subscription may be asked for. [pump] */
uint32_t reader_wants(struct ferry_subscription *subscription);
/* How many of `most` the memory budget has room for, as large as they are lately. [pump] */
uint32_t reader_fits(struct ferry_subscription *subscription, int64_t most);
/* The group is not there, or is not the one that it was: look after it when the round is over. [any] */
void reader_misses_group(struct ferry_subscription *subscription);

/* ---- claimer.c [pump] ---- */

/* When something is to be claimed: real time. */
int64_t claimer_due(struct ferry_source *source);
/* Claim it: retries whose time has come, and what the dead have left.  The reader is UP and no read is out.
 */
void claimer_run(struct ferry_source *source, struct basket *basket);
/* Give back what the server thinks is ours and we know nothing of, or all of it. */
bool claimer_reconcile(struct ferry_source *source, struct link *link, int64_t until, bool all);
/* Delete our names from the groups: only when no read of ours can be at the server any more, since what is
 * pending under a name goes with it. */
bool claimer_leave(struct ferry_source *source, struct link *link, int64_t until);
/* A dead letter for an entry that was trimmed while it was unsettled: XADD, one reply; `record` may be NULL.
 */
void claimer_bury_trimmed(struct bytes *out, const struct ferry_subscription *subscription,
			  struct entry_id id, const struct ferry_record *record);
/* The group or the stream was deleted: make it again where we have last read, with what is ours. False when
 * it is not there, and may not or cannot be made. */
bool claimer_revive(struct ferry_source *source);

/* ---- claim.c ---- */

bool claim_table_make(struct ferry_source *source);
/* From [id, [name, value ...]]; NULL without memory. */
struct claim *claim_make(struct ferry_subscription *subscription, const struct reply *entry, uint32_t count,
			 int64_t lease_until);
struct claim *claim_find(struct ferry_source *source, const struct ferry_subscription *subscription,
			 struct entry_id id); /* [source.lock] */
/* Drop a reference; freed after the last one. [source.lock] */
void claim_unref(struct claim *claim);
/* The entry is no longer pending under our name, as far as we know. [source.lock] */
void claim_forget(struct claim *claim);
/* Something is to be written. [source.lock] */
void claim_dirty(struct claim *claim, unsigned todo);
/* Renew the leases of all. [no lock] */
void claim_renew_all(struct ferry_subscription *subscription);
/* What was being written is done, or is to be written again. [source.lock] */
void claim_written(struct claim *claim, bool again);
/* No longer ours: the lease has run out, and others may have taken it. */
bool claim_is_lost(struct claim *claim, int64_t now);
/* The burial has this result; 0 ends the claim. [no lock] */
void claim_buried(struct claim *claim, int result, const char *reason);
void redis_settle(struct ferry_source *source, struct ferry_settle *settles, size_t count);
void redis_release(struct ferry_source *source, struct ferry_delivery *const *deliveries, size_t count);
void redis_dead_letter(struct ferry_source *source, struct ferry_delivery *delivery,
		       struct ferry_outgoing *dead);
int redis_alive(struct ferry_source *source, const struct ferry_delivery *delivery);
size_t redis_position(struct ferry_source *source, const struct ferry_delivery *delivery, char *buffer,
		      size_t size);
int64_t redis_lease_ms(struct ferry_source *source);

/* ---- pauses.c ---- */

bool pauses_add(const struct ferry_connection *connection, struct pauses *pauses, const struct pause *pause);
/* The earliest due time; INT64_MAX without one. */
int64_t pauses_first(const struct pauses *pauses);
/* Take out the earliest; there is one. */
struct pause pauses_take(struct pauses *pauses);
void pauses_free(const struct ferry_connection *connection, struct pauses *pauses);

/* ---- verdict.c [redis-io] ---- */

/* Real time when it has to be looked at again. */
int64_t verdict_run(struct ferry_source *source);
/* No reply will come any more: free what was sent. */
void verdict_abandon(struct ferry_source *source);
/* On any link, one reply each: XCLAIM that puts a waiting retry into its group. */
void verdict_wait_again(struct link *link, const struct pause *pause);
/* XCLAIM that lets anybody have an entry, as if its last delivery had not been, unless somebody has touched
 * it less than so long ago. */
void verdict_give_back(struct link *link, const struct ferry_subscription *subscription, int64_t untouched_ms,
		       struct entry_id id, int64_t count);

/* ---- janitor.c ---- */

int janitor_start(struct ferry_connection *connection, struct ferry_error *err);
void janitor_stop(struct ferry_connection *connection);

#endif
