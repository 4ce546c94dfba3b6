/*
 * janitor.c - trimming what everybody has settled.
 *
 * Streams grow for ever unless somebody trims them, and a length (MAXLEN) would take what is still unsettled.
 * So an entry goes only when it is older than `retain`, and below the oldest entry that any group has pending
 * or has yet to read. One process per stream does it, the one that gets the lock for the interval. Dead
 * letters are never trimmed. A stream that no group reads is trimmed by age alone.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis.h"

#define CALL_US 5000000

/* One stream's turn. */
struct turn {
	struct ferry_connection *c;
	struct link *link;
	const char *topic, *key;
	struct entry_id keep; /* what is smaller may go */
};

static const struct reply *call(struct turn *turn)
{
	struct ferry_connection *c = turn->c;
	const struct reply *reply = link_call(turn->link, c->halt, real_us() + CALL_US);
	if (!reply || !reply_is_error(reply))
		return reply;
	struct ferry_error why;
	fault_reply(&why, "trimming", reply->text);
	/* Once: it will be the same the next time. */
	if (why.code == FERRY_E_DENIED && !turn->c->janitor_complained)
		c->host->log(c->core, FERRY_LOG_WARNING, why.text);
	c->janitor_complained = true;
	return NULL;
}

/* Nobody else trims it in this interval. */
static bool take_lock(struct turn *turn)
{
	char ms[24];
	char *name = host_text(turn->c, "%s:trim", turn->key);
	if (!name)
		return false;
	snprintf(ms, sizeof ms, "%lld", (long long)(turn->c->trim_us / 1000));
	command(&turn->link->out, "SET", name, turn->c->config->instance, "NX", "PX", ms, NULL);
	host_free(turn->c, name);
	const struct reply *reply = call(turn);
	return reply && reply->type == REDIS_REPLY_STATUS;
}

/* Older than `retain`, by the server's clock, which makes the ids. */
static bool limit_by_age(struct turn *turn)
{
	command(&turn->link->out, "TIME", NULL);
	const struct reply *reply = call(turn);
	if (!reply_is_array(reply, 1))
		return false;
	int64_t now_ms = strtoll(reply->items[0]->text, NULL, 10) * 1000;
	if (now_ms <= turn->c->retain_ms)
		return false;
	turn->keep = (struct entry_id){(uint64_t)(now_ms - turn->c->retain_ms), 0};
	return true;
}

static void keep_from(struct turn *turn, struct entry_id id)
{
	if (entry_id_compare(id, turn->keep) < 0)
		turn->keep = id;
}

/* The names of groups that have something pending, one after the other; false without an answer. */
static bool limit_by_reading(struct turn *turn, struct bytes *names)
{
	command(&turn->link->out, "XINFO", "GROUPS", turn->key, NULL);
	const struct reply *groups = call(turn);
	if (!groups)
		return false;
	for (size_t i = 0; reply_is_array(groups, i + 1); i++) {
		const struct reply *name = reply_value(groups->items[i], "name");
		const struct reply *pending = reply_value(groups->items[i], "pending");
		const struct reply *last = reply_value(groups->items[i], "last-delivered-id");
		struct entry_id id;
		if (!name || !pending || !last || !entry_id_parse(last->text, &id))
			return false;
		id.seq++; /* what was read last may go when it is settled */
		keep_from(turn, id);
		if (pending->integer)
			bytes_add(names, name->text, name->size + 1);
	}
	return !names->failed;
}

static bool limit_by_pending(struct turn *turn, const struct bytes *names)
{
	for (size_t at = 0; at < names->size; at += strlen(names->data + at) + 1) {
		struct entry_id id;
		command(&turn->link->out, "XPENDING", turn->key, names->data + at, "-", "+", "1", NULL);
		const struct reply *reply = call(turn);
		if (!reply)
			return false;
		if (!reply_is_array(reply, 1))
			continue;
		if (!reply_is_array(reply->items[0], 1) ||
		    !entry_id_parse(reply->items[0]->items[0]->text, &id))
			return false;
		keep_from(turn, id);
	}
	return true;
}

static void trim(struct turn *turn)
{
	char id[ENTRY_ID_TEXT];
	entry_id_format(turn->keep, id);
	command(&turn->link->out, "XTRIM", turn->key, "MINID", "~", id, NULL);
	const struct reply *reply = call(turn);
	if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0)
		turn->c->host->evicted(turn->c->core, turn->topic, (uint64_t)reply->integer);
}

static void run_turn(struct turn *turn)
{
	struct bytes names = {.host = turn->c->host, .core = turn->c->core};
	if (take_lock(turn) && limit_by_age(turn) && limit_by_reading(turn, &names) &&
	    limit_by_pending(turn, &names))
		trim(turn);
	bytes_free(&names);
}

/* ---- all streams that this bus knows ---- */

/* The index-th topic, copied: [topic NUL key NUL]; NULL past the end. */
static char *topic_at(struct ferry_connection *c, size_t index)
{
	char *both = NULL;
	pthread_mutex_lock(&c->lock);
	for (const struct ferry_destination *d = c->destinations; d && !both; d = d->next)
		if (!d->is_dlq && index-- == 0)
			both = host_text(c, "%s%c%s", d->topic, 0, d->key);
	for (const struct ferry_source *source = c->sources; source && !both; source = source->next)
		for (const struct ferry_subscription *s = source->subscriptions; s && !both; s = s->next)
			if (strncmp(s->topic, "dlq.", 4) != 0 && index-- == 0)
				both = host_text(c, "%s%c%s", s->topic, 0, s->key);
	pthread_mutex_unlock(&c->lock);
	return both;
}

static void run_all(struct ferry_connection *c, struct link *link)
{
	char *both;
	if (link_ensure(link, c->halt, real_us() + CALL_US, NULL))
		return;
	for (size_t i = 0; link->state == LINK_UP && (both = topic_at(c, i)); i++) {
		struct turn turn = {.c = c, .link = link, .topic = both, .key = both + strlen(both) + 1};
		run_turn(&turn);
		host_free(c, both);
	}
	link_close(link);
}

/* ---- the thread ---- */

static void *janitor_main(void *connection)
{
	struct ferry_connection *c = connection;
	struct link link;
	link_init(&link, &c->target);
	pthread_mutex_lock(&c->lock);
	int64_t next = real_us() + c->trim_us;
	while (!c->janitor_leaving) {
		if (real_wait(&c->janitor_wake, &c->lock, next) && real_us() < next)
			continue;
		pthread_mutex_unlock(&c->lock);
		run_all(c, &link);
		next = real_us() + c->trim_us;
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	link_finish(&link);
	return NULL;
}

int janitor_start(struct ferry_connection *c, struct ferry_error *err)
{
	if (!c->trim_us)
		return 0;
	int code = thread_start(&c->janitor, "redis-janitor", janitor_main, c, err);
	c->janitor_running = !code;
	return code;
}

void janitor_stop(struct ferry_connection *c)
{
	if (!c->janitor_running)
		return;
	pthread_mutex_lock(&c->lock);
	c->janitor_leaving = true;
	pthread_cond_signal(&c->janitor_wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->janitor, NULL);
	c->janitor_running = false;
}
