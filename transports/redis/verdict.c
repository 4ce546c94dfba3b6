/*
 * verdict.c - writing what was decided about claims, and keeping them ours.
 *
 *     XACK key group id ...                                            done
 *     XCLAIM key group me 0 id ... IDLE 0 JUSTID                       still at work
 *     XCLAIM key group ferry-waiting 0 id IDLE t RETRYCOUNT n JUSTID   claimable in takeover - t, as delivery
 * n + 1
 *
 * JUSTID, so that the server does not count a delivery.  FORCE, which makes an entry pending that is not,
 * only when the server has just said that it does not know an entry which is ours: its group is then another
 * one, or the entry was trimmed.  Else it would bring back what has been settled.  A retry whose delay is
 * longer than takeover cannot be said in one command (an entry cannot be idle for less than no time): it is
 * parked, that is kept at IDLE 0, until so much is left that it can.  When this process dies meanwhile, the
 * delay is shortened to takeover.
 */
#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis.h"

#define IDS_MAX         512 /* in one command */
#define NOTICE_EVERY_US 10000000
#define REVIVE_US       20000 /* before a verdict is tried again that has met no group */

/* ---- what was sent ---- */

static struct sent *sent_make(struct ferry_source *source, unsigned verb, struct ferry_subscription *s)
{
	struct sent *sent = host_zeroed(source->connection, sizeof *sent);
	if (!sent)
		return NULL;
	sent->verb = verb;
	sent->replies = 1;
	sent->subscription = s;
	sent->at = real_us();
	*source->sent_end = sent;
	source->sent_end = &sent->next;
	return sent;
}

static void sent_drop_first(struct ferry_source *source)
{
	struct sent *sent = source->sent;
	source->sent = sent->next;
	if (!source->sent)
		source->sent_end = &source->sent;
	host_free(source->connection, sent);
}

/* ---- commands ---- */

/* The server's clock ticks in milliseconds: one less, so that nobody finds it idle too early. */
static int64_t idle_ms(const struct ferry_source *source, int64_t remaining_us)
{
	int64_t idle = source->takeover_us / 1000;
	if (remaining_us > 0)
		idle = (source->takeover_us - remaining_us) / 1000 - 1;
	return idle > 0 ? idle : 0;
}

/* Whether the entry is to be pending if it is not, or how long nobody may have touched it. */
#define IN_ANY_CASE (-1)

/* XCLAIM of one entry that keeps its count of deliveries from being raised. */
static void write_claim(struct link *link, const struct ferry_subscription *s, const char *consumer,
			int64_t untouched_ms, struct entry_id id, int64_t idle, int64_t count)
{
	bool force = untouched_ms == IN_ANY_CASE;
	command_begin(&link->out, 9u + (count >= 0 ? 2 : 0) + (force ? 1 : 0));
	command_text(&link->out, "XCLAIM");
	command_text(&link->out, s->key);
	command_text(&link->out, s->group);
	command_text(&link->out, consumer);
	command_number(&link->out, force ? 0 : untouched_ms);
	command_id(&link->out, id);
	command_text(&link->out, "IDLE");
	command_number(&link->out, idle);
	if (count >= 0) {
		command_text(&link->out, "RETRYCOUNT");
		command_number(&link->out, count);
	}
	if (force)
		command_text(&link->out, "FORCE");
	command_text(&link->out, "JUSTID");
}

void verdict_wait_again(struct link *link, const struct pause *pause)
{
	write_claim(link, pause->subscription, WAITING_CONSUMER, IN_ANY_CASE, pause->id,
		    idle_ms(pause->subscription->source, pause->due - real_us()), pause->count);
}

void verdict_give_back(struct link *link, const struct ferry_subscription *s, int64_t untouched_ms,
		       struct entry_id id, int64_t count)
{
	write_claim(link, s, WAITING_CONSUMER, untouched_ms, id, s->source->takeover_us / 1000,
		    count > 0 ? count - 1 : 0);
}

/* XACK, or XCLAIM for the lease, of the first `count` of a list; returns the rest. [source.lock] */
static struct claim *write_many(struct ferry_source *source, struct sent *sent, struct claim *claims,
				size_t count)
{
	const struct ferry_subscription *s = sent->subscription;
	struct bytes *out = &source->control.out;
	bool ack = sent->verb == TODO_ACK;
	struct claim **last = &sent->claims;
	command_begin(out, count + (ack ? 3 : 8));
	command_text(out, ack ? "XACK" : "XCLAIM");
	command_text(out, s->key);
	command_text(out, s->group);
	if (!ack) {
		command_text(out, source->consumer);
		command_text(out, "0");
	}
	for (size_t i = 0; i < count; i++) {
		command_id(out, claims->id);
		*last = claims;
		last = &claims->next;
		claims = claims->next;
	}
	*last = NULL;
	if (!ack) {
		command_text(out, "IDLE");
		command_text(out, "0");
		command_text(out, "JUSTID");
	}
	return claims;
}

/* [source.lock] */
static void write_list(struct ferry_source *source, struct ferry_subscription *s, unsigned verb,
		       struct claim *claims, size_t count)
{
	while (claims) {
		size_t n = count < IDS_MAX ? count : IDS_MAX;
		struct sent *sent = sent_make(source, verb, s);
		if (!sent) { /* once more in the next round */
			struct claim *next = claims->next;
			claim_written(claims, true);
			claims = next;
			count--;
			continue;
		}
		claims = write_many(source, sent, claims, n);
		count -= n;
	}
}

/* What has been done already, its reply being lost, may have been touched by somebody since, who has it now.
 */
static int64_t untouched_ms(const struct claim *claim, int64_t now)
{
	int64_t doubtful_at = claim->doubtful_at, ms = doubtful_at ? (now - doubtful_at) / 1000 - 1 : 0;
	if (claim->force)
		return IN_ANY_CASE;
	return ms > 0 ? ms : 0;
}

/* A retry, a hand-back, a hold, or a renewal that has to be forced: a command of its own. [source.lock] */
static void write_one(struct ferry_source *source, struct claim *claim, int64_t now)
{
	struct ferry_subscription *s = claim->subscription;
	struct link *link = &source->control;
	unsigned verb = claim->doing & TODO_RETRY  ? TODO_RETRY
			: claim->doing & TODO_BACK ? TODO_BACK
			: claim->doing & TODO_HOLD ? TODO_HOLD
						   : TODO_RENEW;
	int64_t untouched = untouched_ms(claim, now);
	/* Too late: somebody else may have it. */
	if (claim_is_lost(claim, now)) {
		claim_forget(claim);
		claim_written(claim, false);
		return;
	}
	struct sent *sent = sent_make(source, verb, s);
	if (!sent) {
		claim_written(claim, true);
		return;
	}
	claim->next = NULL;
	sent->claims = claim;
	if (verb == TODO_RETRY)
		write_claim(link, s, WAITING_CONSUMER, untouched, claim->id,
			    idle_ms(source, claim->due - now), claim->count);
	else if (verb == TODO_BACK)
		verdict_give_back(link, s, untouched, claim->id, claim->count);
	else
		write_claim(link, s, source->consumer, untouched, claim->id, 0,
			    verb == TODO_HOLD ? (int64_t)claim->count - 1 : -1);
}

static void write_burial(struct ferry_source *source, struct claim *claim)
{
	struct sent *sent = sent_make(source, TODO_BURY, claim->subscription);
	if (!sent) {
		claim_written(claim, true);
		return;
	}
	claim->next = NULL;
	sent->claims = claim;
	sent->replies = claim->burial->whole ? 4 : 1;
	bytes_add(&source->control.out, claim->burial->commands.data, claim->burial->commands.size);
}

/* Sort a verdict to its kind. [source.lock] */
static void write_verdict(struct ferry_source *source, struct claim *claim, int64_t now)
{
	struct ferry_subscription *s = claim->subscription;
	claim->doing = claim->todo;
	claim->todo = 0;
	claim->queued = false;
	if (claim->doing & TODO_BURY) {
		write_burial(source, claim);
	} else if (claim->doing & TODO_ACK) {
		claim->next = s->acks;
		s->acks = claim;
		s->ack_count++;
	} else if (claim->doing == TODO_RENEW && !claim->force) {
		if (claim_is_lost(claim, now)) {
			claim_written(claim, false);
			return;
		}
		claim->next = s->renewals;
		s->renewals = claim;
		s->renewal_count++;
	} else {
		write_one(source, claim, now);
	}
}

/* Take a burial out of the dirty list. [source.lock] */
static void late_add(struct claim **late, struct claim *claim)
{
	claim->queued = false;
	claim->doing = claim->todo;
	claim->todo = 0;
	claim->next = *late;
	*late = claim;
}

/* They will not be written. [no lock] */
static void bury_late(struct ferry_source *source, struct claim *late, int result, const char *reason)
{
	for (struct claim *next; late; late = next) {
		next = late->next;
		claim_buried(late, result, reason);
		pthread_mutex_lock(&source->lock);
		claim_written(late, false);
		pthread_mutex_unlock(&source->lock);
	}
}

/* Everything that has been decided. */
static void write_all(struct ferry_source *source)
{
	int64_t now = real_us();
	struct claim *late = NULL;
	pthread_mutex_lock(&source->lock);
	struct claim *claim = source->dirty;
	source->dirty = NULL;
	source->dirty_end = &source->dirty;
	for (struct claim *next; claim; claim = next) {
		next = claim->next;
		if (claim->todo & TODO_BURY && claim_is_lost(claim, now))
			late_add(&late, claim);
		else
			write_verdict(source, claim, now);
	}
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		write_list(source, s, TODO_ACK, s->acks, s->ack_count);
		write_list(source, s, TODO_RENEW, s->renewals, s->renewal_count);
		s->acks = s->renewals = NULL;
		s->ack_count = s->renewal_count = 0;
	}
	bool unblock = source->unblock && source->reader_id;
	int64_t reader = source->reader_id;
	source->unblock = false;
	pthread_mutex_unlock(&source->lock);
	bury_late(source, late, FERRY_E_STALE, NULL);
	if (unblock && sent_make(source, SENT_OTHER, NULL)) {
		char id[24];
		snprintf(id, sizeof id, "%lld", (long long)reader);
		command(&source->control.out, "CLIENT", "UNBLOCK", id, NULL);
	}
}

/* ---- parked retries ---- */

/* What nobody has renewed in time may be somebody else's now, or settled. */
static bool is_parked_here(const struct pause *pause, const struct ferry_subscription *s, int64_t now)
{
	return pause->subscription == s && now < pause->lease_until;
}

static void write_parked(struct ferry_source *source, struct ferry_subscription *s, int64_t now)
{
	struct bytes *out = &source->control.out;
	size_t count = 0, left;
	for (size_t i = 0; i < source->parked.count; i++)
		count += is_parked_here(&source->parked.items[i], s, now);
	size_t i = 0;
	for (; count; count -= left) {
		left = count < IDS_MAX ? count : IDS_MAX;
		if (!sent_make(source, SENT_PARK, s))
			return;
		command_begin(out, 9 + left);
		command_text(out, "XCLAIM");
		command_text(out, s->key);
		command_text(out, s->group);
		command_text(out, WAITING_CONSUMER);
		command_text(out, "0");
		for (size_t n = 0; n < left; i++) {
			if (!is_parked_here(&source->parked.items[i], s, now))
				continue;
			command_id(out, source->parked.items[i].id);
			n++;
		}
		command_text(out, "IDLE");
		command_text(out, "0");
		command_text(out, "FORCE");
		command_text(out, "JUSTID");
	}
}

/* Those of which so little is left that the server can do the rest. */
static void unpark(struct ferry_source *source, int64_t now)
{
	while (pauses_first(&source->parked) - source->takeover_us <= now) {
		struct pause pause = pauses_take(&source->parked);
		struct sent *sent =
			now < pause.lease_until ? sent_make(source, SENT_UNPARK, pause.subscription) : NULL;
		if (!sent)
			continue; /* whoever looks for idle entries finds it */
		int64_t left = pause.due - now;
		write_claim(&source->control, pause.subscription, WAITING_CONSUMER, IN_ANY_CASE, pause.id,
			    idle_ms(source, left), pause.count);
		sent->pause = pause;
		sent->pause.due = left > 0 ? left : 0; /* from the reply on */
	}
}

static void run_parked(struct ferry_source *source)
{
	int64_t now = real_us();
	if (!source->parked.count || now < source->park_at)
		return;
	source->park_at = now + source->takeover_us / 3;
	unpark(source, now);
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		if (s->group)
			write_parked(source, s, now);
}

/* ---- replies ---- */

static void notice_sometimes(struct ferry_source *source, const struct sent *sent, const char *reply)
{
	int64_t now = real_us();
	struct ferry_error why;
	char about[300];
	if (now < source->noticed_at)
		return;
	source->noticed_at = now + NOTICE_EVERY_US;
	snprintf(about, sizeof about, "%s: a verdict cannot be written",
		 sent->subscription ? sent->subscription->topic : source->group);
	fault_reply(&why, about, reply);
	source->connection->host->event(source->connection->core, FERRY_EVENT_NOTICE, &why);
}

/* From now on the server lets it be claimed in `left`. */
static void wait_for_retry(struct ferry_source *source, struct pause *pause, int64_t left)
{
	pause->due = real_us() + left + (left ? 2000 : 0);
	pthread_mutex_lock(&source->lock);
	bool first = pause->due < pauses_first(&source->due);
	(void)pauses_add(source->connection, &source->due, pause);
	pthread_mutex_unlock(&source->lock);
	if (first)
		redis_wakeup(source);
}

static void retry_is_written(struct ferry_source *source, const struct sent *sent, struct claim *claim,
			     int64_t doubtful_at)
{
	struct pause pause = {.subscription = claim->subscription,
			      .id = claim->id,
			      .count = claim->count,
			      .first_failed_wall_us = claim->first_failed_wall_us,
			      .due = claim->due,
			      .lease_until =
				      (doubtful_at ? doubtful_at : sent->at) + source->takeover_us / 10 * 9};
	int64_t left = claim->due - sent->at;
	if (left <= source->takeover_us) {
		wait_for_retry(source, &pause, left > 0 ? left : 0);
	} else if (pauses_add(source->connection, &source->parked, &pause) && source->parked.count == 1) {
		source->park_at = real_us() + source->takeover_us / 3;
	}
}

/* With FORCE only an entry that the stream has no more cannot be claimed: somebody has trimmed too much. Its
 * message, which is still here, becomes a dead letter. */
static void save_trimmed(struct ferry_source *source, struct claim *claim)
{
	if (sent_make(source, SENT_OTHER, claim->subscription))
		claimer_bury_trimmed(&source->control.out, claim->subscription, claim->id, &claim->record);
}

/* Whether the group, which was deleted, will be there again: then it is written once more. */
static bool comes_again(struct ferry_source *source, const struct sent *sent, const struct reply *reply)
{
	if (!reply_is_error(reply) || fault_code(reply->text) != FERRY_E_NOT_FOUND ||
	    sent->verb == TODO_ACK || source->connection->config->provision != FERRY_PROVISION_AUTO)
		return false;
	source->write_at = real_us() + REVIVE_US;
	reader_misses_group(sent->subscription);
	redis_wakeup(source);
	return true;
}

/* The ids of a reply come in the order in which they were asked for. */
static bool is_named(const struct reply *reply, size_t *at, struct entry_id id)
{
	struct entry_id named;
	if (!reply_is_array(reply, *at + 1) || !entry_id_parse(reply->items[*at]->text, &named) ||
	    entry_id_compare(named, id) != 0)
		return false;
	++*at;
	return true;
}

/* The server does not know what is ours.  True when it is to be said again, with FORCE. [no lock] */
static bool is_unknown(struct ferry_source *source, const struct sent *sent, struct claim *claim,
		       int64_t doubtful_at)
{
	bool final = sent->verb & (TODO_RETRY | TODO_BACK);
	/* It has been done before, and by now somebody has it. */
	if (final && doubtful_at)
		return false;
	if (claim->force && final)
		save_trimmed(source, claim);
	if (claim->force)
		return false;
	claim->force = true;
	/* What waits for a retry may be unknown, too. */
	if (source->connection->config->provision == FERRY_PROVISION_AUTO) {
		reader_misses_group(sent->subscription);
		redis_wakeup(source);
	}
	return true;
}

/* [no lock] */
static void handle_claims(struct ferry_source *source, struct sent *sent, const struct reply *reply)
{
	bool error = reply_is_error(reply), comes = comes_again(source, sent, reply);
	size_t at = 0;
	for (struct claim *claim = sent->claims, *next; claim; claim = next) {
		next = claim->next;
		bool unknown = sent->verb != TODO_ACK && !error && !is_named(reply, &at, claim->id);
		int64_t doubtful_at = claim->doubtful_at; /* redis-io is not alone with it */
		bool again = unknown ? is_unknown(source, sent, claim, doubtful_at) : comes;
		if (sent->verb == TODO_RETRY && !error && !again && (!unknown || doubtful_at))
			retry_is_written(source, sent, claim, doubtful_at);
		pthread_mutex_lock(&source->lock);
		if (!error && (sent->verb == TODO_RENEW || sent->verb == TODO_HOLD))
			atomic_store_explicit(&claim->lease_until, sent->at + source->takeover_us / 10 * 9,
					      memory_order_relaxed);
		claim->force = claim->force && unknown;
		if (again)
			claim->doubtful_at = 0;
		if (sent->verb & TODO_FINAL && !again)
			claim_forget(claim);
		source->given_back = source->given_back || sent->verb == TODO_BACK;
		claim_written(claim, again);
		pthread_mutex_unlock(&source->lock);
	}
}

/* `due` is what was left. */
static void park_again(struct ferry_source *source, struct pause *pause)
{
	pause->due += real_us();
	(void)pauses_add(source->connection, &source->parked, pause);
	source->park_at = real_us() + REVIVE_US;
}

static void parked_are_ours(struct ferry_source *source, const struct sent *sent)
{
	for (size_t i = 0; i < source->parked.count; i++)
		if (is_parked_here(&source->parked.items[i], sent->subscription, sent->at))
			source->parked.items[i].lease_until = sent->at + source->takeover_us / 10 * 9;
}

/* The last of a burial's replies: [id of the dead letter, how many were acknowledged], or the id alone. */
static void handle_burial(struct ferry_source *source, struct sent *sent, const struct reply *reply)
{
	struct claim *claim = sent->claims;
	const struct reply *added =
		claim->burial->whole && reply_is_array(reply, 1) ? reply->items[0] : reply;
	char text[400] = "";
	struct ferry_error why;
	int result = 0;
	if (reply_is_error(added) || *sent->failure) {
		result = fault_reply(&why, claim->burial->out->destination->key,
				     *sent->failure ? sent->failure : added->text);
		snprintf(text, sizeof text, "%.399s", why.text);
	} else if (added->type != REDIS_REPLY_STRING) {
		result = FERRY_E_NOT_FOUND;
		snprintf(text, sizeof text, "the stream %s does not exist, and only provision=auto makes it",
			 claim->burial->out->destination->key);
	}
	claim_buried(claim, result, *text ? text : NULL);
	pthread_mutex_lock(&source->lock);
	claim_written(claim, false);
	pthread_mutex_unlock(&source->lock);
}

/* Verdicts are kept, and said again on the next link.  A publish is refused while the disk is full. */
static bool is_passing(const char *error)
{
	return fault_code(error) == FERRY_E_UNREACHABLE || !strncmp(error, "MISCONF", strlen("MISCONF"));
}

static void handle_reply(struct ferry_source *source, const struct reply *reply)
{
	struct sent *sent = source->sent;
	if (!sent) {
		link_fail(&source->control, FERRY_E_BROKER, "a reply came that nobody has asked for");
		return;
	}
	if (reply_is_error(reply) && is_passing(reply->text)) {
		link_fail_reply(&source->control, "settling", reply);
		return;
	}
	if (--sent->replies) {
		if (reply_is_error(reply) && !*sent->failure)
			snprintf(sent->failure, sizeof sent->failure, "%s", reply->text);
		return;
	}
	if (sent->verb == TODO_BURY) {
		handle_burial(source, sent, reply);
	} else {
		if (reply_is_error(reply) && sent->verb != SENT_OTHER)
			notice_sometimes(source, sent, reply->text);
		if (sent->verb == SENT_UNPARK && comes_again(source, sent, reply))
			park_again(source, &sent->pause);
		else if (sent->verb == SENT_UNPARK && !reply_is_error(reply))
			wait_for_retry(source, &sent->pause, sent->pause.due);
		else if (sent->verb == SENT_PARK && !reply_is_error(reply))
			parked_are_ours(source, sent);
		else if (sent->claims)
			handle_claims(source, sent, reply);
	}
	sent_drop_first(source);
}

static void receive_all(struct ferry_source *source)
{
	const struct reply *reply;
	if (!link_receive(&source->control))
		return;
	while (source->control.state == LINK_UP && (reply = link_next(&source->control)))
		handle_reply(source, reply);
}

/* ---- the link comes and goes ---- */

/* What has no reply is written again: each of these commands may be done twice. */
static void requeue_all(struct ferry_source *source)
{
	while (source->sent) {
		struct sent *sent = source->sent;
		pthread_mutex_lock(&source->lock);
		for (struct claim *claim = sent->claims, *next; claim; claim = next) {
			next = claim->next;
			if (!claim->doubtful_at && (sent->verb == TODO_RETRY || sent->verb == TODO_BACK))
				claim->doubtful_at = sent->at;
			claim_written(claim, true);
		}
		pthread_mutex_unlock(&source->lock);
		if (sent->verb == SENT_UNPARK)
			park_again(source, &sent->pause);
		sent_drop_first(source);
	}
}

/* Dead letters that wait for the link longer than they may. */
static void expire_burials(struct ferry_source *source)
{
	const struct ferry_connection *c = source->connection;
	int64_t now = c->host->now_us(c->core);
	struct claim *late = NULL;
	pthread_mutex_lock(&source->lock);
	struct claim **link = &source->dirty;
	while (*link) {
		struct claim *claim = *link;
		if (!(claim->todo & TODO_BURY) || claim->burial->out->deadline_us > now) {
			link = &claim->next;
			continue;
		}
		*link = claim->next;
		late_add(&late, claim);
	}
	source->dirty_end = link;
	pthread_mutex_unlock(&source->lock);
	bury_late(source, late, FERRY_E_UNKNOWN, source->control.why.text);
}

static void keep_up(struct ferry_source *source)
{
	struct link *link = &source->control;
	bool wanted = atomic_exchange(&source->control_wanted, false);
	if (link->state == LINK_DOWN && (wanted || real_us() >= link->retry_at))
		link_begin(link);
	if (link->state != LINK_DOWN && link->state != LINK_UP)
		link_step(link);
}

static bool is_impatient(struct ferry_source *source)
{
	const struct sent *sent = source->sent;
	int64_t patience = source->connection->target.patience_us;
	if (source->control.state != LINK_UP || !sent || real_us() < sent->at + patience)
		return false;
	link_fail(&source->control, FERRY_E_UNREACHABLE, "no reply within %lld ms",
		  (long long)(patience / 1000));
	return true;
}

int64_t verdict_run(struct ferry_source *source)
{
	struct link *link = &source->control;
	int64_t until = INT64_MAX;
	keep_up(source);
	if (link->state == LINK_UP) {
		receive_all(source);
		if (link->state == LINK_UP) {
			run_parked(source);
			if (real_us() >= source->write_at)
				write_all(source);
			link_flush(link);
		}
		(void)is_impatient(source);
	}
	if (link->state == LINK_DOWN) {
		requeue_all(source);
		expire_burials(source);
		return link->retry_at;
	}
	if (link->state != LINK_UP)
		return link->give_up_at;
	if (source->sent)
		until = source->sent->at + source->connection->target.patience_us;
	if (source->parked.count && source->park_at < until)
		until = source->park_at;
	if (source->write_at > real_us() && source->write_at < until)
		until = source->write_at;
	return until;
}

void verdict_abandon(struct ferry_source *source)
{
	requeue_all(source);
	pthread_mutex_lock(&source->lock);
	while (source->dirty) {
		struct claim *claim = source->dirty;
		source->dirty = claim->next;
		claim->todo = claim->doing = 0;
		claim_written(claim, false);
	}
	source->dirty_end = &source->dirty;
	pthread_mutex_unlock(&source->lock);
}
