#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "event.h"
#include "scan.h"

/* Reading one line: where we are, and where the next string goes. */
struct reading {
	struct scan scan;
	struct event *event;
	char *strings;
};

/* Read a string of bytes. */
static bool read_bytes(struct reading *r, const char **ret, size_t *ret_size)
{
	if (!scan_string(&r->scan, r->strings, ret_size))
		return false;
	*ret = r->strings;
	r->strings += *ret_size + 1;
	return true;
}

/* Read a string that C can hold. */
static bool read_text(struct reading *r, const char **ret)
{
	size_t size;
	scan_next(&r->scan);
	const char *begin = r->scan.at;
	if (!read_bytes(r, ret, &size))
		return false;
	if (strlen(*ret) == size)
		return true;
	r->scan.at = begin;
	return scan_fail(&r->scan, "a NUL character is not allowed here");
}

static bool read_base64(struct reading *r, const char **ret, size_t *ret_size)
{
	scan_next(&r->scan);
	const char *begin = r->scan.at;
	char *to = r->strings;
	if (!read_bytes(r, ret, ret_size))
		return false;
	if (base64_decode(to, *ret_size, to, ret_size))
		return true;
	r->scan.at = begin;
	return scan_fail(&r->scan, "not base64");
}

/* ---- members ---- */

static bool read_topic(struct reading *r)
{
	return read_text(r, &r->event->topic);
}

static bool read_id(struct reading *r)
{
	return read_text(r, &r->event->id);
}

static bool read_trace_id(struct reading *r)
{
	return read_text(r, &r->event->trace_id);
}

static bool read_content_type(struct reading *r)
{
	return read_text(r, &r->event->content_type);
}

static bool read_key(struct reading *r)
{
	return read_bytes(r, &r->event->key, &r->event->key_size);
}

static bool read_key_base64(struct reading *r)
{
	return read_base64(r, &r->event->key, &r->event->key_size);
}

static bool read_payload(struct reading *r)
{
	struct event *e = r->event;
	if (scan_next(&r->scan) == '"')
		return read_bytes(r, &e->payload, &e->payload_size);
	if (!scan_value(&r->scan, &e->payload))
		return false;
	e->payload_size = (size_t)(r->scan.at - e->payload);
	return true;
}

static bool read_payload_base64(struct reading *r)
{
	return read_base64(r, &r->event->payload, &r->event->payload_size);
}

static bool read_attribute(struct reading *r)
{
	struct event *e = r->event;
	struct ferry_attribute *next = &e->attributes[e->attribute_count];
	scan_next(&r->scan);
	const char *begin = r->scan.at;
	if (e->attribute_count == EVENT_ATTRIBUTES_MAX)
		return scan_fail(&r->scan, "too many attributes");
	if (!read_text(r, &next->name) || !scan_take(&r->scan, ':', "':' is expected"))
		return false;
	if (scan_next(&r->scan) != '"')
		return scan_fail(&r->scan, "an attribute's value has to be a string");
	if (!read_text(r, &next->value))
		return false;
	for (size_t i = 0; i < e->attribute_count; i++) {
		if (strcmp(e->attributes[i].name, next->name) == 0) {
			r->scan.at = begin;
			return scan_fail(&r->scan, "the attribute is there twice");
		}
	}
	e->attribute_count++;
	return true;
}

static bool read_attributes(struct reading *r)
{
	if (!scan_take(&r->scan, '{', "attributes have to be an object"))
		return false;
	if (scan_next(&r->scan) == '}')
		return scan_take(&r->scan, '}', NULL);
	for (;;) {
		if (!read_attribute(r))
			return false;
		if (scan_next(&r->scan) != ',')
			return scan_take(&r->scan, '}', "',' or '}' is expected");
		r->scan.at++;
	}
}

/* The members that mean something.  Two of one `slot` exclude each other. */
static const struct member {
	const char *name;
	bool (*read)(struct reading *r);
	unsigned int slot;
	bool null_is_absent;
} members[] = {
	{"topic", read_topic, 1u << 0, true},
	{"attributes", read_attributes, 1u << 1, true},
	{"key", read_key, 1u << 2, true},
	{"key_base64", read_key_base64, 1u << 2, true},
	{"payload", read_payload, 1u << 3, false},
	{"payload_base64", read_payload_base64, 1u << 3, true},
	{"id", read_id, 1u << 4, true},
	{"trace_id", read_trace_id, 1u << 5, true},
	{"content_type", read_content_type, 1u << 6, true},
};

static const struct member *find_member(const char *name)
{
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		if (strcmp(members[i].name, name) == 0)
			return &members[i];
	}
	return NULL;
}

/* One member, its name included. */
static bool read_member(struct reading *r, unsigned int *seen)
{
	const char *name;
	scan_next(&r->scan);
	const char *begin = r->scan.at;
	size_t size;
	if (!read_bytes(r, &name, &size))
		return false;
	const struct member *member = strlen(name) == size ? find_member(name) : NULL;
	if (!scan_take(&r->scan, ':', "':' is expected"))
		return false;
	if (!member || (member->null_is_absent && scan_next(&r->scan) == 'n'))
		return scan_value(&r->scan, NULL);
	if (*seen & member->slot) {
		r->scan.at = begin;
		return scan_fail(&r->scan, "this is there twice");
	}
	*seen |= member->slot;
	return member->read(r);
}

static bool read_line(struct reading *r)
{
	unsigned int seen = 0;
	if (!scan_take(&r->scan, '{', "an object is expected"))
		return false;
	for (bool more = scan_next(&r->scan) != '}'; more;) {
		if (!read_member(r, &seen))
			return false;
		more = scan_next(&r->scan) == ',';
		r->scan.at += more;
	}
	if (!scan_take(&r->scan, '}', "',' or '}' is expected"))
		return false;
	if (scan_next(&r->scan) >= 0)
		return scan_fail(&r->scan, "something follows the object");
	return r->event->payload || scan_fail(&r->scan, "there is no payload");
}

int event_read(struct event *event, const char *line, size_t size, struct event_error *err)
{
	char *strings = event->strings;
	size_t room = event->room;
	if (room < size + 1) {
		free(strings);
		room = size + 1;
		strings = malloc(room);
	}
	*event = (struct event){.strings = strings, .room = strings ? room : 0};
	struct reading r = {{line, line, line + size, NULL}, event, strings};
	if (!strings)
		scan_fail(&r.scan, "out of memory");
	if (strings && read_line(&r))
		return 0;
	*err = (struct event_error){(size_t)(r.scan.at - line) + 1, r.scan.wrong};
	return -1;
}

void event_finish(struct event *event)
{
	free(event->strings);
	*event = (struct event){.strings = NULL};
}
