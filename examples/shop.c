#include "shop.h"

/* A field a line is easier to read than what the formatter makes. */
/* clang-format off */

FERRY_STRUCT_DEFINE(item, struct item,
	FERRY_FIELD(sku, .required = true, .max_length = 12),
	FERRY_FIELD(count, .required = true, .min = 1, .max = 100));

FERRY_TOPIC_DEFINE(order_placed, struct order_placed, "order.placed", 1,
	FERRY_FIELD(order_id, .required = true, .min_length = 1, .doc = "Unique id of the order."),
	FERRY_FIELD(cents, .required = true, .min = 0),
	FERRY_OBJECT_LIST(items, item_count, item, .required = true, .min_items = 1));

FERRY_TOPIC_DEFINE(payment_requested, struct payment_requested, "payment.requested", 1,
	FERRY_FIELD(payment_id, .required = true),
	FERRY_FIELD(cents, .required = true, .min = 1));

FERRY_TOPIC_DEFINE(parcel_shipped, struct parcel_shipped, "parcel.shipped", 1,
	FERRY_FIELD(parcel_id, .required = true),
	FERRY_FIELD(address));

FERRY_TOPIC_DEFINE(item_reserved, struct item_reserved, "item.reserved", 1,
	FERRY_FIELD(item_id, .required = true));

FERRY_TOPIC_DEFINE(news_published, struct news_published, "news.published", 1,
	FERRY_FIELD(title, .required = true, .max_length = 80));

FERRY_TOPIC_DEFINE(label_wanted, struct label_wanted, "label.wanted", 1,
	FERRY_FIELD(label_id, .required = true));

FERRY_ENUM_DEFINE(change, {CHANGE_ADD, "add"}, {CHANGE_PAY, "pay"}, {CHANGE_SHIP, "ship"});

FERRY_TOPIC_DEFINE(cart_changed, struct cart_changed, "cart.changed", 1,
	FERRY_ENUM(change, change, .required = true));

FERRY_TOPIC_DEFINE(order_packed, struct order_packed, "order.packed", 1,
	FERRY_FIELD(order_id, .required = true));
