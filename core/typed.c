/*
 * typed.c - what the verbs of a typed topic do: the untyped calls, with a struct where these have bytes.
 */
#include "arena.h"
#include "buffer.h"
#include "codec.h"
#include "core.h"
#include "options.h"
#include "publication.h"
#include "topic.h"

#define EVENT_BYTES 2048 /* larger events are encoded on the heap */

struct ferry_topic_publisher {
	struct ferry_bus *bus;
	const struct ferry_topic *topic;
	struct ferry_publisher *bytes;
	struct topic *entry; /* for the statistics */
};

/* ---- publishing ---- */

int ferry_topic_publisher_open(struct ferry_bus *bus, const struct ferry_topic *topic,
			       const struct ferry_publisher_options *options,
			       struct ferry_topic_publisher **ret, struct ferry_error *err)
{
	struct ferry_publisher_options o;
	struct ferry_topic_publisher made = {.bus = bus, .topic = topic};
	if (!bus || !topic || !ret)
		return fail(err, FERRY_E_INVALID, "opening a typed publisher: %s is NULL",
			    !bus     ? "the bus"
			    : !topic ? "the topic"
				     : "ret");
	int code = options_copy(&o, sizeof o, options, "ferry_publisher_options", err);
	if (!code && o.content_type)
		code = fail(err, FERRY_E_INVALID, "%s: content_type is the topic's: leave it NULL",
			    topic->name);
	if (!code)
		code = bus_guard(bus, err);
	if (!code)
		code = codec_check(topic, bus->allocator, err);
	if (code)
		return code;
	o.content_type = codec_content_type(topic);
	code = ferry_publisher_open(bus, topic->name, &o, &made.bytes, err);
	if (code)
		return code;
	struct ferry_topic_publisher *publisher = alloc_zeroed(bus->allocator, sizeof *publisher);
	code = publisher ? topic_get(bus, topic->name, true, &made.entry, err)
			 : fail_nomem(err, "opening a publisher");
	if (code) {
		alloc_free(bus->allocator, publisher);
		ferry_publisher_close(made.bytes);
		return code;
	}
	*publisher = made;
	*ret = publisher;
	return 0;
}

void ferry_topic_publisher_close(struct ferry_topic_publisher *publisher)
{
	if (!publisher || bus_guard(publisher->bus, NULL))
		return;
	ferry_publisher_close(publisher->bytes);
	alloc_free(publisher->bus->allocator, publisher);
}

static int encode(struct ferry_topic_publisher *p, const void *event, struct ferry_buffer *out,
		  struct ferry_error *err)
{
	int code = codec_encode(p->topic, event, out, err);
	if (code)
		topic_count(p->bus, p->entry, code);
	return code;
}

/* The bus is ours to use, and there is a publisher. */
static int usable(const struct ferry_topic_publisher *publisher, struct ferry_error *err)
{
	return publisher ? bus_guard(publisher->bus, err)
			 : fail(err, FERRY_E_INVALID, "publishing: the publisher is NULL");
}

int ferry_topic_publish(struct ferry_topic_publisher *publisher, const void *event,
			const struct ferry_publish_options *options, struct ferry_error *err)
{
	char memory[EVENT_BYTES];
	struct ferry_buffer out;
	int code = usable(publisher, err);
	if (code)
		return code;
	buffer_init(&out, publisher->bus->allocator, memory, sizeof memory);
	code = encode(publisher, event, &out, err);
	if (!code)
		code = ferry_publish(publisher->bytes, out.bytes, out.size, options, err);
	buffer_finish(&out);
	return code;
}

int ferry_topic_publish_async(struct ferry_topic_publisher *publisher, const void *event,
			      const struct ferry_publish_options *options, ferry_published_fn *done,
			      void *ctx, struct ferry_error *err)
{
	char memory[EVENT_BYTES];
	struct ferry_buffer out;
	int code = usable(publisher, err);
	if (code)
		return code;
	buffer_init(&out, publisher->bus->allocator, memory, sizeof memory);
	code = encode(publisher, event, &out, err);
	if (!code)
		code = ferry_publish_async(publisher->bytes, out.bytes, out.size, options, done, ctx, err);
	buffer_finish(&out);
	return code;
}

/* ---- batches ---- */

/* Encoded events: their bytes lie in one buffer, which moves while it grows. */
struct batch {
	struct ferry_buffer out;
	struct ferry_batch_item *items;
	size_t *which; /* of an item: the event */
	size_t count;
	int32_t *results;         /* of the events */
	struct ferry_error first; /* what is wrong with the first unsound event */
	size_t unsound;
};

static void encode_all(struct ferry_topic_publisher *p, struct batch *b, const unsigned char *events,
		       size_t count, const struct ferry_publish_options *const *options)
{
	size_t stride = p->topic->fields()->struct_size;
	for (size_t i = 0; i < count; i++) {
		size_t begin = b->out.size;
		bool sound = b->unsound == count;
		b->results[i] = encode(p, events + i * stride, &b->out, sound ? &b->first : NULL);
		if (b->results[i]) {
			b->out.size = begin;
			b->unsound = sound ? i : b->unsound;
			continue;
		}
		b->which[b->count] = i;
		b->items[b->count++] = (struct ferry_batch_item){.payload_size = b->out.size - begin,
								 .options = options ? options[i] : NULL};
	}
	const char *at = b->out.bytes;
	for (size_t i = 0; i < b->count; i++) {
		b->items[i].payload = at;
		at += b->items[i].payload_size;
	}
}

/* The first event that failed, by its place in the batch, decides what is returned. */
static int send_all(struct ferry_topic_publisher *p, struct batch *b, size_t count, int64_t deadline_ms,
		    struct ferry_error *err)
{
	struct ferry_error sending = {.code = 0};
	int code = ferry_publish_batch(p->bytes, b->items, b->count, deadline_ms, &sending);
	size_t failed = count;
	for (size_t i = 0; i < b->count; i++) {
		b->results[b->which[i]] = b->items[i].result;
		if (b->items[i].result && failed == count)
			failed = b->which[i];
	}
	if (b->unsound < failed)
		return fail(err, b->first.code, "%s", b->first.text);
	if (code && err)
		*err = sending;
	return code;
}

int ferry_topic_publish_batch(struct ferry_topic_publisher *publisher, const void *events, size_t count,
			      const struct ferry_publish_options *const *options, int64_t deadline_ms,
			      int32_t *ret_results, struct ferry_error *err)
{
	int code = usable(publisher, err);
	if (!code && !events && count)
		code = fail(err, FERRY_E_INVALID, "%s: the events are NULL", publisher->topic->name);
	for (size_t i = 0; code && ret_results && i < count; i++)
		ret_results[i] = code;
	if (code)
		return code;
	const struct ferry_allocator *a = publisher->bus->allocator;
	const size_t each = sizeof(struct ferry_batch_item) + sizeof(size_t) + sizeof(int32_t);
	struct batch b = {.unsound = count};
	b.items = count < SIZE_MAX / 2 / each ? alloc_bytes(a, (count ? count : 1) * each) : NULL;
	if (!b.items) {
		for (size_t i = 0; ret_results && i < count; i++)
			ret_results[i] = FERRY_E_NOMEM;
		return fail_nomem(err, "publishing a batch");
	}
	b.which = (size_t *)(b.items + count);
	b.results = ret_results ? ret_results : (int32_t *)(b.which + count);
	buffer_init(&b.out, a, NULL, 0);
	encode_all(publisher, &b, events, count, options);
	code = send_all(publisher, &b, count, deadline_ms, err);
	buffer_finish(&b.out);
	alloc_free(a, b.items);
	return code;
}

/* ---- subscribing ---- */

int ferry_topic_subscribe(struct ferry_bus *bus, const struct ferry_topic *topic, ferry_decode_fn *decode,
			  ferry_handler_fn *run, ferry_untyped_fn *handler, void *ctx,
			  const struct ferry_handler_options *options, struct ferry_error *err)
{
	struct ferry_handler_options o;
	if (!topic || !decode || !run || !handler)
		return fail(err, FERRY_E_INVALID, "subscribing to %s: the %s is NULL",
			    topic ? topic->name : "a topic", topic ? "handler" : "topic");
	int code = options_copy(&o, sizeof o, options, "ferry_handler_options", err);
	if (code)
		return code;
	if (o.decode || o.decode_ctx)
		return fail(err, FERRY_E_INVALID,
			    "%s: a typed handler decodes by its topic: leave .decode NULL", topic->name);
	code = bus_guard(bus, err);
	if (!code)
		code = codec_check(topic, bus->allocator, err);
	if (code)
		return code;
	/* POSIX: a function's address fits into a pointer to an object. */
	_Static_assert(sizeof handler == sizeof o.decode_ctx, "a function's address fits");
	o.decode = decode;
	memcpy(&o.decode_ctx, &handler, sizeof handler);
	return ferry_subscribe(bus, topic->name, run, ctx, &o, err);
}

static void release(void *arena)
{
	arena_free(arena);
}

int ferry_message_decode(struct ferry_message *message, const struct ferry_topic *topic, void *handler,
			 struct ferry_error *why)
{
	size_t size;
	const void *payload = ferry_message_payload(message, &size);
	const struct ferry_bus *bus = message->subscription->group->bus;
	struct ferry_arena *arena = NULL;
	/* A dead letter may be larger: so may its message, for which this was the reason. */
	if (size > (size_t)bus->config.max_message && strncmp(ferry_message_topic(message), "dlq.", 4) != 0)
		return fail(why, FERRY_E_DECODE, "%s: the payload has %zu bytes, max_message is %lld",
			    topic->name, size, (long long)bus->config.max_message);
	int code = codec_decode(topic, payload, size, bus->allocator, &arena, why);
	if (code)
		return code;
	arena->handler = handler;
	ferry_message_set_decoded(message, arena, release);
	return 0;
}

const void *ferry_message_event(const struct ferry_message *message, ferry_untyped_fn **ret_handler)
{
	const struct ferry_arena *arena = ferry_message_decoded(message);
	memcpy(ret_handler, &arena->handler, sizeof *ret_handler);
	return arena->event;
}
