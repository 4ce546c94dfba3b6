/*
 * round.c - one transaction, from its plan to the news of its end.
 */
#include "round.h"

#define DOWN_AFTER_US 1000000 /* a file that is locked for so long is reported as down */

/*
 * What this round does, decided at one moment.  A verdict given before it is written; one given later finds
 * a revoked claim lost: there is no time in between, in which a verdict would be taken and not written.
 */
static void plan(struct round *r)
{
	struct ferry_connection *c = r->c;
	pthread_mutex_lock(&c->lock);
	verdicts_take(c);
	for (struct ferry_source *source = r->sources; source; source = source->next) {
		source->departing = source->leaving && !source->left;
		source->serving = source->wanted && !source->filled && !source->woken && !source->leaving;
		source->spare = source->memory_budget > 0 ? source->memory_budget - source->bytes : INT64_MAX;
		for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
			s->room = s->credit;
			if (s->passing && s->room > s->max_unsettled - s->open)
				s->room = s->max_unsettled - s->open;
			for (struct claim *claim = s->claims; claim && s->revoked; claim = claim->next)
				claim->lost = true;
		}
	}
	pthread_mutex_unlock(&c->lock);
}

static void finish(struct round *r, bool committed)
{
	struct ferry_connection *c = r->c;
	struct claim *dead = NULL;
	pthread_mutex_lock(&c->lock);
	if (committed)
		verdicts_finish(r, &dead);
	for (struct ferry_source *source = r->sources; source; source = source->next) {
		if (committed)
			take_finish(r, source);
		else
			take_undo(source, &dead);
		source->taken = NULL;
		source->taken_end = &source->taken;
		source->fresh = source->fresh && !source->serving && committed;
		source->serving = false;
	}
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	claims_free(c, dead);
}

static void tell_success(struct round *r)
{
	struct ferry_connection *c = r->c;
	queue_report(c, r->publishes);
	for (size_t i = 0; i < r->trimmed_count; i++)
		c->host->evicted(c->core, r->trimmed[i].topic, (uint64_t)r->trimmed[i].count);
	struct ferry_error why;
	if (r->lost_group) {
		fail(&why, FERRY_E_NOT_FOUND, "%s: the group %s was deleted; it is made again where it stood",
		     r->lost_group->topic, r->lost_group->name);
		c->host->event(c->core, FERRY_EVENT_NOTICE, &why);
	}
	if (c->io.down)
		c->host->event(c->core, FERRY_EVENT_UP, NULL);
	c->io.down = false;
	c->io.failing_since = 0;
}

static void tell_failure(struct round *r, int rc)
{
	struct ferry_connection *c = r->c;
	struct io *io = &c->io;
	struct ferry_error why;
	queue_failed(r, rc);
	if (!io->failing_since)
		io->failing_since = r->pacing;
	io->retry_at = pacing_us() + c->poll_us;
	bool passing = (rc & 0xFF) == SQLITE_BUSY && r->pacing - io->failing_since < DOWN_AFTER_US;
	if (io->down || passing)
		return;
	io->down = true;
	store_fail(r->store, c->config->path, rc, &why);
	c->host->event(c->core, FERRY_EVENT_DOWN, &why);
}

static int transact(struct round *r)
{
	int rc = store_begin(r->store);
	r->stage = STAGE_PUBLISH;
	if (rc != SQLITE_OK) {
		r->stage = STAGE_BEGIN;
		return rc;
	}
	rc = queue_write(r);
	if (rc != SQLITE_OK)
		return rc;
	r->stage = STAGE_CLAIM;
	rc = verdicts_read_requests(r);
	if (rc != SQLITE_OK)
		return rc;
	plan(r);
	rc = verdicts_write(r);
	if (rc == SQLITE_OK)
		rc = take_all(r);
	if (rc == SQLITE_OK)
		rc = house_keep(r);
	if (rc != SQLITE_OK)
		return rc;
	r->stage = STAGE_COMMIT;
	return store_commit(r->store);
}

void round_run(struct ferry_connection *c, struct ferry_source *sources, size_t publishes)
{
	struct round r = {
		.c = c,
		.store = &c->io.store,
		.sources = sources,
		.publishes = publishes,
		.now_us = c->host->now_us(c->core),
		.wall_us = c->host->wall_us(c->core),
		.pacing = pacing_us(),
	};
	int rc = transact(&r);
	if (rc != SQLITE_OK)
		store_rollback(r.store);
	finish(&r, rc == SQLITE_OK);
	if (rc == SQLITE_OK)
		tell_success(&r);
	else
		tell_failure(&r, rc);
}
