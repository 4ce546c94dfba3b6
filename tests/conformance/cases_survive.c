/*
 * cases_survive.c - what the backend knows after a consumer was killed: cases 30 to 32.
 *
 * A transport that commits its verdicts from time to time may forget those of its last second; one that sends
 * each may have some on the way.  Whatever is older must have survived.
 */
#include <inttypes.h>
#include <string.h>

#include "support.h"

static const struct ferry_bus_options *takeover(struct conformance *c)
{
	struct ferry_bus_options *options = conformance_alloc(c, sizeof *options);

	options->size = sizeof *options;
	options->takeover_ms = TAKEOVER_MS;
	return options;
}

/* Kill the process; returns the time up to which its verdicts must have been remembered. */
static int64_t kill_consumer(struct conformance *c, struct process *process)
{
	int64_t known_us = conformance_now_us(c) - support_commit_us(c);

	process_kill(process);
	return known_us;
}

/* ---- 30: acks out of order ---- */

struct sparing {
	struct conformance *c;
	struct recorder *acked;
};

/* Acks the odd ones and keeps the even ones; only a kill ends this process. */
static int ack_odd(struct ferry_message *m, void *ctx)
{
	struct sparing *sparing = ctx;
	int code;

	ferry_message_ref(m);
	if (conformance_number(m) % 2 == 0)
		return 0;
	/* Told before it is done: a kill between the two must not leave an ack that nobody knows of. */
	recorder_add_message(sparing->acked, m, 0);
	code = ferry_message_ack(m);
	CHECK(sparing->c, !code, "an ack is refused: %s", ferry_error_name(code));
	return 0;
}

static int run_sparing(struct conformance *c, int argc, char **argv)
{
	struct sparing sparing = {.c = c, .acked = conformance_recorder(c)};
	struct ferry_bus *bus = conformance_open(c, NULL, takeover(c));

	conformance_subscribe(
		c, bus, conformance_argument(argc, argv, "topic", ""), ack_odd, &sparing,
		FERRY_OPTIONS(ferry_handler_options, .ack = FERRY_ACK_MANUAL, .concurrency = 4));
	return conformance_serve(c, bus);
}

struct aftermath {
	struct recorder *acked, *returned;
	int64_t count;
};

/* Everything that was not acked has come back. */
static bool has_returned(void *ctx)
{
	const struct aftermath *after = ctx;

	for (int64_t n = 0; n < after->count; n++)
		if (!recorder_count_n(after->acked, n) && !recorder_count_n(after->returned, n))
			return false;
	return true;
}

static void check_returned(struct conformance *c, const struct aftermath *after, int64_t known_us)
{
	for (int64_t n = 0; n < after->count; n++) {
		size_t returned = recorder_count_n(after->returned, n);
		struct recorded ack;

		CHECK(c, returned <= 1, "message %" PRId64 " came %zu times to the next consumer", n,
		      returned);
		if (!returned || !recorder_find(after->acked, n, 0, &ack))
			continue;
		CHECK(c, ack.at_us > known_us,
		      "message %" PRId64 " was acked %.2f s before it had to be "
		      "remembered, and came again after the kill",
		      n, (double)(known_us - ack.at_us) / 1e6);
	}
}

void conformance_case_30(struct conformance *c)
{
	const char *topic = conformance_name(c, "orders");
	struct aftermath after = {
		.acked = conformance_recorder(c), .returned = conformance_recorder(c), .count = 400};
	struct record_handler handler = {.recorder = after.returned};
	struct process *process =
		conformance_spawn(c, after.acked, 1, "sparing", conformance_text(c, "topic=%s", topic), NULL);
	struct ferry_bus *bus = conformance_open(c, NULL, takeover(c));
	struct ferry_publisher *publisher;
	int64_t known_us;

	process_expect(process, "ready", WAIT_MS, NULL, 0);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	conformance_publish_many(c, publisher, 0, 200, NULL);
	CHECK(c, recorder_wait(after.acked, 100, WAIT_MS), "%zu of 100 messages were acked",
	      recorder_count(after.acked));
	conformance_pass(c,
			 1500); /* these acks must be known; of the next ones the last second may be lost */
	conformance_publish_many(c, publisher, 200, 200, NULL);
	CHECK(c, recorder_wait(after.acked, 150, WAIT_MS), "%zu of 150 messages were acked",
	      recorder_count(after.acked));
	known_us = kill_consumer(c, process);
	conformance_close(c, bus);

	bus = conformance_open(c, NULL, takeover(c));
	conformance_subscribe(c, bus, topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .concurrency = 4));
	conformance_start(c, bus);
	CHECK(c, conformance_until(c, has_returned, &after, WAIT_MS),
	      "of %" PRId64 " messages %zu were acked before the kill and only %zu came after it",
	      after.count, recorder_distinct(after.acked), recorder_distinct(after.returned));
	CHECK(c, recorder_quiet(after.returned, TAKEOVER_MS + 500), "more came than was published");
	check_returned(c, &after, known_us);
	conformance_close_all(c);
}

/* ---- 31 and 32: failed attempts ---- */

static int fail(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	return ferry_message_fail(m, FERRY_E_RETRY, "this process always fails");
}

/* Fails every message, until it is killed. */
static int run_failing(struct conformance *c, int argc, char **argv)
{
	struct record_handler handler = {.recorder = conformance_recorder(c), .verdict = fail};
	struct ferry_bus_options options = *takeover(c);
	int32_t backoff_ms = (int32_t)conformance_argument_number(argc, argv, "backoff_ms", 0);
	struct ferry_bus *bus;

	options.takeover_ms = (int32_t)conformance_argument_number(argc, argv, "takeover_ms", TAKEOVER_MS);
	bus = conformance_open(c, NULL, &options);
	conformance_subscribe(c, bus, conformance_argument(argc, argv, "topic", ""), conformance_record,
			      &handler,
			      FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = backoff_ms));
	return conformance_serve(c, bus);
}

const struct conformance_role conformance_roles_ack[] = {
	{"sparing", run_sparing}, {"failing", run_failing}, {NULL, NULL}};

/* How often the killed process had failed on message n by `until_us`. */
static uint32_t failures(struct recorder *failed, int64_t n, int64_t until_us)
{
	struct recorded call;
	uint32_t count = 0;

	while (recorder_find(failed, n, count, &call) && call.at_us <= until_us)
		count++;
	return count;
}

static void check_attempt(struct conformance *c, struct recorder *failed, struct recorder *next, int64_t n,
			  int64_t known_us)
{
	uint32_t known = failures(failed, n, known_us), all = failures(failed, n, INT64_MAX);
	struct recorded first;

	CHECK(c, recorder_find(next, n, 0, &first), "message %" PRId64 " did not come after the kill", n);
	CHECK(c, first.attempt > known,
	      "message %" PRId64 " had failed %" PRIu32 " times when that had to be "
	      "remembered, and came after the kill as attempt %" PRIu32,
	      n, known, first.attempt);
	CHECK(c, first.attempt <= all + 2,
	      "message %" PRId64 " had failed %" PRIu32 " times, and came after the "
	      "kill as attempt %" PRIu32,
	      n, all, first.attempt);
}

void conformance_case_31(struct conformance *c)
{
	const char *topic = conformance_name(c, "orders");
	struct recorder *failed = conformance_recorder(c), *next = conformance_recorder(c);
	struct record_handler handler = {.recorder = next};
	struct process *process = conformance_spawn(
		c, failed, 1, "failing", conformance_text(c, "topic=%s", topic), "backoff_ms=400", NULL);
	struct ferry_bus *bus = conformance_open(c, NULL, takeover(c));
	struct ferry_publisher *publisher;
	size_t count = 20;
	int64_t known_us;

	process_expect(process, "ready", WAIT_MS, NULL, 0);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	/* Three attempts, at 0, 0.4 and 1.2 s; these failures must be known when it is killed. */
	conformance_publish_many(c, publisher, 0, count / 2, NULL);
	CHECK(c, recorder_wait(failed, 3 * (count / 2), WAIT_MS), "%zu of %zu attempts were made",
	      recorder_count(failed), 3 * (count / 2));
	conformance_pass(c, support_commit_us(c) / 1000 + 100);
	/* And one attempt just before, which may be forgotten. */
	conformance_publish_many(c, publisher, (int64_t)count / 2, count / 2, NULL);
	CHECK(c, recorder_wait_distinct(failed, count, WAIT_MS), "%zu of %zu messages came",
	      recorder_distinct(failed), count);
	known_us = kill_consumer(c, process);
	conformance_close(c, bus);

	bus = conformance_open(c, NULL, takeover(c));
	conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
	conformance_start(c, bus);
	CHECK(c, recorder_wait_distinct(next, count, WAIT_MS), "%zu of %zu messages came after the kill",
	      recorder_distinct(next), count);
	CHECK(c, recorder_quiet(next, TAKEOVER_MS + 500), "a message came again after it was handled");
	for (int64_t n = 0; n < (int64_t)count; n++)
		check_attempt(c, failed, next, n, known_us);
	conformance_each_once(c, next, 0, count);
	conformance_close_all(c);
}

/* Not before its time; after it as soon as somebody can have taken the message over. */
static void check_due(struct conformance *c, struct recorder *failed, struct recorder *next, int64_t n,
		      int64_t delay_ms, int64_t taken_over_us)
{
	struct recorded first, second;
	int64_t due_us, latest_us;

	CHECK(c, recorder_find(failed, n, 0, &first) && recorder_find(next, n, 0, &second),
	      "message %" PRId64 " did not come", n);
	due_us = first.at_us + delay_ms * 1000;
	latest_us = (taken_over_us > due_us ? taken_over_us : due_us) + 1500000;
	CHECK(c, second.at_us >= due_us, "message %" PRId64 " came %.2f s before its retry was due", n,
	      (double)(due_us - second.at_us) / 1e6);
	CHECK(c, second.at_us <= latest_us, "message %" PRId64 " came %.2f s after its retry was due", n,
	      (double)(second.at_us - due_us) / 1e6);
	CHECK(c, second.attempt == 2, "message %" PRId64 " had failed once, and came as attempt %" PRIu32, n,
	      second.attempt);
}

void conformance_case_32(struct conformance *c)
{
	/* A backend that keeps the retry itself may promise it only up to takeover; one where the dead
	 * process kept it cannot give it to another before takeover, so that only a longer delay could come
	 * too early. */
	bool kept = conformance_can(c, FERRY_CAP_NACK_DELAY);
	int32_t takeover_ms = kept ? 7000 : TAKEOVER_MS, delay_ms = kept ? 6000 : 7000;
	const char *topic = conformance_name(c, "orders");
	struct recorder *failed = conformance_recorder(c), *next = conformance_recorder(c);
	struct record_handler handler = {.recorder = next};
	struct process *process =
		conformance_spawn(c, failed, 1, "failing", conformance_text(c, "topic=%s", topic),
				  conformance_text(c, "backoff_ms=%d", delay_ms),
				  conformance_text(c, "takeover_ms=%d", takeover_ms), NULL);
	struct ferry_bus_options options = *takeover(c);
	struct ferry_bus *bus;
	size_t count = 10;
	int64_t taken_over_us;

	options.takeover_ms = takeover_ms;
	bus = conformance_open(c, NULL, &options);
	process_expect(process, "ready", WAIT_MS, NULL, 0);
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, count, NULL);
	CHECK(c, recorder_wait(failed, count, WAIT_MS), "%zu of %zu messages came", recorder_count(failed),
	      count);
	conformance_pass(c, support_commit_us(c) / 1000 + 300);
	kill_consumer(c, process);
	conformance_close(c, bus);
	if (support_has_control(c)) {
		conformance_control(c, "stop");
		conformance_control(c, "start");
	}

	bus = conformance_open(c, NULL, &options);
	conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
	conformance_start(c, bus);
	taken_over_us = conformance_now_us(c) + takeover_ms * 1000;
	CHECK(c, recorder_wait_distinct(next, count, WAIT_MS), "%zu of %zu messages came after the kill",
	      recorder_distinct(next), count);
	conformance_drained(c, bus, NULL, count);
	for (int64_t n = 0; n < (int64_t)count; n++)
		check_due(c, failed, next, n, delay_ms, taken_over_us);
	conformance_each_once(c, next, 0, count);
	conformance_close_all(c);
}
