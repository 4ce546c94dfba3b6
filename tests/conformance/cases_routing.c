/* cases_routing.c - which handler of a group gets a message: cases 17 and 18. */
#include <inttypes.h>

#include "conformance.h"
#include "support.h"

#define LATE_MS 100

/* ---- 17 ---- */

enum region { EU, US, ASIA, EU_GOLD, NOWHERE, REGIONS };

static const struct ferry_attribute *const region_attributes[REGIONS] = {
	[EU] = (const struct ferry_attribute[]){{"region", "eu"}, {NULL, NULL}},
	[US] = (const struct ferry_attribute[]){{"region", "us"}, {"tier", "gold"}, {NULL, NULL}},
	[ASIA] = (const struct ferry_attribute[]){{"region", "asia"}, {NULL, NULL}},
	[EU_GOLD] = (const struct ferry_attribute[]){{"tier", "gold"}, {"region", "eu"}, {NULL, NULL}},
	[NOWHERE] = (const struct ferry_attribute[]){{NULL, NULL}},
};

/* The handlers of the group: eu, us, and the gold ones of eu. */
enum { FILTER_EU, FILTER_US, FILTER_GOLD, FILTERS };

static bool may_handle(int handler, int64_t n)
{
	switch ((enum region)(n % REGIONS)) {
	case EU:
		return handler == FILTER_EU;
	case EU_GOLD:
		return handler == FILTER_EU || handler == FILTER_GOLD;
	case US:
		return handler == FILTER_US;
	default:
		return false;
	}
}

static struct ferry_bus *open_filters(struct conformance *c, struct record_handler handlers[FILTERS],
				      struct recorder *seen)
{
	const struct ferry_attribute *const filters[FILTERS] = {
		region_attributes[EU], FERRY_ATTRIBUTES({"region", "us"}),
		FERRY_ATTRIBUTES({"region", "eu"}, {"tier", "gold"})};
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	for (int i = 0; i < FILTERS; i++) {
		handlers[i] = (struct record_handler){.recorder = seen, .number = i};
		conformance_subscribe(c, bus, conformance_name(c, "orders"), conformance_record, &handlers[i],
				      FERRY_OPTIONS(ferry_handler_options, .filter = filters[i],
						    .group = conformance_name(c, "regional")));
	}
	return bus;
}

static void check_routes(struct conformance *c, struct recorder *seen, size_t count)
{
	for (size_t i = 0; i < recorder_count(seen); i++) {
		struct recorded entry = recorder_at(seen, i);

		CHECK(c, may_handle(entry.handler, entry.n),
		      "message %" PRId64 " came to handler %d, whose filter does not match it", entry.n,
		      entry.handler);
	}
	for (int64_t n = 0; n < (int64_t)count; n++) {
		bool wanted = n % REGIONS != ASIA && n % REGIONS != NOWHERE;

		CHECK(c, recorder_count_n(seen, n) == wanted,
		      "message %" PRId64 " matches %s filter, and came %zu times", n, wanted ? "a" : "no",
		      recorder_count_n(seen, n));
	}
}

void conformance_case_17(struct conformance *c)
{
	enum { COUNT = 60 * REGIONS };
	const uint64_t unwanted = 2 * COUNT / REGIONS;
	const char *group = conformance_name(c, "regional");
	struct recorder *seen = conformance_recorder(c), *all = conformance_recorder(c);
	struct record_handler handlers[FILTERS], for_all = {.recorder = all};
	struct ferry_bus *bus = open_filters(c, handlers, seen);
	struct ferry_publisher *publisher;
	struct ferry_group_stats stats;

	/* Another group is not concerned. */
	conformance_subscribe(c, bus, conformance_name(c, "orders"), conformance_record, &for_all,
			      FERRY_OPTIONS(ferry_handler_options, .group = conformance_name(c, "audit")));
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, conformance_name(c, "orders"));
	for (int64_t n = 0; n < COUNT; n++)
		conformance_publish(
			c, publisher, n,
			FERRY_OPTIONS(ferry_publish_options, .attributes = region_attributes[n % REGIONS]));
	conformance_drained(c, bus, group, COUNT);
	CHECK(c, recorder_wait(all, COUNT, WAIT_MS),
	      "%d messages were published, but %zu came to a group without filters", COUNT,
	      recorder_count(all));
	CHECK(c, recorder_quiet(seen, LATE_MS), "more came than was published");
	check_routes(c, seen, COUNT);
	conformance_each_once(c, all, 0, COUNT);
	stats = conformance_stats(c, bus, group);
	CHECK(c, stats.filtered == unwanted && stats.handled == COUNT - unwanted,
	      "%" PRIu64 " of %d messages match no filter, but filtered is %" PRIu64 " and handled %" PRIu64,
	      unwanted, COUNT, stats.filtered, stats.handled);
	conformance_close(c, bus);
	if (!conformance_can(c, FERRY_CAP_DURABLE))
		return;
	bus = open_filters(c, handlers, seen);
	conformance_start(c, bus);
	CHECK(c, recorder_quiet(seen, 3 * LATE_MS), "a message that was done came again after a restart");
	conformance_close(c, bus);
}

/* ---- 18 ---- */

/* Verdict of a handler that is slow for message 0 alone. */
static int slow_for_first(struct ferry_message *message, void *gate)
{
	return conformance_number(message) == 0 ? gate_verdict(message, gate) : 0;
}

struct slow {
	const char *what;
	ferry_handler_fn *verdict; /* of the slow handler */
	int32_t concurrency;       /* of the slow handler */
	bool peer;                 /* a second handler of the same group and topic */
};

/* One call stands at the gate; all that need not wait for it must pass. */
static void pass_slow(struct conformance *c, const struct slow *slow, const char *topic)
{
	enum { COUNT = 200 };
	struct gate *gate = gate_new(c);
	struct recorder *seen = conformance_recorder(c), *elsewhere = conformance_recorder(c);
	struct record_handler handlers[] = {
		{.recorder = seen, .number = 0, .verdict = slow->verdict, .ctx = gate},
		{.recorder = seen, .number = 1}};
	struct record_handler other = {.recorder = elsewhere};
	const char *other_topic = conformance_text(c, "%s-elsewhere", topic);
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	conformance_subscribe(c, bus, topic, conformance_record, &handlers[0],
			      FERRY_OPTIONS(ferry_handler_options, .concurrency = slow->concurrency));
	if (slow->peer)
		conformance_subscribe(c, bus, topic, conformance_record, &handlers[1], NULL);
	conformance_subscribe(c, bus, other_topic, conformance_record, &other, NULL);
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, COUNT, NULL);
	conformance_publish_many(c, conformance_publisher(c, bus, other_topic), 0, COUNT, NULL);
	CHECK(c, recorder_wait_now(elsewhere, COUNT, WAIT_MS),
	      "%s: a slow handler of another topic holds up %zu of %d messages", slow->what,
	      COUNT - recorder_count(elsewhere), COUNT);
	CHECK(c, recorder_wait_now(seen, slow->concurrency > 1 || slow->peer ? COUNT : 1, WAIT_MS),
	      "%s: one slow call holds up %zu of %d messages", slow->what, COUNT - recorder_count(seen),
	      COUNT);
	gate_open(gate);
	CHECK(c, recorder_wait(seen, COUNT, WAIT_MS), "%s: %d messages were published, but %zu came",
	      slow->what, COUNT, recorder_count(seen));
	conformance_drained(c, bus, NULL, 2 * COUNT);
	conformance_each_once(c, seen, 0, COUNT);
	conformance_each_once(c, elsewhere, 0, COUNT);
	conformance_close(c, bus);
}

void conformance_case_18(struct conformance *c)
{
	static const struct slow slows[] = {{"alone", gate_verdict, 1, false},
					    {"with a peer", gate_verdict, 1, true},
					    {"with concurrency 2", slow_for_first, 2, false}};

	for (size_t i = 0; i < sizeof slows / sizeof slows[0]; i++)
		pass_slow(c, &slows[i], conformance_name(c, conformance_text(c, "orders-%zu", i)));
}
