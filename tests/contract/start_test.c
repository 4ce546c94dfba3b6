/*
 * start_test.c - starting: what waits, what fails at once, and what the state hook hears.
 */
#include <pthread.h>

#include "contract.h"

struct history {
	pthread_mutex_t lock;
	char text[200];
};

static void note_state(struct ferry_bus *bus, int state, const struct ferry_error *why, void *ctx)
{
	static const char *const names[] = {"?",      "open",     "connecting", "ready", "disconnected",
					    "failed", "stopping", "stopped"};
	struct history *h = ctx;
	(void)bus;
	pthread_mutex_lock(&h->lock);
	size_t used = strlen(h->text);
	snprintf(h->text + used, sizeof h->text - used, "%s%s ", names[state], why ? "(why)" : "");
	pthread_mutex_unlock(&h->lock);
}

static void history_was(struct history *h, const char *expected)
{
	pthread_mutex_lock(&h->lock);
	CHECK(strcmp(h->text, expected) == 0, "the hook heard: %s", h->text);
	pthread_mutex_unlock(&h->lock);
}

static struct ferry_bus *open_moody(const char *query, int32_t fail_fast, struct history *h)
{
	char url[100];
	snprintf(url, sizeof url, "moody:%s", query);
	*h = (struct history){.lock = PTHREAD_MUTEX_INITIALIZER};
	return open_url(url, FERRY_OPTIONS(ferry_bus_options, .service = "shop", .on_state = note_state,
					   .hook_ctx = h, .fail_fast = fail_fast));
}

static void a_durable_transport_needs_a_service(void)
{
	CHECK(!ferry_bus_open("moody:", NULL, &err), "opened without a service");
	REFUSED(err.code, FERRY_E_CONFIG, "service");
}

static void memory_has_no_place(void)
{
	static const char *const urls[] = {"memory:shop", "memory:/tmp/shop", "memory://localhost",
					   "memory://me:word@localhost:6379/0?queue=16"};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		CHECK(!ferry_bus_open(urls[i], NULL, &err), "opened %s", urls[i]);
		REFUSED(err.code, FERRY_E_CONFIG, "write memory:");
		CHECK(!strstr(err.text, "word"), "the password is told: %s", err.text);
	}
	struct ferry_bus *bus = open_url("memory://", NULL);
	ferry_bus_close(bus);
}

static void a_start_that_succeeds_is_told(void)
{
	struct history h;
	struct ferry_bus *bus = open_moody("", 0, &h);
	OK(ferry_bus_start(bus, 0, &err));
	CHECK(ferry_bus_state(bus, &err) == FERRY_STATE_READY, "not ready");
	OK(ferry_bus_stop(bus, 5000, NULL, &err));
	OK(ferry_bus_stop(bus, 5000, NULL, &err));
	history_was(&h, "ready stopping stopped ");
	ferry_bus_close(bus);
	history_was(&h, "ready stopping stopped ");
}

static void an_unreachable_backend_is_tried_again(void)
{
	struct history h;
	struct ferry_bus *bus = open_moody("?refusals=1000000", 0, &h);
	struct ferry_error why = {.code = 0};
	struct ferry_publisher *p = open_publisher(bus, "t");
	int64_t begin = real_ms();
	CHECK(ferry_bus_start(bus, 200, &err) == 0, "an unreachable backend is an error");
	CHECK(real_ms() - begin >= 190 && real_ms() - begin < 5000, "start took %d ms",
	      (int)(real_ms() - begin));
	CHECK(strstr(err.text, "moody does not want to"), "no reason: %s", err.text);
	CHECK(ferry_bus_state(bus, &why) == FERRY_STATE_CONNECTING, "not connecting");
	CHECK(why.code == FERRY_E_UNREACHABLE && strstr(why.text, "moody does not want to"), "%s", why.text);
	REFUSED(ferry_bus_wait_ready(bus, 20, &err), FERRY_E_TIMEDOUT, "moody");
	REFUSED(ferry_bus_start(bus, 0, &err), FERRY_E_STATE, "before");
	REFUSED(ferry_publish(p, "x", 1, PUBLISH(.deadline_ms = 20), &err), FERRY_E_TIMEDOUT, "t: ");
	history_was(&h, "connecting(why) ");
	ferry_publisher_close(p);
	OK(ferry_bus_stop(bus, 5000, NULL, &err));
	history_was(&h, "connecting(why) stopping stopped ");
	ferry_bus_close(bus);
}

static void it_becomes_ready_in_the_end(void)
{
	struct history h;
	struct ferry_bus *bus = open_moody("?refusals=2", 0, &h);
	OK(ferry_bus_start(bus, 1, &err));
	OK(ferry_bus_wait_ready(bus, 20000, &err));
	CHECK(ferry_bus_state(bus, NULL) == FERRY_STATE_READY, "not ready");
	ferry_bus_close(bus);
	history_was(&h, "connecting(why) ready stopping stopped ");
}

static void some_refusals_fail_the_start_at_once(void)
{
	static const struct {
		const char *query;
		int32_t fail_fast;
		int expected;
	} rows[] = {
		{"?refusals=1000000&refusal=denied", FERRY_OFF, FERRY_E_DENIED},
		{"?refusals=1000000&refusal=missing", FERRY_OFF, FERRY_E_NOT_FOUND},
		{"?refusals=1000000", FERRY_ON, FERRY_E_UNREACHABLE},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct history h;
		struct ferry_error why = {.code = 0};
		struct ferry_bus *bus = open_moody(rows[i].query, rows[i].fail_fast, &h);
		struct ferry_publisher *p = open_publisher(bus, "t");
		int64_t begin = real_ms();
		REFUSED(ferry_bus_start(bus, 300, &err), rows[i].expected, "moody");
		CHECK(real_ms() - begin < 5000, "it took %d ms", (int)(real_ms() - begin));
		CHECK(ferry_bus_state(bus, &why) == FERRY_STATE_FAILED && why.code == rows[i].expected,
		      "state %d, %s", ferry_bus_state(bus, NULL), why.text);
		REFUSED(ferry_bus_wait_ready(bus, 0, &err), rows[i].expected, "moody");
		REFUSED(ferry_publish(p, "x", 1, NULL, &err), FERRY_E_STATE, "moody");
		ferry_publisher_close(p);
		OK(ferry_bus_stop(bus, 5000, NULL, &err));
		ferry_bus_close(bus);
	}
}

/* The last attempt has no time to find out what the one before it did. */
static void the_deadline_hides_no_reason(void)
{
	struct history h;
	struct ferry_bus *bus = open_moody("?refusals=1&late=on", FERRY_ON, &h);
	REFUSED(ferry_bus_start(bus, 1000, &err), FERRY_E_UNREACHABLE, "moody does not want to");
	ferry_bus_close(bus);
	bus = open_moody("?late=on", FERRY_ON, &h);
	REFUSED(ferry_bus_start(bus, 50, &err), FERRY_E_TIMEDOUT, "moody comes late");
	ferry_bus_close(bus);
}

static void a_lost_connection_is_told_with_a_reason(void)
{
	struct history h;
	struct ferry_error why = {.code = 0};
	struct ferry_bus *bus = open_moody("", 0, &h);
	OK(ferry_bus_start(bus, 0, &err));
	CHECK(publish(bus, "t", "down", NULL) == FERRY_E_REJECTED, "moody kept something");
	CHECK(ferry_bus_state(bus, &why) == FERRY_STATE_DISCONNECTED && why.code && *why.text,
	      "no reason for a lost connection");
	CHECK(publish(bus, "t", "up", NULL) == FERRY_E_REJECTED, "moody kept something");
	why.code = 0;
	CHECK(ferry_bus_state(bus, &why) == FERRY_STATE_READY && !why.code, "not ready again");
	ferry_bus_close(bus);
	history_was(&h, "ready disconnected(why) ready stopping stopped ");
}

const struct contract_test start_tests[] = {
	{"a_durable_transport_needs_a_service", a_durable_transport_needs_a_service},
	{"memory_has_no_place", memory_has_no_place},
	{"a_start_that_succeeds_is_told", a_start_that_succeeds_is_told},
	{"an_unreachable_backend_is_tried_again", an_unreachable_backend_is_tried_again},
	{"it_becomes_ready_in_the_end", it_becomes_ready_in_the_end},
	{"some_refusals_fail_the_start_at_once", some_refusals_fail_the_start_at_once},
	{"the_deadline_hides_no_reason", the_deadline_hides_no_reason},
	{"a_lost_connection_is_told_with_a_reason", a_lost_connection_is_told_with_a_reason},
	{NULL, NULL},
};
