/* cases_envelope.c - what travels with a payload: case 6. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "conformance.h"

#define TRACE       "4bf92f3577b34da6a3ce929d0e0e4736"
#define TRACEPARENT "00-" TRACE "-00f067aa0ba902b7-01"

static int64_t wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- 6 ---- */

#define ATTRIBUTES 64

/* Every printable character that is not a space. */
#define ODD_ID \
	"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

static const struct ferry_attribute odd_attributes[] = {
	{"empty", ""},
	{"utf-8", "gr\xc3\xbcn \xf0\x9f\x8e\x88"},
	{"lines", "one\r\ntwo\nthree\r"},
	{"percent", "100% %41 %0d%0a %"},
	{"quotes", "\"a\" 'b' \\c"},
	{"colon", "a: b=c; d, e"},
	{"controls", "\x01\t\x1f\x7f"},
	{"source", "/sensor/1"}, /* not the envelope's */
	{"id", "17"},
	{"Case.And-All_Of-It.09", "x"},
};
#define ODD (sizeof odd_attributes / sizeof odd_attributes[0])

/* What each of the messages is published with; message n has the payload "n". */
struct sent {
	const char *id; /* NULL: made */
	const char *trace, *trace_seen;
	const char *content_type;
	const char *key;
	bool attributes;
};

static const struct sent sent[] = {
	{ODD_ID, TRACE, TRACE, "application/json; charset=utf-8", "customer 7", true},
	{"second", TRACEPARENT, TRACE, "application/json; charset=utf-8", NULL, false},
	{"third", "any text as trace", "any text as trace", "application/json; charset=utf-8", NULL, false},
	{NULL, NULL, "", NULL, NULL, false},
};
#define SENT (sizeof sent / sizeof sent[0])

struct round_trip {
	struct conformance *c;
	const char *topic;
	struct ferry_attribute attributes[ATTRIBUTES + 1];
	int64_t begin_us;
	struct recorder *seen;
};

static void fill_attributes(struct conformance *c, struct round_trip *trip)
{
	for (size_t i = 0; i < ATTRIBUTES; i++)
		if (i < ODD)
			trip->attributes[i] = odd_attributes[i];
		else
			trip->attributes[i] = (struct ferry_attribute){
				conformance_text(c, "attribute-%zu", i), conformance_text(c, "value %zu", i)};
}

static void check_attributes(struct round_trip *trip, struct ferry_message *m, const struct sent *s)
{
	struct conformance *c = trip->c;
	size_t count = ferry_message_attribute_count(m);

	CHECK(c, count == (s->attributes ? ATTRIBUTES : 0), "a message with %d attributes came with %zu",
	      s->attributes ? ATTRIBUTES : 0, count);
	for (size_t i = 0; i < count; i++) {
		const struct ferry_attribute *sent_as = &trip->attributes[i];
		const struct ferry_attribute *walked = ferry_message_attribute_at(m, i);
		const char *value = ferry_message_attribute(m, sent_as->name);

		CHECK(c, value && conformance_same(value, sent_as->value),
		      "attribute %s = \"%s\" came as \"%s\"", sent_as->name, sent_as->value,
		      value ? value : "(absent)");
		CHECK(c, walked && conformance_same(ferry_message_attribute(m, walked->name), walked->value),
		      "attribute_at(%zu) gives what attribute() does not", i);
	}
	CHECK(c, !ferry_message_attribute(m, "nothing"), "an attribute came that was not published");
}

static void check_identity(struct round_trip *trip, struct ferry_message *m, const struct sent *s)
{
	struct conformance *c = trip->c;
	const char *content_type = s->content_type ? s->content_type : "";
	char position[128] = "";
	size_t size;

	CHECK(c, s->id ? conformance_same(ferry_message_id(m), s->id) : *ferry_message_id(m) != '\0',
	      "id %s came as \"%s\"", s->id ? s->id : "(made)", ferry_message_id(m));
	CHECK(c, conformance_same(ferry_message_topic(m), trip->topic), "topic %s came as %s", trip->topic,
	      ferry_message_topic(m));
	CHECK(c, conformance_same(ferry_message_source(m), conformance_name(c, "service")),
	      "the source came as \"%s\"", ferry_message_source(m));
	CHECK(c, conformance_same(ferry_message_group(m), conformance_name(c, "service")),
	      "the group is \"%s\"", ferry_message_group(m));
	CHECK(c, conformance_same(ferry_message_content_type(m), content_type),
	      "content type \"%s\" came as \"%s\"", content_type, ferry_message_content_type(m));
	CHECK(c, ferry_message_attempt(m) == 1, "the first attempt is number %" PRIu32,
	      ferry_message_attempt(m));
	size = ferry_message_position(m, position, sizeof position);
	CHECK(c, size > 0 && (size >= sizeof position || strlen(position) == size),
	      "position is \"%s\" of %zu characters", position, size);
}

static int check_round_trip(struct ferry_message *m, void *ctx)
{
	struct round_trip *trip = ctx;
	struct conformance *c = trip->c;
	int64_t n = conformance_number(m);
	const struct sent *s = &sent[n >= 0 && n < (int64_t)SENT ? n : 0];
	size_t key_size = 0;
	const char *key = ferry_message_key(m, &key_size);

	CHECK(c, n >= 0 && n < (int64_t)SENT, "a message came that was not published");
	check_identity(trip, m, s);
	check_attributes(trip, m, s);
	CHECK(c, conformance_same(ferry_message_trace_id(m), s->trace_seen), "trace id \"%s\" came as \"%s\"",
	      s->trace, ferry_message_trace_id(m));
	CHECK(c, s->key ? key && key_size == strlen(s->key) && !memcmp(key, s->key, key_size) : !key,
	      "key %s came as %.*s", s->key ? s->key : "(none)", (int)key_size, key ? key : "");
	/* The publishing clock may be a coarse one. */
	CHECK(c,
	      ferry_message_timestamp_us(m) >= trip->begin_us - 1000000 &&
		      ferry_message_timestamp_us(m) <= wall_us() + 1000000,
	      "published between %" PRId64 " and %" PRId64 " us, but the timestamp is %" PRId64,
	      trip->begin_us, wall_us(), ferry_message_timestamp_us(m));
	recorder_add_message(trip->seen, m, 0);
	return 0;
}

static void publish_sent(struct conformance *c, struct ferry_bus *bus, struct round_trip *trip, size_t n)
{
	const struct sent *s = &sent[n];
	struct ferry_publisher_options options = {.size = sizeof options, .content_type = s->content_type};
	struct ferry_publisher *publisher;
	struct ferry_error err = {0};

	conformance_ok(
		c,
		ferry_publisher_open(bus, trip->topic, s->content_type ? &options : NULL, &publisher, &err),
		&err, "publisher_open");
	conformance_publish(c, publisher, (int64_t)n,
			    FERRY_OPTIONS(ferry_publish_options, .id = s->id, .trace_id = s->trace,
					  .key = s->key, .key_size = s->key ? strlen(s->key) : 0,
					  .attributes = s->attributes ? trip->attributes : NULL));
	ferry_publisher_close(publisher);
}

static void round_trip(struct conformance *c, int envelope, const char *topic)
{
	struct round_trip *trip = conformance_alloc(c, sizeof *trip);
	struct ferry_bus *bus =
		conformance_open(c, NULL, FERRY_OPTIONS(ferry_bus_options, .envelope = envelope));

	trip->c = c;
	trip->topic = topic;
	trip->seen = conformance_recorder(c);
	trip->begin_us = wall_us();
	fill_attributes(c, trip);
	conformance_subscribe(c, bus, topic, check_round_trip, trip, NULL);
	conformance_start(c, bus);
	for (size_t n = 0; n < SENT; n++)
		publish_sent(c, bus, trip, n);
	CHECK(c, recorder_wait(trip->seen, SENT, WAIT_MS), "%zu messages were published, but %zu came", SENT,
	      recorder_count(trip->seen));
	conformance_drained(c, bus, NULL, SENT);
	conformance_each_once(c, trip->seen, 0, SENT);
	conformance_close(c, bus);
}

void conformance_case_6(struct conformance *c)
{
	round_trip(c, FERRY_ENVELOPE_CLOUDEVENTS, conformance_name(c, "cloudevents"));
	round_trip(c, FERRY_ENVELOPE_COMPACT, conformance_name(c, "compact"));
}
