/*
 * bus.h - the object that an application opens: one transport, its handlers and publishers.
 *
 *     struct ferry_bus *bus = ferry_bus_open("memory:", NULL, &err);
 *     ferry_subscribe(bus, ...);
 *     ferry_bus_start(bus, 10000, &err);
 *     ...
 *     ferry_bus_stop(bus, 5000, &report, &err);
 *     ferry_bus_close(bus);
 *
 * Threads: handlers run on one pool per bus, or with threads=caller inside
 * ferry_bus_dispatch.  No signal handler is installed, and every thread of a bus has all
 * signals blocked.  After fork() the child may call nothing but the close and free functions,
 * which then do nothing; every other call that can fail returns FERRY_E_FORK.
 */
#ifndef FERRY_BUS_H
#define FERRY_BUS_H

#include <ferry/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_bus;

enum ferry_state {
	FERRY_STATE_OPEN = 1,       /* handlers may be registered */
	FERRY_STATE_CONNECTING = 2, /* started, and the backend is not ready yet: retried */
	FERRY_STATE_READY = 3,      /* groups exist; every message published from now on counts */
	FERRY_STATE_DISCONNECTED = 4, /* was ready and lost the backend: the transport reconnects */
	FERRY_STATE_FAILED = 5,     /* refused for good; ferry_bus_state gives the reason */
	FERRY_STATE_STOPPING = 6,
	FERRY_STATE_STOPPED = 7,
};

enum ferry_full { FERRY_FULL_BLOCK = 1, FERRY_FULL_REJECT = 2 };
enum ferry_clock { FERRY_CLOCK_SYSTEM = 1, FERRY_CLOCK_MANUAL = 2 };
enum ferry_provision { FERRY_PROVISION_AUTO = 1, FERRY_PROVISION_CHECK = 2, FERRY_PROVISION_OFF = 3 };
enum ferry_envelope { FERRY_ENVELOPE_CLOUDEVENTS = 1, FERRY_ENVELOPE_COMPACT = 2 };
enum ferry_on_unknown { FERRY_UNKNOWN_RESEND = 1, FERRY_UNKNOWN_REPORT = 2 };
enum ferry_log_level { FERRY_LOG_ERROR = 1, FERRY_LOG_WARNING = 2, FERRY_LOG_INFO = 3, FERRY_LOG_DEBUG = 4 };

#define FERRY_THREADS_CALLER (-2) /* .threads: handlers run inside ferry_bus_dispatch */

/* Why a message was dropped, or that a handler is stuck; strings live for the call. */
struct ferry_incident {
	size_t size;
	const char *topic;
	const char *group;
	const char *handler;
	const char *message_id; /* "" when it is not about one message */
	const char *reason;     /* error, timeout, decode, max_deliveries, rejected, stopped, stuck, ... */
	const char *text;       /* one sentence */
	uint64_t count;         /* messages concerned */
};

/*
 * Hooks: called on a thread of the bus, or on the one that starts, stops or advances it; they must not block
 * and must not call ferry_bus_stop or ferry_bus_close.  The state hook hears of the states in their order, of
 * CONNECTING when an attempt has failed for a new reason.
 */
typedef void ferry_log_fn(int level, const char *text, void *ctx);
typedef void ferry_incident_fn(struct ferry_bus *bus, const struct ferry_incident *incident, void *ctx);
typedef void ferry_state_fn(struct ferry_bus *bus, int state, const struct ferry_error *why, void *ctx);

/*
 * Zero in a field means its default, given in brackets.  A value given here wins over the
 * URL's query, that over the environment, that over the file `config`, that over the default:
 * docs/configuration.md tells how a setting is written in each.
 */
struct ferry_bus_options {
	size_t size;

	const char *service;        /* name of the program; the default group [durable: required; else "default"] */
	const char *transport_path; /* absolute path of a transport's .so, or of a folder of them */
	const struct ferry_allocator *allocator; /* copied [malloc] */
	ferry_log_fn *log;          /* [NULL: silence] */
	ferry_incident_fn *on_dropped;
	ferry_incident_fn *on_stuck;
	ferry_state_fn *on_state;
	void *hook_ctx;             /* given to the four hooks */

	int64_t memory_budget; /* bytes per source; on memory per bus [64 MiB] */
	int64_t max_message;   /* payload bytes [1 MiB] */

	int32_t publish_timeout_ms; /* [30000] */
	int32_t takeover_ms;        /* a dead consumer's messages move to others after this [30000] */
	int32_t threads;            /* most workers of the pool [12], or FERRY_THREADS_CALLER */
	int32_t full;               /* enum ferry_full [block] */
	int32_t clock;              /* enum ferry_clock [system] */
	int32_t provision;          /* enum ferry_provision [auto] */
	int32_t fail_fast;          /* FERRY_ON: an unreachable backend fails the start [off] */
	int32_t envelope;           /* enum ferry_envelope [cloudevents] */
	int32_t on_unknown;         /* enum ferry_on_unknown [resend] */
	int32_t reserved;           /* keep 0 */

	const char *config; /* absolute path of a JSON file of settings [the environment's FERRY_CONFIG] */
};

/*
 * Open a bus.  `url` names the transport, e.g. "memory:" or "redis://host:6379/0?prefix=app:";
 * NULL takes it from the environment's FERRY_URL, or from `config`.  The plugin is loaded and every setting is
 * checked; nothing is connected yet.  Returns NULL on failure.  [thread-safe]
 *
 * Errors: FERRY_E_CONFIG (names the key, what was expected and the nearest known key),
 * FERRY_E_NOT_FOUND (no such transport: says where it looked), FERRY_E_PLUGIN (why it was
 * refused), FERRY_E_INVALID, FERRY_E_NOMEM.
 */
FERRY_API struct ferry_bus *ferry_bus_open(const char *url, const struct ferry_bus_options *options,
                                           struct ferry_error *err);

/*
 * Connect, create what is missing (provision), and begin to deliver.  Waits until READY, at most
 * `timeout_ms` (0: 10 s).  A backend that cannot be reached is no error: after the wait the call
 * returns 0 in state CONNECTING, *err tells the reason, and the bus goes on trying; fail_fast makes
 * it FERRY_E_UNREACHABLE.  [thread-safe, once]
 *
 * Errors: FERRY_E_DENIED, FERRY_E_NOT_FOUND (missing under provision=check or off), FERRY_E_CONFIG,
 * FERRY_E_STATE, FERRY_E_NOMEM.
 */
FERRY_API int ferry_bus_start(struct ferry_bus *bus, int64_t timeout_ms, struct ferry_error *err);

/* enum ferry_state; *why (may be NULL) is set in CONNECTING, DISCONNECTED and FAILED. [thread-safe] */
FERRY_API int ferry_bus_state(const struct ferry_bus *bus, struct ferry_error *why);

/*
 * Wait for READY, at most `timeout_ms` (negative: without limit): 0, FERRY_E_TIMEDOUT, or the error of a
 * failed start.  [thread-safe]
 */
FERRY_API int ferry_bus_wait_ready(struct ferry_bus *bus, int64_t timeout_ms, struct ferry_error *err);

/* What ferry_bus_stop left behind; numbers of messages. */
struct ferry_stop_report {
	size_t size;
	uint64_t handled;     /* finished while stopping */
	uint64_t handed_back; /* returned to the backend: another process, or the next start, gets them */
	uint64_t pending;     /* still in a handler that did not return, or held by the program */
	uint64_t dropped;     /* gone: only a transport that is not durable */
	uint64_t unconfirmed; /* publishes that ended FERRY_E_UNKNOWN */
};

/*
 * Stop fetching, hand back what has not begun, wait for running handlers, flush.  Loses nothing:
 * what could not finish is delivered again elsewhere or after the next start.  A transport that is
 * not durable (memory) first handles what is queued, within three quarters of the time; what then
 * remains, waiting retries included, is counted `dropped`.  `report` may be NULL; set its `size`.
 * `timeout_ms` negative: without limit.  [thread-safe; from inside a handler or a completion:
 * FERRY_E_DEADLOCK]
 *
 * FERRY_E_TIMEDOUT: handlers still run at the deadline; call it again to go on waiting, or close,
 * which then leaks on purpose rather than pull memory from under them.
 */
FERRY_API int ferry_bus_stop(struct ferry_bus *bus, int64_t timeout_ms, struct ferry_stop_report *report,
                             struct ferry_error *err);

/* Free everything.  A running bus is stopped first with a deadline of 5 s.  NULL is allowed. */
FERRY_API void ferry_bus_close(struct ferry_bus *bus);

/* ---- threads=caller ---- */

/*
 * A file descriptor that is readable while ferry_bus_dispatch has work: put it into poll, epoll or
 * an event loop; never read or close it.  FERRY_E_STATE without threads=caller.  [thread-safe]
 */
FERRY_API int ferry_bus_fd(const struct ferry_bus *bus);

/*
 * Run handlers and completions on the calling thread: waits up to `timeout_ms` for the first (0: no
 * wait; negative: without limit), then runs what is ready.  Returns how many ran, or a negative error.
 * [one thread at a time]
 */
FERRY_API int ferry_bus_dispatch(struct ferry_bus *bus, int64_t timeout_ms);

/* ---- clock ---- */

/* The bus's monotonic clock in microseconds. [thread-safe] */
FERRY_API int64_t ferry_bus_now_us(const struct ferry_bus *bus);

/*
 * With clock=manual: move the clock forward and fire what is due (retries, timeouts, deadlines),
 * in order.  Handlers run afterwards, on their own threads.  FERRY_E_STATE with the system clock.
 */
FERRY_API int ferry_bus_advance(struct ferry_bus *bus, int64_t ms);

/* ---- what it talks to ---- */

/* The transport's name, e.g. "memory". */
FERRY_API const char *ferry_bus_transport(const struct ferry_bus *bus);
/* Its FERRY_CAP_* bits (transport.h). */
FERRY_API uint64_t ferry_bus_capabilities(const struct ferry_bus *bus);

#ifdef __cplusplus
}
#endif

#endif
