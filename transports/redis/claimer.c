/*
 * claimer.c - taking over what is idle: our own retries when their time has come, and what the dead have
 * left.
 *
 *     XAUTOCLAIM key group me takeover from COUNT n     takes, counts the delivery, and names what was
 * trimmed XPENDING key group id id 1                        for each: how often it was delivered
 *
 * XCLAIM would do for a known id, but it drops an entry that was trimmed without a word.
 */
#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis.h"

#define RETRIES_MAX  256 /* at once */
#define SCAN_MAX     128
#define NO_CREDIT_US 20000
#define AGAIN_US     2000 /* doubling */
#define TRIES_MAX    8
#define PAGE         500

static int64_t patience_from_now(const struct ferry_source *source)
{
	return real_us() + source->connection->target.patience_us;
}

static bool has_credit(const struct ferry_source *source)
{
	for (const struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		if (s->group && s->credit)
			return true;
	return false;
}

int64_t claimer_due(struct ferry_source *source)
{
	if (!has_credit(source))
		return INT64_MAX;
	pthread_mutex_lock(&source->lock);
	int64_t due = pauses_first(&source->due);
	if (source->given_back)
		source->scan_at = 0;
	pthread_mutex_unlock(&source->lock);
	return due < source->scan_at ? due : source->scan_at;
}

/* ---- entries that were trimmed ---- */

void claimer_bury_trimmed(struct bytes *out, const struct ferry_subscription *s, struct entry_id id,
			  const struct ferry_record *record)
{
	const struct ferry_connection *c = s->source->connection;
	const struct wire_format format = {.compact = c->compact, .make_stream = true};
	char position[ENTRY_ID_TEXT], name[512];
	const struct ferry_attribute attributes[] = {
		{"ferry-dlq-topic", s->topic},
		{"ferry-dlq-group", s->group},
		{"ferry-dlq-reason", "trimmed"},
		{"ferry-dlq-error", "the entry was trimmed or deleted unsettled"},
		{"ferry-dlq-source-pos", position},
	};
	entry_id_format(id, position);
	int size = snprintf(name, sizeof name, "%s/%s", s->topic, position);
	struct ferry_record dead = record ? *record : (struct ferry_record){.size = sizeof dead};
	if (!record) {
		dead.topic = (struct ferry_view){s->topic, strlen(s->topic)};
		dead.id = (struct ferry_view){name, (size_t)size};
		dead.wall_us = c->host->wall_us(c->core);
	}
	dead.attributes = attributes;
	dead.attribute_count = sizeof attributes / sizeof attributes[0];
	wire_write(out, &format, s->dlq_key, &dead);
	notice(c, FERRY_EVENT_NOTICE, FERRY_E_NOT_FOUND,
	       "%s: entry %s was trimmed or deleted before group %s had settled it: what is left of it is in "
	       "%s",
	       s->topic, position, s->group, s->dlq_key);
}

/* ---- claiming ---- */

/* What one run has claimed. */
struct haul {
	struct ferry_source *source;
	struct claim *first, **end;
	size_t count;
	int64_t lease_until;
	bool failed;
};

static void haul_entries(struct haul *haul, struct ferry_subscription *s, const struct reply *entries,
			 const struct pause *pause)
{
	for (size_t i = 0; reply_is_array(entries, i + 1); i++) {
		const struct reply *entry = entries->items[i];
		struct entry_id id;
		/* Redis 6.2 has nil where an entry was trimmed. */
		if (!reply_is_array(entry, 2) || !reply_is_array(entry->items[1], 0) ||
		    !entry_id_parse(entry->items[0]->text, &id))
			continue;
		struct claim *claim = claim_make(s, entry, 0, haul->lease_until);
		if (!claim)
			continue; /* it will be idle again */
		if (pause && !entry_id_compare(pause->id, claim->id))
			claim->first_failed_wall_us = pause->first_failed_wall_us;
		claim->next = NULL;
		*haul->end = claim;
		haul->end = &claim->next;
		haul->count++;
	}
}

/* A trimmed entry is named whoever has it: what is at work here has a body, and its verdict decides. */
static bool is_at_work(struct ferry_subscription *s, struct entry_id id)
{
	struct ferry_source *source = s->source;
	pthread_mutex_lock(&source->lock);
	bool found = claim_find(source, s, id) != NULL;
	pthread_mutex_unlock(&source->lock);
	return found;
}

/* [where to go on, entries, ids that were trimmed] */
static void haul_reply(struct haul *haul, struct ferry_subscription *s, const struct reply *reply,
		       const struct pause *pause, struct entry_id *ret_next)
{
	struct ferry_source *source = haul->source;
	if (reply_is_error(reply)) {
		if (fault_code(reply->text) == FERRY_E_UNREACHABLE)
			link_fail_reply(&source->reader, "claiming", reply);
		else if (fault_code(reply->text) == FERRY_E_NOT_FOUND)
			reader_misses_group(s);
		else
			reader_complain(source, reply);
		return;
	}
	if (!reply_is_array(reply, 2))
		return;
	if (ret_next && !entry_id_parse(reply->items[0]->text, ret_next))
		*ret_next = (struct entry_id){0, 0};
	haul_entries(haul, s, reply->items[1], pause);
	const struct reply *trimmed = reply->size > 2 ? reply->items[2] : NULL;
	for (size_t i = 0; reply_is_array(trimmed, i + 1); i++) {
		struct entry_id id;
		if (!entry_id_parse(trimmed->items[i]->text, &id) || is_at_work(s, id))
			continue;
		struct bytes *out = &source->trimmed;
		claimer_bury_trimmed(out, s, id, NULL);
		source->trimmed_count += !out->failed;
	}
}

static void write_autoclaim(struct ferry_source *source, const struct ferry_subscription *s,
			    struct entry_id from, uint32_t count)
{
	struct bytes *out = &source->reader.out;
	command_begin(out, 8);
	command_text(out, "XAUTOCLAIM");
	command_text(out, s->key);
	command_text(out, s->group);
	command_text(out, source->consumer);
	command_number(out, source->takeover_us / 1000);
	command_id(out, from);
	command_text(out, "COUNT");
	command_number(out, count);
}

/* It was not idle yet: the server's clock is another. Or somebody else has it. */
static void claim_again(struct ferry_source *source, struct pause *pause)
{
	pause->due = real_us() + ((int64_t)AGAIN_US << pause->tries);
	if (++pause->tries > TRIES_MAX)
		return;
	pthread_mutex_lock(&source->lock);
	(void)pauses_add(source->connection, &source->due, pause);
	pthread_mutex_unlock(&source->lock);
}

/* Our own retries: each is asked for by its id. */
static void claim_retries(struct haul *haul, size_t max)
{
	struct ferry_source *source = haul->source;
	struct pause pauses[RETRIES_MAX];
	size_t count = 0;
	int64_t now = real_us();
	pthread_mutex_lock(&source->lock);
	while (count < max && count < RETRIES_MAX && pauses_first(&source->due) <= now) {
		struct pause pause = pauses_take(&source->due);
		if (pause.subscription->credit > pause.subscription->asked) {
			pause.subscription->asked++;
			pauses[count++] = pause;
			continue;
		}
		pause.due = now + NO_CREDIT_US;
		(void)pauses_add(source->connection, &source->due, &pause);
	}
	pthread_mutex_unlock(&source->lock);
	for (size_t i = 0; i < count; i++)
		write_autoclaim(source, pauses[i].subscription, pauses[i].id, 1);
	link_flush(&source->reader);
	for (size_t i = 0; i < count; i++) {
		const struct reply *reply = link_await(&source->reader, -1, patience_from_now(source));
		if (!reply) {
			haul->failed = true;
			return; /* the scan finds them */
		}
		size_t before = haul->count;
		haul_reply(haul, pauses[i].subscription, reply, &pauses[i], NULL);
		if (haul->count == before)
			claim_again(source, &pauses[i]);
	}
}

/* [how many are pending, ...] */
static void note_pending(struct ferry_subscription *s, const struct reply *reply)
{
	if (!reply_is_array(reply, 1) || reply->items[0]->type != REDIS_REPLY_INTEGER)
		return;
	pthread_mutex_lock(&s->source->lock);
	s->pending = reply->items[0]->integer;
	pthread_mutex_unlock(&s->source->lock);
}

/* Strangers' entries, some from each stream; a stream with more is looked at again at once. */
static void scan(struct haul *haul)
{
	struct ferry_source *source = haul->source;
	const struct ferry_connection *c = source->connection;
	bool more = false;
	pthread_mutex_lock(&source->lock);
	source->given_back = false;
	pthread_mutex_unlock(&source->lock);
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		uint32_t wants = s->group && s->credit > s->asked ? s->credit - s->asked : 0;
		s->scanning = reader_fits(s, wants < SCAN_MAX ? wants : SCAN_MAX);
		if (!s->scanning)
			continue;
		write_autoclaim(source, s, s->scan, s->scanning);
		command(&source->reader.out, "XPENDING", s->key, s->group, NULL);
	}
	link_flush(&source->reader);
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		if (!s->scanning)
			continue;
		const struct reply *reply = link_await(&source->reader, -1, patience_from_now(source));
		if (reply)
			haul_reply(haul, s, reply, NULL, &s->scan);
		more = more || s->scan.ms || s->scan.seq;
		reply = reply ? link_await(&source->reader, -1, patience_from_now(source)) : NULL;
		if (!reply) {
			haul->failed = true;
			return;
		}
		note_pending(s, reply);
	}
	source->scan_at = more ? 0 : real_us() + c->claim_us;
}

/* How often each was delivered: [[id, consumer, idle, count]] */
static void count_deliveries(struct haul *haul)
{
	struct ferry_source *source = haul->source;
	struct bytes *out = &source->reader.out;
	char id[ENTRY_ID_TEXT];
	for (const struct claim *claim = haul->first; claim; claim = claim->next) {
		const struct ferry_subscription *s = claim->subscription;
		entry_id_format(claim->id, id);
		command(out, "XPENDING", s->key, s->group, id, id, "1", NULL);
	}
	link_flush(&source->reader);
	for (struct claim *claim = haul->first; claim; claim = claim->next) {
		const struct reply *reply = link_await(&source->reader, -1, patience_from_now(source));
		if (!reply) {
			haul->failed = true;
			return;
		}
		if (reply_is_array(reply, 1) && reply_is_array(reply->items[0], 4))
			claim->count = (uint32_t)reply->items[0]->items[3]->integer;
	}
}

static void hand_out(struct haul *haul, struct basket *basket)
{
	struct ferry_source *source = haul->source;
	while (haul->first) {
		struct claim *claim = haul->first;
		haul->first = claim->next;
		if (claim->count) {
			basket_add(basket, claim);
			continue;
		}
		/* The link was lost before its count came, or somebody settled it: it is found again, or
		 * gone. */
		pthread_mutex_lock(&source->lock);
		claim_forget(claim);
		claim_unref(claim);
		pthread_mutex_unlock(&source->lock);
	}
}

/* Dead letters for what was trimmed. */
static void write_trimmed(struct ferry_source *source)
{
	bytes_add(&source->reader.out, source->trimmed.data, source->trimmed.size);
	bytes_clear(&source->trimmed, 0);
	link_flush(&source->reader);
	for (; source->trimmed_count; source->trimmed_count--) {
		const struct reply *reply = link_await(&source->reader, -1, patience_from_now(source));
		if (!reply)
			break;
		if (reply_is_error(reply))
			reader_complain(source, reply);
	}
	source->trimmed_count = 0;
}

void claimer_run(struct ferry_source *source, struct basket *basket)
{
	struct haul haul = {.source = source, .lease_until = real_us() + source->takeover_us / 10 * 9};
	haul.end = &haul.first;
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next)
		s->asked = 0;
	claim_retries(&haul, basket->max);
	if (!haul.failed && real_us() >= source->scan_at && has_credit(source))
		scan(&haul);
	if (!haul.failed && haul.first)
		count_deliveries(&haul);
	if (!haul.failed && source->trimmed_count)
		write_trimmed(source);
	hand_out(&haul, basket);
}

/* ---- what we know nothing of ---- */

/* Look again at what we did not know: a verdict may have been on its way. Nobody but this thread adds to what
 * is ours, so what is still there is strange indeed. It is given back only if it still has not been touched
 * then: others may take what has been idle for long, and settle it. False without the link. */
static bool give_back_strange(struct ferry_subscription *s, struct link *link, const struct entry_id *ids,
			      size_t count, int64_t until)
{
	struct bytes give = {.host = s->source->connection->host, .core = s->source->connection->core};
	struct link to = {.out = give};
	size_t given = 0;
	char id[ENTRY_ID_TEXT];
	for (size_t i = 0; i < count; i++) {
		entry_id_format(ids[i], id);
		command(&link->out, "XPENDING", s->key, s->group, id, id, "1", s->source->consumer, NULL);
	}
	link_flush(link);
	for (size_t i = 0; i < count; i++) {
		const struct reply *reply = link_await(link, -1, until);
		if (!reply) {
			bytes_free(&to.out);
			return false;
		}
		if (!reply_is_array(reply, 1) || !reply_is_array(reply->items[0], 4))
			continue;
		struct reply **pending = reply->items[0]->items;
		verdict_give_back(&to, s, pending[2]->integer, ids[i], pending[3]->integer);
		given++;
	}
	bytes_add(&link->out, to.out.data, to.out.size);
	bytes_free(&to.out);
	link_flush(link);
	while (given && link_await(link, -1, until))
		given--;
	return !given;
}

/* A page of what the server thinks is ours; returns how many there were, or -1 without the link. */
static int reconcile_page(struct ferry_subscription *s, struct link *link, struct entry_id *from,
			  int64_t until, bool all)
{
	struct ferry_source *source = s->source;
	struct entry_id strange[PAGE];
	size_t count = 0;
	char begin[ENTRY_ID_TEXT + 1] = "-", page[16];
	if (from->ms || from->seq) {
		begin[0] = '(';
		entry_id_format(*from, begin + 1);
	}
	snprintf(page, sizeof page, "%d", PAGE);
	command(&link->out, "XPENDING", s->key, s->group, begin, "+", page, source->consumer, NULL);
	const struct reply *reply = link_call(link, -1, until);
	if (!reply)
		return -1;
	size_t entries = reply_is_array(reply, 0) && reply->size <= PAGE ? reply->size : 0;
	for (size_t i = 0; i < entries; i++) {
		const struct reply *entry = reply->items[i];
		if (!reply_is_array(entry, 4) || !entry_id_parse(entry->items[0]->text, from))
			continue;
		pthread_mutex_lock(&source->lock);
		bool known = !all && claim_find(source, s, *from);
		pthread_mutex_unlock(&source->lock);
		if (!known)
			strange[count++] = *from;
	}
	return give_back_strange(s, link, strange, count, until) ? (int)entries : -1;
}

bool claimer_reconcile(struct ferry_source *source, struct link *link, int64_t until, bool all)
{
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		struct entry_id from = {0, 0};
		int entries = s->group ? PAGE : 0;
		while (entries == PAGE)
			entries = reconcile_page(s, link, &from, until, all);
		if (entries < 0)
			return false;
	}
	return true;
}

bool claimer_leave(struct ferry_source *source, struct link *link, int64_t until)
{
	for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
		if (!s->group)
			continue;
		/* With a consumer goes all that is pending for it. */
		command(&link->out, "XPENDING", s->key, s->group, "-", "+", "1", source->consumer, NULL);
		const struct reply *rest = link_call(link, -1, until);
		if (!rest)
			return false;
		if (rest->size)
			continue;
		command(&link->out, "XGROUP", "DELCONSUMER", s->key, s->group, source->consumer, NULL);
		if (!link_call(link, -1, until))
			return false;
	}
	return true;
}

/* ---- groups that were deleted ---- */

/* What waits here for a retry is to be pending in the new group, too. What handlers have and what is parked
 * comes into it when its lease is renewed.  Where the group may be the old one after all, what is due is left
 * alone: others may have taken it. */
static void readmit_retries(struct ferry_subscription *s, struct link *link, bool all)
{
	int64_t now = real_us();
	struct ferry_source *source = s->source;
	size_t count = 0;
	pthread_mutex_lock(&source->lock);
	for (size_t i = 0; i < source->due.count; i++) {
		if (source->due.items[i].subscription != s || (!all && source->due.items[i].due <= now))
			continue;
		verdict_wait_again(link, &source->due.items[i]);
		count++;
	}
	pthread_mutex_unlock(&source->lock);
	link_flush(link);
	while (count-- && link_await(link, -1, patience_from_now(source)))
		;
}

/* Behind what was read; at the beginning of a stream that is new. */
static struct entry_id place_of(const struct ferry_subscription *s, struct link *link)
{
	struct entry_id last;
	command(&link->out, "XINFO", "STREAM", s->key, NULL);
	const struct reply *reply = link_call(link, -1, patience_from_now(s->source));
	const struct reply *id =
		reply && !reply_is_error(reply) ? reply_value(reply, "last-generated-id") : NULL;
	if (id && entry_id_parse(id->text, &last) && entry_id_compare(last, s->seen) < 0)
		return (struct entry_id){0, 0};
	return reply && reply_is_error(reply) && strstr(reply->text, "no such key") ? (struct entry_id){0, 0}
										    : s->seen;
}

/* What is ours is to be pending in the group as it is now: at once, for others may look at it. */
static void readmit(struct ferry_subscription *s, struct link *link, bool made)
{
	readmit_retries(s, link, made);
	claim_renew_all(s);
	io_wake(s->source->connection);
}

bool claimer_revive(struct ferry_source *source)
{
	const struct ferry_connection *c = source->connection;
	struct link *link = &source->reader;
	bool any = atomic_exchange(&source->group_missing, false), there = true;
	char id[ENTRY_ID_TEXT];
	if (c->config->provision != FERRY_PROVISION_AUTO)
		return !any;
	for (struct ferry_subscription *s = source->subscriptions; s && link->state == LINK_UP; s = s->next) {
		if (!s->group)
			continue;
		entry_id_format(place_of(s, link), id);
		command(&link->out, "XGROUP", "CREATE", s->key, s->group, id, "MKSTREAM", NULL);
		const struct reply *reply = link_call(link, -1, patience_from_now(source));
		if (!reply)
			continue;
		bool missing = atomic_exchange(&s->group_missing, false);
		bool made = reply->type == REDIS_REPLY_STATUS;
		there = there && (made || strstr(reply->text, "BUSYGROUP"));
		/* Somebody else may have made it again. */
		if (made || missing)
			readmit(s, link, made);
		if (made)
			notice(c, FERRY_EVENT_NOTICE, FERRY_E_NOT_FOUND,
			       "%s: the group %s was deleted; it is made again behind entry %s", s->topic,
			       s->group, id);
	}
	return there;
}
