/*
 * message_test.c - what a message carries, its time, and manual settling.
 */
#include <pthread.h>
#include <stdlib.h>

#include "contract.h"

/* ---- what it carries ---- */

struct carried {
	char id[160], trace[300], empty[8], missing[8], content_type[40], source[48], group[48];
	bool has_key, has_empty;
	size_t key_size, attribute_count, payload_size;
	int64_t timestamp_us;
	int calls;
};

static int note(struct ferry_message *m, void *ctx)
{
	struct carried *c = ctx;
	const char *empty = ferry_message_attribute(m, "empty");
	snprintf(c->id, sizeof c->id, "%s", ferry_message_id(m));
	snprintf(c->trace, sizeof c->trace, "%s", ferry_message_trace_id(m));
	snprintf(c->content_type, sizeof c->content_type, "%s", ferry_message_content_type(m));
	snprintf(c->source, sizeof c->source, "%s", ferry_message_source(m));
	snprintf(c->group, sizeof c->group, "%s", ferry_message_group(m));
	c->has_empty = empty && !*empty;
	c->has_key = ferry_message_key(m, &c->key_size) != NULL;
	c->attribute_count = ferry_message_attribute_count(m);
	c->timestamp_us = ferry_message_timestamp_us(m);
	CHECK(ferry_message_payload(m, &c->payload_size), "the payload is NULL");
	CHECK(!ferry_message_attribute(m, "missing"), "an attribute out of nothing");
	CHECK(!ferry_message_attribute_at(m, c->attribute_count), "an attribute past the end");
	for (size_t i = 0; i < c->attribute_count; i++) {
		const struct ferry_attribute *a = ferry_message_attribute_at(m, i);
		CHECK(ferry_message_attribute(m, a->name) == a->value, "%s has two values", a->name);
	}
	c->calls++;
	return 0;
}

static struct carried carry(const struct ferry_publish_options *options)
{
	struct carried carried = {.calls = 0};
	struct ferry_bus *bus = open_still("", FERRY_OPTIONS(ferry_bus_options, .service = "shop"));
	OK(ferry_subscribe(bus, "t", note, &carried, NULL, &err));
	OK(ferry_bus_start(bus, 0, &err));
	OK(publish(bus, "t", "", options));
	turn(bus);
	CHECK(carried.calls == 1, "%d calls", carried.calls);
	CHECK(!strcmp(carried.source, "shop") && !strcmp(carried.group, "shop") && !*carried.content_type &&
		      carried.payload_size == 0 && carried.timestamp_us > INT64_C(1600000000000000),
	      "source %s, group %s, type %s, %d bytes, time %lld", carried.source, carried.group,
	      carried.content_type, (int)carried.payload_size, (long long)carried.timestamp_us);
	ferry_bus_close(bus);
	return carried;
}

static void an_empty_key_is_a_key(void)
{
	struct carried none = carry(NULL), empty = carry(PUBLISH(.key = "", .key_size = 0)),
		       zero = carry(PUBLISH(.key = "\0b", .key_size = 2));
	CHECK(!none.has_key && none.key_size == 0, "a key out of nothing");
	CHECK(empty.has_key && empty.key_size == 0, "an empty key became none");
	CHECK(zero.has_key && zero.key_size == 2, "a key of bytes was cut to %d", (int)zero.key_size);
}

static void an_attribute_may_be_empty(void)
{
	struct carried c = carry(PUBLISH(.attributes = FERRY_ATTRIBUTES({"empty", ""}, {"full", "1"})));
	CHECK(c.has_empty && c.attribute_count == 2, "%d attributes", (int)c.attribute_count);
}

static void a_trace_id_comes_through(void)
{
#define DIGITS "4bf92f3577b34da6a3ce929d0e0e4736"
	static const struct {
		const char *given, *seen;
	} rows[] = {
		{DIGITS, DIGITS},
		{"00-" DIGITS "-00f067aa0ba902b7-01", DIGITS},
		{"t1", "t1"},
		{"4BF92F3577B34DA6A3CE929D0E0E4736", "4BF92F3577B34DA6A3CE929D0E0E4736"},
		{"00-" DIGITS "-00f067aa0ba902b7", "00-" DIGITS "-00f067aa0ba902b7"},
		{"sp\303\244ter", "sp\303\244ter"},
		{"", ""},
		{NULL, ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct carried c = carry(PUBLISH(.trace_id = rows[i].given));
		CHECK(!strcmp(c.trace, rows[i].seen), "%s became %s", rows[i].given, c.trace);
	}
	static const char *const bad[] = {"two\nlines", "\377"};
	struct ferry_bus *bus = open_still("", NULL);
	OK(ferry_bus_start(bus, 0, &err));
	for (size_t i = 0; i < 2; i++)
		REFUSED(publish(bus, "t", "x", PUBLISH(.trace_id = bad[i])), FERRY_E_INVALID, "trace");
	ferry_bus_close(bus);
}

static void an_id_of_the_publisher_stays(void)
{
	struct carried c = carry(PUBLISH(.id = "order/7!~"));
	CHECK(!strcmp(c.id, "order/7!~"), "the id became %s", c.id);
	static const char *const bad[] = {"with space", "tab\t", "\303\244", ""};
	struct ferry_bus *bus = open_still("", NULL);
	OK(ferry_bus_start(bus, 0, &err));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		REFUSED(publish(bus, "t", "x", PUBLISH(.id = bad[i])), FERRY_E_INVALID, "id");
	ferry_bus_close(bus);
}

/* ---- ids ---- */

#define ID_THREADS 8
#define ID_EACH    200

static struct {
	struct ferry_bus *bus;
	char ids[ID_THREADS * ID_EACH][32];
	int count;
} many;

static int keep_id(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	CHECK(many.count < ID_THREADS * ID_EACH, "more messages than were published");
	snprintf(many.ids[many.count++], sizeof many.ids[0], "%s", ferry_message_id(m));
	return 0;
}

static void *publish_many(void *ctx)
{
	(void)ctx;
	struct ferry_publisher *publisher = open_publisher(many.bus, "t");
	for (int i = 0; i < ID_EACH; i++) {
		struct ferry_error why;
		int code = ferry_publish(publisher, "x", 1, NULL, &why);
		CHECK(code == 0, "%s", why.text);
	}
	ferry_publisher_close(publisher);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void ids_are_unique_over_threads(void)
{
	pthread_t threads[ID_THREADS];
	many.bus = open_still("", NULL);
	OK(ferry_subscribe(many.bus, "t", keep_id, NULL, NULL, &err));
	OK(ferry_bus_start(many.bus, 0, &err));
	for (int i = 0; i < ID_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, publish_many, NULL), "no thread");
	for (int i = 0; i < ID_THREADS; i++)
		pthread_join(threads[i], NULL);
	turn(many.bus);
	CHECK(many.count == ID_THREADS * ID_EACH, "%d messages", many.count);
	qsort(many.ids, (size_t)many.count, sizeof many.ids[0], compare);
	for (int i = 0; i < many.count; i++) {
		CHECK(strlen(many.ids[i]) == 26 &&
			      strspn(many.ids[i], "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == 26,
		      "the id %s", many.ids[i]);
		CHECK(i == 0 || strcmp(many.ids[i - 1], many.ids[i]) != 0, "%s twice", many.ids[i]);
	}
	ferry_bus_close(many.bus);
}

/* ---- time ---- */

struct timed {
	struct ferry_bus *bus;
	int32_t timeout_ms;
	struct ferry_message *kept;
	int calls;
};

static int64_t left_ms(const struct timed *t, const struct ferry_message *m)
{
	return (ferry_message_deadline_us(m) - ferry_bus_now_us(t->bus)) / 1000;
}

static int extend_inside(struct ferry_message *m, void *ctx)
{
	struct timed *t = ctx;
	if (t->calls++)
		return 0;
	if (t->timeout_ms == FERRY_NONE) {
		CHECK(ferry_message_deadline_us(m) == INT64_MAX, "a deadline without a timeout");
		CHECK(ferry_message_extend(m, 1000) == 0 && ferry_message_deadline_us(m) == INT64_MAX,
		      "extending made a deadline");
		return 0;
	}
	CHECK(left_ms(t, m) == 30000, "%lld ms left", (long long)left_ms(t, m));
	CHECK(ferry_message_extend(m, -1) == FERRY_E_INVALID, "a negative time was taken");
	CHECK(ferry_message_extend(m, 50) == 0 && left_ms(t, m) == 30000, "extending took time away");
	CHECK(ferry_message_extend(m, 40000) == 0 && left_ms(t, m) == 40000, "extending gave no time");
	CHECK(!ferry_message_cancelled(m), "cancelled before its time");
	CHECK(ferry_bus_advance(t->bus, 40000) == 0, "advance");
	CHECK(ferry_message_cancelled(m), "not cancelled though its time is up");
	CHECK(ferry_message_extend(m, 1000) == FERRY_E_STALE, "extended after its time");
	return 0;
}

static void more_time_can_be_had_only_before_it_is_up(void)
{
	static const int32_t timeouts[] = {0, FERRY_NONE};
	for (size_t i = 0; i < 2; i++) {
		struct timed t = {.timeout_ms = timeouts[i]};
		t.bus = open_still("", NULL);
		OK(ferry_subscribe(t.bus, "t", extend_inside, &t, HANDLER(.timeout_ms = timeouts[i]), &err));
		OK(ferry_bus_start(t.bus, 0, &err));
		OK(publish(t.bus, "t", "x", NULL));
		turn(t.bus);
		pass(t.bus, 1000);
		struct ferry_group_stats sum = stats_of(t.bus, NULL);
		uint64_t late = timeouts[i] ? 0 : 1;
		CHECK(sum.timeouts == late && sum.late_results == late && sum.handled == 1 &&
			      t.calls == 1 + (int)late,
		      "timeouts %d, late %d, handled %d, calls %d", (int)sum.timeouts, (int)sum.late_results,
		      (int)sum.handled, t.calls);
		ferry_bus_close(t.bus);
	}
}

static int keep(struct ferry_message *m, void *ctx)
{
	struct timed *t = ctx;
	if (t->calls++ == 0)
		t->kept = ferry_message_ref(m);
	else
		CHECK(ferry_message_ack(m) == 0, "the second delivery cannot be acked");
	return 0;
}

static void an_open_message_has_the_time_that_it_asked_for(void)
{
	struct timed t = {.calls = 0};
	t.bus = open_still("", NULL);
	OK(ferry_subscribe(t.bus, "t", keep, &t, HANDLER(.ack = FERRY_ACK_MANUAL), &err));
	OK(ferry_bus_start(t.bus, 0, &err));
	OK(publish(t.bus, "t", "x", PUBLISH(.id = "kept")));
	turn(t.bus);
	CHECK(stats_of(t.bus, NULL).in_flight == 1, "an open message is not in flight");
	pass(t.bus, 20000);
	CHECK(ferry_message_extend(t.kept, 100) == 0, "extend");
	pass(t.bus, 9999);
	CHECK(stats_of(t.bus, NULL).timeouts == 0, "extending took time away");
	CHECK(ferry_message_extend(t.kept, 30000) == 0, "extend");
	pass(t.bus, 29999);
	CHECK(stats_of(t.bus, NULL).timeouts == 0, "extending gave no time");
	pass(t.bus, 1);
	CHECK(stats_of(t.bus, NULL).timeouts == 1, "the time did not end");
	CHECK(ferry_message_ack(t.kept) == FERRY_E_STALE && ferry_message_nack(t.kept, 0) == FERRY_E_STALE &&
		      ferry_message_reject(t.kept) == FERRY_E_STALE &&
		      ferry_message_extend(t.kept, 1) == FERRY_E_STALE,
	      "settled after the deadline");
	CHECK(!strcmp(ferry_message_id(t.kept), "kept"), "the message changed");
	pass(t.bus, 1000);
	CHECK(t.calls == 2 && stats_of(t.bus, NULL).handled == 1, "%d calls", t.calls);
	CHECK(!strcmp(ferry_message_id(t.kept), "kept") && ferry_message_attempt(t.kept) == 1,
	      "the message changed after its retry");
	ferry_message_unref(t.kept);
	ferry_bus_close(t.bus);
}

const struct contract_test message_tests[] = {
	{"an_empty_key_is_a_key", an_empty_key_is_a_key},
	{"an_attribute_may_be_empty", an_attribute_may_be_empty},
	{"a_trace_id_comes_through", a_trace_id_comes_through},
	{"an_id_of_the_publisher_stays", an_id_of_the_publisher_stays},
	{"ids_are_unique_over_threads", ids_are_unique_over_threads},
	{"more_time_can_be_had_only_before_it_is_up", more_time_can_be_had_only_before_it_is_up},
	{"an_open_message_has_the_time_that_it_asked_for", an_open_message_has_the_time_that_it_asked_for},
	{NULL, NULL},
};
