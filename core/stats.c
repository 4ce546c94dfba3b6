/*
 * stats.c - consistent snapshots of the counters.
 */
#include <string.h>

#include "core.h"

struct ferry_stats {
	struct ferry_allocator allocator;
	size_t group_count, topic_count;
	struct ferry_group_stats *groups;
	struct ferry_topic_stats *topics;
	char *text; /* the rows' strings, one behind the other */
};

/* The rows' strings are copied: a snapshot outlives its bus. */
static const char *keep(char **cursor, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = memcpy(*cursor, text, size);
	*cursor += size;
	return copy;
}

static const char *handler_name(const struct subscription *s)
{
	return s->group->distribution == FERRY_BROADCAST ? s->handlers->name : "";
}

static size_t measure(const struct ferry_bus *bus, const struct topic *first, struct ferry_stats *stats)
{
	size_t text = 1;
	for (const struct group *g = bus->groups; g; g = g->next) {
		for (const struct subscription *s = g->subscriptions; s; s = s->next) {
			stats->group_count++;
			text += strlen(g->name) + strlen(s->topic) + strlen(handler_name(s)) + 3;
		}
	}
	for (const struct topic *t = first; t; t = t->next) {
		stats->topic_count++;
		text += strlen(t->name) + 1;
	}
	return text;
}

static void fill_group(struct subscription *s, struct ferry_group_stats *row, char **cursor)
{
	*row = (struct ferry_group_stats){.size = sizeof *row};
	row->group = keep(cursor, s->group->name);
	row->topic = keep(cursor, s->topic);
	row->handler = keep(cursor, handler_name(s));
	pthread_mutex_lock(&s->lock);
	const struct counters *c = &s->count;
	row->received = c->received;
	row->handled = c->handled;
	row->filtered = c->filtered;
	row->dead_lettered = c->dead_lettered;
	row->dropped = c->dropped;
	row->retried = c->retried;
	row->handed_back = c->handed_back;
	row->stale = c->stale;
	row->in_flight = c->in_flight;
	row->calls = c->calls;
	row->failed = c->failed;
	row->timeouts = c->timeouts;
	row->late_results = c->late_results;
	row->held = c->held;
	for (const struct handler *h = s->handlers; h; h = h->next)
		row->stuck += h->stuck;
	pthread_mutex_unlock(&s->lock);
}

static void fill_topic(const struct topic *t, struct ferry_topic_stats *row, char **cursor)
{
	*row = (struct ferry_topic_stats){
		.size = sizeof *row,
		.topic = keep(cursor, t->name),
		.published = atomic_load(&t->published),
		.rejected = atomic_load(&t->rejected),
		.unknown = atomic_load(&t->unknown),
		.evicted = atomic_load(&t->evicted),
	};
}

struct ferry_stats *ferry_stats_take(struct ferry_bus *bus, struct ferry_error *err)
{
	if (bus_guard(bus, err))
		return NULL;
	const struct ferry_allocator *a = bus->allocator;
	struct ferry_stats *stats = alloc_zeroed(a, sizeof *stats);
	if (!stats) {
		fail_nomem(err, "taking statistics");
		return NULL;
	}
	stats->allocator = *a;
	/* Groups only grow before the start, under this lock. */
	pthread_mutex_lock(&bus->lock);
	/* One look at the list for both passes: later topics stand before it. */
	const struct topic *first = atomic_load(&bus->topics);
	size_t text = measure(bus, first, stats);
	stats->groups = alloc_zeroed(a, (stats->group_count + 1) * sizeof *stats->groups);
	stats->topics = alloc_zeroed(a, (stats->topic_count + 1) * sizeof *stats->topics);
	stats->text = alloc_bytes(a, text);
	bool ok = stats->groups && stats->topics && stats->text;
	if (ok) {
		char *cursor = stats->text;
		struct ferry_group_stats *row = stats->groups;
		for (struct group *g = bus->groups; g; g = g->next)
			for (struct subscription *s = g->subscriptions; s; s = s->next)
				fill_group(s, row++, &cursor);
		struct ferry_topic_stats *topic = stats->topics;
		for (const struct topic *t = first; t; t = t->next)
			fill_topic(t, topic++, &cursor);
	}
	pthread_mutex_unlock(&bus->lock);
	if (ok)
		return stats;
	ferry_stats_free(stats);
	fail_nomem(err, "taking statistics");
	return NULL;
}

void ferry_stats_free(struct ferry_stats *stats)
{
	if (!stats)
		return;
	struct ferry_allocator a = stats->allocator;
	alloc_free(&a, stats->groups);
	alloc_free(&a, stats->topics);
	alloc_free(&a, stats->text);
	alloc_free(&a, stats);
}

size_t ferry_stats_group_count(const struct ferry_stats *stats)
{
	return stats ? stats->group_count : 0;
}

const struct ferry_group_stats *ferry_stats_group(const struct ferry_stats *stats, size_t index)
{
	return stats && index < stats->group_count ? &stats->groups[index] : NULL;
}

size_t ferry_stats_topic_count(const struct ferry_stats *stats)
{
	return stats ? stats->topic_count : 0;
}

const struct ferry_topic_stats *ferry_stats_topic(const struct ferry_stats *stats, size_t index)
{
	return stats && index < stats->topic_count ? &stats->topics[index] : NULL;
}

struct ferry_group_stats ferry_stats_sum(const struct ferry_stats *stats, const char *group)
{
	struct ferry_group_stats sum = {.size = sizeof sum, .group = "", .topic = "", .handler = ""};
	for (size_t i = 0; stats && i < stats->group_count; i++) {
		const struct ferry_group_stats *row = &stats->groups[i];
		if (group && strcmp(group, row->group) != 0)
			continue;
		sum.received += row->received;
		sum.handled += row->handled;
		sum.filtered += row->filtered;
		sum.dead_lettered += row->dead_lettered;
		sum.dropped += row->dropped;
		sum.retried += row->retried;
		sum.handed_back += row->handed_back;
		sum.stale += row->stale;
		sum.in_flight += row->in_flight;
		sum.calls += row->calls;
		sum.failed += row->failed;
		sum.timeouts += row->timeouts;
		sum.late_results += row->late_results;
		sum.held += row->held;
		sum.stuck += row->stuck;
	}
	return sum;
}
