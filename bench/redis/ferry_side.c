/*
 * ferry_side.c - a row through ferry's public API.  The only setting is `queue`, the number of messages
 * without a confirmation that publishing waits at: the window that the other side has, too.
 */
#include <stdio.h>
#include <stdlib.h>

#include <ferry/ferry.h>

#include "server.h"
#include "tally.h"

#define START_MS 10000

static bool report(const struct ferry_error *err)
{
	fprintf(stderr, "bench-redis: ferry: %s\n", err->text);
	return false;
}

static struct ferry_bus *open_bus(const struct server *server)
{
	char url[400];
	struct ferry_error err;
	snprintf(url, sizeof url, "%s?prefix=%s&queue=%d", server->url, server->prefix, WINDOW);
	struct ferry_bus *bus = ferry_bus_open(
		url, FERRY_OPTIONS(ferry_bus_options, .service = SERVICE, .fail_fast = FERRY_ON), &err);
	if (!bus)
		report(&err);
	return bus;
}

/* ---- publishing ---- */

/* Asynchronous publishes whose results are to come. */
struct flight {
	uint64_t open, failed;
	sem_t landed;
};

/* On one thread of the bus. */
static void on_published(int code, const struct ferry_error *err, void *ctx)
{
	struct flight *flight = ctx;
	if (code && !flight->failed++)
		report(err);
	if (--flight->open == 0)
		sem_post(&flight->landed);
}

static bool publish_window(struct ferry_publisher *publisher, uint64_t first, uint64_t end)
{
	unsigned char payload[PAYLOAD] = {0};
	struct flight flight = {.open = end - first};
	struct ferry_error err;
	sem_init(&flight.landed, 0, 0);
	for (uint64_t i = first; i < end; i++) {
		payload_write(payload, i);
		if (ferry_publish_async(publisher, payload, sizeof payload, NULL, on_published, &flight,
					&err)) {
			report(&err);
			exit(1); /* those that are on their way need the flight */
		}
	}
	if (!wait_for(&flight.landed))
		exit(1);
	sem_destroy(&flight.landed);
	return !flight.failed;
}

static bool publish_batches(struct ferry_publisher *publisher, uint64_t first, uint64_t end)
{
	static unsigned char payloads[WINDOW][PAYLOAD];
	static struct ferry_batch_item items[WINDOW];
	struct ferry_error err;
	while (first < end) {
		size_t count = end - first < WINDOW ? (size_t)(end - first) : WINDOW;
		for (size_t i = 0; i < count; i++) {
			payload_write(payloads[i], first++);
			items[i] = (struct ferry_batch_item){.payload = payloads[i], .payload_size = PAYLOAD};
		}
		if (ferry_publish_batch(publisher, items, count, 0, &err))
			return report(&err);
	}
	return true;
}

static bool publish_waiting(struct ferry_publisher *publisher, uint64_t first, uint64_t end, double *waits)
{
	unsigned char payload[PAYLOAD] = {0};
	struct ferry_error err;
	for (uint64_t i = first; i < end; i++) {
		payload_write(payload, i);
		double begin = now_us();
		if (ferry_publish(publisher, payload, sizeof payload, NULL, &err))
			return report(&err);
		if (waits)
			waits[i - first] = now_us() - begin;
	}
	return true;
}

static bool send_range(struct ferry_publisher *publisher, const struct row *row, uint64_t first, uint64_t end,
		       double *waits)
{
	switch (row->kind) {
	case ROW_BATCH:
		return publish_batches(publisher, first, end);
	case ROW_SYNC:
		return publish_waiting(publisher, first, end, waits);
	default:
		return publish_window(publisher, first, end);
	}
}

static bool publish(struct ferry_bus *bus, const struct row *row, struct cost *ret)
{
	struct ferry_publisher *publisher;
	struct ferry_error err;
	double *waits = calloc((size_t)row->messages, sizeof *waits);
	if (!waits || ferry_bus_start(bus, START_MS, &err) ||
	    ferry_publisher_open(bus, TOPIC, NULL, &publisher, &err)) {
		free(waits);
		return waits ? report(&err) : false;
	}
	bool ok = send_range(publisher, row, 0, row->warmup, NULL);
	struct watch watch = watch_start();
	ok = ok && send_range(publisher, row, row->warmup, row->warmup + row->messages, waits);
	*ret = watch_stop(&watch, row->messages);
	ret->wait_us = median(waits, (size_t)row->messages);
	ferry_publisher_close(publisher);
	free(waits);
	return ok;
}

/* ---- consuming ---- */

static int on_message(struct ferry_message *message, void *ctx)
{
	size_t size;
	const void *payload = ferry_message_payload(message, &size);
	tally_note(ctx, payload, size);
	return 0;
}

static bool consume(struct ferry_bus *bus, const struct row *row, struct cost *ret)
{
	struct tally tally;
	struct ferry_error err;
	bool ok = tally_init(&tally, row);
	if (ok &&
	    (ferry_subscribe(bus, TOPIC, on_message, &tally,
			     FERRY_OPTIONS(ferry_handler_options, .start = FERRY_START_EARLIEST), &err) ||
	     ferry_bus_start(bus, START_MS, &err)))
		ok = report(&err);
	ok = ok && wait_for(&tally.complete);
	/* The last acknowledgements are written; and nothing comes any more. */
	if (ferry_bus_stop(bus, START_MS, NULL, &err)) {
		report(&err);
		exit(1); /* a handler may still use the tally */
	}
	ok = ok && tally_is_sound(&tally, "ferry");
	*ret = tally.cost;
	tally_finish(&tally);
	return ok;
}

bool ferry_side_run(const struct server *server, const struct row *row, struct cost *ret)
{
	struct ferry_bus *bus = open_bus(server);
	bool ok = bus && (row->kind == ROW_CONSUME ? consume : publish)(bus, row, ret);
	ferry_bus_close(bus);
	return ok;
}
