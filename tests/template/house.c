/*
 * house.c - house-keeping: cursors of readers, what the dead have left, records beyond `retain`.
 */
#include <stdio.h>

#include "round.h"

#define SWEEP_US      1000000 /* between two sweeps */
#define SWEEP_SOON_US 50000   /* the same, when some is left over */
#define TRIM_RECORDS  5000    /* deleted in one transaction, per topic */

/* Readers without a group say where they are, so that `retain` leaves them what they have not read. */
static int renew_cursors(struct round *r, struct ferry_source *source)
{
	int rc = SQLITE_OK;
	if (r->pacing < source->renew_at || source->leaving)
		return rc;
	for (struct ferry_subscription *s = source->subscriptions; s && rc == SQLITE_OK; s = s->next)
		if (s->passing)
			rc = store_cursor_put(r->store, s->topic, s->name, source->owner, s->next_seq,
					      r->wall_us + source->takeover_us);
	source->renew_at = r->pacing + source->takeover_us / 3;
	return rc;
}

static int trim(struct round *r)
{
	struct io *io = &r->c->io;
	int rc = SQLITE_OK;
	io->sweep_at = r->pacing + SWEEP_US;
	while (r->trimmed_count < TRIM_TOPICS) {
		struct trimmed *t = &r->trimmed[r->trimmed_count];
		int64_t over;
		rc = store_topic_over(r->store, io->trim_topic, r->c->retain, t->topic, sizeof t->topic,
				      &over);
		if (rc != SQLITE_OK)
			break;
		snprintf(io->trim_topic, sizeof io->trim_topic, "%s", t->topic);
		rc = store_trim(r->store, t->topic, over < TRIM_RECORDS ? over : TRIM_RECORDS, &t->count);
		if (rc != SQLITE_OK)
			break;
		if (t->count == TRIM_RECORDS)
			io->sweep_at = r->pacing + SWEEP_SOON_US;
		r->trimmed_count += t->count > 0;
	}
	if (rc == SQLITE_DONE) {
		io->trim_topic[0] = '\0';
		rc = SQLITE_OK;
	}
	return rc;
}

int house_keep(struct round *r)
{
	int rc = SQLITE_OK;
	for (struct ferry_source *source = r->sources; source && rc == SQLITE_OK; source = source->next)
		rc = renew_cursors(r, source);
	if (rc == SQLITE_OK && r->pacing >= r->c->io.sweep_at) {
		rc = store_sweep(r->store, r->wall_us);
		if (rc == SQLITE_OK)
			rc = trim(r);
	}
	return rc;
}
