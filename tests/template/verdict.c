/*
 * verdict.c - writing what became of the claims.
 */
#include "round.h"

/* Somebody wants claims of ours back (the table `revoke`). */
int verdicts_read_requests(struct round *r)
{
	int rc = SQLITE_OK;
	for (struct ferry_source *source = r->sources; source && rc == SQLITE_OK; source = source->next) {
		bool any = false;
		if (!source->left)
			rc = store_revoke_asked(r->store, source->owner, NULL, NULL, &any);
		for (struct ferry_subscription *s = source->subscriptions; s && rc == SQLITE_OK;
		     s = s->next) {
			s->revoked = false;
			if (any)
				rc = store_revoke_asked(r->store, source->owner, s->topic, s->name,
							&s->revoked);
		}
	}
	return rc;
}

/* Move the dirty list to the work list, which may have entries left from a round that failed. [lock] */
void verdicts_take(struct ferry_connection *c)
{
	struct claim **end = &c->io.work;
	while (*end)
		end = &(*end)->next_work;
	for (struct claim *claim = c->dirty; claim; claim = claim->next_dirty) {
		claim->queued = false;
		claim->writing = claim->row;
		if (claim->doing) {
			claim->refs--; /* it is in the work list, with a reference of its own */
		} else {
			claim->next_work = NULL;
			*end = claim;
			end = &claim->next_work;
		}
		claim->doing |= claim->todo;
		claim->todo = 0;
	}
	c->dirty = NULL;
	c->dirty_end = &c->dirty;
	c->io.verdicts = c->verdicts;
}

static int write_verdict(struct round *r, struct claim *claim)
{
	const struct ferry_subscription *s = claim->subscription;
	const struct store_claim key = {s->topic, s->name, claim->row.seq, claim->row.generation};
	int64_t lease = r->wall_us + s->source->takeover_us;
	bool ours = true;
	int rc = SQLITE_OK;
	if (claim->doing & TODO_HOLD)
		rc = store_claim_hold(r->store, &key, &claim->writing, lease, &ours);
	else if (claim->doing & TODO_RENEW)
		rc = store_claim_renew(r->store, &key, lease, &ours);
	if (rc == SQLITE_OK && (claim->doing & TODO_END))
		rc = store_claim_end(r->store, &key, &ours);
	else if (rc == SQLITE_OK && (claim->doing & TODO_BACK))
		rc = store_claim_back(r->store, &key, &ours);
	claim->gone = !ours;
	return rc;
}

int verdicts_write(struct round *r)
{
	int rc = SQLITE_OK;
	for (struct claim *claim = r->c->io.work; claim && rc == SQLITE_OK; claim = claim->next_work)
		rc = write_verdict(r, claim);
	for (struct ferry_source *source = r->sources; source && rc == SQLITE_OK; source = source->next) {
		for (struct ferry_subscription *s = source->subscriptions; s && rc == SQLITE_OK; s = s->next)
			if (s->revoked)
				rc = store_revoke_do(r->store, source->owner, s->topic, s->name);
		if (source->departing && rc == SQLITE_OK)
			rc = store_leave(r->store, source->owner);
	}
	return rc;
}

/* The work list is written. [lock] */
void verdicts_finish(struct round *r, struct claim **dead)
{
	struct claim *claim = r->c->io.work;
	r->c->io.work = NULL;
	r->c->verdicts_written = r->c->io.verdicts;
	while (claim) {
		struct claim *next = claim->next_work;
		if (claim->gone)
			claim->lost = true;
		else if (claim->doing & (TODO_HOLD | TODO_RENEW))
			claim->lease_until_us = r->now_us + claim->subscription->source->takeover_us;
		claim->doing = 0;
		claim_unref(claim, dead);
		claim = next;
	}
}
