/*
 * subscribe_test.c - registering: names, agreement, option structs and FERRY_NONE.
 */
#include <stddef.h>

#include "contract.h"

static int ignore(struct ferry_message *message, void *ctx)
{
	(void)message, (void)ctx;
	return 0;
}

static int subscribe(struct ferry_bus *bus, const char *topic, const struct ferry_handler_options *options)
{
	return ferry_subscribe(bus, topic, ignore, NULL, options, &err);
}

/* `length` characters, ending in `tail`. */
static const char *name_of(char buffer[512], size_t length, const char *head, const char *tail)
{
	memset(buffer, 'a', length);
	memcpy(buffer, head, strlen(head));
	memcpy(buffer + length - strlen(tail), tail, strlen(tail) + 1);
	return buffer;
}

static void broadcast_handlers_have_names_of_their_own(void)
{
	struct ferry_bus *bus = open_url("moody:", FERRY_OPTIONS(ferry_bus_options, .service = "shop"));
#define NAMED(n)   HANDLER(.distribution = FERRY_BROADCAST, .name = n)
#define DURABLE(d) HANDLER(.distribution = FERRY_BROADCAST, .broadcast_durable = d)
	OK(subscribe(bus, "t", NAMED("audit")));
	REFUSED(subscribe(bus, "t", NAMED("audit")), FERRY_E_INVALID, "\"audit\"");
	OK(subscribe(bus, "t", NAMED("other")));
	OK(subscribe(bus, "u", NAMED("audit")));
	OK(subscribe(bus, "t",
		     HANDLER(.distribution = FERRY_BROADCAST, .name = "audit", .group = "billing")));
	OK(subscribe(bus, "t", DURABLE("host-1")));
	REFUSED(subscribe(bus, "t", DURABLE("host-1")), FERRY_E_INVALID, "\"host-1\"");
	OK(subscribe(bus, "t", DURABLE("host-2")));
	OK(subscribe(bus, "u", DURABLE("host-1")));
	REFUSED(subscribe(bus, "t", HANDLER(.broadcast_durable = "host-3")), FERRY_E_INVALID, "broadcast");
	ferry_bus_close(bus);
	bus = open_still("", NULL);
	REFUSED(subscribe(bus, "t", DURABLE("host-1")), FERRY_E_UNSUPPORTED, "DURABLE");
	ferry_bus_close(bus);
}

/* ---- names ---- */

static int as_handler(struct ferry_bus *bus, const char *name)
{
	return subscribe(bus, name, HANDLER(.dlq = FERRY_OFF));
}

static int as_publisher(struct ferry_bus *bus, const char *name)
{
	struct ferry_publisher *publisher;
	int code = ferry_publisher_open(bus, name, NULL, &publisher, &err);
	if (!code)
		ferry_publisher_close(publisher);
	return code;
}

static int as_dlq_topic(struct ferry_bus *bus, const char *name)
{
	return subscribe(bus, "t", HANDLER(.dlq_topic = name, .distribution = FERRY_BROADCAST));
}

static void colliding_names_are_refused_wherever_they_are_used(void)
{
	int (*const uses[])(struct ferry_bus *, const char *) = {as_handler, as_publisher, as_dlq_topic};
	for (size_t first = 0; first < 3; first++) {
		for (size_t second = 0; second < 3; second++) {
			struct ferry_bus *bus = open_still("", NULL);
			OK(uses[first](bus, "order.placed"));
			REFUSED(uses[second](bus, "order_placed"), FERRY_E_INVALID, "order.placed");
			OK(uses[second](bus, "order.placed"));
			ferry_bus_close(bus);
		}
	}
	/* Of a derived name too: groups a_b and a, topics c and b.c. */
	struct ferry_bus *bus = open_still("", NULL);
	OK(subscribe(bus, "c", HANDLER(.group = "a_b")));
	REFUSED(subscribe(bus, "b.c", HANDLER(.group = "a")), FERRY_E_INVALID, "dlq.a_b.c");
	ferry_bus_close(bus);
}

static void a_name_that_was_refused_is_free(void)
{
	struct ferry_bus *bus = open_still("", NULL);
	REFUSED(subscribe(bus, "x.y", HANDLER(.max_retries = -7)), FERRY_E_INVALID, "max_retries");
	REFUSED(subscribe(bus, "x.y", HANDLER(.broadcast_durable = "d", .distribution = FERRY_BROADCAST)),
		FERRY_E_UNSUPPORTED, "DURABLE");
	OK(subscribe(bus, "x_y", NULL));
	ferry_bus_close(bus);
}

static void dead_letter_topics_can_be_read(void)
{
	char a[512], b[512];
	struct ferry_bus *bus = open_still("", NULL);
	/* The longest names that a program can give have a derived name. */
	OK(subscribe(bus, name_of(a, 200, "", ""), HANDLER(.group = name_of(b, 40, "", ""))));
	/* Two long dead-letter topics whose derived names would be cut to the same one. */
	REFUSED(subscribe(bus, name_of(a, 249, "dlq.", "x"), HANDLER(.dlq = FERRY_ON)), FERRY_E_INVALID,
		"249");
	OK(subscribe(bus, a, HANDLER(.dlq_topic = "dlq.second")));
	REFUSED(subscribe(bus, "t", HANDLER(.dlq_topic = name_of(a, 201, "", ""))), FERRY_E_INVALID,
		"dead-letter topic");
	REFUSED(subscribe(bus, "t", HANDLER(.dlq_topic = name_of(a, 250, "dlq.", ""))), FERRY_E_INVALID,
		"dead-letter topic");
	REFUSED(subscribe(bus, "t", HANDLER(.dlq_topic = "t")), FERRY_E_INVALID, "itself");
	REFUSED(subscribe(bus, "t", HANDLER(.dlq_topic = "grave", .dlq = FERRY_OFF)), FERRY_E_INVALID,
		"dlq is off");
	OK(subscribe(bus, "t", HANDLER(.dlq_topic = name_of(a, 249, "dlq.", "y"))));
	ferry_bus_close(bus);
}

static int as_attribute(struct ferry_bus *bus, const char *name)
{
	return publish(bus, "t", "x", PUBLISH(.attributes = FERRY_ATTRIBUTES({name, "1"})));
}

static int as_filter(struct ferry_bus *bus, const char *name)
{
	return subscribe(bus, "u", HANDLER(.filter = FERRY_ATTRIBUTES({name, "1"})));
}

static void reserved_names_are_reserved_in_any_case(void)
{
	static const char *const reserved[] = {
		"content-type", "Content-Type", "traceparent", "TraceParent", "tracestate", "TRACESTATE",
		"baggage",      "Baggage",      "ce_id",       "CE_ID",       "ce-x",       "Ce-X",
		"ferry-x",      "Ferry-Dlq-X",  "Nats-x",      "nats-x",
	};
	static const char *const free_names[] = {"content", "ce",         "cex",    "ferry",
						 "nats",    "my-ferry-x", "A.b_c-9"};
	struct ferry_bus *bus = open_still("", NULL), *filters = open_still("", NULL);
	OK(ferry_bus_start(bus, 0, &err));
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
		REFUSED(as_attribute(bus, reserved[i]), FERRY_E_INVALID, reserved[i]);
		REFUSED(as_filter(filters, reserved[i]), FERRY_E_INVALID, reserved[i]);
	}
	for (size_t i = 0; i < sizeof free_names / sizeof free_names[0]; i++) {
		OK(as_attribute(bus, free_names[i]));
		OK(as_filter(filters, free_names[i]));
	}
	ferry_bus_close(bus);
	ferry_bus_close(filters);
}

/* ---- agreement ---- */

static void handlers_may_differ_where_they_need_not_agree(void)
{
	struct ferry_bus *bus = open_still("", NULL);
	OK(subscribe(bus, "t", NULL));
	OK(subscribe(bus, "t",
		     HANDLER(.dlq = FERRY_OFF, .max_retries = 3, .timeout_ms = FERRY_NONE, .concurrency = 4,
			     .ack = FERRY_ACK_MANUAL, .order = FERRY_ORDER_NONE, .max_unsettled = 10000,
			     .start = FERRY_START_NEW, .dlq_topic = NULL)));
	REFUSED(subscribe(bus, "t", HANDLER(.order = FERRY_ORDER_KEY_IN_PROCESS)), FERRY_E_INVALID, "order");
	/* The first handler of a group may have dlq off and the next bring the topic. */
	OK(subscribe(bus, "u", HANDLER(.dlq = FERRY_OFF)));
	OK(subscribe(bus, "u", HANDLER(.dlq_topic = "grave")));
	REFUSED(subscribe(bus, "u", HANDLER(.dlq_topic = "other")), FERRY_E_INVALID, "dlq_topic");
	ferry_bus_close(bus);
}

/* ---- FERRY_NONE ---- */

static void none_is_a_value_only_where_it_has_a_meaning(void)
{
	static const struct {
		const char *name;
		size_t offset;
		bool none;
	} fields[] = {
#define FIELD(name, none) {#name, offsetof(struct ferry_handler_options, name), none}
		FIELD(max_retries, true),
		FIELD(initial_backoff_ms, true),
		FIELD(jitter_percent, true),
		FIELD(timeout_ms, true),
		FIELD(max_unsettled, true),
		FIELD(dlq, true),
		FIELD(concurrency, false),
		FIELD(max_backoff_ms, false),
		FIELD(max_deliveries, false),
		FIELD(distribution, false),
		FIELD(ack, false),
		FIELD(order, false),
		FIELD(start, false),
	};
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		struct ferry_bus *bus = open_still("", NULL);
		struct ferry_handler_options options = {.size = sizeof options};
		*(int32_t *)(void *)((char *)&options + fields[i].offset) = FERRY_NONE;
		if (fields[i].none)
			OK(subscribe(bus, "t", &options));
		else
			REFUSED(subscribe(bus, "t", &options), FERRY_E_INVALID, fields[i].name);
		ferry_bus_close(bus);
	}
	struct ferry_bus *bus = open_still("", NULL);
	REFUSED(subscribe(bus, "t", HANDLER(.max_retries = 3, .max_deliveries = 3)), FERRY_E_INVALID,
		"max_deliveries");
	OK(subscribe(bus, "t", HANDLER(.max_retries = 3, .max_deliveries = 4)));
	ferry_bus_close(bus);
}

/* ---- sizes ---- */

static void an_older_struct_lacks_only_what_it_lacks(void)
{
	struct plan plan = {.results = (const int[]){FERRY_E_RETRY}, .result_count = 1};
	struct ferry_bus *bus = open_still("", NULL);
	/* It ends before dlq: what lies behind is not looked at. */
	struct ferry_handler_options older = {.size = offsetof(struct ferry_handler_options, dlq),
					      .group = "old",
					      .dlq = 77,
					      .max_retries = -77};
	plan.bus = bus;
	OK(ferry_subscribe(bus, "t", follow_plan, &plan, &older, &err));
	OK(ferry_bus_start(bus, 0, &err));
	struct ferry_publish_options older_publish = {.size = offsetof(struct ferry_publish_options, key),
						      .attributes = FERRY_ATTRIBUTES({"a", "1"}),
						      .key_size = 77,
						      .deadline_ms = -77};
	OK(publish(bus, "t", "x", &older_publish));
	turn(bus);
	for (int i = 0; i < 20; i++)
		pass(bus, 60000);
	CHECK(atomic_load(&plan.calls) == 11, "%d calls", atomic_load(&plan.calls));
	CHECK(stats_of(bus, "old").dead_lettered == 1, "not dead-lettered");
	ferry_bus_close(bus);
}

static void a_struct_without_its_size_is_named(void)
{
	struct ferry_bus *bus = open_still("", NULL);
	struct ferry_publisher *publisher = NULL;
	struct ferry_interceptor interceptor = {.size = 0};
	REFUSED(subscribe(bus, "t", &(struct ferry_handler_options){.size = 0}), FERRY_E_INVALID,
		"ferry_handler_options");
	REFUSED(ferry_publisher_open(bus, "t", &(struct ferry_publisher_options){.size = 0}, &publisher,
				     &err),
		FERRY_E_INVALID, "ferry_publisher_options");
	REFUSED(ferry_bus_intercept(bus, &interceptor, &err), FERRY_E_INVALID, "ferry_interceptor");
	OK(ferry_bus_start(bus, 0, &err));
	REFUSED(publish(bus, "t", "x", &(struct ferry_publish_options){.size = 0}), FERRY_E_INVALID,
		"ferry_publish_options");
	REFUSED(ferry_dlq_replay(bus, "dlq.x", &(struct ferry_replay_options){.size = 0}, NULL, &err),
		FERRY_E_INVALID, "ferry_replay_options");
	ferry_bus_close(bus);
}

const struct contract_test subscribe_tests[] = {
	{"broadcast_handlers_have_names_of_their_own", broadcast_handlers_have_names_of_their_own},
	{"colliding_names_are_refused_wherever_they_are_used",
	 colliding_names_are_refused_wherever_they_are_used},
	{"a_name_that_was_refused_is_free", a_name_that_was_refused_is_free},
	{"dead_letter_topics_can_be_read", dead_letter_topics_can_be_read},
	{"reserved_names_are_reserved_in_any_case", reserved_names_are_reserved_in_any_case},
	{"handlers_may_differ_where_they_need_not_agree", handlers_may_differ_where_they_need_not_agree},
	{"none_is_a_value_only_where_it_has_a_meaning", none_is_a_value_only_where_it_has_a_meaning},
	{"an_older_struct_lacks_only_what_it_lacks", an_older_struct_lacks_only_what_it_lacks},
	{"a_struct_without_its_size_is_named", a_struct_without_its_size_is_named},
	{NULL, NULL},
};
