/*
 * shop.h - the events of a shop: a C struct and a name for each.
 *
 * FERRY_TOPIC_DECLARE(order_placed, ...) makes order_placed_publish, order_placed_subscribe and the other
 * verbs of <ferry/topic.h>, which take this struct and no other.  What its members may hold is in shop.c.
 */
#ifndef EXAMPLES_SHOP_H
#define EXAMPLES_SHOP_H

#include <ferry/topic.h>

struct item {
	const char *sku;
	int32_t count;
};
FERRY_STRUCT_DECLARE(item, struct item);

struct order_placed {
	const char *order_id;
	int64_t cents;
	const struct item *items;
	size_t item_count;
};
FERRY_TOPIC_DECLARE(order_placed, struct order_placed);

struct payment_requested {
	const char *payment_id;
	int64_t cents;
};
FERRY_TOPIC_DECLARE(payment_requested, struct payment_requested);

struct parcel_shipped {
	const char *parcel_id;
	const char *address; /* NULL: to be collected */
};
FERRY_TOPIC_DECLARE(parcel_shipped, struct parcel_shipped);

struct item_reserved {
	const char *item_id;
};
FERRY_TOPIC_DECLARE(item_reserved, struct item_reserved);

struct news_published {
	const char *title;
};
FERRY_TOPIC_DECLARE(news_published, struct news_published);

struct label_wanted {
	const char *label_id;
};
FERRY_TOPIC_DECLARE(label_wanted, struct label_wanted);

enum change { CHANGE_ADD = 1, CHANGE_PAY, CHANGE_SHIP };

struct cart_changed {
	enum change change;
};
FERRY_TOPIC_DECLARE(cart_changed, struct cart_changed);

struct order_packed {
	const char *order_id;
};
FERRY_TOPIC_DECLARE(order_packed, struct order_packed);

#endif
