/*
 * json_schema.c - a topic's field table as JSON Schema, draft 2020-12.
 *
 * A described struct becomes an entry of $defs, so that structs may hold one another.  What is not required
 * may also be null, as in decoding.
 */
#include <math.h>
#include <stdio.h>

#include "alloc.h"
#include "buffer.h"
#include "encode.h"
#include "schema.h"

struct writer {
	struct ferry_buffer out;
	bool failed;
};

static void raw(struct writer *w, const char *text)
{
	w->failed |= ferry_buffer_append(&w->out, text, strlen(text)) != 0;
}

static void quoted(struct writer *w, const char *text)
{
	w->failed |= !encode_text(&w->out, text, strlen(text));
}

static void count(struct writer *w, const char *key, size_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%zu", value);
	raw(w, key);
	raw(w, text);
}

static void bound(struct writer *w, const char *key, double value)
{
	char text[NUMBER_TEXT_MAX];
	raw(w, key);
	raw(w, schema_bound_text(value, text));
}

static void whole(struct writer *w, const char *key, int64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%lld", (long long)value);
	raw(w, key);
	raw(w, text);
}

static void type(struct writer *w, const char *name, bool nullable)
{
	raw(w, nullable ? "\"type\":[" : "\"type\":");
	quoted(w, name);
	raw(w, nullable ? ",\"null\"]" : "");
}

/* ---- kinds ---- */

/* The narrower of the member's own range and the constraint's. */
static void integer(struct writer *w, const struct ferry_field *f, bool nullable)
{
	int64_t lowest = schema_lowest(f), highest = schema_highest(f);
	type(w, "integer", nullable);
	if (f->min > (double)lowest)
		bound(w, ",\"minimum\":", f->min);
	else
		whole(w, ",\"minimum\":", lowest);
	if (f->max < (double)highest)
		bound(w, ",\"maximum\":", f->max);
	else
		whole(w, ",\"maximum\":", highest);
}

static void number(struct writer *w, const struct ferry_field *f, bool nullable)
{
	type(w, "number", nullable);
	if (f->min != -HUGE_VAL)
		bound(w, ",\"minimum\":", f->min);
	if (f->max != HUGE_VAL)
		bound(w, ",\"maximum\":", f->max);
}

static void string(struct writer *w, const struct ferry_field *f, bool nullable)
{
	type(w, "string", nullable);
	if (f->min_length)
		count(w, ",\"minLength\":", f->min_length);
	if (f->max_length != SIZE_MAX)
		count(w, ",\"maxLength\":", f->max_length);
}

static void names(struct writer *w, const struct ferry_field *f, bool nullable)
{
	raw(w, "\"enum\":[");
	for (const struct ferry_enum_value *v = f->values; v->name; v++) {
		raw(w, v == f->values ? "" : ",");
		quoted(w, v->name);
	}
	raw(w, nullable ? ",null]" : "]");
}

static void reference(struct writer *w, const char *name)
{
	raw(w, "{\"$ref\":\"#/$defs/");
	raw(w, name);
	raw(w, "\"}");
}

static void object(struct writer *w, const struct ferry_field *f, bool nullable)
{
	raw(w, "\"anyOf\":[");
	reference(w, f->object()->name);
	raw(w, nullable ? ",{\"type\":\"null\"}]" : "]");
}

static void one(struct writer *w, const struct ferry_field *f, bool nullable)
{
	switch (f->kind) {
	case FERRY_KIND_INTEGER:
	case FERRY_KIND_UNSIGNED:
		integer(w, f, nullable);
		break;
	case FERRY_KIND_NUMBER:
		number(w, f, nullable);
		break;
	case FERRY_KIND_BOOL:
		type(w, "boolean", nullable);
		break;
	case FERRY_KIND_STRING:
		string(w, f, nullable);
		break;
	case FERRY_KIND_ENUM:
		names(w, f, nullable);
		break;
	case FERRY_KIND_JSON:
		raw(w, "\"$comment\":\"any value\"");
		break;
	default:
		object(w, f, nullable);
	}
}

static void field(struct writer *w, const struct ferry_field *f)
{
	quoted(w, f->name);
	raw(w, ":{");
	if (f->list) {
		type(w, "array", !f->required);
		raw(w, ",\"items\":{");
		one(w, f, false);
		raw(w, "}");
		if (f->min_items)
			count(w, ",\"minItems\":", f->min_items);
		if (f->max_items != SIZE_MAX)
			count(w, ",\"maxItems\":", f->max_items);
	} else {
		one(w, f, !f->required);
	}
	if (f->doc) {
		raw(w, ",\"description\":");
		quoted(w, f->doc);
	}
	raw(w, "}");
}

/* ---- structs ---- */

static void members(struct writer *w, const struct ferry_struct *s)
{
	bool any = false;
	raw(w, "\"type\":\"object\",\"properties\":{");
	for (size_t i = 0; i < s->field_count; i++) {
		raw(w, i ? "," : "");
		field(w, schema_field(s, i));
	}
	raw(w, "}");
	for (size_t i = 0; i < s->field_count; i++) {
		const struct ferry_field *f = schema_field(s, i);
		if (!f->required)
			continue;
		raw(w, any ? "," : ",\"required\":[");
		quoted(w, f->name);
		any = true;
	}
	raw(w, any ? "]" : "");
}

static void document(struct writer *w, const struct ferry_topic *topic)
{
	struct schema_structs d = {.allocator = &alloc_default};
	char version[16];
	snprintf(version, sizeof version, ":%d", (int)topic->version);
	raw(w, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"$id\":\"urn:ferry:");
	raw(w, topic->name);
	raw(w, version);
	raw(w, "\",\"title\":");
	quoted(w, topic->name);
	raw(w, ",");
	members(w, topic->fields());
	schema_collect(&d, topic->fields());
	for (size_t i = 0; i < d.count; i++) {
		raw(w, i ? "," : ",\"$defs\":{");
		quoted(w, d.found[i]->name);
		raw(w, ":{");
		members(w, d.found[i]);
		raw(w, "}");
		schema_collect(&d, d.found[i]);
	}
	raw(w, d.count ? "}}" : "}");
	w->failed |= d.failed;
	alloc_free(&alloc_default, d.found);
}

size_t ferry_topic_json_schema(const struct ferry_topic *topic, char *buffer, size_t size)
{
	struct writer w = {.failed = false};
	buffer_init(&w.out, &alloc_default, NULL, 0);
	if (topic)
		document(&w, topic);
	size_t length = w.failed ? 0 : w.out.size;
	size_t copied = length < size ? length : size ? size - 1 : 0;
	if (copied)
		memcpy(buffer, w.out.bytes, copied);
	if (size)
		buffer[copied] = '\0';
	buffer_finish(&w.out);
	return length;
}
