#include "dlq.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "publication.h"
#include "pool.h"
#include "route.h"
#include "suspect.h"
#include "verdict.h"

#define DEAD_ATTRIBUTES 11
#define ERROR_MAX       1024

/* What a dead letter adds to the original; lives until the message goes. */
struct dead_letter {
	uint32_t tries;
	size_t attribute_count;
	char attempts[12], first_failed[32], last_failed[32], position[128], host[65], dedup[512];
	char reason[24];
	char error[ERROR_MAX + 1];
	struct ferry_attribute attributes[]; /* the original's and ours */
};

void format_time(int64_t wall_us, char text[32])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	size_t used = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + used, 32 - used, ".%06dZ", (int)(wall_us % 1000000));
}

/* Attributes of an earlier dead letter or replay do not travel on. */
static bool is_ours(const char *name)
{
	return strncmp(name, "ferry-dlq-", 10) == 0 || strcmp(name, "ferry-target-group") == 0;
}

static struct dead_letter *dead_letter_make(struct ferry_bus *bus, const struct ferry_message *m,
					    const char *reason)
{
	const struct ferry_record *r = &m->delivery.record;
	const struct subscription *s = m->subscription;
	struct dead_letter *dead =
		alloc_zeroed(bus->allocator, sizeof *dead + (r->attribute_count + DEAD_ATTRIBUTES) *
								    sizeof dead->attributes[0]);
	if (!dead)
		return NULL;
	int64_t now = clock_wall(&bus->clock);
	snprintf(dead->reason, sizeof dead->reason, "%s", reason);
	snprintf(dead->error, sizeof dead->error, "%s", m->failure ? m->failure : "");
	snprintf(dead->attempts, sizeof dead->attempts, "%u", m->attempt);
	format_time(m->first_failed_wall_us ? m->first_failed_wall_us : now, dead->first_failed);
	format_time(now, dead->last_failed);
	ferry_message_position(m, dead->position, sizeof dead->position);
	gethostname(dead->host, sizeof dead->host - 1);
	snprintf(dead->dedup, sizeof dead->dedup, "%s/%s/%s", message_id(m), s->group->identity,
		 dead->position);

	size_t n = 0;
	for (size_t i = 0; i < r->attribute_count; i++)
		if (!is_ours(r->attributes[i].name))
			dead->attributes[n++] = r->attributes[i];
	const struct ferry_attribute added[DEAD_ATTRIBUTES] = {
		{"ferry-dlq-topic", s->topic},
		{"ferry-dlq-group", s->group->identity},
		{"ferry-dlq-handler", m->handler->name},
		{"ferry-dlq-reason", dead->reason},
		{"ferry-dlq-error", dead->error},
		{"ferry-dlq-attempts", dead->attempts},
		{"ferry-dlq-first-failed", dead->first_failed},
		{"ferry-dlq-last-failed", dead->last_failed},
		{"ferry-dlq-source-pos", dead->position},
		{"ferry-dlq-instance", bus->config.plugin.instance},
		{"ferry-dlq-host", dead->host},
	};
	memcpy(dead->attributes + n, added, sizeof added);
	dead->attribute_count = n + DEAD_ATTRIBUTES;
	return dead;
}

/* The DLQ cannot be reached now: the message waits, unsettled, and this step alone is tried again. */
static void try_later(struct ferry_bus *bus, struct ferry_message *m, const char *why)
{
	struct subscription *s = m->subscription;
	uint32_t tries = m->dead ? m->dead->tries++ : 0;
	int64_t delay_us = INT64_C(100000) << (tries < 10 ? tries : 10);
	if (delay_us > 60000000)
		delay_us = 60000000;
	bus_log(bus, FERRY_LOG_WARNING,
		"%s: message %s cannot be dead-lettered to %s, tried again in %lld ms: %s", s->topic,
		message_id(m), s->dlq_topic, (long long)(delay_us / 1000), why);
	pthread_mutex_lock(&s->lock);
	bool stopping = atomic_load(&bus->stopping);
	if (!stopping)
		hold_until(s, m, clock_now(&bus->clock) + delay_us, WAIT_DLQ);
	pthread_mutex_unlock(&s->lock);
	if (stopping)
		delivery_hand_back(bus, NULL, m);
	suspect_progress(bus);
}

void dead_letter_send(struct ferry_bus *bus, struct ferry_message *m)
{
	struct subscription *s = m->subscription;
	if (!m->dead)
		m->dead = dead_letter_make(bus, m, m->give_up_reason);
	message_touch(m);
	struct ferry_record record = m->delivery.record;
	struct publication *p = NULL;
	if (m->dead) {
		record.topic = (struct ferry_view){s->dlq_topic, strlen(s->dlq_topic)};
		record.attributes = m->dead->attributes;
		record.attribute_count = m->dead->attribute_count;
		p = publication_make(bus, PUBLICATION_DEAD, s->dlq, &record);
	}
	if (!p) {
		try_later(bus, m, "out of memory");
		return;
	}
	p->message = m;
	p->out.dedup_id = (struct ferry_view){m->dead->dedup, strlen(m->dead->dedup)};
	p->out.deadline_us = deadline_after(clock_now(&bus->clock), bus->config.publish_timeout_ms);
	/* The record's views are the message's and the dead letter's: they outlive the publication. */
	struct ferry_outgoing *out = &p->out;
	if (bus_can(bus, FERRY_CAP_ATOMIC_DLQ)) {
		bus->api->dead_letter(s->group->source, &m->delivery, out);
	} else if (bus->api->publish(bus->connection, &out, 1) != 1) {
		p->out.result = FERRY_E_AGAIN;
		p->out.reason = "the transport's queue is full";
		dead_letter_done(p);
		return;
	}
	if (bus_can(bus, FERRY_CAP_PUB_IMMEDIATE))
		dead_letter_done(p);
}

void dead_letter_begin(struct ferry_bus *bus, struct ferry_message *m, const char *reason)
{
	m->give_up_reason = reason;
	dead_letter_send(bus, m);
}

void dead_letter_done(struct publication *p)
{
	struct ferry_bus *bus = p->bus;
	struct ferry_message *m = p->message;
	int result = p->out.result;
	char why[200];
	snprintf(why, sizeof why, "%s", p->out.reason ? p->out.reason : ferry_error_text(result));
	struct topic *topic = p->topic;
	publication_free(p);

	bool atomic = bus_can(bus, FERRY_CAP_ATOMIC_DLQ);
	if (result == 0) {
		topic_count(bus, topic, 0);
		if (!atomic) {
			delivery_end(bus, NULL, m, FERRY_SETTLE_REJECT, 0, END_DEAD_LETTERED);
			return;
		}
		lease_end(m->subscription->group, m);
		m->kept = true;
		delivery_ended(bus, NULL, m, END_DEAD_LETTERED);
	} else if (atomic && result == FERRY_E_STALE) {
		lease_end(m->subscription->group, m);
		m->kept = true;
		delivery_ended(bus, NULL, m, END_STALE);
	} else {
		try_later(bus, m, why);
	}
}
