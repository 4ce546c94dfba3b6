#include "schema.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "names.h"

#define PATH_MAX_TEXT 240

/* ---- telling what is wrong ---- */

static void append(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void append(char *to, size_t size, const char *format, ...)
{
	size_t used = strlen(to);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(to + used, size - used, format, arguments);
	va_end(arguments);
}

static void write_path(const struct place *place, char *to, size_t size)
{
	if (place->above)
		write_path(place->above, to, size);
	if (place->index != SIZE_MAX)
		append(to, size, "[%zu]", place->index);
	else
		append(to, size, "%s%s", to[0] ? "." : "", place->field->name);
}

int schema_fail(const struct check *check, const struct place *place, const char *format, ...)
{
	char path[PATH_MAX_TEXT] = "", text[sizeof check->err->text];
	va_list arguments;
	if (!check->err)
		return check->code;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (place)
		write_path(place, path, sizeof path);
	fail(check->err, check->code, "%s: %s%s%s", check->topic->name, path, place ? ": " : "", text);
	return check->code;
}

/* ---- numbers ---- */

size_t number_text(double value, char text[NUMBER_TEXT_MAX])
{
	/* Most are whole: 2^53 and below are exact. */
	if (value >= -9007199254740992.0 && value <= 9007199254740992.0 && value == (double)(int64_t)value &&
	    !(value == 0 && signbit(value)))
		return (size_t)snprintf(text, NUMBER_TEXT_MAX, "%lld.0", (long long)value);
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, NUMBER_TEXT_MAX, "%.*g", digits, value);
		if (digits == 17 || strtod(text, NULL) == value)
			break;
	}
	/* The locale may have put anything where the point belongs. */
	char *point = text + strspn(text, "-0123456789");
	if (*point && *point != 'e') {
		size_t width = strcspn(point, "0123456789");
		*point = '.';
		memmove(point + 1, point + width, strlen(point + width) + 1);
	} else if (!*point) {
		memcpy(point, ".0", 3);
	}
	return strlen(text);
}

const char *schema_bound_text(double bound, char text[NUMBER_TEXT_MAX])
{
	size_t size = number_text(bound, text);
	if (size > 2 && strcmp(text + size - 2, ".0") == 0)
		text[size - 2] = '\0';
	return text;
}

int64_t schema_lowest(const struct ferry_field *field)
{
	return field->kind == FERRY_KIND_UNSIGNED ? 0 : INT64_MIN >> (64 - 8 * field->size);
}

int64_t schema_highest(const struct ferry_field *field)
{
	size_t bits = 8 * field->size - (field->kind == FERRY_KIND_UNSIGNED && field->size < 8 ? 0 : 1);
	return INT64_MAX >> (63 - bits);
}

/* Exact, unlike a conversion of `value`, which may round. */
static bool is_below(int64_t value, double bound)
{
	if (bound >= 9223372036854775808.0)
		return true;
	if (!(bound > -9223372036854775808.0))
		return false;
	int64_t whole = (int64_t)bound;
	return (double)whole < bound ? value <= whole : value < whole;
}

static bool is_above(int64_t value, double bound)
{
	if (bound >= 9223372036854775808.0)
		return false;
	if (!(bound > -9223372036854775808.0))
		return bound < -9223372036854775808.0 || value > INT64_MIN;
	int64_t whole = (int64_t)bound;
	return (double)whole > bound ? value >= whole : value > whole;
}

int schema_check_integer(const struct check *check, const struct place *place, int64_t value)
{
	const struct ferry_field *f = place->field;
	char text[NUMBER_TEXT_MAX];
	if (value < schema_lowest(f))
		return schema_fail(check, place, "expected at least %lld, got %lld",
				   (long long)schema_lowest(f), (long long)value);
	if (value > schema_highest(f))
		return schema_fail(check, place, "expected at most %lld, got %lld",
				   (long long)schema_highest(f), (long long)value);
	if (f->min != -HUGE_VAL && is_below(value, f->min))
		return schema_fail(check, place, "expected at least %s, got %lld",
				   schema_bound_text(f->min, text), (long long)value);
	if (f->max != HUGE_VAL && is_above(value, f->max))
		return schema_fail(check, place, "expected at most %s, got %lld",
				   schema_bound_text(f->max, text), (long long)value);
	return 0;
}

int schema_check_number(const struct check *check, const struct place *place, double value)
{
	const struct ferry_field *f = place->field;
	char bound[NUMBER_TEXT_MAX], got[NUMBER_TEXT_MAX];
	if (!isfinite(value))
		return schema_fail(check, place, "expected a finite number, got %s",
				   isnan(value) ? "NaN" : "infinity");
	if (value < f->min)
		return schema_fail(check, place, "expected at least %s, got %s",
				   schema_bound_text(f->min, bound), schema_bound_text(value, got));
	if (value > f->max)
		return schema_fail(check, place, "expected at most %s, got %s",
				   schema_bound_text(f->max, bound), schema_bound_text(value, got));
	return 0;
}

/* ---- strings, lists, enums ---- */

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

int schema_check_string(const struct check *check, const struct place *place, const char *text, size_t size)
{
	const struct ferry_field *f = place->field;
	if (f->min_length == 0 && size <= f->max_length)
		return 0;
	size_t length = 0;
	for (size_t i = 0; i < size; i++)
		length += ((unsigned char)text[i] & 0xC0) != 0x80;
	if (length > f->max_length)
		return schema_fail(check, place, "expected at most %zu character%s, got %zu", f->max_length,
				   plural(f->max_length), length);
	if (length < f->min_length)
		return schema_fail(check, place, "expected at least %zu character%s, got %zu", f->min_length,
				   plural(f->min_length), length);
	return 0;
}

int schema_check_items(const struct check *check, const struct place *place, size_t count)
{
	const struct ferry_field *f = place->field;
	if (count > f->max_items)
		return schema_fail(check, place, "expected at most %zu item%s, got %zu", f->max_items,
				   plural(f->max_items), count);
	if (count < f->min_items)
		return schema_fail(check, place, "expected at least %zu item%s, got %zu", f->min_items,
				   plural(f->min_items), count);
	return 0;
}

const char *schema_enum_name(const struct ferry_field *field, int value)
{
	for (const struct ferry_enum_value *v = field->values; v->name; v++)
		if (v->value == value)
			return v->name;
	return NULL;
}

int schema_fail_enum(const struct check *check, const struct place *place, const char *got)
{
	char names[200] = "";
	for (const struct ferry_enum_value *v = place->field->values; v->name; v++)
		append(names, sizeof names, "%s%s", names[0] ? ", " : "", v->name);
	return schema_fail(check, place, "expected one of %s, got %s", names, got);
}

/* ---- JSON text ---- */

unsigned json_depth(const char *text, size_t size, unsigned limit, size_t *ret_byte)
{
	/* Text with few brackets cannot be deep, wherever they stand. */
	size_t opened = 0;
	for (size_t i = 0; i < size; i++)
		opened += (text[i] & 0xDF) == '[';
	if (opened <= limit)
		return (unsigned)opened;
	unsigned depth = 0, deepest = 0;
	bool quoted = false;
	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == '{') && ++depth > deepest) {
			deepest = depth;
			*ret_byte = i + 1;
			if (deepest > limit)
				break;
		} else if (!quoted && (c == ']' || c == '}') && depth)
			depth--;
	}
	return deepest;
}

json_t *json_parse(const struct check *check, const struct place *place, const char *text, size_t size,
		   unsigned depth, size_t flags, int *ret_code)
{
	json_error_t error;
	size_t byte = 0;
	if (json_depth(text, size, SCHEMA_DEPTH_MAX - depth, &byte) > SCHEMA_DEPTH_MAX - depth) {
		*ret_code =
			schema_fail(check, place, "byte %zu: nested deeper than %d", byte, SCHEMA_DEPTH_MAX);
		return NULL;
	}
	json_t *json = json_loadb(text ? text : "", size, JSON_REJECT_DUPLICATES | flags, &error);
	if (json)
		return json;
	if (json_error_code(&error) == json_error_out_of_memory)
		*ret_code = fail_nomem(check->err, "decoding JSON");
	else
		*ret_code = schema_fail(check, place, "byte %d: %s", error.position,
					json_error_code(&error) == json_error_null_character
						? "\\u0000 is not allowed"
						: error.text);
	return NULL;
}

/* ---- structs ---- */

void schema_add(struct schema_structs *structs, const struct ferry_struct *s)
{
	for (size_t i = 0; i < structs->count; i++)
		if (structs->found[i] == s)
			return;
	if (structs->count == structs->capacity) {
		size_t capacity = structs->capacity ? 2 * structs->capacity : 16;
		void *larger =
			alloc_resize(structs->allocator, structs->found, capacity * sizeof(*structs->found));
		structs->failed |= !larger;
		if (!larger)
			return;
		structs->found = larger;
		structs->capacity = capacity;
	}
	structs->found[structs->count++] = s;
}

void schema_collect(struct schema_structs *structs, const struct ferry_struct *s)
{
	for (size_t i = 0; i < s->field_count; i++)
		if (schema_field(s, i)->kind == FERRY_KIND_OBJECT)
			schema_add(structs, schema_field(s, i)->object());
}

/* ---- tables ---- */

/* What is wrong with a field by itself, or NULL. */
static const char *field_fault(const struct ferry_field *f)
{
	bool number = f->kind == FERRY_KIND_INTEGER || f->kind == FERRY_KIND_UNSIGNED ||
		      f->kind == FERRY_KIND_NUMBER;
	if (!text_is_utf8(f->name, strlen(f->name)))
		return "its name is not UTF-8";
	if (!number && (f->min != -HUGE_VAL || f->max != HUGE_VAL))
		return "min and max are for numbers";
	if (f->kind != FERRY_KIND_STRING && (f->min_length || f->max_length != SIZE_MAX))
		return "min_length and max_length are for strings";
	if (!f->list && (f->min_items || f->max_items != SIZE_MAX))
		return "min_items and max_items are for lists";
	if (!(f->min <= f->max)) /* nor with NaN */
		return "no value is between min and max";
	if (f->min_length > f->max_length)
		return "no length is between min_length and max_length";
	if (f->min_items > f->max_items)
		return "no number of items is between min_items and max_items";
	return NULL;
}

/* One text before the other field's name, one after it. */
struct fault {
	const char *before, *after;
};

/*
 * What is wrong with a field beside another one; `before` NULL: nothing.  Where two fields write one count, a
 * payload can make it larger than the list, and the handler would read what lies behind.
 */
static struct fault pair_fault(const struct ferry_field *f, const struct ferry_field *other)
{
	if (f->list && other->list && f->count_offset == other->count_offset)
		return (struct fault){"its count is that of ", " too: each list needs its own"};
	if (f->list && other->list && f->offset == other->offset)
		return (struct fault){"it is the same list as ", ", with another count"};
	if (!f->list && other->list && f->offset == other->count_offset)
		return (struct fault){"it is the count of ", ", which a payload may not set"};
	if (f->list && !other->list && f->count_offset == other->offset)
		return (struct fault){"its count is the field ", ", which a payload may not set"};
	if (f->has && f->has == other->has)
		return (struct fault){"its `has` is that of ", " too: each needs its own"};
	if (strcmp(f->name, other->name) == 0)
		return (struct fault){"another field is called ", " too"};
	return (struct fault){NULL, NULL};
}

/* The fields before it are sound by themselves. */
static int check_field(const struct check *check, const struct ferry_struct *s, size_t i)
{
	const struct ferry_field *f = schema_field(s, i);
	if (!f->name || !f->name[0])
		return schema_fail(check, NULL, "field number %zu of %s: its name is %s", i + 1, s->name,
				   f->name ? "empty" : "NULL");
	struct fault fault = {field_fault(f), ""};
	const char *other = ""; /* its name */
	for (size_t j = 0; j < i && !fault.before; j++) {
		other = schema_field(s, j)->name;
		fault = pair_fault(f, schema_field(s, j));
	}
	return fault.before ? schema_fail(check, NULL, "field %s of %s: %s%s%s", f->name, s->name,
					  fault.before, other, fault.after)
			    : 0;
}

int schema_check_tables(const struct ferry_topic *topic, const struct ferry_allocator *allocator,
			struct ferry_error *err)
{
	const struct check check = {topic, FERRY_E_INVALID, err};
	struct schema_structs all = {.allocator = allocator};
	int code = 0;
	schema_add(&all, topic->fields());
	for (size_t i = 0; i < all.count && !code; i++) {
		const struct ferry_struct *s = all.found[i];
		for (size_t j = 0; j < s->field_count && !code; j++)
			code = check_field(&check, s, j);
		schema_collect(&all, s);
	}
	if (!code && all.failed)
		code = fail_nomem(err, "checking a topic");
	alloc_free(allocator, all.found);
	return code;
}
