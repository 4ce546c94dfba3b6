#include "reply.h"

#include <stdalign.h>
#include <string.h>

#include <hiredis/hiredis.h>

#define CHUNK_SIZE ((size_t)64 << 10)
#define KEEP_SIZE  ((size_t)1 << 20) /* memory that outlives one large reply */

struct chunk {
	struct chunk *next;
	size_t size, used;
	alignas(max_align_t) char data[];
};

struct reply_reader {
	const struct ferry_host *host;
	void *core;
	redisReader *parser;
	struct chunk *chunks; /* the one in use first */
	size_t total;
};

/* ---- the arena ---- */

static void *arena_take(struct reply_reader *reader, size_t size)
{
	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct chunk *chunk = reader->chunks;
	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
		chunk = reader->host->alloc(reader->core, sizeof *chunk + room);
		if (!chunk)
			return NULL;
		*chunk = (struct chunk){.next = reader->chunks, .size = room};
		reader->chunks = chunk;
		reader->total += room;
	}
	void *taken = chunk->data + chunk->used;
	chunk->used += size;
	return taken;
}

static void arena_free(struct reply_reader *reader)
{
	while (reader->chunks) {
		struct chunk *next = reader->chunks->next;
		reader->host->free(reader->core, reader->chunks);
		reader->chunks = next;
	}
	reader->total = 0;
}

/* Several chunks become one that holds as much, unless that were too much to keep. */
static void arena_clear(struct reply_reader *reader)
{
	struct chunk *chunk = reader->chunks;
	if (!chunk)
		return;
	if (!chunk->next && chunk->size <= KEEP_SIZE) {
		chunk->used = 0;
		return;
	}
	size_t total = reader->total;
	arena_free(reader);
	if (total <= KEEP_SIZE && arena_take(reader, total))
		reader->chunks->used = 0;
}

/* ---- what hiredis calls ---- */

static struct reply *make(const redisReadTask *task, size_t more)
{
	struct reply_reader *reader = task->privdata;
	struct reply *reply = arena_take(reader, sizeof *reply + more);
	if (!reply)
		return NULL;
	*reply = (struct reply){.type = task->type, .text = ""};
	if (task->parent) {
		struct reply *parent = task->parent->obj;
		parent->items[task->idx] = reply;
	}
	return reply;
}

static void *make_string(const redisReadTask *task, char *text, size_t size)
{
	struct reply *reply = make(task, size + 1);
	if (!reply)
		return NULL;
	char *copy = (char *)(reply + 1);
	memcpy(copy, text, size);
	copy[size] = '\0';
	reply->text = copy;
	reply->size = size;
	return reply;
}

#if HIREDIS_MAJOR >= 1
static void *make_array(const redisReadTask *task, size_t count)
#else
static void *make_array(const redisReadTask *task, int count)
#endif
{
	size_t items = (size_t)count * sizeof(struct reply *);
	struct reply *reply = make(task, items);
	if (!reply)
		return NULL;
	reply->size = (size_t)count;
	reply->items = (struct reply **)(void *)(reply + 1);
	if (items)
		memset(reply->items, 0, items);
	return reply;
}

static void *make_integer(const redisReadTask *task, long long integer)
{
	struct reply *reply = make(task, 0);
	if (reply)
		reply->integer = integer;
	return reply;
}

/* The task is that of a string or an array. */
static void *make_nil(const redisReadTask *task)
{
	struct reply *reply = make(task, 0);
	if (reply)
		reply->type = REDIS_REPLY_NIL;
	return reply;
}

#if HIREDIS_MAJOR >= 1
/* Kinds of RESP3, which is not asked for. */
static void *make_double(const redisReadTask *task, double number, char *text, size_t size)
{
	(void)number;
	return make_string(task, text, size);
}

static void *make_bool(const redisReadTask *task, int truth)
{
	return make_integer(task, truth);
}
#endif

/* The arena frees. */
static void forget(void *reply)
{
	(void)reply;
}

static redisReplyObjectFunctions functions = {
	.createString = make_string,
	.createArray = make_array,
	.createInteger = make_integer,
#if HIREDIS_MAJOR >= 1
	.createDouble = make_double,
	.createBool = make_bool,
#endif
	.createNil = make_nil,
	.freeObject = forget,
};

/* ---- the reader ---- */

struct reply_reader *reply_reader_make(const struct ferry_host *host, void *core)
{
	struct reply_reader *reader = host->alloc(core, sizeof *reader);
	if (!reader)
		return NULL;
	*reader = (struct reply_reader){.host = host, .core = core};
	reader->parser = redisReaderCreateWithFunctions(&functions);
	if (!reader->parser) {
		host->free(core, reader);
		return NULL;
	}
	reader->parser->privdata = reader;
	reader->parser->maxbuf = KEEP_SIZE;
	return reader;
}

void reply_reader_free(struct reply_reader *reader)
{
	if (!reader)
		return;
	redisReaderFree(reader->parser);
	arena_free(reader);
	reader->host->free(reader->core, reader);
}

bool reply_feed(struct reply_reader *reader, const char *data, size_t size)
{
	return redisReaderFeed(reader->parser, data, size) == REDIS_OK;
}

int reply_next(struct reply_reader *reader, const struct reply **ret)
{
	void *reply = NULL;
	/* Between two replies nothing of the arena is in use; within one the parser holds on to it. */
	if (reader->parser->ridx == -1)
		arena_clear(reader);
	if (redisReaderGetReply(reader->parser, &reply) != REDIS_OK)
		return -1;
	*ret = reply;
	return reply != NULL;
}

bool reply_is_array(const struct reply *reply, size_t least)
{
	return reply && reply->type == REDIS_REPLY_ARRAY && reply->size >= least;
}

bool reply_is_error(const struct reply *reply)
{
	return reply->type == REDIS_REPLY_ERROR;
}

const struct reply *reply_value(const struct reply *map, const char *name)
{
	for (size_t i = 0; reply_is_array(map, i + 2); i += 2)
		if (!strcmp(map->items[i]->text, name))
			return map->items[i + 1];
	return NULL;
}
