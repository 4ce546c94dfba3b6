/* cases_manual.c - acks that the program sends when it likes: case 29. */
#include <inttypes.h>
#include <string.h>

#include "support.h"

#define TIMEOUT_MS 1500

/* What each message is there for, by its n. */
enum {
	LATER,    /* acked by the case's thread, later */
	NEITHER,  /* the first attempt neither keeps nor settles it */
	NEVER,    /* no attempt does */
	NEGATIVE, /* kept, but the handler returns an error */
	NACKED,   /* the case's thread asks for another attempt */
	REJECTED, /* the case's thread rejects it */
	INSIDE,   /* acked by its handler */
	MESSAGES,
	FORGOTTEN = MESSAGES, /* kept and not settled until the deadline; on the other topic */
};

struct manual {
	struct conformance *c;
	struct keeper *keeper;
};

static void settled(struct conformance *c, int code, int expected, const char *what)
{
	CHECK(c, code == expected, "%s returned %s instead of %s", what, code ? ferry_error_name(code) : "0",
	      expected ? ferry_error_name(expected) : "0");
}

static int ack_inside(struct conformance *c, struct ferry_message *m)
{
	settled(c, ferry_message_ack(m), 0, "an ack inside the handler");
	settled(c, ferry_message_ack(m), FERRY_E_STALE, "a second ack inside the handler");
	return 0;
}

static int decide(struct ferry_message *m, void *ctx)
{
	struct manual *manual = ctx;
	int64_t n = conformance_number(m);
	bool first = ferry_message_attempt(m) == 1;

	if (n == NEVER || (n == NEITHER && first))
		return 0;
	if (n == INSIDE || n == NEITHER)
		return ack_inside(manual->c, m);
	keeper_verdict(m, manual->keeper);
	return n == NEGATIVE && first ? FERRY_E_RETRY : 0;
}

static int settle_with_auto(struct ferry_message *m, void *ctx)
{
	struct conformance *c = ctx;

	settled(c, ferry_message_ack(m), FERRY_E_STATE, "ack of a handler with ack=auto");
	settled(c, ferry_message_nack(m, 0), FERRY_E_STATE, "nack of a handler with ack=auto");
	settled(c, ferry_message_reject(m), FERRY_E_STATE, "reject of a handler with ack=auto");
	return 0;
}

/* Every settle but the first comes too late, and the message stays readable. */
static void expect_stale(struct conformance *c, struct ferry_message *m, int64_t n, uint32_t attempt,
			 const char *what)
{
	settled(c, ferry_message_ack(m), FERRY_E_STALE, conformance_text(c, "ack %s", what));
	settled(c, ferry_message_nack(m, 0), FERRY_E_STALE, conformance_text(c, "nack %s", what));
	settled(c, ferry_message_reject(m), FERRY_E_STALE, conformance_text(c, "reject %s", what));
	CHECK(c, ferry_message_attempt(m) == attempt,
	      "a message that is kept %s says that it is attempt %" PRIu32 " instead of %" PRIu32, what,
	      ferry_message_attempt(m), attempt);
	CHECK(c, conformance_number(m) == n,
	      "a message that is kept %s reads %" PRId64 " instead of %" PRId64, what, conformance_number(m),
	      n);
	ferry_message_unref(m);
}

static void ack(struct conformance *c, struct keeper *keeper, int64_t n, uint32_t attempt)
{
	struct ferry_message *m = keeper_take(keeper, n);

	CHECK(c, ferry_message_attempt(m) == attempt,
	      "message %" PRId64 " came as attempt %" PRIu32 " instead of %" PRIu32, n,
	      ferry_message_attempt(m), attempt);
	settled(c, ferry_message_ack(m), 0, conformance_text(c, "ack of message %" PRId64, n));
	expect_stale(c, m, n, attempt, "after the ack");
}

/* Nobody settles it: its time runs out, and it comes again. */
static void check_deadline(struct conformance *c, struct ferry_bus *bus, struct keeper *keeper,
			   struct recorder *seen)
{
	struct ferry_message *m = keeper_take(keeper, FORGOTTEN);
	struct recorded first, second;
	int64_t took_us;

	CHECK(c, recorder_wait(seen, 2, WAIT_MS), "a message that was never settled does not come again");
	CHECK(c,
	      recorder_find(seen, FORGOTTEN, 0, &first) && recorder_find(seen, FORGOTTEN, 1, &second) &&
		      second.attempt == 2,
	      "after the deadline a second attempt should come");
	took_us = second.at_us - first.at_us;
	CHECK(c, took_us >= (TIMEOUT_MS - 10) * 1000 && took_us <= (TIMEOUT_MS + 500) * 1000,
	      "a message with a timeout of %d ms came again after %" PRId64 " ms", TIMEOUT_MS,
	      took_us / 1000);
	expect_stale(c, m, FORGOTTEN, 1, "after the deadline");
	ack(c, keeper, FORGOTTEN, 2);
	CHECK(c, conformance_stats(c, bus, NULL).timeouts == 1,
	      "one call ran out of time, counted are %" PRIu64, conformance_stats(c, bus, NULL).timeouts);
}

static void check_nack(struct conformance *c, struct keeper *keeper, struct recorder *seen)
{
	struct ferry_message *m = keeper_take(keeper, NACKED);
	int64_t from_us = conformance_now_us(c);
	struct recorded second;

	settled(c, ferry_message_nack(m, 500), 0, "nack");
	expect_stale(c, m, NACKED, 1, "after the nack");
	ack(c, keeper, NACKED, 2);
	CHECK(c, recorder_find(seen, NACKED, 1, &second), "the nacked message did not come again");
	support_check_delay(c, "the nacked message", from_us, second.at_us, 500);
}

static void check_dead(struct conformance *c, struct dead_letters *dead)
{
	const struct dead_letter *letter;

	CHECK(c, recorder_wait(dead->recorder, 2, WAIT_MS), "two messages should be dead-lettered, %zu are",
	      recorder_count(dead->recorder));
	letter = dead_letters_find(dead, NEVER);
	dead_letter_expect(c, letter, "ferry-dlq-reason", "error");
	dead_letter_expect(c, letter, "ferry-dlq-attempts", "3");
	CHECK(c,
	      strstr(dead_letter_attribute(letter, "ferry-dlq-error"), ferry_error_text(FERRY_E_MISSING_ACK)),
	      "the dead letter of a message that was never acked says \"%s\"",
	      dead_letter_attribute(letter, "ferry-dlq-error"));
	dead_letter_expect(c, dead_letters_find(dead, REJECTED), "ferry-dlq-reason", "rejected");
	dead_letter_expect(c, dead_letters_find(dead, REJECTED), "ferry-dlq-attempts", "1");
}

/* How often each message must be called. */
static void check_calls(struct conformance *c, struct recorder *seen)
{
	static const size_t calls[MESSAGES] = {[LATER] = 1,  [NEITHER] = 2,  [NEVER] = 3, [NEGATIVE] = 2,
					       [NACKED] = 2, [REJECTED] = 1, [INSIDE] = 1};

	CHECK(c, recorder_quiet(seen, 1000), "a message came again after it was settled");
	for (int64_t n = 0; n < MESSAGES; n++)
		CHECK(c, recorder_count_n(seen, n) == calls[n],
		      "message %" PRId64 " was called %zu times instead of %zu", n, recorder_count_n(seen, n),
		      calls[n]);
}

void conformance_case_29(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c), *late = conformance_recorder(c);
	struct manual manual = {.c = c, .keeper = keeper_new(c)};
	struct record_handler deciding = {.recorder = seen, .verdict = decide, .ctx = &manual};
	struct record_handler keeping = {.recorder = late, .verdict = keeper_verdict, .ctx = manual.keeper};
	const char *topic = conformance_name(c, "orders"), *hurried = conformance_name(c, "hurried");
	const char *automatic = conformance_name(c, "automatic");
	struct dead_letters *dead;
	struct ferry_message *m;
	struct ferry_bus *bus;

	conformance_manual_clock(c);
	bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(c, bus, topic, conformance_record, &deciding,
			      FERRY_OPTIONS(ferry_handler_options, .ack = FERRY_ACK_MANUAL, .max_retries = 2,
					    .initial_backoff_ms = 200));
	conformance_subscribe(c, bus, hurried, conformance_record, &keeping,
			      FERRY_OPTIONS(ferry_handler_options, .ack = FERRY_ACK_MANUAL,
					    .timeout_ms = TIMEOUT_MS, .initial_backoff_ms = FERRY_NONE));
	conformance_subscribe(c, bus, automatic, settle_with_auto, c, NULL);
	dead = dead_letters_read(c, bus, dead_letters_topic(c, SERVICE(c), topic));
	conformance_start(c, bus);

	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, MESSAGES, NULL);
	CHECK(c, recorder_wait_now(seen, MESSAGES, WAIT_MS), "%zu of %d messages came", recorder_count(seen),
	      MESSAGES);
	ack(c, manual.keeper, LATER, 1);
	check_nack(c, manual.keeper, seen);
	expect_stale(c, keeper_take(manual.keeper, NEGATIVE), NEGATIVE, 1, "after the handler's error");
	ack(c, manual.keeper, NEGATIVE, 2);
	m = keeper_take(manual.keeper, REJECTED);
	settled(c, ferry_message_reject(m), 0, "reject");
	expect_stale(c, m, REJECTED, 1, "after the reject");
	check_dead(c, dead);
	check_calls(c, seen);

	conformance_publish(c, conformance_publisher(c, bus, automatic), 0, NULL);
	conformance_publish(c, conformance_publisher(c, bus, hurried), FORGOTTEN, NULL);
	check_deadline(c, bus, manual.keeper, late);
	conformance_drained(c, bus, SERVICE(c), MESSAGES + 2);
	CHECK(c, conformance_stats(c, bus, SERVICE(c)).handled == MESSAGES,
	      "%d messages were acked, counted are %" PRIu64, MESSAGES,
	      conformance_stats(c, bus, SERVICE(c)).handled);
	conformance_close_all(c);
}
