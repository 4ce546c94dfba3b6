/*
 * pauses.c - entries that wait for a retry which this process has asked for, by the time of it.
 */
#include "redis.h"

bool pauses_add(const struct ferry_connection *c, struct pauses *pauses, const struct pause *pause)
{
	if (pauses->count == pauses->capacity) {
		size_t capacity = pauses->capacity ? pauses->capacity * 2 : 16;
		struct pause *items = c->host->resize(c->core, pauses->items, capacity * sizeof *items);
		if (!items)
			return false;
		pauses->items = items;
		pauses->capacity = capacity;
	}
	size_t at = pauses->count++;
	for (; at && pauses->items[(at - 1) / 2].due > pause->due; at = (at - 1) / 2)
		pauses->items[at] = pauses->items[(at - 1) / 2];
	pauses->items[at] = *pause;
	return true;
}

int64_t pauses_first(const struct pauses *pauses)
{
	return pauses->count ? pauses->items[0].due : INT64_MAX;
}

struct pause pauses_take(struct pauses *pauses)
{
	struct pause first = pauses->items[0];
	const struct pause last = pauses->items[--pauses->count];
	size_t at = 0;
	for (;;) {
		size_t child = 2 * at + 1;
		if (child + 1 < pauses->count && pauses->items[child + 1].due < pauses->items[child].due)
			child++;
		if (child >= pauses->count || pauses->items[child].due >= last.due)
			break;
		pauses->items[at] = pauses->items[child];
		at = child;
	}
	pauses->items[at] = last;
	return first;
}

void pauses_free(const struct ferry_connection *c, struct pauses *pauses)
{
	host_free(c, pauses->items);
	*pauses = (struct pauses){.items = NULL};
}
