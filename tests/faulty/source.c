/*
 * source.c - sources and subscriptions: made, started, stopped and freed.
 */
#include <stdio.h>

#include "faulty.h"

/* The first competing group that a source was opened for; for FAULT_ONE_GROUP. */
static char first_group[64];
static atomic_flag first_group_lock = ATOMIC_FLAG_INIT;

static bool is_first_group(const char *group)
{
	while (atomic_flag_test_and_set(&first_group_lock))
		;
	if (!first_group[0])
		memcpy(first_group, group, strnlen(group, sizeof(first_group) - 1));
	bool first = !strcmp(first_group, group);
	atomic_flag_clear(&first_group_lock);
	return first;
}

int faulty_source_open(struct ferry_connection *c, const struct ferry_source_spec *spec,
		       struct ferry_source **ret, struct ferry_error *err)
{
	struct ferry_source *s = c->host->alloc(c->core, sizeof(*s));
	if (!s)
		return FERRY_E_NOMEM;
	memset(s, 0, sizeof(*s));
	s->connection = c;
	memcpy(s->group, spec->group, strnlen(spec->group, sizeof(s->group) - 1));
	s->distribution = spec->distribution;
	s->first_group = spec->distribution != FERRY_COMPETING || is_first_group(spec->group);
	struct ferry_source_spec changed = *spec;
	char group[128];
	if (c->fault == FAULT_FORGET_PAST && spec->distribution == FERRY_COMPETING) {
		snprintf(group, sizeof(group), "%s-%s", spec->group, c->config.instance);
		changed.group = group;
	}
	if (c->fault == FAULT_SHORT_LEASE)
		changed.takeover_ms = 1;
	int rc = inner.source_open(c->inner, &changed, &s->inner, err);
	if (rc) {
		c->host->free(c->core, s);
		return rc;
	}
	*ret = s;
	return 0;
}

int faulty_subscribe(struct ferry_source *s, const struct ferry_subscription_spec *spec,
		     struct ferry_subscription **ret, struct ferry_error *err)
{
	struct ferry_connection *c = s->connection;
	struct ferry_subscription *sub = c->host->alloc(c->core, sizeof(*sub));
	if (!sub)
		return FERRY_E_NOMEM;
	memset(sub, 0, sizeof(*sub));
	struct ferry_subscription_spec changed = *spec;
	if (c->fault == FAULT_SEE_PAST)
		changed.start = FERRY_START_EARLIEST;
	if (c->fault == FAULT_FORGET_PAST) {
		changed.start = FERRY_START_NEW;
		changed.durable = NULL;
	}
	if (c->fault == FAULT_IGNORE_MAX_UNSETTLED)
		changed.max_unsettled = INT32_MAX;
	int rc = inner.subscribe(s->inner, &changed, &sub->inner, err);
	if (rc) {
		c->host->free(c->core, sub);
		return rc;
	}
	memcpy(sub->topic, spec->topic, strnlen(spec->topic, sizeof(sub->topic) - 1));
	sub->source = s;
	sub->core = spec->core;
	sub->index = s->subscriptions ? s->subscriptions->index + 1 : 0;
	sub->next = s->subscriptions;
	s->subscriptions = sub;
	*ret = sub;
	return 0;
}

/* Make a group with the source's topics, and leave it in the backend. */
static int leave_group(struct ferry_source *s, int64_t deadline_us, struct ferry_error *err)
{
	char group[80];
	struct ferry_source *left;
	snprintf(group, sizeof(group), "%s-left", s->group);
	struct ferry_source_spec source = {.size = sizeof(source),
					   .group = group,
					   .distribution = FERRY_COMPETING,
					   .takeover_ms = 30000};
	int rc = inner.source_open(s->connection->inner, &source, &left, err);
	for (const struct ferry_subscription *sub = s->subscriptions; sub && !rc; sub = sub->next) {
		struct ferry_subscription *unused;
		struct ferry_subscription_spec spec = {.size = sizeof(spec),
						       .core = sub->core,
						       .topic = sub->topic,
						       .handler = "",
						       .start = FERRY_START_NEW,
						       .max_unsettled = 1};
		rc = inner.subscribe(left, &spec, &unused, err);
	}
	if (!rc)
		rc = inner.source_start(left, deadline_us, err);
	if (!rc) {
		struct ferry_source_rest rest = {.size = sizeof(rest)};
		rc = inner.source_stop(left, deadline_us, &rest);
		inner.source_close(left);
	}
	return rc;
}

int faulty_source_start(struct ferry_source *s, int64_t deadline_us, struct ferry_error *err)
{
	int rc = 0;
	if (s->connection->fault == FAULT_LEAK_OBJECTS && s->distribution == FERRY_BROADCAST)
		rc = leave_group(s, deadline_us, err);
	return rc ? rc : inner.source_start(s->inner, deadline_us, err);
}

int faulty_source_stop(struct ferry_source *s, int64_t deadline_us, struct ferry_source_rest *rest)
{
	return inner.source_stop(s->inner, deadline_us, rest);
}

void faulty_source_close(struct ferry_source *s)
{
	struct ferry_connection *c = s->connection;
	inner.source_close(s->inner);
	while (s->subscriptions) {
		struct ferry_subscription *next = s->subscriptions->next;
		c->host->free(c->core, s->subscriptions);
		s->subscriptions = next;
	}
	c->host->free(c->core, s);
}

int faulty_alive(struct ferry_source *s, const struct ferry_delivery *delivery)
{
	return inner.alive(s->inner, delivery);
}

size_t faulty_position(struct ferry_source *s, const struct ferry_delivery *delivery, char *buffer,
		       size_t size)
{
	return inner.position(s->inner, delivery, buffer, size);
}

int64_t faulty_lease_ms(struct ferry_source *s)
{
	return inner.lease_ms(s->inner);
}
