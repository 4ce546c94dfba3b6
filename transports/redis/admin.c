/*
 * admin.c - calls that may wait, one at a time; and looking beneath, for the conformance program.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "redis.h"

#define ADMIN_WAIT_US 10000000

/* ---- one call ---- */

void sigpipe_block(sigset_t *before, bool *was_pending)
{
	sigset_t pipe, pending;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	*was_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &pipe, before);
}

void sigpipe_restore(const sigset_t *before, bool was_pending)
{
	const struct timespec none = {0, 0};
	sigset_t pipe;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	if (!was_pending && sigismember(before, SIGPIPE) == 0)
		(void)sigtimedwait(&pipe, NULL, &none);
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int run(struct ferry_connection *c, int64_t until, const struct admin_call *call, bool *ret_again,
	       struct ferry_error *err)
{
	struct link *link = &c->admin;
	bool was_up = link->state == LINK_UP;
	int code = link_ensure(link, c->halt, until, err);
	*ret_again = false;
	if (code)
		return code;
	call->fill(&link->out, call->ctx);
	const struct reply *reply = link_call(link, c->halt, until);
	if (!reply) {
		/* A connection that has lain idle may have been closed meanwhile. */
		*ret_again = was_up && link->why.code == FERRY_E_UNREACHABLE;
		if (err)
			*err = link->why;
		return link->why.code;
	}
	if (reply_is_error(reply)) {
		char about[300];
		snprintf(about, sizeof about, "%s: %s", c->config->url, call->what);
		return fault_reply(err, about, reply->text);
	}
	return call->look ? call->look(reply, call->ctx, err) : 0;
}

bool admin_take(struct ferry_connection *c, int64_t until)
{
	pthread_mutex_lock(&c->lock);
	while (c->admin_taken && real_wait(&c->changed, &c->lock, until))
		;
	bool taken = !c->admin_taken;
	c->admin_taken = true;
	pthread_mutex_unlock(&c->lock);
	return taken;
}

void admin_give(struct ferry_connection *c)
{
	pthread_mutex_lock(&c->lock);
	c->admin_taken = false;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

int admin_run(struct ferry_connection *c, int64_t until, const struct admin_call *call,
	      struct ferry_error *err)
{
	sigset_t before;
	bool was_pending, again;
	if (!admin_take(c, until))
		return fault(err, FERRY_E_TIMEDOUT,
			     "%s: %s: another call still waits for an answer of the server", c->config->url,
			     call->what);
	sigpipe_block(&before, &was_pending);
	int code = run(c, until, call, &again, err);
	if (again)
		code = run(c, until, call, &again, err);
	admin_give(c);
	sigpipe_restore(&before, was_pending);
	return code;
}

/* ---- raw_put ---- */

struct put {
	const char *key;
	const struct ferry_raw *raw;
};

static void fill_put(struct bytes *out, void *ctx)
{
	const struct put *put = ctx;
	const struct ferry_raw *raw = put->raw;
	command_begin(out, 3 + 2 * raw->field_count + (raw->key.data ? 2 : 0) + 2);
	command_text(out, "XADD");
	command_text(out, put->key);
	command_text(out, "*");
	for (size_t i = 0; i < raw->field_count; i++) {
		command_text(out, raw->fields[i].name);
		command_text(out, raw->fields[i].value);
	}
	if (raw->key.data) {
		command_text(out, "ce-partitionkey");
		command_data(out, raw->key.data, raw->key.size);
	}
	command_text(out, "d");
	command_data(out, raw->payload.data, raw->payload.size);
}

int redis_raw_put(struct ferry_connection *c, const char *topic, const struct ferry_raw *raw,
		  struct ferry_error *err)
{
	char *key = key_of_topic(c, topic);
	if (!key)
		return fault(err, FERRY_E_NOMEM, "%s: out of memory", topic);
	struct put put = {key, raw};
	const struct admin_call call = {.fill = fill_put, .ctx = &put, .what = topic};
	int code = admin_run(c, real_us() + ADMIN_WAIT_US, &call, err);
	host_free(c, key);
	return code;
}

/* ---- raw_get ---- */

struct get {
	const struct ferry_connection *c;
	const char *topic, *key;
	uint64_t index;
	ferry_raw_fn *each;
	void *ctx;
};

static void fill_get(struct bytes *out, void *ctx)
{
	const struct get *get = ctx;
	char count[24];
	snprintf(count, sizeof count, "%llu", (unsigned long long)get->index + 1);
	command(out, "XRANGE", get->key, "-", "+", "COUNT", count, NULL);
}

static int look_get(const struct reply *reply, void *ctx, struct ferry_error *err)
{
	struct get *get = ctx;
	if (!reply_is_array(reply, get->index + 1) || !reply_is_array(reply->items[get->index], 2))
		return fault(err, FERRY_E_NOT_FOUND, "%s: there is no record %llu", get->topic,
			     (unsigned long long)get->index);
	const struct reply *fields = reply->items[get->index]->items[1];
	struct ferry_attribute *list = host_zeroed(get->c, (fields->size / 2 + 1) * sizeof *list);
	if (!list)
		return fault(err, FERRY_E_NOMEM, "%s: out of memory", get->topic);
	struct ferry_raw raw = {.size = sizeof raw, .fields = list};
	for (size_t i = 0; i + 1 < fields->size; i += 2) {
		const struct reply *name = fields->items[i], *value = fields->items[i + 1];
		if (!strcmp(name->text, "d") && i + 2 >= fields->size)
			raw.payload = (struct ferry_view){value->text, value->size};
		else
			list[raw.field_count++] = (struct ferry_attribute){name->text, value->text};
	}
	get->each(&raw, get->ctx);
	host_free(get->c, list);
	return 0;
}

int redis_raw_get(struct ferry_connection *c, const char *topic, uint64_t index, ferry_raw_fn *each,
		  void *ctx, struct ferry_error *err)
{
	char *key = key_of_topic(c, topic);
	if (!key)
		return fault(err, FERRY_E_NOMEM, "%s: out of memory", topic);
	struct get get = {c, topic, key, index, each, ctx};
	const struct admin_call call = {.fill = fill_get, .look = look_get, .ctx = &get, .what = topic};
	int code = admin_run(c, real_us() + ADMIN_WAIT_US, &call, err);
	host_free(c, key);
	return code;
}

/* ---- objects: groups and consumers, of the streams that this connection knows ---- */

struct count {
	const char *key, *group, *needle;
	int64_t count;
	char *groups; /* names of all groups, one after the other, each with its NUL */
	size_t size;
	const struct ferry_connection *c;
};

static void fill_groups(struct bytes *out, void *ctx)
{
	command(out, "XINFO", "GROUPS", ((struct count *)ctx)->key, NULL);
}

static int look_groups(const struct reply *reply, void *ctx, struct ferry_error *err)
{
	struct count *count = ctx;
	(void)err;
	struct bytes names = {.host = count->c->host, .core = count->c->core};
	for (size_t i = 0; reply_is_array(reply, i + 1); i++) {
		const struct reply *name = reply_value(reply->items[i], "name");
		if (!name)
			continue;
		count->count += strstr(name->text, count->needle) != NULL;
		bytes_add(&names, name->text, name->size + 1);
	}
	count->groups = names.data;
	count->size = names.size;
	return 0;
}

static void fill_consumers(struct bytes *out, void *ctx)
{
	const struct count *count = ctx;
	command(out, "XINFO", "CONSUMERS", count->key, count->group, NULL);
}

/* A consumer counts when its group or its own name is the one looked for. */
static int look_consumers(const struct reply *reply, void *ctx, struct ferry_error *err)
{
	struct count *count = ctx;
	(void)err;
	bool all = strstr(count->group, count->needle) != NULL;
	for (size_t i = 0; reply_is_array(reply, i + 1); i++) {
		const struct reply *name = reply_value(reply->items[i], "name");
		if (name && strcmp(name->text, WAITING_CONSUMER) != 0)
			count->count += all || strstr(name->text, count->needle);
	}
	return 0;
}

static int count_stream(struct ferry_connection *c, struct count *count)
{
	int64_t until = real_us() + ADMIN_WAIT_US;
	struct ferry_error why;
	const struct admin_call groups = {
		.fill = fill_groups, .look = look_groups, .ctx = count, .what = count->key};
	const struct admin_call consumers = {
		.fill = fill_consumers, .look = look_consumers, .ctx = count, .what = count->key};
	int code = admin_run(c, until, &groups, &why);
	if (code)
		return strstr(why.text, "no such key") ? 0 : code;
	for (size_t at = 0; at < count->size && !code; at += strlen(count->groups + at) + 1) {
		count->group = count->groups + at;
		code = admin_run(c, until, &consumers, NULL);
	}
	host_free(c, count->groups);
	count->groups = NULL;
	return code;
}

struct scan {
	const struct ferry_connection *c;
	char cursor[32];
	struct bytes keys;
};

static void fill_scan(struct bytes *out, void *ctx)
{
	const struct scan *scan = ctx;
	char *pattern = host_text(scan->c, "%s{*", scan->c->prefix);
	command(out, "SCAN", scan->cursor, "MATCH", pattern ? pattern : "*", "COUNT", "1000", "TYPE",
		"stream", NULL);
	host_free(scan->c, pattern);
}

static int look_scan(const struct reply *reply, void *ctx, struct ferry_error *err)
{
	struct scan *scan = ctx;
	if (!reply_is_array(reply, 2))
		return fault(err, FERRY_E_BROKER, "SCAN: an answer that is none");
	snprintf(scan->cursor, sizeof scan->cursor, "%s", reply->items[0]->text);
	for (size_t i = 0; reply_is_array(reply->items[1], i + 1); i++)
		bytes_add(&scan->keys, reply->items[1]->items[i]->text, reply->items[1]->items[i]->size + 1);
	return 0;
}

int64_t redis_objects(struct ferry_connection *c, const char *needle)
{
	struct scan scan = {.c = c, .cursor = "0", .keys = {.host = c->host, .core = c->core}};
	const struct admin_call call = {
		.fill = fill_scan, .look = look_scan, .ctx = &scan, .what = "looking for streams"};
	struct count count = {.needle = needle, .c = c};
	int code;
	do
		code = admin_run(c, real_us() + ADMIN_WAIT_US, &call, NULL);
	while (!code && strcmp(scan.cursor, "0") != 0);
	for (size_t at = 0; at < scan.keys.size && !code; at += strlen(scan.keys.data + at) + 1) {
		count.key = scan.keys.data + at;
		code = count_stream(c, &count);
	}
	bytes_free(&scan.keys);
	return code ? code : count.count;
}
