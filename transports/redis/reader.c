/*
 * reader.c - reading what is new: one link for all streams of a source.
 *
 * A round is a handful of commands that are sent together. Streams whose last read was full are asked one by
 * one, each for as much as it has credit; the others are asked for together, in a last command that waits at
 * the server when there is nothing else to do:
 *
 *     competing    XREADGROUP GROUP g me COUNT n BLOCK t STREAMS a b c > > >
 *     broadcast    XREAD COUNT n BLOCK t STREAMS a a b 7-0 9-0 3-1
 *
 * A passing broadcast handler reads from a concrete id, so that it misses nothing between two reads. One with
 * a durable name is a group of its own; since a command reads for one group only, XREAD tells when there is
 * something for it, and it is read by a command of its own.
 *
 * A read that waits is ended early by CLIENT UNBLOCK on the control link, when it asks for the wrong streams.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis.h"

#define BLOCK_MAX_US      1000000
#define COUNT_MAX         1024
#define TYPICAL_FIRST     65536
#define REST_US           5000000
#define COMPLAIN_EVERY_US 10000000
#define DRAIN_US          1000000
/* CLIENT UNBLOCK goes by another link and may come before the read that it is for. */
#define UNBLOCK_EVERY_US 20000

/* ---- handing out ---- */

/* delay n = min(max, initial * 2^(n-1)), summed up: how long ago the first attempt failed, at least. */
static int64_t delays_before(const struct ferry_subscription *s, uint32_t attempt)
{
	int64_t sum = 0, delay = s->initial_backoff_us;
	for (uint32_t n = 1; n < attempt && n < 1000; n++) {
		sum += delay < s->max_backoff_us ? delay : s->max_backoff_us;
		delay = delay < s->max_backoff_us ? delay * 2 : delay;
	}
	return sum;
}

static void deliver(struct basket *basket, struct claim *claim)
{
	struct ferry_subscription *s = claim->subscription;
	const struct ferry_connection *c = s->source->connection;
	struct ferry_delivery *delivery = basket->deliveries[basket->count++];
	s->credit--;
	if (claim->count > 1 && !claim->first_failed_wall_us)
		claim->first_failed_wall_us = c->host->wall_us(c->core) - delays_before(s, claim->count);
	delivery->record = claim->record;
	delivery->subscription = s->core;
	delivery->attempt = claim->count;
	delivery->deliveries = s->group ? claim->count : 0;
	delivery->first_failed_wall_us = claim->first_failed_wall_us;
	delivery->plugin[0] = (uintptr_t)claim;
}

void basket_add(struct basket *basket, struct claim *claim)
{
	struct ferry_subscription *s = claim->subscription;
	if (s->credit && basket->count < basket->max && !s->backlog) {
		deliver(basket, claim);
		return;
	}
	claim->next = NULL;
	*s->backlog_end = claim;
	s->backlog_end = &claim->next;
}

static struct claim *backlog_take(struct ferry_subscription *s)
{
	struct claim *claim = s->backlog;
	s->backlog = claim->next;
	if (!s->backlog)
		s->backlog_end = &s->backlog;
	return claim;
}

/* It is not ours any more, and nobody has seen it. */
static void discard(struct claim *claim)
{
	struct ferry_source *source = claim->subscription->source;
	pthread_mutex_lock(&source->lock);
	claim_forget(claim);
	claim_unref(claim);
	pthread_mutex_unlock(&source->lock);
}

static struct claim *rested(struct ferry_subscription *s, int64_t now)
{
	struct ferry_source *source = s->source;
	struct claim *claim = NULL;
	pthread_mutex_lock(&source->lock);
	if (s->resting && s->resting->due <= now) {
		claim = s->resting;
		s->resting = claim->next;
	}
	pthread_mutex_unlock(&source->lock);
	return claim;
}

/* What is here already. */
static void deliver_waiting(struct ferry_source *source, struct basket *basket)
{
	int64_t now = real_us();
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		while (s->backlog && s->credit && basket->count < basket->max) {
			struct claim *claim = backlog_take(s);
			if (claim_is_lost(claim, now))
				discard(claim);
			else
				deliver(basket, claim);
		}
		struct claim *claim;
		while (!s->group && s->credit && basket->count < basket->max && (claim = rested(s, now)))
			deliver(basket, claim);
	}
}

/* When a passing handler's retry is due. */
static int64_t rest_due(struct ferry_source *source)
{
	int64_t due = INT64_MAX;
	pthread_mutex_lock(&source->lock);
	for (const struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		if (s->resting && s->credit && s->resting->due < due)
			due = s->resting->due;
	pthread_mutex_unlock(&source->lock);
	return due;
}

/* ---- what to ask for ---- */

uint32_t reader_fits(struct ferry_subscription *s, int64_t most)
{
	struct ferry_source *source = s->source;
	pthread_mutex_lock(&source->lock);
	int64_t spare = source->memory_budget - source->bytes;
	pthread_mutex_unlock(&source->lock);
	if (most <= 0 || spare <= 0)
		return 0;
	/* Until one has come they are taken to be large. */
	int64_t typical = s->typical ? (int64_t)s->typical : TYPICAL_FIRST;
	int64_t fit = spare / typical > 0 ? spare / typical : 1;
	return (uint32_t)(most < fit ? most : fit);
}

uint32_t reader_wants(struct ferry_subscription *s)
{
	struct ferry_source *source = s->source;
	int64_t most = s->credit < COUNT_MAX ? s->credit : COUNT_MAX;
	if (!most || s->backlog || (s->rest_until && real_us() < s->rest_until))
		return 0;
	pthread_mutex_lock(&source->lock);
	int64_t room = s->max_unsettled - s->pending;
	pthread_mutex_unlock(&source->lock);
	return reader_fits(s, s->group && room < most ? room : most);
}

void reader_misses_group(struct ferry_subscription *s)
{
	atomic_store(&s->group_missing, true);
	atomic_store(&s->source->group_missing, true);
}

/* Of the streams that one command has asked for the server names the one. */
static void note_missing(struct ferry_source *source, const struct reply *reply)
{
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		const char *at = strstr(reply->text, s->key);
		size_t size = strlen(s->key);
		if (s->reading == source->replies && at && at > reply->text && at[-1] == '\'' &&
		    at[size] == '\'')
			reader_misses_group(s);
	}
	/* It says so in another way: it may be any of them. */
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		if (s->reading == source->replies && !atomic_load(&source->group_missing))
			reader_misses_group(s);
}

/* XREAD gives two handlers of one stream two replies, or one, which is then that of the lower id: so it is
 * asked for first.  Insertion: the list is nearly sorted. */
static void sort_passing(struct ferry_source *source)
{
	struct ferry_subscription *rest = source->readers, *sorted = NULL;
	while (rest) {
		struct ferry_subscription *s = rest, **at = &sorted;
		rest = s->next_read;
		while (*at && (strcmp((*at)->key, s->key) < 0 ||
			       (!strcmp((*at)->key, s->key) && entry_id_compare((*at)->seen, s->seen) <= 0)))
			at = &(*at)->next_read;
		s->next_read = *at;
		*at = s;
	}
	source->readers = sorted;
}

/* ---- commands ---- */

static void write_head(struct ferry_source *source, bool group, const char *name, uint32_t count,
		       int64_t block_ms, size_t streams)
{
	struct bytes *out = &source->reader.out;
	command_begin(out, (group ? 4u : 1u) + 2 + (block_ms ? 2 : 0) + 1 + 2 * streams);
	command_text(out, group ? "XREADGROUP" : "XREAD");
	if (group) {
		command_text(out, "GROUP");
		command_text(out, name);
		command_text(out, source->consumer);
	}
	command_text(out, "COUNT");
	command_number(out, count);
	if (block_ms) {
		command_text(out, "BLOCK");
		command_number(out, block_ms);
	}
	command_text(out, "STREAMS");
}

/* One stream, which does not wait. */
static void write_single(struct ferry_source *source, struct ferry_subscription *s, uint32_t count)
{
	struct bytes *out = &source->reader.out;
	write_head(source, s->group != NULL, s->group, count, 0, 1);
	command_text(out, s->key);
	if (s->group)
		command_text(out, ">");
	else
		command_id(out, s->seen);
	s->reading = ++source->commands;
	s->asked = count;
}

/* All that are not read one by one. */
static void write_together(struct ferry_source *source, size_t streams, uint32_t count, int64_t block_ms)
{
	bool group = source->distribution == FERRY_COMPETING;
	struct bytes *out = &source->reader.out;
	source->commands++;
	write_head(source, group, source->group, count, block_ms, streams);
	for (struct ferry_subscription *s = source->readers; s; s = s->next_read) {
		if (s->reading || !s->asked)
			continue;
		command_text(out, s->key);
		s->reading = source->commands;
	}
	for (struct ferry_subscription *s = source->readers; s; s = s->next_read) {
		if (s->reading != source->commands)
			continue;
		if (group)
			command_text(out, ">");
		else
			command_id(out, s->seen);
		s->asked = count;
	}
}

/* Ask for everything that there is credit for; nothing when there is none. */
static void write_round(struct ferry_source *source, size_t max)
{
	uint32_t least = COUNT_MAX;
	size_t together = 0, hot = 0;
	source->commands = source->replies = 0;
	source->blocking = false;
	source->unblock_at = 0;
	if (source->distribution == FERRY_BROADCAST)
		sort_passing(source);
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		s->reading = 0;
		s->asked = reader_wants(s);
		hot += s->asked && s->hot;
		if (!s->asked || s->hot)
			continue;
		together++;
		least = s->asked < least ? s->asked : least;
	}
	/* Not much more than the core takes at once: what comes lies in memory. */
	size_t each = hot ? max / (hot + (together > 0)) : 0;
	uint32_t most = each > 0 ? (uint32_t)each : 1;
	for (struct ferry_subscription *s = source->subscriptions; s && hot; s = s->next)
		if (s->asked && s->hot)
			write_single(source, s, s->asked < most ? s->asked : most);
	if (together) {
		/* So many at most for all of them together as the core takes at once. */
		uint32_t share = (uint32_t)(max / together > 0 ? max / together : 1);
		int64_t wait_us = claimer_due(source) - real_us();
		wait_us = wait_us < BLOCK_MAX_US ? wait_us : BLOCK_MAX_US;
		source->blocking = !source->commands;
		write_together(source, together, least < share ? least : share,
			       source->commands ? 0
			       : wait_us > 1000 ? wait_us / 1000
						: 1);
	}
	source->asked_at = source->idle_at = real_us();
}

/* ---- replies ---- */

void reader_complain(struct ferry_source *source, const struct reply *reply)
{
	int64_t now = real_us();
	struct ferry_error why;
	if (now < source->complained_at)
		return;
	source->complained_at = now + COMPLAIN_EVERY_US;
	fault_reply(&why, "reading", reply->text);
	source->connection->host->log(source->connection->core, FERRY_LOG_WARNING, why.text);
}

static void take_entries(struct ferry_subscription *s, const struct reply *entries, struct basket *basket)
{
	struct ferry_source *source = s->source;
	int64_t lease = source->idle_at + source->takeover_us / 10 * 9;
	size_t taken = 0;
	for (size_t i = 0; reply_is_array(entries, i + 1); i++) {
		const struct reply *entry = entries->items[i];
		if (!reply_is_array(entry, 2) || !reply_is_array(entry->items[1], 0))
			continue;
		struct claim *claim = claim_make(s, entry, 1, lease);
		if (!claim)
			break; /* of a group: found again as a stranger's; passing: read again */
		s->seen = claim->id;
		s->typical = (s->typical * 7 + claim->bytes) / 8;
		if (claim->bytes > s->typical * 2)
			s->typical = claim->bytes;
		basket_add(basket, claim);
		taken++;
	}
	if (!s->group)
		return;
	pthread_mutex_lock(&source->lock);
	s->pending += (int64_t)taken;
	pthread_mutex_unlock(&source->lock);
}

/* [[key, entries] ...]: streams without anything new are missing. */
static void take_streams(struct ferry_source *source, const struct reply *reply, struct basket *basket)
{
	unsigned command = source->replies;
	struct ferry_subscription *s = source->readers;
	for (size_t i = 0; reply_is_array(reply, i + 1); i++) {
		const struct reply *stream = reply->items[i];
		if (!reply_is_array(stream, 2))
			continue;
		while (s && (s->reading != command || strcmp(s->key, stream->items[0]->text) != 0))
			s = s->next_read;
		if (!s)
			return;
		bool told_only = s->group && source->distribution == FERRY_BROADCAST && !s->hot;
		s->reading = 0;
		if (!told_only)
			take_entries(s, stream->items[1], basket);
		else if (reply_is_array(stream->items[1], 1) && reply_is_array(stream->items[1]->items[0], 1))
			(void)entry_id_parse(stream->items[1]->items[0]->items[0]->text, &s->told);
		s->hot = told_only || stream->items[1]->size >= s->asked;
		s->asked = 0;
		s = s->next_read;
	}
}

/* A stream that cannot be read must not keep the others from being read: they are asked one by one, and it
 * rests. */
static void set_aside(struct ferry_source *source, const struct reply *reply)
{
	struct ferry_subscription *only = NULL;
	size_t count = 0;
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		if (s->reading != source->replies)
			continue;
		only = s;
		count++;
	}
	if (count == 1)
		only->rest_until = real_us() + REST_US;
	for (struct ferry_subscription *s = source->subscriptions; s && count > 1; s = s->next) {
		if (s->reading != source->replies)
			continue;
		s->reading = 0;
		s->hot = true;
	}
	reader_complain(source, reply);
}

static void take_reply(struct ferry_source *source, const struct reply *reply, struct basket *basket)
{
	int code;
	source->replies++;
	if (reply_is_error(reply)) {
		code = fault_code(reply->text);
		if (code == FERRY_E_NOT_FOUND)
			note_missing(source, reply);
		else if (code == FERRY_E_UNREACHABLE)
			link_fail_reply(&source->reader, "reading", reply);
		else if (!strstr(reply->text, "UNBLOCKED"))
			set_aside(source, reply);
	} else {
		take_streams(source, reply, basket);
	}
	/* Those that have not been found had nothing new. */
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		if (s->reading != source->replies)
			continue;
		s->reading = 0;
		/* What it was told of had been read before, by somebody of the same durable name. */
		if (s->group && s->hot && source->distribution == FERRY_BROADCAST)
			s->seen = s->told;
		s->hot = false;
	}
}

/* ---- the link ---- */

static void forget_round(struct ferry_source *source)
{
	source->commands = source->replies = 0;
	source->blocking = false;
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		s->reading = 0;
}

static void set_reader_id(struct ferry_source *source)
{
	pthread_mutex_lock(&source->lock);
	source->reader_id = source->reader.client_id;
	pthread_mutex_unlock(&source->lock);
}

/* Each link pauses on its own; but what is read now must be settled within its lease. */
static void reader_is_up(struct ferry_source *source)
{
	source->reader_was_up = true;
	atomic_store(&source->control_wanted, true);
	io_wake(source->connection);
}

/* 1 when it can be used, 0 when not yet, or a negative error. */
static int keep_up(struct ferry_source *source)
{
	struct link *link = &source->reader;
	if (link->state == LINK_DOWN) {
		source->reader_lost = source->reader_lost || source->reader_was_up;
		if (source->commands || source->reader_was_up)
			forget_round(source);
		source->reader_was_up = false;
		if (real_us() < link->retry_at)
			return 0;
		link_begin(link);
	}
	if (link->state != LINK_UP)
		link_step(link);
	bool known = source->reader_was_up && !atomic_load(&source->group_missing);
	if (link->state != LINK_UP || known || source->commands)
		return link->state == LINK_UP;
	/* It is new, or a group was found missing. */
	set_reader_id(source);
	if (!claimer_revive(source) && link->state == LINK_UP) {
		const struct ferry_connection *c = source->connection;
		if (real_us() >= source->complained_at)
			c->host->log(c->core, FERRY_LOG_WARNING,
				     "redis: a group was deleted in use, and is not made again: only "
				     "provision=auto does, "
				     "with the right to XGROUP CREATE");
		source->complained_at = real_us() + COMPLAIN_EVERY_US;
		atomic_store(&source->group_missing, true);
		return FERRY_E_NOT_FOUND; /* the core waits before it tries again */
	}
	if (link->state == LINK_UP &&
	    claimer_reconcile(source, link, real_us() + source->connection->target.patience_us, false))
		reader_is_up(source);
	return link->state == LINK_UP;
}

/* Sleep until the reader has something, somebody wakes us, or real time `until`. */
static void doze(struct ferry_source *source, int64_t until)
{
	struct pollfd pollers[2] = {{.fd = source->wake, .events = POLLIN},
				    {.fd = source->reader.fd, .events = link_events(&source->reader)}};
	int64_t now = real_us();
	/* Not long at once: leases count from the beginning of a sleep. */
	int64_t slice = source->takeover_us / 10;
	int64_t us = until - now < slice ? until - now : slice;
	atomic_store(&source->sleeping, true);
	/* Also when woken it looks: what is there already may have been there for long. */
	bool wait = us > 0 && !atomic_load(&source->woken);
	int ready = poll(pollers, 2, wait ? (int)((us + 999) / 1000) : 0);
	atomic_store(&source->sleeping, false);
	if (pollers[0].revents)
		eventfd_clear(source->wake);
	if (ready >= 0 && !pollers[1].revents)
		source->idle_at = now;
}

/* Ask for the end of the read that waits; returns when it should be asked for again. */
static int64_t unblock(struct ferry_source *source)
{
	int64_t now = real_us();
	if (!source->blocking)
		return INT64_MAX;
	if (now < source->unblock_at)
		return source->unblock_at;
	source->unblock_at = now + UNBLOCK_EVERY_US;
	pthread_mutex_lock(&source->lock);
	source->unblock = true;
	pthread_mutex_unlock(&source->lock);
	io_wake(source->connection);
	return source->unblock_at;
}

/* The read that waits asks for what is no longer wanted, or not for what is. */
static bool asks_wrongly(struct ferry_source *source)
{
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		if (s->reading ? !s->credit : reader_wants(s) > 0)
			return true;
	return false;
}

/* Take what has come of the round that is out. */
static void take_replies(struct ferry_source *source, struct basket *basket)
{
	struct link *link = &source->reader;
	const struct reply *reply;
	link_flush(link);
	if (link->state != LINK_UP || !link_receive(link))
		return;
	while (source->replies < source->commands && (reply = link_next(link))) {
		take_reply(source, reply, basket);
		if (link->state != LINK_UP)
			return;
	}
	if (source->replies == source->commands)
		forget_round(source);
	else if (real_us() > source->asked_at + BLOCK_MAX_US + source->connection->target.patience_us)
		link_fail(link, FERRY_E_UNREACHABLE, "no reply to a read in time");
}

/* ---- fetch ---- */

/* What was read and not handed out goes back, uncounted. */
static void give_back_backlog(struct ferry_subscription *s)
{
	struct ferry_source *source = s->source;
	while (s->group && s->backlog) {
		struct claim *claim = backlog_take(s);
		pthread_mutex_lock(&source->lock);
		claim->ended = true;
		if (claim_is_lost(claim, real_us()))
			claim_forget(claim);
		else
			claim_dirty(claim, TODO_BACK);
		claim_unref(claim);
		pthread_mutex_unlock(&source->lock);
	}
	io_wake(source->connection);
}

/* When nothing is out: claim, or ask; returns until when there is nothing to do. */
static int64_t begin_round(struct ferry_source *source, struct basket *basket)
{
	if (claimer_due(source) <= real_us())
		claimer_run(source, basket);
	if (basket->count || source->reader.state != LINK_UP)
		return 0;
	write_round(source, basket->max);
	if (!source->commands)
		return claimer_due(source);
	link_flush(&source->reader);
	return INT64_MAX;
}

/* One step towards a delivery; returns a negative error. */
static int step(struct ferry_source *source, struct basket *basket, int64_t until)
{
	int up = keep_up(source);
	if (up < 0)
		return up;
	if (!up) {
		int64_t due = source->reader.state == LINK_DOWN ? source->reader.retry_at
								: source->reader.give_up_at;
		doze(source, due < until ? due : until);
		return 0;
	}
	if (!source->commands) {
		int64_t due = begin_round(source, basket);
		if (basket->count || due <= real_us() || source->reader.state != LINK_UP)
			return 0;
		until = due < until ? due : until;
	}
	if (source->commands) {
		int64_t due = claimer_due(source);
		if (asks_wrongly(source) || due <= real_us())
			due = unblock(source);
		until = due < until ? due : until;
	}
	int64_t rest = rest_due(source);
	doze(source, rest < until ? rest : until);
	if (source->commands)
		take_replies(source, basket);
	return 0;
}

int redis_fetch(struct ferry_source *source, struct ferry_subscription *only,
		struct ferry_delivery *const *deliveries, size_t max, int timeout_ms)
{
	(void)only;
	struct basket basket = {deliveries, max, 0};
	int64_t until = real_us() + timeout_ms * INT64_C(1000);
	int code = 0;
	/* The core has come to want less than was asked for: nobody here renews the rest, so others may have
	 * it. */
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		if (!s->credit && s->group && s->backlog)
			give_back_backlog(s);
	do {
		deliver_waiting(source, &basket);
		if (basket.count)
			break;
		code = step(source, &basket, until);
	} while (!basket.count && !code && !atomic_exchange(&source->woken, false) && real_us() < until);
	return basket.count ? (int)basket.count : code;
}

bool reader_drain(struct ferry_source *source, int64_t until)
{
	struct basket none = {NULL, 0, 0};
	bool woken = atomic_exchange(&source->woken, false); /* that is for the next fetch */
	while (source->commands && source->reader.state == LINK_UP && real_us() < until) {
		int64_t again = unblock(source);
		doze(source, again < until ? again : until);
		take_replies(source, &none);
	}
	if (woken)
		redis_wakeup(source);
	return !source->commands && source->reader.state == LINK_UP;
}

/* Credit that is taken away means that nothing more may be delivered, to us either: a read that is out is
 * ended. */
void redis_credit(struct ferry_subscription *s, uint32_t count)
{
	struct ferry_source *source = s->source;
	s->credit = count;
	if (count || (!s->reading && !s->backlog))
		return;
	if (s->reading)
		(void)reader_drain(source, real_us() + DRAIN_US);
	give_back_backlog(s);
}

void redis_wakeup(struct ferry_source *source)
{
	if (!atomic_exchange(&source->woken, true) && atomic_load(&source->sleeping))
		eventfd_set(source->wake);
}
