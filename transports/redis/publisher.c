/*
 * publisher.c - messages on their way to the server, and their results.
 *
 * publish writes a command into the batch that is being gathered; the I/O thread takes it over whole, sends
 * it and matches the replies, which come in the order of the commands.  The bytes stay until they are
 * confirmed: when the link is lost, everything that has no reply is sent again under the same ids, until its
 * deadline.
 */
#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis.h"

#define KEEP_BYTES ((size_t)1 << 20)

enum { ON_UNKNOWN_REPORT = 2 }; /* of struct ferry_config */

/* A confirmation is more than the server's reply to the message. */
static bool has_fences(const struct ferry_connection *c)
{
	return c->durability == DURABILITY_FSYNC || c->durability == DURABILITY_REPLICA;
}

/* ---- batches ---- */

static void batch_free(const struct ferry_connection *c, struct batch *batch)
{
	if (!batch)
		return;
	bytes_free(&batch->bytes);
	host_free(c, batch->items);
	host_free(c, batch);
}

static struct batch *batch_make(const struct ferry_connection *c)
{
	struct batch *batch = host_zeroed(c, sizeof *batch);
	if (batch)
		batch->bytes = (struct bytes){.host = c->host, .core = c->core};
	return batch;
}

/* The first item that may lack a result: behind a fence also those whose reply has come. */
static size_t first_open(const struct ferry_connection *c, const struct batch *batch)
{
	return has_fences(c) ? 0 : batch->confirmed;
}

/* Items that were not sent have no reply. */
static struct item *next_item(struct batch *batch)
{
	while (batch->confirmed < batch->count && batch->items[batch->confirmed].cancelled)
		batch->confirmed++;
	return batch->confirmed < batch->count ? &batch->items[batch->confirmed] : NULL;
}

/* The reset of one that is empty again. */
static void batch_reset(struct batch *batch)
{
	struct batch kept = {.bytes = batch->bytes, .items = batch->items, .capacity = batch->capacity};
	*batch = kept;
	bytes_clear(&batch->bytes, KEEP_BYTES);
}

static bool batch_has_room(const struct ferry_connection *c, struct batch *batch)
{
	if (batch->count < batch->capacity)
		return true;
	size_t capacity = batch->capacity ? batch->capacity * 2 : 64;
	struct item *items = c->host->resize(c->core, batch->items, capacity * sizeof *items);
	if (!items)
		return false;
	batch->items = items;
	batch->capacity = capacity;
	return true;
}

/* ---- taking ---- */

/* [lock] */
static bool stage(struct ferry_connection *c, struct batch *batch, struct ferry_outgoing *out)
{
	const struct wire_format format = {.compact = c->compact,
					   .make_stream = c->config->provision == FERRY_PROVISION_AUTO};
	size_t begin = batch->bytes.size;
	if (!batch_has_room(c, batch))
		return false;
	wire_write(&batch->bytes, &format, out->destination->key, &out->record);
	if (batch->bytes.failed) {
		batch->bytes.failed = false;
		batch->bytes.size = begin;
		return false;
	}
	batch->items[batch->count++] = (struct item){
		.out = out, .begin = begin, .end = batch->bytes.size, .deadline = out->deadline_us};
	c->publisher.waiting++;
	c->publisher.waiting_bytes += batch->bytes.size - begin;
	c->publisher.taken++;
	return true;
}

static bool has_room(const struct ferry_connection *c)
{
	const struct publisher *p = &c->publisher;
	return p->waiting < c->queue && (p->waiting_bytes < c->queue_bytes || !p->waiting);
}

size_t redis_publish(struct ferry_connection *c, struct ferry_outgoing *const *outs, size_t count)
{
	struct publisher *p = &c->publisher;
	size_t taken = 0;
	pthread_mutex_lock(&c->lock);
	if (!p->staging)
		p->staging = batch_make(c);
	while (taken < count && p->staging && has_room(c) && stage(c, p->staging, outs[taken]))
		taken++;
	p->refused = p->refused || taken < count;
	pthread_mutex_unlock(&c->lock);
	io_wake(c);
	return taken;
}

/* ---- results ---- */

static void report_flush(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	if (!p->report_count)
		return;
	c->host->published(c->core, p->report, p->report_count);
	pthread_mutex_lock(&c->lock);
	p->waiting -= p->report_count;
	p->waiting_bytes -= p->report_bytes;
	pthread_mutex_unlock(&c->lock);
	p->report_count = p->report_bytes = 0;
}

/* Set and report a result; `reason` lives until the report. */
static void report(struct ferry_connection *c, struct item *item, int result, const char *reason)
{
	struct publisher *p = &c->publisher;
	item->out->result = result;
	item->out->native_code = 0;
	item->out->reason = reason;
	p->report[p->report_count++] = item->out;
	p->report_bytes += item->end - item->begin;
	item->out = NULL;
	if (p->report_count == REPORT_MAX || reason)
		report_flush(c);
}

static void report_reply(struct ferry_connection *c, struct item *item, const struct reply *reply)
{
	struct publisher *p = &c->publisher;
	const struct ferry_destination *destination = item->out->destination;
	if (reply->type == REDIS_REPLY_STRING) {
		report(c, item, 0, NULL);
		return;
	}
	int code = FERRY_E_REJECTED;
	if (reply_is_error(reply)) {
		struct ferry_error why;
		char about[300];
		snprintf(about, sizeof about, "the stream %s of %s", destination->key, c->config->url);
		if (fault_reply(&why, about, reply->text) == FERRY_E_DENIED)
			code = FERRY_E_DENIED;
		snprintf(p->reason, sizeof p->reason, "%.399s", why.text);
	} else {
		code = FERRY_E_NOT_FOUND;
		snprintf(p->reason, sizeof p->reason,
			 "the stream %s does not exist, and only provision=auto makes it", destination->key);
	}
	report(c, item, code, p->reason);
}

/* What is now certain; then publishers may have room, and flush may be over. */
static void settle_up(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	bool writable = false;
	report_flush(c);
	pthread_mutex_lock(&c->lock);
	uint64_t done = p->taken - (p->staging ? p->staging->count : 0);
	if (p->first) {
		const struct batch *batch = p->first;
		size_t i = first_open(c, batch);
		while (i < batch->count && !batch->items[i].out)
			i++;
		done = batch->ticket + i;
	}
	if (done != p->done && c->flushing)
		pthread_cond_broadcast(&c->changed);
	p->done = done;
	/* Not for each place: who waits is woken for a good many. */
	if (p->refused && p->waiting <= c->queue / 2 &&
	    (p->waiting_bytes <= c->queue_bytes / 2 || !p->waiting)) {
		p->refused = false;
		writable = true;
	}
	pthread_mutex_unlock(&c->lock);
	if (writable)
		c->host->writable(c->core);
}

/* ---- batches that are through ---- */

/* All is sent and answered, and its fence is still to be sent. */
static bool awaits_fence(const struct ferry_connection *c, const struct batch *batch)
{
	for (size_t i = 0; has_fences(c) && i < batch->count; i++)
		if (batch->items[i].out)
			return true;
	return false;
}

static void drop_confirmed(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	while (p->first && !next_item(p->first) && !p->first->fenced && !awaits_fence(c, p->first)) {
		struct batch *batch = p->first;
		p->first = batch->next;
		if (!p->first)
			p->last = NULL;
		if (p->replies_for == batch)
			p->replies_for = batch->next;
		if (p->to_send == batch)
			p->to_send = batch->next;
		batch_reset(batch);
		pthread_mutex_lock(&c->lock);
		struct batch *extra = p->spare ? batch : NULL;
		if (!p->spare)
			p->spare = batch;
		pthread_mutex_unlock(&c->lock);
		batch_free(c, extra);
	}
}

static void take_staging(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	pthread_mutex_lock(&c->lock);
	struct batch *batch = p->staging && p->staging->count ? p->staging : NULL;
	if (batch) {
		p->staging = p->spare;
		p->spare = NULL;
		batch->ticket = p->taken - batch->count;
	}
	pthread_mutex_unlock(&c->lock);
	if (!batch)
		return;
	for (size_t i = 0; i < batch->count; i++)
		if (batch->items[i].deadline < p->deadline)
			p->deadline = batch->items[i].deadline;
	if (!p->first)
		p->heard_at = real_us();
	*(p->last ? &p->last->next : &p->first) = batch;
	p->last = batch;
	p->replies_for = p->replies_for ? p->replies_for : batch;
	p->to_send = p->to_send ? p->to_send : batch;
}

/* ---- deadlines ---- */

static void expire_item(struct ferry_connection *c, const struct batch *batch, struct item *item)
{
	struct publisher *p = &c->publisher;
	if (item->tried)
		snprintf(p->reason, sizeof p->reason,
			 "no confirmation from %s before the deadline: the message may be stored",
			 c->config->url);
	else
		snprintf(p->reason, sizeof p->reason, "%.300s; nothing was sent before the deadline",
			 *p->link.why.text ? p->link.why.text : "the server was busy");
	/* What this link has begun to send must go on; what it has not need not be sent. */
	item->cancelled = item->cancelled || batch->sent <= item->begin;
	report(c, item, item->tried ? FERRY_E_UNKNOWN : FERRY_E_TIMEDOUT, p->reason);
}

static void expire(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	int64_t now = c->host->now_us(c->core), earliest = INT64_MAX;
	if (now < p->deadline)
		return;
	for (struct batch *batch = p->first; batch; batch = batch->next) {
		for (size_t i = first_open(c, batch); i < batch->count; i++) {
			struct item *item = &batch->items[i];
			if (item->out && item->deadline <= now)
				expire_item(c, batch, item);
			else if (item->out && item->deadline < earliest)
				earliest = item->deadline;
		}
	}
	p->deadline = earliest;
}

/* ---- the link comes and goes ---- */

/* Everything that has no result is to be sent again, or is unknown for good. */
static void rewind_all(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	for (struct batch *batch = p->first; batch; batch = batch->next) {
		for (size_t i = first_open(c, batch); i < batch->count; i++) {
			struct item *item = &batch->items[i];
			if (item->out && item->tried && c->config->on_unknown == ON_UNKNOWN_REPORT) {
				snprintf(p->reason, sizeof p->reason,
					 "the connection was lost before the confirmation (%.250s): the "
					 "message "
					 "may be stored",
					 p->link.why.text);
				report(c, item, FERRY_E_UNKNOWN, p->reason);
			}
			item->cancelled = !item->out;
		}
		/* With a fence, items have replies but no results: they are sent again. */
		batch->at = batch->confirmed = first_open(c, batch);
		batch->sent = batch->at < batch->count ? batch->items[batch->at].begin : batch->bytes.size;
		batch->fenced = false;
	}
	p->replies_for = p->to_send = p->first;
}

static void lost(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	if (p->was_up || !p->told_down)
		c->host->event(c->core, FERRY_EVENT_DOWN, &p->link.why);
	p->told_down = true;
	p->was_up = false;
	rewind_all(c);
}

/* Bring it up when it is time; true when it is. */
static bool is_up(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	int64_t now = real_us();
	if (p->link.state == LINK_DOWN && now >= p->link.retry_at)
		link_begin(&p->link);
	if (p->link.state != LINK_UP && p->link.state != LINK_DOWN)
		link_step(&p->link);
	if (p->link.state == LINK_UP && !p->was_up) {
		p->was_up = true;
		p->heard_at = now;
		if (p->told_down)
			c->host->event(c->core, FERRY_EVENT_UP, NULL);
		p->told_down = false;
	}
	if (p->link.state == LINK_DOWN && (p->was_up || !p->told_down))
		lost(c);
	return p->link.state == LINK_UP;
}

/* ---- sending ---- */

/* True when all of it was taken. */
static bool send_batch(struct publisher *p, struct batch *batch)
{
	while (batch->at < batch->count) {
		struct item *item = &batch->items[batch->at];
		if (item->cancelled && batch->sent <= item->begin) {
			batch->sent = item->end;
			batch->at++;
			continue;
		}
		size_t last = batch->at;
		while (last + 1 < batch->count && !batch->items[last + 1].cancelled)
			last++;
		size_t sent = link_send(&p->link, batch->bytes.data + batch->sent,
					batch->items[last].end - batch->sent);
		if (!sent)
			return false;
		batch->sent += sent;
		for (; batch->at <= last && batch->items[batch->at].begin < batch->sent; batch->at++) {
			batch->items[batch->at].tried = true;
			if (batch->items[batch->at].end > batch->sent)
				break;
		}
	}
	return true;
}

/* Behind a batch: the server answers when enough of its disk or its replicas have what came before. */
static void send_fence(struct ferry_connection *c, struct batch *batch)
{
	struct publisher *p = &c->publisher;
	char replicas[16], timeout[24];
	if (!has_fences(c))
		return;
	snprintf(replicas, sizeof replicas, "%d", c->replicas);
	snprintf(timeout, sizeof timeout, "%d", (int)c->config->publish_timeout_ms);
	if (c->durability == DURABILITY_FSYNC)
		command(&p->link.out, "WAITAOF", "1", "0", timeout, NULL);
	else
		command(&p->link.out, "WAIT", replicas, timeout, NULL);
	batch->fenced = true;
}

static void send_all(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	while (p->to_send && link_flush(&p->link) && send_batch(p, p->to_send)) {
		send_fence(c, p->to_send);
		p->to_send = p->to_send->next;
	}
	if (p->link.state == LINK_UP)
		link_flush(&p->link);
}

/* ---- receiving ---- */

static bool fence_is_met(const struct ferry_connection *c, const struct reply *reply)
{
	if (c->durability == DURABILITY_REPLICA)
		return reply->type == REDIS_REPLY_INTEGER && reply->integer >= c->replicas;
	return reply_is_array(reply, 1) && reply->items[0]->integer >= 1;
}

static void fence_reply(struct ferry_connection *c, struct batch *batch, const struct reply *reply)
{
	struct publisher *p = &c->publisher;
	bool met = fence_is_met(c, reply);
	batch->fenced = false;
	for (size_t i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];
		if (!item->out)
			continue;
		if (!met)
			snprintf(p->reason, sizeof p->reason,
				 "stored, but not as durably as durability=%s asks, in time%s%.200s",
				 c->durability == DURABILITY_FSYNC ? "fsync" : "replica:N",
				 reply_is_error(reply) ? ": " : "", reply_is_error(reply) ? reply->text : "");
		report(c, item, met ? 0 : FERRY_E_UNKNOWN, met ? NULL : p->reason);
	}
}

/* Replies that say that nothing works now, and later will. */
static bool is_passing(const struct reply *reply)
{
	return reply_is_error(reply) && fault_code(reply->text) == FERRY_E_UNREACHABLE;
}

static void handle_reply(struct ferry_connection *c, const struct reply *reply)
{
	struct publisher *p = &c->publisher;
	struct batch *batch = p->replies_for;
	struct item *item = NULL;
	while (batch && !(item = next_item(batch)) && !batch->fenced)
		batch = batch->next;
	p->replies_for = batch;
	if (!batch) {
		link_fail(&p->link, FERRY_E_BROKER, "a reply came that nobody has asked for");
		return;
	}
	if (!item) {
		fence_reply(c, batch, reply);
		return;
	}
	if (is_passing(reply)) {
		link_fail_reply(&p->link, "publishing", reply);
		return;
	}
	if (item->out && !(has_fences(c) && reply->type == REDIS_REPLY_STRING))
		report_reply(c, item, reply);
	batch->confirmed++;
}

static void receive_all(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	const struct reply *reply;
	if (!link_receive(&p->link))
		return;
	int64_t now = real_us();
	while ((reply = link_next(&p->link))) {
		p->heard_at = now;
		handle_reply(c, reply);
		if (p->link.state != LINK_UP)
			return;
	}
}

/* When something was sent and nothing comes: the link is as good as lost. */
static int64_t watch(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	const struct batch *batch = p->replies_for;
	if (p->link.state != LINK_UP || !batch || !(batch->at > batch->confirmed || batch->fenced))
		return INT64_MAX;
	int64_t patience = c->target.patience_us;
	if (has_fences(c))
		patience += c->config->publish_timeout_ms * INT64_C(1000);
	if (real_us() < p->heard_at + patience)
		return p->heard_at + patience;
	link_fail(&p->link, FERRY_E_UNREACHABLE, "no reply within %lld ms", (long long)(patience / 1000));
	return 0;
}

/* ---- the I/O thread's turn ---- */

int64_t publisher_run(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	int64_t until = INT64_MAX;
	take_staging(c);
	if (is_up(c)) {
		send_all(c);
		/* What TLS has decrypted is not announced. */
		if (p->link.state == LINK_UP && (c->readable || p->link.tls))
			receive_all(c);
		until = watch(c);
		if (p->link.state == LINK_DOWN)
			lost(c);
	}
	expire(c);
	drop_confirmed(c);
	settle_up(c);
	if (p->link.state == LINK_DOWN)
		until = p->link.retry_at;
	else if (p->link.state != LINK_UP)
		until = p->link.give_up_at;
	int64_t deadline = p->deadline == INT64_MAX ? INT64_MAX : real_deadline(c, p->deadline);
	return deadline < until ? deadline : until;
}

void publisher_abandon(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	take_staging(c);
	for (struct batch *batch = p->first; batch; batch = batch->next) {
		for (size_t i = first_open(c, batch); i < batch->count; i++) {
			if (batch->items[i].out)
				report(c, &batch->items[i],
				       batch->items[i].tried ? FERRY_E_UNKNOWN : FERRY_E_TIMEDOUT,
				       "the transport was stopped before the server confirmed");
			batch->items[i].cancelled = true;
		}
		batch->confirmed = batch->count;
		batch->fenced = false;
	}
	drop_confirmed(c);
	settle_up(c);
}

void publisher_free(struct ferry_connection *c)
{
	struct publisher *p = &c->publisher;
	link_finish(&p->link);
	while (p->first) {
		struct batch *next = p->first->next;
		batch_free(c, p->first);
		p->first = next;
	}
	batch_free(c, p->staging);
	batch_free(c, p->spare);
}
