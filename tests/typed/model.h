/*
 * model.h - topics that hold everything that a topic can hold.
 */
#ifndef MODEL_H
#define MODEL_H

#include <ferry/ferry.h>

enum currency { CURRENCY_NONE, CURRENCY_EUR, CURRENCY_USD = 7 };

struct address {
	const char *street;
	const char *city;
	bool has_floor;
	int16_t floor;
};
FERRY_STRUCT_DECLARE(address, struct address);

struct item {
	const char *sku;
	int64_t cents;
	uint16_t count;
	const char *const *tags;
	size_t tag_count;
};
FERRY_STRUCT_DECLARE(item, struct item);

struct order {
	const char *order_id;
	int64_t cents;
	double weight;
	bool gift;
	enum currency currency;
	struct address address;
	const struct address *billing;
	const struct item *items;
	size_t item_count;
	const char *note;
	struct ferry_json extra;
	bool has_discount;
	int32_t discount;
};
FERRY_TOPIC_DECLARE(order, struct order);

/* Each width and each kind of list. */
struct widths {
	int8_t i8;
	int16_t i16;
	int32_t i32;
	int64_t i64;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	long l;
	unsigned long ul;
	long long ll;
	unsigned long long ull;
	char *text;
	const int8_t *small;
	size_t small_count;
	uint64_t *large;
	size_t large_count;
	const double *numbers;
	size_t number_count;
	bool *flags;
	size_t flag_count;
	const struct ferry_json *raws;
	size_t raw_count;
	const enum currency *currencies;
	size_t currency_count;
	bool has_address;
	struct address address;
};
FERRY_TOPIC_DECLARE(widths, struct widths);

/* It holds itself, so it can be as deep as one likes. */
struct tree {
	int32_t value;
	const struct tree *left;
	const struct tree *children;
	size_t child_count;
	struct ferry_json raw;
};
FERRY_TOPIC_DECLARE(tree, struct tree);

/* With every member set to something that is not zero. */
extern const struct order full_order;
extern const struct widths full_widths;

/* The order as JSON, as the encoder writes it. */
extern const char full_order_json[];

#endif
