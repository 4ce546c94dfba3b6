/*
 * chunk.h - memory for records, and the pool that it comes from.
 *
 *     chunk:  header | record record record ... free |
 *     record: header | attributes | payload, key, texts, attributes' strings, each with a NUL | to 16 bytes
 *
 * A record never moves and its strings are ready for use: delivering it is setting pointers.  A chunk is
 * freed by its last reference: the log that it belongs to has one, and so has every delivery and every
 * waiting retry of its records.
 */
#ifndef MEMORY_CHUNK_H
#define MEMORY_CHUNK_H

#include <pthread.h>
#include <stdatomic.h>

#include <ferry/transport.h>

#define CHUNK_MIN     ((size_t)4 << 10) /* a topic begins with this, so that a thousand quiet ones are cheap */
#define CHUNK_MAX     ((size_t)64 << 10)
#define CHUNK_CLASSES 5 /* 4, 8, 16, 32 and 64 KiB are recycled; other sizes come and go */

struct chunk {
	struct chunk *next;   /* newer, in its log; or the next spare one in the pool */
	size_t size;          /* of the whole allocation */
	uint64_t first;       /* sequence of its first record */
	_Atomic uint64_t end; /* sequence behind its last record; UINT64_MAX while records are still added */
	_Atomic uint32_t refs;
	_Alignas(16) unsigned char data[];
};

#define RECORD_VIEWS 8 /* the views of a struct ferry_record behind the topic */

struct record {
	uint64_t sequence; /* place in its topic, from 0 */
	uint64_t bytes;    /* sizes of the topic's records up to and with this one */
	uint64_t id_bits[2];
	int64_t wall_us;
	uint32_t size; /* from this record to the next */
	uint16_t attribute_count;
	uint16_t present;             /* bit i: view i has data */
	uint32_t views[RECORD_VIEWS]; /* their sizes */
};

/* Most messages have a payload, the process's own service as source, and nothing else: `own`, which outlives
 * the records, is not copied into each. */
#define PRESENT_OWN (1u << RECORD_VIEWS)

/* What it takes to store the message, or 0: more than 4 GiB or 65 535 attributes. */
size_t record_size(const struct ferry_record *message, struct ferry_view own);
/* `size` is record_size(message, own); sequence and bytes are the caller's to set. */
void record_write(struct record *record, const struct ferry_record *message, size_t size,
		  struct ferry_view own);
/* Set the message, whose views are empty, to the record. */
void record_read(struct record *record, struct ferry_view topic, struct ferry_record *message,
		 struct ferry_view own);

/* All memory that the connection holds for records, bounded by memory_budget. */
struct pool {
	const struct ferry_host *host;
	void *core;
	size_t budget;
	struct ferry_view own; /* the service: the source of what this process publishes */
	_Atomic int relieved;  /* host->writable is owed: see pool_relieve */

	pthread_mutex_t lock; /* the last to be taken */
	size_t used;          /* bytes of chunks in use */
	size_t spare;         /* bytes of chunks in `spares` */
	size_t starved;       /* the smallest size that was refused and is waited for; 0 = none */
	struct chunk *spares[CHUNK_CLASSES];
};

void pool_init(struct pool *pool, const struct ferry_host *host, void *core, int64_t budget,
	       const char *service);
void pool_finish(struct pool *pool);

/*
 * A chunk with one reference, or NULL: FERRY_E_NOMEM, or FERRY_E_AGAIN when the budget is used up, which
 * `always` ignores.  After FERRY_E_AGAIN `relieved` is set as soon as there is memory for it.
 */
struct chunk *pool_get(struct pool *pool, size_t size, int always, int *ret_error);
void pool_put(struct pool *pool, struct chunk *chunk);

static inline void chunk_hold(struct chunk *chunk, uint32_t count)
{
	atomic_fetch_add_explicit(&chunk->refs, count, memory_order_relaxed);
}

static inline void chunk_drop(struct pool *pool, struct chunk *chunk, uint32_t count)
{
	if (atomic_fetch_sub_explicit(&chunk->refs, count, memory_order_acq_rel) == count)
		pool_put(pool, chunk);
}

static inline struct record *chunk_record(struct chunk *chunk, size_t offset)
{
	return (struct record *)(void *)(chunk->data + offset);
}

/* Say `writable` if it is owed.  Every slot that can free memory or make room in a queue ends with this,
 * because the host must not be called where that is found out, under a lock. */
static inline void pool_relieve(struct pool *pool)
{
	if (atomic_load_explicit(&pool->relieved, memory_order_relaxed) &&
	    atomic_exchange(&pool->relieved, 0))
		pool->host->writable(pool->core);
}

#endif
