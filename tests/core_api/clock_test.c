/*
 * clock_test.c - the manual clock: five minutes of retries in milliseconds.
 */
#include "api_test.h"

struct timeline {
	struct ferry_bus *bus;
	int64_t at_us[16];
	uint32_t attempt[16];
	atomic_int calls, dropped;
};

static int fail_always(struct ferry_message *message, void *ctx)
{
	struct timeline *t = ctx;
	int n = atomic_load(&t->calls);
	if (n < 16) {
		t->at_us[n] = ferry_bus_now_us(t->bus);
		t->attempt[n] = ferry_message_attempt(message);
	}
	atomic_fetch_add(&t->calls, 1);
	return ferry_message_fail(message, FERRY_E_RETRY, "never");
}

static void note_dropped(struct ferry_bus *bus, const struct ferry_incident *incident, void *ctx)
{
	struct timeline *t = ctx;
	(void)bus;
	if (!strcmp(incident->topic, "t") && !strcmp(incident->text, "never"))
		atomic_fetch_add(&t->dropped, 1);
}

static void ten_retries_follow_the_backoff_and_its_cap(void)
{
	static const int delay_s[] = {1, 2, 4, 8, 16, 32, 60, 60, 60, 60};
	static struct timeline t;
	struct ferry_error err = {0};
	int64_t begin = real_ms();
	t.bus = open_memory("memory:", FERRY_OPTIONS(ferry_bus_options, .clock = FERRY_CLOCK_MANUAL,
						     .on_dropped = note_dropped, .hook_ctx = &t));
	OK(ferry_subscribe(t.bus, "t", fail_always, &t,
			   FERRY_OPTIONS(ferry_handler_options, .dlq = FERRY_OFF), &err),
	   &err);
	OK(ferry_bus_start(t.bus, 0, &err), &err);
	struct ferry_publisher *p = open_publisher(t.bus, "t");
	OK(ferry_publish(p, "x", 1, NULL, &err), &err);
	WAIT_FOR(&t.calls, 1);
	for (int i = 0; i < 10; i++) {
		/* The retry is scheduled after the handler has returned: move on only when it is. */
		struct ferry_group_stats sum;
		int64_t deadline = real_ms() + 20000;
		do {
			struct ferry_stats *stats = ferry_stats_take(t.bus, &err);
			CHECK(stats, "%s", err.text);
			sum = ferry_stats_sum(stats, NULL);
			ferry_stats_free(stats);
			CHECK(real_ms() < deadline, "attempt %d is not settled", i + 1);
		} while (sum.failed < (uint64_t)i + 1 || sum.in_flight > sum.held);
		OK(ferry_bus_advance(t.bus, delay_s[i] * 1000 - 1), NULL);
		CHECK(atomic_load(&t.calls) == i + 1, "attempt %d came early", i + 2);
		OK(ferry_bus_advance(t.bus, 1), NULL);
		WAIT_FOR(&t.calls, i + 2);
		CHECK(t.attempt[i + 1] == (uint32_t)i + 2, "attempt %d says %u", i + 2, t.attempt[i + 1]);
		CHECK(t.at_us[i + 1] - t.at_us[i] == delay_s[i] * INT64_C(1000000), "delay %d was %lld us",
		      i + 1, (long long)(t.at_us[i + 1] - t.at_us[i]));
	}
	WAIT_FOR(&t.dropped, 1);
	OK(ferry_bus_advance(t.bus, 3600000), NULL);
	CHECK(atomic_load(&t.calls) == 11, "%d calls, not 11", atomic_load(&t.calls));
	CHECK(real_ms() - begin < 10000, "five minutes took %d ms", (int)(real_ms() - begin));
	ferry_publisher_close(p);
	ferry_bus_close(t.bus);
}

const struct api_test clock_tests[] = {
	{"ten_retries_follow_the_backoff_and_its_cap", ten_retries_follow_the_backoff_and_its_cap},
	{NULL, NULL},
};
