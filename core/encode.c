#include "encode.h"

#include <stdio.h>

#include "fail.h"
#include "names.h"

struct encoder {
	const struct check *check;
	struct ferry_buffer *out;
};

static int no_memory(const struct encoder *e)
{
	return fail_nomem(e->check->err, "encoding a message");
}

/* ---- pieces of text ---- */

static bool put(struct ferry_buffer *out, const char *text, size_t size)
{
	char *room = buffer_room(out, size);
	if (!room)
		return false;
	memcpy(room, text, size);
	buffer_written(out, size);
	return true;
}

/* Quote, backslash and control characters. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

static char *put_escaped(char *to, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	*to++ = '\\';
	switch (c) {
	case '"':
	case '\\':
		*to++ = (char)c;
		break;
	case '\n':
		*to++ = 'n';
		break;
	case '\r':
		*to++ = 'r';
		break;
	case '\t':
		*to++ = 't';
		break;
	default:
		*to++ = 'u';
		*to++ = '0';
		*to++ = '0';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
	}
	return to;
}

bool encode_text(struct ferry_buffer *out, const char *text, size_t size)
{
	size_t plain = 0;
	while (plain < size && is_plain((unsigned char)text[plain]))
		plain++;
	if (size > SIZE_MAX / 8)
		return false;
	char *room = buffer_room(out, plain == size ? size + 2 : plain + (size - plain) * 6 + 2);
	if (!room)
		return false;
	char *to = room;
	*to++ = '"';
	memcpy(to, text, plain);
	to += plain;
	for (size_t i = plain; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if (is_plain(c))
			*to++ = (char)c;
		else
			to = put_escaped(to, c);
	}
	*to++ = '"';
	buffer_written(out, (size_t)(to - room));
	return true;
}

static bool put_integer(struct ferry_buffer *out, int64_t value)
{
	char text[24], *at = text + sizeof text;
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	do {
		*--at = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (value < 0)
		*--at = '-';
	return put(out, at, (size_t)(text + sizeof text - at));
}

/* ---- values ---- */

/* An integer of the member's width; `*ret_huge`: more than int64_t holds. */
static int64_t read_integer(const struct ferry_field *f, const void *from, bool *ret_huge)
{
	bool sign = f->kind != FERRY_KIND_UNSIGNED;
	uint64_t wide;
	uint32_t word;
	uint16_t half;
	uint8_t byte;
	switch (f->size) {
	case 1:
		memcpy(&byte, from, 1);
		return sign ? (int8_t)byte : byte;
	case 2:
		memcpy(&half, from, 2);
		return sign ? (int16_t)half : half;
	case 4:
		memcpy(&word, from, 4);
		return sign ? (int32_t)word : (int64_t)word;
	default:
		memcpy(&wide, from, 8);
		*ret_huge = !sign && wide > INT64_MAX;
		return (int64_t)wide;
	}
}

static int encode_integer(struct encoder *e, const struct place *p, const void *from)
{
	bool huge = false;
	int64_t value = read_integer(p->field, from, &huge);
	if (huge)
		return schema_fail(e->check, p, "expected at most %lld, got %llu", (long long)INT64_MAX,
				   (unsigned long long)value);
	int code = schema_check_integer(e->check, p, value);
	return code ? code : put_integer(e->out, value) ? 0 : no_memory(e);
}

static int encode_number(struct encoder *e, const struct place *p, const void *from)
{
	char text[NUMBER_TEXT_MAX];
	double value;
	memcpy(&value, from, sizeof value);
	int code = schema_check_number(e->check, p, value);
	return code ? code : put(e->out, text, number_text(value, text)) ? 0 : no_memory(e);
}

static int encode_bool(struct encoder *e, const void *from)
{
	unsigned char value;
	memcpy(&value, from, 1);
	return (value ? put(e->out, "true", 4) : put(e->out, "false", 5)) ? 0 : no_memory(e);
}

static int encode_string(struct encoder *e, const struct place *p, const void *from)
{
	const char *text;
	memcpy(&text, from, sizeof text);
	if (!text)
		return schema_fail(e->check, p, "expected string, got NULL");
	size_t size = strlen(text);
	if (!text_is_utf8(text, size))
		return schema_fail(e->check, p, "expected UTF-8, got other bytes");
	int code = schema_check_string(e->check, p, text, size);
	return code ? code : encode_text(e->out, text, size) ? 0 : no_memory(e);
}

static int encode_enum(struct encoder *e, const struct place *p, const void *from)
{
	int value;
	char got[24];
	memcpy(&value, from, sizeof value);
	const char *name = schema_enum_name(p->field, value);
	if (name)
		return encode_text(e->out, name, strlen(name)) ? 0 : no_memory(e);
	snprintf(got, sizeof got, "%d", value);
	return schema_fail_enum(e->check, p, got);
}

static int encode_raw(struct encoder *e, const struct place *p, const void *from, unsigned depth)
{
	struct ferry_json raw;
	int code = 0;
	memcpy(&raw, from, sizeof raw);
	if (!raw.text)
		return schema_fail(e->check, p, "expected JSON, got NULL");
	json_t *json = json_parse(e->check, p, raw.text, raw.size, depth, JSON_DECODE_ANY, &code);
	if (!json)
		return code;
	json_decref(json);
	return put(e->out, raw.text, raw.size) ? 0 : no_memory(e);
}

static int encode_struct(struct encoder *e, const struct place *above, const struct ferry_struct *s,
			 const unsigned char *base, unsigned depth);

static int encode_object(struct encoder *e, const struct place *p, const unsigned char *from, unsigned depth)
{
	const unsigned char *base = from;
	if (p->field->pointer)
		memcpy(&base, from, sizeof base);
	if (!base)
		return schema_fail(e->check, p, "expected object, got NULL");
	return encode_struct(e, p, p->field->object(), base, depth + 1);
}

static int encode_one(struct encoder *e, const struct place *p, const unsigned char *from, unsigned depth)
{
	switch (p->field->kind) {
	case FERRY_KIND_INTEGER:
	case FERRY_KIND_UNSIGNED:
		return encode_integer(e, p, from);
	case FERRY_KIND_NUMBER:
		return encode_number(e, p, from);
	case FERRY_KIND_BOOL:
		return encode_bool(e, from);
	case FERRY_KIND_STRING:
		return encode_string(e, p, from);
	case FERRY_KIND_ENUM:
		return encode_enum(e, p, from);
	case FERRY_KIND_JSON:
		return encode_raw(e, p, from, depth);
	default:
		return encode_object(e, p, from, depth);
	}
}

static int encode_list(struct encoder *e, const struct place *p, const unsigned char *base, unsigned depth)
{
	const struct ferry_field *f = p->field;
	const unsigned char *items;
	size_t count;
	memcpy(&items, base + f->offset, sizeof items);
	memcpy(&count, base + f->count_offset, sizeof count);
	if (!items && count)
		return schema_fail(e->check, p, "expected %zu item%s, got NULL", count,
				   count == 1 ? "" : "s");
	if (depth + 1 > SCHEMA_DEPTH_MAX)
		return schema_fail(e->check, p, "nested deeper than %d", SCHEMA_DEPTH_MAX);
	int code = schema_check_items(e->check, p, count);
	for (size_t i = 0; i < count && !code; i++) {
		struct place item = {p, f, i};
		code = put(e->out, i ? "," : "[", 1) ? encode_one(e, &item, items + i * f->size, depth + 1)
						     : no_memory(e);
	}
	if (code)
		return code;
	return (count ? put(e->out, "]", 1) : put(e->out, "[]", 2)) ? 0 : no_memory(e);
}

/* ---- structs ---- */

/* Is there something to write?  The absent has no value that stands for it, or its `has` is false. */
static bool is_present(const struct ferry_field *f, const unsigned char *base)
{
	bool has = true;
	if (f->has)
		memcpy(&has, base + f->has - 1, sizeof has);
	if (!has)
		return false;
	const unsigned char *at = base + f->offset;
	const void *pointer = at;
	struct ferry_json raw;
	int value;
	if (f->list) {
		size_t count;
		memcpy(&count, base + f->count_offset, sizeof count);
		memcpy(&pointer, at, sizeof pointer);
		return pointer || count || f->required || f->has;
	}
	switch (f->kind) {
	case FERRY_KIND_STRING:
		memcpy(&pointer, at, sizeof pointer);
		return pointer || f->has;
	case FERRY_KIND_JSON:
		memcpy(&raw, at, sizeof raw);
		return raw.text || raw.size || f->has;
	case FERRY_KIND_ENUM:
		memcpy(&value, at, sizeof value);
		return value || f->required || f->has || schema_enum_name(f, 0);
	case FERRY_KIND_OBJECT:
		if (f->pointer)
			memcpy(&pointer, at, sizeof pointer);
		return pointer || f->has;
	default:
		return true;
	}
}

static int encode_struct(struct encoder *e, const struct place *above, const struct ferry_struct *s,
			 const unsigned char *base, unsigned depth)
{
	char before = '{';
	if (depth > SCHEMA_DEPTH_MAX)
		return schema_fail(e->check, above, "nested deeper than %d", SCHEMA_DEPTH_MAX);
	for (size_t i = 0; i < s->field_count; i++) {
		const struct ferry_field *f = schema_field(s, i);
		struct place p = {above, f, SIZE_MAX};
		if (!is_present(f, base)) {
			if (f->required)
				return schema_fail(e->check, &p, "required, and missing");
			continue;
		}
		if (!put(e->out, &before, 1) || !encode_text(e->out, f->name, strlen(f->name)) ||
		    !put(e->out, ":", 1))
			return no_memory(e);
		before = ',';
		int code = f->list ? encode_list(e, &p, base, depth)
				   : encode_one(e, &p, base + f->offset, depth);
		if (code)
			return code;
	}
	return (before == '{' ? put(e->out, "{}", 2) : put(e->out, "}", 1)) ? 0 : no_memory(e);
}

int encode_json(const struct check *check, const void *event, struct ferry_buffer *out)
{
	struct encoder e = {check, out};
	return encode_struct(&e, NULL, check->topic->fields(), event, 1);
}

int encode_check(const struct check *check, const void *event, const struct ferry_allocator *allocator)
{
	char memory[512];
	struct ferry_buffer out;
	buffer_init(&out, allocator, memory, sizeof memory);
	out.discard = true;
	int code = encode_json(check, event, &out);
	buffer_finish(&out);
	return code;
}
