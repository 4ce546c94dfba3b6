/*
 * claim.c - deliveries: made from a row, handed to the core, settled, released.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "plugin.h"

/* ---- made from a row ---- */

static void *put(char **at, struct ferry_view view)
{
	char *copy = *at;
	if (view.size)
		memcpy(copy, view.data, view.size);
	*at += view.size;
	return copy;
}

static size_t write_position(const struct claim *claim, char *buffer, size_t size)
{
	return (size_t)snprintf(buffer, size, "%s/%" PRId64, claim->subscription->topic, claim->row.seq);
}

static void read_record(struct claim *claim, const struct stored *row, char *at)
{
	struct ferry_record *record = &claim->record;
	const char *topic = claim->subscription->topic;
	size_t count = wire_count(row->headers.data, row->headers.size);
	struct ferry_attribute *pairs = (struct ferry_attribute *)(void *)at;
	at += count * sizeof *pairs;
	record->size = sizeof *record;
	record->topic = (struct ferry_view){topic, strlen(topic)};
	record->wall_us = row->wall_us;
	record->payload = (struct ferry_view){put(&at, row->payload), row->payload.size};
	if (row->key.data)
		record->key = (struct ferry_view){put(&at, row->key), row->key.size};
	wire_pairs(put(&at, row->headers), row->headers.size, pairs);
	wire_decode(record, pairs, count);
	if (!record->id.size)
		record->id = (struct ferry_view){at, write_position(claim, at, strlen(topic) + 24)};
	/* The rest of a text view is its NUL, so "" and not NULL where nothing was given. */
	struct ferry_view *const texts[] = {&record->source, &record->content_type, &record->trace_id,
					    &record->traceparent, &record->tracestate};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (!texts[i]->data)
			texts[i]->data = "";
}

struct claim *claim_create(struct ferry_subscription *subscription, const struct stored *row)
{
	size_t pairs = wire_count(row->headers.data, row->headers.size) * sizeof(struct ferry_attribute);
	size_t bytes = sizeof(struct claim) + pairs + row->headers.size + row->key.size + row->payload.size +
		       strlen(subscription->topic) + 24; /* room for the position */
	struct claim *claim = host_zeroed(subscription->source->connection, bytes);
	if (!claim)
		return NULL;
	claim->subscription = subscription;
	claim->refs = 1;
	claim->bytes = bytes;
	claim->row = *row;
	read_record(claim, row, (char *)(claim + 1));
	return claim;
}

void claim_unref(struct claim *claim, struct claim **dead)
{
	if (--claim->refs)
		return;
	if (claim->link) {
		*claim->link = claim->next;
		if (claim->next)
			claim->next->link = claim->link;
		claim->subscription->source->bytes -= (int64_t)claim->bytes;
	}
	claim->next_work = *dead;
	*dead = claim;
}

void claims_free(struct ferry_connection *connection, struct claim *dead)
{
	while (dead) {
		struct claim *next = dead->next_work;
		host_free(connection, dead);
		dead = next;
	}
}

static void link_claim(struct claim *claim)
{
	struct ferry_subscription *subscription = claim->subscription;
	claim->next = subscription->claims;
	claim->link = &subscription->claims;
	if (claim->next)
		claim->next->link = &claim->next;
	subscription->claims = claim;
	subscription->source->bytes += (int64_t)claim->bytes;
}

void claim_deliver(struct claim *claim, struct ferry_delivery *delivery, int64_t now_us, int64_t wall_us)
{
	struct ferry_subscription *subscription = claim->subscription;
	const struct stored *row = &claim->row;
	if (!claim->link)
		link_claim(claim);
	claim->ended = false;
	subscription->open++;
	subscription->credit--;
	delivery->record = claim->record;
	delivery->subscription = subscription->core;
	delivery->attempt = row->attempt;
	delivery->deliveries = row->deliveries;
	delivery->partition = 0;
	delivery->first_failed_wall_us = row->first_failed_wall_us;
	delivery->due_us = row->due_wall_us > wall_us ? now_us + (row->due_wall_us - wall_us) : 0;
	delivery->plugin[0] = (uint64_t)(uintptr_t)claim;
}

static struct claim *claim_of(const struct ferry_delivery *delivery)
{
	return (struct claim *)(uintptr_t)delivery->plugin[0];
}

/* ---- ours or not ---- */

void claim_dirty(struct claim *claim, unsigned todo)
{
	struct ferry_connection *c = claim->subscription->source->connection;
	claim->todo |= todo;
	if (claim->queued)
		return;
	claim->queued = true;
	claim->refs++;
	c->verdicts++;
	claim->next_dirty = NULL;
	if (!c->dirty)
		c->write_at = pacing_us() + c->commit_us;
	*c->dirty_end = claim;
	c->dirty_end = &claim->next_dirty;
	io_wake(c);
}

/*
 * The row is safe from others until lease_until; whoever has slept past it (SIGSTOP, a machine that was
 * suspended) may find that another process has the message.  A tenth of the lease is left for the difference
 * between the clocks.  Giving up means to say so in the row: somebody, perhaps ourselves, then takes it anew.
 */
bool claim_is_lost(struct claim *claim, int64_t now_us)
{
	const struct ferry_source *source = claim->subscription->source;
	bool leased = !claim->subscription->passing && !source->connection->config->manual_clock;
	if (!claim->lost && leased && now_us > claim->lease_until_us - source->takeover_us / 10) {
		claim->lost = true;
		claim_dirty(claim, TODO_BACK);
	}
	return claim->lost;
}

int sqlite_alive(struct ferry_source *source, const struct ferry_delivery *delivery)
{
	struct ferry_connection *c = source->connection;
	int64_t now_us = c->host->now_us(c->core);
	pthread_mutex_lock(&c->lock);
	int alive = !claim_is_lost(claim_of(delivery), now_us);
	pthread_mutex_unlock(&c->lock);
	return alive;
}

int64_t sqlite_lease_ms(struct ferry_source *source)
{
	return source->takeover_us / 1000 / 3;
}

size_t sqlite_position(struct ferry_source *source, const struct ferry_delivery *delivery, char *buffer,
		       size_t size)
{
	(void)source;
	return write_position(claim_of(delivery), buffer, size);
}

/* ---- settled ---- */

/* A passing broadcast handler has nothing in the file; what comes back waits here for its next fetch. */
static void settle_passing(struct claim *claim, int32_t verb)
{
	struct ferry_subscription *subscription = claim->subscription;
	if (verb != FERRY_SETTLE_HANDBACK)
		return;
	claim->refs++;
	claim->next_back = subscription->back;
	subscription->back = claim;
	pthread_cond_broadcast(&subscription->source->connection->changed);
}

static void settle_claimed(struct claim *claim, const struct ferry_settle *settle, int64_t wall_us)
{
	switch (settle->verb) {
	case FERRY_SETTLE_ACK:
	case FERRY_SETTLE_REJECT:
		claim_dirty(claim, TODO_END);
		break;
	case FERRY_SETTLE_HOLD:
		claim->row.attempt = settle->attempt;
		claim->row.due_wall_us = wall_us + settle->delay_us;
		if (!claim->row.first_failed_wall_us)
			claim->row.first_failed_wall_us = wall_us;
		claim_dirty(claim, TODO_HOLD);
		break;
	case FERRY_SETTLE_EXTEND:
		claim_dirty(claim, TODO_RENEW);
		break;
	default: /* HANDBACK; attempt and due stay as a HOLD has left them */
		claim_dirty(claim, TODO_BACK);
	}
}

static void settle_one(struct ferry_settle *settle, int64_t now_us, int64_t wall_us, struct claim **dead)
{
	struct claim *claim = claim_of(settle->delivery);
	bool final = settle->verb != FERRY_SETTLE_HOLD && settle->verb != FERRY_SETTLE_EXTEND;
	bool stale = claim->ended || claim_is_lost(claim, now_us);
	settle->result = stale ? FERRY_E_STALE : 0;
	if (!stale && claim->subscription->passing)
		settle_passing(claim, settle->verb);
	else if (!stale)
		settle_claimed(claim, settle, wall_us);
	if (!final || claim->ended)
		return;
	claim->ended = true;
	claim->subscription->open--;
	if (!(settle->flags & FERRY_SETTLE_KEEP))
		claim_unref(claim, dead);
}

void sqlite_settle(struct ferry_source *source, struct ferry_settle *settles, size_t count)
{
	struct ferry_connection *c = source->connection;
	struct claim *dead = NULL;
	int64_t now_us = c->host->now_us(c->core);
	int64_t wall_us = c->host->wall_us(c->core);
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < count; i++)
		settle_one(&settles[i], now_us, wall_us, &dead);
	pthread_mutex_unlock(&c->lock);
	claims_free(c, dead);
}

void sqlite_release(struct ferry_source *source, struct ferry_delivery *const *deliveries, size_t count)
{
	struct ferry_connection *c = source->connection;
	struct claim *dead = NULL;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < count; i++)
		claim_unref(claim_of(deliveries[i]), &dead);
	pthread_mutex_unlock(&c->lock);
	claims_free(c, dead);
}
