#include "intercept.h"

#include <stdio.h>
#include <string.h>

#include "id.h"
#include "names.h"
#include "options.h"

struct ferry_next {
	const struct interceptor *rest;
	struct ferry_bus *bus;
};

/* ---- handle ---- */

int ferry_next_handle(struct ferry_next *next, struct ferry_message *message)
{
	const struct interceptor *i = next->rest;
	while (i && !i->call.handle)
		i = i->next;
	if (!i)
		return message->handler->run(message, message->handler->ctx);
	struct ferry_next rest = {i->next, next->bus};
	return i->call.handle(message, &rest, i->call.ctx);
}

int handle_through(struct ferry_bus *bus, struct ferry_message *m)
{
	if (!bus->interceptors)
		return m->handler->run(m, m->handler->ctx);
	struct ferry_next all = {bus->interceptors, bus};
	return ferry_next_handle(&all, m);
}

/* ---- publish ---- */

bool has_publish_interceptor(const struct ferry_bus *bus)
{
	for (const struct interceptor *i = bus->interceptors; i; i = i->next)
		if (i->call.publish)
			return true;
	return false;
}

int ferry_next_publish(struct ferry_next *next, struct ferry_publication *publication)
{
	const struct interceptor *i = next->rest;
	while (i && !i->call.publish)
		i = i->next;
	if (!i) {
		if (publication->sent) /* a message is sent once */
			return FERRY_E_STATE;
		publication->sent = true;
		publication->outcome = publication->send(publication, publication->send_ctx);
		return publication->outcome;
	}
	struct ferry_next rest = {i->next, next->bus};
	return i->call.publish(publication, &rest, i->call.ctx);
}

int publish_through(struct ferry_publication *publication)
{
	struct ferry_next all = {publication->bus->interceptors, publication->bus};
	int code = ferry_next_publish(&all, publication);
	if (publication->sent)
		return publication->outcome;
	return code < 0 ? code : FERRY_E_REJECTED;
}

void publication_clear(struct ferry_publication *p)
{
	for (size_t i = 0; i < p->owned_count; i++)
		alloc_free(p->bus->allocator, p->owned[i]);
	alloc_free(p->bus->allocator, p->owned);
	alloc_free(p->bus->allocator, p->attributes);
}

/* A copy that lives as long as the publication. */
static char *own(struct ferry_publication *p, const char *text)
{
	void **owned = alloc_resize(p->bus->allocator, p->owned, (p->owned_count + 1) * sizeof *owned);
	if (!owned)
		return NULL;
	p->owned = owned;
	char *copy = alloc_string(p->bus->allocator, text);
	if (copy)
		p->owned[p->owned_count++] = copy;
	return copy;
}

const char *ferry_publication_topic(const struct ferry_publication *publication)
{
	return publication->topic->name;
}

const void *ferry_publication_payload(const struct ferry_publication *publication, size_t *ret_size)
{
	struct ferry_view payload = publication->record.payload;
	if (ret_size)
		*ret_size = payload.size;
	return payload.data ? payload.data : "";
}

const char *ferry_publication_attribute(const struct ferry_publication *publication, const char *name)
{
	const struct ferry_record *r = &publication->record;
	for (size_t i = 0; name && i < r->attribute_count; i++)
		if (strcmp(r->attributes[i].name, name) == 0)
			return r->attributes[i].value;
	return NULL;
}

int ferry_publication_set_attribute(struct ferry_publication *publication, const char *name,
				    const char *value)
{
	struct ferry_record *r = &publication->record;
	if (!name || !value || !name_is_attribute(name) || name_is_reserved_attribute(name) ||
	    !text_is_utf8(value, strlen(value)))
		return FERRY_E_INVALID;
	/* One more than there are: room for a new one, without counting how many this call finds. */
	struct ferry_attribute *list =
		alloc_bytes(publication->bus->allocator, (r->attribute_count + 1) * sizeof *list);
	if (!list)
		return FERRY_E_NOMEM;
	if (r->attribute_count)
		memcpy(list, r->attributes, r->attribute_count * sizeof *list);
	char *own_name = own(publication, name), *own_value = own_name ? own(publication, value) : NULL;
	if (!own_value) {
		alloc_free(publication->bus->allocator, list);
		return FERRY_E_NOMEM;
	}
	alloc_free(publication->bus->allocator, publication->attributes);
	publication->attributes = list;
	r->attributes = list;
	size_t i = 0;
	while (i < r->attribute_count && strcmp(list[i].name, name) != 0)
		i++;
	list[i] = (struct ferry_attribute){own_name, own_value};
	if (i == r->attribute_count)
		r->attribute_count++;
	return 0;
}

/* ---- traces ---- */

static bool is_lower_hex(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	return true;
}

/* version-traceid-parentid-flags, as W3C Trace Context writes it. */
static bool is_traceparent(const char *text, size_t size)
{
	return size == 55 && text[2] == '-' && text[35] == '-' && text[52] == '-' && is_lower_hex(text, 2) &&
	       is_lower_hex(text + 3, 32) && is_lower_hex(text + 36, 16) && is_lower_hex(text + 53, 2);
}

int set_trace(struct ferry_publication *p, const char *trace_id, struct ferry_error *err)
{
	size_t size = strlen(trace_id);
	if (size > 255 || !text_is_utf8(trace_id, size) || strpbrk(trace_id, "\r\n"))
		return fail(err, FERRY_E_INVALID,
			    "%s: the trace id must be one line of UTF-8, 255 bytes at most", p->topic->name);
	p->record.trace_id = p->record.traceparent = (struct ferry_view){NULL, 0};
	if (is_traceparent(trace_id, size)) {
		memcpy(p->traceparent, trace_id, size + 1);
	} else if (size == 32 && is_lower_hex(trace_id, size)) {
		snprintf(p->traceparent, sizeof p->traceparent, "00-%s-%016llx-01", trace_id,
			 (unsigned long long)(id_random() | 1));
	} else {
		p->record.trace_id = (struct ferry_view){trace_id, size};
		return 0;
	}
	p->record.traceparent = (struct ferry_view){p->traceparent, 55};
	return 0;
}

int ferry_publication_set_trace_id(struct ferry_publication *publication, const char *trace_id)
{
	if (!trace_id)
		return FERRY_E_INVALID;
	char *copy = own(publication, trace_id);
	return copy ? set_trace(publication, copy, NULL) : FERRY_E_NOMEM;
}

/* ---- registration ---- */

int ferry_bus_intercept(struct ferry_bus *bus, const struct ferry_interceptor *interceptor,
			struct ferry_error *err)
{
	int code = bus_guard(bus, err);
	if (code)
		return code;
	if (!interceptor)
		return fail(err, FERRY_E_INVALID, "ferry_bus_intercept: the interceptor is NULL");
	struct interceptor *i = alloc_zeroed(bus->allocator, sizeof *i);
	if (!i)
		return fail_nomem(err, "adding an interceptor");
	code = options_copy(&i->call, sizeof i->call, interceptor, "ferry_interceptor", err);
	pthread_mutex_lock(&bus->lock);
	if (!code && atomic_load(&bus->state) != FERRY_STATE_OPEN)
		code = fail(err, FERRY_E_STATE, "interceptors are added before ferry_bus_start");
	if (!code) {
		struct interceptor **link = &bus->interceptors;
		while (*link)
			link = &(*link)->next;
		*link = i;
	}
	pthread_mutex_unlock(&bus->lock);
	if (code)
		alloc_free(bus->allocator, i);
	return code;
}
