/*
 * fixture.h - what a case works with: checks, names, buses, publishing and time.
 *
 *     void conformance_case_24(struct conformance *c)
 *     {
 *         struct ferry_bus *bus = conformance_open(c, NULL, NULL);
 *         struct recorder *seen = conformance_recorder(c);
 *         struct record_handler handler = {.recorder = seen};
 *
 *         conformance_subscribe(c, bus, conformance_name(c, "orders"), conformance_record, &handler, NULL);
 *         conformance_start(c, bus);
 *         conformance_publish_many(c, conformance_publisher(c, bus, conformance_name(c, "orders")), 0, 10,
 * NULL); CHECK(c, recorder_wait(seen, 10, WAIT_MS), "10 messages were published, %zu arrived",
 *               recorder_count(seen));
 *         conformance_each_once(c, seen, 0, 10);
 *     }
 *
 * Whatever is open when the case returns is checked (the sum of stats.h), stopped and freed by the frame.
 * A check that fails ends the process at once with its sentence; it may be made on any thread.
 */
#ifndef FERRY_CONFORMANCE_FIXTURE_H
#define FERRY_CONFORMANCE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/ferry.h>

struct conformance; /* one case, or one role, in its own process */

#if defined(__GNUC__)
#define CONFORMANCE_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CONFORMANCE_PRINTF(text, first)
#endif

/* The usual deadline of a wait for something that must happen; use conformance_limit_ms for others. */
#define WAIT_MS conformance_limit_ms(20000)

/* A limit for this build: sanitizers make everything slower. */
int64_t conformance_limit_ms(int64_t ms);

/* ---- checks: any thread ---- */

/* Fail the case with a sentence.  Kills the case's processes and ends this one. */
_Noreturn void conformance_fail(struct conformance *c, const char *format, ...) CONFORMANCE_PRINTF(2, 3);
#define CHECK(c, condition, ...)                          \
	do {                                              \
		if (!(condition))                         \
			conformance_fail(c, __VA_ARGS__); \
	} while (0)
/* Fail unless `code` is 0: "WHAT: FERRY_E_X: err's text". */
void conformance_ok(struct conformance *c, int code, const struct ferry_error *err, const char *what);
/* Fail unless `code` is `expected`, and, where `naming` is not NULL, err's text contains it. */
void conformance_refused(struct conformance *c, int code, int expected, const struct ferry_error *err,
			 const char *naming, const char *what);
/* End the case as skipped, `why` is the name of what is absent.  The case's own thread only. */
_Noreturn void conformance_skip(struct conformance *c, const char *why);

/* Equal as strings; NULL is as good as "". */
bool conformance_same(const char *left, const char *right);

/* ---- what runs ---- */

const char *conformance_url(const struct conformance *c);
const char *conformance_transport_path(const struct conformance *c); /* NULL: by the URL's scheme */
const char *conformance_program(const struct conformance *c);
/* 1 when the transport has all of these FERRY_CAP_* bits. */
bool conformance_can(const struct conformance *c, uint64_t capabilities);
/* True when the transport has a setting of this name, for a query. */
bool conformance_has_option(struct conformance *c, const char *name);
/* Run `<control> verb` (start, stop, kill, cut, heal) and fail the case when that fails. */
void conformance_control(struct conformance *c, const char *verb);

/*
 * A name that no other case and no earlier run has used, good for a topic, a group and a service; the same
 * `base` gives the same name in the case and in all its processes.  Base: [a-z0-9-]{1,20}.  Lives as long
 * as the case.
 */
const char *conformance_name(struct conformance *c, const char *base);
/* A printf'ed string that lives as long as the case, for example "dlq.%s.%s". */
const char *conformance_text(struct conformance *c, const char *format, ...) CONFORMANCE_PRINTF(2, 3);
/* Memory that lives as long as the case, zeroed. */
void *conformance_alloc(struct conformance *c, size_t bytes);

/* ---- buses ---- */

/*
 * Open a bus.  `query` (may be NULL) is added to the URL, e.g. "queue=16"; in `options` (may be NULL) the
 * fields service (default: the name "service"), transport_path, log (standard error) and, after
 * conformance_manual_clock, clock are filled in.
 */
struct ferry_bus *conformance_open(struct conformance *c, const char *query,
				   const struct ferry_bus_options *options);
/* The URL that conformance_open uses with this query. */
const char *conformance_url_with(struct conformance *c, const char *query);
void conformance_subscribe(struct conformance *c, struct ferry_bus *bus, const char *topic,
			   ferry_handler_fn *handler, void *ctx, const struct ferry_handler_options *options);
/* Start and wait for READY. */
void conformance_start(struct conformance *c, struct ferry_bus *bus);
/* Stop gracefully; fails the case on an error.  `report` may be NULL. */
void conformance_stop(struct conformance *c, struct ferry_bus *bus, struct ferry_stop_report *report);
/* Check the accounting, close the bus's publishers, stop and close it. */
void conformance_close(struct conformance *c, struct ferry_bus *bus);
/* Close all that are open.  A case, or a role, that leaves one open fails: handlers may use its variables. */
void conformance_close_all(struct conformance *c);
/* Leave a bus to the case itself: the frame does not close or check it any more. */
void conformance_forget(struct conformance *c, struct ferry_bus *bus);

/* Fail unless received = the sum of its terms in every row of a snapshot. */
void conformance_accounts(struct conformance *c, struct ferry_bus *bus);
/* The sums over all rows of `group` (NULL: all). */
struct ferry_group_stats conformance_stats(struct conformance *c, struct ferry_bus *bus, const char *group);
/* Wait until nothing is in flight and every published message of `group` (NULL: all) is settled:
 * received - retried - in_flight reaches `settled`.  Fails the case after WAIT_MS. */
void conformance_drained(struct conformance *c, struct ferry_bus *bus, const char *group, uint64_t settled);

/* ---- publishing: message n has the payload "n" in decimal ---- */

/* A publisher that is closed with its bus. */
struct ferry_publisher *conformance_publisher(struct conformance *c, struct ferry_bus *bus,
					      const char *topic);
/* Publish message n and fail unless it is confirmed. */
void conformance_publish(struct conformance *c, struct ferry_publisher *publisher, int64_t n,
			 const struct ferry_publish_options *options);
/* Publish messages first .. first + count - 1 in batches and fail unless all are confirmed. */
void conformance_publish_many(struct conformance *c, struct ferry_publisher *publisher, int64_t first,
			      size_t count, const struct ferry_publish_options *options);
/* The n of a message, -1 when its payload is no number. */
int64_t conformance_number(const struct ferry_message *message);

/* ---- time ---- */

/*
 * Ask for the manual clock for all buses that are opened from now on.  Taken (true) only where the
 * transport lives in this process (not DURABLE); elsewhere the system clock stays, and the same case runs
 * in real time.  Call it first of all.
 */
bool conformance_manual_clock(struct conformance *c);
/* The case's clock: the monotonic one of the system (the same in all processes), or the manual one. */
int64_t conformance_now_us(const struct conformance *c);
/* Let time pass: advances every open bus, or sleeps. */
void conformance_pass(struct conformance *c, int64_t ms);
/*
 * Wait until `condition` is true, at most `timeout_ms`.  Returns false at the deadline.  With the manual
 * clock time is moved on in small steps whenever nothing happens; conformance_until_now never moves it
 * (and its timeout is real time).
 */
bool conformance_until(struct conformance *c, bool (*condition)(void *ctx), void *ctx, int64_t timeout_ms);
bool conformance_until_now(struct conformance *c, bool (*condition)(void *ctx), void *ctx,
			   int64_t timeout_ms);

#endif
