/*
 * interceptor_test.c - interceptors: their order, and what they can change.
 */
#include "api_test.h"

/* Marks that one thread leaves; the publisher's thread and the handler's have one each. */
struct trail {
	char text[128];
};

static void step(struct trail *trail, char mark, char name)
{
	size_t length = strlen(trail->text);
	if (length + 3 < sizeof(trail->text)) {
		trail->text[length] = mark;
		trail->text[length + 1] = name;
		trail->text[length + 2] = '\0';
	}
}

/* An interceptor's context. */
struct walker {
	char name;
	struct trail *publishing, *handling;
};

static int around_handle(struct ferry_message *message, struct ferry_next *next, void *ctx)
{
	struct walker *w = ctx;
	step(w->handling, '(', w->name);
	int result = ferry_next_handle(next, message);
	step(w->handling, ')', w->name);
	return result;
}

static int around_publish(struct ferry_publication *publication, struct ferry_next *next, void *ctx)
{
	struct walker *w = ctx;
	char name[] = {'m', 'a', 'r', 'k', '-', w->name, '\0'};
	step(w->publishing, '<', w->name);
	int result = ferry_publication_set_attribute(publication, name, "yes");
	if (!result)
		result = ferry_next_publish(next, publication);
	step(w->publishing, '>', w->name);
	return result;
}

struct seen {
	struct trail handling;
	char marks[3][8];
	char trace[64];
	atomic_int calls;
};

static int look(struct ferry_message *message, void *ctx)
{
	struct seen *seen = ctx;
	static const char *const names[] = {"mark-a", "mark-b", "own"};
	step(&seen->handling, '*', 'h');
	for (int i = 0; i < 3; i++) {
		const char *value = ferry_message_attribute(message, names[i]);
		snprintf(seen->marks[i], sizeof(seen->marks[i]), "%s", value ? value : "none");
	}
	snprintf(seen->trace, sizeof(seen->trace), "%s", ferry_message_trace_id(message));
	atomic_fetch_add(&seen->calls, 1);
	return 0;
}

static void they_nest_in_the_order_of_registration(void)
{
	static struct seen seen;
	static struct trail publishing;
	static struct walker a = {'a', &publishing, &seen.handling}, b = {'b', &publishing, &seen.handling};
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_interceptor first = {
		.size = sizeof(first), .handle = around_handle, .publish = around_publish, .ctx = &a};
	struct ferry_interceptor second = first;
	second.ctx = &b;
	OK(ferry_bus_intercept(bus, &first, &err), &err);
	OK(ferry_bus_intercept(bus, &second, &err), &err);
	OK(ferry_subscribe(bus, "t", look, &seen, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "t");
	OK(ferry_publish(p, "x", 1,
			 FERRY_OPTIONS(ferry_publish_options, .attributes = FERRY_ATTRIBUTES({"own", "1"})),
			 &err),
	   &err);
	WAIT_FOR(&seen.calls, 1);
	ferry_publisher_close(p);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(!strcmp(publishing.text, "<a<b>b>a") && !strcmp(seen.handling.text, "(a(b*h)b)a"),
	      "the order was %s and %s", publishing.text, seen.handling.text);
	CHECK(!strcmp(seen.marks[0], "yes") && !strcmp(seen.marks[1], "yes") && !strcmp(seen.marks[2], "1"),
	      "attributes: %s %s %s", seen.marks[0], seen.marks[1], seen.marks[2]);
	ferry_bus_close(bus);
}

/* ---- refusing ---- */

static int refuse_secret(struct ferry_publication *publication, struct ferry_next *next, void *ctx)
{
	(void)ctx;
	if (ferry_publication_attribute(publication, "secret"))
		return FERRY_E_DENIED;
	size_t size;
	const char *payload = ferry_publication_payload(publication, &size);
	CHECK(size == 1 && *payload == 'x' && !strcmp(ferry_publication_topic(publication), "t"),
	      "another message");
	return ferry_next_publish(next, publication);
}

static int fail_first_attempt(struct ferry_message *message, struct ferry_next *next, void *ctx)
{
	(void)ctx;
	if (ferry_message_attempt(message) == 1)
		return ferry_message_fail(message, FERRY_E_RETRY, "not yet");
	return ferry_next_handle(next, message);
}

static void one_can_refuse_a_publish_and_fail_a_call(void)
{
	static struct seen seen;
	static atomic_int completions;
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_interceptor guard = {
		.size = sizeof(guard), .handle = fail_first_attempt, .publish = refuse_secret};
	const struct ferry_publish_options *secret =
		FERRY_OPTIONS(ferry_publish_options, .attributes = FERRY_ATTRIBUTES({"secret", "1"}));
	OK(ferry_bus_intercept(bus, &guard, &err), &err);
	OK(ferry_subscribe(bus, "t", look, &seen,
			   FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = FERRY_NONE), &err),
	   &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "t");
	struct ferry_batch_item items[] = {{.payload = "x", .payload_size = 1},
					   {.payload = "x", .payload_size = 1, .options = secret}};
	CHECK(ferry_publish(p, "x", 1, secret, &err) == FERRY_E_DENIED, "a refused message was published");
	CHECK(ferry_publish_async(p, "x", 1, secret, NULL, &completions, &err) == FERRY_E_DENIED,
	      "a refused message was published");
	CHECK(ferry_publish_batch(p, items, 2, 0, &err) == FERRY_E_DENIED && items[0].result == 0 &&
		      items[1].result == FERRY_E_DENIED,
	      "a batch with a refused item: %d %d", items[0].result, items[1].result);
	WAIT_FOR(&seen.calls, 1);
	ferry_publisher_close(p);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	CHECK(stats, "%s", err.text);
	struct ferry_group_stats sum = ferry_stats_sum(stats, NULL);
	CHECK(sum.handled == 1 && sum.failed == 1 && atomic_load(&seen.calls) == 1, "handled %d, failed %d",
	      (int)sum.handled, (int)sum.failed);
	ferry_stats_free(stats);
	ferry_bus_close(bus);
}

const struct api_test interceptor_tests[] = {
	{"they_nest_in_the_order_of_registration", they_nest_in_the_order_of_registration},
	{"one_can_refuse_a_publish_and_fail_a_call", one_can_refuse_a_publish_and_fail_a_call},
	{NULL, NULL},
};
