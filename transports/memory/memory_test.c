/*
 * memory_test.c - what the transport does, call by call.
 *
 *     memory_test PLUGIN README
 */
#include "test_host.h"

static const char *readme_path;

static void is_described_by_its_readme(void)
{
	static char readme[16384], row[512];
	static const char *const types[] = {[FERRY_OPTION_INTEGER] = "integer", [FERRY_OPTION_SIZE] = "size"};
	FILE *file = fopen(readme_path, "r");
	CHECK(file);
	size_t size = fread(readme, 1, sizeof readme - 1, file);
	CHECK(size && size < sizeof readme - 1);
	fclose(file);
	for (const struct ferry_option *o = bus.api->options; o->name; o++) {
		snprintf(row, sizeof row, "\n| `%s` | %s | `%s` | %s |\n", o->name, types[o->type],
			 o->default_value, o->help);
		CHECK(strstr(readme, row));
	}
}

static void carries_every_field(void)
{
	const struct ferry_attribute attributes[] = {{"region", "eu"}, {"empty", ""}};
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	struct ferry_outgoing out = outgoing("t", "a\0b", 3), *list = &out;
	out.record.key = view("k", 1);
	out.record.id = view("id-1", 4);
	out.record.source = view("shop", 4);
	out.record.content_type = view("text/plain", 10);
	out.record.trace_id = view("t1", 2);
	out.record.traceparent = view("00-ab", 5);
	out.record.tracestate = view("x=y", 3);
	out.record.wall_us = 42;
	out.record.attributes = attributes;
	out.record.attribute_count = 2;
	CHECK_EQ(bus.api->publish(bus.connection, &list, 1), 1);
	CHECK_EQ(out.result, 0);
	CHECK_EQ(publish_bytes("t", NULL, 0), 1);

	CHECK_EQ(fetch(&reader, &batch, BATCH), 2);
	const struct ferry_delivery *first = &batch.deliveries[0], *second = &batch.deliveries[1];
	const struct ferry_record *r = &first->record;
	CHECK(is_text(r->topic, "t") && is_text(r->key, "k") && is_text(r->id, "id-1"));
	CHECK(is_text(r->source, "shop") && is_text(r->content_type, "text/plain"));
	CHECK(is_text(r->trace_id, "t1") && is_text(r->traceparent, "00-ab") &&
	      is_text(r->tracestate, "x=y"));
	CHECK(r->payload.size == 3 && memcmp(r->payload.data, "a\0b", 3) == 0);
	CHECK_EQ((uintptr_t)r->payload.data % 16, 0);
	CHECK_EQ(r->wall_us, 42);
	CHECK_EQ(r->attribute_count, 2);
	CHECK(strcmp(r->attributes[0].name, "region") == 0 && strcmp(r->attributes[0].value, "eu") == 0);
	CHECK(strcmp(r->attributes[1].name, "empty") == 0 && strcmp(r->attributes[1].value, "") == 0);
	CHECK_EQ(first->attempt, 1);
	CHECK_EQ(first->first_failed_wall_us, 0);
	CHECK(!second->record.key.data && !second->record.payload.size && !second->record.id.size);
	CHECK(second->record.id_bits[0] == 7 && second->record.id_bits[1] == 9);

	char position[8];
	CHECK_EQ(bus.api->position(reader.source, second, position, sizeof position), 1);
	CHECK(strcmp(position, "1") == 0);
	ack_all(&reader, &batch);
	CHECK_EQ(close_source(reader.source), 0);
	disconnect();
}

/* The usual message: a payload and the process's own service as source, which is not copied. */
static void carries_its_own_source(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	struct ferry_outgoing out = outgoing("t", "17", 2), *list = &out;
	out.record.source = view(bus.config.service, strlen(bus.config.service));
	CHECK_EQ(bus.api->publish(bus.connection, &list, 1), 1);
	out.record.key = view("k", 1);
	CHECK_EQ(bus.api->publish(bus.connection, &list, 1), 1);
	for (uint32_t attempt = 1; attempt <= 3; attempt++) { /* in the log, then copied out */
		CHECK_EQ(fetch(&reader, &batch, BATCH), 2);
		for (size_t i = 0; i < 2; i++) {
			const struct ferry_record *r = &batch.deliveries[i].record;
			CHECK(is_text(r->payload, "17") && is_text(r->source, "service") &&
			      is_text(r->topic, "t"));
			CHECK(i ? is_text(r->key, "k") : !r->key.data);
			CHECK(r->id_bits[0] == 7 && r->id_bits[1] == 9 && !r->attribute_count);
			CHECK_EQ(batch.deliveries[i].attempt, attempt);
			CHECK_EQ(settle(&reader, &batch.deliveries[i], FERRY_SETTLE_NACK, 0, 0), 0);
		}
	}
	CHECK_EQ(close_source(reader.source), 2);
	disconnect();
}

/* Nothing is stored for nobody. */
static void stores_nothing_without_a_reader(void)
{
	CONNECT(.queue = 2);
	CHECK_EQ(publish_numbers("t", 0, 100), 100);
	struct reader reader;
	subscribe(&reader, "g", "t", EARLIEST, 0);
	CHECK_EQ(publish_numbers("t", 100, 101), 1);
	expect_numbers(&reader, 100, 101);
	close_source(reader.source);
	disconnect();
}

/* More than a chunk, settled out of order: one late message must not stop the rest. */
static void settles_out_of_order(void)
{
	struct reader reader;
	struct batch late, batch;
	CONNECT(.budget = 256 << 10);
	subscribe(&reader, "g", "t", NEW, 0);
	CHECK_EQ(publish_numbers("t", 0, 1), 1);
	CHECK_EQ(fetch(&reader, &late, BATCH), 1);
	for (int i = 1; i < 20000; i += 50) {
		CHECK_EQ(publish_numbers("t", i, i + 50), 50);
		CHECK_EQ(fetch(&reader, &batch, 50), 50);
		for (size_t k = batch.count; k-- > 0;) {
			CHECK_EQ(number(&batch.deliveries[k]), i + (int)k);
			CHECK_EQ(settle(&reader, &batch.deliveries[k], FERRY_SETTLE_ACK, 0, 0), 0);
		}
	}
	CHECK_EQ(number(&late.deliveries[0]), 0);
	ack_all(&reader, &late);
	close_source(reader.source);
	disconnect();
}

static void retries_when_due_in_order(void)
{
	struct reader reader;
	struct batch batch, again;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	publish_numbers("t", 0, 4);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 4);
	const int64_t delay[] = {3000, 1000, 2000, 1000};
	for (int i = 0; i < 4; i++)
		CHECK_EQ(settle(&reader, &batch.deliveries[i], FERRY_SETTLE_NACK, delay[i], 0), 0);
	CHECK_EQ(reader.due_us, 2000); /* now is 1000 */
	CHECK_EQ(fetch(&reader, &again, BATCH), 0);
	CHECK_EQ(bus.api->arm(reader.sub), 0);

	atomic_store(&bus.now_us, 2000);
	CHECK_EQ(bus.api->arm(reader.sub), 1);
	publish_numbers("t", 4, 5);
	CHECK_EQ(fetch(&reader, &again, BATCH), 3); /* due retries first */
	CHECK_EQ(number(&again.deliveries[0]), 1);
	CHECK_EQ(number(&again.deliveries[1]), 3);
	CHECK_EQ(number(&again.deliveries[2]), 4);
	CHECK_EQ(again.deliveries[0].attempt, 2);
	CHECK_EQ(again.deliveries[0].first_failed_wall_us, 1700000000001000);
	CHECK_EQ(settle(&reader, &again.deliveries[0], FERRY_SETTLE_NACK, 500, 0), 0);
	CHECK_EQ(settle(&reader, &again.deliveries[1], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &again.deliveries[2], FERRY_SETTLE_ACK, 0, 0), 0);

	atomic_store(&bus.now_us, 10000);
	CHECK_EQ(fetch(&reader, &again, BATCH), 3);
	CHECK_EQ(number(&again.deliveries[0]), 1);
	CHECK_EQ(again.deliveries[0].attempt, 3);
	CHECK_EQ(again.deliveries[0].first_failed_wall_us, 1700000000001000);
	CHECK_EQ(number(&again.deliveries[1]), 2);
	CHECK_EQ(number(&again.deliveries[2]), 0);
	ack_all(&reader, &again);
	CHECK_EQ(close_source(reader.source), 0);
	disconnect();
}

static void hands_back_in_front_with_the_same_attempt(void)
{
	struct reader reader;
	struct batch batch, again;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	publish_numbers("t", 0, 6);
	CHECK_EQ(fetch(&reader, &batch, 4), 4);
	CHECK_EQ(bus.api->arm(reader.sub), 1); /* two are left */
	for (int i = 3; i > 0; i--)
		CHECK_EQ(settle(&reader, &batch.deliveries[i], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(fetch(&reader, &again, BATCH), 5);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(number(&again.deliveries[i]), i + 1);
		CHECK_EQ(again.deliveries[i].attempt, 1);
	}
	/* A held retry that is handed back keeps the attempt that it waited for. */
	struct ferry_settle hold = {
		.delivery = &batch.deliveries[0], .verb = FERRY_SETTLE_HOLD, .attempt = 4};
	bus.api->settle(reader.source, &hold, 1);
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_EXTEND, 0, 0), 0);
	CHECK_EQ(reader.ready, 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(reader.ready, 1);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 1);
	CHECK_EQ(batch.deliveries[0].attempt, 4);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	ack_all(&reader, &again);
	CHECK_EQ(close_source(reader.source), 1); /* what was handed back is dropped by the stop */
	disconnect();
}

static void refuses_a_second_settle(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	publish_numbers("t", 0, 1);
	fetch(&reader, &batch, 1);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_NACK, 0, 0), FERRY_E_STALE);
	CHECK_EQ(fetch(&reader, &batch, 1), 0);
	close_source(reader.source);
	disconnect();
}

static void gives_each_broadcast_reader_everything(void)
{
	struct reader a, b, late;
	struct batch batch;
	CONNECT(.queue = 8);
	struct ferry_source *source = open_source("svc", BROADCAST);
	CHECK_EQ(try_subscribe(&a, source, "t", NEW, 0), 0);
	CHECK_EQ(try_subscribe(&b, source, "t", NEW, 0), 0);
	start_source(source);
	CHECK_EQ(publish_numbers("t", 0, 10),
		 8); /* the slowest reader counts, and half a broadcast there is not */
	expect_numbers(&a, 0, 8);
	CHECK_EQ(publish("t", "8"), 0);
	CHECK_EQ(fetch(&b, &batch, 3), 3);
	CHECK_EQ(bus.writable, 0);
	ack_all(&b, &batch);
	CHECK_EQ(fetch(&b, &batch, 1), 1);
	CHECK_EQ(bus.writable, 1);
	ack_all(&b, &batch);
	subscribe(&late, "g", "t", NEW, 0);
	CHECK_EQ(publish_numbers("t", 8, 9), 1);
	expect_numbers(&a, 8, 9);
	expect_numbers(&b, 4, 9);
	expect_numbers(&late, 8, 9);
	close_source(late.source);
	CHECK_EQ(close_source(source), 0);
	disconnect();
}

static void bounds_the_queue_and_says_when_there_is_room(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(.queue = 4);
	subscribe(&reader, "g", "t", NEW, 0);
	struct ferry_outgoing outs[6], *list[6];
	for (int i = 0; i < 6; i++) {
		outs[i] = outgoing("t", "0", 1);
		list[i] = &outs[i];
	}
	CHECK_EQ(bus.api->publish(bus.connection, list, 6), 4);
	CHECK_EQ(outs[3].result, 0);
	CHECK_EQ(outs[4].result, -99);
	CHECK_EQ(fetch(&reader, &batch, 1), 1);
	CHECK_EQ(bus.writable, 0);
	ack_all(&reader, &batch);
	CHECK_EQ(fetch(&reader, &batch, 1), 1); /* taken counts, not settled */
	CHECK_EQ(bus.writable, 1);
	ack_all(&reader, &batch);
	CHECK_EQ(bus.api->publish(bus.connection, list + 4, 2), 2);
	CHECK_EQ(publish("t", "x"), 0);
	CHECK_EQ(close_source(reader.source), 4); /* and then nobody holds publishers back */
	CHECK_EQ(bus.writable, 2);
	CHECK_EQ(publish("t", "x"), 1);
	disconnect();
}

static void bounds_the_bytes_of_the_queue(void)
{
	static char big[100000];
	struct reader reader;
	struct batch batch;
	CONNECT(.queue_bytes = 10000, .budget = 300000);
	subscribe(&reader, "g", "t", NEW, 0);
	CHECK_EQ(publish_bytes("t", big, sizeof big), 1); /* one is always let in */
	CHECK_EQ(publish("t", "1"), 0);
	CHECK_EQ(fetch(&reader, &batch, 1), 1);
	CHECK_EQ(bus.writable, 1);
	CHECK_EQ(batch.deliveries[0].record.payload.size, sizeof big);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(publish_bytes("t", big, 3000), 1);
	CHECK_EQ(publish_bytes("t", big, 3000), 0);
	ack_all(&reader, &batch);
	while (fetch(&reader, &batch, 1))
		ack_all(&reader, &batch);
	CHECK_EQ(publish_bytes("t", big, 400000), FERRY_E_REJECTED); /* can never be held */
	close_source(reader.source);
	disconnect();
}

static void bounds_the_memory_of_the_connection(void)
{
	static char big[8000];
	struct reader reader, other;
	struct batch batch, held;
	CONNECT(.budget = 64 << 10);
	subscribe(&reader, "g", "t", NEW, 0);
	subscribe(&other, "g", "other", NEW, 0);
	int stored = 0;
	while (publish_bytes("t", big, sizeof big) == 1)
		stored++;
	CHECK(stored >= 4 && stored <= 8);
	CHECK_EQ(publish("other", "x"), 0); /* all topics share it */
	CHECK_EQ(fetch(&reader, &held, BATCH), stored);
	CHECK_EQ(publish("other", "x"), 0);
	/* A failure never lacks memory. */
	for (int i = 0; i < stored; i++)
		CHECK_EQ(settle(&reader, &held.deliveries[i], FERRY_SETTLE_NACK, 10, 0), 0);
	CHECK_EQ(bus.api->arm(reader.sub), 0); /* it lets go of the chunk that it stood in */
	atomic_store(&bus.now_us, 5000);
	CHECK_EQ(fetch(&reader, &batch, BATCH), stored);
	ack_all(&reader, &batch);
	CHECK_EQ(bus.writable, 1);
	CHECK_EQ(publish("other", "0"), 1);
	expect_numbers(&other, 0, 1);
	close_source(reader.source);
	close_source(other.source);
	disconnect();
}

/* What is only retained gives way to what is to be delivered. */
static void gives_up_retained_messages_for_memory(void)
{
	static char big[8000];
	struct reader reader;
	struct batch batch;
	CONNECT(.budget = 64 << 10, .retain_dlq = 10000);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(publish_bytes("dlq.g.t", big, sizeof big), 1);
	CHECK(atomic_load(&bus.evicted) >= 92);
	subscribe(&reader, "g", "t", NEW, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(publish_bytes("t", big, sizeof big), 1);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 4);
	ack_all(&reader, &batch);
	close_source(reader.source);
	disconnect();
}

static void stops_at_max_unsettled_but_for_retries(void)
{
	struct reader reader;
	struct batch batch, again;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 3);
	publish_numbers("t", 0, 6);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 3);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_NACK, 1000, 0), 0);
	CHECK_EQ(fetch(&reader, &again, BATCH), 0); /* a waiting retry counts */
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	publish_numbers("t", 6, 7);
	atomic_store(&bus.now_us, 3000);
	CHECK_EQ(fetch(&reader, &again, BATCH), 1); /* the retry alone */
	CHECK_EQ(number(&again.deliveries[0]), 0);
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	int ready = reader.ready;
	ack_all(&reader, &again);
	CHECK_EQ(reader.ready, ready + 1); /* below the bound: wakes the one that was armed */
	CHECK_EQ(fetch(&reader, &again, BATCH), 1);
	CHECK_EQ(number(&again.deliveries[0]), 3);
	ack_all(&reader, &again);
	CHECK_EQ(settle(&reader, &batch.deliveries[1], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[2], FERRY_SETTLE_REJECT, 0, 0), 0);
	expect_numbers(&reader, 4, 7);
	close_source(reader.source);
	disconnect();
}

static void wakes_an_armed_reader_once(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	CHECK_EQ(publish("t", "0"), 1);
	CHECK_EQ(reader.ready, 0);
	CHECK_EQ(bus.api->arm(reader.sub), 1);
	CHECK_EQ(publish("t", "1"), 1);
	CHECK_EQ(reader.ready, 0); /* not armed: there was something */
	expect_numbers(&reader, 0, 2);
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	CHECK_EQ(publish_numbers("t", 2, 4), 2);
	CHECK_EQ(reader.ready, 1);
	expect_numbers(&reader, 2, 4);

	publish_numbers("t", 4, 5);
	CHECK_EQ(fetch(&reader, &batch, 1), 1);
	CHECK_EQ(bus.api->arm(reader.sub), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_NACK, 0, 0), 0);
	CHECK_EQ(reader.ready, 2);
	expect_numbers(&reader, 4, 5);
	close_source(reader.source);
	disconnect();
}

/* Many more readers than are woken at a time. */
static void wakes_a_thousand_readers(void)
{
	static struct reader readers[1000];
	CONNECT(0);
	struct ferry_source *source = open_source("svc", BROADCAST);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(try_subscribe(&readers[i], source, "t", NEW, 0), 0);
	start_source(source);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++)
			CHECK_EQ(bus.api->arm(readers[i].sub), 0);
		CHECK_EQ(publish("t", "0"), 1);
		for (int i = 0; i < 1000; i++) {
			CHECK_EQ(readers[i].ready, round + 1);
			expect_numbers(&readers[i], 0, 1);
			if (i == 0)
				CHECK_EQ(bus.api->arm(readers[i].sub), 0);
		}
	}
	close_source(source);
	disconnect();
}

static void retains_the_newest(void)
{
	struct reader reader, again;
	struct batch batch;
	CONNECT(.retain = 10);
	CHECK_EQ(publish_numbers("t", 0, 25), 25); /* for nobody, yet kept */
	CHECK_EQ(atomic_load(&bus.evicted), 15);
	subscribe(&reader, "g", "t", EARLIEST, 0);
	expect_numbers(&reader, 15, 25);
	/* What a reader has not taken is not evicted. */
	CHECK_EQ(publish_numbers("t", 25, 45), 20);
	CHECK_EQ(atomic_load(&bus.evicted), 30 - 5); /* 25..34 are queued, 0..24 have gone */
	CHECK_EQ(fetch(&reader, &batch, 4), 4);
	CHECK_EQ(atomic_load(&bus.evicted), 29);
	expect_numbers(&reader, 29, 45);
	CHECK_EQ(atomic_load(&bus.evicted), 35);
	CHECK_EQ(number(&batch.deliveries[0]), 25); /* evicted, and still in our hands */
	ack_all(&reader, &batch);
	subscribe(&again, "h", "t", EARLIEST, 0);
	expect_numbers(&again, 35, 45);
	close_source(again.source);
	subscribe(&again, "i", "t", NEW, 0);
	expect_numbers(&again, 45, 45);
	close_source(again.source);
	close_source(reader.source);
	disconnect();
}

/* A reader that starts far behind holds publishers back like any other. */
static void counts_a_backlog_as_queued(void)
{
	struct reader reader;
	struct batch batch;
	CONNECT(.retain = 10, .queue = 4);
	CHECK_EQ(publish_numbers("t", 0, 10), 10);
	subscribe(&reader, "g", "t", EARLIEST, 0);
	CHECK_EQ(publish("t", "10"), 0);
	CHECK_EQ(fetch(&reader, &batch, 8), 8);
	CHECK_EQ(bus.writable, 1);
	ack_all(&reader, &batch);
	CHECK_EQ(publish("t", "10"), 1);
	expect_numbers(&reader, 8, 11);
	close_source(reader.source);
	disconnect();
}

static void keeps_views_until_release(void)
{
	struct reader reader;
	struct batch batch, more;
	CONNECT(.budget = 200 << 10);
	subscribe(&reader, "g", "t", NEW, 0);
	const int verbs[] = {FERRY_SETTLE_ACK, FERRY_SETTLE_NACK, FERRY_SETTLE_HANDBACK, FERRY_SETTLE_REJECT};
	publish_numbers("t", 0, 4);
	CHECK_EQ(fetch(&reader, &batch, 4), 4);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(settle(&reader, &batch.deliveries[i], verbs[i], 100, FERRY_SETTLE_KEEP), 0);
	CHECK_EQ(fetch(&reader, &more, BATCH), 1);
	CHECK_EQ(number(&more.deliveries[0]), 2);
	ack_all(&reader, &more);
	atomic_store(&bus.now_us, 5000);
	CHECK_EQ(fetch(&reader, &more, BATCH), 1);
	CHECK_EQ(number(&more.deliveries[0]), 1);
	ack_all(&reader, &more);
	for (int i = 4; i < 5000; i += 50) { /* other messages come and go */
		publish_numbers("t", i, i + 50);
		expect_numbers(&reader, i, i + 50);
		CHECK_EQ(bus.api->arm(reader.sub), 0); /* so that chunks are reused from the smallest on */
	}
	struct ferry_delivery *list[4];
	for (int i = 0; i < 4; i++) {
		list[i] = &batch.deliveries[i];
		CHECK_EQ(number(list[i]), i);
	}
	bus.api->release(reader.source, list, 4);
	close_source(reader.source);
	disconnect();
}

static int dead_letter(struct reader *reader, struct ferry_delivery *delivery, const char *name)
{
	struct ferry_outgoing dead = outgoing(name, NULL, 0);
	dead.record = delivery->record;
	bus.api->dead_letter(reader->source, delivery, &dead);
	return dead.result;
}

static void moves_dead_letters(void)
{
	struct reader reader, dlq;
	struct batch batch;
	struct ferry_delivery *list[2] = {&batch.deliveries[0], &batch.deliveries[1]};
	CONNECT(.retain_dlq = 3, .queue = 2);
	subscribe(&reader, "g", "t", NEW, 1);
	for (int i = 0; i < 4; i += 2) {
		publish_numbers("t", i, i + 2);
		CHECK_EQ(fetch(&reader, &batch, BATCH), 1);
		CHECK_EQ(dead_letter(&reader, &batch.deliveries[0], "dlq.g.t"), 0);
		CHECK_EQ(dead_letter(&reader, &batch.deliveries[0], "dlq.g.t"), FERRY_E_STALE);
		CHECK_EQ(number(&batch.deliveries[0]), i);
		bus.api->release(reader.source, list, 1);
		CHECK_EQ(fetch(&reader, &batch, BATCH), 1); /* it no longer counts as unsettled */
		CHECK_EQ(dead_letter(&reader, &batch.deliveries[0], "failed"), 0);
		bus.api->release(reader.source, list, 1);
	}
	subscribe(&dlq, "ops", "dlq.g.t", EARLIEST, 0);
	CHECK_EQ(fetch(&dlq, &batch, BATCH), 2);
	CHECK_EQ(number(&batch.deliveries[0]), 0);
	CHECK_EQ(number(&batch.deliveries[1]), 2);
	CHECK(is_text(batch.deliveries[1].record.topic, "dlq.g.t"));
	ack_all(&dlq, &batch);
	close_source(dlq.source);
	subscribe(&dlq, "ops", "failed", EARLIEST, 0); /* retained whatever its name is */
	CHECK_EQ(fetch(&dlq, &batch, BATCH), 2);
	CHECK_EQ(number(&batch.deliveries[1]), 3);
	ack_all(&dlq, &batch);
	/* A full queue of dead letters does not stop them: their memory was held already. */
	for (int i = 10; i < 16; i++) {
		publish_numbers("t", i, i + 1);
		CHECK_EQ(fetch(&reader, &batch, 1), 1);
		CHECK_EQ(dead_letter(&reader, &batch.deliveries[0], "failed"), 0);
		bus.api->release(reader.source, list, 1);
	}
	expect_numbers(&dlq, 10, 16);
	close_source(dlq.source);
	close_source(reader.source);
	disconnect();
}

static void resumes_a_group(void)
{
	struct reader reader, twin;
	struct batch batch;
	CONNECT(.retain = 6);
	subscribe(&reader, "g", "t", NEW, 0);
	struct ferry_source *other = open_source("g", COMPETING);
	CHECK_EQ(try_subscribe(&twin, other, "t", NEW, 0), FERRY_E_STATE);
	close_source(other);
	publish_numbers("t", 0, 8);
	CHECK_EQ(fetch(&reader, &batch, 6), 6);
	CHECK_EQ(settle(&reader, &batch.deliveries[1], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[3], FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[4], FERRY_SETTLE_NACK, 100, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[0], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[2], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(settle(&reader, &batch.deliveries[5], FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(close_source(reader.source), 2 + 3);
	publish_numbers("t", 8, 9); /* 3..8 are retained: 1 has gone */
	atomic_store(&bus.now_us, 9000);
	subscribe(&reader, "g", "t", NEW, 0);
	CHECK_EQ(fetch(&reader, &batch, BATCH), 5);
	const int should[] = {3, 4, 6, 7, 8}, attempt[] = {1, 2, 1, 1, 1};
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(number(&batch.deliveries[i]), should[i]);
		CHECK_EQ(batch.deliveries[i].attempt, attempt[i]);
	}
	ack_all(&reader, &batch);
	close_source(reader.source);
	publish_numbers("t", 9, 30); /* a group that is away holds nothing back */
	subscribe(&reader, "g", "t", NEW, 0);
	expect_numbers(&reader, 24, 30);
	close_source(reader.source);
	disconnect();
}

static void carries_big_and_small(void)
{
	static unsigned char bytes[300000];
	struct reader reader;
	struct batch batch;
	CONNECT(0);
	subscribe(&reader, "g", "t", NEW, 0);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 7);
	const size_t sizes[] = {1, 0, 4000, 65000, 16, 70000, 300000, 5};
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < 8; i++)
			CHECK_EQ(publish_bytes("t", bytes, sizes[i]), 1);
		CHECK_EQ(fetch(&reader, &batch, BATCH), 8);
		for (size_t i = 0; i < 8; i++) {
			CHECK_EQ(batch.deliveries[i].record.payload.size, sizes[i]);
			CHECK(!sizes[i] || !memcmp(batch.deliveries[i].record.payload.data, bytes, sizes[i]));
			CHECK_EQ(settle(&reader, &batch.deliveries[i],
					round & 1 ? FERRY_SETTLE_NACK : FERRY_SETTLE_ACK, 0, 0),
				 0);
		}
		if (round & 1) {
			CHECK_EQ(fetch(&reader, &batch, BATCH), 8);
			for (size_t i = 0; i < 8; i++)
				CHECK(!sizes[i] ||
				      !memcmp(batch.deliveries[i].record.payload.data, bytes, sizes[i]));
			ack_all(&reader, &batch);
		}
	}
	CHECK_EQ(close_source(reader.source), 0);
	disconnect();
}

/* A thousand topics must not need a thousand chunks of full size, nor any when they are idle. */
static void is_cheap_for_quiet_topics(void)
{
	static struct reader readers[1000];
	char name[32];
	CONNECT(.budget = 5 << 20);
	struct ferry_source *source = open_source("g", COMPETING);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "t%d", i);
		CHECK_EQ(try_subscribe(&readers[i], source, name, NEW, 0), 0);
	}
	start_source(source);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "t%d", i);
		CHECK_EQ(publish(name, "0"), 1);
	}
	for (int i = 0; i < 1000; i++) {
		expect_numbers(&readers[i], 0, 1);
		CHECK_EQ(bus.api->arm(readers[i].sub), 0);
	}
	static char big[4 << 20];
	CHECK_EQ(publish_bytes("t0", big, sizeof big), 1);
	CHECK_EQ(close_source(source), 1);
	disconnect();
}

/* ---- allocation failures ---- */

/* Publish three, fail each once, ack them; returns whether the lack of memory was felt. */
static int work_with_failures(struct reader *reader)
{
	struct batch batch;
	struct ferry_delivery *list[1] = {&batch.deliveries[0]};
	int failed = 0, stored = 0;
	for (int i = 0; i < 3; i++) {
		int result = publish("t", "0");
		CHECK(result == 1 || result == FERRY_E_NOMEM);
		stored += result == 1;
		failed |= result != 1;
	}
	for (int i = 0; i < stored; i++) {
		batch.deliveries[0].size = sizeof batch.deliveries[0];
		int got = bus.api->fetch(reader->source, reader->sub, list, 1, 0);
		if (got == FERRY_E_NOMEM) {
			failed = 1;
			atomic_store(&bus.fail_after, -1);
			got = bus.api->fetch(reader->source, reader->sub, list, 1, 0);
		}
		CHECK_EQ(got, 1);
		failed |= atomic_load(&bus.fail_after) == 0; /* then the retry is not copied */
		CHECK_EQ(settle(reader, list[0], FERRY_SETTLE_NACK, 10, 0), 0);
	}
	atomic_store(&bus.now_us, 9000);
	CHECK_EQ(fetch(reader, &batch, BATCH), stored);
	for (int i = 0; i < stored; i++) {
		CHECK_EQ(number(&batch.deliveries[i]), 0);
		CHECK_EQ(batch.deliveries[i].attempt, 2);
	}
	ack_all(reader, &batch);
	return failed;
}

/* A short life in which so many allocations succeed: an error or less work, but nothing lost or leaked. */
static int live_with_failures(long succeed)
{
	struct reader reader;
	struct ferry_error err;
	struct ferry_source *source;
	struct ferry_source_spec spec = {.size = sizeof spec, .group = "g", .distribution = COMPETING};
	struct ferry_destination *destination;
	int failed = 1;

	atomic_store(&bus.fail_after, succeed);
	if (try_connect((struct limits){0}))
		goto done;
	CHECK_EQ(bus.api->start(bus.connection, INT64_MAX, &err), 0);
	if (bus.api->source_open(bus.connection, &spec, &source, &err))
		goto disconnect;
	if (!try_subscribe(&reader, source, "t", NEW, 0) &&
	    !bus.api->destination(bus.connection, "t", INT64_MAX, &destination, &err)) {
		start_source(source);
		failed = work_with_failures(&reader);
	}
	CHECK_EQ(close_source(source), 0);
disconnect:
	disconnect();
done:
	atomic_store(&bus.fail_after, -1);
	CHECK_EQ(atomic_load(&bus.allocations), 0);
	return failed;
}

static void survives_every_allocation_failure(void)
{
	long n = 0;
	while (live_with_failures(n))
		CHECK(++n < 100);
	CHECK(n >= 8);
}

static const struct test tests[] = {
	TEST(is_described_by_its_readme),
	TEST(carries_every_field),
	TEST(carries_its_own_source),
	TEST(stores_nothing_without_a_reader),
	TEST(settles_out_of_order),
	TEST(retries_when_due_in_order),
	TEST(hands_back_in_front_with_the_same_attempt),
	TEST(refuses_a_second_settle),
	TEST(gives_each_broadcast_reader_everything),
	TEST(bounds_the_queue_and_says_when_there_is_room),
	TEST(bounds_the_bytes_of_the_queue),
	TEST(bounds_the_memory_of_the_connection),
	TEST(gives_up_retained_messages_for_memory),
	TEST(stops_at_max_unsettled_but_for_retries),
	TEST(wakes_an_armed_reader_once),
	TEST(wakes_a_thousand_readers),
	TEST(retains_the_newest),
	TEST(counts_a_backlog_as_queued),
	TEST(keeps_views_until_release),
	TEST(moves_dead_letters),
	TEST(resumes_a_group),
	TEST(carries_big_and_small),
	TEST(is_cheap_for_quiet_topics),
	TEST(survives_every_allocation_failure),
};

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: memory_test PLUGIN README\n");
		return 2;
	}
	load(argv[1]);
	readme_path = argv[2];
	return run_tests(tests, sizeof tests / sizeof *tests);
}
