#include "log.h"

#include <string.h>

#define WAKE_BATCH 16

void log_init(struct ferry_destination *log, struct pool *pool, char *topic)
{
	log->pool = pool;
	log->topic = topic;
	log->topic_size = strlen(topic);
	log->grain = CHUNK_MIN;
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->calm, NULL);
}

/* ---- what may go: log.lock held ---- */

/* Look at the slowest cursor. */
static void look(struct ferry_destination *log)
{
	log->seen_taken = log->next;
	log->seen_bytes = log->bytes;
	for (struct ferry_subscription *c = log->cursors; c; c = c->next_in_log) {
		uint64_t taken = atomic_load(&c->taken);
		if (taken < log->seen_taken) {
			log->seen_taken = taken;
			log->seen_bytes = atomic_load_explicit(&c->taken_bytes, memory_order_relaxed);
		}
	}
}

static uint64_t chunk_end(const struct ferry_destination *log, const struct chunk *chunk)
{
	return chunk == log->tail ? log->next : atomic_load_explicit(&chunk->end, memory_order_relaxed);
}

/* The oldest record whose chunk must stay for the cursors. */
static uint64_t needed(const struct ferry_destination *log)
{
	uint64_t need = log->next;
	for (struct ferry_subscription *c = log->cursors; c; c = c->next_in_log) {
		uint64_t from =
			c->chunk ? c->chunk->first : atomic_load_explicit(&c->taken, memory_order_relaxed);
		if (from < need)
			need = from;
	}
	return need;
}

/* Drop the oldest chunks that nobody needs. */
static void trim(struct ferry_destination *log)
{
	uint64_t keep = needed(log);
	if (atomic_load_explicit(&log->retain, memory_order_relaxed) && log->oldest < keep)
		keep = log->oldest;
	while (log->head && chunk_end(log, log->head) <= keep) {
		struct chunk *chunk = log->head;
		log->head = chunk->next;
		if (!log->head) {
			log->tail = NULL;
			log->left = 0;
			log->grain = CHUNK_MIN;
		}
		chunk_drop(log->pool, chunk, 1);
	}
}

/* Evict what exceeds `retain` and is queued for nobody; returns how many records. */
static uint64_t retire(struct ferry_destination *log)
{
	uint64_t retain = atomic_load_explicit(&log->retain, memory_order_relaxed);
	if (!retain || log->next - log->oldest <= retain)
		return 0;
	uint64_t oldest = log->next - retain;
	if (log->seen_taken < oldest)
		look(log);
	if (log->seen_taken < oldest)
		oldest = log->seen_taken;
	if (oldest <= log->oldest)
		return 0;
	uint64_t evicted = oldest - log->oldest;
	log->oldest = oldest;
	trim(log);
	return evicted;
}

static void report_evicted(const struct ferry_destination *log, uint64_t count)
{
	if (count)
		log->pool->host->evicted(log->pool->core, log->topic, count);
}

/* A publisher that waits is woken when half of the queue is free, not for each place. */
static void make_room(struct ferry_destination *log)
{
	if (!atomic_load_explicit(&log->waiting, memory_order_relaxed))
		return;
	look(log);
	if (log->next - log->seen_taken <= log->queue / 2 &&
	    log->bytes - log->seen_bytes <= log->queue_bytes / 2) {
		atomic_store(&log->waiting, 0);
		atomic_store(&log->pool->relieved, 1);
	}
}

/* ---- publishing: log.lock held ---- */

static int fits(const struct ferry_destination *log, size_t size)
{
	uint64_t queued = log->next - log->seen_taken;
	return !queued || (queued < log->queue && log->bytes - log->seen_bytes + size <= log->queue_bytes);
}

/* Room in the queue?  The cursors' own lines are read only when it looks full; then the caller waits. */
static int has_room(struct ferry_destination *log, size_t size)
{
	for (int step = 0; !fits(log, size); step++) {
		if (step == 2)
			return 0;
		if (step == 1)
			atomic_store(&log->waiting, 1);
		look(log);
	}
	return 1;
}

/* A new chunk for a record that needs so many bytes. */
static int open_chunk(struct ferry_destination *log, size_t need, int always)
{
	int error = 0;
	size_t size = log->grain < need ? need : log->grain;
	struct chunk *chunk = pool_get(log->pool, size, always, &error);
	if (!chunk && error == FERRY_E_AGAIN && need < size)
		chunk = pool_get(log->pool, need, 0, &error);
	if (!chunk)
		return error;
	chunk->first = log->next;
	if (log->tail) {
		atomic_store_explicit(&log->tail->end, log->next, memory_order_relaxed);
		log->tail->next = chunk;
	} else {
		log->head = chunk;
	}
	log->tail = chunk;
	log->at = chunk->data;
	log->left = chunk->size - sizeof(struct chunk);
	if (log->grain < CHUNK_MAX)
		log->grain *= 2;
	return 0;
}

/* Where later records will be, a worker has read older ones: ask for these cache lines some messages ahead,
 * rather than wait for them one after the other when they are written.  Mostly records are of one size. */
static void claim_ahead(const struct ferry_destination *log, size_t size)
{
	size_t distance = 8 * size;
	if (size > 1024 || log->left < distance + size)
		return;
	for (size_t i = 0; i < size; i += CACHE_LINE)
		__builtin_prefetch(log->at + distance + i, 1);
}

/* 0 or an error: the message's result.  FULL, STARVED: not taken. */
enum { FULL = 1, STARVED = 2 };

static int append(struct ferry_destination *log, const struct ferry_record *message, int always)
{
	size_t size = record_size(message, log->pool->own);
	if (!log->cursors && !atomic_load_explicit(&log->retain, memory_order_relaxed))
		return 0; /* for nobody */
	if (!size || (!always && size + sizeof(struct chunk) > log->pool->budget))
		return FERRY_E_REJECTED;
	if (!always && !has_room(log, size))
		return FULL;
	if (log->left < size) {
		int error = open_chunk(log, size + sizeof(struct chunk), always);
		if (error)
			return error == FERRY_E_AGAIN ? STARVED : error;
	}
	struct record *record = (struct record *)(void *)log->at;
	record_write(record, message, size, log->pool->own);
	record->sequence = log->next++;
	record->bytes = log->bytes += size;
	log->at += size;
	log->left -= size;
	claim_ahead(log, size);
	return 0;
}

static void set_result(struct ferry_outgoing *out, int result)
{
	out->result = result;
	out->native_code = 0;
	out->reason = result == FERRY_E_REJECTED ? "the message is larger than memory_budget" : NULL;
}

/*
 * Unlocks log.lock.  Call `ready` for every armed cursor, without the lock; meanwhile `waking` keeps the
 * cursor from leaving.  A cursor that arms again has seen what was published: `woken` tells.
 */
static void wake_cursors(struct ferry_destination *log)
{
	struct ferry_subscription *woken[WAKE_BATCH];
	uint64_t next = log->next;
	size_t count;
	do {
		count = 0;
		for (struct ferry_subscription *c = log->cursors; c && count < WAKE_BATCH;
		     c = c->next_in_log) {
			if (!atomic_load(&c->armed) || c->woken >= next || !atomic_exchange(&c->armed, 0))
				continue;
			c->woken = next;
			c->waking++;
			woken[count++] = c;
		}
		pthread_mutex_unlock(&log->lock);
		if (!count)
			return;
		for (size_t i = 0; i < count; i++)
			log->pool->host->ready(log->pool->core, woken[i]->core);
		pthread_mutex_lock(&log->lock);
		for (size_t i = 0; i < count; i++) {
			if (!--woken[i]->waking)
				pthread_cond_broadcast(&log->calm);
		}
	} while (count == WAKE_BATCH);
	pthread_mutex_unlock(&log->lock);
}

size_t log_publish(struct ferry_destination *log, struct ferry_outgoing *const *outs, size_t count,
		   int always, int *ret_starved)
{
	size_t done = 0;
	int result = 0;
	pthread_mutex_lock(&log->lock);
	while (done < count && outs[done]->destination == log) {
		result = append(log, &outs[done]->record, always);
		if (result > 0)
			break;
		set_result(outs[done++], result);
	}
	*ret_starved = result == STARVED;
	atomic_store(&log->committed, log->next);
	uint64_t evicted = retire(log);
	wake_cursors(log);
	report_evicted(log, evicted);
	return done;
}

void log_keep_dead_letters(struct ferry_destination *log, uint64_t retain)
{
	if (atomic_load_explicit(&log->retain, memory_order_relaxed) >= retain)
		return;
	pthread_mutex_lock(&log->lock);
	if (!atomic_load_explicit(&log->retain, memory_order_relaxed))
		log->oldest = log->next;
	atomic_store_explicit(&log->retain, retain, memory_order_relaxed);
	pthread_mutex_unlock(&log->lock);
}

int log_shed(struct ferry_destination *log)
{
	pthread_mutex_lock(&log->lock);
	struct chunk *chunk = log->head;
	int may = chunk && atomic_load_explicit(&log->retain, memory_order_relaxed) &&
		  atomic_load_explicit(&chunk->refs, memory_order_relaxed) == 1 &&
		  chunk_end(log, chunk) <= needed(log);
	uint64_t evicted = 0;
	if (may) {
		evicted = chunk_end(log, chunk) - log->oldest;
		log->oldest += evicted;
		trim(log);
	}
	pthread_mutex_unlock(&log->lock);
	report_evicted(log, evicted);
	return may;
}

/* ---- reading ---- */

/* log.lock held: the chunk that holds `sequence`, from `chunk` on. */
static struct chunk *find_chunk(struct chunk *chunk, uint64_t sequence)
{
	while (atomic_load_explicit(&chunk->end, memory_order_relaxed) <= sequence)
		chunk = chunk->next;
	return chunk;
}

static size_t find_offset(struct chunk *chunk, uint64_t sequence)
{
	size_t offset = 0;
	for (uint64_t s = chunk->first; s < sequence; s++)
		offset += chunk_record(chunk, offset)->size;
	return offset;
}

static void seek(struct ferry_subscription *cursor, uint64_t taken)
{
	struct chunk *chunk = find_chunk(cursor->chunk ? cursor->chunk : cursor->log->head, taken);
	if (cursor->chunk_first != chunk->first) /* else it comes back to where it let go */
		cursor->offset = find_offset(chunk, taken);
	cursor->chunk_first = chunk->first;
	cursor->chunk = chunk;
}

void log_seek(struct ferry_subscription *cursor, uint64_t taken)
{
	struct ferry_destination *log = cursor->log;
	pthread_mutex_lock(&log->lock);
	seek(cursor, taken);
	trim(log);
	pthread_mutex_unlock(&log->lock);
}

void log_let_go(struct ferry_subscription *cursor)
{
	struct ferry_destination *log = cursor->log;
	pthread_mutex_lock(&log->lock);
	cursor->chunk = NULL;
	trim(log);
	pthread_mutex_unlock(&log->lock);
}

void log_taken(struct ferry_destination *log)
{
	if (!atomic_load(&log->waiting) && !atomic_load_explicit(&log->retain, memory_order_relaxed))
		return;
	pthread_mutex_lock(&log->lock);
	make_room(log);
	uint64_t evicted = retire(log);
	pthread_mutex_unlock(&log->lock);
	report_evicted(log, evicted);
}

void log_join(struct ferry_subscription *cursor)
{
	struct ferry_destination *log = cursor->log;
	pthread_mutex_lock(&log->lock);
	uint64_t retained =
		atomic_load_explicit(&log->retain, memory_order_relaxed) ? log->oldest : log->next;
	uint64_t from = cursor->start == START_EARLIEST ? retained : log->next;
	if (cursor->known) {
		from = atomic_load_explicit(&cursor->taken, memory_order_relaxed);
		from = from < retained ? retained : from;
	}
	uint64_t bytes = log->bytes;
	cursor->chunk_first = UINT64_MAX;
	if (from < log->next) {
		seek(cursor, from);
		struct record *record = chunk_record(cursor->chunk, cursor->offset);
		bytes = record->bytes - record->size;
	}
	atomic_store(&cursor->taken_bytes, bytes);
	atomic_store(&cursor->taken, from);
	cursor->joined = cursor->known = 1;
	cursor->woken = 0;
	cursor->next_in_log = log->cursors;
	log->cursors = cursor;
	look(log);
	pthread_mutex_unlock(&log->lock);
}

uint64_t log_leave(struct ferry_subscription *cursor)
{
	struct ferry_destination *log = cursor->log;
	pthread_mutex_lock(&log->lock);
	uint64_t queued = log->next - atomic_load_explicit(&cursor->taken, memory_order_relaxed);
	struct ferry_subscription **at = &log->cursors;
	while (*at != cursor)
		at = &(*at)->next_in_log;
	*at = cursor->next_in_log;
	cursor->joined = 0;
	cursor->chunk = NULL;
	atomic_store(&cursor->armed, 0);
	while (cursor->waking)
		pthread_cond_wait(&log->calm, &log->lock);
	make_room(log);
	look(log);
	uint64_t evicted = retire(log);
	trim(log);
	pthread_mutex_unlock(&log->lock);
	report_evicted(log, evicted);
	return queued;
}

struct record *log_find_retained(struct ferry_destination *log, uint64_t sequence, struct chunk **ret_chunk)
{
	struct record *record = NULL;
	pthread_mutex_lock(&log->lock);
	if (atomic_load_explicit(&log->retain, memory_order_relaxed) && sequence >= log->oldest) {
		struct chunk *chunk = find_chunk(log->head, sequence);
		chunk_hold(chunk, 1);
		record = chunk_record(chunk, find_offset(chunk, sequence));
		*ret_chunk = chunk;
	}
	pthread_mutex_unlock(&log->lock);
	return record;
}

void log_finish(struct ferry_destination *log)
{
	while (log->head) {
		struct chunk *next = log->head->next;
		chunk_drop(log->pool, log->head, 1);
		log->head = next;
	}
	pthread_cond_destroy(&log->calm);
	pthread_mutex_destroy(&log->lock);
}
