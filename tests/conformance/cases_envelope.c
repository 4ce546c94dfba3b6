/* cases_envelope.c - what travels with a payload, and how it looks on the wire: cases 6 and 7. */
#include <ctype.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conformance.h"

#define TRACE       "4bf92f3577b34da6a3ce929d0e0e4736"
#define TRACEPARENT "00-" TRACE "-00f067aa0ba902b7-01"

static bool same(const char *left, const char *right)
{
	return strcmp(left ? left : "", right ? right : "") == 0;
}

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

		CHECK(c, value && same(value, sent_as->value), "attribute %s = \"%s\" came as \"%s\"",
		      sent_as->name, sent_as->value, value ? value : "(absent)");
		CHECK(c, walked && same(ferry_message_attribute(m, walked->name), walked->value),
		      "attribute_at(%zu) gives what attribute() does not", i);
	}
	CHECK(c, !ferry_message_attribute(m, "nothing"), "an attribute came that was not published");
}

static void check_identity(struct round_trip *trip, struct ferry_message *m, const struct sent *s)
{
	struct conformance *c = trip->c;
	const char *content_type = s->content_type ? s->content_type : "application/octet-stream";
	char position[128] = "";
	size_t size;

	CHECK(c, s->id ? same(ferry_message_id(m), s->id) : *ferry_message_id(m) != '\0',
	      "id %s came as \"%s\"", s->id ? s->id : "(made)", ferry_message_id(m));
	CHECK(c, same(ferry_message_topic(m), trip->topic), "topic %s came as %s", trip->topic,
	      ferry_message_topic(m));
	CHECK(c, same(ferry_message_source(m), conformance_name(c, "service")), "the source came as \"%s\"",
	      ferry_message_source(m));
	CHECK(c, same(ferry_message_group(m), conformance_name(c, "service")), "the group is \"%s\"",
	      ferry_message_group(m));
	CHECK(c, same(ferry_message_content_type(m), content_type), "content type \"%s\" came as \"%s\"",
	      content_type, ferry_message_content_type(m));
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
	CHECK(c, same(ferry_message_trace_id(m), s->trace_seen), "trace id \"%s\" came as \"%s\"", s->trace,
	      ferry_message_trace_id(m));
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

/* ---- 7: what ferry writes ---- */

#define EVENT_ID "A-4711"

/* How this transport spells the CloudEvents binary mode. */
struct wire {
	struct conformance *c;
	const char *topic;
	char prefix[4];           /* "ce_" or "ce-" */
	const char *content_type; /* "content-type" or "<prefix>datacontenttype" */
	bool key_in_field;        /* "<prefix>partitionkey", else the backend's own key */
	size_t records;           /* looked at */
};

static const char *field(const struct ferry_raw *raw, const char *name)
{
	for (size_t i = 0; i < raw->field_count; i++)
		if (same(raw->fields[i].name, name))
			return raw->fields[i].value;
	return NULL;
}

static const char *ce_field(const struct wire *wire, const struct ferry_raw *raw, const char *name)
{
	char full[64];

	snprintf(full, sizeof full, "%s%s", wire->prefix, name);
	return field(raw, full);
}

static void check_ce(const struct wire *wire, const struct ferry_raw *raw, const char *name,
		     const char *expected)
{
	const char *value = ce_field(wire, raw, name);

	CHECK(wire->c, value && same(value, expected), "field %s%s should be \"%s\", but is \"%s\"",
	      wire->prefix, name, expected, value ? value : "(absent)");
}

/* "2024-02-29T12:34:56.789Z" */
static bool is_rfc3339_utc(const char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";

	for (const char *at = shape; *at; at++, text++)
		if (*at == 'd' ? !isdigit((unsigned char)*text) : *text != *at)
			return false;
	if (*text == '.')
		for (text++; isdigit((unsigned char)*text);)
			text++;
	return same(text, "Z");
}

/* Nothing but the envelope, the attributes and what the backend or ferry needs for itself. */
static void check_no_other_field(const struct wire *wire, const struct ferry_raw *raw)
{
	static const char *const ce[] = {"specversion",     "id",          "type", "source", "time",
					 "datacontenttype", "partitionkey"};
	static const char *const plain[] = {"content-type", "traceparent", "tracestate", "region", "colour"};

	for (size_t i = 0; i < raw->field_count; i++) {
		const char *name = raw->fields[i].name;
		bool known = !strncmp(name, "ferry-", 6) || !strncmp(name, "Nats-", 5);

		for (size_t k = 0; k < sizeof ce / sizeof ce[0]; k++)
			known |= !strncmp(name, wire->prefix, 3) && same(name + 3, ce[k]);
		for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++)
			known |= same(name, plain[k]);
		CHECK(wire->c, known,
		      "the record has a field \"%s\", which is neither envelope nor attribute", name);
	}
}

static void check_key(struct wire *wire, const struct ferry_raw *raw)
{
	const char *in_field = ce_field(wire, raw, "partitionkey");

	wire->key_in_field = in_field != NULL;
	if (in_field)
		CHECK(wire->c, same(in_field, "k1"), "the key k1 stands in the record as \"%s\"", in_field);
	else
		CHECK(wire->c, raw->key.size == 2 && !memcmp(raw->key.data, "k1", 2),
		      "the key k1 stands in the record as %zu other bytes", raw->key.size);
}

static void check_written(const struct ferry_raw *raw, void *ctx)
{
	struct wire *wire = ctx;
	struct conformance *c = wire->c;
	const char *time, *trace, *type;

	wire->records++;
	strcpy(wire->prefix, field(raw, "ce_id") ? "ce_" : "ce-");
	check_ce(wire, raw, "specversion", "1.0");
	check_ce(wire, raw, "id", EVENT_ID);
	check_ce(wire, raw, "type", wire->topic);
	check_ce(wire, raw, "source", conformance_name(c, "service"));
	time = ce_field(wire, raw, "time");
	CHECK(c, time && is_rfc3339_utc(time), "the time is not RFC 3339 in UTC: \"%s\"",
	      time ? time : "(absent)");
	type = field(raw, "content-type");
	wire->content_type = type ? "content-type" : conformance_text(c, "%sdatacontenttype", wire->prefix);
	type = field(raw, wire->content_type);
	CHECK(c, type && same(type, "application/json"), "the content type is \"%s\"",
	      type ? type : "(absent)");
	trace = field(raw, "traceparent");
	CHECK(c, trace && !strncmp(trace, "00-" TRACE "-", 36) && strlen(trace) == 55,
	      "traceparent is \"%s\"", trace ? trace : "(absent)");
	CHECK(c, field(raw, "region") && same(field(raw, "region"), "eu"),
	      "attribute region is not a plain field");
	CHECK(c, field(raw, "colour") && same(field(raw, "colour"), "gr\xc3\xbcn"),
	      "attribute colour is not a plain field in UTF-8");
	CHECK(c, raw->payload.size == 1 && !memcmp(raw->payload.data, "0", 1), "the payload was changed");
	check_key(wire, raw);
	check_no_other_field(wire, raw);
}

/* Publish one message and look at its record. */
static void write_and_look(struct wire *wire, struct ferry_bus *bus)
{
	struct conformance *c = wire->c;
	struct ferry_publisher_options options = {.size = sizeof options, .content_type = "application/json"};
	struct ferry_publisher *publisher;
	struct ferry_error err = {0};
	int code;

	conformance_ok(c, ferry_publisher_open(bus, wire->topic, &options, &publisher, &err), &err,
		       "publisher_open");
	conformance_publish(
		c, publisher, 0,
		FERRY_OPTIONS(ferry_publish_options, .id = EVENT_ID, .trace_id = TRACE, .key = "k1",
			      .key_size = 2,
			      .attributes = FERRY_ATTRIBUTES({"region", "eu"}, {"colour", "gr\xc3\xbcn"})));
	ferry_publisher_close(publisher);
	code = ferry_admin_raw_get(bus, wire->topic, 0, check_written, wire, &err);
	if (code == FERRY_E_UNSUPPORTED)
		conformance_skip(c, "RAW");
	conformance_ok(c, code, &err, "raw_get");
	CHECK(c, wire->records == 1, "raw_get gave %zu records for one", wire->records);
	code = ferry_admin_raw_get(bus, wire->topic, 1, check_written, wire, &err);
	conformance_refused(c, code, FERRY_E_NOT_FOUND, NULL, NULL, "raw_get past the end");
}

/* ---- 7: what others write ---- */

/* Message 1 and 2: CloudEvents of another producer; 3 and 4: no envelope at all. */
struct foreign {
	struct conformance *c;
	struct recorder *seen;
};

static void check_foreign_event(struct conformance *c, struct ferry_message *m, int64_t n)
{
	/* The same moment, once in UTC and once with an offset. */
	int64_t expected_us = n == 1 ? INT64_C(1709210096789012) : INT64_C(1709210096000000);
	size_t key_size = 0;
	const char *key = ferry_message_key(m, &key_size);

	CHECK(c, same(ferry_message_id(m), n == 1 ? "evt-1" : "evt-2"), "the id of a foreign event is \"%s\"",
	      ferry_message_id(m));
	CHECK(c, same(ferry_message_source(m), "/other/service"), "the source of a foreign event is \"%s\"",
	      ferry_message_source(m));
	CHECK(c, ferry_message_timestamp_us(m) == expected_us,
	      "the time of a foreign event is %" PRId64 " us, not %" PRId64, ferry_message_timestamp_us(m),
	      expected_us);
	CHECK(c, same(ferry_message_content_type(m), "application/json"),
	      "the content type of a foreign event is \"%s\"", ferry_message_content_type(m));
	CHECK(c, same(ferry_message_trace_id(m), TRACE), "the trace id of a foreign event is \"%s\"",
	      ferry_message_trace_id(m));
	CHECK(c, key && key_size == 2 && !memcmp(key, "k1", 2),
	      "the key of a foreign event is absent or changed");
	CHECK(c, ferry_message_attribute_count(m) == 1 && same(ferry_message_attribute(m, "region"), "eu"),
	      "the attributes of a foreign event are %zu, not the one that it has",
	      ferry_message_attribute_count(m));
}

static int handle_foreign(struct ferry_message *m, void *ctx)
{
	struct foreign *foreign = ctx;
	struct conformance *c = foreign->c;
	int64_t n = conformance_number(m);

	recorder_add_message(foreign->seen, m, 0);
	if (n == 0)
		return 0; /* ferry's own */
	if (n == 1 || n == 2) {
		check_foreign_event(c, m, n);
		return 0;
	}
	CHECK(c, *ferry_message_id(m), "a record without an envelope has no id");
	CHECK(c, same(ferry_message_attribute(m, "colour"), "blue"),
	      "a plain field did not become an attribute");
	CHECK(c, same(ferry_message_attribute(m, "X-Unknown"), "1"),
	      "a plain field did not become an attribute");
	return ferry_message_attempt(m) == 1 ? ferry_message_fail(m, FERRY_E_RETRY, "once more") : 0;
}

static void put(struct wire *wire, struct ferry_bus *bus, const char *payload,
		const struct ferry_attribute *fields, bool key)
{
	struct ferry_error err = {0};
	struct ferry_raw raw = {.size = sizeof raw, .payload = {payload, strlen(payload)}, .fields = fields};
	int code;

	while (fields[raw.field_count].name)
		raw.field_count++;
	if (key && !wire->key_in_field)
		raw.key = (struct ferry_view){"k1", 2};
	code = ferry_admin_raw_put(bus, wire->topic, &raw, &err);
	if (code == FERRY_E_UNSUPPORTED)
		conformance_skip(wire->c, "RAW");
	conformance_ok(wire->c, code, &err, "raw_put");
}

static void put_event(struct wire *wire, struct ferry_bus *bus, const char *payload, const char *id,
		      const char *time)
{
	struct conformance *c = wire->c;
	const char *p = wire->prefix;

	put(wire, bus, payload,
	    FERRY_ATTRIBUTES(
		    {conformance_text(c, "%sspecversion", p), "1.0"}, {conformance_text(c, "%sid", p), id},
		    {conformance_text(c, "%stype", p), wire->topic},
		    {conformance_text(c, "%ssource", p), "/other/service"},
		    {conformance_text(c, "%stime", p), time}, {wire->content_type, "application/json"},
		    {"traceparent", TRACEPARENT}, {"region", "eu"},
		    {wire->key_in_field ? conformance_text(c, "%spartitionkey", p) : NULL, "k1"}),
	    true);
}

static void check_ids(struct conformance *c, struct recorder *seen)
{
	struct recorded first, again, other;

	CHECK(c,
	      recorder_find(seen, 3, 0, &first) && recorder_find(seen, 3, 1, &again) &&
		      recorder_find(seen, 4, 0, &other),
	      "a record without an envelope did not come twice, for it was failed once");
	CHECK(c, same(first.id, again.id), "a record without an envelope changed its id from %s to %s",
	      first.id, again.id);
	CHECK(c, !same(first.id, other.id), "two records without an envelope have the same id %s", first.id);
	CHECK(c, first.attempt == 1 && again.attempt == 2, "its attempts are %" PRIu32 " and %" PRIu32,
	      first.attempt, again.attempt);
}

void conformance_case_7(struct conformance *c)
{
	struct wire *wire = conformance_alloc(c, sizeof *wire);
	struct foreign foreign = {.c = c, .seen = conformance_recorder(c)};
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	wire->c = c;
	wire->topic = conformance_name(c, "wire");
	conformance_subscribe(c, bus, wire->topic, handle_foreign, &foreign,
			      FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = 50));
	conformance_start(c, bus);
	write_and_look(wire, bus);
	put_event(wire, bus, "1", "evt-1", "2024-02-29T12:34:56.789012Z");
	put_event(wire, bus, "2", "evt-2", "2024-02-29T14:34:56+02:00");
	put(wire, bus, "3", FERRY_ATTRIBUTES({"colour", "blue"}, {"X-Unknown", "1"}), false);
	put(wire, bus, "4", FERRY_ATTRIBUTES({"colour", "blue"}, {"X-Unknown", "1"}), false);
	CHECK(c, recorder_wait(foreign.seen, 7, WAIT_MS),
	      "of 5 records, two of them failed once, %zu calls came", recorder_count(foreign.seen));
	conformance_each(c, foreign.seen, 0, 5);
	check_ids(c, foreign.seen);
}
