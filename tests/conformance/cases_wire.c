/* cases_wire.c - records as other programs see and write them: case 7. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "conformance.h"

#define TRACE       "4bf92f3577b34da6a3ce929d0e0e4736"
#define TRACEPARENT "00-" TRACE "-00f067aa0ba902b7-01"

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
		if (conformance_same(raw->fields[i].name, name))
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

	CHECK(wire->c, value && conformance_same(value, expected),
	      "field %s%s should be \"%s\", but is \"%s\"", wire->prefix, name, expected,
	      value ? value : "(absent)");
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
	return conformance_same(text, "Z");
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
			known |= !strncmp(name, wire->prefix, 3) && conformance_same(name + 3, ce[k]);
		for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++)
			known |= conformance_same(name, plain[k]);
		CHECK(wire->c, known,
		      "the record has a field \"%s\", which is neither envelope nor attribute", name);
	}
}

static void check_key(struct wire *wire, const struct ferry_raw *raw)
{
	const char *in_field = ce_field(wire, raw, "partitionkey");

	wire->key_in_field = in_field != NULL;
	if (in_field)
		CHECK(wire->c, conformance_same(in_field, "k1"), "the key k1 stands in the record as \"%s\"",
		      in_field);
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
	CHECK(c, type && conformance_same(type, "application/json"), "the content type is \"%s\"",
	      type ? type : "(absent)");
	trace = field(raw, "traceparent");
	CHECK(c, trace && !strncmp(trace, "00-" TRACE "-", 36) && strlen(trace) == 55,
	      "traceparent is \"%s\"", trace ? trace : "(absent)");
	CHECK(c, field(raw, "region") && conformance_same(field(raw, "region"), "eu"),
	      "attribute region is not a plain field");
	CHECK(c, field(raw, "colour") && conformance_same(field(raw, "colour"), "gr\xc3\xbcn"),
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

	CHECK(c, conformance_same(ferry_message_id(m), n == 1 ? "evt-1" : "evt-2"),
	      "the id of a foreign event is \"%s\"", ferry_message_id(m));
	CHECK(c, conformance_same(ferry_message_source(m), "/other/service"),
	      "the source of a foreign event is \"%s\"", ferry_message_source(m));
	CHECK(c, ferry_message_timestamp_us(m) == expected_us,
	      "the time of a foreign event is %" PRId64 " us, not %" PRId64, ferry_message_timestamp_us(m),
	      expected_us);
	CHECK(c, conformance_same(ferry_message_content_type(m), "application/json"),
	      "the content type of a foreign event is \"%s\"", ferry_message_content_type(m));
	CHECK(c, conformance_same(ferry_message_trace_id(m), TRACE),
	      "the trace id of a foreign event is \"%s\"", ferry_message_trace_id(m));
	CHECK(c, key && key_size == 2 && !memcmp(key, "k1", 2),
	      "the key of a foreign event is absent or changed");
	CHECK(c,
	      ferry_message_attribute_count(m) == 1 &&
		      conformance_same(ferry_message_attribute(m, "region"), "eu"),
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
	CHECK(c, conformance_same(ferry_message_attribute(m, "colour"), "blue"),
	      "a plain field did not become an attribute");
	CHECK(c, conformance_same(ferry_message_attribute(m, "X-Unknown"), "1"),
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
	CHECK(c, conformance_same(first.id, again.id),
	      "a record without an envelope changed its id from %s to %s", first.id, again.id);
	CHECK(c, !conformance_same(first.id, other.id), "two records without an envelope have the same id %s",
	      first.id);
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
	conformance_close_all(c);
}
