/*
 * wire_test.c - messages as entries of a stream, there and back, and entries of strangers.
 *
 * A command has the form of a reply, so the parser of replies reads what wire_write has written.
 */
#include "wire.h"

#include "unit_test.h"

#define TOPIC "orders"

/* An entry, and what was read of it. */
struct trip {
	struct reply_reader *reader;
	const struct reply *command; /* XADD key ... */
	struct reply fields;
	struct ferry_attribute attributes[16];
	char *room;
	struct ferry_record record;
};

static const struct entry_id entry = {1700000000123, 4};

static void read_fields(struct trip *trip)
{
	size_t room = wire_room(&trip->fields) + ENTRY_ID_TEXT + strlen(TOPIC);
	CHECK(trip->fields.size / 2 <= sizeof trip->attributes / sizeof trip->attributes[0]);
	trip->room = malloc(room); /* exactly, so that a sanitizer sees what is too much */
	CHECK(trip->room);
	trip->record = (struct ferry_record){.size = sizeof trip->record, .topic = unit_view(TOPIC)};
	wire_read(&trip->record, trip->attributes, trip->room, &trip->fields, entry);
}

/* Parse a command; `skip` arguments come before the fields. */
static void parse(struct trip *trip, const struct bytes *out, size_t skip)
{
	trip->reader = reply_reader_make(&unit_host, NULL);
	CHECK(reply_feed(trip->reader, out->data, out->size));
	CHECK_EQ(reply_next(trip->reader, &trip->command), 1);
	CHECK(reply_is_array(trip->command, skip));
	trip->fields = *trip->command;
	trip->fields.items += skip;
	trip->fields.size -= skip;
	CHECK_EQ(trip->fields.size % 2, 0);
	read_fields(trip);
}

static void send_record(struct trip *trip, const struct wire_format *format,
			const struct ferry_record *record)
{
	struct bytes out = {.host = &unit_host};
	wire_write(&out, format, "ferry:{orders}", record);
	CHECK(!out.failed);
	parse(trip, &out, format->make_stream ? 3 : 4);
	bytes_free(&out);
}

/* An entry of a stranger: names and values, the last one NULL. */
static void take_strange(struct trip *trip, const char *const *fields)
{
	struct bytes out = {.host = &unit_host};
	size_t count = 0;
	while (fields[count])
		count++;
	command_begin(&out, count);
	for (size_t i = 0; i < count; i++)
		command_text(&out, fields[i]);
	parse(trip, &out, 0);
	bytes_free(&out);
}

#define STRANGE(trip, ...) take_strange((trip), (const char *const[]){__VA_ARGS__, NULL})

static void finish(struct trip *trip)
{
	reply_reader_free(trip->reader);
	free(trip->room);
}

/* The core's promise to handlers: texts end with a NUL. */
static void check_view(struct ferry_view is, struct ferry_view should)
{
	CHECK_EQ(is.size, should.size);
	if (is.size) {
		CHECK(!memcmp(is.data, should.data, is.size));
		CHECK(((const char *)is.data)[is.size] == '\0');
	}
}

static void check_same(const struct ferry_record *is, const struct ferry_record *should)
{
	check_view(is->payload, should->payload);
	check_view(is->key, should->key);
	CHECK_EQ(!is->key.data, !should->key.data);
	check_view(is->source, should->source);
	check_view(is->content_type, should->content_type);
	check_view(is->trace_id, should->trace_id);
	check_view(is->traceparent, should->traceparent);
	check_view(is->tracestate, should->tracestate);
	CHECK_EQ(is->wall_us, should->wall_us);
	CHECK_EQ(is->attribute_count, should->attribute_count);
	for (size_t i = 0; i < is->attribute_count; i++) {
		CHECK_TEXT(is->attributes[i].name, should->attributes[i].name);
		CHECK_TEXT(is->attributes[i].value, should->attributes[i].value);
	}
}

static const struct ferry_attribute some_attributes[] = {
	{"region", "eu"}, {"empty", ""}, {"d", "not the payload"}};

/* A record that has each of seven things, or has not. */
static struct ferry_record record_with(unsigned things)
{
	struct ferry_record record = {.size = sizeof record, .topic = unit_view(TOPIC)};
	record.id = unit_view("id-1");
	record.wall_us = 1700000000123456;
	if (things & 1)
		record.source = unit_view("shop 7 x");
	if (things & 2)
		record.content_type = unit_view("application/json");
	if (things & 4)
		record.key = (struct ferry_view){"k\0k", 3};
	if (things & 8)
		record.traceparent = unit_view("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
	if (things & 16)
		record.tracestate = unit_view("a=b");
	if (things & 32)
		record.trace_id = unit_view("t1");
	if (things & 64) {
		record.attributes = some_attributes;
		record.attribute_count = 3;
	}
	record.payload = things & 128 ? (struct ferry_view){"a\0\r\n$b", 6} : (struct ferry_view){NULL, 0};
	return record;
}

static void every_message_comes_back_as_it_was(void)
{
	for (unsigned things = 0; things < 256; things++) {
		for (unsigned kind = 0; kind < 4; kind++) {
			const struct wire_format format = {.compact = kind & 1, .make_stream = kind & 2};
			const struct ferry_record record = record_with(things);
			struct trip trip;
			send_record(&trip, &format, &record);
			CHECK_TEXT(trip.command->items[0]->text, "XADD");
			CHECK_TEXT(trip.command->items[1]->text, "ferry:{orders}");
			CHECK_TEXT(trip.command->items[2]->text, format.make_stream ? "*" : "NOMKSTREAM");
			CHECK_TEXT(trip.fields.items[trip.fields.size - 2]->text, "d");
			check_same(&trip.record, &record);
			check_view(trip.record.id, record.id);
			finish(&trip);
		}
	}
}

/* Others read it, too. */
static void cloudevents_have_their_names(void)
{
	static const char *const should[] = {"ce-specversion",  "1.0",
					     "ce-id",           "id-1",
					     "ce-source",       "shop 7 x",
					     "ce-type",         TOPIC,
					     "ce-time",         "2023-11-14T22:13:20.123456Z",
					     "content-type",    "application/json",
					     "ce-partitionkey", "k",
					     "traceparent"};
	const struct wire_format format = {.make_stream = true};
	const struct ferry_record record = record_with(255);
	struct trip trip;
	send_record(&trip, &format, &record);
	for (size_t i = 0; i < sizeof should / sizeof should[0]; i++)
		CHECK_TEXT(trip.fields.items[i]->text, should[i]);
	finish(&trip);
}

static void compact_has_one_field_for_five(void)
{
	const struct wire_format format = {.compact = true, .make_stream = true};
	const struct ferry_record record = record_with(1);
	struct trip trip;
	send_record(&trip, &format, &record);
	CHECK_EQ(trip.fields.size, 4);
	CHECK_TEXT(trip.fields.items[0]->text, "ferry");
	CHECK_TEXT(trip.fields.items[1]->text, "1700000000123456 8 shop 7 x id-1");
	finish(&trip);
}

static void an_id_is_made_of_its_bits(void)
{
	for (int compact = 0; compact < 2; compact++) {
		const struct wire_format format = {.compact = compact, .make_stream = true};
		struct ferry_record record = record_with(1);
		struct trip trip;
		record.id = (struct ferry_view){NULL, 0};
		record.id_bits[0] = 7;
		record.id_bits[1] = 9;
		send_record(&trip, &format, &record);
		CHECK_TEXT(trip.record.id.data, "00000000000070000000000009");
		finish(&trip);
	}
}

static void an_empty_key_is_a_key(void)
{
	const struct wire_format format = {.make_stream = true};
	struct ferry_record record = record_with(0);
	struct trip trip;
	record.key = (struct ferry_view){"", 0};
	send_record(&trip, &format, &record);
	CHECK(trip.record.key.data && !trip.record.key.size);
	finish(&trip);
}

/* Also of days before 1970, of a leap day, and when a second follows another that was just written. */
static void times_keep_their_microseconds(void)
{
	static const struct {
		int64_t us;
		const char *text;
	} times[] = {
		{0, "1970-01-01T00:00:00.000000Z"},
		{-1, "1969-12-31T23:59:59.999999Z"},
		{INT64_C(951782399999999), "2000-02-28T23:59:59.999999Z"},
		{INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
		{INT64_C(951782400000001), "2000-02-29T00:00:00.000001Z"},
		{INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"},
		{INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
	};
	const struct wire_format format = {.make_stream = true};
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		struct ferry_record record = record_with(0);
		struct trip trip;
		record.wall_us = times[i].us;
		send_record(&trip, &format, &record);
		CHECK_TEXT(trip.fields.items[6]->text, "ce-time");
		CHECK_TEXT(trip.fields.items[7]->text, times[i].text);
		CHECK_EQ(trip.record.wall_us, times[i].us);
		finish(&trip);
	}
}

static void times_of_strangers_are_understood(void)
{
	static const struct {
		const char *text;
		int64_t us;
	} times[] = {
		{"2023-11-14T22:13:20Z", 1700000000000000},
		{"2023-11-14t22:13:20z", 1700000000000000},
		{"2023-11-14 22:13:20.5Z", 1700000000500000},
		{"2023-11-14T22:13:20.123456789Z", 1700000000123456},
		{"2023-11-15T00:13:20.25+02:00", 1700000000250000},
		{"2023-11-14T16:43:20-05:30", 1700000000000000},
	};
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		struct trip trip;
		STRANGE(&trip, "ce-time", times[i].text);
		CHECK_EQ(trip.record.wall_us, times[i].us);
		CHECK_EQ(trip.record.attribute_count, 0);
		finish(&trip);
	}
}

/* Nothing of what somebody wrote is thrown away. */
static void what_is_no_time_is_an_attribute(void)
{
	static const char *const texts[] = {"",
					    "yesterday",
					    "2023-11-14",
					    "2023-13-14T22:13:20Z",
					    "2023-11-00T22:13:20Z",
					    "2023-11-14T22:13:20",
					    "2023-11-14T22:13:20+2",
					    "1700000000"};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct trip trip;
		STRANGE(&trip, "ce-time", texts[i]);
		CHECK_EQ(trip.record.wall_us, 1700000000123000);
		CHECK_EQ(trip.record.attribute_count, 1);
		CHECK_TEXT(trip.record.attributes[0].value, texts[i]);
		finish(&trip);
	}
}

static void an_entry_without_envelope_is_accepted(void)
{
	struct trip trip;
	STRANGE(&trip, "sensor", "7", "d", "hello");
	CHECK_TEXT(trip.record.id.data, "orders/1700000000123-4");
	CHECK_EQ(trip.record.id.size, strlen("orders/1700000000123-4"));
	CHECK_EQ(trip.record.wall_us, 1700000000123000);
	CHECK_TEXT(trip.record.payload.data, "hello");
	CHECK(!trip.record.key.data && !trip.record.source.size);
	CHECK_EQ(trip.record.attribute_count, 1);
	CHECK_TEXT(trip.record.attributes[0].name, "sensor");
	finish(&trip);
}

static void an_entry_without_payload_has_an_empty_one(void)
{
	struct trip trip;
	STRANGE(&trip, "ce-id", "x", "action", "ping", "ce-unknown", "y", "ferryman", "z");
	CHECK_EQ(trip.record.payload.size, 0);
	CHECK_TEXT(trip.record.id.data, "x");
	CHECK_EQ(trip.record.attribute_count, 3);
	CHECK_TEXT(trip.record.attributes[1].name, "ce-unknown");
	CHECK_TEXT(trip.record.attributes[2].name, "ferryman");
	finish(&trip);
}

static void the_last_d_is_the_payload(void)
{
	struct trip trip;
	STRANGE(&trip, "d", "first", "d", "second", "x", "y");
	CHECK_TEXT(trip.record.payload.data, "second");
	CHECK_EQ(trip.record.attribute_count, 2);
	CHECK_TEXT(trip.record.attributes[0].name, "d");
	CHECK_TEXT(trip.record.attributes[0].value, "first");
	finish(&trip);
}

static void other_spellings_of_trace_context_are_read(void)
{
	struct trip trip;
	STRANGE(&trip, "ce-traceparent", "00-1", "ce-tracestate", "a=b", "ce-id", "");
	CHECK_TEXT(trip.record.traceparent.data, "00-1");
	CHECK_TEXT(trip.record.tracestate.data, "a=b");
	CHECK_TEXT(trip.record.id.data, "orders/1700000000123-4");
	finish(&trip);
}

static void a_broken_compact_field_is_as_good_as_none(void)
{
	static const char *const values[] = {"",         " ",       "x",       "1",
					     "1 ",       "1 2",     "1 2 ",    "1 99 a b",
					     "1 3 a b",  "a 1 a b", "1 x a b", "1 18446744073709551615 a b",
					     "1 -1 a b", "1 1 ab"};
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct trip trip;
		STRANGE(&trip, "ferry", values[i], "d", "p");
		CHECK_TEXT(trip.record.id.data, "orders/1700000000123-4");
		CHECK_EQ(trip.record.wall_us, 1700000000123000);
		CHECK_EQ(trip.record.source.size, 0);
		CHECK_TEXT(trip.record.payload.data, "p");
		finish(&trip);
	}
}

/* A text ends at its NUL; a key and a payload do not. */
static void nuls_are_kept_where_bytes_are_kept(void)
{
	struct bytes out = {.host = &unit_host};
	struct trip trip;
	command_begin(&out, 6);
	command_data(&out, "na\0me", 5);
	command_data(&out, "va\0lue", 6);
	command_text(&out, "ce-partitionkey");
	command_data(&out, "\0", 1);
	command_text(&out, "d");
	command_data(&out, "\0\0", 2);
	parse(&trip, &out, 0);
	CHECK_TEXT(trip.record.attributes[0].name, "na");
	CHECK_TEXT(trip.record.attributes[0].value, "va");
	CHECK(trip.record.key.size == 1 && trip.record.payload.size == 2);
	finish(&trip);
	bytes_free(&out);
}

static void missing_memory_is_noticed(void)
{
	const struct wire_format format = {.make_stream = true};
	const struct ferry_record record = record_with(255);
	char large[5000] = "";
	struct ferry_record more = record;
	more.payload = (struct ferry_view){large, sizeof large};
	for (long allowed = 0; allowed < 2; allowed++) {
		struct bytes out = {.host = &unit_host};
		unit_allocs_allowed = allowed;
		wire_write(&out, &format, "k", &more);
		CHECK(out.failed);
		unit_allocs_allowed = -1;
		bytes_free(&out);
	}
}

const struct unit_test unit_tests[] = {
	TEST(every_message_comes_back_as_it_was),
	TEST(cloudevents_have_their_names),
	TEST(compact_has_one_field_for_five),
	TEST(an_id_is_made_of_its_bits),
	TEST(an_empty_key_is_a_key),
	TEST(times_keep_their_microseconds),
	TEST(times_of_strangers_are_understood),
	TEST(what_is_no_time_is_an_attribute),
	TEST(an_entry_without_envelope_is_accepted),
	TEST(an_entry_without_payload_has_an_empty_one),
	TEST(the_last_d_is_the_payload),
	TEST(other_spellings_of_trace_context_are_read),
	TEST(a_broken_compact_field_is_as_good_as_none),
	TEST(nuls_are_kept_where_bytes_are_kept),
	TEST(missing_memory_is_noticed),
	{NULL, NULL},
};
