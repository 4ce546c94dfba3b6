/* buses.c - buses, publishers and accounting for a case. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"

/* What a failed case's reader wants to see beside the sentence. */
static void log_line(int level, const char *text, void *ctx)
{
	static const char *const names[] = {"?", "error", "warning", "info", "debug"};

	(void)ctx;
	if (level < FERRY_LOG_DEBUG)
		fprintf(stderr, "ferry: %s: %s\n", names[level > 0 ? level : 0], text);
}

const char *conformance_url_with(struct conformance *c, const char *query)
{
	const char *url = c->settings->url;

	if (!query || !*query)
		return url;
	return conformance_text(c, "%s%c%s", url, strchr(url, '?') ? '&' : '?', query);
}

struct ferry_bus *conformance_open(struct conformance *c, const char *query,
				   const struct ferry_bus_options *options)
{
	struct ferry_bus_options mine = {.size = sizeof mine};
	struct ferry_error err = {0};
	struct open_bus *open = conformance_alloc(c, sizeof *open);

	if (options)
		memcpy(&mine, options, options->size < sizeof mine ? options->size : sizeof mine);
	mine.size = sizeof mine;
	if (!mine.service)
		mine.service = conformance_name(c, "service");
	if (!mine.transport_path)
		mine.transport_path = c->settings->transport_path;
	if (!mine.log)
		mine.log = log_line;
	if (!mine.clock && c->manual)
		mine.clock = FERRY_CLOCK_MANUAL;
	open->bus = ferry_bus_open(conformance_url_with(c, query), &mine, &err);
	CHECK(c, open->bus, "the bus cannot be opened: %s: %s", ferry_error_name(err.code), err.text);
	pthread_mutex_lock(&c->lock);
	open->next = c->buses;
	c->buses = open;
	pthread_mutex_unlock(&c->lock);
	return open->bus;
}

/* Take a bus off the list; NULL when it is not there. */
static struct open_bus *take(struct conformance *c, struct ferry_bus *bus)
{
	struct open_bus *found = NULL;

	pthread_mutex_lock(&c->lock);
	for (struct open_bus **at = &c->buses; *at; at = &(*at)->next) {
		if ((*at)->bus != bus)
			continue;
		found = *at;
		*at = found->next;
		break;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

void conformance_forget(struct conformance *c, struct ferry_bus *bus)
{
	take(c, bus);
}

void conformance_subscribe(struct conformance *c, struct ferry_bus *bus, const char *topic,
			   ferry_handler_fn *handler, void *ctx, const struct ferry_handler_options *options)
{
	struct ferry_error err = {0};

	conformance_ok(c, ferry_subscribe(bus, topic, handler, ctx, options, &err), &err, "subscribe");
}

void conformance_start(struct conformance *c, struct ferry_bus *bus)
{
	struct ferry_error err = {0};

	conformance_ok(c, ferry_bus_start(bus, WAIT_MS, &err), &err, "start");
	conformance_ok(c, ferry_bus_wait_ready(bus, WAIT_MS, &err), &err, "ready");
}

void conformance_stop(struct conformance *c, struct ferry_bus *bus, struct ferry_stop_report *report)
{
	struct ferry_error err = {0};

	conformance_accounts(c, bus);
	conformance_ok(c, ferry_bus_stop(bus, WAIT_MS, report, &err), &err, "stop");
	conformance_accounts(c, bus);
}

static void close_publishers(struct open_bus *open)
{
	for (struct open_publisher *at = open->publishers; at; at = at->next)
		ferry_publisher_close(at->publisher);
}

void conformance_close(struct conformance *c, struct ferry_bus *bus)
{
	struct open_bus *open = take(c, bus);
	int state = ferry_bus_state(bus, NULL);

	CHECK(c, open, "a bus was closed twice");
	close_publishers(open);
	if (state == FERRY_STATE_CONNECTING || state == FERRY_STATE_READY ||
	    state == FERRY_STATE_DISCONNECTED)
		conformance_stop(c, bus, NULL);
	ferry_bus_close(bus);
}

void conformance_close_all(struct conformance *c)
{
	while (c->buses)
		conformance_close(c, c->buses->bus);
}

/* ---- accounting ---- */

static void check_row(struct conformance *c, const struct ferry_group_stats *g)
{
	uint64_t sum = g->handled + g->filtered + g->dead_lettered + g->dropped + g->retried +
		       g->handed_back + g->stale + g->in_flight;

	CHECK(c, g->received == sum,
	      "the accounts of group %s, topic %s, handler \"%s\" do not balance: received %" PRIu64
	      ", but handled %" PRIu64 " + filtered %" PRIu64 " + dead_lettered %" PRIu64
	      " + dropped %" PRIu64 " + retried %" PRIu64 " + handed_back %" PRIu64 " + stale %" PRIu64
	      " + in_flight %" PRIu64 " = %" PRIu64,
	      g->group, g->topic, g->handler, g->received, g->handled, g->filtered, g->dead_lettered,
	      g->dropped, g->retried, g->handed_back, g->stale, g->in_flight, sum);
}

void conformance_accounts(struct conformance *c, struct ferry_bus *bus)
{
	struct ferry_error err = {0};
	struct ferry_stats *stats = ferry_stats_take(bus, &err);

	CHECK(c, stats, "no snapshot of the accounts: %s", err.text);
	for (size_t i = 0; i < ferry_stats_group_count(stats); i++)
		check_row(c, ferry_stats_group(stats, i));
	ferry_stats_free(stats);
}

struct ferry_group_stats conformance_stats(struct conformance *c, struct ferry_bus *bus, const char *group)
{
	struct ferry_error err = {0};
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	struct ferry_group_stats sum;

	CHECK(c, stats, "no snapshot of the accounts: %s", err.text);
	sum = ferry_stats_sum(stats, group);
	ferry_stats_free(stats);
	return sum;
}

struct drain {
	struct conformance *c;
	struct ferry_bus *bus;
	const char *group;
	uint64_t settled;
	struct ferry_group_stats sum;
};

static bool is_drained(void *ctx)
{
	struct drain *drain = ctx;

	drain->sum = conformance_stats(drain->c, drain->bus, drain->group);
	return !drain->sum.in_flight && drain->sum.received - drain->sum.retried >= drain->settled;
}

void conformance_drained(struct conformance *c, struct ferry_bus *bus, const char *group, uint64_t settled)
{
	struct drain drain = {.c = c, .bus = bus, .group = group, .settled = settled};

	CHECK(c, conformance_until(c, is_drained, &drain, WAIT_MS),
	      "%" PRIu64 " messages should be settled, but %" PRIu64 " are, and %" PRIu64 " are in flight",
	      settled, drain.sum.received - drain.sum.retried - drain.sum.in_flight, drain.sum.in_flight);
	conformance_accounts(c, bus);
}

/* ---- publishing ---- */

struct ferry_publisher *conformance_publisher(struct conformance *c, struct ferry_bus *bus, const char *topic)
{
	struct open_publisher *open = conformance_alloc(c, sizeof *open);
	struct ferry_error err = {0};
	struct open_bus *owner;

	conformance_ok(c, ferry_publisher_open(bus, topic, NULL, &open->publisher, &err), &err,
		       "publisher_open");
	pthread_mutex_lock(&c->lock);
	for (owner = c->buses; owner && owner->bus != bus;)
		owner = owner->next;
	if (owner) {
		open->next = owner->publishers;
		owner->publishers = open;
	}
	pthread_mutex_unlock(&c->lock);
	CHECK(c, owner, "a publisher of a bus that the frame does not own");
	return open->publisher;
}

void conformance_publish(struct conformance *c, struct ferry_publisher *publisher, int64_t n,
			 const struct ferry_publish_options *options)
{
	struct ferry_error err = {0};
	char payload[24];
	int size = snprintf(payload, sizeof payload, "%" PRId64, n);

	conformance_ok(c, ferry_publish(publisher, payload, (size_t)size, options, &err), &err, "publish");
}

#define BATCH 500

static void publish_batch(struct conformance *c, struct ferry_publisher *publisher, int64_t first,
			  size_t count, const struct ferry_publish_options *options)
{
	struct ferry_batch_item items[BATCH] = {{0}};
	char payloads[BATCH][24];
	struct ferry_error err = {0};
	int code;

	for (size_t i = 0; i < count; i++) {
		int size = snprintf(payloads[i], sizeof payloads[i], "%" PRId64, first + (int64_t)i);

		items[i] = (struct ferry_batch_item){.payload = payloads[i],
						     .payload_size = (size_t)size,
						     .options = options,
						     .result = 1};
	}
	code = ferry_publish_batch(publisher, items, count, 0, &err);
	conformance_ok(c, code, &err, "publish_batch");
	for (size_t i = 0; i < count; i++)
		CHECK(c, items[i].result == 0, "publish_batch returned 0, but item %zu has result %d", i,
		      items[i].result);
}

void conformance_publish_many(struct conformance *c, struct ferry_publisher *publisher, int64_t first,
			      size_t count, const struct ferry_publish_options *options)
{
	for (size_t done = 0; done < count; done += BATCH)
		publish_batch(c, publisher, first + (int64_t)done,
			      count - done < BATCH ? count - done : BATCH, options);
}

int64_t conformance_number(const struct ferry_message *message)
{
	size_t size;
	const char *payload = ferry_message_payload(message, &size);
	char text[24];
	char *end;
	int64_t n;

	if (size == 0 || size >= sizeof text)
		return -1;
	memcpy(text, payload, size);
	text[size] = '\0';
	n = strtoll(text, &end, 10);
	return *end || n < 0 ? -1 : n;
}
