/*
 * replay.c - sending dead letters back to where they failed.
 *
 * The dead-letter topic is read by a group of its own, so that the backend remembers what was replayed.  The
 * calling thread does everything: no handler, no worker.
 */
#include <stdio.h>
#include <string.h>

#include "dlq.h"
#include "life.h"
#include "names.h"
#include "options.h"
#include "publisher.h"
#include "subscribe.h"
#include "topic.h"
#include "verdict.h"

#define REPLAY_GROUP "ferry-replay"
#define REPLAY_BATCH 64
/* With a pumped transport: no dead letter for so long means that there are no more. */
#define REPLAY_QUIET_MS 1000

struct replay {
	struct ferry_bus *bus;
	struct ferry_replay_options o;
	struct ferry_replay_report report;
	struct group *group;
	struct subscription *subscription;
	int64_t deadline_us;          /* real time */
	char begin[32];               /* when the call began, as dead letters write it */
	struct message_queue skipped; /* given back at the end: earlier they would come again */
};

static void settle(struct replay *r, struct ferry_message *m, int verb)
{
	struct ferry_bus *bus = r->bus;
	struct ferry_settle settle = {.delivery = &m->delivery, .verb = verb, .attempt = m->attempt};
	lease_end(r->group, m);
	bus->api->settle(r->group->source, &settle, 1);
	message_set_phase(m, PHASE_ENDED);
	message_drop(bus, NULL, m);
}

static bool is_wanted(const struct replay *r, const struct ferry_message *m)
{
	const char *reason = message_attribute(m, "ferry-dlq-reason");
	if (r->o.reason && (!reason || strcmp(reason, r->o.reason) != 0))
		return false;
	if (r->o.id && strcmp(message_id(m), r->o.id) != 0)
		return false;
	return message_attribute(m, "ferry-dlq-topic") && message_attribute(m, "ferry-dlq-group");
}

/* Publish one dead letter to where it came from. */
static int send_back(struct replay *r, const struct ferry_message *m, struct ferry_error *err)
{
	struct ferry_bus *bus = r->bus;
	const struct ferry_record *dead = &m->delivery.record;
	const char *topic_name = message_attribute(m, "ferry-dlq-topic");
	const char *group = message_attribute(m, "ferry-dlq-group");
	struct topic *topic;
	int code = topic_get(bus, topic_name, strncmp(topic_name, "dlq.", 4) == 0, &topic, err);
	if (code)
		return code;
	struct ferry_attribute *attributes =
		alloc_bytes(bus->allocator, (dead->attribute_count + 1) * sizeof *attributes);
	if (!attributes)
		return fail_nomem(err, "replaying");
	size_t count = 0;
	for (size_t i = 0; i < dead->attribute_count; i++)
		if (strncmp(dead->attributes[i].name, "ferry-dlq-", 10) != 0 &&
		    strcmp(dead->attributes[i].name, "ferry-target-group") != 0)
			attributes[count++] = dead->attributes[i];
	attributes[count++] = (struct ferry_attribute){"ferry-target-group", group};

	char position[128], dedup[512];
	ferry_message_position(m, position, sizeof position);
	snprintf(dedup, sizeof dedup, "%s/%s/%s", message_id(m), group, position);
	struct ferry_record record = *dead;
	record.topic = (struct ferry_view){topic->name, strlen(topic->name)};
	record.attributes = attributes;
	record.attribute_count = count;
	code = publish_record(bus, topic, &record, (struct ferry_view){dedup, strlen(dedup)}, r->deadline_us,
			      err);
	alloc_free(bus->allocator, attributes);
	return code;
}

static int replay_one(struct replay *r, struct ferry_message *m, struct ferry_error *err)
{
	r->report.seen++;
	bool more = !r->o.max_count || r->report.replayed < r->o.max_count;
	if (!more || !is_wanted(r, m)) {
		r->report.skipped++;
		queue_push(&r->skipped, m);
		return 0;
	}
	if (r->o.dry_run == FERRY_ON) {
		r->report.replayed++;
		queue_push(&r->skipped, m);
		return 0;
	}
	int code = send_back(r, m, err);
	if (code) {
		queue_push(&r->skipped, m);
		return code;
	}
	settle(r, m, FERRY_SETTLE_ACK);
	r->report.replayed++;
	return 0;
}

/* The next dead letters; 0 when there are no more. */
static int fetch(struct replay *r, struct ferry_message **messages)
{
	struct ferry_bus *bus = r->bus;
	struct ferry_delivery *deliveries[REPLAY_BATCH];
	bool pumped = bus->api->thread_model == FERRY_PUMP;
	uint32_t count;
	struct ferry_message *first = message_pool_take(&bus->messages, REPLAY_BATCH, &count);
	for (uint32_t i = 0; i < count; i++, first = first->next) {
		messages[i] = first;
		message_prepare(first);
		deliveries[i] = &first->delivery;
	}
	if (pumped)
		bus->api->credit(r->subscription->plugin, count);
	int got = count ? bus->api->fetch(r->group->source, pumped ? NULL : r->subscription->plugin,
					  deliveries, count, REPLAY_QUIET_MS)
			: FERRY_E_NOMEM;
	for (uint32_t i = got > 0 ? (uint32_t)got : 0; i < count; i++)
		message_pool_give(&bus->messages, messages[i], messages[i]);
	for (int i = 0; i < got; i++) {
		message_adopt(messages[i]);
		lease_begin(r->group, messages[i]);
	}
	return got;
}

/* What waits for its turn stays ours. */
static void keep_leases(struct replay *r, int64_t *extended)
{
	int64_t now = clock_now(&r->bus->clock);
	if (r->group->lease_us && now - *extended >= r->group->lease_us) {
		lease_extend(r->group);
		*extended = now;
	}
}

/* RFC 3339 times in UTC of one length sort as text. */
static bool is_later(const struct ferry_message *m, const char *than)
{
	const char *failed = message_attribute(m, "ferry-dlq-last-failed");
	return failed && strcmp(failed, than) > 0;
}

static int run(struct replay *r, struct ferry_error *err)
{
	struct ferry_message *messages[REPLAY_BATCH];
	int64_t extended = clock_now(&r->bus->clock);
	for (;;) {
		if (atomic_load(&r->bus->stopping))
			return fail(err, FERRY_E_STATE, "replaying %s: the bus is stopped",
				    r->subscription->topic);
		int got = fetch(r, messages);
		if (got <= 0)
			return got ? fail(err, got, "reading %s: %s", r->subscription->topic,
					  ferry_error_text(got))
				   : 0;
		int code = 0;
		bool over = false;
		for (int i = 0; i < got; i++) {
			/* What fails again meanwhile is another dead letter: not ours to chase. */
			over = over || is_later(messages[i], r->begin);
			if (code || over)
				queue_push(&r->skipped, messages[i]);
			else
				code = replay_one(r, messages[i], err);
			keep_leases(r, &extended);
		}
		if (code || over)
			return code;
		if (clock_real() >= r->deadline_us)
			return fail(err, FERRY_E_TIMEDOUT, "replaying %s took longer than timeout_ms",
				    r->subscription->topic);
	}
}

static int open_source(struct replay *r, const char *topic, struct ferry_error *err)
{
	r->group = group_make(r->bus, REPLAY_GROUP, FERRY_COMPETING);
	if (!r->group || !(r->subscription = subscription_make(r->group, topic)))
		return fail_nomem(err, "replaying");
	r->subscription->order = FERRY_ORDER_NONE;
	r->subscription->start = FERRY_START_EARLIEST;
	int64_t left = r->deadline_us - clock_real();
	return group_begin(r->group, clock_now(&r->bus->clock) + (left > 0 ? left : 0), err);
}

static void close_source(struct replay *r)
{
	if (!r->group)
		return;
	struct message_queue back = {NULL, NULL, 0};
	for (struct ferry_message *m; (m = queue_pop(&r->skipped));)
		queue_push_front(&back, m);
	for (struct ferry_message *m; (m = queue_pop(&back));)
		settle(r, m, FERRY_SETTLE_HANDBACK);
	if (r->group->started) {
		struct ferry_source_rest rest = {.size = sizeof rest};
		int64_t deadline = clock_now(&r->bus->clock) + 5000000;
		(void)r->bus->api->source_stop(r->group->source, deadline, &rest);
	}
	if (r->group->source)
		r->bus->api->source_close(r->group->source);
	group_free(r->group);
}

int ferry_dlq_replay(struct ferry_bus *bus, const char *dlq_topic, const struct ferry_replay_options *options,
		     struct ferry_replay_report *report, struct ferry_error *err)
{
	int code = bus_guard(bus, err);
	struct replay r = {.bus = bus};
	if (!code)
		code = options_copy(&r.o, sizeof r.o, options, "ferry_replay_options", err);
	if (code)
		return code;
	if (!dlq_topic || !name_is_derived_topic(dlq_topic))
		return fail(err, FERRY_E_INVALID,
			    "ferry_dlq_replay: the dead-letter topic \"%.260s\" is not allowed",
			    dlq_topic ? dlq_topic : "(NULL)");
	if (r.o.reserved || (r.o.dry_run && r.o.dry_run != FERRY_ON && r.o.dry_run != FERRY_OFF))
		return fail(err, FERRY_E_INVALID,
			    "ferry_dlq_replay: dry_run must be FERRY_ON or FERRY_OFF, and reserved 0");
	if (r.o.timeout_ms < 0)
		return fail(err, FERRY_E_INVALID, "ferry_dlq_replay: timeout_ms is negative");
	if (inside.bus == bus)
		return fail(err, FERRY_E_DEADLOCK,
			    "ferry_dlq_replay: not from inside a handler or a completion");
	if (!bus_can(bus, FERRY_CAP_RETAIN))
		return fail(err, FERRY_E_UNSUPPORTED,
			    "replay needs the capability RETAIN, which transport %s does not have",
			    bus->api->name);
	r.deadline_us = deadline_after(clock_real(), r.o.timeout_ms ? r.o.timeout_ms : 30000);
	format_time(clock_wall(&bus->clock), r.begin);
	pthread_mutex_lock(&bus->replay_lock);
	if (atomic_load(&bus->state) != FERRY_STATE_READY || atomic_load(&bus->stopping))
		code = fail(err, FERRY_E_STATE, "ferry_dlq_replay needs a bus that is ready");
	if (!code)
		code = open_source(&r, dlq_topic, err);
	if (!code)
		code = run(&r, err);
	close_source(&r);
	pthread_mutex_unlock(&bus->replay_lock);
	if (report) {
		size_t size = report->size < sizeof r.report ? report->size : sizeof r.report;
		r.report.size = report->size;
		memcpy(report, &r.report, size);
	}
	return code;
}
