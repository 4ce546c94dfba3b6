/*
 * raw_side.c - a row by hiredis alone, in one thread, as somebody would write it who knows the protocol.
 *
 * Publishing keeps WINDOW commands on their way: as many are added as replies have come.  Consuming asks for
 * the next messages before it looks at those that it has, so that the server and the program work at the same
 * time, and acknowledges with one XACK for all that came with a reply.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server.h"
#include "tally.h"

#define ID_SIZE    26
#define ID_PREFIX  10
#define TIME_SIZE  27 /* 2026-11-24T12:00:00.123456Z */
#define TIME_FRONT 19

/* ---- an XADD with the fields that ferry writes ---- */

enum { ARG_ID = 6, ARG_TIME = 12, ARG_PAYLOAD = 14, ARGS = 15 };

struct writer {
	redisContext *link;
	const char *args[ARGS];
	size_t sizes[ARGS];
	char id[ID_SIZE + 1], time[TIME_SIZE + 1];
	unsigned char payload[PAYLOAD];
	time_t second; /* the one that `time` tells */
};

static bool writer_init(struct writer *w, const struct server *server)
{
	const char *args[ARGS] = {"XADD",  server->key, "*",     "ce-specversion", "1.0", "ce-id",
				  w->id,   "ce-source", SERVICE, "ce-type",        TOPIC, "ce-time",
				  w->time, "d",         NULL};
	struct timespec now;
	*w = (struct writer){.link = server_connect(server), .second = -1};
	memcpy(w->args, args, sizeof args);
	for (int i = 0; i < ARG_PAYLOAD; i++)
		w->sizes[i] = strlen(args[i]);
	w->sizes[ARG_ID] = ID_SIZE;
	w->sizes[ARG_TIME] = TIME_SIZE;
	w->args[ARG_PAYLOAD] = (const char *)w->payload;
	w->sizes[ARG_PAYLOAD] = PAYLOAD;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(w->id, sizeof w->id, "%0*lld", ID_PREFIX, (long long)now.tv_nsec);
	return w->link != NULL;
}

static void writer_finish(struct writer *w)
{
	if (w->link)
		redisFree(w->link);
}

/* Ids differ in their last digits. */
static void write_id(struct writer *w, uint64_t number)
{
	for (int i = ID_SIZE - 1; i >= ID_PREFIX; i--) {
		w->id[i] = "0123456789ABCDEF"[number & 15];
		number >>= 4;
	}
}

static void write_time(struct writer *w)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != w->second) {
		struct tm tm;
		gmtime_r(&now.tv_sec, &tm);
		strftime(w->time, sizeof w->time, "%Y-%m-%dT%H:%M:%S", &tm);
		w->time[TIME_FRONT] = '.';
		w->time[TIME_SIZE - 1] = 'Z';
		w->second = now.tv_sec;
	}
	long us = now.tv_nsec / 1000;
	for (int i = TIME_SIZE - 2; i > TIME_FRONT; i--) {
		w->time[i] = (char)('0' + us % 10);
		us /= 10;
	}
}

static bool append(struct writer *w, uint64_t number)
{
	write_id(w, number);
	write_time(w);
	payload_write(w->payload, number);
	return redisAppendCommandArgv(w->link, ARGS, w->args, w->sizes) == REDIS_OK ||
	       server_report("XADD", w->link, NULL);
}

/* ---- publishing ---- */

static bool is_confirmed(const struct writer *w, redisReply *reply)
{
	bool ok = reply && reply->type == REDIS_REPLY_STRING;
	if (!ok)
		server_report("XADD", w->link, reply);
	if (reply)
		freeReplyObject(reply);
	return ok;
}

/* Wait for a confirmation, then count all that have come. */
static bool confirm(struct writer *w, uint64_t *confirmed)
{
	void *reply = NULL;
	redisGetReply(w->link, &reply);
	do {
		if (!is_confirmed(w, reply))
			return false;
		(*confirmed)++;
		reply = NULL;
		if (redisGetReplyFromReader(w->link, &reply) != REDIS_OK)
			return server_report("XADD", w->link, NULL);
	} while (reply);
	return true;
}

static bool publish_range(struct writer *w, uint64_t first, uint64_t end)
{
	uint64_t sent = first, confirmed = first;
	while (confirmed < end) {
		for (; sent < end && sent - confirmed < WINDOW; sent++) {
			if (!append(w, sent))
				return false;
		}
		if (!confirm(w, &confirmed))
			return false;
	}
	return true;
}

/* All of a batch is confirmed before the next one begins. */
static bool publish_batches(struct writer *w, uint64_t first, uint64_t end)
{
	for (; first < end; first += WINDOW) {
		if (!publish_range(w, first, first + WINDOW < end ? first + WINDOW : end))
			return false;
	}
	return true;
}

static bool publish_waiting(struct writer *w, uint64_t first, uint64_t end, double *waits)
{
	for (uint64_t i = first; i < end; i++) {
		double begin = now_us();
		if (!publish_range(w, i, i + 1))
			return false;
		if (waits)
			waits[i - first] = now_us() - begin;
	}
	return true;
}

static bool send_range(struct writer *w, const struct row *row, uint64_t first, uint64_t end, double *waits)
{
	switch (row->kind) {
	case ROW_BATCH:
		return publish_batches(w, first, end);
	case ROW_SYNC:
		return publish_waiting(w, first, end, waits);
	default:
		return publish_range(w, first, end);
	}
}

static bool publish(const struct server *server, const struct row *row, struct cost *ret)
{
	struct writer w;
	double *waits = calloc((size_t)row->messages, sizeof *waits);
	bool ok = waits && writer_init(&w, server);
	if (ok) {
		ok = send_range(&w, row, 0, row->warmup, NULL);
		struct watch watch = watch_start();
		ok = ok && send_range(&w, row, row->warmup, row->warmup + row->messages, waits);
		*ret = watch_stop(&watch, row->messages);
		ret->wait_us = median(waits, (size_t)row->messages);
		writer_finish(&w);
	}
	free(waits);
	return ok;
}

bool raw_side_fill(const struct server *server, const struct row *row)
{
	struct writer w;
	bool ok = writer_init(&w, server) && publish_range(&w, 0, row->warmup + row->messages);
	writer_finish(&w);
	return ok;
}

/* ---- consuming ---- */

struct consumer {
	redisContext *link;
	const struct server *server;
	struct tally tally;
	uint64_t asked;   /* messages that reads were sent for */
	unsigned unheard; /* XACKs whose reply has not been taken */
	const char *args[3 + READ_MAX];
	size_t sizes[3 + READ_MAX];
};

static redisReply *reply_of(struct consumer *c, int type, const char *what)
{
	void *got = NULL;
	redisGetReply(c->link, &got);
	redisReply *reply = got;
	if (reply && reply->type == type)
		return reply;
	server_report(what, c->link, reply);
	if (reply)
		freeReplyObject(reply);
	return NULL;
}

/* Ask for more, at once, if there is more. */
static bool ask(struct consumer *c)
{
	const struct row *row = c->tally.row;
	int done = 0;
	if (c->asked >= row->warmup + row->messages)
		return true;
	c->asked += READ_MAX;
	if (redisAppendCommand(c->link, "XREADGROUP GROUP " SERVICE " raw COUNT %d STREAMS %s >", READ_MAX,
			       c->server->key) != REDIS_OK)
		return server_report("XREADGROUP", c->link, NULL);
	while (!done) {
		if (redisBufferWrite(c->link, &done) != REDIS_OK)
			return server_report("XREADGROUP", c->link, NULL);
	}
	return true;
}

/* Handle [id, [name, value ...]] in turn; the ids become an XACK. */
static bool handle(struct consumer *c, const redisReply *entries)
{
	for (size_t i = 0; i < entries->elements && i < READ_MAX; i++) {
		const redisReply *id = entries->element[i]->element[0],
				 *fields = entries->element[i]->element[1];
		const redisReply *payload = fields->element[fields->elements - 1];
		tally_note(&c->tally, payload->str, (size_t)payload->len);
		c->args[3 + i] = id->str;
		c->sizes[3 + i] = (size_t)id->len;
	}
	c->unheard++;
	return redisAppendCommandArgv(c->link, 3 + (int)entries->elements, c->args, c->sizes) == REDIS_OK ||
	       server_report("XACK", c->link, NULL);
}

/* The reply to an XACK of so many. */
static bool hear(struct consumer *c)
{
	redisReply *reply = reply_of(c, REDIS_REPLY_INTEGER, "XACK");
	if (!reply)
		return false;
	freeReplyObject(reply);
	c->unheard--;
	return true;
}

/* On the wire stand: read 1, read 2, ack 1, read 3, ack 2 ...; the replies come in this order. */
static bool consume_all(struct consumer *c)
{
	const struct row *row = c->tally.row;
	bool ok = ask(c);
	while (ok && c->tally.count < row->warmup + row->messages) {
		redisReply *reply = reply_of(c, REDIS_REPLY_ARRAY, "XREADGROUP");
		if (!reply)
			return false;
		ok = ask(c) && handle(c, reply->element[0]->element[1]);
		freeReplyObject(reply);
		while (ok && c->unheard > 1)
			ok = hear(c);
	}
	while (ok && c->unheard)
		ok = hear(c);
	return ok;
}

static bool consume(const struct server *server, const struct row *row, struct cost *ret)
{
	struct consumer c = {.server = server, .args = {"XACK", server->key, SERVICE}};
	for (int i = 0; i < 3; i++)
		c.sizes[i] = strlen(c.args[i]);
	bool ok = tally_init(&c.tally, row) && server_make_group(server);
	c.link = ok ? server_connect(server) : NULL;
	ok = c.link && consume_all(&c) && tally_is_sound(&c.tally, "hiredis");
	*ret = c.tally.cost;
	if (c.link)
		redisFree(c.link);
	tally_finish(&c.tally);
	return ok;
}

bool raw_side_run(const struct server *server, const struct row *row, struct cost *ret)
{
	return row->kind == ROW_CONSUME ? consume(server, row, ret) : publish(server, row, ret);
}
