#include "order.h"

#include <stdio.h>

FERRY_ENUM_DEFINE(currency, {CURRENCY_EUR, "EUR"}, {CURRENCY_USD, "USD"});

FERRY_STRUCT_DEFINE(customer, struct customer, FERRY_FIELD(name, .required = true, .max_length = 80),
		    FERRY_FIELD(street, .required = true, .max_length = 80),
		    FERRY_FIELD(city, .required = true, .max_length = 80), FERRY_FIELD(business));

FERRY_STRUCT_DEFINE(item, struct item, FERRY_FIELD(sku, .required = true, .max_length = 20),
		    FERRY_FIELD(cents, .required = true, .min = 0),
		    FERRY_FIELD(count, .required = true, .min = 1, .max = 1000),
		    FERRY_FIELD(weight, .min = 0));

FERRY_TOPIC_DEFINE(order, struct order, "order.placed", 1,
		   FERRY_FIELD(order_id, .required = true, .min_length = 1, .max_length = 20),
		   FERRY_FIELD(cents, .required = true, .min = 0),
		   FERRY_ENUM(currency, currency, .required = true), FERRY_FIELD(note, .max_length = 200),
		   FERRY_OBJECT(customer, customer),
		   FERRY_OBJECT_LIST(items, item_count, item, .max_items = ITEMS_MAX));

const struct order *orders_make(size_t item_count, bool has_customer)
{
	static struct order orders[ORDERS];
	static struct item items[ORDERS][ITEMS_MAX];
	static char ids[ORDERS][20], skus[ORDERS][20];
	static const struct customer customer = {.name = "M\303\274ller & S\303\266hne",
						 .street = "Lange Stra\303\237e 5",
						 .city = "K\303\266ln",
						 .business = true};
	for (size_t i = 0; i < ORDERS; i++) {
		snprintf(ids[i], sizeof ids[i], "order-%zu", 1000 + 7919 * i);
		snprintf(skus[i], sizeof skus[i], "SKU-%05zu", 7907 * i % 100000);
		for (size_t k = 0; k < item_count; k++)
			items[i][k] = (struct item){.sku = skus[(i + k) % ORDERS],
						    .cents = (int64_t)(100 + 37 * i + k),
						    .count = (uint32_t)(1 + (i + k) % 9),
						    .weight = (double)(1 + i) / 8 + (double)k};
		orders[i] = (struct order){.order_id = ids[i],
					   .cents = (int64_t)(990 + 101 * i),
					   .currency = i % 2 ? CURRENCY_EUR : CURRENCY_USD,
					   .note = i % 4 ? NULL : "Ring \"twice\",\nthen wait.",
					   .customer = has_customer ? &customer : NULL,
					   .items = item_count ? items[i] : NULL,
					   .item_count = item_count};
	}
	return orders;
}
