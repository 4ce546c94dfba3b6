/*
 * schema.h - what the field table of a topic demands, for structs on their way out and payloads on their way
 * in.
 *
 * While a struct is walked, a chain of places on the stack tells where we are; it becomes text only when
 * something is wrong: "order.placed: items[3].cents: expected at least 0, got -1".
 */
#ifndef CORE_SCHEMA_H
#define CORE_SCHEMA_H

#include <jansson.h>

#include <ferry/topic.h>

#include "alloc.h"

#define SCHEMA_DEPTH_MAX 64 /* objects and arrays inside one another */

struct check {
	const struct ferry_topic *topic;
	int code; /* of a failure: FERRY_E_INVALID on the way out, FERRY_E_DECODE on the way in */
	struct ferry_error *err;
};

struct place {
	const struct place *above; /* NULL: the payload itself */
	const struct ferry_field *field;
	size_t index; /* in a list, else SIZE_MAX */
};

/* Tables compiled against another version have fields of another size. */
static inline const struct ferry_field *schema_field(const struct ferry_struct *s, size_t i)
{
	return (const struct ferry_field *)(const void *)((const char *)s->fields + i * s->field_size);
}

/* Structs, each once. */
struct schema_structs {
	const struct ferry_allocator *allocator; /* has `found` */
	const struct ferry_struct **found;
	size_t count, capacity;
	bool failed; /* memory was out */
};

void schema_add(struct schema_structs *structs, const struct ferry_struct *s);
/* Add those that `s` itself holds.  Done for each that is found, it reaches all and ends. */
void schema_collect(struct schema_structs *structs, const struct ferry_struct *s);

/* Can the topic's tables be right, those of the structs inside too?  0, FERRY_E_INVALID or FERRY_E_NOMEM. */
int schema_check_tables(const struct ferry_topic *topic, const struct ferry_allocator *allocator,
			struct ferry_error *err);

/* "<topic>: <place>: <text>"; returns check->code. */
int schema_fail(const struct check *check, const struct place *place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* 0, or the failure's code. */
int schema_check_integer(const struct check *check, const struct place *place, int64_t value);
int schema_check_number(const struct check *check, const struct place *place, double value);
int schema_check_string(const struct check *check, const struct place *place, const char *text, size_t size);
int schema_check_items(const struct check *check, const struct place *place, size_t count);
/* The name that is not one of the enum's. */
int schema_fail_enum(const struct check *check, const struct place *place, const char *got);

/* What an integer member can hold and JSON can carry. */
int64_t schema_lowest(const struct ferry_field *field);
int64_t schema_highest(const struct ferry_field *field);
/* The name of an enum's value, or NULL. */
const char *schema_enum_name(const struct ferry_field *field, int value);

#define NUMBER_TEXT_MAX 40
/* The shortest text that reads back as `value`, which is finite, in every locale; returns its length. */
size_t number_text(double value, char text[NUMBER_TEXT_MAX]);
/* A bound as it was written: without ".0". */
const char *schema_bound_text(double bound, char text[NUMBER_TEXT_MAX]);

/* How deep arrays and objects nest in JSON text; stops past `limit` and notes the place. */
unsigned json_depth(const char *text, size_t size, unsigned limit, size_t *ret_byte);
/* Parse by ferry's rules; NULL: the failure, FERRY_E_NOMEM included, is in *ret_code and described. */
json_t *json_parse(const struct check *check, const struct place *place, const char *text, size_t size,
		   unsigned depth, size_t flags, int *ret_code);

#endif
