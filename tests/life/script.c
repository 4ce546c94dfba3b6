/*
 * script.c - a transport for the tests of this folder: a PUMP on memory that tells the core what the test
 * wants it to hear.  Built twice, with the capabilities of CAPABILITIES and the name of NAME.
 *
 * A message with the attribute x-deliveries=N arrives as one that was handed out N times before; what is
 * released is freed at once, so that AddressSanitizer sees whoever still looks at it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ferry/transport.h>

struct item {
	struct item *next;
	struct ferry_record record; /* its views are in `bytes` */
	uint32_t attempt, deliveries;
	int64_t due_us;
	char bytes[];
};

struct ferry_subscription {
	struct ferry_subscription *next;
	struct ferry_source *source;
	void *core;
	char topic[256];
	uint32_t credit;
	struct item *first, **last;
};

struct ferry_source {
	struct ferry_source *next;
	struct ferry_connection *connection;
	struct ferry_subscription *subscriptions;
	bool started, woken;
};

struct ferry_destination {
	struct ferry_destination *next;
};

struct ferry_connection {
	void *core;
	int64_t start_takes_ms;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct ferry_source *sources;
	struct ferry_destination destination;
};

static const struct ferry_host *host;

/* ---- items ---- */

static struct ferry_view keep(char **end, struct ferry_view view)
{
	if (!view.data)
		return view;
	char *copy = *end;
	if (view.size)
		memcpy(copy, view.data, view.size);
	copy[view.size] = '\0';
	*end += view.size + 1;
	return (struct ferry_view){copy, view.size};
}

static const char *keep_text(char **end, const char *text)
{
	return keep(end, (struct ferry_view){text, strlen(text)}).data;
}

static struct item *item_make(const struct ferry_record *r)
{
	size_t attributes = r->attribute_count * sizeof(struct ferry_attribute);
	size_t bytes = attributes + 16 + r->topic.size + r->payload.size + r->key.size + r->id.size +
		       r->source.size + r->content_type.size;
	for (size_t i = 0; i < r->attribute_count; i++)
		bytes += strlen(r->attributes[i].name) + strlen(r->attributes[i].value) + 2;
	struct item *item = calloc(1, sizeof *item + bytes);
	if (!item)
		abort();
	struct ferry_attribute *list = (struct ferry_attribute *)(void *)item->bytes;
	char *end = item->bytes + attributes;
	item->record = (struct ferry_record){
		.size = sizeof item->record,
		.topic = keep(&end, r->topic),
		.payload = keep(&end, r->payload),
		.key = keep(&end, r->key),
		.id = keep(&end, r->id),
		.source = keep(&end, r->source),
		.content_type = keep(&end, r->content_type),
		.id_bits = {r->id_bits[0], r->id_bits[1]},
		.wall_us = r->wall_us,
		.attributes = list,
		.attribute_count = r->attribute_count,
	};
	item->attempt = 1;
	for (size_t i = 0; i < r->attribute_count; i++) {
		list[i].name = keep_text(&end, r->attributes[i].name);
		list[i].value = keep_text(&end, r->attributes[i].value);
		if (strcmp(list[i].name, "x-deliveries") == 0)
			item->deliveries = (uint32_t)strtoul(list[i].value, NULL, 10);
	}
	return item;
}

/* [lock] */
static void append(struct ferry_subscription *s, struct item *item)
{
	item->next = NULL;
	*s->last = item;
	s->last = &item->next;
	pthread_cond_broadcast(&s->source->connection->changed);
}

/* The first that is due, or NULL; lowers *soonest. [lock] */
static struct item *take(struct ferry_subscription *s, int64_t now, int64_t *soonest)
{
	for (struct item **link = &s->first; *link; link = &(*link)->next) {
		struct item *item = *link;
		if (item->due_us > now) {
			*soonest = item->due_us < *soonest ? item->due_us : *soonest;
			continue;
		}
		*link = item->next;
		if (s->last == &item->next)
			s->last = link;
		return item;
	}
	return NULL;
}

/* ---- the connection ---- */

static int64_t real_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void wait_until(struct ferry_connection *c, int64_t real)
{
	struct timespec t = {.tv_sec = (time_t)(real / 1000000), .tv_nsec = (long)(real % 1000000) * 1000};
	pthread_cond_timedwait(&c->changed, &c->lock, &t);
}

static int script_create(const struct ferry_host *given, void *core, const struct ferry_config *config,
			 struct ferry_connection **ret, struct ferry_error *err)
{
	(void)err;
	host = given;
	struct ferry_connection *c = calloc(1, sizeof *c);
	if (!c)
		return FERRY_E_NOMEM;
	c->core = core;
	c->start_takes_ms = config->settings[0].number;
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

/* A backend that does not answer: blocks, as a connection attempt to a silent address does. */
static int script_start(struct ferry_connection *c, int64_t deadline_us, struct ferry_error *err)
{
	(void)err;
	(void)deadline_us;
	int64_t until = real_us() + c->start_takes_ms * 1000;
	pthread_mutex_lock(&c->lock);
	while (real_us() < until)
		wait_until(c, until);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int script_stop(struct ferry_connection *c, int64_t deadline_us)
{
	(void)c;
	(void)deadline_us;
	return 0;
}

static void script_destroy(struct ferry_connection *c)
{
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->changed);
	free(c);
}

static int script_destination(struct ferry_connection *c, const char *topic, int64_t deadline_us,
			      struct ferry_destination **ret, struct ferry_error *err)
{
	(void)topic;
	(void)deadline_us;
	(void)err;
	*ret = &c->destination;
	return 0;
}

static size_t script_publish(struct ferry_connection *c, struct ferry_outgoing *const *outs, size_t count)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < count; i++) {
		const struct ferry_record *r = &outs[i]->record;
		for (struct ferry_source *source = c->sources; source; source = source->next)
			for (struct ferry_subscription *s = source->subscriptions; s; s = s->next)
				if (source->started && strcmp(s->topic, r->topic.data) == 0)
					append(s, item_make(r));
		outs[i]->result = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return count;
}

/* ---- sources ---- */

static int script_source_open(struct ferry_connection *c, const struct ferry_source_spec *spec,
			      struct ferry_source **ret, struct ferry_error *err)
{
	(void)spec;
	(void)err;
	struct ferry_source *source = calloc(1, sizeof *source);
	if (!source)
		return FERRY_E_NOMEM;
	source->connection = c;
	pthread_mutex_lock(&c->lock);
	source->next = c->sources;
	c->sources = source;
	pthread_mutex_unlock(&c->lock);
	*ret = source;
	return 0;
}

static int script_subscribe(struct ferry_source *source, const struct ferry_subscription_spec *spec,
			    struct ferry_subscription **ret, struct ferry_error *err)
{
	(void)err;
	struct ferry_subscription *s = calloc(1, sizeof *s);
	if (!s)
		return FERRY_E_NOMEM;
	strncpy(s->topic, spec->topic, sizeof s->topic - 1);
	s->core = spec->core;
	s->source = source;
	s->last = &s->first;
	pthread_mutex_lock(&source->connection->lock);
	s->next = source->subscriptions;
	source->subscriptions = s;
	pthread_mutex_unlock(&source->connection->lock);
	*ret = s;
	return 0;
}

static int script_source_start(struct ferry_source *source, int64_t deadline_us, struct ferry_error *err)
{
	(void)deadline_us;
	(void)err;
	pthread_mutex_lock(&source->connection->lock);
	source->started = true;
	pthread_mutex_unlock(&source->connection->lock);
	return 0;
}

static int script_source_stop(struct ferry_source *source, int64_t deadline_us,
			      struct ferry_source_rest *rest)
{
	(void)deadline_us;
	(void)rest;
	pthread_mutex_lock(&source->connection->lock);
	source->started = false;
	pthread_mutex_unlock(&source->connection->lock);
	return 0;
}

static void script_source_close(struct ferry_source *source)
{
	struct ferry_connection *c = source->connection;
	pthread_mutex_lock(&c->lock);
	struct ferry_source **link = &c->sources;
	while (*link != source)
		link = &(*link)->next;
	*link = source->next;
	pthread_mutex_unlock(&c->lock);
	while (source->subscriptions) {
		struct ferry_subscription *s = source->subscriptions;
		source->subscriptions = s->next;
		while (s->first) {
			struct item *item = s->first;
			s->first = item->next;
			free(item);
		}
		free(s);
	}
	free(source);
}

static void deliver(struct ferry_subscription *s, struct item *item, struct ferry_delivery *d)
{
	item->deliveries++;
	d->record = item->record;
	d->subscription = s->core;
	d->attempt = item->attempt;
	d->deliveries = item->deliveries;
	d->plugin[0] = (uint64_t)(uintptr_t)item;
	d->plugin[1] = (uint64_t)(uintptr_t)s;
}

static int script_fetch(struct ferry_source *source, struct ferry_subscription *only,
			struct ferry_delivery *const *deliveries, size_t max, int timeout_ms)
{
	(void)only;
	struct ferry_connection *c = source->connection;
	int64_t until = real_us() + (int64_t)timeout_ms * 1000;
	size_t count = 0;
	pthread_mutex_lock(&c->lock);
	while (!count && !source->woken && real_us() < until) {
		int64_t now = host->now_us(c->core), soonest = INT64_MAX;
		for (struct ferry_subscription *s = source->subscriptions; s; s = s->next) {
			while (s->credit && count < max) {
				struct item *item = take(s, now, &soonest);
				if (!item)
					break;
				deliver(s, item, deliveries[count++]);
				s->credit--;
			}
		}
		int64_t wait = soonest == INT64_MAX ? until : real_us() + (soonest - now);
		if (!count)
			wait_until(c, wait < until ? wait : until);
	}
	source->woken = false;
	pthread_mutex_unlock(&c->lock);
	return (int)count;
}

static void script_credit(struct ferry_subscription *s, uint32_t count)
{
	pthread_mutex_lock(&s->source->connection->lock);
	s->credit = count;
	pthread_mutex_unlock(&s->source->connection->lock);
}

static void script_wakeup(struct ferry_source *source)
{
	pthread_mutex_lock(&source->connection->lock);
	source->woken = true;
	pthread_cond_broadcast(&source->connection->changed);
	pthread_mutex_unlock(&source->connection->lock);
}

static void again(struct ferry_subscription *s, const struct item *item, const struct ferry_settle *settle)
{
	struct ferry_connection *c = s->source->connection;
	struct item *copy = item_make(&item->record);
	copy->deliveries = item->deliveries;
	copy->attempt = item->attempt;
	if (settle->verb == FERRY_SETTLE_NACK) {
		copy->attempt++;
		copy->due_us = host->now_us(c->core) + settle->delay_us;
	} else {
		copy->deliveries--; /* HANDBACK_EXACT */
	}
	append(s, copy);
}

static void script_settle(struct ferry_source *source, struct ferry_settle *settles, size_t count)
{
	pthread_mutex_lock(&source->connection->lock);
	for (size_t i = 0; i < count; i++) {
		struct ferry_settle *settle = &settles[i];
		struct item *item = (struct item *)(uintptr_t)settle->delivery->plugin[0];
		struct ferry_subscription *s =
			(struct ferry_subscription *)(uintptr_t)settle->delivery->plugin[1];
		settle->result = 0;
		if (settle->verb >= FERRY_SETTLE_HOLD)
			continue;
		if (settle->verb == FERRY_SETTLE_NACK || settle->verb == FERRY_SETTLE_HANDBACK)
			again(s, item, settle);
		if (!(settle->flags & FERRY_SETTLE_KEEP))
			free(item);
	}
	pthread_mutex_unlock(&source->connection->lock);
}

static void script_release(struct ferry_source *source, struct ferry_delivery *const *deliveries,
			   size_t count)
{
	(void)source;
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)deliveries[i]->plugin[0]);
}

/* ---- the table ---- */

static const struct ferry_option options[] = {
	{.name = "start_takes",
	 .type = FERRY_OPTION_DURATION,
	 .default_value = "0",
	 .help = "How long a start blocks."},
	{.name = NULL},
};

const struct ferry_transport *ferry_transport_entry(const struct ferry_host *given)
{
	static const struct ferry_transport table = {
		.size = sizeof table,
		.abi_major = FERRY_ABI_MAJOR,
		.abi_minor = FERRY_ABI_MINOR,
		.name = NAME,
		.version = "1.0",
		.summary = "A transport that follows a test's script.",
		.schemes = NAME,
		.capabilities = FERRY_CAP_DURABLE | FERRY_CAP_EXTEND | FERRY_CAP_PUB_COPIES |
				FERRY_CAP_PUB_IMMEDIATE | CAPABILITIES,
		.thread_model = FERRY_PUMP,
		.options = options,
		.create = script_create,
		.start = script_start,
		.stop = script_stop,
		.destroy = script_destroy,
		.destination = script_destination,
		.publish = script_publish,
		.source_open = script_source_open,
		.subscribe = script_subscribe,
		.source_start = script_source_start,
		.source_stop = script_source_stop,
		.source_close = script_source_close,
		.fetch = script_fetch,
		.credit = script_credit,
		.wakeup = script_wakeup,
		.settle = script_settle,
		.release = script_release,
	};
	(void)given;
	return &table;
}
