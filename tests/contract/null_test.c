/*
 * null_test.c - NULL where the headers allow it, and where a caller gets it from a call that failed.
 */
#include <ferry/admin.h>

#include "contract.h"

static void getters_take_null(void)
{
	CHECK(!strcmp(ferry_bus_transport(NULL), "") && ferry_bus_capabilities(NULL) == 0 &&
		      ferry_bus_now_us(NULL) == FERRY_E_INVALID &&
		      ferry_bus_state(NULL, NULL) == FERRY_E_INVALID,
	      "of no bus");
	CHECK(ferry_stats_group_count(NULL) == 0 && ferry_stats_topic_count(NULL) == 0 &&
		      !ferry_stats_group(NULL, 0) && !ferry_stats_topic(NULL, 0) &&
		      ferry_stats_sum(NULL, NULL).received == 0,
	      "of no statistics");
	ferry_bus_close(NULL);
	ferry_publisher_close(NULL);
	ferry_message_unref(NULL);
	ferry_stats_free(NULL);
}

static void rows_end_at_their_count(void)
{
	struct ferry_bus *bus = open_still("", NULL);
	struct ferry_stats *stats = ferry_stats_take(bus, &err);
	CHECK(stats && ferry_stats_group_count(stats) == 0 && !ferry_stats_group(stats, 0) &&
		      !ferry_stats_topic(stats, 0),
	      "rows of nothing");
	struct ferry_group_stats sum = ferry_stats_sum(stats, "none");
	CHECK(sum.size == sizeof sum && !*sum.group && !*sum.topic && !*sum.handler, "a sum of something");
	ferry_bus_close(bus);
	ferry_stats_free(stats); /* a snapshot is its own */
}

static void nobody_needs_a_sentence(void)
{
	struct ferry_bus *bus = open_still("", NULL);
	struct ferry_publisher *p = NULL;
	CHECK(ferry_subscribe(bus, "", NULL, NULL, NULL, NULL) == FERRY_E_INVALID, "subscribe");
	CHECK(ferry_publisher_open(bus, "", NULL, &p, NULL) == FERRY_E_INVALID, "publisher_open");
	CHECK(ferry_publisher_open(bus, "t", NULL, &p, NULL) == 0, "publisher_open");
	CHECK(ferry_publish(p, "x", 1, NULL, NULL) == FERRY_E_STATE, "publish");
	CHECK(ferry_bus_start(bus, -1, NULL) == FERRY_E_INVALID, "start");
	CHECK(ferry_bus_start(bus, 0, NULL) == 0, "start");
	struct ferry_batch_item item = {.payload = NULL, .payload_size = 1};
	CHECK(ferry_publish_batch(p, &item, 1, 0, NULL) == FERRY_E_INVALID, "batch");
	CHECK(ferry_publish_async(p, NULL, 1, NULL, NULL, NULL, NULL) == FERRY_E_INVALID, "async");
	CHECK(ferry_dlq_replay(bus, "", NULL, NULL, NULL) == FERRY_E_INVALID, "replay");
	CHECK(ferry_bus_advance(bus, -1) == FERRY_E_INVALID, "advance");
	ferry_publisher_close(p);
	CHECK(ferry_bus_stop(bus, 5000, NULL, NULL) == 0, "stop");
	ferry_bus_close(bus);
}

static void no_raw(const struct ferry_raw *raw, void *ctx)
{
	(void)raw, (void)ctx;
}

static void tools_are_told_what_is_missing(void)
{
	uint64_t count;
	struct ferry_raw raw = {.size = sizeof raw};
	REFUSED(ferry_admin_raw_put(NULL, "t", &raw, &err), FERRY_E_INVALID, "bus");
	REFUSED(ferry_admin_raw_get(NULL, "t", 0, no_raw, NULL, &err), FERRY_E_INVALID, "bus");
	REFUSED(ferry_admin_objects(NULL, "", &count, &err), FERRY_E_INVALID, "bus");
	REFUSED(ferry_admin_describe(NULL, NULL, NULL, &err), FERRY_E_INVALID, "name_or_path");
	REFUSED(ferry_admin_describe("memory", NULL, NULL, &err), FERRY_E_INVALID, "ret");
	REFUSED(ferry_admin_list(NULL, NULL, &err), FERRY_E_INVALID, "each");
	CHECK(!ferry_admin_capability_name(0) && !ferry_admin_capability_name(UINT64_C(1) << 63), "a name");
}

const struct contract_test null_tests[] = {
	{"getters_take_null", getters_take_null},
	{"rows_end_at_their_count", rows_end_at_their_count},
	{"nobody_needs_a_sentence", nobody_needs_a_sentence},
	{"tools_are_told_what_is_missing", tools_are_told_what_is_missing},
	{NULL, NULL},
};
