/*
 * server.c - looking at the server before anything is entrusted to it.
 */
#include <stdlib.h>
#include <string.h>

#include "redis.h"

static void fill_info(struct bytes *out, void *ctx)
{
	(void)ctx;
	command(out, "INFO", NULL);
}

/* The value of a line "name:value\r\n"; "" when there is none. */
static const char *value_of(const char *info, const char *name, char *value, size_t size)
{
	size_t length = strlen(name);
	*value = '\0';
	for (const char *line = info; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (strncmp(line, name, length) != 0 || line[length] != ':')
			continue;
		size_t n = strcspn(line + length + 1, "\r\n");
		n = n < size ? n : size - 1;
		memcpy(value, line + length + 1, n);
		value[n] = '\0';
		break;
	}
	return value;
}

/* 6.2 is 602.  Valkey says a Redis version, too. */
static int version_of(const char *text)
{
	char *end;
	long major = strtol(text, &end, 10);
	long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
	return (int)(major * 100 + minor);
}

static int check_kind(const struct ferry_connection *c, const char *info, struct ferry_error *err)
{
	const char *url = c->config->url;
	char value[64];
	const char *mode = value_of(info, "redis_mode", value, sizeof value);
	if (!*mode)
		mode = value_of(info, "server_mode", value, sizeof value); /* Valkey */
	if (*mode && strcmp(mode, "standalone") != 0)
		return fault(err, FERRY_E_CONFIG,
			     "%s: this is a Redis %s, which the transport does not support: name a server "
			     "that is not part of one",
			     url, mode);
	int version = version_of(value_of(info, "redis_version", value, sizeof value));
	if (version && version < 602)
		return fault(err, FERRY_E_UNSUPPORTED, "%s: Redis %s is too old: 6.2 is needed", url, value);
	if (version && version < 702 && c->durability == DURABILITY_FSYNC)
		return fault(err, FERRY_E_UNSUPPORTED,
			     "%s: durability=fsync needs Redis 7.2, and this is %s: use aof, or replica:N",
			     url, value);
	/* What was the primary may be one again. */
	if (!strcmp(value_of(info, "role", value, sizeof value), "slave"))
		return fault(err, FERRY_E_UNREACHABLE, "%s: the server is a replica: name the primary", url);
	if (!strcmp(value_of(info, "loading", value, sizeof value), "1"))
		return fault(err, FERRY_E_UNREACHABLE, "%s: the server reads its data from disk", url);
	return 0;
}

/* Without an append-only file a crash of the server loses what was confirmed, up to everything; a server that
 * evicts takes whole streams, with their groups. */
static int check_durability(const struct ferry_connection *c, const char *info, struct ferry_error *err)
{
	char aof[8], policy[32], limit[32];
	if (c->durability == DURABILITY_RELAXED)
		return 0;
	value_of(info, "aof_enabled", aof, sizeof aof);
	value_of(info, "maxmemory_policy", policy, sizeof policy);
	value_of(info, "maxmemory", limit, sizeof limit);
	if (!strcmp(aof, "0"))
		return fault(err, FERRY_E_CONFIG,
			     "%s: the server writes no append-only file, so a crash would lose confirmed "
			     "messages: set 'appendonly yes' there, or durability=relaxed here",
			     c->config->url);
	if (*policy && strcmp(policy, "noeviction") != 0 && strcmp(limit, "0") != 0)
		return fault(err, FERRY_E_CONFIG,
			     "%s: the server may evict whole streams (maxmemory-policy %s): set noeviction "
			     "there, or durability=relaxed here",
			     c->config->url, policy);
	return 0;
}

static int look(const struct reply *reply, void *ctx, struct ferry_error *err)
{
	const struct ferry_connection *c = ctx;
	int code = check_kind(c, reply->text, err);
	return code ? code : check_durability(c, reply->text, err);
}

int server_check(struct ferry_connection *c, int64_t until, struct ferry_error *err)
{
	const struct admin_call call = {
		.fill = fill_info,
		.look = look,
		.ctx = c,
		.what = "INFO, which says whether confirmed messages survive a crash"};
	struct ferry_error why;
	int code = admin_run(c, until, &call, &why);
	/* Who may not ask and does not care need not know. */
	if (code == FERRY_E_DENIED && strstr(why.text, "NOPERM") && c->durability == DURABILITY_RELAXED)
		return 0;
	if (code && err)
		*err = why;
	return code;
}
