/*
 * ferry_side.c - a row through ferry: the public API, the memory plugin, every option at its default.
 */
#include <stdio.h>
#include <stdlib.h>

#include <ferry/ferry.h>

#include "receiver.h"

#define STOP_MS 10000

static const struct ferry_attribute region[] = {{"region", "eu"}, {NULL, NULL}};
static const struct ferry_publish_options with_region = {.size = sizeof with_region, .attributes = region};

struct side {
	struct ferry_publisher *publisher;
	const struct ferry_publish_options *options;
	struct ferry_batch_item *items;
};

static int on_message(struct ferry_message *message, void *ctx)
{
	size_t size;
	receive(ctx, ferry_message_payload(message, &size));
	return 0;
}

static bool report(const struct ferry_error *err)
{
	fprintf(stderr, "bench-memory: ferry: %s\n", err->text);
	return false;
}

static bool send_single(struct publisher *publisher, unsigned int count)
{
	const struct side *side = publisher->side;
	struct ferry_error err;
	(void)count;
	if (ferry_publish(side->publisher, publisher->buffer, publisher->row->size, side->options, &err))
		return report(&err);
	return true;
}

static bool send_batch(struct publisher *publisher, unsigned int count)
{
	const struct side *side = publisher->side;
	struct ferry_error err;
	for (unsigned int i = 0; i < count; i++) {
		side->items[i].payload = publisher->buffer + i * publisher->row->size;
		side->items[i].payload_size = publisher->row->size;
		side->items[i].options = side->options;
	}
	if (ferry_publish_batch(side->publisher, side->items, count, 0, &err))
		return report(&err);
	return true;
}

static bool subscribe(struct ferry_bus *bus, const struct row *row, struct receiver *receivers,
		      const struct ferry_attribute *filter)
{
	struct ferry_error err;
	for (unsigned int i = 0; i < row->receivers; i++) {
		if (ferry_subscribe(bus, "bench", on_message, &receivers[i],
				    FERRY_OPTIONS(ferry_handler_options, .filter = filter,
						  .distribution = row->receivers > 1 ? FERRY_BROADCAST
										     : FERRY_COMPETING),
				    &err))
			return report(&err);
	}
	return true;
}

static bool open_sides(struct ferry_bus *bus, const struct row *row, struct side *sides,
		       const struct ferry_publish_options *options)
{
	struct ferry_error err;
	for (unsigned int i = 0; i < row->publishers; i++) {
		sides[i].options = options;
		sides[i].items = calloc(row->batch, sizeof *sides[i].items);
		if (!sides[i].items || ferry_publisher_open(bus, "bench", NULL, &sides[i].publisher, &err))
			return report(&err);
	}
	return true;
}

static bool run(struct ferry_bus *bus, const struct row *row, struct receiver *receivers, struct side *sides,
		struct outcome *ret)
{
	struct ferry_error err;
	void *contexts[16] = {NULL};
	if (!subscribe(bus, row, receivers, row->filtered ? region : NULL) ||
	    !open_sides(bus, row, sides, row->filtered ? &with_region : NULL))
		return false;
	for (unsigned int i = 0; i < row->publishers; i++)
		contexts[i] = &sides[i];
	if (ferry_bus_start(bus, STOP_MS, &err))
		return report(&err);
	if (!publish_all(row, receivers, row->batch > 1 ? send_batch : send_single, contexts, ret))
		return false;
	return ferry_bus_stop(bus, STOP_MS, NULL, &err) == 0 || report(&err);
}

bool ferry_side_run(const struct row *row, struct outcome *ret)
{
	struct ferry_error err;
	struct side sides[16] = {{NULL, NULL, NULL}};
	struct receiver *receivers = receivers_make(row);
	struct ferry_bus *bus = ferry_bus_open("memory:", NULL, &err);
	bool ok = receivers && (bus || report(&err)) && run(bus, row, receivers, sides, ret);
	for (unsigned int i = 0; i < row->publishers; i++) {
		ferry_publisher_close(sides[i].publisher);
		free(sides[i].items);
	}
	ferry_bus_close(bus);
	if (ok)
		receivers_count(row, receivers, ret);
	receivers_free(receivers);
	return ok;
}
