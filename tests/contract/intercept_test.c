/*
 * intercept_test.c - interceptors around publish: what they can change, and what they cannot.
 */
#include "contract.h"

/* What the interceptor does with each message; the context of every test here. */
struct act {
	bool pass;   /* call the next one */
	bool twice;  /* and once more */
	int result;  /* returned */
	int next[2]; /* what the next one returned */
};

static int perform(struct ferry_publication *publication, struct ferry_next *next, void *ctx)
{
	struct act *act = ctx;
	if (act->pass)
		act->next[0] = ferry_next_publish(next, publication);
	if (act->twice)
		act->next[1] = ferry_next_publish(next, publication);
	return act->result;
}

static void count_done(int code, const struct ferry_error *why, void *ctx)
{
	(void)code, (void)why;
	++*(int *)ctx;
}

/* Publish in each of the three ways; `expected` is the result of every one. */
static void perform_all(struct act *act, int expected)
{
	struct plan plan = {.results = NULL};
	struct ferry_interceptor interceptor = {.size = sizeof interceptor, .publish = perform, .ctx = act};
	struct ferry_bus *bus = open_still("", NULL);
	struct ferry_batch_item item = {.payload = "x", .payload_size = 1, .result = 7};
	int done = 0, sent = expected == 0 ? 3 : 0;
	plan.bus = bus;
	OK(ferry_bus_intercept(bus, &interceptor, &err));
	OK(ferry_subscribe(bus, "t", follow_plan, &plan, NULL, &err));
	OK(ferry_bus_start(bus, 0, &err));
	struct ferry_publisher *p = open_publisher(bus, "t");
	int codes[3];
	codes[0] = ferry_publish(p, "x", 1, NULL, &err);
	codes[1] = ferry_publish_async(p, "x", 1, NULL, count_done, &done, &err);
	codes[2] = ferry_publish_batch(p, &item, 1, 0, &err);
	for (int i = 0; i < 3; i++)
		CHECK(codes[i] == expected, "way %d: %d, not %d", i, codes[i], expected);
	CHECK(item.result == expected, "the item's result is %d", item.result);
	if (expected) {
		CHECK(err.code == expected && strstr(err.text, "interceptor"), "%s", err.text);
	}
	turn(bus);
	CHECK(atomic_load(&plan.calls) == sent && done == (sent ? 1 : 0), "%d delivered, %d completed",
	      atomic_load(&plan.calls), done);
	struct ferry_topic_stats row = topic_stats_of(bus, "t");
	CHECK(row.published == (uint64_t)sent && row.rejected == 3 - (uint64_t)sent,
	      "published %d, rejected %d", (int)row.published, (int)row.rejected);
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

static void a_negative_result_refuses(void)
{
	perform_all(&(struct act){.result = FERRY_E_DENIED}, FERRY_E_DENIED);
}

static void nothing_is_dropped_in_silence(void)
{
	perform_all(&(struct act){.result = 0}, FERRY_E_REJECTED);
	perform_all(&(struct act){.result = 5}, FERRY_E_REJECTED);
}

static void what_was_sent_cannot_be_talked_away(void)
{
	perform_all(&(struct act){.pass = true, .result = FERRY_E_DENIED}, 0);
	perform_all(&(struct act){.pass = true, .result = 5}, 0);
}

static void a_message_is_sent_once(void)
{
	struct act act = {.pass = true, .twice = true};
	perform_all(&act, 0);
	CHECK(act.next[0] == 0 && act.next[1] == FERRY_E_STATE, "%d %d", act.next[0], act.next[1]);
}

static void a_failure_cannot_be_talked_away_either(void)
{
	struct act act = {.pass = true, .result = 0};
	struct ferry_interceptor interceptor = {.size = sizeof interceptor, .publish = perform, .ctx = &act};
	struct ferry_bus *bus = open_url("moody:", FERRY_OPTIONS(ferry_bus_options, .service = "shop"));
	OK(ferry_bus_intercept(bus, &interceptor, &err));
	OK(ferry_bus_start(bus, 0, &err));
	REFUSED(publish(bus, "t", "x", NULL), FERRY_E_REJECTED, "moody keeps nothing");
	CHECK(act.next[0] == FERRY_E_REJECTED, "%d", act.next[0]);
	ferry_bus_close(bus);
}

/* ---- changing a message ---- */

static int change(struct ferry_publication *publication, struct ferry_next *next, void *ctx)
{
	(void)ctx;
	static const char *const reserved[] = {"ce_id", "Ferry-x", "traceparent", "two words", ""};
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
		CHECK(ferry_publication_set_attribute(publication, reserved[i], "1") == FERRY_E_INVALID,
		      "\"%s\" was set", reserved[i]);
	CHECK(ferry_publication_set_attribute(publication, NULL, "1") == FERRY_E_INVALID &&
		      ferry_publication_set_attribute(publication, "a", NULL) == FERRY_E_INVALID &&
		      ferry_publication_set_attribute(publication, "a", "\377") == FERRY_E_INVALID &&
		      ferry_publication_set_trace_id(publication, NULL) == FERRY_E_INVALID &&
		      ferry_publication_set_trace_id(publication, "two\nlines") == FERRY_E_INVALID,
	      "what cannot be sent was set");
	char name[] = "region", value[] = "us", trace[] = "t2";
	CHECK(!ferry_publication_set_attribute(publication, name, value) &&
		      !ferry_publication_set_attribute(publication, "added", "") &&
		      !ferry_publication_set_trace_id(publication, trace),
	      "an attribute cannot be set");
	name[0] = value[0] = trace[0] = '!'; /* they were copied */
	CHECK(!strcmp(ferry_publication_attribute(publication, "region"), "us") &&
		      !strcmp(ferry_publication_attribute(publication, "added"), "") &&
		      !strcmp(ferry_publication_attribute(publication, "own"), "1") &&
		      !ferry_publication_attribute(publication, "none") &&
		      !ferry_publication_attribute(publication, NULL),
	      "the attributes are others");
	return ferry_next_publish(next, publication);
}

static int look(struct ferry_message *m, void *ctx)
{
	++*(int *)ctx;
	CHECK(ferry_message_attribute_count(m) == 3 && !strcmp(ferry_message_attribute(m, "region"), "us") &&
		      !strcmp(ferry_message_attribute(m, "added"), "") &&
		      !strcmp(ferry_message_attribute(m, "own"), "1") &&
		      !strcmp(ferry_message_trace_id(m), "t2"),
	      "the message is another: %zu attributes, trace %s", ferry_message_attribute_count(m),
	      ferry_message_trace_id(m));
	return 0;
}

static void a_message_can_be_changed_in_each_way_of_publishing(void)
{
	int calls = 0;
	struct ferry_interceptor interceptor = {.size = sizeof interceptor, .publish = change};
	struct ferry_bus *bus = open_still("", NULL);
	const struct ferry_publish_options *options =
		PUBLISH(.attributes = FERRY_ATTRIBUTES({"region", "eu"}, {"own", "1"}), .trace_id = "t1");
	struct ferry_batch_item items[3] = {{.options = options}, {.options = options}, {.options = options}};
	OK(ferry_bus_intercept(bus, &interceptor, &err));
	OK(ferry_subscribe(bus, "t", look, &calls, NULL, &err));
	OK(ferry_bus_start(bus, 0, &err));
	struct ferry_publisher *p = open_publisher(bus, "t");
	OK(ferry_publish(p, "x", 1, options, &err));
	OK(ferry_publish_async(p, "x", 1, options, NULL, NULL, &err));
	OK(ferry_publish_batch(p, items, 3, 0, &err));
	turn(bus);
	CHECK(calls == 5, "%d calls", calls);
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

const struct contract_test intercept_tests[] = {
	{"a_negative_result_refuses", a_negative_result_refuses},
	{"nothing_is_dropped_in_silence", nothing_is_dropped_in_silence},
	{"what_was_sent_cannot_be_talked_away", what_was_sent_cannot_be_talked_away},
	{"a_message_is_sent_once", a_message_is_sent_once},
	{"a_failure_cannot_be_talked_away_either", a_failure_cannot_be_talked_away_either},
	{"a_message_can_be_changed_in_each_way_of_publishing",
	 a_message_can_be_changed_in_each_way_of_publishing},
	{NULL, NULL},
};
