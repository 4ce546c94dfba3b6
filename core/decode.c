#include "decode.h"

#include <stdio.h>

#include "fail.h"

#define GOT_MAX 60 /* bytes of a payload's text in an error */

struct decoder {
	const struct check *check;
	struct ferry_arena *arena;
};

static int no_memory(const struct decoder *d)
{
	return fail_nomem(d->check->err, "decoding a message");
}

static const char *type_name(const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
		return "integer";
	case JSON_REAL:
		return "real number";
	case JSON_NULL:
		return "null";
	default:
		return "boolean";
	}
}

static int wrong_type(struct decoder *d, const struct place *p, const char *expected, const json_t *got)
{
	return schema_fail(d->check, p, "expected %s, got %s", expected, type_name(got));
}

/* ---- values ---- */

static void store_integer(const struct ferry_field *f, void *to, int64_t value)
{
	uint8_t byte = (uint8_t)value;
	uint16_t half = (uint16_t)value;
	uint32_t word = (uint32_t)value;
	switch (f->size) {
	case 1:
		memcpy(to, &byte, 1);
		break;
	case 2:
		memcpy(to, &half, 2);
		break;
	case 4:
		memcpy(to, &word, 4);
		break;
	default:
		memcpy(to, &value, 8);
	}
}

static int decode_integer(struct decoder *d, const struct place *p, const json_t *json, void *to)
{
	if (!json_is_integer(json))
		return wrong_type(d, p, "integer", json);
	int64_t value = json_integer_value(json);
	int code = schema_check_integer(d->check, p, value);
	if (!code)
		store_integer(p->field, to, value);
	return code;
}

static int decode_number(struct decoder *d, const struct place *p, const json_t *json, void *to)
{
	if (!json_is_number(json))
		return wrong_type(d, p, "number", json);
	double value = json_number_value(json);
	memcpy(to, &value, sizeof value);
	return schema_check_number(d->check, p, value);
}

static int decode_bool(struct decoder *d, const struct place *p, const json_t *json, void *to)
{
	bool value = json_is_true(json);
	if (!json_is_boolean(json))
		return wrong_type(d, p, "boolean", json);
	memcpy(to, &value, sizeof value);
	return 0;
}

static int decode_string(struct decoder *d, const struct place *p, const json_t *json, void *to)
{
	const char *text = json_string_value(json);
	if (!text)
		return wrong_type(d, p, "string", json);
	memcpy(to, &text, sizeof text);
	return schema_check_string(d->check, p, text, json_string_length(json));
}

static int decode_enum(struct decoder *d, const struct place *p, const json_t *json, void *to)
{
	const char *text = json_string_value(json);
	if (!text)
		return wrong_type(d, p, "string", json);
	for (const struct ferry_enum_value *v = p->field->values; v->name; v++) {
		if (strcmp(v->name, text) == 0) {
			memcpy(to, &v->value, sizeof v->value);
			return 0;
		}
	}
	char got[GOT_MAX + 3];
	size_t cut = json_string_length(json);
	if (cut > GOT_MAX)
		for (cut = GOT_MAX; ((unsigned char)text[cut] & 0xC0) == 0x80;)
			cut--; /* between characters */
	snprintf(got, sizeof got, "\"%.*s\"", (int)cut, text);
	return schema_fail_enum(d->check, p, got);
}

/* The same value, newly written: the parser keeps no text. */
static int decode_raw(struct decoder *d, json_t *json, void *to)
{
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	size_t size = json_dumpb(json, NULL, 0, flags);
	char *text = size ? ferry_arena_alloc(d->arena, size) : NULL;
	if (!text || json_dumpb(json, text, size, flags) != size)
		return no_memory(d);
	memcpy(to, &(struct ferry_json){text, size}, sizeof(struct ferry_json));
	return 0;
}

static int decode_struct(struct decoder *d, const struct place *above, const struct ferry_struct *s,
			 const json_t *json, unsigned char *base);

static int decode_object(struct decoder *d, const struct place *p, const json_t *json, unsigned char *to)
{
	const struct ferry_struct *s = p->field->object();
	if (!json_is_object(json))
		return wrong_type(d, p, "object", json);
	if (!p->field->pointer)
		return decode_struct(d, p, s, json, to);
	unsigned char *base = ferry_arena_alloc(d->arena, s->struct_size);
	if (!base)
		return no_memory(d);
	memcpy(to, &base, sizeof base);
	return decode_struct(d, p, s, json, base);
}

static int decode_one(struct decoder *d, const struct place *p, json_t *json, unsigned char *to)
{
	switch (p->field->kind) {
	case FERRY_KIND_INTEGER:
	case FERRY_KIND_UNSIGNED:
		return decode_integer(d, p, json, to);
	case FERRY_KIND_NUMBER:
		return decode_number(d, p, json, to);
	case FERRY_KIND_BOOL:
		return decode_bool(d, p, json, to);
	case FERRY_KIND_STRING:
		return decode_string(d, p, json, to);
	case FERRY_KIND_ENUM:
		return decode_enum(d, p, json, to);
	case FERRY_KIND_JSON:
		return decode_raw(d, json, to);
	default:
		return decode_object(d, p, json, to);
	}
}

static int decode_list(struct decoder *d, const struct place *p, const json_t *json, unsigned char *base)
{
	const struct ferry_field *f = p->field;
	if (!json_is_array(json))
		return wrong_type(d, p, "array", json);
	size_t count = json_array_size(json);
	int code = schema_check_items(d->check, p, count);
	if (code)
		return code;
	unsigned char *items =
		count > SIZE_MAX / f->size ? NULL : ferry_arena_alloc(d->arena, count * f->size);
	if (!items)
		return no_memory(d);
	memcpy(base + f->offset, &items, sizeof items);
	memcpy(base + f->count_offset, &count, sizeof count);
	for (size_t i = 0; i < count && !code; i++) {
		struct place item = {p, f, i};
		code = decode_one(d, &item, json_array_get(json, i), items + i * f->size);
	}
	return code;
}

/* ---- structs ---- */

static int decode_field(struct decoder *d, const struct place *p, json_t *json, unsigned char *base)
{
	const struct ferry_field *f = p->field;
	if (!json)
		return f->required ? schema_fail(d->check, p, "required, and missing") : 0;
	/* Raw JSON may be null; for everything else null says that there is nothing. */
	if (json_is_null(json) && !f->required && (f->list || f->kind != FERRY_KIND_JSON))
		return 0;
	if (f->has)
		memcpy(base + f->has - 1, &(bool){true}, sizeof(bool));
	return f->list ? decode_list(d, p, json, base) : decode_one(d, p, json, base + f->offset);
}

static int decode_struct(struct decoder *d, const struct place *above, const struct ferry_struct *s,
			 const json_t *json, unsigned char *base)
{
	int code = 0;
	for (size_t i = 0; i < s->field_count && !code; i++) {
		struct place p = {above, schema_field(s, i), SIZE_MAX};
		code = decode_field(d, &p, json_object_get(json, p.field->name), base);
	}
	return code;
}

static void release(void *json)
{
	json_decref(json);
}

int decode_json(const struct check *check, const void *payload, size_t size, struct ferry_arena *arena)
{
	struct decoder d = {check, arena};
	int code = 0;
	json_t *json = json_parse(check, NULL, payload, size, 0, 0, &code);
	if (!json)
		return code;
	if (ferry_arena_own(arena, json, release))
		return no_memory(&d);
	if (!json_is_object(json))
		return wrong_type(&d, NULL, "object", json);
	return decode_struct(&d, NULL, check->topic->fields(), json, (unsigned char *)arena->event);
}
