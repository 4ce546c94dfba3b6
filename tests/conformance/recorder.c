/* recorder.c - what handlers saw, in order. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"

struct recorder {
	struct conformance *c;
	struct recorder *next;
	struct recorded *entries; /* guarded by c->lock */
	size_t count, capacity;
};

struct recorder *conformance_recorder(struct conformance *c)
{
	struct recorder *recorder = conformance_alloc(c, sizeof *recorder);

	recorder->c = c;
	recorder->next = c->recorders;
	c->recorders = recorder;
	return recorder;
}

void conformance_end_recorders(struct conformance *c)
{
	for (struct recorder *at = c->recorders; at; at = at->next)
		free(at->entries);
}

void recorder_add(struct recorder *recorder, const struct recorded *entry)
{
	struct conformance *c = recorder->c;

	if (conformance_is_role(c))
		conformance_say(c, "got %" PRId64 " %" PRIu32 " %" PRId64 " %s", entry->n, entry->attempt,
				entry->at_us, entry->id);
	pthread_mutex_lock(&c->lock);
	if (recorder->count == recorder->capacity) {
		size_t capacity = recorder->capacity ? recorder->capacity * 2 : 256;
		struct recorded *grown = realloc(recorder->entries, capacity * sizeof *grown);

		if (!grown) {
			pthread_mutex_unlock(&c->lock);
			conformance_fail(c, "out of memory");
		}
		recorder->entries = grown;
		recorder->capacity = capacity;
	}
	recorder->entries[recorder->count++] = *entry;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void recorder_add_message(struct recorder *recorder, const struct ferry_message *message, int handler)
{
	struct recorded entry = {.n = conformance_number(message),
				 .attempt = ferry_message_attempt(message),
				 .handler = handler,
				 .at_us = conformance_now_us(recorder->c)};

	snprintf(entry.id, sizeof entry.id, "%s", ferry_message_id(message));
	recorder_add(recorder, &entry);
}

int conformance_record(struct ferry_message *message, void *record_handler)
{
	struct record_handler *handler = record_handler;

	recorder_add_message(handler->recorder, message, handler->number);
	return handler->verdict ? handler->verdict(message, handler->ctx) : 0;
}

/* ---- looking ---- */

static void lock(struct recorder *recorder)
{
	pthread_mutex_lock(&recorder->c->lock);
}
static void unlock(struct recorder *recorder)
{
	pthread_mutex_unlock(&recorder->c->lock);
}

size_t recorder_count(struct recorder *recorder)
{
	size_t count;

	lock(recorder);
	count = recorder->count;
	unlock(recorder);
	return count;
}

size_t recorder_count_of(struct recorder *recorder, int handler)
{
	size_t count = 0;

	lock(recorder);
	for (size_t i = 0; i < recorder->count; i++)
		count += recorder->entries[i].handler == handler;
	unlock(recorder);
	return count;
}

size_t recorder_count_n(struct recorder *recorder, int64_t n)
{
	size_t count = 0;

	lock(recorder);
	for (size_t i = 0; i < recorder->count; i++)
		count += recorder->entries[i].n == n;
	unlock(recorder);
	return count;
}

static int by_call(const void *left, const void *right)
{
	const struct recorded *a = left, *b = right;

	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	if (a->handler != b->handler)
		return a->handler < b->handler ? -1 : 1;
	return a->attempt < b->attempt ? -1 : a->attempt > b->attempt;
}

/* A sorted copy, to be freed. */
static struct recorded *sorted(struct recorder *recorder, size_t *ret_count)
{
	struct recorded *copy;

	lock(recorder);
	*ret_count = recorder->count;
	copy = malloc((recorder->count + 1) * sizeof *copy);
	if (copy && recorder->count)
		memcpy(copy, recorder->entries, recorder->count * sizeof *copy);
	unlock(recorder);
	CHECK(recorder->c, copy, "out of memory");
	qsort(copy, *ret_count, sizeof *copy, by_call);
	return copy;
}

size_t recorder_distinct(struct recorder *recorder)
{
	size_t count, distinct = 0;
	struct recorded *all = sorted(recorder, &count);

	for (size_t i = 0; i < count; i++)
		distinct += i == 0 || all[i].n != all[i - 1].n;
	free(all);
	return distinct;
}

size_t recorder_duplicates(struct recorder *recorder)
{
	size_t count, duplicates = 0;
	struct recorded *all = sorted(recorder, &count);

	for (size_t i = 1; i < count; i++)
		duplicates += by_call(&all[i], &all[i - 1]) == 0;
	free(all);
	return duplicates;
}

size_t recorder_missing(struct recorder *recorder, int64_t first, size_t count, int64_t *ret_example)
{
	size_t recorded, missing = 0, at = 0;
	struct recorded *all = sorted(recorder, &recorded);

	for (size_t i = 0; i < count; i++) {
		int64_t n = first + (int64_t)i;

		while (at < recorded && all[at].n < n)
			at++;
		if (at < recorded && all[at].n == n)
			continue;
		if (!missing++ && ret_example)
			*ret_example = n;
	}
	free(all);
	return missing;
}

struct recorded recorder_at(struct recorder *recorder, size_t index)
{
	struct recorded entry;

	lock(recorder);
	if (index >= recorder->count) {
		unlock(recorder);
		conformance_fail(recorder->c, "entry %zu was asked for, but there are fewer", index);
	}
	entry = recorder->entries[index];
	unlock(recorder);
	return entry;
}

bool recorder_find(struct recorder *recorder, int64_t n, size_t index, struct recorded *ret)
{
	bool found = false;

	lock(recorder);
	for (size_t i = 0; i < recorder->count && !found; i++) {
		if (recorder->entries[i].n != n || index-- > 0)
			continue;
		*ret = recorder->entries[i];
		found = true;
	}
	unlock(recorder);
	return found;
}

void recorder_clear(struct recorder *recorder)
{
	lock(recorder);
	recorder->count = 0;
	unlock(recorder);
}

/* ---- waiting ---- */

struct goal {
	struct recorder *recorder;
	size_t count;
};

static bool has_count(void *ctx)
{
	struct goal *goal = ctx;

	return recorder_count(goal->recorder) >= goal->count;
}

static bool has_distinct(void *ctx)
{
	struct goal *goal = ctx;

	return has_count(ctx) && recorder_distinct(goal->recorder) >= goal->count;
}

bool recorder_wait(struct recorder *recorder, size_t count, int64_t timeout_ms)
{
	return conformance_until(recorder->c, has_count, &(struct goal){recorder, count}, timeout_ms);
}

bool recorder_wait_distinct(struct recorder *recorder, size_t count, int64_t timeout_ms)
{
	return conformance_until(recorder->c, has_distinct, &(struct goal){recorder, count}, timeout_ms);
}

bool recorder_wait_now(struct recorder *recorder, size_t count, int64_t timeout_ms)
{
	return conformance_until_now(recorder->c, has_count, &(struct goal){recorder, count}, timeout_ms);
}

bool recorder_quiet(struct recorder *recorder, int64_t ms)
{
	size_t before = recorder_count(recorder);

	return !recorder_wait(recorder, before + 1, ms);
}

/* ---- verdicts ---- */

static void check_each(struct conformance *c, struct recorder *recorder, int64_t first, size_t count)
{
	int64_t example = -1;
	size_t missing = recorder_missing(recorder, first, count, &example);
	size_t all;
	struct recorded *entries;

	CHECK(c, !missing, "%zu of %zu messages never came, for example message %" PRId64, missing, count,
	      example);
	entries = sorted(recorder, &all);
	for (size_t i = 0; i < all; i++)
		if (entries[i].n < first || entries[i].n >= first + (int64_t)count)
			conformance_fail(c, "message %" PRId64 " (id %s) came, which was not published to it",
					 entries[i].n, entries[i].id);
	free(entries);
}

void conformance_each(struct conformance *c, struct recorder *recorder, int64_t first, size_t count)
{
	check_each(c, recorder, first, count);
}

void conformance_each_once(struct conformance *c, struct recorder *recorder, int64_t first, size_t count)
{
	size_t all;
	struct recorded *entries;

	check_each(c, recorder, first, count);
	entries = sorted(recorder, &all);
	for (size_t i = 1; i < all; i++)
		if (entries[i].n == entries[i - 1].n)
			conformance_fail(c,
					 "message %" PRId64
					 " came more than once: to handlers %d and %d as attempts %" PRIu32
					 " and %" PRIu32,
					 entries[i].n, entries[i - 1].handler, entries[i].handler,
					 entries[i - 1].attempt, entries[i].attempt);
	free(entries);
}
