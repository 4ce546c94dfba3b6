/*
 * claim.c - deliveries that are open: what is known of them, and what the core decides about them.
 *
 * A message of a group is ours while its lease lasts: others may take it when the server has counted an idle
 * time of `takeover`.  The lease is counted from a moment at which the entry certainly was not idle, and is a
 * tenth shorter; when it has run out (the process was stopped, the network was away) nothing is written for
 * it any more, for XCLAIM would steal it back from whoever has it now.
 */
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis.h"

#define BUCKETS ((size_t)4096)

/* ---- the table of what is ours ---- */

static struct claim **bucket_of(const struct ferry_source *source, const struct ferry_subscription *s,
				struct entry_id id)
{
	uint64_t hash = (id.ms * 0x9E3779B97F4A7C15u) ^ (id.seq * 0xC2B2AE3D27D4EB4Fu) ^ (uintptr_t)s;
	return &source->hash[(hash >> 20) % BUCKETS];
}

struct claim *claim_find(struct ferry_source *source, const struct ferry_subscription *s, struct entry_id id)
{
	struct claim *claim = *bucket_of(source, s, id);
	while (claim && (claim->subscription != s || entry_id_compare(claim->id, id) != 0))
		claim = claim->next_hash;
	return claim;
}

void claim_forget(struct claim *claim)
{
	struct ferry_source *source = claim->subscription->source;
	if (!claim->hashed)
		return;
	struct claim **link = bucket_of(source, claim->subscription, claim->id);
	while (*link != claim)
		link = &(*link)->next_hash;
	*link = claim->next_hash;
	claim->hashed = false;
}

static void hash_add(struct ferry_source *source, struct claim *claim)
{
	struct claim **bucket = bucket_of(source, claim->subscription, claim->id);
	claim->next_hash = *bucket;
	*bucket = claim;
	claim->hashed = true;
}

bool claim_table_make(struct ferry_source *source)
{
	source->hash = host_zeroed(source->connection, BUCKETS * sizeof *source->hash);
	return source->hash != NULL;
}

/* ---- made and freed ---- */

struct claim *claim_make(struct ferry_subscription *s, const struct reply *entry, uint32_t count,
			 int64_t lease_until)
{
	struct ferry_source *source = s->source;
	const struct ferry_connection *c = source->connection;
	const struct reply *fields = entry->items[1];
	struct entry_id id;
	if (!entry_id_parse(entry->items[0]->text, &id))
		return NULL;
	for (size_t i = 0; i < fields->size; i++)
		if (reply_is_array(fields->items[i], 0))
			return NULL; /* no server of ours would say that */
	size_t attributes = fields->size / 2 * sizeof(struct ferry_attribute);
	size_t topic_size = strlen(s->topic);
	size_t bytes = sizeof(struct claim) + attributes + wire_room(fields) + topic_size + 1 + ENTRY_ID_TEXT;
	struct claim *claim = c->host->alloc(c->core, bytes);
	if (!claim)
		return NULL;
	memset(claim, 0, sizeof *claim);
	claim->subscription = s;
	claim->id = id;
	claim->count = count;
	claim->refs = 1;
	claim->bytes = bytes;
	atomic_store_explicit(&claim->lease_until, lease_until, memory_order_relaxed);
	claim->record = (struct ferry_record){.size = sizeof claim->record, .topic = {s->topic, topic_size}};
	struct ferry_attribute *list = (struct ferry_attribute *)(void *)(claim + 1);
	wire_read(&claim->record, list, (char *)(claim + 1) + attributes, fields, id);
	pthread_mutex_lock(&source->lock);
	source->bytes += (int64_t)bytes;
	if (s->group)
		hash_add(source, claim);
	pthread_mutex_unlock(&source->lock);
	return claim;
}

void claim_unref(struct claim *claim)
{
	struct ferry_source *source = claim->subscription->source;
	if (--claim->refs)
		return;
	claim_forget(claim);
	bool full = source->bytes >= source->memory_budget;
	source->bytes -= (int64_t)claim->bytes;
	if (full && source->bytes < source->memory_budget)
		redis_wakeup(source);
	host_free(source->connection, claim);
}

bool claim_is_lost(struct claim *claim, int64_t now)
{
	if (!claim->subscription->group)
		return false;
	if (now >= atomic_load_explicit(&claim->lease_until, memory_order_relaxed))
		atomic_store_explicit(&claim->lost, true, memory_order_relaxed);
	return atomic_load_explicit(&claim->lost, memory_order_relaxed);
}

/* ---- verdicts on their way ---- */

static void enqueue(struct claim *claim)
{
	struct ferry_source *source = claim->subscription->source;
	claim->next = NULL;
	claim->queued = true;
	*source->dirty_end = claim;
	source->dirty_end = &claim->next;
}

void claim_dirty(struct claim *claim, unsigned todo)
{
	struct ferry_source *source = claim->subscription->source;
	if (!claim->todo && !claim->doing) {
		claim->refs++;
		source->verdicts++;
	}
	claim->todo = todo & TODO_FINAL ? todo : claim->todo | todo;
	if (!claim->queued && !claim->doing)
		enqueue(claim);
}

void claim_renew_all(struct ferry_subscription *s)
{
	struct ferry_source *source = s->source;
	int64_t now = real_us();
	pthread_mutex_lock(&source->lock);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct claim *claim = source->hash[i]; claim; claim = claim->next_hash)
			if (claim->subscription == s && claim->ended)
				claim->doubtful_at = 0; /* whatever was done, was done in the old group */
			else if (claim->subscription == s && !claim_is_lost(claim, now))
				claim_dirty(claim, TODO_RENEW);
	pthread_mutex_unlock(&source->lock);
}

void claim_written(struct claim *claim, bool again)
{
	struct ferry_source *source = claim->subscription->source;
	/* What was decided meanwhile replaces what failed. */
	if (again && !(claim->todo & TODO_FINAL))
		claim->todo |= claim->doing;
	claim->doing = 0;
	if (claim->todo) {
		enqueue(claim);
		return;
	}
	source->verdicts_done++;
	pthread_cond_broadcast(&source->changed);
	claim_unref(claim);
}

/* ---- settling ---- */

static void note_failure(struct claim *claim)
{
	const struct ferry_connection *c = claim->subscription->source->connection;
	if (!claim->first_failed_wall_us)
		claim->first_failed_wall_us = c->host->wall_us(c->core);
}

/* A message of a passing broadcast handler comes from nowhere but here. [source.lock] */
static void settle_passing(struct claim *claim, const struct ferry_settle *settle, int64_t now)
{
	struct ferry_subscription *s = claim->subscription;
	bool again = settle->verb == FERRY_SETTLE_NACK || settle->verb == FERRY_SETTLE_HANDBACK;
	if (settle->verb == FERRY_SETTLE_HOLD || settle->verb == FERRY_SETTLE_EXTEND)
		return;
	if (!again) {
		if (!(settle->flags & FERRY_SETTLE_KEEP))
			claim_unref(claim);
		return;
	}
	/* The next delivery has a reference of its own when the core keeps this one's views. */
	claim->refs += settle->flags & FERRY_SETTLE_KEEP ? 1 : 0;
	claim->count += settle->verb == FERRY_SETTLE_NACK;
	if (settle->verb == FERRY_SETTLE_NACK)
		note_failure(claim);
	claim->due = now + (settle->verb == FERRY_SETTLE_NACK ? settle->delay_us : 0);
	struct claim **at = &s->resting;
	while (*at && (*at)->due <= claim->due)
		at = &(*at)->next;
	claim->next = *at;
	*at = claim;
}

static unsigned todo_of(int verb)
{
	switch (verb) {
	case FERRY_SETTLE_NACK:
		return TODO_RETRY;
	case FERRY_SETTLE_HANDBACK:
		return TODO_BACK;
	case FERRY_SETTLE_HOLD:
		return TODO_HOLD;
	case FERRY_SETTLE_EXTEND:
		return TODO_RENEW;
	default:
		return TODO_ACK;
	}
}

/* *wake is set when a group that was full has room again. [source.lock] */
static int settle_one(struct claim *claim, const struct ferry_settle *settle, int64_t now, bool *wake)
{
	struct ferry_subscription *s = claim->subscription;
	bool lost = claim->ended || claim_is_lost(claim, now);
	unsigned todo = todo_of(settle->verb);
	if (!(todo & TODO_FINAL)) {
		if (!lost && todo == TODO_HOLD)
			claim->count = settle->attempt; /* as if it had been delivered again */
		if (!lost)
			claim_dirty(claim, todo);
		return lost ? FERRY_E_STALE : 0;
	}
	claim->ended = true;
	claim->due = now + settle->delay_us;
	if (todo == TODO_RETRY)
		note_failure(claim);
	if (lost)
		claim_forget(claim);
	else
		claim_dirty(claim, todo);
	if (!lost && todo == TODO_ACK)
		*wake = s->pending-- >= s->max_unsettled || *wake;
	if (!(settle->flags & FERRY_SETTLE_KEEP))
		claim_unref(claim);
	return lost ? FERRY_E_STALE : 0;
}

static struct claim *claim_of(const struct ferry_delivery *delivery)
{
	return (struct claim *)(uintptr_t)delivery->plugin[0];
}

void redis_settle(struct ferry_source *source, struct ferry_settle *settles, size_t count)
{
	int64_t now = real_us();
	bool wake = false;
	pthread_mutex_lock(&source->lock);
	for (size_t i = 0; i < count; i++) {
		struct claim *claim = claim_of(settles[i].delivery);
		settles[i].result = 0;
		if (claim->subscription->group) {
			settles[i].result = settle_one(claim, &settles[i], now, &wake);
		} else {
			settle_passing(claim, &settles[i], now);
			wake = true;
		}
	}
	pthread_mutex_unlock(&source->lock);
	if (wake)
		redis_wakeup(source);
	io_wake(source->connection);
}

void redis_release(struct ferry_source *source, struct ferry_delivery *const *deliveries, size_t count)
{
	pthread_mutex_lock(&source->lock);
	for (size_t i = 0; i < count; i++)
		claim_unref(claim_of(deliveries[i]));
	pthread_mutex_unlock(&source->lock);
}

/* ---- dead letters ---- */

static void report_burial(const struct ferry_connection *c, struct ferry_outgoing *out, int result,
			  const char *reason)
{
	out->result = result;
	out->native_code = 0;
	out->reason = reason;
	c->host->published(c->core, &out, 1);
}

static struct burial *burial_make(const struct claim *claim, struct ferry_outgoing *out)
{
	const struct ferry_subscription *s = claim->subscription;
	const struct ferry_connection *c = s->source->connection;
	const struct wire_format format = {.compact = c->compact,
					   .make_stream = c->config->provision == FERRY_PROVISION_AUTO};
	char id[ENTRY_ID_TEXT];
	struct burial *burial = host_zeroed(c, sizeof *burial);
	if (!burial)
		return NULL;
	burial->out = out;
	/* A transaction is not undone when one of its commands fails: where XADD may find no stream, XACK
	 * must wait for its reply. */
	burial->whole = s->group && format.make_stream;
	burial->commands = (struct bytes){.host = c->host, .core = c->core};
	if (burial->whole)
		command(&burial->commands, "MULTI", NULL);
	wire_write(&burial->commands, &format, out->destination->key, &out->record);
	entry_id_format(claim->id, id);
	if (burial->whole) {
		command(&burial->commands, "XACK", s->key, s->group, id, NULL);
		command(&burial->commands, "EXEC", NULL);
	}
	if (!burial->commands.failed)
		return burial;
	bytes_free(&burial->commands);
	host_free(c, burial);
	return NULL;
}

void redis_dead_letter(struct ferry_source *source, struct ferry_delivery *delivery,
		       struct ferry_outgoing *dead)
{
	struct ferry_connection *c = source->connection;
	struct claim *claim = claim_of(delivery);
	struct burial *burial = burial_make(claim, dead);
	pthread_mutex_lock(&source->lock);
	bool lost = claim_is_lost(claim, real_us());
	if (lost) {
		claim->ended = true;
		claim_forget(claim);
	} else if (burial) {
		claim->burial = burial;
		claim_dirty(claim, TODO_BURY);
	}
	pthread_mutex_unlock(&source->lock);
	if (lost && burial) {
		bytes_free(&burial->commands);
		host_free(c, burial);
	}
	if (lost)
		report_burial(c, dead, FERRY_E_STALE, NULL);
	else if (!burial)
		report_burial(c, dead, FERRY_E_NOMEM, NULL);
	else
		io_wake(c);
}

void claim_buried(struct claim *claim, int result, const char *reason)
{
	struct ferry_source *source = claim->subscription->source;
	const struct ferry_connection *c = source->connection;
	pthread_mutex_lock(&source->lock);
	struct burial *burial = claim->burial;
	claim->burial = NULL;
	if (!result || result == FERRY_E_STALE) {
		claim->ended = true;
		/* Nor may a renewal that was asked for meanwhile be written: it would make it pending again.
		 */
		claim->todo = 0;
		if (result || burial->whole)
			claim_forget(claim);
		else if (claim->subscription->group)
			claim->todo = TODO_ACK;
	}
	if (!result)
		claim->subscription->pending--;
	pthread_mutex_unlock(&source->lock);
	struct ferry_outgoing *out = burial->out;
	bytes_free(&burial->commands);
	host_free(c, burial);
	report_burial(c, out, result, reason);
}

/* ---- questions ---- */

int redis_alive(struct ferry_source *source, const struct ferry_delivery *delivery)
{
	(void)source;
	return !claim_is_lost(claim_of(delivery), real_us());
}

size_t redis_position(struct ferry_source *source, const struct ferry_delivery *delivery, char *buffer,
		      size_t size)
{
	char id[ENTRY_ID_TEXT];
	(void)source;
	size_t length = entry_id_format(claim_of(delivery)->id, id);
	if (size) {
		size_t n = length < size ? length : size - 1;
		memcpy(buffer, id, n);
		buffer[n] = '\0';
	}
	return length;
}

int64_t redis_lease_ms(struct ferry_source *source)
{
	return source->takeover_us / 3000;
}
