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

#define TIME_SIZE    32
#define TIME_MOST_US INT64_C(253402300799000000) /* the end of the year 9999 */

/* "2026-11-24T12:00:00.123456Z".  Messages come many a second, so the text of the last second is kept. */
static size_t time_format(int64_t wall_us, char text[TIME_SIZE])
{
	static _Thread_local struct {
		int64_t second;
		char text[TIME_SIZE];
		size_t size;
	} last = {.second = INT64_MIN};
	int64_t fraction = wall_us % 1000000;
	if (fraction < 0)
		fraction += 1000000;
	int64_t second = (wall_us - fraction) / 1000000;
	if (second != last.second) {
		time_t seconds = (time_t)second;
		struct tm tm;
		gmtime_r(&seconds, &tm);
		last.size = strftime(last.text, sizeof last.text, "%Y-%m-%dT%H:%M:%S", &tm);
		last.second = second;
	}
	memcpy(text, last.text, last.size);
	char *at = text + last.size;
	*at = '.';
	for (int i = 6; i > 0; i--) {
		at[i] = (char)('0' + fraction % 10);
		fraction /= 10;
	}
	at[7] = 'Z';
	return last.size + 8;
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

/* "2026-11-24T12:00:00", by hand, since every message has one. */
static bool parse_parts(const char **text, int part[6])
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	for (const char *at = form; *at; at++, (*text)++) {
		char c = **text;
		if (*at != 'd') {
			if (c != *at && !(*at == 'T' && (c == 't' || c == ' ')))
				return false;
			part++;
		} else if (c >= '0' && c <= '9') {
			*part = *part * 10 + (c - '0');
		} else {
			return false;
		}
	}
	return true;
}

/* False when the text is no RFC 3339 time; what follows it is ignored. */
static bool time_parse(const char *text, int64_t *ret_us)
{
	int part[6] = {0}; /* year, month, day, hour, minute, second */
	int offset_hour, offset_minute;
	if (!parse_parts(&text, part) || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31)
		return false;
	int64_t us = parse_fraction(&text);
	int64_t offset = 0;
	if (*text == '+' || *text == '-') {
		if (sscanf(text + 1, "%2d:%2d", &offset_hour, &offset_minute) != 2)
			return false;
		offset = (offset_hour * 60 + offset_minute) * (*text == '-' ? -1 : 1);
	} else if (*text != 'Z' && *text != 'z') {
		return false;
	}
	int64_t minutes = (days_of(part[0], part[1], part[2]) * 24 + part[3]) * 60 + part[4] - offset;
	*ret_us = (minutes * 60 + part[5]) * 1000000 + us;
	return true;
}

/* ---- writing ---- */

/* A field's name as it is sent. */
#define NAME(length, name) "$" #length "\r\n" name "\r\n"

static void add_raw(struct bytes *out, const char *name, struct ferry_view value)
{
	bytes_add(out, name, strlen(name));
	command_data(out, value.data, value.size);
}

static void add_view(struct bytes *out, const char *name, struct ferry_view value)
{
	if (value.size)
		add_raw(out, name, value);
}

static size_t count_fields(const struct wire_format *format, const struct ferry_record *record)
{
	size_t count = format->compact ? 1 : record->source.size ? 5 : 4;
	count += record->content_type.size ? 1 : 0;
	count += record->key.data ? 1 : 0;
	count += record->traceparent.size ? 1 : 0;
	count += record->tracestate.size ? 1 : 0;
	count += record->trace_id.size ? 1 : 0;
	return count + record->attribute_count + 1;
}

static void add_compact(struct bytes *out, const struct ferry_record *record, struct ferry_view id)
{
	char front[64];
	int size = snprintf(front, sizeof front, "%" PRId64 " %zu ", record->wall_us, record->source.size);
	size_t total = (size_t)size + record->source.size + 1 + id.size;
	char head[64];
	int head_size = snprintf(head, sizeof head, NAME(5, "ferry") "$%zu\r\n%s", total, front);
	bytes_add(out, head, (size_t)head_size);
	bytes_add(out, record->source.data, record->source.size);
	bytes_add(out, " ", 1);
	bytes_add(out, id.data, id.size);
	bytes_add(out, "\r\n", 2);
}

static void add_cloudevents(struct bytes *out, const struct ferry_record *record, struct ferry_view id)
{
	char time[TIME_SIZE];
	bytes_add(out, NAME(14, "ce-specversion") "$3\r\n1.0\r\n", 30);
	add_raw(out, NAME(5, "ce-id"), id);
	add_view(out, NAME(9, "ce-source"), record->source);
	add_raw(out, NAME(7, "ce-type"), record->topic);
	add_raw(out, NAME(7, "ce-time"), (struct ferry_view){time, time_format(record->wall_us, time)});
}

void wire_write(struct bytes *out, const struct wire_format *format, const char *key,
		const struct ferry_record *record)
{
	char made[FERRY_ID_TEXT_SIZE];
	struct ferry_view id = record->id;
	if (!id.size) {
		out->host->format_id(record->id_bits, made);
		id = (struct ferry_view){made, FERRY_ID_TEXT_SIZE - 1};
	}
	command_begin(out, (format->make_stream ? 3 : 4) + 2 * count_fields(format, record));
	bytes_add(out, "$4\r\nXADD\r\n", 10);
	command_text(out, key);
	if (!format->make_stream)
		command_text(out, "NOMKSTREAM");
	bytes_add(out, "$1\r\n*\r\n", 7);
	if (format->compact)
		add_compact(out, record, id);
	else
		add_cloudevents(out, record, id);
	add_view(out, NAME(12, "content-type"), record->content_type);
	if (record->key.data)
		add_raw(out, NAME(15, "ce-partitionkey"), record->key);
	add_view(out, NAME(11, "traceparent"), record->traceparent);
	add_view(out, NAME(10, "tracestate"), record->tracestate);
	add_view(out, NAME(13, "ferry-traceid"), record->trace_id);
	for (size_t i = 0; i < record->attribute_count; i++) {
		command_text(out, record->attributes[i].name);
		command_text(out, record->attributes[i].value);
	}
	add_raw(out, NAME(1, "d"), record->payload);
}

/* ---- reading ---- */

/* "<time> <n> <source> <id>"; the space behind the source becomes its NUL. */
static void read_compact(struct ferry_record *record, char *value)
{
	char *end;
	int64_t wall_us = strtoll(value, &end, 10);
	if (end == value || *end != ' ' || wall_us < -TIME_MOST_US || wall_us > TIME_MOST_US)
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

/* Where a field of the envelope belongs; NULL: it is none of those that are texts. */
static struct ferry_view *envelope_view(struct ferry_record *record, const char *name, size_t size)
{
	switch (size) {
	case 5:
		return !memcmp(name, "ce-id", 5) ? &record->id : NULL;
	case 9:
		return !memcmp(name, "ce-source", 9) ? &record->source : NULL;
	case 10:
		return !memcmp(name, "tracestate", 10) ? &record->tracestate : NULL;
	case 11:
		return !memcmp(name, "traceparent", 11) ? &record->traceparent : NULL;
	case 12:
		return !memcmp(name, "content-type", 12) ? &record->content_type : NULL;
	case 13:
		return !memcmp(name, "ferry-traceid", 13)   ? &record->trace_id
		       : !memcmp(name, "ce-tracestate", 13) ? &record->tracestate
							    : NULL;
	case 14:
		return !memcmp(name, "ce-traceparent", 14) ? &record->traceparent : NULL;
	case 15:
		return !memcmp(name, "ce-partitionkey", 15) ? &record->key : NULL;
	default:
		return NULL;
	}
}

/* Take a field of the envelope; false: it is an attribute. */
static bool read_envelope(struct ferry_record *record, const struct reply *name, struct ferry_view value)
{
	struct ferry_view *view = envelope_view(record, name->text, name->size);
	if (view) {
		*view = value;
		return true;
	}
	if (name->size == 7 && !memcmp(name->text, "ce-time", 7))
		return time_parse(value.data, &record->wall_us);
	if (name->size == 5 && !memcmp(name->text, "ferry", 5)) {
		read_compact(record, (char *)(uintptr_t)value.data);
		return true;
	}
	return (name->size == 7 && !memcmp(name->text, "ce-type", 7)) ||
	       (name->size == 14 && !memcmp(name->text, "ce-specversion", 14));
}

size_t wire_room(const struct reply *fields)
{
	size_t room = 0;
	for (size_t i = 0; i < fields->size; i++)
		room += fields->items[i]->size + 1;
	return room;
}

static char *copy(char **room, const struct reply *text)
{
	char *at = *room;
	memcpy(at, text->text, text->size + 1);
	*room += text->size + 1;
	return at;
}

/* The last field `d`, or past the end. */
static size_t payload_at(const struct reply *fields)
{
	for (size_t i = fields->size / 2; i-- > 0;)
		if (fields->items[2 * i]->size == 1 && *fields->items[2 * i]->text == 'd')
			return 2 * i;
	return fields->size;
}

void wire_read(struct ferry_record *record, struct ferry_attribute *attributes, char *room,
	       const struct reply *fields, struct entry_id id)
{
	size_t count = 0, payload = payload_at(fields);
	record->wall_us = id.ms < INT64_MAX / 1000 ? (int64_t)id.ms * 1000 : INT64_MAX;
	for (size_t i = 0; i + 1 < fields->size; i += 2) {
		const struct reply *name = fields->items[i];
		struct ferry_view value = {copy(&room, fields->items[i + 1]), fields->items[i + 1]->size};
		if (i == payload)
			record->payload = value;
		else if (!read_envelope(record, name, value))
			attributes[count++] = (struct ferry_attribute){copy(&room, name), value.data};
	}
	record->attributes = attributes;
	record->attribute_count = count;
	if (record->id.size)
		return;
	memcpy(room, record->topic.data, record->topic.size);
	room[record->topic.size] = '/';
	record->id = (struct ferry_view){room, record->topic.size + 1 +
						       entry_id_format(id, room + record->topic.size + 1)};
}
