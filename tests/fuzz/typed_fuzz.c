/*
 * typed_fuzz.c - hostile payloads of a topic that holds everything a topic can hold.
 *
 * What is decoded is encoded and decoded again: the second encoding is the first, byte for byte, and holds
 * what jansson reads in the payload.  What is refused is refused with the topic and in printable text.
 */
#include <jansson.h>
#include <string.h>

#include "ferry/ferry.h"
#include "fuzz.h"
#include "names.h"

enum color { COLOR_NONE, COLOR_RED, COLOR_BLUE = -7 };
enum level { LEVEL_LOW, LEVEL_HIGH };

struct place {
	const char *street;
	bool has_floor;
	int16_t floor;
};
FERRY_STRUCT_DECLARE(place, struct place);

struct rich {
	const char *id;
	int64_t cents;
	int8_t i8;
	int16_t i16;
	int32_t i32;
	int64_t i64;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	bool has_percent;
	unsigned percent;
	double ratio;
	bool has_weight;
	double weight;
	bool gift;
	bool has_sure;
	bool sure;
	enum color color;
	enum level level;
	const char *note;
	struct ferry_json extra;
	struct place place;
	const struct place *other;
	bool has_spare;
	struct place spare;
	const struct rich *next;
	const struct rich *parts;
	size_t part_count;
	const int16_t *counts;
	size_t count_count;
	const double *numbers;
	size_t number_count;
	const bool *flags;
	size_t flag_count;
	const char *const *tags;
	size_t tag_count;
	const struct ferry_json *raws;
	size_t raw_count;
	const enum color *colors;
	size_t color_count;
};
FERRY_TOPIC_DECLARE(rich, struct rich);

FERRY_ENUM_DEFINE(color, {COLOR_RED, "red"}, {COLOR_BLUE, "blue \"\303\266\""});
FERRY_ENUM_DEFINE(level, {LEVEL_LOW, "low"}, {LEVEL_HIGH, "high"});

FERRY_STRUCT_DEFINE(place, struct place, FERRY_FIELD(street, .required = true, .max_length = 20),
		    FERRY_OPTIONAL(floor, .min = -3));

/* A bound that excludes zero stands only where absence can be told from zero. */
FERRY_TOPIC_DEFINE(rich, struct rich, "fuzz.rich", 1,
		   FERRY_FIELD(id, .required = true, .min_length = 1, .max_length = 12),
		   FERRY_FIELD(cents, .required = true, .min = 1, .max = 9007199254740993.0), FERRY_FIELD(i8),
		   FERRY_FIELD(i16), FERRY_FIELD(i32, .min = -1000000.5), FERRY_FIELD(i64), FERRY_FIELD(u8),
		   FERRY_FIELD(u16), FERRY_FIELD(u32), FERRY_FIELD(u64),
		   FERRY_OPTIONAL(percent, .min = 1, .max = 100), FERRY_FIELD(ratio),
		   FERRY_OPTIONAL(weight, .name = "weight-kg", .min = 0.5, .max = 99.5), FERRY_FIELD(gift),
		   FERRY_OPTIONAL(sure), FERRY_ENUM(color, color), FERRY_ENUM(level, level),
		   FERRY_FIELD(note, .max_length = 30), FERRY_FIELD(extra),
		   FERRY_OBJECT(place, place, .required = true), FERRY_OBJECT(other, place),
		   FERRY_OBJECT(spare, place, .has = FERRY_HAS(has_spare)), FERRY_OBJECT(next, rich),
		   FERRY_OBJECT_LIST(parts, part_count, rich, .max_items = 5),
		   FERRY_LIST(counts, count_count, .min = -5, .max = 5000, .min_items = 1, .max_items = 9),
		   FERRY_LIST(numbers, number_count, .min = -1e300), FERRY_LIST(flags, flag_count),
		   FERRY_LIST(tags, tag_count, .min_length = 1, .max_length = 5), FERRY_LIST(raws, raw_count),
		   FERRY_ENUM_LIST(colors, color_count, color));

/* ---- what jansson reads ---- */

static void same_members(const struct ferry_struct *s, const json_t *in, const json_t *out);

static void same_value(const struct ferry_field *f, const json_t *in, const json_t *out)
{
	if (f->kind == FERRY_KIND_NUMBER)
		FUZZ_CHECK(json_is_number(out) && json_number_value(in) == json_number_value(out));
	else if (f->kind == FERRY_KIND_OBJECT)
		same_members(f->object(), in, out);
	else
		FUZZ_CHECK(json_equal((json_t *)(uintptr_t)in, (json_t *)(uintptr_t)out));
}

static void same_items(const struct ferry_field *f, const json_t *in, const json_t *out)
{
	FUZZ_CHECK(json_is_array(out) && json_array_size(in) == json_array_size(out));
	for (size_t i = 0; i < json_array_size(in); i++)
		same_value(f, json_array_get(in, i), json_array_get(out, i));
}

/* What is absent stays so, or is written as its zero. */
static void is_nothing(const struct ferry_field *f, const json_t *out)
{
	FUZZ_CHECK(!f->required && !f->has);
	if (f->kind == FERRY_KIND_ENUM)
		FUZZ_CHECK(strcmp(json_string_value(out), "low") == 0);
	else
		FUZZ_CHECK(json_is_false(out) || (json_is_number(out) && json_number_value(out) == 0));
}

static void same_members(const struct ferry_struct *s, const json_t *in, const json_t *out)
{
	FUZZ_CHECK(json_is_object(in) && json_is_object(out));
	for (size_t i = 0; i < s->field_count; i++) {
		const struct ferry_field *f = &s->fields[i];
		const json_t *from = json_object_get(in, f->name), *to = json_object_get(out, f->name);
		bool absent = !from || (json_is_null(from) && (f->list || f->kind != FERRY_KIND_JSON));
		if (absent && to)
			is_nothing(f, to);
		else if (!absent && f->list)
			same_items(f, from, to);
		else if (!absent)
			same_value(f, from, to);
	}
}

static void check_meaning(const char *payload, size_t size, const char *json, size_t json_size)
{
	json_t *in = json_loadb(payload, size, 0, NULL), *out = json_loadb(json, json_size, 0, NULL);
	FUZZ_CHECK(in && out);
	same_members(rich_fields(), in, out);
	json_decref(in);
	json_decref(out);
}

/* ---- there and back ---- */

/* On the heap, of just its size. */
static char *encode(const struct rich *event, size_t *ret_size)
{
	struct ferry_error err = {.code = 0};
	size_t size = 0;
	FUZZ_CHECK(rich_encode(event, NULL, 0, &size, &err) == FERRY_E_TOO_LARGE);
	char *json = malloc(size);
	FUZZ_CHECK(json && rich_encode(event, json, size, ret_size, &err) == 0 && *ret_size == size);
	return json;
}

static void check_accepted(const struct rich *event, const char *payload, size_t size)
{
	struct ferry_error err = {.code = 0};
	const struct rich *copy = NULL;
	size_t json_size, again_size;
	char *json = encode(event, &json_size);
	check_meaning(payload, size, json, json_size);
	FUZZ_CHECK(rich_decode(json, json_size, &copy, &err) == 0);
	char *again = encode(copy, &again_size);
	FUZZ_CHECK(json_size == again_size && memcmp(json, again, json_size) == 0);
	rich_free(copy);
	free(json);
	free(again);
}

static void check_refused(int code, const struct ferry_error *err, size_t size)
{
	static const char topic[] = "fuzz.rich: ";
	size_t byte;
	FUZZ_CHECK(code == FERRY_E_DECODE && err->code == code);
	FUZZ_CHECK(strncmp(err->text, topic, sizeof topic - 1) == 0 && strlen(err->text) > sizeof topic);
	FUZZ_CHECK(text_is_utf8(err->text, strlen(err->text)));
	for (const char *c = err->text; *c; c++)
		FUZZ_CHECK((unsigned char)*c >= ' ' && *c != 0x7F);
	if (sscanf(err->text + sizeof topic - 1, "byte %zu: ", &byte) == 1)
		FUZZ_CHECK(byte <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *payload = size ? (const char *)data : "";
	struct ferry_error err = {.code = 0};
	const struct rich *event = NULL;
	int code = rich_decode(payload, size, &event, &err);
	if (code) {
		FUZZ_CHECK(!event);
		check_refused(code, &err, size);
		return 0;
	}
	check_accepted(event, payload, size);
	rich_free(event);
	return 0;
}
