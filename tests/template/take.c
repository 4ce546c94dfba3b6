/*
 * take.c - claiming messages for the fetches that wait.
 */
#include "round.h"

static int take_row(const struct stored *row, void *subscription)
{
	struct ferry_subscription *s = subscription;
	struct ferry_source *source = s->source;
	if (source->spare <= 0)
		return 1;
	struct claim *claim = claim_create(s, row);
	if (!claim) {
		source->error = FERRY_E_NOMEM;
		return 1;
	}
	*source->taken_end = claim;
	source->taken_end = &claim->next_work;
	source->spare -= (int64_t)claim->bytes;
	s->room--;
	s->reached = row->seq + 1;
	return 0;
}

/*
 * Claims of the dead, and what was handed back.  Our own are among them when their lease has run out: we may
 * not know of them (the commit that made them has reported an error).  With a manual clock time jumps, and
 * that means nothing.
 */
static int take_lapsed(struct round *r, struct ferry_subscription *s, int64_t limit)
{
	struct ferry_source *source = s->source;
	struct claim **first = source->taken_end;
	const char *except = r->c->config->manual_clock ? source->owner : "";
	int rc = store_each_lapsed(r->store, s->topic, s->name, except, r->wall_us, limit, take_row, s);
	for (struct claim *claim = *first; claim && rc == SQLITE_OK; claim = claim->next_work) {
		const struct store_claim key = {s->topic, s->name, claim->row.seq, claim->row.generation};
		rc = store_claim_take(r->store, &key, source->owner, r->wall_us + source->takeover_us);
		claim->row.generation++;
		claim->row.deliveries++;
	}
	s->reached = s->next_seq; /* nothing new was read */
	return rc;
}

/* Where the group stands; a group that somebody has deleted is made again where we have last seen it. */
static int read_group(struct round *r, struct ferry_subscription *s)
{
	int64_t next = s->next_seq;
	int rc = store_group_next(r->store, s->topic, s->name, &next);
	if (rc == SQLITE_DONE) {
		r->lost_group = s;
		rc = store_group_add(r->store, s->topic, s->name, next, r->wall_us);
	}
	s->next_seq = s->reached = next;
	return rc;
}

static int take_new(struct round *r, struct ferry_subscription *s, int64_t limit)
{
	struct ferry_source *source = s->source;
	struct claim **first = source->taken_end;
	int64_t unsettled = 0;
	int rc = read_group(r, s);
	if (rc == SQLITE_OK && s->max_unsettled != INT64_MAX)
		rc = store_claim_count(r->store, s->topic, s->name, &unsettled);
	if (limit > s->max_unsettled - unsettled)
		limit = s->max_unsettled - unsettled;
	if (rc != SQLITE_OK || limit <= 0)
		return rc;
	rc = store_each_new(r->store, s->topic, s->next_seq, limit, take_row, s);
	for (struct claim *claim = *first; claim && rc == SQLITE_OK; claim = claim->next_work) {
		claim->row.generation = 1;
		claim->row.deliveries = 1;
		const struct store_claim key = {s->topic, s->name, claim->row.seq, 1};
		rc = store_claim_add(r->store, &key, source->owner, r->wall_us + source->takeover_us);
	}
	if (rc == SQLITE_OK && s->reached != s->next_seq)
		rc = store_group_advance(r->store, s->topic, s->name, s->reached);
	return rc;
}

static int64_t limit_of(const struct ferry_source *source, const struct ferry_subscription *s)
{
	int64_t wanted = (int64_t)source->wanted;
	for (const struct claim *claim = source->taken; claim; claim = claim->next_work)
		wanted--;
	return wanted < s->room ? wanted : s->room;
}

static int serve_subscription(struct round *r, struct ferry_subscription *s)
{
	struct ferry_source *source = s->source;
	int64_t limit = limit_of(source, s);
	if (limit <= 0)
		return SQLITE_OK;
	if (s->passing)
		return store_each_new(r->store, s->topic, s->next_seq, limit, take_row, s);
	int rc = take_lapsed(r, s, limit);
	limit = limit_of(source, s);
	return rc == SQLITE_OK && limit > 0 ? take_new(r, s, limit) : rc;
}

/* Another subscription comes first each time. */
static int serve(struct round *r, struct ferry_source *source)
{
	struct ferry_subscription *s = source->turn ? source->turn : source->subscriptions;
	const struct ferry_subscription *first = s;
	int rc = SQLITE_OK;
	for (struct ferry_subscription *each = source->subscriptions; each; each = each->next)
		each->reached = each->next_seq;
	while (s && rc == SQLITE_OK) {
		rc = serve_subscription(r, s);
		s = s->next ? s->next : source->subscriptions;
		if (s == first)
			break;
	}
	source->turn = first ? first->next : NULL;
	return rc;
}

int take_all(struct round *r)
{
	int rc = SQLITE_OK;
	for (struct ferry_source *source = r->sources; source && rc == SQLITE_OK; source = source->next)
		if (source->serving)
			rc = serve(r, source);
	return rc;
}

/* Hand out what was claimed. [lock] */
void take_finish(struct round *r, struct ferry_source *source)
{
	struct claim *claim = source->taken;
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		if (source->serving)
			s->next_seq = s->reached;
		for (struct claim *left = s->claims; left && source->departing; left = left->next)
			left->lost = true;
	}
	while (claim) {
		struct claim *next = claim->next_work;
		claim->lease_until_us = r->now_us + source->takeover_us;
		claim_deliver(claim, source->deliveries[source->filled++], r->now_us, r->wall_us);
		claim = next;
	}
	source->left = source->left || source->departing;
}

/* Nothing was claimed after all. [lock] */
void take_undo(struct ferry_source *source, struct claim **dead)
{
	while (source->taken) {
		struct claim *claim = source->taken;
		source->taken = claim->next_work;
		claim_unref(claim, dead);
	}
}
