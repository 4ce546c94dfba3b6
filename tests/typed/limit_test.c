/*
 * limit_test.c - a payload that is larger than the reader's max_message, from a writer who may send more.
 *
 *     limit_test URL     a durable transport: two buses share it
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model.h"

#define LIMIT 2048

struct seen {
	atomic_int calls, letters;
	char reason[64], error[600];
};

static int on_order(const struct order *order, struct ferry_message *message, void *ctx)
{
	struct seen *seen = ctx;
	(void)message;
	if (order->extra.size >= LIMIT) {
		fprintf(stderr, "an order of more than max_message bytes came to the handler\n");
		exit(1);
	}
	atomic_fetch_add(&seen->calls, 1);
	return 0;
}

static int on_letter(struct ferry_message *message, void *ctx)
{
	struct seen *seen = ctx;
	const char *reason = ferry_message_attribute(message, "ferry-dlq-reason");
	const char *error = ferry_message_attribute(message, "ferry-dlq-error");
	snprintf(seen->reason, sizeof seen->reason, "%s", reason ? reason : "");
	snprintf(seen->error, sizeof seen->error, "%s", error ? error : "");
	atomic_fetch_add(&seen->letters, 1);
	return 0;
}

static void expect(int code, const struct ferry_error *err, const char *what)
{
	if (!code)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, ferry_error_name(code), err->text);
	exit(1);
}

static struct ferry_bus *open_bus(const char *url, const char *query)
{
	struct ferry_error err = {0};
	char text[600];
	snprintf(text, sizeof text, "%s?%s", url, query);
	struct ferry_bus *bus =
		ferry_bus_open(text, FERRY_OPTIONS(ferry_bus_options, .service = "shop"), &err);
	expect(!bus, &err, "open");
	return bus;
}

static void wait_for(atomic_int *count, int wanted)
{
	const struct timespec nap = {0, 5000000};
	for (int i = 0; i < 6000 && atomic_load(count) < wanted; i++)
		nanosleep(&nap, NULL);
	if (atomic_load(count) >= wanted)
		return;
	fprintf(stderr, "%d were expected, %d came\n", wanted, atomic_load(count));
	exit(1);
}

/* An order with a string of so many bytes in it. */
static void publish(struct order_publisher *publisher, size_t size)
{
	static char text[LIMIT + 2];
	struct ferry_error err = {0};
	const struct item item = {.sku = "B-2", .cents = 490, .count = 1};
	struct order order = {.order_id = "A1", .weight = 1, .currency = CURRENCY_EUR};
	order.address = (struct address){.street = "Street", .city = "City"};
	order.items = &item;
	order.item_count = 1;
	memset(text, 'x', sizeof text);
	text[0] = text[size + 1] = '"';
	order.extra = (struct ferry_json){text, size + 2};
	expect(order_publish(publisher, &order, NULL, &err), &err, "publish");
}

int main(int argc, char **argv)
{
	static struct seen seen;
	struct ferry_error err = {0};
	struct order_publisher *publisher = NULL;
	if (argc != 2)
		return 2;
	struct ferry_bus *writer = open_bus(argv[1], "max_message=1MiB");
	struct ferry_bus *reader = open_bus(argv[1], "max_message=2KiB");
	expect(order_subscribe(reader, on_order, &seen, NULL, &err), &err, "subscribe");
	/* The dead letter is as large as its message, and is read all the same. */
	expect(ferry_subscribe(reader, "dlq.shop.order.placed", on_letter, &seen, NULL, &err), &err,
	       "subscribe");
	expect(ferry_bus_start(reader, 10000, &err), &err, "start");
	expect(ferry_bus_start(writer, 10000, &err), &err, "start");
	expect(order_publisher_open(writer, NULL, &publisher, &err), &err, "publisher");
	publish(publisher, LIMIT);
	publish(publisher, 5);
	wait_for(&seen.calls, 1);
	wait_for(&seen.letters, 1);
	if (strcmp(seen.reason, "decode") != 0 || !strstr(seen.error, "order.placed: the payload has ") ||
	    !strstr(seen.error, " bytes, max_message is 2048")) {
		fprintf(stderr, "reason %s: %s\n", seen.reason, seen.error);
		return 1;
	}
	order_publisher_close(publisher);
	expect(ferry_bus_stop(writer, 10000, NULL, &err), &err, "stop");
	expect(ferry_bus_stop(reader, 10000, NULL, &err), &err, "stop");
	ferry_bus_close(writer);
	ferry_bus_close(reader);
	return 0;
}
