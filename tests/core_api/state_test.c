/*
 * state_test.c - calls at the wrong time.
 */
#include "api_test.h"

static void before_start(void)
{
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	struct ferry_batch_item item = {.payload = "x", .payload_size = 1};
	CHECK(ferry_bus_state(bus, NULL) == FERRY_STATE_OPEN, "a new bus is not open");
	struct ferry_publisher *p = open_publisher(bus, "t");
	REFUSED(ferry_publish(p, "x", 1, NULL, &err), FERRY_E_STATE, &err, "start");
	REFUSED(ferry_publish_async(p, "x", 1, NULL, NULL, NULL, &err), FERRY_E_STATE, &err, "start");
	REFUSED(ferry_publish_batch(p, &item, 1, 0, &err), FERRY_E_STATE, &err, "start");
	CHECK(item.result == FERRY_E_STATE, "the item's result is %d", item.result);
	REFUSED(ferry_dlq_replay(bus, "dlq.default.t", NULL, NULL, &err), FERRY_E_STATE, &err, "ready");
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

static void after_start(void)
{
	static atomic_int calls;
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	struct ferry_interceptor none = {.size = sizeof(none)};
	OK(ferry_subscribe(bus, "t", count_call, &calls, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	CHECK(ferry_bus_state(bus, NULL) == FERRY_STATE_READY, "memory is not ready after start");
	OK(ferry_bus_wait_ready(bus, 0, &err), &err);
	REFUSED(ferry_bus_start(bus, 0, &err), FERRY_E_STATE, &err, "start");
	REFUSED(ferry_subscribe(bus, "u", count_call, &calls, NULL, &err), FERRY_E_STATE, &err, "start");
	REFUSED(ferry_bus_intercept(bus, &none, &err), FERRY_E_STATE, &err, "start");
	CHECK(ferry_bus_advance(bus, 1) == FERRY_E_STATE, "the system's clock was moved");
	CHECK(ferry_bus_fd(bus) == FERRY_E_STATE, "a descriptor without threads=caller");
	CHECK(ferry_bus_dispatch(bus, 0) == FERRY_E_STATE, "dispatch without threads=caller");
	struct ferry_publisher *p = open_publisher(bus, "t");
	OK(ferry_publish(p, "x", 1, NULL, &err), &err);
	WAIT_FOR(&calls, 1);
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

static void after_stop(void)
{
	static atomic_int calls;
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	struct ferry_stop_report report = {.size = sizeof(report)};
	struct ferry_batch_item item = {.payload = "x", .payload_size = 1};
	OK(ferry_subscribe(bus, "t", count_call, &calls, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "t");
	OK(ferry_bus_stop(bus, 5000, &report, &err), &err);
	CHECK(ferry_bus_state(bus, NULL) == FERRY_STATE_STOPPED, "a stopped bus is in state %d",
	      ferry_bus_state(bus, NULL));
	REFUSED(ferry_publish(p, "x", 1, NULL, &err), FERRY_E_STATE, &err, "stop");
	REFUSED(ferry_publish_async(p, "x", 1, NULL, NULL, NULL, &err), FERRY_E_STATE, &err, "stop");
	REFUSED(ferry_publish_batch(p, &item, 1, 0, &err), FERRY_E_STATE, &err, "stop");
	REFUSED(ferry_bus_start(bus, 0, &err), FERRY_E_STATE, &err, "start");
	REFUSED(ferry_subscribe(bus, "u", count_call, &calls, NULL, &err), FERRY_E_STATE, &err, "");
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(atomic_load(&calls) == 0, "%d calls without a message", atomic_load(&calls));
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	CHECK(stats, "the counters of a stopped bus cannot be read: %s", err.text);
	ferry_stats_free(stats);
	ferry_publisher_close(p);
	ferry_bus_close(bus);
}

struct by_hand {
	int ack, nack, reject;
	atomic_int calls;
};

static int settle_by_hand(struct ferry_message *message, void *ctx)
{
	struct by_hand *seen = ctx;
	seen->ack = ferry_message_ack(message);
	seen->nack = ferry_message_nack(message, 0);
	seen->reject = ferry_message_reject(message);
	atomic_fetch_add(&seen->calls, 1);
	return 0;
}

static void a_message_that_settles_itself_is_not_settled_by_hand(void)
{
	static struct by_hand seen;
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	OK(ferry_subscribe(bus, "t", settle_by_hand, &seen, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(bus, "t");
	OK(ferry_publish(p, "x", 1, NULL, &err), &err);
	WAIT_FOR(&seen.calls, 1);
	CHECK(seen.ack == FERRY_E_STATE && seen.nack == FERRY_E_STATE && seen.reject == FERRY_E_STATE,
	      "ack %d, nack %d, reject %d", seen.ack, seen.nack, seen.reject);
	ferry_publisher_close(p);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(atomic_load(&seen.calls) == 1, "the message came %d times", atomic_load(&seen.calls));
	ferry_bus_close(bus);
}

static void a_bus_that_was_never_started_stops_and_closes(void)
{
	static atomic_int calls;
	struct ferry_bus *bus = open_memory("memory:", NULL);
	struct ferry_error err = {0};
	OK(ferry_subscribe(bus, "t", count_call, &calls, NULL, &err), &err);
	OK(ferry_bus_stop(bus, 1000, NULL, &err), &err);
	ferry_bus_close(bus);
}

const struct api_test state_tests[] = {
	{"before_start", before_start},
	{"after_start", after_start},
	{"after_stop", after_stop},
	{"a_message_that_settles_itself_is_not_settled_by_hand",
	 a_message_that_settles_itself_is_not_settled_by_hand},
	{"a_bus_that_was_never_started_stops_and_closes", a_bus_that_was_never_started_stops_and_closes},
	{NULL, NULL},
};
