#include "publication.h"

#include <string.h>

#include "completer.h"
#include "dlq.h"
#include "publisher.h"

struct publication *publication_make(struct ferry_bus *bus, enum publication_kind kind, struct topic *topic,
				     const struct ferry_record *record)
{
	struct publication *p = NULL;
	pthread_mutex_lock(&bus->publications_lock);
	if (bus->free_publications) {
		p = bus->free_publications;
		bus->free_publications = p->next;
	}
	pthread_mutex_unlock(&bus->publications_lock);
	if (!p)
		p = alloc_bytes(bus->allocator, sizeof *p);
	if (!p)
		return NULL;
	*p = (struct publication){.bus = bus, .kind = kind, .topic = topic};
	p->out.size = sizeof p->out;
	p->out.destination = atomic_load(&topic->destination);
	p->out.record = *record;
	return p;
}

void publications_free_list(struct ferry_bus *bus, struct publication *list)
{
	struct publication *last = NULL;
	for (struct publication *p = list; p; p = p->next) {
		alloc_free(bus->allocator, p->copy);
		alloc_free(bus->allocator, p->reason);
		last = p;
	}
	if (!last)
		return;
	pthread_mutex_lock(&bus->publications_lock);
	last->next = bus->free_publications;
	bus->free_publications = list;
	pthread_mutex_unlock(&bus->publications_lock);
}

void publication_free(struct publication *p)
{
	p->next = NULL;
	publications_free_list(p->bus, p);
}

void publications_free(struct ferry_bus *bus)
{
	while (bus->free_publications) {
		struct publication *p = bus->free_publications;
		bus->free_publications = p->next;
		alloc_free(bus->allocator, p);
	}
}

/* ---- owning the record ---- */

/* Lay out copies behind each other in one block; with block NULL only measure. */
struct packer {
	char *block;
	size_t used;
};

static void *pack(struct packer *p, const void *data, size_t size)
{
	void *at = NULL;
	if (p->block) {
		at = p->block + p->used;
		if (size)
			memcpy(at, data, size);
		p->block[p->used + size] = '\0';
	}
	p->used += size + 1;
	return at;
}

static void pack_view(struct packer *p, struct ferry_view *view)
{
	if (!view->data)
		return;
	const void *copy = pack(p, view->data, view->size);
	if (p->block)
		view->data = copy;
}

static void pack_record(struct packer *p, struct ferry_record *r)
{
	struct ferry_attribute *attributes = NULL;
	if (r->attribute_count) {
		/* First in the block, where it is aligned. */
		attributes = pack(p, r->attributes, r->attribute_count * sizeof *attributes);
		for (size_t i = 0; i < r->attribute_count; i++) {
			const char *name = r->attributes[i].name, *value = r->attributes[i].value;
			name = pack(p, name, strlen(name));
			value = pack(p, value, strlen(value));
			if (attributes)
				attributes[i] = (struct ferry_attribute){name, value};
		}
	}
	struct ferry_view *views[] = {&r->topic,    &r->payload,     &r->key,
				      &r->id,       &r->source,      &r->content_type,
				      &r->trace_id, &r->traceparent, &r->tracestate};
	for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
		pack_view(p, views[i]);
	if (attributes)
		r->attributes = attributes;
}

int publication_own_record(struct publication *p)
{
	if (bus_can(p->bus, FERRY_CAP_PUB_COPIES))
		return 0;
	struct packer packer = {NULL, 0};
	struct ferry_record measure = p->out.record;
	pack_record(&packer, &measure);
	pack_view(&packer, &p->out.dedup_id);
	p->copy = alloc_bytes(p->bus->allocator, packer.used);
	if (!p->copy)
		return FERRY_E_NOMEM;
	packer = (struct packer){p->copy, 0};
	pack_record(&packer, &p->out.record);
	pack_view(&packer, &p->out.dedup_id);
	return 0;
}

/* ---- results ---- */

void topic_count(struct ferry_bus *bus, struct topic *topic, int result)
{
	if (result == 0) {
		atomic_fetch_add_explicit(&topic->published, 1, memory_order_relaxed);
	} else if (result == FERRY_E_UNKNOWN) {
		atomic_fetch_add_explicit(&topic->unknown, 1, memory_order_relaxed);
		if (atomic_load(&bus->stopping))
			atomic_fetch_add(&bus->unconfirmed, 1);
	} else {
		atomic_fetch_add_explicit(&topic->rejected, 1, memory_order_relaxed);
	}
}

static void take_result(struct publication *p)
{
	struct ferry_bus *bus = p->bus;
	p->result = p->out.result;
	if (p->result && p->out.reason && !p->reason)
		p->reason = alloc_string(bus->allocator, p->out.reason);
	if (p->kind != PUBLICATION_DEAD)
		topic_count(bus, p->topic, p->result);
}

void publications_complete(struct ferry_bus *bus, struct ferry_outgoing *const *outs, size_t count)
{
	struct publication *first = NULL, **last = &first;
	for (size_t i = 0; i < count; i++) {
		struct publication *p = (struct publication *)(void *)outs[i];
		take_result(p);
		switch (p->kind) {
		case PUBLICATION_WAITED:
			waiter_complete(p);
			break;
		case PUBLICATION_ASYNC:
			*last = p;
			last = &p->next;
			break;
		case PUBLICATION_DEAD:
			dead_letter_done(p);
			break;
		}
	}
	*last = NULL;
	if (first)
		completer_push(bus, first, last);
}
