/*
 * source.c - sources and subscriptions: made, started, fetched from, stopped.
 */
#include <string.h>

#include "plugin.h"

/* ---- made ---- */

int sqlite_source_open(struct ferry_connection *c, const struct ferry_source_spec *spec,
		       struct ferry_source **ret, struct ferry_error *err)
{
	struct ferry_source *source = host_zeroed(c, sizeof *source);
	if (!source)
		return fail(err, FERRY_E_NOMEM, "out of memory while opening a source");
	pthread_mutex_lock(&c->lock);
	unsigned number = ++c->sources_opened;
	pthread_mutex_unlock(&c->lock);
	source->connection = c;
	source->owner = host_text(c, "%s/%u", c->config->instance, number);
	source->group = host_text(c, "%s", spec->group);
	source->distribution = spec->distribution;
	source->takeover_us = spec->takeover_ms * INT64_C(1000);
	source->memory_budget = spec->memory_budget;
	source->taken_end = &source->taken;
	if (!source->owner || !source->group) {
		sqlite_source_close(source);
		return fail(err, FERRY_E_NOMEM, "out of memory while opening a source");
	}
	*ret = source;
	return 0;
}

/*
 * Under which name a subscription is known in the file.  A broadcast handler that wants to resume is a group
 * of its own, named so that no application's group (which has no dot) can be it; the core sees to it that
 * two handlers of a topic do not share the name.
 */
static char *name_of(struct ferry_source *source, const struct ferry_subscription_spec *spec)
{
	const struct ferry_connection *c = source->connection;
	if (source->distribution == FERRY_COMPETING)
		return host_text(c, "%s", source->group);
	if (spec->durable)
		return host_text(c, "%s.%s", source->group, spec->durable);
	return host_text(c, "%s/%s", source->owner, spec->handler);
}

int sqlite_subscribe(struct ferry_source *source, const struct ferry_subscription_spec *spec,
		     struct ferry_subscription **ret, struct ferry_error *err)
{
	struct ferry_connection *c = source->connection;
	struct ferry_subscription *subscription = host_zeroed(c, sizeof *subscription);
	if (!subscription)
		return fail(err, FERRY_E_NOMEM, "%s: out of memory while subscribing", spec->topic);
	subscription->source = source;
	subscription->core = spec->core;
	subscription->topic = host_text(c, "%s", spec->topic);
	subscription->name = name_of(source, spec);
	subscription->passing = source->distribution == FERRY_BROADCAST && !spec->durable;
	subscription->earliest = spec->start == FERRY_START_EARLIEST;
	subscription->max_unsettled = spec->max_unsettled > 0 ? spec->max_unsettled : INT64_MAX;
	subscription->next = source->subscriptions;
	source->subscriptions = subscription;
	if (!subscription->topic || !subscription->name)
		return fail(err, FERRY_E_NOMEM, "%s: out of memory while subscribing", spec->topic);
	*ret = subscription;
	return 0;
}

/* ---- started ---- */

/* One transaction: either every topic's group exists, or start has to be called again. */
static int make_groups(struct store *store, void *ctx)
{
	struct ferry_source *source = ctx;
	const struct ferry_connection *c = source->connection;
	int64_t wall_us = c->host->wall_us(c->core);
	int64_t last;
	int rc = store_last_seq(store, &last);
	for (struct ferry_subscription *s = source->subscriptions; s && rc == SQLITE_OK; s = s->next) {
		s->next_seq = s->earliest ? 1 : last + 1;
		rc = s->passing ? store_cursor_put(store, s->topic, s->name, source->owner, s->next_seq,
						   wall_us + source->takeover_us)
				: store_group_add(store, s->topic, s->name, s->next_seq, wall_us);
	}
	return rc;
}

int sqlite_source_start(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err)
{
	struct ferry_connection *c = source->connection;
	int code = 0;
	if (source->started)
		return 0;
	for (struct ferry_subscription *s = source->subscriptions; s && !code; s = s->next)
		code = control_topic(c, s->topic, deadline_us, err);
	if (!code)
		code = control_run(c, deadline_us, make_groups, source, err);
	if (code)
		return code;
	pthread_mutex_lock(&c->lock);
	source->started = true;
	source->renew_at = pacing_us() + source->takeover_us / 3;
	source->next = c->sources;
	c->sources = source;
	io_wake(c);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* ---- fetched from ---- */

/* What was handed back to a passing broadcast handler. [lock] */
static void fetch_back(struct ferry_source *source, int64_t now_us, int64_t wall_us)
{
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		while (s->back && s->credit && source->filled < source->wanted) {
			struct claim *claim = s->back;
			s->back = claim->next_back;
			claim_deliver(claim, source->deliveries[source->filled++], now_us, wall_us);
		}
	}
}

static bool has_credit(const struct ferry_source *source)
{
	for (const struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		if (s->credit)
			return true;
	return false;
}

/* Until the request is filled in, woken or late, and the I/O thread has let go of it. [lock] */
static void wait_for_deliveries(struct ferry_source *source, int64_t now_us, int64_t wall_us, int64_t until)
{
	struct ferry_connection *c = source->connection;
	bool in_time = true;
	for (;;) {
		if (!source->serving)
			fetch_back(source, now_us, wall_us);
		bool done = source->filled || source->error || source->woken || (!in_time && !source->fresh);
		if (done && !source->serving)
			break;
		if (in_time && !done)
			in_time = pacing_wait(&c->changed, &c->lock, until);
		else
			pthread_cond_wait(&c->changed, &c->lock);
	}
}

/*
 * Leave a request for the I/O thread and wait until it is filled in.  The thread looks at least once, also
 * when there is no time to wait: else a pump that polls would never get anything.
 */
int sqlite_fetch(struct ferry_source *source, struct ferry_subscription *only,
		 struct ferry_delivery *const *deliveries, size_t max, int timeout_ms)
{
	(void)only;
	struct ferry_connection *c = source->connection;
	int64_t now_us = c->host->now_us(c->core);
	int64_t wall_us = c->host->wall_us(c->core);
	int64_t until = pacing_us() + timeout_ms * INT64_C(1000);

	pthread_mutex_lock(&c->lock);
	source->deliveries = deliveries;
	source->wanted = max;
	source->filled = 0;
	source->error = 0;
	source->fresh = has_credit(source);
	io_wake(c);
	wait_for_deliveries(source, now_us, wall_us, until);
	int result = source->filled ? (int)source->filled : source->error;
	source->wanted = 0;
	source->fresh = false;
	source->woken = false;
	pthread_mutex_unlock(&c->lock);
	return result;
}

void sqlite_credit(struct ferry_subscription *subscription, uint32_t count)
{
	pthread_mutex_t *lock = &subscription->source->connection->lock;
	pthread_mutex_lock(lock);
	subscription->credit = count;
	pthread_mutex_unlock(lock);
}

void sqlite_wakeup(struct ferry_source *source)
{
	struct ferry_connection *c = source->connection;
	pthread_mutex_lock(&c->lock);
	source->woken = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

/* ---- stopped ---- */

int sqlite_source_stop(struct ferry_source *source, int64_t deadline_us, struct ferry_source_rest *rest)
{
	(void)rest; /* nothing is lost: what is not settled is in the file */
	struct ferry_connection *c = source->connection;
	int64_t until = pacing_deadline(c, deadline_us);
	pthread_mutex_lock(&c->lock);
	source->leaving = source->started;
	io_wake(c);
	while (source->leaving && !source->left && pacing_wait(&c->changed, &c->lock, until))
		;
	bool late = source->leaving && !source->left;
	pthread_mutex_unlock(&c->lock);
	if (late)
		c->host->log(c->core, FERRY_LOG_WARNING,
			     "sqlite: the file stays locked: the last verdicts of a source are not "
			     "written, its messages move to others when their leases run out");
	return 0;
}

/* [lock; the I/O thread is between two rounds] */
static void unlink_source(struct ferry_source *source)
{
	struct ferry_connection *c = source->connection;
	struct ferry_source **link = &c->sources;
	while (*link && *link != source)
		link = &(*link)->next;
	if (*link)
		*link = source->next;
	struct claim **dirty = &c->dirty;
	while (*dirty) {
		if ((*dirty)->subscription->source == source)
			*dirty = (*dirty)->next_dirty;
		else
			dirty = &(*dirty)->next_dirty;
	}
	c->dirty_end = dirty;
	struct claim **work = &c->io.work;
	while (*work) {
		if ((*work)->subscription->source == source)
			*work = (*work)->next_work;
		else
			work = &(*work)->next_work;
	}
	if (!c->dirty && !c->io.work)
		c->verdicts_written = c->verdicts; /* flush must not wait for what is gone */
}

void sqlite_source_close(struct ferry_source *source)
{
	struct ferry_connection *c = source->connection;
	pthread_mutex_lock(&c->lock);
	while (c->in_round)
		pthread_cond_wait(&c->changed, &c->lock);
	unlink_source(source);
	pthread_mutex_unlock(&c->lock);
	while (source->subscriptions) {
		struct ferry_subscription *s = source->subscriptions;
		source->subscriptions = s->next;
		while (s->claims) {
			struct claim *claim = s->claims;
			s->claims = claim->next;
			host_free(c, claim);
		}
		host_free(c, s->topic);
		host_free(c, s->name);
		host_free(c, s);
	}
	host_free(c, source->owner);
	host_free(c, source->group);
	host_free(c, source);
}
