/* cases_dlq.c - when a message is given up: what the dead letter says, or that it is dropped: cases 35 to 37.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

/* ---- 35: after 1 + max_retries calls, with every header ---- */

#define LETTERS     5
#define RETRIES     2
#define LONG_TEXT   3000 /* longer than ferry-dlq-error may be */
#define ERROR_BYTES 1024

/* What the handler saw of the original. */
struct original {
	char id[64];
	char position[256];
	int64_t timestamp_us;
};

struct failing {
	struct conformance *c;
	struct original originals[LETTERS]; /* by n; written by the first attempt */
	char long_text[LONG_TEXT + 1];
};

static int fail_with_reason(struct ferry_message *m, void *ctx)
{
	struct failing *failing = ctx;
	int64_t n = conformance_number(m);
	struct original *original;

	CHECK(failing->c, n >= 0 && n < LETTERS, "message %" PRId64 " came, which was not published", n);
	original = &failing->originals[n];
	if (ferry_message_attempt(m) == 1) {
		snprintf(original->id, sizeof original->id, "%s", ferry_message_id(m));
		ferry_message_position(m, original->position, sizeof original->position);
		original->timestamp_us = ferry_message_timestamp_us(m);
	}
	return ferry_message_fail(m, FERRY_E_RETRY, n ? "card service away" : failing->long_text);
}

/* Microseconds since 1970 of "2026-11-24T12:00:00.123456Z"; fails the case on anything else. */
static int64_t parse_time(struct conformance *c, const char *name, const char *text)
{
	int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, end = 0;
	int64_t days, fraction = 0, unit = 100000;

	CHECK(c, text, "the dead letter has no %s", name);
	CHECK(c,
	      sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &end) ==
		      6,
	      "%s is \"%s\", which is no RFC 3339 time", name, text);
	if (text[end] == '.')
		for (end++; text[end] >= '0' && text[end] <= '9'; end++, unit /= 10)
			fraction += unit * (text[end] - '0');
	CHECK(c, !strcmp(text + end, "Z") || !strcmp(text + end, "+00:00"),
	      "%s is \"%s\", which is no RFC 3339 time in UTC", name, text);
	if (month < 3) { /* the year begins in March, so that the leap day is its last */
		month += 12;
		year--;
	}
	days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 719469;
	return (((days * 24 + hour) * 60 + minute) * 60 + second) * INT64_C(1000000) + fraction;
}

static void check_failed_times(struct conformance *c, const struct dead_letter *letter, int64_t delays_ms)
{
	const char *first = dead_letter_attribute(letter, "ferry-dlq-first-failed");
	const char *last = dead_letter_attribute(letter, "ferry-dlq-last-failed");
	int64_t first_us = parse_time(c, "ferry-dlq-first-failed", first);
	int64_t last_us = parse_time(c, "ferry-dlq-last-failed", last);

	/* What is derived from the backend's clocks may be a little off. */
	CHECK(c,
	      last_us - first_us >= (delays_ms - 50) * 1000 &&
		      last_us - first_us <= (delays_ms + 1500) * 1000,
	      "the first failure was at %s and the last at %s, but %" PRId64 " ms of delays were between",
	      first, last, delays_ms);
}

/* The dead letter is the original ... */
static void check_unchanged(struct conformance *c, const struct dead_letter *letter,
			    const struct original *original)
{
	const char *key = conformance_text(c, "key-%" PRId64, letter->n);

	CHECK(c, !strcmp(letter->id, original->id), "the dead letter's id is %s instead of %s", letter->id,
	      original->id);
	CHECK(c,
	      letter->key && letter->key_size == strlen(key) && !memcmp(letter->key, key, letter->key_size),
	      "the dead letter of message %" PRId64 " has another key: \"%s\"", letter->n,
	      letter->key ? letter->key : "");
	CHECK(c, !strcmp(letter->content_type, "text/plain"), "the dead letter's content type is \"%s\"",
	      letter->content_type);
	CHECK(c, !strcmp(letter->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736"),
	      "the dead letter's trace id is \"%s\"", letter->trace_id);
	CHECK(c, !strcmp(letter->source, SERVICE(c)), "the dead letter's source is \"%s\"", letter->source);
	CHECK(c, letter->timestamp_us / 1000 == original->timestamp_us / 1000,
	      "the dead letter's time is %" PRId64 " instead of %" PRId64, letter->timestamp_us,
	      original->timestamp_us);
	dead_letter_expect(c, letter, "region", "eu");
	dead_letter_expect(c, letter, "empty", "");
	dead_letter_expect(c, letter, "city", "Z\xc3\xbcrich");
}

/* ... and says what happened. */
static void check_headers(struct conformance *c, const struct dead_letter *letter,
			  const struct failing *failing, const char *topic)
{
	const char *error = dead_letter_attribute(letter, "ferry-dlq-error");
	const char *instance = dead_letter_attribute(letter, "ferry-dlq-instance");
	char host[256] = "";

	gethostname(host, sizeof host - 1);
	dead_letter_expect(c, letter, "ferry-dlq-topic", topic);
	dead_letter_expect(c, letter, "ferry-dlq-group", SERVICE(c));
	dead_letter_expect(c, letter, "ferry-dlq-handler", "charger");
	dead_letter_expect(c, letter, "ferry-dlq-reason", "error");
	dead_letter_expect(c, letter, "ferry-dlq-attempts", "3");
	dead_letter_expect(c, letter, "ferry-dlq-source-pos", failing->originals[letter->n].position);
	dead_letter_expect(c, letter, "ferry-dlq-host", host);
	CHECK(c, instance && *instance, "the dead letter has no ferry-dlq-instance");
	if (letter->n) {
		dead_letter_expect(c, letter, "ferry-dlq-error", "card service away");
		return;
	}
	CHECK(c,
	      error && strlen(error) > 500 && strlen(error) <= ERROR_BYTES &&
		      !strncmp(error, failing->long_text, 500),
	      "a long error text should be cut to at most %d bytes: %zu are left: %s", ERROR_BYTES,
	      error ? strlen(error) : 0, error ? error : "");
}

static void publish_letters(struct conformance *c, struct ferry_bus *bus, const char *topic)
{
	struct ferry_publisher *publisher;
	struct ferry_error err = {0};

	conformance_ok(
		c,
		ferry_publisher_open(bus, topic,
				     FERRY_OPTIONS(ferry_publisher_options, .content_type = "text/plain"),
				     &publisher, &err),
		&err, "publisher_open");
	for (int64_t n = 0; n < LETTERS; n++) {
		const char *key = conformance_text(c, "key-%" PRId64, n);

		conformance_publish(
			c, publisher, n,
			FERRY_OPTIONS(ferry_publish_options,
				      .attributes = FERRY_ATTRIBUTES({"region", "eu"}, {"empty", ""},
								     {"city", "Z\xc3\xbcrich"}),
				      .key = key, .key_size = strlen(key),
				      .id = conformance_text(c, "id-%" PRId64, n),
				      .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"));
	}
	ferry_publisher_close(publisher);
}

void conformance_case_35(struct conformance *c)
{
	struct failing *failing = conformance_alloc(c, sizeof *failing);
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .verdict = fail_with_reason, .ctx = failing};
	const char *topic = conformance_name(c, "orders");
	size_t calls = LETTERS * (1 + RETRIES);
	struct dead_letters *dead;
	struct ferry_bus *bus;

	failing->c = c;
	memset(failing->long_text, 'x', LONG_TEXT);
	conformance_manual_clock(c);
	bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(c, bus, topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .name = "charger", .max_retries = RETRIES,
					    .initial_backoff_ms = 300, .concurrency = 2));
	dead = dead_letters_read(c, bus, dead_letters_topic(c, SERVICE(c), topic));
	conformance_start(c, bus);
	publish_letters(c, bus, topic);
	CHECK(c, recorder_wait(dead->recorder, LETTERS, WAIT_MS), "%zu of %d messages were dead-lettered",
	      recorder_count(dead->recorder), LETTERS);
	conformance_drained(c, bus, SERVICE(c), LETTERS);
	CHECK(c, recorder_quiet(seen, 3000) && recorder_count(seen) == calls && !recorder_duplicates(seen),
	      "%zu calls should be made, %zu were", calls, recorder_count(seen));
	conformance_each_once(c, dead->recorder, 0, LETTERS);
	for (int64_t n = 0; n < LETTERS; n++) {
		const struct dead_letter *letter = dead_letters_find(dead, n);

		CHECK(c, recorder_count_n(seen, n) == 1 + RETRIES, "message %" PRId64 " was called %zu times",
		      n, recorder_count_n(seen, n));
		check_unchanged(c, letter, &failing->originals[n]);
		check_headers(c, letter, failing, topic);
		check_failed_times(c, letter, 300 + 600);
	}
	CHECK(c, conformance_stats(c, bus, SERVICE(c)).dead_lettered == LETTERS,
	      "%d were dead-lettered, counted are %" PRIu64, LETTERS,
	      conformance_stats(c, bus, SERVICE(c)).dead_lettered);
	conformance_close_all(c);
}

/* ---- 36: with the dead letters off a message is dropped, and that is said ---- */

struct drops {
	struct conformance *c;
	const char *topic;
	struct recorder *errors, *rejects; /* by reason; n is the number in the id */
};

static void on_dropped(struct ferry_bus *bus, const struct ferry_incident *incident, void *ctx)
{
	struct drops *drops = ctx;
	struct conformance *c = drops->c;
	struct recorded entry = {.n = strtoll(incident->message_id + strlen("id-"), NULL, 10)};

	(void)bus;
	CHECK(c, !strncmp(incident->message_id, "id-", 3), "on_dropped names the message \"%s\"",
	      incident->message_id);
	CHECK(c,
	      !strcmp(incident->topic, drops->topic) && !strcmp(incident->group, SERVICE(c)) &&
		      !strcmp(incident->handler, "dropper") && incident->count == 1,
	      "on_dropped tells of %" PRIu64 " messages of topic %s, group %s, handler %s", incident->count,
	      incident->topic, incident->group, incident->handler);
	if (!strcmp(incident->reason, "rejected"))
		recorder_add(drops->rejects, &entry);
	else {
		CHECK(c, !strcmp(incident->reason, "error"), "on_dropped gives the reason \"%s\"",
		      incident->reason);
		CHECK(c, strstr(incident->text, "no room"),
		      "on_dropped does not carry the error's text: \"%s\"", incident->text);
		recorder_add(drops->errors, &entry);
	}
}

/* 0 to 4 fail, 5 to 9 are rejected, the others are handled. */
static int fail_or_reject(struct ferry_message *m, void *ctx)
{
	int64_t n = conformance_number(m);

	(void)ctx;
	if (n < 5)
		return ferry_message_fail(m, FERRY_E_RETRY, "no room");
	return n < 10 ? FERRY_REJECT : 0;
}

void conformance_case_36(struct conformance *c)
{
	struct drops drops = {.c = c,
			      .topic = conformance_name(c, "hints"),
			      .errors = conformance_recorder(c),
			      .rejects = conformance_recorder(c)};
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .verdict = fail_or_reject};
	struct ferry_group_stats stats;
	struct dead_letters *dead;
	struct ferry_publisher *publisher;
	struct ferry_bus *bus;

	conformance_manual_clock(c);
	bus = conformance_open(
		c, NULL, FERRY_OPTIONS(ferry_bus_options, .on_dropped = on_dropped, .hook_ctx = &drops));
	conformance_subscribe(c, bus, drops.topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .name = "dropper", .dlq = FERRY_OFF,
					    .max_retries = 1, .initial_backoff_ms = 200));
	dead = dead_letters_read(c, bus, dead_letters_topic(c, SERVICE(c), drops.topic));
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, drops.topic);
	for (int64_t n = 0; n < 20; n++)
		conformance_publish(
			c, publisher, n,
			FERRY_OPTIONS(ferry_publish_options, .id = conformance_text(c, "id-%" PRId64, n)));
	CHECK(c, recorder_wait(seen, 25, WAIT_MS), "25 calls should be made, %zu were", recorder_count(seen));
	conformance_drained(c, bus, SERVICE(c), 20);
	CHECK(c, recorder_quiet(seen, 1000), "a message came again after it was settled");
	stats = conformance_stats(c, bus, SERVICE(c));
	CHECK(c, stats.dropped == 10 && stats.handled == 10 && !stats.dead_lettered,
	      "10 should be dropped and 10 handled; counted are %" PRIu64 " dropped, %" PRIu64
	      " handled, %" PRIu64 " dead-lettered",
	      stats.dropped, stats.handled, stats.dead_lettered);
	CHECK(c, recorder_count(seen) == 25 && !recorder_duplicates(seen),
	      "25 calls should be made, %zu were", recorder_count(seen));
	conformance_each_once(c, drops.errors, 0, 5);
	conformance_each_once(c, drops.rejects, 5, 5);
	CHECK(c, recorder_count(dead->recorder) == 0, "with the dead letters off %zu came",
	      recorder_count(dead->recorder));
	conformance_close_all(c);
}

/* ---- 37: what cannot be decoded is dead-lettered without a call ---- */

struct decoding {
	struct conformance *c;
	int objects[30]; /* one per message, hung on it by the callback */
	_Atomic int released;
};

/* The release function of an object gets nothing but the object. */
static struct decoding *decoding;

static void release(void *object)
{
	int n = (int)((int *)object - decoding->objects);

	CHECK(decoding->c, n >= 0 && n < 30 && n % 3, "an object was released that was never made");
	atomic_fetch_add(&decoding->released, 1);
}

/* Refuses every third. */
static int decode(struct ferry_message *m, void *ctx, struct ferry_error *why)
{
	struct decoding *d = ctx;
	int64_t n = conformance_number(m);

	CHECK(d->c, n >= 0 && n < 30, "message %" PRId64 " came, which was not published", n);
	if (n % 3 == 0) {
		why->code = FERRY_E_DECODE;
		snprintf(why->text, sizeof why->text, "field cents: expected a number, got message %" PRId64,
			 n);
		return FERRY_E_DECODE;
	}
	ferry_message_set_decoded(m, &d->objects[n], release);
	return 0;
}

static int handle_decoded(struct ferry_message *m, void *ctx)
{
	struct decoding *d = ctx;
	int64_t n = conformance_number(m);

	CHECK(d->c, n % 3, "message %" PRId64 " cannot be decoded and was handed to the handler", n);
	CHECK(d->c, ferry_message_decoded(m) == &d->objects[n],
	      "message %" PRId64 " does not carry the object that its decoding made", n);
	return 0;
}

void conformance_case_37(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .verdict = handle_decoded};
	const char *topic = conformance_name(c, "orders");
	struct dead_letters *dead;
	struct ferry_bus *bus;

	handler.ctx = decoding = conformance_alloc(c, sizeof *decoding);
	decoding->c = c;
	conformance_manual_clock(c);
	bus = conformance_open(c, NULL, NULL);
	/* A retry would come much later than the case waits. */
	conformance_subscribe(c, bus, topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .name = "decoder", .decode = decode,
					    .decode_ctx = decoding, .initial_backoff_ms = 600000,
					    .max_backoff_ms = 600000));
	dead = dead_letters_read(c, bus, dead_letters_topic(c, SERVICE(c), topic));
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, 30, NULL);
	CHECK(c, recorder_wait_now(dead->recorder, 10, WAIT_MS),
	      "10 messages cannot be decoded, %zu were dead-lettered", recorder_count(dead->recorder));
	CHECK(c, recorder_wait_now(seen, 20, WAIT_MS), "20 messages can be decoded, %zu came",
	      recorder_count(seen));
	conformance_drained(c, bus, SERVICE(c), 30);
	CHECK(c, recorder_quiet(seen, 1000) && recorder_count(seen) == 20 && recorder_distinct(seen) == 20,
	      "20 messages can be decoded, %zu calls were made", recorder_count(seen));
	CHECK(c, recorder_count(dead->recorder) == 10, "10 messages cannot be decoded, %zu dead letters came",
	      recorder_count(dead->recorder));
	for (int64_t n = 0; n < 30; n += 3) {
		const struct dead_letter *letter = dead_letters_find(dead, n);
		const char *error = dead_letter_attribute(letter, "ferry-dlq-error");

		dead_letter_expect(c, letter, "ferry-dlq-reason", "decode");
		dead_letter_expect(c, letter, "ferry-dlq-handler", "decoder");
		CHECK(c,
		      error && strstr(error,
				      conformance_text(
					      c, "field cents: expected a number, got message %" PRId64, n)),
		      "the dead letter of message %" PRId64 " does not name the field: %s", n,
		      error ? error : "");
	}
	conformance_close(c, bus);
	CHECK(c, atomic_load(&decoding->released) == 20, "20 objects were made by decoding, %d were released",
	      atomic_load(&decoding->released));
}
