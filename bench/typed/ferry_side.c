/*
 * ferry_side.c - the orders as structs: published on the memory transport, each handled by a typed handler.
 */
#include <semaphore.h>
#include <stdio.h>

#include "order.h"
#include "side.h"

struct receipts {
	const struct order *sent;
	uint64_t expected, received, wrong; /* the handler's own: its concurrency is 1 */
	sem_t all;
};

/* Orders come in the order in which they were sent: there is one handler, and one at a time. */
static int on_order(const struct order *order, struct ferry_message *message, void *ctx)
{
	struct receipts *r = ctx;
	const struct order *sent = &r->sent[r->received % ORDERS];
	(void)message;
	if (order->cents != sent->cents || order->item_count != sent->item_count)
		r->wrong++;
	if (++r->received == r->expected)
		sem_post(&r->all);
	return 0;
}

static int publish(struct order_publisher *publisher, const struct order *orders, const struct row *row,
		   struct ferry_error *err)
{
	int code = 0;
	for (uint64_t i = 0; i < row->orders && !code; i += row->batch) {
		const struct order *first = &orders[i % ORDERS];
		code = row->batch == 1
			       ? order_publish(publisher, first, NULL, err)
			       : order_publish_batch(publisher, first, row->batch, NULL, 0, NULL, err);
	}
	return code;
}

static int run(struct ferry_bus *bus, const struct row *row, struct receipts *receipts, struct cost *ret,
	       struct ferry_error *err)
{
	struct order_publisher *publisher;
	int code = order_subscribe(bus, on_order, receipts, NULL, err);
	if (!code)
		code = ferry_bus_start(bus, 0, err);
	if (!code)
		code = order_publisher_open(bus, NULL, &publisher, err);
	if (code)
		return code;
	struct watch watch = watch_start();
	code = publish(publisher, receipts->sent, row, err);
	while (!code && sem_wait(&receipts->all))
		;
	*ret = watch_stop(&watch, row->orders);
	order_publisher_close(publisher);
	return code;
}

bool ferry_side_run(const struct row *row, struct cost *ret)
{
	struct ferry_error err = {.code = 0};
	struct receipts receipts = {.sent = orders_make(row->items, row->has_customer),
				    .expected = row->orders};
	sem_init(&receipts.all, 0, 0);
	struct ferry_bus *bus = ferry_bus_open("memory:", NULL, &err);
	int code = bus ? run(bus, row, &receipts, ret, &err) : err.code;
	ferry_bus_close(bus);
	sem_destroy(&receipts.all);
	if (code)
		fprintf(stderr, "bench-typed: row %s: %s\n", row->name, err.text);
	else if (receipts.wrong)
		fprintf(stderr, "bench-typed: row %s: %llu orders are not what was sent\n", row->name,
			(unsigned long long)receipts.wrong);
	return !code && !receipts.wrong;
}
