/*
 * order.h - the objects that both sides send: orders with a customer and some items.
 */
#ifndef BENCH_TYPED_ORDER_H
#define BENCH_TYPED_ORDER_H

#include <ferry/ferry.h>

enum currency { CURRENCY_NONE, CURRENCY_EUR, CURRENCY_USD };

struct customer {
	const char *name;
	const char *street;
	const char *city;
	bool business;
};
FERRY_STRUCT_DECLARE(customer, struct customer);

struct item {
	const char *sku;
	int64_t cents;
	uint32_t count;
	double weight;
};
FERRY_STRUCT_DECLARE(item, struct item);

struct order {
	const char *order_id;
	int64_t cents;
	enum currency currency;
	const char *note;
	const struct customer *customer;
	const struct item *items;
	size_t item_count;
};
FERRY_TOPIC_DECLARE(order, struct order);

/* Each order of a row differs from its neighbours; they are used in turn. */
#define ORDERS    64
#define ITEMS_MAX 64

/* Fill in the orders; they stay until the next call. */
const struct order *orders_make(size_t item_count, bool has_customer);

#endif
