/*
 * dlq_test.c - dead letters: what they carry, where they go, and how they come back.
 */
#include <ctype.h>
#include <stdlib.h>

#include "contract.h"

/* ---- reading them ---- */

struct grave {
	int count;
	char id[64], key[16], payload[16], region[16], handler[64], reason[32], attempts[8], text[1100];
	char topic[64], group[64], first[40], last[40], position[128], instance[200], host[80];
	int64_t timestamp_us;
};

static void take(const struct ferry_message *m, const char *name, char *buffer, size_t size)
{
	const char *value = ferry_message_attribute(m, name);
	CHECK(value, "a dead letter has no %s", name);
	CHECK(strlen(value) < size, "%s has %zu bytes", name, strlen(value));
	memcpy(buffer, value, strlen(value) + 1);
}

static int bury(struct ferry_message *m, void *ctx)
{
	struct grave *g = ctx;
	size_t size;
	const char *key = ferry_message_key(m, &size);
	snprintf(g->key, sizeof g->key, "%.*s", (int)size, key ? key : "");
	const char *payload = ferry_message_payload(m, &size);
	snprintf(g->payload, sizeof g->payload, "%.*s", (int)(size < 15 ? size : 15), payload);
	snprintf(g->id, sizeof g->id, "%s", ferry_message_id(m));
	const char *region = ferry_message_attribute(m, "region");
	snprintf(g->region, sizeof g->region, "%s", region ? region : "");
	g->timestamp_us = ferry_message_timestamp_us(m);
	take(m, "ferry-dlq-topic", g->topic, sizeof g->topic);
	take(m, "ferry-dlq-group", g->group, sizeof g->group);
	take(m, "ferry-dlq-handler", g->handler, sizeof g->handler);
	take(m, "ferry-dlq-reason", g->reason, sizeof g->reason);
	take(m, "ferry-dlq-error", g->text, sizeof g->text);
	take(m, "ferry-dlq-attempts", g->attempts, sizeof g->attempts);
	take(m, "ferry-dlq-first-failed", g->first, sizeof g->first);
	take(m, "ferry-dlq-last-failed", g->last, sizeof g->last);
	take(m, "ferry-dlq-source-pos", g->position, sizeof g->position);
	take(m, "ferry-dlq-instance", g->instance, sizeof g->instance);
	take(m, "ferry-dlq-host", g->host, sizeof g->host);
	CHECK(!ferry_message_attribute(m, "ferry-target-group"), "a dead letter has a target");
	g->count++;
	return 0;
}

/* 2026-01-02T03:04:05.678901Z */
static bool is_time(const char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
	if (strlen(text) != strlen(shape))
		return false;
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
			return false;
	return true;
}

static const int two_errors_then_reject[] = {FERRY_E_RETRY, FERRY_E_RETRY, FERRY_REJECT};

static void a_dead_letter_says_where_and_why(void)
{
	static const struct {
		int32_t distribution;
		const char *group;
	} rows[] = {{FERRY_COMPETING, "shop"}, {FERRY_BROADCAST, "broadcast:shop"}};
	for (size_t i = 0; i < 2; i++) {
		struct plan plan = {.results = two_errors_then_reject, .result_count = 3, .text = "away"};
		struct grave grave = {.count = 0};
		plan.bus = open_still("", FERRY_OPTIONS(ferry_bus_options, .service = "shop"));
		OK(ferry_subscribe(plan.bus, "t", follow_plan, &plan,
				   HANDLER(.name = "charger", .distribution = rows[i].distribution), &err));
		OK(ferry_subscribe(plan.bus, "dlq.shop.t", bury, &grave, HANDLER(.group = "ops"), &err));
		OK(ferry_bus_start(plan.bus, 0, &err));
		OK(publish(plan.bus, "t", "body",
			   PUBLISH(.id = "a1", .key = "k", .key_size = 1,
				   .attributes = FERRY_ATTRIBUTES({"region", "eu"}))));
		turn(plan.bus);
		pass(plan.bus, 1000);
		pass(plan.bus, 2000);
		CHECK(grave.count == 1, "%d dead letters", grave.count);
		CHECK(!strcmp(grave.id, "a1") && !strcmp(grave.key, "k") && !strcmp(grave.payload, "body") &&
			      !strcmp(grave.region, "eu"),
		      "the original changed: %s %s %s %s", grave.id, grave.key, grave.payload, grave.region);
		CHECK(!strcmp(grave.topic, "t") && !strcmp(grave.group, rows[i].group) &&
			      !strcmp(grave.handler, "charger") && !strcmp(grave.reason, "rejected") &&
			      !strcmp(grave.text, "away") && !strcmp(grave.attempts, "3"),
		      "%s %s %s %s %s %s", grave.topic, grave.group, grave.handler, grave.reason, grave.text,
		      grave.attempts);
		CHECK(is_time(grave.first) && is_time(grave.last) && strcmp(grave.first, grave.last) < 0,
		      "failed from %s to %s", grave.first, grave.last);
		CHECK(*grave.position && *grave.instance && *grave.host, "position %s, instance %s, host %s",
		      grave.position, grave.instance, grave.host);
		ferry_bus_close(plan.bus);
	}
}

/* ---- the text ---- */

static void a_text_is_cut_at_a_whole_character(void)
{
	static const struct {
		size_t plain; /* letters before the first sequence */
		const char *sequence;
		size_t expected;
	} rows[] = {
		{2000, "", 1024},
		{1024, "\303\244", 1024},
		{1023, "\303\244", 1023},
		{1022, "\303\244", 1024},
		{1022, "\342\202\254", 1022},
		{1021, "\342\202\254", 1024},
		{1021, "\360\237\232\242", 1021},
		{1020, "\360\237\232\242", 1024},
		{10, "", 10},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		static char text[2100];
		struct plan plan = {.results = (const int[]){FERRY_REJECT}, .result_count = 1, .text = text};
		struct grave grave = {.count = 0};
		memset(text, 'a', rows[i].plain);
		snprintf(text + rows[i].plain, sizeof text - rows[i].plain, "%s%s", rows[i].sequence,
			 rows[i].sequence);
		plan.bus = open_still("", NULL);
		OK(ferry_subscribe(plan.bus, "t", follow_plan, &plan, NULL, &err));
		OK(ferry_subscribe(plan.bus, "dlq.default.t", bury, &grave, HANDLER(.group = "ops"), &err));
		OK(ferry_bus_start(plan.bus, 0, &err));
		OK(publish(plan.bus, "t", "x", NULL));
		turn(plan.bus);
		CHECK(grave.count == 1 && strlen(grave.text) == rows[i].expected &&
			      !memcmp(grave.text, text, rows[i].expected),
		      "row %d: %d bytes", (int)i, (int)strlen(grave.text));
		ferry_bus_close(plan.bus);
	}
}

static int fail_without_text(struct ferry_message *m, void *ctx)
{
	(void)ctx;
	return ferry_message_fail(m, FERRY_REJECT, NULL);
}

static void a_failure_without_a_text_names_its_result(void)
{
	struct grave grave = {.count = 0};
	struct ferry_bus *bus = open_still("", NULL);
	OK(ferry_subscribe(bus, "t", fail_without_text, NULL, NULL, &err));
	OK(ferry_subscribe(bus, "dlq.default.t", bury, &grave, HANDLER(.group = "ops"), &err));
	OK(ferry_bus_start(bus, 0, &err));
	OK(publish(bus, "t", "x", NULL));
	turn(bus);
	CHECK(grave.count == 1 && strstr(grave.text, "FERRY_REJECT"), "\"%s\"", grave.text);
	ferry_bus_close(bus);
}

static void a_missing_ack_is_named(void)
{
	struct plan plan = {.results = NULL}; /* returns 0, and neither keeps nor settles */
	struct grave grave = {.count = 0};
	plan.bus = open_still("", NULL);
	OK(ferry_subscribe(plan.bus, "t", follow_plan, &plan,
			   HANDLER(.ack = FERRY_ACK_MANUAL, .max_retries = FERRY_NONE), &err));
	OK(ferry_subscribe(plan.bus, "dlq.default.t", bury, &grave, HANDLER(.group = "ops"), &err));
	OK(ferry_bus_start(plan.bus, 0, &err));
	OK(publish(plan.bus, "t", "x", NULL));
	turn(plan.bus);
	CHECK(grave.count == 1 && !strcmp(grave.text, ferry_error_text(FERRY_E_MISSING_ACK)), "\"%s\"",
	      grave.text);
	ferry_bus_close(plan.bus);
}

/* ---- policy ---- */

struct drops {
	int count;
	char topic[40], group[40], handler[40], id[40], reason[40], text[80];
	uint64_t messages;
};

static void note_drop(struct ferry_bus *bus, const struct ferry_incident *incident, void *ctx)
{
	struct drops *d = ctx;
	CHECK(bus && incident->size == sizeof *incident, "an incident of %zu bytes", incident->size);
	snprintf(d->topic, sizeof d->topic, "%s", incident->topic);
	snprintf(d->group, sizeof d->group, "%s", incident->group);
	snprintf(d->handler, sizeof d->handler, "%s", incident->handler);
	snprintf(d->id, sizeof d->id, "%s", incident->message_id);
	snprintf(d->reason, sizeof d->reason, "%s", incident->reason);
	snprintf(d->text, sizeof d->text, "%s", incident->text);
	d->messages += incident->count;
	d->count++;
}

static void a_dead_letter_that_fails_is_dropped_unless_asked(void)
{
	static const struct {
		struct ferry_handler_options options;
		const char *grave; /* NULL: dropped */
	} rows[] = {
		{{.size = sizeof(struct ferry_handler_options)}, NULL},
		{{.size = sizeof(struct ferry_handler_options), .dlq = FERRY_ON}, "dlq.default.dlq.x"},
		{{.size = sizeof(struct ferry_handler_options), .dlq_topic = "grave"}, "grave"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct plan plan = {.results = (const int[]){FERRY_REJECT}, .result_count = 1, .text = "no"};
		struct drops drops = {.count = 0};
		struct ferry_handler_options options = rows[i].options;
		options.name = "reader";
		plan.bus = open_still(
			"", FERRY_OPTIONS(ferry_bus_options, .on_dropped = note_drop, .hook_ctx = &drops));
		OK(ferry_subscribe(plan.bus, "dlq.x", follow_plan, &plan, &options, &err));
		OK(ferry_bus_start(plan.bus, 0, &err));
		OK(publish(plan.bus, "dlq.x", "x", PUBLISH(.id = "a1")));
		turn(plan.bus);
		struct ferry_group_stats sum = stats_of(plan.bus, NULL);
		if (rows[i].grave) {
			CHECK(sum.dead_lettered == 1 &&
				      topic_stats_of(plan.bus, rows[i].grave).published == 1,
			      "dead-lettered %d", (int)sum.dead_lettered);
		} else {
			CHECK(sum.dropped == 1 && drops.count == 1 && drops.messages == 1, "dropped %d",
			      (int)sum.dropped);
			CHECK(!strcmp(drops.topic, "dlq.x") && !strcmp(drops.group, "default") &&
				      !strcmp(drops.handler, "reader") && !strcmp(drops.id, "a1") &&
				      !strcmp(drops.reason, "rejected") && !strcmp(drops.text, "no"),
			      "%s %s %s %s %s %s", drops.topic, drops.group, drops.handler, drops.id,
			      drops.reason, drops.text);
		}
		ferry_bus_close(plan.bus);
	}
}

static int undecodable(struct ferry_message *m, void *ctx, struct ferry_error *why)
{
	(void)m, (void)ctx;
	snprintf(why->text, sizeof why->text, "cents: expected an integer");
	return FERRY_E_DECODE;
}

static void an_undecodable_message_is_never_handed_over(void)
{
	struct plan plan = {.results = NULL};
	struct grave grave = {.count = 0};
	plan.bus = open_still("", NULL);
	OK(ferry_subscribe(plan.bus, "t", follow_plan, &plan, HANDLER(.decode = undecodable), &err));
	OK(ferry_subscribe(plan.bus, "dlq.default.t", bury, &grave, HANDLER(.group = "ops"), &err));
	OK(ferry_bus_start(plan.bus, 0, &err));
	OK(publish(plan.bus, "t", "x", NULL));
	turn(plan.bus);
	CHECK(atomic_load(&plan.calls) == 0 && grave.count == 1 && !strcmp(grave.reason, "decode") &&
		      !strcmp(grave.text, "cents: expected an integer"),
	      "%d calls, %s: %s", atomic_load(&plan.calls), grave.reason, grave.text);
	CHECK(stats_of(plan.bus, "default").calls == 0, "a call was counted");
	ferry_bus_close(plan.bus);
}

static void a_message_of_the_largest_size_can_be_dead_lettered(void)
{
	static char large[1024];
	struct plan plan = {.results = (const int[]){FERRY_REJECT}, .result_count = 1};
	struct grave grave = {.count = 0};
	plan.bus = open_still("&max_message=1KiB", NULL);
	OK(ferry_subscribe(plan.bus, "t", follow_plan, &plan, NULL, &err));
	OK(ferry_subscribe(plan.bus, "dlq.default.t", bury, &grave, HANDLER(.group = "ops"), &err));
	OK(ferry_bus_start(plan.bus, 0, &err));
	struct ferry_publisher *publisher = open_publisher(plan.bus, "t");
	OK(ferry_publish(publisher, large, sizeof large, NULL, &err));
	ferry_publisher_close(publisher);
	turn(plan.bus);
	CHECK(grave.count == 1, "%d dead letters", grave.count);
	ferry_bus_close(plan.bus);
}

/* ---- replay ---- */

struct town {
	struct ferry_bus *bus;
	struct plan failing, other, broadcast, other_broadcast;
	int verdict;
};

static int obey(struct ferry_message *m, void *ctx)
{
	struct plan *plan = ctx;
	const int *verdict = plan->results;
	(void)m;
	plan->attempts[atomic_load(&plan->calls) % 64] = ferry_message_attempt(m);
	atomic_fetch_add(&plan->calls, 1);
	return *verdict;
}

static const int never_fails = 0;

/* Three dead letters of group shop and three of its broadcast handler; billing is content. */
static void settle_town(struct town *t)
{
	t->verdict = FERRY_REJECT;
	t->failing.results = t->broadcast.results = &t->verdict;
	t->other.results = t->other_broadcast.results = &never_fails;
	t->bus = open_still("", FERRY_OPTIONS(ferry_bus_options, .service = "shop"));
	OK(ferry_subscribe(t->bus, "t", obey, &t->failing, HANDLER(.dlq_topic = "dlq.shop.t"), &err));
	OK(ferry_subscribe(t->bus, "t", obey, &t->other, HANDLER(.group = "billing"), &err));
	OK(ferry_subscribe(t->bus, "t", obey, &t->broadcast,
			   HANDLER(.distribution = FERRY_BROADCAST, .dlq_topic = "dlq.all"), &err));
	OK(ferry_subscribe(t->bus, "t", obey, &t->other_broadcast,
			   HANDLER(.distribution = FERRY_BROADCAST, .group = "billing"), &err));
	OK(ferry_bus_start(t->bus, 0, &err));
	static const char *const ids[] = {"m1", "m2", "m3"};
	for (int i = 0; i < 3; i++)
		OK(publish(t->bus, "t", "x", PUBLISH(.id = ids[i])));
	turn(t->bus);
	CHECK(topic_stats_of(t->bus, "dlq.shop.t").published == 3 &&
		      topic_stats_of(t->bus, "dlq.all").published == 3,
	      "not three dead letters");
	t->verdict = 0;
	atomic_store(&t->failing.calls, 0);
	atomic_store(&t->other.calls, 0);
	atomic_store(&t->broadcast.calls, 0);
	atomic_store(&t->other_broadcast.calls, 0);
	pass(t->bus, 10);
}

static struct ferry_replay_report replay(struct town *t, const char *topic,
					 const struct ferry_replay_options *options)
{
	struct ferry_replay_report report = {.size = sizeof report};
	OK(ferry_dlq_replay(t->bus, topic, options, &report, &err));
	turn(t->bus);
	return report;
}

static void calls_were(const struct town *t, int failing, int other, int broadcast, int other_broadcast)
{
	CHECK(atomic_load(&t->failing.calls) == failing && atomic_load(&t->other.calls) == other &&
		      atomic_load(&t->broadcast.calls) == broadcast &&
		      atomic_load(&t->other_broadcast.calls) == other_broadcast,
	      "calls %d %d %d %d", atomic_load(&t->failing.calls), atomic_load(&t->other.calls),
	      atomic_load(&t->broadcast.calls), atomic_load(&t->other_broadcast.calls));
}

static void a_replay_goes_to_the_group_that_failed(void)
{
	struct town t = {.verdict = 0};
	settle_town(&t);
	struct ferry_replay_report r = replay(&t, "dlq.shop.t", NULL);
	CHECK(r.seen == 3 && r.replayed == 3 && r.skipped == 0, "%d %d %d", (int)r.seen, (int)r.replayed,
	      (int)r.skipped);
	calls_were(&t, 3, 0, 0, 0);
	CHECK(t.failing.attempts[0] == 1, "a replay comes as attempt %u", t.failing.attempts[0]);
	CHECK(stats_of(t.bus, "billing").filtered == 6 && stats_of(t.bus, "shop").filtered == 3,
	      "filtered %d and %d", (int)stats_of(t.bus, "billing").filtered,
	      (int)stats_of(t.bus, "shop").filtered);
	r = replay(&t, "dlq.shop.t", NULL);
	CHECK(r.replayed == 0, "replayed twice");
	r = replay(&t, "dlq.all", NULL);
	CHECK(r.replayed == 3, "%d replayed", (int)r.replayed);
	calls_were(&t, 3, 0, 3, 0);
	ferry_bus_close(t.bus);
}

static void a_replay_can_be_chosen(void)
{
	struct town t = {.verdict = 0};
	settle_town(&t);
#define REPLAY(...) FERRY_OPTIONS(ferry_replay_options, __VA_ARGS__)
	struct ferry_replay_report r = replay(&t, "dlq.shop.t", REPLAY(.dry_run = FERRY_ON));
	CHECK(r.seen == 3 && r.replayed == 3, "dry run: %d of %d", (int)r.replayed, (int)r.seen);
	calls_were(&t, 0, 0, 0, 0);
	r = replay(&t, "dlq.shop.t", REPLAY(.reason = "timeout"));
	CHECK(r.seen == 3 && r.replayed == 0 && r.skipped == 3, "reason: %d", (int)r.replayed);
	r = replay(&t, "dlq.shop.t", REPLAY(.id = "m2", .reason = "rejected"));
	CHECK(r.replayed == 1 && r.skipped == 2, "id: %d", (int)r.replayed);
	calls_were(&t, 1, 0, 0, 0);
	r = replay(&t, "dlq.shop.t", REPLAY(.max_count = 1));
	CHECK(r.replayed == 1, "count: %d", (int)r.replayed);
	r = replay(&t, "dlq.shop.t", REPLAY(.max_count = 7));
	CHECK(r.replayed == 1, "the rest: %d", (int)r.replayed);
	calls_were(&t, 3, 0, 0, 0);
	REFUSED(ferry_dlq_replay(t.bus, "two words", NULL, NULL, &err), FERRY_E_INVALID, "two words");
	REFUSED(ferry_dlq_replay(t.bus, NULL, NULL, NULL, &err), FERRY_E_INVALID, "NULL");
	REFUSED(ferry_dlq_replay(t.bus, "dlq.all", REPLAY(.timeout_ms = -1), NULL, &err), FERRY_E_INVALID,
		"timeout_ms");
	ferry_bus_close(t.bus);
}

const struct contract_test dlq_tests[] = {
	{"a_dead_letter_says_where_and_why", a_dead_letter_says_where_and_why},
	{"a_text_is_cut_at_a_whole_character", a_text_is_cut_at_a_whole_character},
	{"a_failure_without_a_text_names_its_result", a_failure_without_a_text_names_its_result},
	{"a_missing_ack_is_named", a_missing_ack_is_named},
	{"a_dead_letter_that_fails_is_dropped_unless_asked",
	 a_dead_letter_that_fails_is_dropped_unless_asked},
	{"an_undecodable_message_is_never_handed_over", an_undecodable_message_is_never_handed_over},
	{"a_message_of_the_largest_size_can_be_dead_lettered",
	 a_message_of_the_largest_size_can_be_dead_lettered},
	{"a_replay_goes_to_the_group_that_failed", a_replay_goes_to_the_group_that_failed},
	{"a_replay_can_be_chosen", a_replay_can_be_chosen},
	{NULL, NULL},
};
