#include "topic.h"

#include <string.h>

#include "names.h"

static struct topic *topic_make(struct ferry_bus *bus, const char *name)
{
	struct topic *t = alloc_zeroed(bus->allocator, sizeof *t);
	if (!t)
		return NULL;
	t->name = alloc_string(bus->allocator, name);
	if (!t->name) {
		alloc_free(bus->allocator, t);
		return NULL;
	}
	t->next = atomic_load(&bus->topics);
	atomic_store(&bus->topics, t);
	return t;
}

int topic_check(const char *name, bool derived, struct ferry_error *err)
{
	if (derived ? name_is_derived_topic(name) : name_is_topic(name))
		return 0;
	return fail(err, FERRY_E_INVALID,
		    "the topic name \"%.260s\" is not allowed: use %d characters at most of "
		    "[A-Za-z0-9._-], "
		    "and no empty part between dots",
		    name, derived ? NAME_DERIVED_MAX : NAME_TOPIC_MAX);
}

int topic_get(struct ferry_bus *bus, const char *name, bool derived, struct topic **ret,
	      struct ferry_error *err)
{
	int code = topic_check(name, derived, err);
	if (code)
		return code;
	pthread_mutex_lock(&bus->topics_lock);
	struct topic *t = atomic_load(&bus->topics);
	while (t && strcmp(t->name, name) != 0) {
		if (names_collide(t->name, name)) {
			code = fail(err, FERRY_E_INVALID,
				    "the topic names \"%s\" and \"%s\" collide on Kafka, where '.' and '_' "
				    "are one: "
				    "rename one of them",
				    t->name, name);
			break;
		}
		t = t->next;
	}
	if (!code && !t && !(t = topic_make(bus, name)))
		code = fail_nomem(err, "adding a topic");
	pthread_mutex_unlock(&bus->topics_lock);
	if (!code)
		*ret = t;
	return code;
}

int topic_resolve(struct ferry_bus *bus, struct topic *topic, int64_t deadline_us, struct ferry_error *err)
{
	if (atomic_load_explicit(&topic->destination, memory_order_acquire))
		return 0;
	struct ferry_destination *destination;
	int code = bus->api->destination(bus->connection, topic->name, deadline_us, &destination, err);
	if (!code)
		atomic_store_explicit(&topic->destination, destination, memory_order_release);
	return code;
}

void topics_free(struct ferry_bus *bus)
{
	for (struct topic *t; (t = atomic_load(&bus->topics));) {
		atomic_store(&bus->topics, t->next);
		alloc_free(bus->allocator, t->name);
		alloc_free(bus->allocator, t);
	}
}
