#include "subscribe.h"

#include <stdio.h>
#include <string.h>

#include "host.h"
#include "names.h"
#include "options.h"
#include "topic.h"

/* ---- objects ---- */

struct group *group_make(struct ferry_bus *bus, const char *name, int32_t distribution)
{
	const struct ferry_allocator *a = bus->allocator;
	struct group *g = alloc_zeroed(a, sizeof *g);
	if (!g)
		return NULL;
	g->bus = bus;
	g->distribution = distribution;
	const char *prefix = distribution == FERRY_BROADCAST ? "broadcast:" : "";
	size_t size = strlen(prefix) + strlen(name) + 1;
	g->name = alloc_string(a, name);
	g->identity = alloc_bytes(a, size);
	if (!g->name || !g->identity || pthread_mutex_init(&g->lock, NULL)) {
		alloc_free(a, g->name);
		alloc_free(a, g->identity);
		alloc_free(a, g);
		return NULL;
	}
	snprintf(g->identity, size, "%s%s", prefix, name);
	return g;
}

static void handler_free(const struct ferry_allocator *a, struct handler *h)
{
	for (struct ferry_attribute *f = h->filter; f && f->name; f++) {
		alloc_free(a, f->name);
		alloc_free(a, f->value);
	}
	alloc_free(a, h->filter);
	alloc_free(a, h->name);
	alloc_free(a, h);
}

static void subscription_free(const struct ferry_allocator *a, struct subscription *s)
{
	while (s->handlers) {
		struct handler *h = s->handlers;
		s->handlers = h->next;
		handler_free(a, h);
	}
	pthread_mutex_destroy(&s->lock);
	alloc_free(a, s->lanes);
	alloc_free(a, s->durable);
	alloc_free(a, s->dlq_topic);
	alloc_free(a, s->topic);
	alloc_free(a, s);
}

void group_free(struct group *g)
{
	const struct ferry_allocator *a = g->bus->allocator;
	while (g->subscriptions) {
		struct subscription *s = g->subscriptions;
		g->subscriptions = s->next;
		subscription_free(a, s);
	}
	pthread_mutex_destroy(&g->lock);
	alloc_free(a, g->identity);
	alloc_free(a, g->name);
	alloc_free(a, g);
}

struct subscription *subscription_make(struct group *g, const char *topic)
{
	const struct ferry_allocator *a = g->bus->allocator;
	struct subscription *s = alloc_zeroed(a, sizeof *s);
	if (!s)
		return NULL;
	s->group = g;
	s->wake.fire = host_wake_over;
	s->topic = alloc_string(a, topic);
	if (!s->topic || pthread_mutex_init(&s->lock, NULL)) {
		alloc_free(a, s->topic);
		alloc_free(a, s);
		return NULL;
	}
	struct subscription **link = &g->subscriptions;
	while (*link)
		link = &(*link)->next;
	*link = s;
	g->subscription_count++;
	return s;
}

static void subscription_remove(struct subscription *s)
{
	struct subscription **link = &s->group->subscriptions;
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	s->group->subscription_count--;
	subscription_free(s->group->bus->allocator, s);
}

/* ---- checking the options ---- */

struct wish {
	const char *topic;
	const char *group;
	const char *dlq_topic;
	char derived_dlq[NAME_DERIVED_MAX + 1];
	struct ferry_handler_options o; /* with every default filled in */
};

struct range {
	const char *name;
	int32_t *value;
	int32_t fallback, min, max;
	bool none; /* FERRY_NONE is allowed */
};

static int check_ranges(const struct wish *w, struct range *ranges, size_t count, struct ferry_error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct range *r = &ranges[i];
		if (*r->value == 0)
			*r->value = r->fallback;
		else if (*r->value == FERRY_NONE && r->none)
			continue;
		else if (*r->value < r->min || *r->value > r->max)
			return fail(err, FERRY_E_INVALID, "%s: %s is %d: it must be from %d to %d%s",
				    w->topic, r->name, *r->value, r->min, r->max,
				    r->none ? ", or FERRY_NONE" : "");
	}
	return 0;
}

static bool topic_is_dlq(const char *topic)
{
	return strncmp(topic, "dlq.", 4) == 0;
}

static int check_numbers(struct wish *w, struct ferry_error *err)
{
	struct ferry_handler_options *o = &w->o;
	struct range first[] = {
		{"distribution", &o->distribution, FERRY_COMPETING, FERRY_COMPETING, FERRY_BROADCAST, false},
		{"ack", &o->ack, FERRY_ACK_AUTO, FERRY_ACK_AUTO, FERRY_ACK_MANUAL, false},
		{"order", &o->order, FERRY_ORDER_NONE, FERRY_ORDER_NONE, FERRY_ORDER_PARTITION, false},
		{"start", &o->start, FERRY_START_NEW, FERRY_START_NEW, FERRY_START_EARLIEST, false},
		{"dlq", &o->dlq, !o->dlq_topic && topic_is_dlq(w->topic) ? FERRY_OFF : FERRY_ON, FERRY_OFF,
		 FERRY_ON, false},
		{"concurrency", &o->concurrency, 1, 1, 256, false},
		{"max_retries", &o->max_retries, 10, 1, 1000000, true},
		{"initial_backoff_ms", &o->initial_backoff_ms, 1000, 1, INT32_MAX, true},
		{"max_backoff_ms", &o->max_backoff_ms, 60000, 1, INT32_MAX, false},
		{"jitter_percent", &o->jitter_percent, FERRY_NONE, 1, 100, true},
		{"timeout_ms", &o->timeout_ms, 30000, 1, INT32_MAX, true},
		{"max_unsettled", &o->max_unsettled, 10000, 1, 10000000, true},
	};
	int code = check_ranges(w, first, sizeof first / sizeof first[0], err);
	if (code)
		return code;
	if (o->reserved)
		return fail(err, FERRY_E_INVALID, "%s: a reserved field of the handler's options is not 0",
			    w->topic);
	int32_t retries = o->max_retries == FERRY_NONE ? 0 : o->max_retries;
	struct range deliveries = {"max_deliveries", &o->max_deliveries, retries + 6,
				   retries + 1,      INT32_MAX,          false};
	return check_ranges(w, &deliveries, 1, err);
}

static int check_filter(const struct wish *w, struct ferry_error *err)
{
	for (const struct ferry_attribute *f = w->o.filter; f && f->name; f++) {
		if (!name_is_attribute(f->name) || name_is_reserved_attribute(f->name))
			return fail(err, FERRY_E_INVALID,
				    "%s: the filter's attribute name \"%.140s\" is reserved or not of "
				    "[A-Za-z0-9_.-]{1,128}",
				    w->topic, f->name);
		if (!f->value)
			return fail(err, FERRY_E_INVALID, "%s: the filter's value of \"%s\" is NULL",
				    w->topic, f->name);
	}
	return 0;
}

static int check_names(struct ferry_bus *bus, struct wish *w, struct ferry_error *err)
{
	struct ferry_handler_options *o = &w->o;
	w->group = o->group ? o->group : bus->config.plugin.service;
	if (!name_is_group(w->group))
		return fail(err, FERRY_E_INVALID,
			    "%s: the group name \"%.80s\" is not allowed: use [A-Za-z0-9_-]{1,40}", w->topic,
			    w->group);
	if (o->name && (!name_is_attribute(o->name)))
		return fail(err, FERRY_E_INVALID,
			    "%s: the handler name \"%.140s\" is not allowed: use [A-Za-z0-9_.-]{1,128}",
			    w->topic, o->name);
	if (o->broadcast_durable && !name_is_group(o->broadcast_durable))
		return fail(err, FERRY_E_INVALID,
			    "%s: broadcast_durable \"%.80s\" is not allowed: use [A-Za-z0-9_-]{1,40}",
			    w->topic, o->broadcast_durable);
	if (o->broadcast_durable && o->distribution != FERRY_BROADCAST)
		return fail(err, FERRY_E_INVALID, "%s: broadcast_durable needs distribution=broadcast",
			    w->topic);
	return 0;
}

/* Where this handler's dead letters go; nowhere with dlq off. */
static int check_dlq(struct wish *w, struct ferry_error *err)
{
	const struct ferry_handler_options *o = &w->o;
	if (o->dlq == FERRY_OFF) {
		if (o->dlq_topic)
			return fail(err, FERRY_E_INVALID, "%s: dlq_topic is given and dlq is off", w->topic);
		return 0;
	}
	int size = snprintf(w->derived_dlq, sizeof w->derived_dlq, "dlq.%s.%s", w->group, w->topic);
	w->dlq_topic = o->dlq_topic ? o->dlq_topic : w->derived_dlq;
	if (!o->dlq_topic && size >= (int)sizeof w->derived_dlq)
		return fail(err, FERRY_E_INVALID,
			    "%s: the dead-letter topic dlq.<group>.<topic> would have %d characters, %d at "
			    "most: set dlq_topic",
			    w->topic, size, NAME_DERIVED_MAX);
	/* Whoever reads dead letters subscribes to an ordinary topic. */
	if (!(topic_is_dlq(w->dlq_topic) ? name_is_derived_topic(w->dlq_topic) : name_is_topic(w->dlq_topic)))
		return fail(err, FERRY_E_INVALID, "%s: the dead-letter topic \"%.260s\" is not allowed",
			    w->topic, w->dlq_topic);
	if (strcmp(w->dlq_topic, w->topic) == 0)
		return fail(err, FERRY_E_INVALID, "%s: the dead-letter topic cannot be the topic itself",
			    w->topic);
	return 0;
}

static int check_capabilities(const struct ferry_bus *bus, const struct wish *w, struct ferry_error *err)
{
	const char *transport = bus->api->name;
	if ((w->o.order == FERRY_ORDER_KEY || w->o.order == FERRY_ORDER_PARTITION) &&
	    !bus_can(bus, FERRY_CAP_KEY_ORDER_GROUP))
		return fail(err, FERRY_E_UNSUPPORTED,
			    "%s: order=%s needs the capability KEY_ORDER_GROUP, which transport %s does not "
			    "have; "
			    "order=key_in_process works on every transport",
			    w->topic, w->o.order == FERRY_ORDER_KEY ? "key" : "partition", transport);
	if (w->o.start == FERRY_START_EARLIEST && !bus_can(bus, FERRY_CAP_RETAIN))
		return fail(
			err, FERRY_E_UNSUPPORTED,
			"%s: start=earliest needs the capability RETAIN, which transport %s does not have",
			w->topic, transport);
	if (w->o.broadcast_durable && !bus_can(bus, FERRY_CAP_DURABLE))
		return fail(err, FERRY_E_UNSUPPORTED,
			    "%s: broadcast_durable needs the capability DURABLE, which transport %s does not "
			    "have",
			    w->topic, transport);
	return 0;
}

/* Handlers of one group and topic share one subscription. */
static int check_agreement(const struct subscription *s, const struct wish *w, struct ferry_error *err)
{
	const char *what = NULL;
	if (s->order != w->o.order)
		what = "order";
	else if (s->start != w->o.start)
		what = "start";
	else if (s->max_unsettled != w->o.max_unsettled)
		what = "max_unsettled";
	else if (s->dlq_topic && w->dlq_topic && strcmp(s->dlq_topic, w->dlq_topic) != 0)
		what = "dlq_topic";
	if (!what)
		return 0;
	return fail(err, FERRY_E_INVALID, "%s: the handlers of group %s do not agree on %s", w->topic,
		    w->group, what);
}

/* Each broadcast handler has its own row of counters, and a durable one its own position. */
static int check_apart(const struct group *g, const struct wish *w, struct ferry_error *err)
{
	const char *name = w->o.name, *durable = w->o.broadcast_durable;
	for (const struct subscription *s = g->subscriptions; s; s = s->next) {
		if (strcmp(s->topic, w->topic) != 0)
			continue;
		if (name && strcmp(s->handlers->name, name) == 0)
			return fail(err, FERRY_E_INVALID,
				    "%s: two broadcast handlers of group %s have the name \"%s\": give each "
				    "its own",
				    w->topic, w->group, name);
		if (durable && s->durable && strcmp(s->durable, durable) == 0)
			return fail(err, FERRY_E_INVALID,
				    "%s: two broadcast handlers of group %s have the broadcast_durable "
				    "\"%s\": give each its own",
				    w->topic, w->group, durable);
	}
	return 0;
}

/* ---- registering ---- */

static struct ferry_attribute *copy_filter(const struct ferry_allocator *a,
					   const struct ferry_attribute *filter)
{
	size_t count = 0;
	while (filter[count].name)
		count++;
	struct ferry_attribute *copy = alloc_zeroed(a, (count + 1) * sizeof *copy);
	for (size_t i = 0; copy && i < count; i++) {
		copy[i].name = alloc_string(a, filter[i].name);
		copy[i].value = copy[i].name ? alloc_string(a, filter[i].value) : NULL;
		if (copy[i].value)
			continue;
		for (size_t k = 0; k <= i; k++) {
			alloc_free(a, copy[k].name);
			alloc_free(a, copy[k].value);
		}
		alloc_free(a, copy);
		copy = NULL;
	}
	return copy;
}

static struct handler *handler_make(struct ferry_bus *bus, const struct wish *w)
{
	const struct ferry_handler_options *o = &w->o;
	struct handler *h = alloc_zeroed(bus->allocator, sizeof *h);
	if (!h)
		return NULL;
	char name[NAME_TOPIC_MAX + 16];
	snprintf(name, sizeof name, "%s#%u", w->topic, bus->handler_serial + 1);
	h->name = alloc_string(bus->allocator, o->name ? o->name : name);
	if (o->filter && o->filter[0].name)
		h->filter = copy_filter(bus->allocator, o->filter);
	if (!h->name || (o->filter && o->filter[0].name && !h->filter)) {
		handler_free(bus->allocator, h);
		return NULL;
	}
	bus->handler_serial++;
	h->decode = o->decode;
	h->decode_ctx = o->decode_ctx;
	h->ack = o->ack;
	h->dlq = o->dlq == FERRY_ON;
	h->concurrency = (uint32_t)o->concurrency;
	h->max_retries = o->max_retries == FERRY_NONE ? 0 : (uint32_t)o->max_retries;
	h->max_deliveries = (uint32_t)o->max_deliveries;
	h->jitter_percent = o->jitter_percent == FERRY_NONE ? 0 : (uint32_t)o->jitter_percent;
	h->initial_backoff_us =
		o->initial_backoff_ms == FERRY_NONE ? 0 : (int64_t)o->initial_backoff_ms * 1000;
	h->max_backoff_us = (int64_t)o->max_backoff_ms * 1000;
	h->timeout_us = o->timeout_ms == FERRY_NONE ? INT64_MAX : (int64_t)o->timeout_ms * 1000;
	h->batch = 1;
	return h;
}

static struct group *find_group(struct ferry_bus *bus, const struct wish *w)
{
	for (struct group *g = bus->groups; g; g = g->next)
		if (g->distribution == w->o.distribution && strcmp(g->name, w->group) == 0)
			return g;
	struct group *g = group_make(bus, w->group, w->o.distribution);
	if (!g)
		return NULL;
	struct group **link = &bus->groups;
	while (*link)
		link = &(*link)->next;
	*link = g;
	return g;
}

static struct subscription *add_subscription(struct ferry_bus *bus, struct group *g, const struct wish *w)
{
	struct subscription *s = subscription_make(g, w->topic);
	if (!s)
		return NULL;
	s->order = w->o.order;
	s->start = w->o.start;
	s->max_unsettled = w->o.max_unsettled;
	bool ok = true;
	if (w->dlq_topic)
		ok = (s->dlq_topic = alloc_string(bus->allocator, w->dlq_topic)) != NULL;
	if (ok && w->o.broadcast_durable)
		ok = (s->durable = alloc_string(bus->allocator, w->o.broadcast_durable)) != NULL;
	if (ok && s->order != FERRY_ORDER_NONE)
		ok = (s->lanes = alloc_zeroed(bus->allocator, LANES * sizeof *s->lanes)) != NULL;
	if (ok)
		return s;
	subscription_remove(s);
	return NULL;
}

static int add_handler(struct ferry_bus *bus, struct wish *w, ferry_handler_fn *run, void *ctx,
		       struct ferry_error *err)
{
	struct group *g = find_group(bus, w);
	struct subscription *s = NULL;
	if (!g)
		return fail_nomem(err, "subscribing");
	/* Each broadcast handler is a subscription of its own. */
	int code = w->o.distribution == FERRY_BROADCAST ? check_apart(g, w, err) : 0;
	if (code)
		return code;
	for (struct subscription *i = g->subscriptions; i && w->o.distribution == FERRY_COMPETING;
	     i = i->next)
		if (strcmp(i->topic, w->topic) == 0)
			s = i;
	if (s) {
		code = check_agreement(s, w, err);
		if (code)
			return code;
		if (!s->dlq_topic && w->dlq_topic &&
		    !(s->dlq_topic = alloc_string(bus->allocator, w->dlq_topic)))
			return fail_nomem(err, "subscribing");
	}
	struct handler *h = handler_make(bus, w);
	if (h && !s)
		s = add_subscription(bus, g, w);
	if (!h || !s) {
		if (h)
			handler_free(bus->allocator, h);
		return fail_nomem(err, "subscribing");
	}
	h->run = run;
	h->ctx = ctx;
	h->subscription = s;
	struct handler **link = &s->handlers;
	while (*link)
		link = &(*link)->next;
	*link = h;
	s->handler_count++;
	s->simple = s->handler_count == 1 && s->order == FERRY_ORDER_NONE;
	return 0;
}

int ferry_subscribe(struct ferry_bus *bus, const char *topic, ferry_handler_fn *handler, void *ctx,
		    const struct ferry_handler_options *options, struct ferry_error *err)
{
	if (!bus || !topic || !handler)
		return fail(err, FERRY_E_INVALID, "ferry_subscribe: %s is NULL",
			    !bus     ? "the bus"
			    : !topic ? "the topic"
				     : "the handler");
	int code = bus_guard(bus, err);
	struct wish w = {.topic = topic};
	struct topic *entry;
	if (!code)
		code = options_copy(&w.o, sizeof w.o, options, "ferry_handler_options", err);
	if (!code)
		code = topic_check(topic, topic_is_dlq(topic), err);
	if (!code)
		code = check_numbers(&w, err);
	if (!code)
		code = check_names(bus, &w, err);
	if (!code)
		code = check_dlq(&w, err);
	if (!code)
		code = check_filter(&w, err);
	if (!code)
		code = check_capabilities(bus, &w, err);
	/* Only now: a name that was refused must not stay to collide with others. */
	if (!code)
		code = topic_get(bus, topic, topic_is_dlq(topic), &entry, err);
	if (!code && w.dlq_topic)
		code = topic_get(bus, w.dlq_topic, true, &entry, err);
	if (code)
		return code;
	pthread_mutex_lock(&bus->lock);
	if (atomic_load(&bus->state) != FERRY_STATE_OPEN)
		code = fail(err, FERRY_E_STATE, "%s: handlers are registered before ferry_bus_start", topic);
	else
		code = add_handler(bus, &w, handler, ctx, err);
	pthread_mutex_unlock(&bus->lock);
	return code;
}
