#include "message.h"

#include <string.h>
#include <unistd.h>

#include "core.h"
#include "id.h"
#include "route.h"

/* ---- the pool ---- */

#define SLAB_MESSAGES 64

struct slab {
	struct slab *next;
	struct ferry_message messages[SLAB_MESSAGES];
};

int message_pool_init(struct message_pool *pool, const struct ferry_allocator *allocator)
{
	*pool = (struct message_pool){.allocator = allocator};
	return pthread_mutex_init(&pool->lock, NULL);
}

bool message_pool_in_use(struct message_pool *pool)
{
	bool in_use = false;
	pthread_mutex_lock(&pool->lock);
	for (struct slab *slab = pool->slabs; slab && !in_use; slab = slab->next)
		for (size_t i = 0; i < SLAB_MESSAGES && !in_use; i++)
			in_use = message_phase(&slab->messages[i]) != PHASE_FREE;
	pthread_mutex_unlock(&pool->lock);
	return in_use;
}

void message_pool_destroy(struct message_pool *pool)
{
	while (pool->slabs) {
		struct slab *slab = pool->slabs;
		pool->slabs = slab->next;
		alloc_free(pool->allocator, slab);
	}
	pthread_mutex_destroy(&pool->lock);
}

static bool pool_grow(struct message_pool *pool)
{
	struct slab *slab = alloc_zeroed(pool->allocator, sizeof *slab);
	if (!slab)
		return false;
	for (size_t i = 0; i < SLAB_MESSAGES; i++) {
		struct ferry_message *m = &slab->messages[i];
		atomic_init(&m->state, PHASE_FREE);
		atomic_init(&m->refs, 0);
		atomic_init(&m->deadline_us, 0);
		atomic_init(&m->cancelled, false);
		atomic_init(&m->cancel_fd, -1);
		m->next = pool->free;
		pool->free = m;
	}
	slab->next = pool->slabs;
	pool->slabs = slab;
	return true;
}

struct ferry_message *message_pool_take(struct message_pool *pool, uint32_t count, uint32_t *ret_count)
{
	struct ferry_message *first = NULL;
	uint32_t taken = 0;
	pthread_mutex_lock(&pool->lock);
	while (taken < count && (pool->free || pool_grow(pool))) {
		struct ferry_message *m = pool->free;
		pool->free = m->next;
		m->next = first;
		first = m;
		taken++;
	}
	pthread_mutex_unlock(&pool->lock);
	*ret_count = taken;
	return first;
}

void message_pool_give(struct message_pool *pool, struct ferry_message *first, struct ferry_message *last)
{
	pthread_mutex_lock(&pool->lock);
	last->next = pool->free;
	pool->free = first;
	pthread_mutex_unlock(&pool->lock);
}

/* ---- one message ---- */

/* Everything that a life may have left behind; most leave nothing (message_touch). */
static void message_clear(struct ferry_bus *bus, struct ferry_message *m)
{
	if (!atomic_load_explicit(&m->touched, memory_order_relaxed))
		return;
	atomic_store_explicit(&m->touched, false, memory_order_relaxed);
	if (m->decoded_release)
		m->decoded_release(m->decoded);
	m->decoded = NULL;
	m->decoded_release = NULL;
	if (m->failure)
		alloc_free(bus->allocator, m->failure);
	m->failure = NULL;
	if (m->dead)
		alloc_free(bus->allocator, m->dead);
	m->dead = NULL;
	int fd = atomic_load_explicit(&m->cancel_fd, memory_order_relaxed);
	if (fd >= 0) {
		pthread_mutex_lock(&bus->cancel_lock);
		list_remove(&bus->cancellable, m, offsetof(struct ferry_message, cancel_link));
		pthread_mutex_unlock(&bus->cancel_lock);
		close(fd);
		atomic_store_explicit(&m->cancel_fd, -1, memory_order_relaxed);
	}
	atomic_store_explicit(&m->cancelled, false, memory_order_relaxed);
}

void message_free(struct ferry_bus *bus, struct worker *w, struct ferry_message *m)
{
	if (m->origin) {
		message_drop(bus, w, m->origin);
		m->origin = NULL;
	} else if (m->kept) {
		struct ferry_delivery *delivery = &m->delivery;
		bus->api->release(m->subscription->group->source, &delivery, 1);
	}
	message_clear(bus, m);
	/* A new generation: nobody who still looks at it can decide anything. */
	uint32_t state = atomic_load_explicit(&m->state, memory_order_relaxed);
	atomic_store_explicit(&m->state, (state & ~PHASE_MASK) + PHASE_STEP, memory_order_release);
	if (w && w->spare_count < 2 * BATCH_MAX) {
		m->next = w->spare;
		w->spare = m;
		w->spare_count++;
	} else {
		message_pool_give(&bus->messages, m, m);
	}
}

void message_cancel(struct ferry_message *m)
{
	message_touch(m);
	atomic_store(&m->cancelled, true);
	int fd = atomic_load(&m->cancel_fd);
	if (fd >= 0) {
		uint64_t one = 1;
		ssize_t written = write(fd, &one, sizeof one);
		(void)written; /* an eventfd that is full is readable already */
	}
}

const char *message_id(const struct ferry_message *m)
{
	const struct ferry_record *r = &m->delivery.record;
	if (r->id.size)
		return r->id.data;
	/* Formatted only when asked.  The lock is for two threads that ask at once. */
	struct ferry_message *cache = (struct ferry_message *)(uintptr_t)m;
	if (!atomic_load_explicit(&cache->id_made, memory_order_acquire)) {
		char text[FERRY_ID_TEXT_SIZE];
		id_format(r->id_bits, text);
		pthread_mutex_t *lock = &m->subscription->group->bus->messages.lock;
		pthread_mutex_lock(lock);
		if (!atomic_load_explicit(&cache->id_made, memory_order_relaxed)) {
			memcpy(cache->id, text, sizeof text);
			atomic_store_explicit(&cache->id_made, true, memory_order_release);
		}
		pthread_mutex_unlock(lock);
	}
	return m->id;
}

void messages_cancel_all(struct ferry_bus *bus)
{
	/* The lock keeps their descriptors open meanwhile. */
	pthread_mutex_lock(&bus->cancel_lock);
	for (struct ferry_message *m = bus->cancellable.first; m; m = m->cancel_link.next)
		message_cancel(m);
	pthread_mutex_unlock(&bus->cancel_lock);
}

#define FAILURE_MAX 1024

static void put_failure(struct ferry_bus *bus, struct ferry_message *m, const char *text, bool decided)
{
	size_t size = strnlen(text, FAILURE_MAX);
	/* Cut between characters, not inside one. */
	while (text[size] && size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80)
		size--;
	char *copy = alloc_text(bus->allocator, text, size), *old = copy;
	pthread_mutex_lock(&bus->messages.lock);
	uint32_t phase = message_phase(m);
	if (copy && (decided || phase == PHASE_RUNNING || phase == PHASE_OPEN)) {
		old = m->failure;
		m->failure = copy;
		message_touch(m);
	}
	pthread_mutex_unlock(&bus->messages.lock);
	alloc_free(bus->allocator, old);
}

void message_set_failure(struct ferry_bus *bus, struct ferry_message *m, const char *text)
{
	put_failure(bus, m, text, true);
}

void message_say_failure(struct ferry_bus *bus, struct ferry_message *m, const char *text)
{
	put_failure(bus, m, text, false);
}

bool message_has_failure(struct ferry_bus *bus, struct ferry_message *m)
{
	pthread_mutex_lock(&bus->messages.lock);
	bool has = m->failure != NULL;
	pthread_mutex_unlock(&bus->messages.lock);
	return has;
}

const char *message_attribute(const struct ferry_message *m, const char *name)
{
	const struct ferry_record *r = &m->delivery.record;
	for (size_t i = 0; i < r->attribute_count; i++)
		if (strcmp(r->attributes[i].name, name) == 0)
			return r->attributes[i].value;
	return NULL;
}
