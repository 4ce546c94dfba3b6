/*
 * verb_test.c - the verbs of a topic, from publish to handler.
 */
#include <pthread.h>
#include <stdlib.h>

#include "typed_test.h"

struct kitchen {
	atomic_int calls, completions;
	int attempts;
	const struct order *kept;
	struct ferry_message *message;
};

static int on_order(const struct order *order, struct ferry_message *message, void *ctx)
{
	struct kitchen *k = ctx;
	CHECK(strcmp(ferry_message_content_type(message), "application/json") == 0, "content type %s",
	      ferry_message_content_type(message));
	CHECK(strcmp(order->items[1].sku, "B-2") == 0 && order->items[1].cents == 490 &&
		      order->billing->floor == -2,
	      "another order");
	atomic_fetch_add(&k->calls, 1);
	return 0;
}

static void on_done(int code, const struct ferry_error *err, void *ctx)
{
	struct kitchen *k = ctx;
	CHECK(code == 0, "%s", err->text);
	atomic_fetch_add(&k->completions, 1);
}

static void every_way_of_publishing_reaches_the_handler(void)
{
	enum { COUNT = 100 };
	static struct kitchen k;
	static struct order events[COUNT];
	struct ferry_error err = {0};
	struct order_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	OK(order_subscribe(bus, on_order, &k, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(order_publisher_open(bus, FERRY_OPTIONS(ferry_publisher_options, .content_type = NULL), &pub,
				&err),
	   &err);
	OK(order_publish(
		   pub, &full_order,
		   FERRY_OPTIONS(ferry_publish_options, .attributes = FERRY_ATTRIBUTES({"region", "eu"})),
		   &err),
	   &err);
	for (int i = 0; i < COUNT; i++) {
		OK(order_publish_async(pub, &full_order, NULL, on_done, &k, &err), &err);
		events[i] = full_order;
	}
	OK(order_publish_batch(pub, events, COUNT, NULL, 0, NULL, &err), &err);
	WAIT_FOR(&k.calls, 2 * COUNT + 1);
	WAIT_FOR(&k.completions, COUNT);
	order_publisher_close(pub);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(atomic_load(&k.calls) == 2 * COUNT + 1, "%d calls", atomic_load(&k.calls));
	ferry_bus_close(bus);
}

/* Two handlers of one topic: each gets what is its own. */
static int on_eu(const struct order *order, struct ferry_message *message, void *ctx)
{
	CHECK(strcmp(ferry_message_attribute(message, "region"), "eu") == 0, "another region");
	CHECK(order->cents == 990, "another order");
	atomic_fetch_add((atomic_int *)ctx, 1);
	return 0;
}

static int on_us(const struct order *order, struct ferry_message *message, void *ctx)
{
	CHECK(strcmp(ferry_message_attribute(message, "region"), "us") == 0, "another region");
	CHECK(order->cents == 990, "another order");
	atomic_fetch_add((atomic_int *)ctx, 1);
	return 0;
}

static void handlers_are_chosen_by_filter(void)
{
	static atomic_int eu, us;
	struct ferry_error err = {0};
	struct order_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	OK(order_subscribe(bus, on_eu, &eu,
			   FERRY_OPTIONS(ferry_handler_options, .filter = FERRY_ATTRIBUTES({"region", "eu"})),
			   &err),
	   &err);
	OK(order_subscribe(bus, on_us, &us,
			   FERRY_OPTIONS(ferry_handler_options, .filter = FERRY_ATTRIBUTES({"region", "us"})),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(order_publisher_open(bus, NULL, &pub, &err), &err);
	for (int i = 0; i < 30; i++)
		OK(order_publish(
			   pub, &full_order,
			   FERRY_OPTIONS(ferry_publish_options,
					 .attributes = FERRY_ATTRIBUTES({"region", i % 3 ? "eu" : "us"})),
			   &err),
		   &err);
	WAIT_FOR(&eu, 20);
	WAIT_FOR(&us, 10);
	order_publisher_close(pub);
	ferry_bus_close(bus);
}

static int on_kept(const struct order *order, struct ferry_message *message, void *ctx)
{
	struct kitchen *k = ctx;
	k->kept = order;
	k->message = ferry_message_ref(message);
	atomic_fetch_add(&k->calls, 1);
	return 0;
}

static void a_kept_message_keeps_its_struct(void)
{
	static struct kitchen k;
	struct ferry_error err = {0};
	struct order_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	OK(order_subscribe(bus, on_kept, &k, FERRY_OPTIONS(ferry_handler_options, .ack = FERRY_ACK_MANUAL),
			   &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(order_publisher_open(bus, NULL, &pub, &err), &err);
	OK(order_publish(pub, &full_order, NULL, &err), &err);
	WAIT_FOR(&k.calls, 1);
	CHECK(ferry_message_ack(k.message) == 0, "the ack is refused");
	CHECK(strcmp(k.kept->items[0].tags[1], "h\303\251") == 0 &&
		      strcmp(k.kept->note, full_order.note) == 0,
	      "the struct has changed");
	ferry_message_unref(k.message);
	order_publisher_close(pub);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	ferry_bus_close(bus);
}

static int on_third(const struct order *order, struct ferry_message *message, void *ctx)
{
	struct kitchen *k = ctx;
	CHECK(order->discount == 15, "another order");
	if (++k->attempts < 3)
		return ferry_message_fail(message, FERRY_E_RETRY, "not yet");
	atomic_fetch_add(&k->calls, 1);
	return 0;
}

static void each_attempt_is_decoded_afresh(void)
{
	static struct kitchen k;
	struct ferry_error err = {0};
	struct order_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	OK(order_subscribe(bus, on_third, &k,
			   FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = FERRY_NONE), &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(order_publisher_open(bus, NULL, &pub, &err), &err);
	OK(order_publish(pub, &full_order, NULL, &err), &err);
	WAIT_FOR(&k.calls, 1);
	CHECK(k.attempts == 3, "%d attempts", k.attempts);
	order_publisher_close(pub);
	ferry_bus_close(bus);
}

static int decode_nothing(struct ferry_message *message, void *ctx, struct ferry_error *why)
{
	(void)message;
	(void)ctx;
	(void)why;
	return 0;
}

static void what_is_the_topics_own_cannot_be_set(void)
{
	static struct kitchen k;
	struct ferry_error err = {0};
	struct order_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	REFUSED(order_subscribe(bus, on_order, &k,
				FERRY_OPTIONS(ferry_handler_options, .decode = decode_nothing), &err),
		FERRY_E_INVALID, &err,
		"order.placed: a typed handler decodes by its topic: leave .decode NULL");
	REFUSED(order_subscribe(bus, NULL, &k, NULL, &err), FERRY_E_INVALID, &err,
		"subscribing to order.placed: the handler is NULL");
	REFUSED(order_publisher_open(bus,
				     FERRY_OPTIONS(ferry_publisher_options, .content_type = "text/plain"),
				     &pub, &err),
		FERRY_E_INVALID, &err, "order.placed: content_type is the topic's: leave it NULL");
	REFUSED(order_publisher_open(NULL, NULL, &pub, &err), FERRY_E_INVALID, &err,
		"opening a typed publisher: the bus is NULL");
	REFUSED(order_publisher_open(bus, NULL, NULL, &err), FERRY_E_INVALID, &err,
		"opening a typed publisher: ret is NULL");
	REFUSED(order_publish(NULL, &full_order, NULL, &err), FERRY_E_INVALID, &err,
		"publishing: the publisher is NULL");
	OK(order_publisher_open(bus, NULL, &pub, &err), &err);
	CHECK(order_publish(pub, &full_order, NULL, &err) == FERRY_E_STATE, "published before start");
	order_publisher_close(pub);
	order_publisher_close(NULL);
	order_free(NULL);
	ferry_bus_close(bus);
}

/* ---- memory that runs out ---- */

struct injector {
	atomic_long count, balance;
	_Atomic long fail_at; /* 0: never */
};

static bool fails(struct injector *in)
{
	return atomic_fetch_add(&in->count, 1) + 1 == atomic_load(&in->fail_at);
}

static void *inject_alloc(size_t bytes, void *ctx)
{
	struct injector *in = ctx;
	void *memory = fails(in) ? NULL : malloc(bytes);
	if (memory)
		atomic_fetch_add(&in->balance, 1);
	return memory;
}

static void *inject_resize(void *memory, size_t bytes, void *ctx)
{
	struct injector *in = ctx;
	void *resized = fails(in) ? NULL : realloc(memory, bytes);
	if (resized && !memory)
		atomic_fetch_add(&in->balance, 1);
	return resized;
}

static void inject_free(void *memory, void *ctx)
{
	struct injector *in = ctx;
	if (memory)
		atomic_fetch_sub(&in->balance, 1);
	free(memory);
}

/* Each allocation of the publishing side fails once: the call says so, and nothing stays behind. */
static void out_of_memory_is_told_and_leaks_nothing(void)
{
	enum { COUNT = 40 };
	static struct order events[COUNT];
	struct ferry_error err = {0};
	int refused = 0;
	for (int i = 0; i < COUNT; i++)
		events[i] = full_order;
	for (long n = 1;; n++) {
		static struct injector in;
		struct ferry_allocator allocator = {inject_alloc, inject_resize, inject_free, &in};
		struct order_publisher *pub = NULL;
		atomic_store(&in.fail_at, 0);
		struct ferry_bus *bus = ferry_bus_open(
			"memory:", FERRY_OPTIONS(ferry_bus_options, .allocator = &allocator), &err);
		CHECK(bus, "%s", err.text);
		OK(ferry_bus_start(bus, 0, &err), &err);
		long before = atomic_load(&in.count);
		atomic_store(&in.fail_at, before + n);
		int code = order_publisher_open(bus, NULL, &pub, &err);
		if (!code)
			code = order_publish_batch(pub, events, COUNT, NULL, 0, NULL, &err);
		bool done = atomic_load(&in.count) < before + n;
		atomic_store(&in.fail_at, 0);
		CHECK(code == 0 || code == FERRY_E_NOMEM, "allocation %ld: %s: %s", n, ferry_error_name(code),
		      err.text);
		refused += code != 0;
		order_publisher_close(pub);
		ferry_bus_close(bus);
		CHECK(atomic_load(&in.balance) == 0, "allocation %ld: %ld are not freed", n,
		      atomic_load(&in.balance));
		if (done)
			break;
	}
	CHECK(refused >= 5, "only %d calls were refused", refused);
}

const struct typed_test verb_tests[] = {
	{"every_way_of_publishing_reaches_the_handler", every_way_of_publishing_reaches_the_handler},
	{"handlers_are_chosen_by_filter", handlers_are_chosen_by_filter},
	{"a_kept_message_keeps_its_struct", a_kept_message_keeps_its_struct},
	{"each_attempt_is_decoded_afresh", each_attempt_is_decoded_afresh},
	{"what_is_the_topics_own_cannot_be_set", what_is_the_topics_own_cannot_be_set},
	{"out_of_memory_is_told_and_leaks_nothing", out_of_memory_is_told_and_leaks_nothing},
	{NULL, NULL},
};
