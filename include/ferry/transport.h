/*
 * transport.h - all that the author of a transport needs.
 *
 * A transport is a shared object `libferry-transport-<name>.so` that exports one symbol,
 * ferry_transport_entry.  It fills in a `struct ferry_transport` and calls back through a
 * `struct ferry_host`; it links without libferry.  transports/memory/ is the file to copy,
 * tests/template/ the worked example that is built outside the tree.
 *
 *        application            core                       transport
 *        -----------   -----------------------   -------------------------------
 *        publish       names, id, deadline   ->  publish(batch)
 *                      completion            <-  host->published(batch)
 *        handler       filter, order, worker <-  fetch(batch)
 *        return value  retry, dead letter    ->  settle(batch) | dead_letter
 *
 * The core decides everything that is policy: filters, order, timeouts, retries, dead letters,
 * counters, draining.  The transport knows its backend: connections, the mapping of records,
 * confirmations, claims and leases, the durable memory of verdicts.
 *
 * ABI.  Structs begin with their size; fields are only appended.  Either side copies the smaller
 * size and takes the rest as zero, so an old plugin loads on a new core and a new plugin on an old
 * core.  abi_major must be equal.  A NULL slot that is not marked [required] means "cannot".
 *
 * Time.  Take it from the host only: the clock can be manual.  All times are microseconds, all of
 * the host's monotonic clock unless the name says wall.
 *
 * Threads.  "any" = called from any thread, also several at once.  No slot may be called back into
 * while the plugin calls the host, except publish, settle, dead_letter and release: so a plugin
 * calls the host with none of its own locks held.  Memory, time and format_id call nothing back, and
 * may be asked for under locks.  Threads of a plugin block all signals.
 *
 * Errors.  Slots return 0 or a negative FERRY_E_*; where there is an `err` they write one sentence
 * that names the thing and what to do.  Secrets never appear in it.
 */
#ifndef FERRY_TRANSPORT_H
#define FERRY_TRANSPORT_H

#include <ferry/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FERRY_ABI_MAJOR 1
#define FERRY_ABI_MINOR 0

/* ---- capabilities: what is not declared is refused by the core, never emulated in silence ---- */

#define FERRY_CAP_DURABLE         (UINT64_C(1) << 0)  /* confirmed messages survive every process */
#define FERRY_CAP_NACK_DELAY      (UINT64_C(1) << 1)  /* NACK with a delay: the backend keeps the retry */
#define FERRY_CAP_ATTEMPT_DURABLE (UINT64_C(1) << 2)  /* the backend counts attempts by itself */
#define FERRY_CAP_HOLD_DURABLE    (UINT64_C(1) << 3)  /* HOLD persists attempt and due time */
#define FERRY_CAP_EXTEND          (UINT64_C(1) << 4)  /* a delivery stays ours while its handler may run */
#define FERRY_CAP_ATOMIC_DLQ      (UINT64_C(1) << 5)  /* dead_letter moves a message in one step */
#define FERRY_CAP_HANDBACK_EXACT  (UINT64_C(1) << 6)  /* a handed-back delivery is not counted by the backend */
#define FERRY_CAP_KEY_ORDER_GROUP (UINT64_C(1) << 7)  /* messages of a key go to one process at a time, in order */
#define FERRY_CAP_RETAIN          (UINT64_C(1) << 8)  /* settled records can be read again: start=earliest */
#define FERRY_CAP_DEDUP           (UINT64_C(1) << 9)  /* the backend drops a second record with the same id */
#define FERRY_CAP_PUB_COPIES      (UINT64_C(1) << 10) /* publish copies: the record may go when it returns */
#define FERRY_CAP_PUB_IMMEDIATE   (UINT64_C(1) << 11) /* publish sets every result before it returns */
#define FERRY_CAP_TLS             (UINT64_C(1) << 12) /* encrypted connections */

enum ferry_thread_model {
	/* Workers call fetch for the subscription that they serve; the plugin says `ready` and needs no
	 * thread of its own.  Needs `arm`. */
	FERRY_FETCH_FROM_WORKERS = 1,
	/* One core thread per source calls fetch and waits in it.  Needs `credit` and `wakeup`. */
	FERRY_PUMP = 2,
};

/* ---- records ---- */

/* Bytes that somebody else owns; not NUL-terminated unless said.  data may be NULL only with size 0. */
struct ferry_view {
	const void *data;
	size_t size;
};

/*
 * A message without its wire form.  Text views are NUL-terminated behind their size in what the core
 * gives, and must be in what a plugin gives (topic, id, source, content_type, trace_id, traceparent,
 * tracestate and the attributes' strings).
 */
struct ferry_record {
	size_t size;
	struct ferry_view topic;
	struct ferry_view payload;
	struct ferry_view key;          /* data NULL = no key */
	struct ferry_view id;           /* size 0 = take id_bits: host->format_id makes the text */
	struct ferry_view source;       /* the publishing service */
	struct ferry_view content_type;
	struct ferry_view trace_id;     /* set when traceparent cannot carry it */
	struct ferry_view traceparent;  /* W3C Trace Context */
	struct ferry_view tracestate;
	uint64_t id_bits[2];            /* meaningful when id.size is 0 */
	int64_t wall_us;                /* when it was published, since 1970 UTC */
	const struct ferry_attribute *attributes; /* also the core's own ferry-* ones; `count` of them */
	size_t attribute_count;
};

#define FERRY_ID_TEXT_SIZE 27 /* 26 characters and the NUL */

/* ---- publishing ---- */

struct ferry_connection;   /* the plugin's: one per bus */
struct ferry_destination;  /* the plugin's: a topic resolved for publishing */

/*
 * One message on its way out.  Owned by the core.  It stays valid until the plugin has reported its
 * result; the record's views too, unless the plugin has PUB_COPIES, then only until publish returns.
 */
struct ferry_outgoing {
	size_t size;
	struct ferry_destination *destination;
	struct ferry_record record;
	struct ferry_view dedup_id; /* for DEDUP: never the bare id of a dead letter or a replay; size 0 = the id */
	int64_t deadline_us;        /* report a result by then */
	int32_t result;             /* out: 0, FERRY_E_REJECTED (or another error: certainly not stored), FERRY_E_UNKNOWN */
	int32_t native_code;        /* out: the client library's number, or 0 */
	const char *reason;         /* out: a sentence for a result that is not 0; lives until published() or
	                             * the publish call returns; NULL = the code's general text */
	uint64_t plugin[2];         /* the plugin's own words */
};

/* ---- consuming ---- */

struct ferry_source;       /* the plugin's: one per (group, distribution): one client, one reader */
struct ferry_subscription; /* the plugin's: a topic of a source (or one broadcast handler's topic) */

struct ferry_source_spec {
	size_t size;
	void *core;            /* give it back in host calls about this source */
	const char *group;     /* for broadcast: the service */
	int32_t distribution;  /* 1 competing, 2 broadcast (enum ferry_distribution) */
	int32_t takeover_ms;   /* a dead process's deliveries move to others after this */
	int64_t memory_budget; /* bytes that the plugin may hold for this source */
};

struct ferry_subscription_spec {
	size_t size;
	void *core;              /* put it into every delivery of this subscription, and into ready and wake_at */
	const char *topic;
	const char *handler;     /* broadcast: the handler's name, unique for the topic; competing: "" */
	const char *durable;     /* broadcast: stable name, resume where it stopped; NULL = only new messages */
	int32_t start;           /* 1 new, 2 earliest (enum ferry_start_at) */
	int32_t order;           /* enum ferry_order */
	int32_t max_unsettled;   /* stop delivering new ones at so many unsettled, waiting retries included */
	int32_t crash_attempts;  /* for a backend without a delivery count: quarantine after so many deaths */
	int64_t initial_backoff_us, max_backoff_us; /* for a backend that derives a due time by itself */
};

/*
 * One message on its way in.  The struct is the core's, all zero but for the two sizes: fetch fills it in,
 * looking at `size` before it writes a field that was appended later.  Views live until the delivery is
 * released.  The core may settle and release by a copy of the struct: what tells deliveries apart is `plugin`.
 */
struct ferry_delivery {
	size_t size;
	struct ferry_record record;
	void *subscription;      /* the spec's `core` */
	uint32_t attempt;        /* which attempt this will be, from 1, as far as the backend knows */
	uint32_t deliveries;     /* how often the backend has handed it out, this time included; 0 = not counted.
				  * PUMP only: the crash guard needs a thread that does nothing else */
	uint32_t partition;      /* for order=partition */
	uint32_t reserved;
	int64_t first_failed_wall_us; /* 0 = unknown */
	int64_t due_us;          /* a held retry that was taken over: not before this; 0 = now */
	uint64_t plugin[4];      /* the plugin's own words: where it stands, its generation, its buffer */
};

enum ferry_settle_verb {
	/* final verbs: they end the delivery; exactly one per delivery */
	FERRY_SETTLE_ACK = 1,      /* done */
	FERRY_SETTLE_NACK = 2,     /* deliver again after delay_us as attempt + 1; needs NACK_DELAY */
	FERRY_SETTLE_REJECT = 3,   /* done, badly: dead-lettered already, or dropped */
	FERRY_SETTLE_HANDBACK = 4, /* not begun: deliver again to anybody, not counted as an attempt */
	/* not final */
	FERRY_SETTLE_HOLD = 5,     /* failed; this process runs it again as `attempt` after delay_us.  Every
	                            * plugin takes it; HOLD_DURABLE persists it */
	FERRY_SETTLE_EXTEND = 6,   /* still at work: renew the lease */
};

#define FERRY_SETTLE_KEEP (1u << 0) /* with a final verb: the views stay until `release` */

struct ferry_settle {
	struct ferry_delivery *delivery;
	int32_t verb;
	uint32_t flags;
	uint32_t attempt;  /* HOLD: the attempt to come */
	int32_t result;    /* out: 0, or FERRY_E_STALE: revoked or taken over, nothing was done */
	int64_t delay_us;  /* NACK, HOLD */
};

/* What source_stop leaves. */
struct ferry_source_rest {
	size_t size;
	uint64_t dropped; /* messages of a transport that is not durable: still queued or waiting for a retry */
	/* The same per subscription: called back once for each that has any. */
	void (*each)(void *ctx, void *subscription_core, uint64_t dropped);
	void *ctx;
};

/* ---- settings ---- */

enum ferry_option_type {
	FERRY_OPTION_TEXT = 1,
	FERRY_OPTION_SECRET = 2,   /* text that is never shown */
	FERRY_OPTION_INTEGER = 3,  /* a number, or one of `choices`' words */
	FERRY_OPTION_SIZE = 4,     /* bytes; "64KiB", "16MiB", "1GiB", "1TiB", "1000" */
	FERRY_OPTION_DURATION = 5, /* milliseconds; "500ms", "10s", "5m", "2h", "7d"; a bare number is refused, but 0 */
	FERRY_OPTION_SWITCH = 6,   /* on, off */
	FERRY_OPTION_CHOICE = 7,   /* one of `choices` */
	FERRY_OPTION_PREFIX = 8,   /* every key that begins with `name` passes through as it is */
};

/* One setting of a transport: feeds parsing, `ferry transports NAME` and the README's table. */
struct ferry_option {
	const char *name;          /* [a-z0-9_]+, a prefix ends with '.'; a table ends with a NULL name */
	int32_t type;              /* enum ferry_option_type */
	int32_t reserved;
	const char *default_value; /* in the notation of the URL; NULL = unset */
	int64_t min, max;          /* of a number, in base units; both 0 = any; max INT64_MAX = no upper bound */
	const char *choices;       /* "a|b|c" */
	const char *help;          /* one sentence */
};

struct ferry_setting {
	int64_t number;   /* INTEGER, SIZE, DURATION (ms), SWITCH (0 or 1), CHOICE (index, from 0) */
	const char *text; /* TEXT, SECRET, CHOICE; NULL = unset */
	int32_t is_set;   /* 1 = given, 0 = the default */
	int32_t reserved;
};

/* What the application asked for; lives as long as the connection. */
struct ferry_config {
	size_t size;
	const char *url;      /* without secrets: for errors and logs */
	const char *scheme;   /* "redis", "rediss", ... */
	const char *hosts;    /* "a:9092,b:9092", "" without */
	const char *user;     /* "" without */
	const char *password; /* "" without */
	const char *path;     /* what follows the hosts, or the whole rest: "/0", "/tmp/x.db", "" */
	const struct ferry_setting *settings; /* one per entry of the plugin's table, in its order */
	const struct ferry_attribute *extra;  /* keys of PREFIX options; ends with a NULL name */
	const char *service;
	const char *instance; /* unique per bus: host, process and random */
	int64_t memory_budget;
	int64_t max_message;
	int32_t takeover_ms;
	int32_t publish_timeout_ms;
	int32_t provision;    /* 1 auto: create what is missing; 2 check: refuse, naming it; 3 off */
	int32_t envelope;     /* 1 cloudevents, 2 compact */
	int32_t on_unknown;   /* 1 resend the same id until the deadline, 2 report */
	int32_t manual_clock; /* 1: time stands still until the application advances it */
};

/* ---- what the core offers: any thread, never blocks; about locks see Threads above ---- */

enum ferry_event {
	FERRY_EVENT_UP = 1,    /* connected (again) */
	FERRY_EVENT_DOWN = 2,  /* lost the backend; the plugin reconnects by itself */
	FERRY_EVENT_FATAL = 3, /* it will not work again: refused login, deleted object */
	FERRY_EVENT_NOTICE = 4 /* something an operator wants to know; the work goes on */
};

struct ferry_host {
	size_t size;
	uint32_t abi_major, abi_minor;
	const char *version; /* of the core */

	/* `core` is what create was given. */
	void (*log)(void *core, int level, const char *text);
	int64_t (*now_us)(void *core);  /* monotonic, or manual */
	int64_t (*wall_us)(void *core); /* since 1970 UTC; moves with a manual clock */
	void *(*alloc)(void *core, size_t bytes);
	void *(*resize)(void *core, void *memory, size_t bytes);
	void (*free)(void *core, void *memory);
	/* Write an id's 26 characters and a NUL. */
	void (*format_id)(const uint64_t id_bits[2], char text[FERRY_ID_TEXT_SIZE]);

	/* Results of messages whose publish did not return one: exactly once each. */
	void (*published)(void *core, struct ferry_outgoing *const *outs, size_t count);
	/* There is room again after a publish that took less than it was given. */
	void (*writable)(void *core);
	/* FETCH_FROM_WORKERS: an armed subscription has something to fetch. */
	void (*ready)(void *core, void *subscription_core);
	/* FETCH_FROM_WORKERS: call `ready` at this time; an earlier one per subscription wins. */
	void (*wake_at)(void *core, void *subscription_core, int64_t due_us);
	/* Retained records of a topic that were dropped to make room: for the `evicted` counter. */
	void (*evicted)(void *core, const char *topic, uint64_t count);
	void (*event)(void *core, int event, const struct ferry_error *why);
};

/* ---- conformance support ---- */

/* A record as it stands in the backend, without ferry's reading of it. */
struct ferry_raw {
	size_t size;
	struct ferry_view key;     /* the backend's own key, data NULL = none */
	struct ferry_view payload;
	const struct ferry_attribute *fields; /* headers or fields, as they are */
	size_t field_count;
};
typedef void ferry_raw_fn(const struct ferry_raw *raw, void *ctx);

/* ---- the transport ---- */

struct ferry_transport {
	size_t size;
	uint32_t abi_major, abi_minor;
	const char *name;    /* [a-z0-9-]+ */
	const char *version;
	const char *summary; /* one line */
	const char *schemes; /* URL schemes, separated by spaces */
	uint64_t capabilities;
	int32_t thread_model;
	int32_t reserved;
	const struct ferry_option *options; /* NULL = none */

	/* [required] Make a connection object; no input or output yet.  `host`, `core` and `config` outlive it. */
	int (*create)(const struct ferry_host *host, void *core, const struct ferry_config *config,
	              struct ferry_connection **ret, struct ferry_error *err);
	/* [required] Connect.  FERRY_E_UNREACHABLE is tried again by the core; FERRY_E_DENIED, _CONFIG and
	 * _NOT_FOUND fail the start.  May block until `deadline_us`.  Never called at the same time twice. */
	int (*start)(struct ferry_connection *connection, int64_t deadline_us, struct ferry_error *err);
	/* [required] Report the result of every message still out (FERRY_E_UNKNOWN if need be) and disconnect.
	 * Sources are stopped before.  FERRY_E_TIMEDOUT = threads are still at work: destroy must not follow. */
	int (*stop)(struct ferry_connection *connection, int64_t deadline_us);
	/* [required] Free it.  Sources are closed before.  Called without stop when start never succeeded. */
	void (*destroy)(struct ferry_connection *connection);

	/* [required] Resolve a topic for publishing; lives until destroy; the same topic may be asked for
	 * again.  Under provision=auto the topic is made if missing.  Any thread, after start; may block
	 * until deadline_us. */
	int (*destination)(struct ferry_connection *connection, const char *topic, int64_t deadline_us,
	                   struct ferry_destination **ret, struct ferry_error *err);
	/* [required] Take as many of the messages as there is room for, in order, and return the number: less
	 * than `count` means full, and host->writable follows when there is room.  Any thread, never blocks.
	 * With PUB_IMMEDIATE every taken message's result is set on return and `published` is not called;
	 * else `published` reports each exactly once, from another thread or before publish returns. */
	size_t (*publish)(struct ferry_connection *connection, struct ferry_outgoing *const *outs, size_t count);
	/* Wait until everything published before has its result and every settle made before is stored as
	 * durably as it will be.  Any thread. */
	int (*flush)(struct ferry_connection *connection, int64_t deadline_us);

	/* [required] A source; no delivery before source_start. */
	int (*source_open)(struct ferry_connection *connection, const struct ferry_source_spec *spec,
	                   struct ferry_source **ret, struct ferry_error *err);
	/* [required] Add a topic to a source that is not started; lives until source_close. */
	int (*subscribe)(struct ferry_source *source, const struct ferry_subscription_spec *spec,
	                 struct ferry_subscription **ret, struct ferry_error *err);
	/* [required] Make sure that the group exists: when this has returned 0, every message whose publish
	 * call begins later reaches the source.  May be called again after a retriable failure. */
	int (*source_start)(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err);
	/* [required] Stop delivering, flush settles, leave the group, delete what is temporary; `rest` says
	 * what a transport that is not durable loses.  No fetch runs or follows.  FERRY_E_TIMEDOUT as in stop. */
	int (*source_stop)(struct ferry_source *source, int64_t deadline_us, struct ferry_source_rest *rest);
	/* [required] Free it and its subscriptions.  All deliveries are released before. */
	void (*source_close)(struct ferry_source *source);

	/* [required] Fill in up to `max` deliveries and return how many, or a negative error.
	 * PUMP: the source's one pump thread; `only` is NULL; waits up to timeout_ms for the first; gives no
	 * subscription more than its credit.  FETCH_FROM_WORKERS: any worker; only this subscription's
	 * messages; does not wait. */
	int (*fetch)(struct ferry_source *source, struct ferry_subscription *only,
	             struct ferry_delivery *const *deliveries, size_t max, int timeout_ms);
	/* PUMP: how many more deliveries of this subscription the core takes; replaces the value before.
	 * Counted down by the plugin at each delivery.  Pump thread.  A subscription begins with 0. */
	void (*credit)(struct ferry_subscription *subscription, uint32_t count);
	/* PUMP: make a waiting fetch return.  Any thread. */
	void (*wakeup)(struct ferry_source *source);
	/* FETCH_FROM_WORKERS: ask for one host->ready when there is something to fetch.  Returns 1 when there
	 * is something now (nothing is armed then), else 0.  Any worker. */
	int (*arm)(struct ferry_subscription *subscription);

	/* [required] Verdicts.  Any thread, never blocks; also inside host->published.  Sets each result.
	 * A final verb releases the delivery, STALE or not, unless FERRY_SETTLE_KEEP is set: then `release`
	 * does.  HOLD and EXTEND release nothing: after a STALE one a final verb follows. */
	void (*settle)(struct ferry_source *source, struct ferry_settle *settles, size_t count);
	/* [required] Give up the views of deliveries that were settled with FERRY_SETTLE_KEEP.  Any thread. */
	void (*release)(struct ferry_source *source, struct ferry_delivery *const *deliveries, size_t count);
	/* ATOMIC_DLQ: store `dead` and settle `delivery` in one step.  The result comes as a publish's does;
	 * FERRY_E_STALE = the delivery was no longer ours and nothing was done.  When it is 0 or STALE the
	 * delivery has ended but is kept, as by FERRY_SETTLE_KEEP, until `release`. */
	void (*dead_letter)(struct ferry_source *source, struct ferry_delivery *delivery, struct ferry_outgoing *dead);
	/* 0 when the delivery has been revoked or taken over: the core then does not call the handler.
	 * NULL = deliveries are never revoked.  Any thread, cheap. */
	int (*alive)(struct ferry_source *source, const struct ferry_delivery *delivery);
	/* Where the record stands, as text ("3/1042"); like snprintf.  Any thread. */
	size_t (*position)(struct ferry_source *source, const struct ferry_delivery *delivery, char *buffer, size_t size);
	/* PUMP: how often EXTEND must come for each open delivery, in ms; NULL or 0 = there is no lease. */
	int64_t (*lease_ms)(struct ferry_source *source);

	/* Support for conformance tests; NULL = those cases are skipped.  Any thread, may block. */
	/* Store a record exactly as given. */
	int (*raw_put)(struct ferry_connection *connection, const char *topic, const struct ferry_raw *raw,
	               struct ferry_error *err);
	/* Call `each` with the topic's index-th stored record, from the oldest; FERRY_E_NOT_FOUND past the end. */
	int (*raw_get)(struct ferry_connection *connection, const char *topic, uint64_t index, ferry_raw_fn *each,
	               void *ctx, struct ferry_error *err);
	/* How many objects the backend keeps for consumers (groups, cursors, consumers, leases) whose name or
	 * owner contains `needle`; negative = error. */
	int64_t (*objects)(struct ferry_connection *connection, const char *needle);
};

/*
 * The one exported symbol.  Called once per process; returns a struct that lives for ever, or NULL to
 * refuse.  `host` lives for ever.
 */
#define FERRY_TRANSPORT_ENTRY "ferry_transport_entry"
typedef const struct ferry_transport *ferry_transport_entry_fn(const struct ferry_host *host);
FERRY_API const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host);

#ifdef __cplusplus
}
#endif

#endif
