#include "chunk.h"

#include <string.h>

#define SPARE_BYTES ((size_t)16 << 20) /* kept for reuse at most */

/* ---- records ---- */

/* The views behind the topic follow each other; the payload is first, so that it is aligned like the record.
 */
#define VIEWS_OFFSET offsetof(struct ferry_record, payload)
_Static_assert(offsetof(struct ferry_record, tracestate) ==
		       VIEWS_OFFSET + (RECORD_VIEWS - 1) * sizeof(struct ferry_view),
	       "a struct ferry_record holds its views as an array");

static const struct ferry_view *views_of(const struct ferry_record *message)
{
	return (const struct ferry_view *)(const void *)((const char *)message + VIEWS_OFFSET);
}

static int is_plain(const struct ferry_record *m, struct ferry_view own)
{
	return m->source.data == own.data && !m->attribute_count && m->payload.data && !m->key.data &&
	       !m->id.data && !m->content_type.data && !m->trace_id.data && !m->traceparent.data &&
	       !m->tracestate.data;
}

static size_t round_up(size_t size, size_t largest)
{
	size = (size + 15) & ~(size_t)15;
	return (size | largest) <= UINT32_MAX ? size : 0;
}

size_t record_size(const struct ferry_record *message, struct ferry_view own)
{
	if (is_plain(message, own))
		return round_up(sizeof(struct record) + message->payload.size + 1, message->payload.size);
	const struct ferry_view *views = views_of(message);
	size_t size = sizeof(struct record) + message->attribute_count * sizeof(struct ferry_attribute);
	size_t largest = message->attribute_count << 16;
	for (int i = 0; i < RECORD_VIEWS; i++) {
		largest |= views[i].size;
		size += views[i].data ? views[i].size + 1 : 0;
	}
	for (size_t i = 0; i < message->attribute_count; i++)
		size += strlen(message->attributes[i].name) + strlen(message->attributes[i].value) + 2;
	return round_up(size, largest);
}

/* Views and attributes; returns which views are there. */
static unsigned write_all(struct record *record, const struct ferry_record *message)
{
	const struct ferry_view *views = views_of(message);
	struct ferry_attribute *attributes = (struct ferry_attribute *)(record + 1);
	char *at = (char *)(attributes + message->attribute_count);
	unsigned present = 0;
	for (int i = 0; i < RECORD_VIEWS; i++) {
		if (!views[i].data)
			continue;
		present |= 1u << i;
		record->views[i] = (uint32_t)views[i].size;
		memcpy(at, views[i].data, views[i].size);
		at[views[i].size] = '\0';
		at += views[i].size + 1;
	}
	for (size_t i = 0; i < message->attribute_count; i++) {
		attributes[i].name = at;
		at = stpcpy(at, message->attributes[i].name) + 1;
		attributes[i].value = at;
		at = stpcpy(at, message->attributes[i].value) + 1;
	}
	return present;
}

void record_write(struct record *record, const struct ferry_record *message, size_t size,
		  struct ferry_view own)
{
	unsigned present = PRESENT_OWN;
	if (is_plain(message, own)) {
		char *at = (char *)(record + 1);
		record->views[0] = (uint32_t)message->payload.size;
		memcpy(at, message->payload.data, message->payload.size);
		at[message->payload.size] = '\0';
	} else {
		present = write_all(record, message);
	}
	record->id_bits[0] = message->id_bits[0];
	record->id_bits[1] = message->id_bits[1];
	record->wall_us = message->wall_us;
	record->size = (uint32_t)size;
	record->attribute_count = (uint16_t)message->attribute_count;
	record->present = (uint16_t)present;
}

void record_read(struct record *record, struct ferry_view topic, struct ferry_record *message,
		 struct ferry_view own)
{
	message->topic = topic;
	message->id_bits[0] = record->id_bits[0];
	message->id_bits[1] = record->id_bits[1];
	message->wall_us = record->wall_us;
	if (record->present == PRESENT_OWN) {
		message->payload = (struct ferry_view){record + 1, record->views[0]};
		message->source = own;
		return;
	}
	struct ferry_view *views = (struct ferry_view *)(void *)((char *)message + VIEWS_OFFSET);
	const struct ferry_attribute *attributes = (const struct ferry_attribute *)(record + 1);
	const char *at = (const char *)(attributes + record->attribute_count);
	for (unsigned i = 0, present = record->present; present; i++, present >>= 1) {
		if (!(present & 1))
			continue;
		views[i] = (struct ferry_view){at, record->views[i]};
		at += record->views[i] + (size_t)1;
	}
	message->attributes = record->attribute_count ? attributes : NULL;
	message->attribute_count = record->attribute_count;
}

/* ---- the pool ---- */

void pool_init(struct pool *pool, const struct ferry_host *host, void *core, int64_t budget,
	       const char *service)
{
	pool->own = (struct ferry_view){service, strlen(service)};
	pool->host = host;
	pool->core = core;
	pool->budget = budget > 0 ? (size_t)budget : SIZE_MAX;
	pthread_mutex_init(&pool->lock, NULL);
}

static struct chunk **spares_of(struct pool *pool, size_t size)
{
	for (int i = 0; i < CHUNK_CLASSES; i++) {
		if (size == CHUNK_MIN << i)
			return &pool->spares[i];
	}
	return NULL;
}

/* pool.lock held: take all spare chunks, to be freed by free_list once it is not. */
static struct chunk *take_spares(struct pool *pool)
{
	struct chunk *list = NULL;
	for (int i = 0; i < CHUNK_CLASSES; i++) {
		while (pool->spares[i]) {
			struct chunk *chunk = pool->spares[i];
			pool->spares[i] = chunk->next;
			chunk->next = list;
			list = chunk;
		}
	}
	pool->spare = 0;
	return list;
}

static void free_list(struct pool *pool, struct chunk *list)
{
	while (list) {
		struct chunk *next = list->next;
		pool->host->free(pool->core, list);
		list = next;
	}
}

/* pool.lock held: bytes are no longer in use. */
static void give_back(struct pool *pool, size_t size)
{
	pool->used -= size;
	if (pool->starved && pool->used + pool->starved <= pool->budget) {
		pool->starved = 0;
		atomic_store(&pool->relieved, 1);
	}
}

/* Charge for `size` bytes: a spare chunk in *ret_spare, or the right to allocate one; 0 = over the budget. */
static int charge(struct pool *pool, size_t size, int always, struct chunk **ret_spare)
{
	struct chunk *excess = NULL;
	pthread_mutex_lock(&pool->lock);
	struct chunk **spares = spares_of(pool, size);
	int may = 1;
	if (spares && *spares) {
		*ret_spare = *spares;
		*spares = (*spares)->next;
		pool->spare -= size;
	} else {
		if (pool->spare && pool->used + pool->spare + size > pool->budget)
			excess = take_spares(pool);
		may = always || pool->used + size <= pool->budget;
	}
	if (may)
		pool->used += size;
	else if (!pool->starved || size < pool->starved)
		pool->starved = size;
	pthread_mutex_unlock(&pool->lock);
	free_list(pool, excess);
	return may;
}

struct chunk *pool_get(struct pool *pool, size_t size, int always, int *ret_error)
{
	struct chunk *chunk = NULL;
	if (!charge(pool, size, always, &chunk)) {
		*ret_error = FERRY_E_AGAIN;
		return NULL;
	}
	if (!chunk)
		chunk = pool->host->alloc(pool->core, size);
	if (!chunk) {
		pthread_mutex_lock(&pool->lock);
		give_back(pool, size);
		pthread_mutex_unlock(&pool->lock);
		*ret_error = FERRY_E_NOMEM;
		return NULL;
	}
	chunk->next = NULL;
	chunk->size = size;
	atomic_init(&chunk->end, UINT64_MAX);
	atomic_init(&chunk->refs, 1);
	return chunk;
}

void pool_put(struct pool *pool, struct chunk *chunk)
{
	size_t size = chunk->size;
	pthread_mutex_lock(&pool->lock);
	give_back(pool, size);
	struct chunk **spares = spares_of(pool, size);
	int keep = spares && pool->spare + size <= SPARE_BYTES &&
		   pool->used + pool->spare + size <= pool->budget;
	if (keep) {
		chunk->next = *spares;
		*spares = chunk;
		pool->spare += size;
	}
	pthread_mutex_unlock(&pool->lock);
	if (!keep)
		pool->host->free(pool->core, chunk);
}

void pool_finish(struct pool *pool)
{
	free_list(pool, take_spares(pool));
	pthread_mutex_destroy(&pool->lock);
}
