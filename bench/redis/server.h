/*
 * server.h - the server that both sides use, and what stands in it.
 */
#ifndef BENCH_REDIS_SERVER_H
#define BENCH_REDIS_SERVER_H

#include <hiredis/hiredis.h>

#include "side.h"

#define SHAPE_MAX 512

struct server {
	const char *url;
	char host[256];
	int port;
	char prefix[32]; /* of this run alone */
	char key[64];    /* the stream of TOPIC */
	char fsync[16];  /* the server's setting, given back in the end */
	redisContext *link;
};

/* redis://HOST[:PORT]; false, and a sentence, when it cannot be reached. */
bool server_open(struct server *server, const char *url);
void server_close(struct server *server);

/* A link of its own. NULL, and a sentence, when there is none. */
redisContext *server_connect(const struct server *server);
bool server_report(const char *what, const redisContext *link, const redisReply *reply);

/* Delete the stream with its groups. */
bool server_clear(const struct server *server);
/* The group that reads the stream from its beginning. */
bool server_make_group(const struct server *server);
/* The stream has so many entries; `ret_shape` are the first one's fields, each with the size of its value. */
bool server_check_stream(const struct server *server, uint64_t entries, char ret_shape[SHAPE_MAX]);
/* Nothing is left unacknowledged. */
bool server_check_group(const struct server *server);

#endif
