/*
 * queue.c - publishes, from the core's call to the report of their results.
 *
 * The transport has no PUB_COPIES: a message stays the core's, unchanged, until its result is reported, so
 * the queue holds pointers and the I/O thread gives SQLite the application's own bytes.
 */
#include <stdio.h>

#include "round.h"

#define ROUND_BYTES ((size_t)16 << 20) /* payloads in one transaction */

size_t sqlite_publish(struct ferry_connection *c, struct ferry_outgoing *const *outs, size_t count)
{
	struct queue *queue = &c->queue;
	pthread_mutex_lock(&c->lock);
	size_t room = queue->capacity - queue->count;
	size_t taken = count < room ? count : room;
	for (size_t i = 0; i < taken; i++)
		*queue_at(queue, queue->count++) =
			(struct queued){.out = outs[i], .ticket = queue->tickets++};
	if (taken < count)
		queue->refused = true;
	io_wake(c);
	pthread_mutex_unlock(&c->lock);
	return taken;
}

static bool has_older(struct queue *queue, uint64_t ticket)
{
	for (size_t i = 0; i < queue->count; i++)
		if (queue_at(queue, i)->ticket < ticket)
			return true;
	return false;
}

/* Publishes that have no result, or verdicts that are not written, of those that were there before. [lock] */
static bool is_open(struct ferry_connection *c, uint64_t ticket, uint64_t verdicts)
{
	return has_older(&c->queue, ticket) || c->verdicts_written < verdicts;
}

int sqlite_flush(struct ferry_connection *c, int64_t deadline_us)
{
	int64_t until = pacing_deadline(c, deadline_us);
	bool open, in_time = true;
	pthread_mutex_lock(&c->lock);
	uint64_t ticket = c->queue.tickets, verdicts = c->verdicts;
	c->write_at = pacing_us(); /* not after commit_interval */
	io_wake(c);
	while ((open = is_open(c, ticket, verdicts)) && in_time)
		in_time = pacing_wait(&c->changed, &c->lock, until);
	pthread_mutex_unlock(&c->lock);
	return open ? FERRY_E_TIMEDOUT : 0;
}

/* ---- results: I/O thread ---- */

void queue_report(struct ferry_connection *c, size_t count)
{
	struct queue *queue = &c->queue;
	if (!count)
		return;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < count; i++)
		queue->report[i] = queue_at(queue, i)->out;
	pthread_mutex_unlock(&c->lock);

	/* From here on the messages are the core's; their places are given up last, so that flush waits. */
	c->host->published(c->core, queue->report, count);

	pthread_mutex_lock(&c->lock);
	queue->head = (queue->head + count) % queue->capacity;
	queue->count -= count;
	bool owed = queue->refused;
	queue->refused = false;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (owed)
		c->host->writable(c->core);
}

static void end(struct queued *queued, const struct outcome *outcome)
{
	struct ferry_outgoing *out = queued->out;
	out->result = queued->unclear ? FERRY_E_UNKNOWN : outcome->result;
	out->native_code = outcome->native_code;
	out->reason = outcome->reason;
}

void queue_fail(struct ferry_connection *c, size_t count, const struct outcome *outcome)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < count; i++)
		end(queue_at(&c->queue, i), outcome);
	pthread_mutex_unlock(&c->lock);
	queue_report(c, count);
}

/* Bring what is due to the front, in order, and the rest behind it, in order: returns how many are due. */
static size_t sort_due(struct queue *queue, int64_t now_us)
{
	size_t due = 0;
	for (size_t i = 0; i < queue->count; i++) {
		struct queued queued = *queue_at(queue, i);
		if (queued.out->deadline_us > now_us)
			continue;
		for (size_t j = i; j > due; j--)
			*queue_at(queue, j) = *queue_at(queue, j - 1);
		*queue_at(queue, due++) = queued;
	}
	return due;
}

static void expire(struct ferry_connection *c, const char *why)
{
	int64_t now_us = c->host->now_us(c->core);
	const struct outcome late = {.result = FERRY_E_TIMEDOUT, .reason = why};
	pthread_mutex_lock(&c->lock);
	size_t due = sort_due(&c->queue, now_us);
	pthread_mutex_unlock(&c->lock);
	queue_fail(c, due, &late);
}

/* ---- writing: I/O thread ---- */

/* How many of the front go into one transaction. [lock] */
size_t queue_front(struct queue *queue)
{
	size_t bytes = 0, count = 0;
	while (count < queue->count && bytes < ROUND_BYTES)
		bytes += queue_at(queue, count++)->out->record.payload.size;
	return count;
}

static void set_result(struct ferry_outgoing *out, int result, int native_code, const char *reason)
{
	out->result = result;
	out->native_code = native_code;
	out->reason = reason;
}

/* SQLITE_OK also when this one message is refused: its result then says so. */
static int write_publish(struct round *r, struct ferry_outgoing *out)
{
	struct wire_headers *headers = &r->c->io.headers;
	const struct ferry_record *record = &out->record;
	const char *topic = ((const struct ferry_destination *)out->destination)->topic;
	if (wire_encode(headers, record, r->c->config->envelope == FERRY_ENVELOPE_COMPACT)) {
		set_result(out, FERRY_E_NOMEM, 0, "out of memory while writing the headers");
		return SQLITE_OK;
	}
	int rc = store_record_add(r->store, topic, record->wall_us, record->key,
				  (struct ferry_view){headers->bytes, headers->size}, record->payload);
	if (rc == SQLITE_TOOBIG) {
		set_result(out, FERRY_E_REJECTED, rc, "the message is larger than SQLite's limit for a row");
		return SQLITE_OK;
	}
	set_result(out, 0, 0, NULL);
	return rc;
}

int queue_write(struct round *r)
{
	int rc = SQLITE_OK;
	for (size_t i = 0; i < r->publishes && rc == SQLITE_OK; i++) {
		const struct queued *queued = queue_at(&r->c->queue, i);
		if (queued->out->deadline_us > r->now_us)
			rc = write_publish(r, queued->out);
		else
			set_result(queued->out, queued->unclear ? FERRY_E_UNKNOWN : FERRY_E_TIMEDOUT, 0,
				   "the deadline passed while the file could not be written");
	}
	return rc;
}

/* The transaction was not committed, or nobody knows. */
void queue_failed(struct round *r, int rc)
{
	struct ferry_connection *c = r->c;
	struct ferry_error why;
	int primary = rc & 0xFF;
	store_fail(r->store, c->config->path, rc, &why);
	snprintf(c->io.reason, sizeof c->io.reason, "%s", why.text);
	bool unclear = r->stage == STAGE_COMMIT && primary != SQLITE_BUSY && primary != SQLITE_FULL;
	bool refused = primary != SQLITE_BUSY && (r->stage == STAGE_PUBLISH || r->stage == STAGE_COMMIT);
	if (unclear && c->config->on_unknown == FERRY_UNKNOWN_RESEND) {
		pthread_mutex_lock(&c->lock);
		for (size_t i = 0; i < r->publishes; i++)
			queue_at(&c->queue, i)->unclear = true;
		pthread_mutex_unlock(&c->lock);
	} else if (refused) {
		const struct outcome outcome = {unclear ? FERRY_E_UNKNOWN : FERRY_E_REJECTED, rc,
						c->io.reason};
		queue_fail(c, r->publishes, &outcome);
	}
	expire(c, c->io.reason);
}
