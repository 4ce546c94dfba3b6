#include "log.h"

/* What a delivery's words mean. */
enum { WORD_RECORD, WORD_CHUNK, WORD_CURSOR, WORD_ATTEMPT };

static void *word_pointer(const struct ferry_delivery *delivery, int word)
{
	return (void *)(uintptr_t)delivery->plugin[word];
}

/* ---- the heap of retries: cursor.lock held ---- */

static int earlier(const struct retry *a, const struct retry *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->sequence < b->sequence;
}

static void sift_up(struct retry *heap, size_t i)
{
	struct retry moving = heap[i];
	for (; i && earlier(&moving, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = moving;
}

static void sift_down(struct retry *heap, size_t count, size_t i)
{
	struct retry moving = heap[i];
	for (size_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
		if (child + 1 < count && earlier(&heap[child + 1], &heap[child]))
			child++;
		if (!earlier(&heap[child], &moving))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moving;
}

static void push_retry(struct ferry_subscription *cursor, const struct retry *retry)
{
	cursor->retries[cursor->retry_count] = *retry;
	sift_up(cursor->retries, cursor->retry_count++);
}

static struct retry pop_retry(struct ferry_subscription *cursor)
{
	struct retry *heap = cursor->retries;
	struct retry first = heap[0];
	heap[0] = heap[--cursor->retry_count];
	if (cursor->retry_count)
		sift_down(heap, cursor->retry_count, 0);
	return first;
}

/* A place in the heap for every unsettled message, so that a failure never lacks one. */
static void reserve_retries(struct ferry_subscription *cursor, size_t count)
{
	const struct pool *pool = cursor->log->pool;
	size_t capacity = cursor->retry_capacity ? cursor->retry_capacity : 16;
	if (count <= cursor->retry_capacity)
		return;
	while (capacity < count)
		capacity *= 2;
	size_t bytes = capacity * sizeof *cursor->retries;
	struct retry *heap = cursor->retries ? pool->host->resize(pool->core, cursor->retries, bytes)
					     : pool->host->alloc(pool->core, bytes);
	if (!heap)
		return;
	cursor->retries = heap;
	cursor->retry_capacity = capacity;
}

static int retry_is_due(const struct ferry_subscription *cursor)
{
	const struct pool *pool = cursor->log->pool;
	if (!cursor->retry_count)
		return 0;
	int64_t due_us = cursor->retries[0].due_us;
	return due_us == RETRY_NOW || due_us <= pool->host->now_us(pool->core);
}

/* ---- deliveries ---- */

struct ferry_subscription *delivery_cursor(const struct ferry_delivery *delivery)
{
	return word_pointer(delivery, WORD_CURSOR);
}

uint64_t delivery_sequence(const struct ferry_delivery *delivery)
{
	const struct record *record = word_pointer(delivery, WORD_RECORD);
	return record->sequence;
}

/* The delivery takes over one reference on the chunk. */
static void deliver(struct ferry_subscription *cursor, struct ferry_delivery *delivery,
		    const struct retry *what)
{
	struct ferry_view topic = {cursor->log->topic, cursor->log->topic_size};
	record_read(what->record, topic, &delivery->record, cursor->log->pool->own);
	delivery->subscription = cursor->core;
	delivery->attempt = what->attempt;
	delivery->deliveries = 0;
	delivery->partition = 0;
	delivery->first_failed_wall_us = what->first_failed_wall_us;
	delivery->due_us = 0;
	delivery->plugin[WORD_RECORD] = (uintptr_t)what->record;
	delivery->plugin[WORD_CHUNK] = (uintptr_t)what->chunk;
	delivery->plugin[WORD_CURSOR] = (uintptr_t)cursor;
	delivery->plugin[WORD_ATTEMPT] = what->attempt;
}

/* References are dropped by the run, because a batch is mostly of one chunk. */
struct drop {
	struct pool *pool;
	struct chunk *chunk;
	uint32_t count;
};

static void drop_flush(struct drop *drop)
{
	if (drop->count)
		chunk_drop(drop->pool, drop->chunk, drop->count);
	drop->count = 0;
}

static void drop_add(struct drop *drop, const struct ferry_delivery *delivery)
{
	struct chunk *chunk = word_pointer(delivery, WORD_CHUNK);
	if (chunk != drop->chunk)
		drop_flush(drop);
	drop->chunk = chunk;
	drop->count++;
}

void delivery_release(struct pool *pool, struct ferry_delivery *const *deliveries, size_t count)
{
	struct drop drop = {.pool = pool};
	for (size_t i = 0; i < count; i++)
		drop_add(&drop, deliveries[i]);
	drop_flush(&drop);
}

/* ---- fetching: cursor.lock held ---- */

static size_t take_retries(struct ferry_subscription *cursor, struct ferry_delivery *const *deliveries,
			   size_t max)
{
	size_t count = 0;
	while (count < max && retry_is_due(cursor)) {
		struct retry retry = pop_retry(cursor);
		deliver(cursor, deliveries[count++], &retry);
	}
	return count;
}

static uint64_t untaken(const struct ferry_subscription *cursor)
{
	return atomic_load(&cursor->log->committed) -
	       atomic_load_explicit(&cursor->taken, memory_order_relaxed);
}

/* How many new messages may be taken; max_unsettled does not stop retries, which are unsettled already. */
static size_t allowance(struct ferry_subscription *cursor, size_t max)
{
	uint64_t ready = untaken(cursor);
	uint64_t count = ready < max ? ready : max;
	if (!count || cursor->unsettled >= cursor->max_unsettled)
		return 0;
	if (count > cursor->max_unsettled - cursor->unsettled)
		count = cursor->max_unsettled - cursor->unsettled;
	reserve_retries(cursor, cursor->unsettled + count);
	if (count > cursor->retry_capacity - cursor->unsettled)
		count = cursor->retry_capacity - cursor->unsettled;
	return (size_t)count;
}

/* The next records were written by another processor, and each one's place depends on the size of the one
 * before: without a guess their cache lines would be waited for one after the other.  Mostly they are of one
 * size. */
static void fetch_ahead(const struct record *record)
{
	const char *guess = (const char *)record + (size_t)4 * record->size;
	__builtin_prefetch(guess);
	__builtin_prefetch(guess + CACHE_LINE);
}

static void take_new(struct ferry_subscription *cursor, struct ferry_delivery *const *deliveries,
		     size_t count)
{
	uint64_t taken = atomic_load_explicit(&cursor->taken, memory_order_relaxed);
	struct retry first = {.attempt = 1};
	for (size_t done = 0; done < count;) {
		if (!cursor->chunk ||
		    atomic_load_explicit(&cursor->chunk->end, memory_order_relaxed) == taken)
			log_seek(cursor, taken);
		first.chunk = cursor->chunk;
		uint64_t rest = atomic_load_explicit(&first.chunk->end, memory_order_relaxed) - taken;
		size_t run = rest < count - done ? (size_t)rest : count - done;
		chunk_hold(first.chunk, (uint32_t)run);
		taken += run;
		for (size_t end = done + run; done < end; done++) {
			first.record = chunk_record(first.chunk, cursor->offset);
			fetch_ahead(first.record);
			cursor->offset += first.record->size;
			deliver(cursor, deliveries[done], &first);
		}
	}
	cursor->unsettled += count;
	atomic_store_explicit(&cursor->taken_bytes, first.record->bytes, memory_order_relaxed);
	atomic_store(&cursor->taken, taken);
}

int cursor_fetch(struct ferry_subscription *cursor, struct ferry_delivery *const *deliveries, size_t max)
{
	pthread_mutex_lock(&cursor->lock);
	size_t count = take_retries(cursor, deliveries, max);
	size_t fresh = allowance(cursor, max - count);
	if (fresh)
		take_new(cursor, deliveries + count, fresh);
	int starved = !count && !fresh && max && untaken(cursor) &&
		      cursor->unsettled == cursor->retry_capacity &&
		      cursor->unsettled < cursor->max_unsettled;
	pthread_mutex_unlock(&cursor->lock);
	if (fresh)
		log_taken(cursor->log);
	return starved ? FERRY_E_NOMEM : (int)(count + fresh);
}

/* ---- falling asleep ---- */

static int has_work(const struct ferry_subscription *cursor)
{
	return (cursor->unsettled < cursor->max_unsettled && untaken(cursor)) || retry_is_due(cursor);
}

int cursor_arm(struct ferry_subscription *cursor)
{
	const struct pool *pool = cursor->log->pool;
	int64_t due_us = INT64_MAX;
	pthread_mutex_lock(&cursor->lock);
	if (cursor->chunk && !untaken(cursor))
		log_let_go(cursor);
	atomic_store(&cursor->armed, 1);
	int work = has_work(cursor);
	if (work)
		atomic_store(&cursor->armed, 0);
	else if (cursor->retry_count)
		due_us = cursor->retries[0].due_us;
	pthread_mutex_unlock(&cursor->lock);
	if (due_us != INT64_MAX)
		pool->host->wake_at(pool->core, cursor->core, due_us);
	return work;
}

/* ---- verdicts: cursor.lock held ---- */

/* The record in a chunk of its own, so that a long wait does not hold its neighbours' memory. */
static struct chunk *copy_out(const struct ferry_destination *log, struct record *record)
{
	struct ferry_record message = {.size = sizeof message};
	int error;
	struct chunk *chunk = pool_get(log->pool, sizeof(struct chunk) + record->size, 1, &error);
	if (!chunk)
		return NULL;
	record_read(record, (struct ferry_view){log->topic, log->topic_size}, &message, log->pool->own);
	struct record *copy = chunk_record(chunk, 0);
	record_write(copy, &message, record->size, log->pool->own);
	copy->sequence = record->sequence;
	copy->bytes = record->bytes;
	chunk->first = record->sequence;
	atomic_store_explicit(&chunk->end, record->sequence + 1, memory_order_relaxed);
	return chunk;
}

static int is_alone(const struct chunk *chunk)
{
	return chunk->first + 1 == atomic_load_explicit(&chunk->end, memory_order_relaxed);
}

/* Without memory for a copy the retry holds the record where it is. */
static void put_back(struct ferry_subscription *cursor, const struct ferry_delivery *delivery,
		     struct retry *retry)
{
	retry->record = word_pointer(delivery, WORD_RECORD);
	retry->chunk = word_pointer(delivery, WORD_CHUNK);
	retry->sequence = retry->record->sequence;
	struct chunk *copy = NULL;
	if (retry->due_us != RETRY_NOW && !is_alone(retry->chunk))
		copy = copy_out(cursor->log, retry->record);
	if (copy) {
		retry->chunk = copy;
		retry->record = chunk_record(copy, 0);
	} else {
		chunk_hold(retry->chunk, 1);
	}
	push_retry(cursor, retry);
}

static void retry_later(struct ferry_subscription *cursor, const struct ferry_settle *settle)
{
	const struct pool *pool = cursor->log->pool;
	const struct ferry_delivery *delivery = settle->delivery;
	struct retry retry = {
		.due_us = pool->host->now_us(pool->core) + (settle->delay_us > 0 ? settle->delay_us : 0),
		.first_failed_wall_us = delivery->first_failed_wall_us,
		.attempt = (uint32_t)delivery->plugin[WORD_ATTEMPT] + 1,
	};
	if (!retry.first_failed_wall_us)
		retry.first_failed_wall_us = pool->host->wall_us(pool->core);
	put_back(cursor, delivery, &retry);
}

static void hand_back(struct ferry_subscription *cursor, const struct ferry_delivery *delivery)
{
	struct retry retry = {
		.due_us = RETRY_NOW,
		.first_failed_wall_us = delivery->first_failed_wall_us,
		.attempt = (uint32_t)delivery->plugin[WORD_ATTEMPT],
	};
	put_back(cursor, delivery, &retry);
}

static void settle_one(struct ferry_subscription *cursor, struct ferry_settle *settle)
{
	struct ferry_delivery *delivery = settle->delivery;
	settle->result = 0;
	switch (settle->verb) {
	case FERRY_SETTLE_ACK:
	case FERRY_SETTLE_REJECT:
		cursor->unsettled--;
		break;
	case FERRY_SETTLE_NACK:
		retry_later(cursor, settle);
		break;
	case FERRY_SETTLE_HANDBACK:
		hand_back(cursor, delivery);
		break;
	case FERRY_SETTLE_HOLD:
		delivery->plugin[WORD_ATTEMPT] = settle->attempt;
		return;
	default: /* EXTEND: there is no lease */
		return;
	}
	delivery->plugin[WORD_CURSOR] = 0;
}

void cursor_settle(struct ferry_subscription *cursor, struct ferry_settle *settles, size_t count)
{
	struct pool *pool = cursor->log->pool;
	struct drop drop = {.pool = pool};

	pthread_mutex_lock(&cursor->lock);
	int64_t before = cursor->retry_count ? cursor->retries[0].due_us : INT64_MAX;
	for (size_t i = 0; i < count; i++)
		settle_one(cursor, &settles[i]);
	int64_t first = cursor->retry_count ? cursor->retries[0].due_us : INT64_MAX;
	int wake = atomic_load(&cursor->armed) && has_work(cursor) && atomic_exchange(&cursor->armed, 0);
	pthread_mutex_unlock(&cursor->lock);

	for (size_t i = 0; i < count; i++) {
		if (!delivery_cursor(settles[i].delivery) && !(settles[i].flags & FERRY_SETTLE_KEEP))
			drop_add(&drop, settles[i].delivery);
	}
	drop_flush(&drop);
	if (wake)
		pool->host->ready(pool->core, cursor->core);
	if (first < before && first != RETRY_NOW)
		pool->host->wake_at(pool->core, cursor->core, first);
}

void cursor_end(struct ferry_delivery *delivery)
{
	struct ferry_settle end = {
		.delivery = delivery, .verb = FERRY_SETTLE_REJECT, .flags = FERRY_SETTLE_KEEP};
	cursor_settle(delivery_cursor(delivery), &end, 1);
}

/* ---- life ---- */

void cursor_init(struct ferry_subscription *cursor, struct ferry_destination *log)
{
	cursor->log = log;
	pthread_mutex_init(&cursor->lock, NULL);
}

/* The retries that were left when the cursor was parked, as far as their records are retained. */
static void find_retries(struct ferry_subscription *cursor)
{
	size_t found = 0;
	for (size_t i = 0; i < cursor->retry_count; i++) {
		struct retry retry = cursor->retries[i];
		retry.record = log_find_retained(cursor->log, retry.sequence, &retry.chunk);
		if (!retry.record)
			continue;
		cursor->retries[found] = retry;
		sift_up(cursor->retries, found++);
	}
	cursor->retry_count = found;
	cursor->unsettled = found;
}

void cursor_start(struct ferry_subscription *cursor)
{
	pthread_mutex_lock(&cursor->lock);
	log_join(cursor);
	find_retries(cursor);
	pthread_mutex_unlock(&cursor->lock);
}

uint64_t cursor_stop(struct ferry_subscription *cursor)
{
	uint64_t queued = log_leave(cursor);
	pthread_mutex_lock(&cursor->lock);
	queued += cursor->retry_count;
	pthread_mutex_unlock(&cursor->lock);
	return queued;
}

void cursor_park(struct ferry_subscription *cursor)
{
	for (size_t i = 0; i < cursor->retry_count; i++) {
		chunk_drop(cursor->log->pool, cursor->retries[i].chunk, 1);
		cursor->retries[i].chunk = NULL;
	}
}

void cursor_free(struct ferry_subscription *cursor)
{
	const struct pool *pool = cursor->log->pool;
	if (cursor->retries)
		pool->host->free(pool->core, cursor->retries);
	if (cursor->name)
		pool->host->free(pool->core, cursor->name);
	pthread_mutex_destroy(&cursor->lock);
	pool->host->free(pool->core, cursor);
}
