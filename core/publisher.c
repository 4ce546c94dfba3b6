#include "publisher.h"

#include <string.h>

#include "id.h"
#include "intercept.h"
#include "names.h"
#include "options.h"
#include "publication.h"
#include "send.h"
#include "topic.h"

struct ferry_publisher {
	struct ferry_bus *bus;
	struct topic *topic;
	char *content_type;
	struct ferry_outgoing blank; /* what every message of this publisher has in common */
};

/* ---- the record ---- */

static int check_attributes(const struct topic *topic, const struct ferry_attribute *attributes,
			    size_t *ret_count, struct ferry_error *err)
{
	size_t n = 0;
	for (; attributes && attributes[n].name; n++) {
		const char *name = attributes[n].name, *value = attributes[n].value;
		if (!name_is_attribute(name))
			return fail(
				err, FERRY_E_INVALID,
				"%s: the attribute name \"%.140s\" is not allowed: use [A-Za-z0-9_.-]{1,128}",
				topic->name, name);
		if (name_is_reserved_attribute(name))
			return fail(err, FERRY_E_INVALID, "%s: the attribute name \"%s\" is reserved",
				    topic->name, name);
		if (!value || !text_is_utf8(value, strlen(value)))
			return fail(err, FERRY_E_INVALID, "%s: the value of attribute \"%s\" is not UTF-8",
				    topic->name, name);
		for (size_t i = 0; i < n; i++)
			if (strcmp(attributes[i].name, name) == 0)
				return fail(err, FERRY_E_INVALID, "%s: the attribute \"%s\" is given twice",
					    topic->name, name);
	}
	*ret_count = n;
	return 0;
}

static int check_id(const struct topic *topic, const char *id, struct ferry_error *err)
{
	size_t size = 0;
	while (id[size] > ' ' && id[size] < 127 && size <= 128)
		size++;
	if (id[size] || size == 0 || size > 128)
		return fail(err, FERRY_E_INVALID,
			    "%s: an id has 1 to 128 printable ASCII characters without spaces", topic->name);
	return 0;
}

static int apply_options(struct ferry_publication *p, const struct ferry_publish_options *o,
			 struct ferry_error *err)
{
	struct ferry_record *r = &p->record;
	int code = check_attributes(p->topic, o->attributes, &r->attribute_count, err);
	if (code)
		return code;
	r->attributes = o->attributes;
	if (o->key)
		r->key = (struct ferry_view){o->key, o->key_size};
	else if (o->key_size)
		return fail(err, FERRY_E_INVALID, "%s: key_size is set and key is NULL", p->topic->name);
	if (o->id) {
		code = check_id(p->topic, o->id, err);
		r->id = (struct ferry_view){o->id, strlen(o->id)};
	}
	if (!code && o->trace_id && *o->trace_id)
		code = set_trace(p, o->trace_id, err);
	return code;
}

/* Everything about one message but its sending. */
static int prepare(struct ferry_publisher *pub, struct ferry_publication *p, const void *payload, size_t size,
		   const struct ferry_publish_options *given, int64_t *ret_deadline_ms,
		   struct ferry_error *err)
{
	struct ferry_bus *bus = pub->bus;
	p->bus = bus;
	p->topic = pub->topic;
	p->attributes = NULL;
	p->owned = NULL;
	p->owned_count = 0;
	p->sent = false;
	struct ferry_record *r = &p->record;
	*r = pub->blank.record;
	*ret_deadline_ms = bus->config.publish_timeout_ms;
	if (!payload && size)
		return fail(err, FERRY_E_INVALID, "%s: the payload is NULL and its size is not 0",
			    pub->topic->name);
	if (size > (size_t)bus->config.max_message)
		return fail(err, FERRY_E_TOO_LARGE, "%s: the payload has %zu bytes, max_message is %lld",
			    pub->topic->name, size, (long long)bus->config.max_message);
	r->payload = (struct ferry_view){payload, size};
	r->wall_us = clock_wall_coarse(&bus->clock);
	id_next(r->id_bits);
	if (!given)
		return 0;
	struct ferry_publish_options o;
	int code = options_copy(&o, sizeof o, given, "ferry_publish_options", err);
	if (code)
		return code;
	if (o.deadline_ms < 0)
		return fail(err, FERRY_E_INVALID, "%s: deadline_ms is negative", pub->topic->name);
	if (o.deadline_ms)
		*ret_deadline_ms = o.deadline_ms;
	return apply_options(p, &o, err);
}

/* ---- the calls ---- */

static int end_waited(struct ferry_publication *p, void *ctx)
{
	return send_one(ctx, &p->record);
}

static int end_async(struct ferry_publication *p, void *ctx)
{
	return send_async(ctx, &p->record);
}

/* An interceptor's own refusal has no text yet. */
static int publish_intercepted(struct ferry_publication *p, struct send *send,
			       int (*end)(struct ferry_publication *, void *))
{
	struct ferry_error *err = send->err, text = {.code = 0};
	send->err = &text;
	p->send = end;
	p->send_ctx = send;
	int code = publish_through(p);
	if (!p->sent)
		send_refused(p->bus, p->topic, code);
	if (code && text.code)
		fail(err, code, "%s", text.text);
	else if (code)
		fail(err, code, "%s: an interceptor refused the message", send->topic->name);
	publication_clear(p);
	return code;
}

static int publish(struct ferry_publisher *pub, const void *payload, size_t size,
		   const struct ferry_publish_options *options, ferry_published_fn *done, void *ctx,
		   int (*end)(struct ferry_publication *, void *), struct ferry_error *err)
{
	if (!pub)
		return fail(err, FERRY_E_INVALID, "ferry_publish: the publisher is NULL");
	struct ferry_bus *bus = pub->bus;
	int code = bus_guard(bus, err);
	if (code)
		return code;
	struct ferry_publication p;
	int64_t deadline_ms;
	code = prepare(pub, &p, payload, size, options, &deadline_ms, err);
	if (code)
		return send_refused(bus, pub->topic, code);
	struct send send = {.bus = bus, .topic = pub->topic, .err = err, .done = done, .ctx = ctx};
	/* The coarse clock will do: it is at most a few milliseconds behind. */
	send.deadline_us = deadline_after(clock_read(CLOCK_COARSE_MONOTONIC), deadline_ms);
	if (atomic_load_explicit(&bus->state, memory_order_acquire) != FERRY_STATE_READY ||
	    !atomic_load_explicit(&pub->topic->destination, memory_order_relaxed))
		code = send_usable(bus, pub->topic, send.deadline_us, err);
	if (code)
		return send_refused(bus, pub->topic, code);
	if (bus->interceptors && has_publish_interceptor(bus))
		return publish_intercepted(&p, &send, end);
	return end(&p, &send);
}

/*
 * The plain case, where everything is at hand: no options, nobody in between, a transport that has room and
 * the result at once.  False leaves all to the general way.
 */
static inline bool publish_at_once(struct ferry_publisher *pub, const void *payload, size_t size,
				   int *ret_code, struct ferry_error *err)
{
	struct ferry_bus *bus = pub->bus;
	struct topic *topic = pub->topic;
	struct ferry_destination *destination =
		atomic_load_explicit(&topic->destination, memory_order_acquire);
	if (!destination || !bus_can(bus, FERRY_CAP_PUB_IMMEDIATE) || bus->interceptors ||
	    atomic_load_explicit(&bus->state, memory_order_acquire) != FERRY_STATE_READY ||
	    bus->fork_generation != fork_generation() || size > (size_t)bus->config.max_message ||
	    (!payload && size))
		return false;
	struct ferry_outgoing out = pub->blank;
	struct ferry_outgoing *outs = &out;
	out.destination = destination;
	out.record.payload = (struct ferry_view){payload, size};
	out.record.wall_us = clock_wall_coarse(&bus->clock);
	id_next(out.record.id_bits);
	if (bus->api->publish(bus->connection, &outs, 1) == 0)
		return false;
	/* A stop has overtaken this call: nobody may be left to read the message. */
	if (atomic_load_explicit(&bus->apart, memory_order_acquire) && !out.result) {
		out.result = FERRY_E_UNKNOWN;
		out.reason = "the bus was stopped meanwhile";
	}
	topic_count(bus, topic, out.result);
	*ret_code = out.result ? send_outcome(topic, out.result, out.reason, err) : 0;
	return true;
}

int ferry_publish(struct ferry_publisher *publisher, const void *payload, size_t size,
		  const struct ferry_publish_options *options, struct ferry_error *err)
{
	int code;
	if (publisher && !options && publish_at_once(publisher, payload, size, &code, err))
		return code;
	return publish(publisher, payload, size, options, NULL, NULL, end_waited, err);
}

int ferry_publish_async(struct ferry_publisher *publisher, const void *payload, size_t size,
			const struct ferry_publish_options *options, ferry_published_fn *done, void *ctx,
			struct ferry_error *err)
{
	return publish(publisher, payload, size, options, done, ctx, end_async, err);
}

/* ---- batches ---- */

static int end_nothing(struct ferry_publication *p, void *ctx)
{
	(void)p;
	(void)ctx;
	return 0;
}

/* One item without its sending: its record is sound, and no interceptor objects. */
static int prepare_item(struct ferry_publisher *pub, struct ferry_publication *p,
			const struct ferry_batch_item *item, bool intercepted, struct ferry_error *err)
{
	int64_t ignored;
	int code = prepare(pub, p, item->payload, item->payload_size, item->options, &ignored, err);
	if (code || !intercepted)
		return code;
	p->send = end_nothing;
	code = publish_through(p);
	return code ? fail(err, code, "%s: an interceptor refused the message", pub->topic->name) : 0;
}

/* A batch while it goes out in pieces. */
struct outgoing_batch {
	struct ferry_publisher *publisher;
	struct send send;
	struct waiter waiter;
	bool intercepted;
	struct ferry_error sending;             /* the first failure of those that went out */
	struct ferry_error before;              /* the first failure of those that did not */
	const struct ferry_batch_item *unsound; /* whose that is */
};

/* Up to BATCH_MAX items: those that are sound go out together. */
static void publish_some(struct outgoing_batch *batch, struct ferry_batch_item *items, size_t count)
{
	struct ferry_publication publications[BATCH_MAX];
	struct ferry_record records[BATCH_MAX];
	int32_t *results[BATCH_MAX];
	const struct send *send = &batch->send;
	size_t sound = 0;
	for (size_t i = 0; i < count; i++) {
		struct ferry_publication *p = &publications[i];
		items[i].result = prepare_item(batch->publisher, p, &items[i], batch->intercepted,
					       batch->unsound ? NULL : &batch->before);
		if (items[i].result) {
			send_refused(send->bus, send->topic, items[i].result);
			batch->unsound = batch->unsound ? batch->unsound : &items[i];
		} else {
			results[sound] = &items[i].result;
			records[sound++] = p->record;
		}
	}
	if (sound)
		send_records(send, &batch->waiter, records, results, sound);
	for (size_t i = 0; i < count; i++)
		publication_clear(&publications[i]);
}

/* The first item that failed, in words. */
static int outcome_of(const struct outgoing_batch *batch, const struct ferry_batch_item *items, size_t count,
		      struct ferry_error *err)
{
	size_t first = 0;
	while (first < count && !items[first].result)
		first++;
	if (first == count)
		return 0;
	int code = items[first].result;
	if (&items[first] == batch->unsound)
		return fail(err, code, "%s", batch->before.text);
	if (code == batch->sending.code)
		return fail(err, code, "%s", batch->sending.text);
	return send_outcome(batch->send.topic, code, NULL, err);
}

int ferry_publish_batch(struct ferry_publisher *publisher, struct ferry_batch_item *items, size_t count,
			int64_t deadline_ms, struct ferry_error *err)
{
	for (size_t i = 0; items && i < count; i++)
		items[i].result = FERRY_E_INVALID;
	if (!publisher || (!items && count))
		return fail(err, FERRY_E_INVALID, "ferry_publish_batch: %s is NULL",
			    publisher ? "items" : "the publisher");
	if (deadline_ms < 0)
		return fail(err, FERRY_E_INVALID, "%s: deadline_ms is negative", publisher->topic->name);
	struct ferry_bus *bus = publisher->bus;
	struct outgoing_batch batch = {.publisher = publisher, .intercepted = has_publish_interceptor(bus)};
	batch.send = (struct send){.bus = bus, .topic = publisher->topic, .err = &batch.sending};
	batch.send.deadline_us =
		deadline_after(clock_real(), deadline_ms ? deadline_ms : bus->config.publish_timeout_ms);
	int code = bus_guard(bus, err);
	if (!code) {
		code = send_usable(bus, publisher->topic, batch.send.deadline_us, err);
		if (!code)
			code = waiter_begin(&batch.waiter, bus, err);
		batch.waiter.err = &batch.sending;
		for (size_t i = 0; code && i < count; i++)
			send_refused(bus, publisher->topic, code);
	}
	for (size_t i = 0; code && i < count; i++)
		items[i].result = code;
	if (code)
		return code;
	/* All pieces are on their way before the first result is waited for. */
	for (size_t i = 0; i < count; i += BATCH_MAX)
		publish_some(&batch, items + i, count - i < BATCH_MAX ? count - i : BATCH_MAX);
	waiter_end(&batch.waiter, batch.send.deadline_us);
	return outcome_of(&batch, items, count, err);
}

/* ---- life ---- */

int ferry_publisher_open(struct ferry_bus *bus, const char *topic,
			 const struct ferry_publisher_options *options, struct ferry_publisher **ret,
			 struct ferry_error *err)
{
	if (!bus || !topic || !ret)
		return fail(err, FERRY_E_INVALID, "ferry_publisher_open: %s is NULL",
			    !bus     ? "the bus"
			    : !topic ? "the topic"
				     : "ret");
	int code = bus_guard(bus, err);
	struct ferry_publisher_options o;
	struct topic *entry;
	if (!code)
		code = options_copy(&o, sizeof o, options, "ferry_publisher_options", err);
	if (!code && o.content_type &&
	    (strlen(o.content_type) > 255 || !text_is_utf8(o.content_type, strlen(o.content_type)) ||
	     strpbrk(o.content_type, "\r\n")))
		code = fail(err, FERRY_E_INVALID, "%s: content_type must be one line, 255 bytes at most",
			    topic);
	if (!code)
		code = topic_get(bus, topic, strncmp(topic, "dlq.", 4) == 0, &entry, err);
	if (code)
		return code;
	struct ferry_publisher *pub = alloc_zeroed(bus->allocator, sizeof *pub);
	if (!pub)
		return fail_nomem(err, "opening a publisher");
	pub->bus = bus;
	pub->topic = entry;
	if (o.content_type && !(pub->content_type = alloc_string(bus->allocator, o.content_type))) {
		alloc_free(bus->allocator, pub);
		return fail_nomem(err, "opening a publisher");
	}
	pub->blank = (struct ferry_outgoing){.size = sizeof pub->blank, .deadline_us = INT64_MAX};
	struct ferry_record *r = &pub->blank.record;
	r->size = sizeof *r;
	r->topic = (struct ferry_view){entry->name, strlen(entry->name)};
	r->source = (struct ferry_view){bus->config.plugin.service, strlen(bus->config.plugin.service)};
	if (pub->content_type)
		r->content_type = (struct ferry_view){pub->content_type, strlen(pub->content_type)};
	atomic_store(&entry->published_to, true);
	*ret = pub;
	return 0;
}

void ferry_publisher_close(struct ferry_publisher *publisher)
{
	if (!publisher || bus_guard(publisher->bus, NULL))
		return;
	const struct ferry_allocator *a = publisher->bus->allocator;
	alloc_free(a, publisher->content_type);
	alloc_free(a, publisher);
}
