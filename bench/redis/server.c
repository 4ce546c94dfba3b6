#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_S 60

bool server_report(const char *what, const redisContext *link, const redisReply *reply)
{
	const char *why = reply && reply->type == REDIS_REPLY_ERROR ? reply->str
			  : link && link->err                       ? link->errstr
								    : "not the reply that was expected";
	fprintf(stderr, "bench-redis: %s: %s\n", what, why);
	return false;
}

static bool parse(struct server *server, const char *url)
{
	char rest[2] = "";
	int port = 6379;
	int read = sscanf(url, "redis://%255[^:/?@]:%d%1s", server->host, &port, rest);
	server->port = port;
	if (read == 2 || (read == 1 && strlen(url) == strlen("redis://") + strlen(server->host)))
		return true;
	fprintf(stderr, "bench-redis: %s: expected redis://HOST[:PORT]\n", url);
	return false;
}

redisContext *server_connect(const struct server *server)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	redisContext *link = redisConnectWithTimeout(server->host, server->port, patience);
	if (link && !link->err && redisSetTimeout(link, patience) == REDIS_OK)
		return link;
	server_report(server->url, link, NULL);
	if (link)
		redisFree(link);
	return NULL;
}

/* What fsync costs would hide what the clients cost. The first call notes what it was before. */
static bool set_fsync(struct server *server, const char *policy)
{
	redisReply *was = redisCommand(server->link, "CONFIG GET appendfsync");
	if (was && was->type == REDIS_REPLY_ARRAY && was->elements == 2 && !*server->fsync)
		snprintf(server->fsync, sizeof server->fsync, "%s", was->element[1]->str);
	redisReply *set = redisCommand(server->link, "CONFIG SET appendfsync %s", policy);
	bool ok = was && set && set->type == REDIS_REPLY_STATUS;
	if (!ok)
		server_report("CONFIG SET appendfsync", server->link, set);
	if (was)
		freeReplyObject(was);
	if (set)
		freeReplyObject(set);
	return ok;
}

bool server_open(struct server *server, const char *url)
{
	*server = (struct server){.url = url};
	if (!parse(server, url))
		return false;
	snprintf(server->prefix, sizeof server->prefix, "bench-%ld:", (long)getpid());
	snprintf(server->key, sizeof server->key, "%s{" TOPIC "}", server->prefix);
	server->link = server_connect(server);
	return server->link && set_fsync(server, "everysec");
}

void server_close(struct server *server)
{
	if (!server->link)
		return;
	if (*server->fsync)
		(void)set_fsync(server, server->fsync);
	redisFree(server->link);
}

/* The reply, which the caller frees, or NULL and a sentence. */
static redisReply *call(const struct server *server, int type, const char *what, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	redisReply *reply = redisvCommand(server->link, format, args);
	va_end(args);
	if (reply && reply->type == type)
		return reply;
	server_report(what, server->link, reply);
	if (reply)
		freeReplyObject(reply);
	return NULL;
}

static bool call_only(redisReply *reply)
{
	if (reply)
		freeReplyObject(reply);
	return reply != NULL;
}

bool server_clear(const struct server *server)
{
	return call_only(call(server, REDIS_REPLY_INTEGER, "DEL", "DEL %s", server->key));
}

bool server_make_group(const struct server *server)
{
	return call_only(
		call(server, REDIS_REPLY_STATUS, "XGROUP", "XGROUP CREATE %s " SERVICE " 0", server->key));
}

static void describe(const redisReply *fields, char ret_shape[SHAPE_MAX])
{
	size_t used = 0;
	for (size_t i = 0; i + 1 < fields->elements && used < SHAPE_MAX; i += 2)
		used += (size_t)snprintf(ret_shape + used, SHAPE_MAX - used, " %s[%zu]",
					 fields->element[i]->str, (size_t)fields->element[i + 1]->len);
}

bool server_check_stream(const struct server *server, uint64_t entries, char ret_shape[SHAPE_MAX])
{
	redisReply *length = call(server, REDIS_REPLY_INTEGER, "XLEN", "XLEN %s", server->key);
	redisReply *first = call(server, REDIS_REPLY_ARRAY, "XRANGE", "XRANGE %s - + COUNT 1", server->key);
	bool ok = length && first && first->elements == 1;
	if (ok && (uint64_t)length->integer != entries) {
		fprintf(stderr, "bench-redis: the stream has %lld entries, expected %llu\n", length->integer,
			(unsigned long long)entries);
		ok = false;
	}
	if (ok)
		describe(first->element[0]->element[1], ret_shape);
	call_only(length);
	call_only(first);
	return ok;
}

bool server_check_group(const struct server *server)
{
	redisReply *pending =
		call(server, REDIS_REPLY_ARRAY, "XPENDING", "XPENDING %s " SERVICE, server->key);
	bool ok = pending && pending->elements > 0 && pending->element[0]->integer == 0;
	if (pending && !ok)
		fprintf(stderr, "bench-redis: not every message was acknowledged\n");
	call_only(pending);
	return ok;
}
