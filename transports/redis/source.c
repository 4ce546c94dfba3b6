/*
 * source.c - sources and subscriptions: made, started, stopped.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "redis.h"

/* ---- made ---- */

int redis_source_open(struct ferry_connection *c, const struct ferry_source_spec *spec,
		      struct ferry_source **ret, struct ferry_error *err)
{
	struct ferry_source *source = host_zeroed(c, sizeof *source);
	if (!source)
		return fault(err, FERRY_E_NOMEM, "out of memory while opening a source");
	pthread_mutex_lock(&c->lock);
	unsigned number = ++c->sources_opened;
	pthread_mutex_unlock(&c->lock);
	source->connection = c;
	source->consumer = host_text(c, "%s/%u", c->config->instance, number);
	source->group = host_text(c, "%s", spec->group);
	source->distribution = spec->distribution;
	source->takeover_us = spec->takeover_ms * INT64_C(1000);
	source->memory_budget = spec->memory_budget;
	source->dirty_end = &source->dirty;
	source->sent_end = &source->sent;
	source->trimmed = (struct bytes){.host = c->host, .core = c->core};
	pthread_mutex_init(&source->lock, NULL);
	cond_init_real(&source->changed);
	link_init(&source->reader, &c->target);
	link_init(&source->control, &c->target);
	source->reader.wants_id = true;
	source->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!source->consumer || !source->group || source->wake < 0 || !claim_table_make(source)) {
		redis_source_close(source);
		return fault(err, FERRY_E_NOMEM, "no memory or no descriptor for a source");
	}
	*ret = source;
	return 0;
}

/*
 * The group that a subscription reads with.  A broadcast handler that wants to resume is a group of its own,
 * named so that no application's group (which has no dot) can be it; the core sees to it that two handlers of
 * a topic do not share the name.
 */
static char *group_of(struct ferry_source *source, const struct ferry_subscription_spec *spec)
{
	const struct ferry_connection *c = source->connection;
	if (source->distribution == FERRY_COMPETING)
		return host_text(c, "%s", source->group);
	return host_text(c, "%s.%s", source->group, spec->durable);
}

static char *dlq_key_of(const struct ferry_source *source, const char *topic)
{
	const struct ferry_connection *c = source->connection;
	char *name = host_text(c, "dlq.%s.%s", source->group, topic);
	char *key = name ? key_of_topic(c, name) : NULL;
	host_free(c, name);
	return key;
}

int redis_subscribe(struct ferry_source *source, const struct ferry_subscription_spec *spec,
		    struct ferry_subscription **ret, struct ferry_error *err)
{
	struct ferry_connection *c = source->connection;
	struct ferry_subscription *s = host_zeroed(c, sizeof *s);
	bool passing = source->distribution == FERRY_BROADCAST && !spec->durable;
	if (!s)
		return fault(err, FERRY_E_NOMEM, "%s: out of memory while subscribing", spec->topic);
	s->source = source;
	s->core = spec->core;
	s->topic = host_text(c, "%s", spec->topic);
	s->key = key_of_topic(c, spec->topic);
	s->dlq_key = dlq_key_of(source, spec->topic);
	s->group = passing ? NULL : group_of(source, spec);
	s->earliest = spec->start == FERRY_START_EARLIEST;
	s->max_unsettled = spec->max_unsettled > 0 ? spec->max_unsettled : INT64_MAX;
	s->initial_backoff_us = spec->initial_backoff_us;
	s->max_backoff_us = spec->max_backoff_us;
	s->backlog_end = &s->backlog;
	s->next = s->next_read = source->subscriptions;
	source->subscriptions = source->readers = s;
	if (!s->topic || !s->key || !s->dlq_key || (!s->group && !passing))
		return fault(err, FERRY_E_NOMEM, "%s: out of memory while subscribing", spec->topic);
	*ret = s;
	return 0;
}

/* ---- started ---- */

/* "the group exists already" is as good as having made it. */
static void fill_create(struct bytes *out, void *subscription)
{
	const struct ferry_subscription *s = subscription;
	command(out, "XGROUP", "CREATE", s->key, s->group, s->earliest ? "0" : "$", "MKSTREAM", NULL);
}

static int create_group(struct ferry_subscription *s, int64_t until, struct ferry_error *err)
{
	const struct admin_call call = {.fill = fill_create, .ctx = s, .what = s->topic};
	struct ferry_error why;
	int code = admin_run(s->source->connection, until, &call, &why);
	if (code == FERRY_E_BROKER && strstr(why.text, "BUSYGROUP"))
		return 0;
	if (code && err)
		*err = why;
	return code;
}

static void fill_groups(struct bytes *out, void *subscription)
{
	command(out, "XINFO", "GROUPS", ((struct ferry_subscription *)subscription)->key, NULL);
}

/* Where the group stands: from there it is made again, should somebody delete it. */
static int look_groups(const struct reply *reply, void *subscription, struct ferry_error *err)
{
	struct ferry_subscription *s = subscription;
	for (size_t i = 0; reply_is_array(reply, i + 1); i++) {
		const struct reply *name = reply_value(reply->items[i], "name");
		const struct reply *last = reply_value(reply->items[i], "last-delivered-id");
		const struct reply *pending = reply_value(reply->items[i], "pending");
		if (!name || !last || strcmp(name->text, s->group) != 0)
			continue;
		(void)entry_id_parse(last->text, &s->seen);
		s->pending = pending ? pending->integer : 0;
		return 0;
	}
	return fault(err, FERRY_E_NOT_FOUND,
		     "%s: the group %s of the stream %s does not exist, and only "
		     "provision=auto makes it",
		     s->topic, s->group, s->key);
}

static void fill_stream(struct bytes *out, void *subscription)
{
	command(out, "XINFO", "STREAM", ((struct ferry_subscription *)subscription)->key, NULL);
}

static int look_stream(const struct reply *reply, void *subscription, struct ferry_error *err)
{
	struct ferry_subscription *s = subscription;
	const struct reply *last = reply_value(reply, "last-generated-id");
	(void)err;
	if (last && !s->earliest)
		(void)entry_id_parse(last->text, &s->seen);
	return 0;
}

/* Where a group, or a stream, stands; a stream that does not exist begins at 0. */
static int find_place(struct ferry_subscription *s, int64_t until, struct ferry_error *err)
{
	const struct ferry_connection *c = s->source->connection;
	const struct admin_call call = {.fill = s->group ? fill_groups : fill_stream,
					.look = s->group ? look_groups : look_stream,
					.ctx = s,
					.what = s->topic};
	struct ferry_error why;
	int code = admin_run(s->source->connection, until, &call, &why);
	if (code == FERRY_E_BROKER && strstr(why.text, "no such key")) {
		if (c->config->provision == FERRY_PROVISION_AUTO || !s->group)
			code = c->config->provision == FERRY_PROVISION_CHECK ? FERRY_E_NOT_FOUND : 0;
		else
			code = FERRY_E_NOT_FOUND;
		if (code)
			fault(&why, code,
			      "%s: the stream %s does not exist, and only provision=auto makes it", s->topic,
			      s->key);
	}
	if (code && err)
		*err = why;
	return code;
}

struct right {
	const struct ferry_subscription *subscription;
	int number;
};

/* Commands of later, which do nothing here: a right that is missing fails the start, not a message. */
static void fill_rights(struct bytes *out, void *ctx)
{
	static const char never[] = "99999999999999", last[] = "18446744073709551615-18446744073709551615";
	const struct right *right = ctx;
	const struct ferry_subscription *s = right->subscription;
	const char *key = s->key, *group = s->group, *me = s->source->consumer;
	switch (right->number) {
	case 0:
		command(out, "XREADGROUP", "GROUP", group, me, "COUNT", "1", "STREAMS", key, "0", NULL);
		break;
	case 1:
		/* From the end: it would drop trimmed entries, however short they have been idle. */
		command(out, "XAUTOCLAIM", key, group, me, never, last, "COUNT", "1", "JUSTID", NULL);
		break;
	case 2:
		command(out, "XCLAIM", key, group, me, never, "0-0", "JUSTID", NULL);
		break;
	case 3:
		command(out, "XPENDING", key, group, NULL);
		break;
	case 4:
		command(out, "XACK", key, group, "0-0", NULL);
		break;
	default:
		command(out, "XREAD", "COUNT", "1", "STREAMS", key, "$", NULL);
	}
}

/* Of a source's subscriptions one is asked: a user has rights to commands, and to keys by their prefix. */
static int check_rights(struct ferry_subscription *s, int64_t until, struct ferry_error *err)
{
	struct right right = {.subscription = s, .number = s->group ? 0 : 5};
	int code = 0;
	for (; right.number < (s->group ? 5 : 6) && !code; right.number++) {
		const struct admin_call call = {.fill = fill_rights, .ctx = &right, .what = s->topic};
		struct ferry_error why;
		code = admin_run(s->source->connection, until, &call, &why);
		if (code && err)
			*err = why;
	}
	return code;
}

int redis_source_start(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err)
{
	struct ferry_connection *c = source->connection;
	int64_t until = real_deadline(c, deadline_us);
	int code = 0;
	if (source->started)
		return 0;
	for (struct ferry_subscription *s = source->subscriptions; s && !code; s = s->next) {
		if (s->group && c->config->provision == FERRY_PROVISION_AUTO)
			code = create_group(s, until, err);
		if (!code)
			code = find_place(s, until, err);
	}
	if (!code && source->subscriptions)
		code = check_rights(source->subscriptions, until, err);
	if (code)
		return code;
	pthread_mutex_lock(&c->lock);
	source->started = true;
	source->next = c->sources;
	c->sources = source;
	pthread_mutex_unlock(&c->lock);
	eventfd_set(c->wake);
	return 0;
}

/* ---- stopped ---- */

/* Verdicts that are on their way are waited for. */
static bool wait_written(struct ferry_source *source, int64_t until)
{
	bool in_time = true;
	pthread_mutex_lock(&source->lock);
	while (source->verdicts_done < source->verdicts && in_time)
		in_time = real_wait(&source->changed, &source->lock, until);
	in_time = source->verdicts_done == source->verdicts;
	pthread_mutex_unlock(&source->lock);
	return in_time;
}

/* What was read but never handed out is the server's again: it is given back with everything else. */
static void drop_backlog(struct ferry_source *source)
{
	pthread_mutex_lock(&source->lock);
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		for (struct claim *next; s->backlog; s->backlog = next) {
			next = s->backlog->next;
			claim_unref(s->backlog);
		}
		s->backlog_end = &s->backlog;
	}
	pthread_mutex_unlock(&source->lock);
}

/* Everything that is written, given back, and our names deleted; false when that cannot be known. */
static bool leave(struct ferry_source *source, int64_t until)
{
	struct link *link = &source->reader;
	/* What a read that is out brings is found in what is pending; but only when it is known to be over
	 * may our name go. */
	bool quiet = reader_drain(source, until) && !source->reader_lost;
	drop_backlog(source);
	bool left = wait_written(source, until);
	if (!quiet)
		link_close(link);
	if (left)
		left = !link_ensure(link, -1, until, NULL) && claimer_reconcile(source, link, until, true);
	if (left && quiet)
		left = claimer_leave(source, link, until);
	link_close(link);
	return left;
}

int redis_source_stop(struct ferry_source *source, int64_t deadline_us, struct ferry_source_rest *rest)
{
	(void)rest; /* nothing is lost: what is not settled is pending at the server */
	struct ferry_connection *c = source->connection;
	sigset_t before;
	bool was_pending;
	if (!source->started)
		return 0;
	sigpipe_block(&before, &was_pending);
	bool left = leave(source, real_deadline(c, deadline_us));
	sigpipe_restore(&before, was_pending);
	if (!left)
		c->host->log(
			c->core, FERRY_LOG_WARNING,
			"redis: the server was not reached in time: the last verdicts of a source may not be "
			"written, its messages move to others after takeover");
	return 0;
}

static void unlink_source(struct ferry_source *source)
{
	struct ferry_connection *c = source->connection;
	pthread_mutex_lock(&c->lock);
	c->closing++;
	eventfd_set(c->wake);
	while (c->in_round)
		pthread_cond_wait(&c->changed, &c->lock);
	struct ferry_source **link = &c->sources;
	while (*link && *link != source)
		link = &(*link)->next;
	if (*link)
		*link = source->next;
	c->closing--;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void redis_source_close(struct ferry_source *source)
{
	struct ferry_connection *c = source->connection;
	if (source->started)
		unlink_source(source);
	verdict_abandon(source);
	drop_backlog(source);
	while (source->subscriptions) {
		struct ferry_subscription *s = source->subscriptions;
		source->subscriptions = s->next;
		for (struct claim *next; s->resting; s->resting = next) {
			next = s->resting->next;
			host_free(c, s->resting);
		}
		host_free(c, s->topic);
		host_free(c, s->key);
		host_free(c, s->dlq_key);
		host_free(c, s->group);
		host_free(c, s);
	}
	link_finish(&source->reader);
	link_finish(&source->control);
	pauses_free(c, &source->due);
	pauses_free(c, &source->parked);
	bytes_free(&source->trimmed);
	host_free(c, source->hash);
	host_free(c, source->consumer);
	host_free(c, source->group);
	if (source->wake >= 0)
		close(source->wake);
	pthread_cond_destroy(&source->changed);
	pthread_mutex_destroy(&source->lock);
	host_free(c, source);
}
