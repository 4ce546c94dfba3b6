/*
 * io.c - the I/O thread.  One round is one transaction:
 *
 *     publishes       what has piled up since the last round
 *     verdicts        likewise; then claims that somebody has asked us to give up
 *     departures      sources that stop: what they still have goes back
 *     claims          for each fetch that waits: what has lapsed, then what is new
 *     house-keeping   cursors of readers, records beyond `retain`
 *
 * Nothing is told to anybody before the commit has succeeded.  A round begins when there is a publish, a
 * fetch that was not looked at or a source that leaves; for verdicts alone after commit_interval, or at once
 * when a fetch waits; and when the file has changed or a lease may have run out (poll).
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "plugin.h"

#define LOOK_US       200000             /* between two looks for leases that have run out */
#define SWEEP_US      1000000            /* between two rounds of house-keeping */
#define SWEEP_SOON_US 50000              /* the same, when some is left over */
#define DOWN_AFTER_US 1000000            /* a file that is locked for so long is reported as down */
#define ROUND_BYTES   ((size_t)16 << 20) /* payloads in one transaction */
#define TRIM_RECORDS  5000               /* deleted in one transaction, per topic */
#define TRIM_TOPICS   4                  /* in one transaction */

enum stage { STAGE_BEGIN, STAGE_PUBLISH, STAGE_CLAIM, STAGE_COMMIT };

struct trimmed {
	char topic[256];
	int64_t count;
};

struct round {
	struct ferry_connection *c;
	struct store *store;
	struct ferry_source *sources;
	int64_t now_us, wall_us, pacing;
	size_t publishes; /* the front of the queue that is being stored */
	enum stage stage;
	struct ferry_subscription *lost_group; /* somebody has deleted it: made again */
	struct trimmed trimmed[TRIM_TOPICS];
	size_t trimmed_count;
};

/* ---- publishes ---- */

/* How many of the front go into one transaction. [lock] */
static size_t front(struct queue *queue)
{
	size_t bytes = 0, count = 0;
	while (count < queue->count && bytes < ROUND_BYTES)
		bytes += queue_at(queue, count++)->out->record.payload.size;
	return count;
}

static void set_result(struct ferry_outgoing *out, int result, int native_code, const char *reason)
{
	out->result = result;
	out->native_code = native_code;
	out->reason = reason;
}

/* SQLITE_OK also when this one message is refused: its result then says so. */
static int write_publish(struct round *r, struct ferry_outgoing *out)
{
	struct wire_headers *headers = &r->c->io.headers;
	const struct ferry_record *record = &out->record;
	const char *topic = ((const struct ferry_destination *)out->destination)->topic;
	if (wire_encode(headers, record, r->c->config->envelope == FERRY_ENVELOPE_COMPACT)) {
		set_result(out, FERRY_E_NOMEM, 0, "out of memory while writing the headers");
		return SQLITE_OK;
	}
	int rc = store_record_add(r->store, topic, record->wall_us, record->key,
				  (struct ferry_view){headers->bytes, headers->size}, record->payload);
	if (rc == SQLITE_TOOBIG) {
		set_result(out, FERRY_E_REJECTED, rc, "the message is larger than SQLite's limit for a row");
		return SQLITE_OK;
	}
	set_result(out, 0, 0, NULL);
	return rc;
}

static int write_publishes(struct round *r)
{
	int rc = SQLITE_OK;
	for (size_t i = 0; i < r->publishes && rc == SQLITE_OK; i++) {
		const struct queued *queued = queue_at(&r->c->queue, i);
		if (queued->out->deadline_us > r->now_us)
			rc = write_publish(r, queued->out);
		else
			set_result(queued->out, queued->unclear ? FERRY_E_UNKNOWN : FERRY_E_TIMEDOUT, 0,
				   "the deadline passed while the file could not be written");
	}
	return rc;
}

/* The transaction was not committed, or nobody knows. */
static void publishes_failed(struct round *r, int rc)
{
	struct ferry_connection *c = r->c;
	struct ferry_error why;
	int primary = rc & 0xFF;
	store_fail(r->store, c->config->path, rc, &why);
	snprintf(c->io.reason, sizeof c->io.reason, "%s", why.text);
	bool unclear = r->stage == STAGE_COMMIT && primary != SQLITE_BUSY && primary != SQLITE_FULL;
	bool refused = primary != SQLITE_BUSY && (r->stage == STAGE_PUBLISH || r->stage == STAGE_COMMIT);
	if (unclear && c->config->on_unknown == FERRY_UNKNOWN_RESEND) {
		pthread_mutex_lock(&c->lock);
		for (size_t i = 0; i < r->publishes; i++)
			queue_at(&c->queue, i)->unclear = true;
		pthread_mutex_unlock(&c->lock);
	} else if (refused) {
		const struct outcome outcome = {unclear ? FERRY_E_UNKNOWN : FERRY_E_REJECTED, rc,
						c->io.reason};
		queue_fail(c, r->publishes, &outcome);
	}
	queue_expire(c, c->io.reason);
}

/* ---- verdicts ---- */

/* Somebody wants claims of ours back (the table `revoke`). */
static int read_requests(struct round *r)
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
static void take_dirty(struct ferry_connection *c)
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
}

/*
 * What this round does, decided at one moment.  A verdict given before it is written; one given later finds
 * a revoked claim lost: there is no time in between, in which a verdict would be taken and not written.
 */
static void plan(struct round *r)
{
	struct ferry_connection *c = r->c;
	pthread_mutex_lock(&c->lock);
	take_dirty(c);
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

static int write_verdicts(struct round *r)
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

/* ---- claims ---- */

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

/* Claims of the dead, and what was handed back. */
static int take_lapsed(struct round *r, struct ferry_subscription *s, int64_t limit)
{
	struct ferry_source *source = s->source;
	struct claim **first = source->taken_end;
	int rc =
		store_each_lapsed(r->store, s->topic, s->name, source->owner, r->wall_us, limit, take_row, s);
	for (struct claim *claim = *first; claim && rc == SQLITE_OK; claim = claim->next_work) {
		const struct store_claim key = {s->topic, s->name, claim->row.seq, claim->row.generation};
		rc = store_claim_take(r->store, &key, source->owner, r->wall_us + source->takeover_us);
		claim->row.generation++;
		claim->row.deliveries++;
	}
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

static int serve_all(struct round *r)
{
	int rc = SQLITE_OK;
	for (struct ferry_source *source = r->sources; source && rc == SQLITE_OK; source = source->next)
		if (source->serving)
			rc = serve(r, source);
	return rc;
}

/* ---- house-keeping ---- */

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

static int keep_house(struct round *r)
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

/* ---- the end of a round ---- */

/* The work list is written. [lock] */
static void finish_verdicts(struct round *r, struct claim **dead)
{
	struct claim *claim = r->c->io.work;
	r->c->io.work = NULL;
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

/* Hand out what was claimed. [lock] */
static void finish_source(struct round *r, struct ferry_source *source)
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
static void undo_source(struct ferry_source *source, struct claim **dead)
{
	while (source->taken) {
		struct claim *claim = source->taken;
		source->taken = claim->next_work;
		claim_unref(claim, dead);
	}
}

static void finish(struct round *r, bool committed)
{
	struct ferry_connection *c = r->c;
	struct claim *dead = NULL;
	pthread_mutex_lock(&c->lock);
	if (committed)
		finish_verdicts(r, &dead);
	for (struct ferry_source *source = r->sources; source; source = source->next) {
		if (committed)
			finish_source(r, source);
		else
			undo_source(source, &dead);
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
	publishes_failed(r, rc);
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

/* ---- a round ---- */

static int transact(struct round *r)
{
	int rc = store_begin(r->store);
	r->stage = STAGE_PUBLISH;
	if (rc != SQLITE_OK) {
		r->stage = STAGE_BEGIN;
		return rc;
	}
	rc = write_publishes(r);
	if (rc != SQLITE_OK)
		return rc;
	r->stage = STAGE_CLAIM;
	rc = read_requests(r);
	if (rc != SQLITE_OK)
		return rc;
	plan(r);
	rc = write_verdicts(r);
	if (rc == SQLITE_OK)
		rc = serve_all(r);
	if (rc == SQLITE_OK)
		rc = keep_house(r);
	if (rc != SQLITE_OK)
		return rc;
	r->stage = STAGE_COMMIT;
	return store_commit(r->store);
}

static void round_run(struct ferry_connection *c, struct ferry_source *sources, size_t publishes)
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

/* ---- when ---- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* True when a round is due; else when to ask again. [lock] */
static bool is_due(const struct ferry_connection *c, int64_t now, int64_t *ret_until)
{
	bool waiting = c->stopping, urgent = c->queue.count > 0 || c->io.work;
	*ret_until = INT64_MAX;
	if (now < c->io.retry_at) {
		*ret_until = c->io.retry_at;
		return false;
	}
	for (const struct ferry_source *source = c->sources; source; source = source->next) {
		waiting = waiting || (source->wanted && !source->filled);
		urgent = urgent || source->fresh || (source->leaving && !source->left);
		if (!source->left)
			*ret_until = c->io.poll_at;
	}
	if (urgent || (c->dirty && (waiting || now >= c->write_at)))
		return true;
	if (c->dirty)
		*ret_until = earlier(*ret_until, c->write_at);
	return false;
}

/* Look at the file without the write lock: has somebody else committed, or is it time to look at leases? */
static bool poll(struct ferry_connection *c, int64_t now)
{
	struct io *io = &c->io;
	int64_t version = io->version;
	store_version(&io->store, &version);
	bool due = version != io->version || now >= io->look_at;
	io->version = version;
	io->poll_at = now + c->poll_us;
	if (due)
		io->look_at = now + LOOK_US;
	return due;
}

static bool has_ended(const struct ferry_connection *c, int64_t now)
{
	bool all_done = !c->queue.count && !c->dirty && !c->io.work;
	return c->stopping && (all_done || now >= c->stop_at);
}

/* Wait until a round is due; false: the thread must end. [lock] */
static bool wait_until_due(struct ferry_connection *c)
{
	for (;;) {
		int64_t now = pacing_us(), until;
		if (has_ended(c, now))
			return false;
		if (is_due(c, now, &until))
			return true;
		if (until == c->io.poll_at && now >= until) {
			pthread_mutex_unlock(&c->lock);
			bool due = poll(c, now);
			pthread_mutex_lock(&c->lock);
			if (due)
				return true;
			continue;
		}
		c->idle = true;
		pacing_wait(&c->wake, &c->lock, c->stopping ? earlier(until, c->stop_at) : until);
		c->idle = false;
	}
}

static void *io_main(void *connection)
{
	struct ferry_connection *c = connection;
	pthread_mutex_lock(&c->lock);
	while (wait_until_due(c)) {
		struct ferry_source *sources = c->sources;
		size_t publishes = front(&c->queue);
		c->in_round = true;
		pthread_mutex_unlock(&c->lock);
		round_run(c, sources, publishes);
		pthread_mutex_lock(&c->lock);
		c->in_round = false;
		pthread_cond_broadcast(&c->changed);
	}
	size_t left = c->queue.count;
	pthread_mutex_unlock(&c->lock);
	const struct outcome stopped = {.result = FERRY_E_TIMEDOUT,
					.reason =
						"the transport was stopped before the file could be written"};
	queue_fail(c, left, &stopped);
	return NULL;
}

int io_start(struct ferry_connection *c, struct ferry_error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&c->thread, NULL, io_main, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return fail(err, FERRY_E_NOMEM, "the I/O thread cannot be started: %s", strerror(rc));
	c->running = true;
	return 0;
}

void io_stop(struct ferry_connection *c, int64_t deadline_us)
{
	int64_t until = pacing_deadline(c, deadline_us);
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	c->stop_at = until;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	c->running = false;
}
