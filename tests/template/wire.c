#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct ferry_view view_of(const char *text)
{
	return (struct ferry_view){text, strlen(text)};
}

/* ---- time as RFC 3339 ---- */

static void time_format(int64_t wall_us, char *text, size_t size)
{
	int64_t fraction = wall_us % 1000000;
	if (fraction < 0)
		fraction += 1000000;
	time_t seconds = (time_t)((wall_us - fraction) / 1000000);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)fraction);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar; years begin in March so that the leap day is
 * last. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = month > 2 ? month - 3 : month + 9;
	int64_t leap_days = y / 4 - y / 100 + y / 400;
	return y * 365 + leap_days + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int64_t parse_fraction(const char **text)
{
	int64_t fraction = 0;
	int64_t unit = 100000;
	if (**text != '.')
		return 0;
	for ((*text)++; **text >= '0' && **text <= '9'; (*text)++) {
		fraction += (**text - '0') * unit;
		unit /= 10;
	}
	return fraction;
}

/* False when the text is no RFC 3339 time; what follows it is ignored. */
static bool time_parse(const char *text, int64_t *ret_us)
{
	int year, month, day, hour, minute, second, length = 0;
	int offset_hour, offset_minute;
	int read = sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute,
			  &second, &length);
	if (read != 6 || year < 0 || month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	text += length;
	int64_t us = parse_fraction(&text);
	int64_t offset = 0;
	if (*text == '+' || *text == '-') {
		if (sscanf(text + 1, "%2d:%2d", &offset_hour, &offset_minute) != 2)
			return false;
		offset = (offset_hour * 60 + offset_minute) * (*text == '-' ? -1 : 1);
	} else if (*text != 'Z' && *text != 'z') {
		return false;
	}
	int64_t minutes = (days_of(year, month, day) * 24 + hour) * 60 + minute - offset;
	*ret_us = (minutes * 60 + second) * 1000000 + us;
	return true;
}

/* ---- writing ---- */

void wire_clear(struct wire_headers *headers)
{
	headers->size = 0;
	headers->failed = false;
}

void wire_free(struct wire_headers *headers)
{
	if (headers->bytes)
		headers->host->free(headers->core, headers->bytes);
	headers->bytes = NULL;
	headers->capacity = 0;
}

static void append(struct wire_headers *headers, const void *bytes, size_t size)
{
	size_t needed = headers->size + size + 1;
	if (needed > headers->capacity) {
		size_t capacity = needed * 2;
		char *more = headers->host->resize(headers->core, headers->bytes, capacity);
		if (!more) {
			headers->failed = true;
			return;
		}
		headers->bytes = more;
		headers->capacity = capacity;
	}
	if (size)
		memcpy(headers->bytes + headers->size, bytes, size);
	headers->bytes[headers->size + size] = '\0';
	headers->size = needed;
}

void wire_add(struct wire_headers *headers, const char *name, const void *value, size_t size)
{
	append(headers, name, strlen(name));
	append(headers, value, size);
}

static void add_view(struct wire_headers *headers, const char *name, struct ferry_view value)
{
	if (value.size)
		wire_add(headers, name, value.data, value.size);
}

static void add_text(struct wire_headers *headers, const char *name, const char *value)
{
	wire_add(headers, name, value, strlen(value));
}

static void add_compact(struct wire_headers *headers, const struct ferry_record *record, struct ferry_view id)
{
	char front[64];
	snprintf(front, sizeof front, "%" PRId64 " %zu ", record->wall_us, record->source.size);
	append(headers, "ferry", 5);
	/* The value is written in pieces: each append ends with a NUL, which the next piece replaces. */
	append(headers, front, strlen(front));
	headers->size -= !headers->failed;
	append(headers, record->source.data, record->source.size);
	if (!headers->failed)
		headers->bytes[headers->size - 1] = ' ';
	append(headers, id.data, id.size);
}

static void add_cloudevents(struct wire_headers *headers, const struct ferry_record *record,
			    struct ferry_view id)
{
	char time[64];
	time_format(record->wall_us, time, sizeof time);
	add_text(headers, "ce-specversion", "1.0");
	add_view(headers, "ce-id", id);
	add_view(headers, "ce-source", record->source);
	add_view(headers, "ce-type", record->topic);
	add_text(headers, "ce-time", time);
}

int wire_encode(struct wire_headers *headers, const struct ferry_record *record, bool compact)
{
	char made[FERRY_ID_TEXT_SIZE];
	struct ferry_view id = record->id;
	if (!id.size) {
		headers->host->format_id(record->id_bits, made);
		id = view_of(made);
	}
	wire_clear(headers);
	if (compact)
		add_compact(headers, record, id);
	else
		add_cloudevents(headers, record, id);
	add_view(headers, "content-type", record->content_type);
	add_view(headers, "traceparent", record->traceparent);
	add_view(headers, "tracestate", record->tracestate);
	add_view(headers, "ferry-traceid", record->trace_id);
	for (size_t i = 0; i < record->attribute_count; i++)
		add_text(headers, record->attributes[i].name, record->attributes[i].value);
	return headers->failed ? FERRY_E_NOMEM : 0;
}

/* ---- reading ---- */

/* The string at *at, which then stands behind it; NULL when none is complete any more. */
static const char *next_text(const char **at, const char *end)
{
	const char *text = *at;
	const char *nul = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;
	if (!nul)
		return NULL;
	*at = nul + 1;
	return text;
}

size_t wire_count(const char *bytes, size_t size)
{
	const char *end = bytes + size;
	size_t texts = 0;
	while (next_text(&bytes, end))
		texts++;
	return texts / 2;
}

size_t wire_pairs(const char *bytes, size_t size, struct ferry_attribute *pairs)
{
	const char *end = bytes + size;
	size_t count = wire_count(bytes, size);
	for (size_t i = 0; i < count; i++) {
		pairs[i].name = next_text(&bytes, end);
		pairs[i].value = next_text(&bytes, end);
	}
	return count;
}

/* "<time> <n> <source> <id>"; the space behind the source becomes its NUL. */
static void decode_compact(struct ferry_record *record, char *value)
{
	char *end;
	int64_t wall_us = strtoll(value, &end, 10);
	if (end == value || *end != ' ')
		return;
	char *count = end + 1;
	size_t size = (size_t)strtoul(count, &end, 10);
	if (end == count || *end != ' ' || size >= strlen(end + 1) || end[1 + size] != ' ')
		return;
	char *source = end + 1;
	source[size] = '\0';
	record->wall_us = wall_us;
	record->source = (struct ferry_view){source, size};
	record->id = view_of(source + size + 1);
}

/* The envelope's own headers; false: it is an attribute. */
static bool decode_header(struct ferry_record *record, const struct ferry_attribute *pair)
{
	const struct {
		const char *name;
		struct ferry_view *view;
	} known[] = {
		{"ce-id", &record->id},
		{"ce-source", &record->source},
		{"content-type", &record->content_type},
		{"traceparent", &record->traceparent},
		{"ce-traceparent", &record->traceparent},
		{"tracestate", &record->tracestate},
		{"ce-tracestate", &record->tracestate},
		{"ferry-traceid", &record->trace_id},
	};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!strcmp(pair->name, known[i].name)) {
			*known[i].view = view_of(pair->value);
			return true;
		}
	}
	if (!strcmp(pair->name, "ce-time"))
		return time_parse(pair->value, &record->wall_us);
	if (!strcmp(pair->name, "ce-partitionkey") && !record->key.data) {
		record->key = view_of(pair->value);
		return true;
	}
	return !strcmp(pair->name, "ce-type") || !strcmp(pair->name, "ce-specversion");
}

void wire_decode(struct ferry_record *record, struct ferry_attribute *pairs, size_t count)
{
	size_t attributes = 0;
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(pairs[i].name, "ferry"))
			decode_compact(record, (char *)(uintptr_t)pairs[i].value);
		else if (!decode_header(record, &pairs[i]))
			pairs[attributes++] = pairs[i];
	}
	record->attributes = pairs;
	record->attribute_count = attributes;
}
