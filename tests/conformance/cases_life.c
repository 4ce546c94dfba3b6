/* cases_life.c - many rounds, two buses, and a stop where it cannot be: cases 49, 51 and 52. */
#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

/* ---- 49: nothing is left behind ---- */

#define WARM_UP     5 /* rounds before the first look */
#define PER_ROUND   3
#define GROWTH_MOST (16 << 20) /* bytes of memory, over all rounds */

struct footprint {
	size_t threads, descriptors;
	int64_t bytes;
};

static size_t count_entries(struct conformance *c, const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	CHECK(c, folder, "%s cannot be read", path);
	while ((entry = readdir(folder)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

static struct footprint footprint_now(struct conformance *c)
{
	struct footprint now = {.threads = count_entries(c, "/proc/self/task"),
				.descriptors = count_entries(c, "/proc/self/fd")};
	FILE *file = fopen("/proc/self/statm", "r");
	long total, resident;

	CHECK(c, file && fscanf(file, "%ld %ld", &total, &resident) == 2, "/proc/self/statm cannot be read");
	fclose(file);
	now.bytes = (int64_t)resident * sysconf(_SC_PAGESIZE);
	return now;
}

static void run_round(struct conformance *c, const char *topic, struct record_handler *handler, int64_t round)
{
	size_t arrived = (size_t)(round + 1) * PER_ROUND;
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	conformance_subscribe(c, bus, topic, conformance_record, handler, NULL);
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), round * PER_ROUND, PER_ROUND, NULL);
	CHECK(c, recorder_wait(handler->recorder, arrived, WAIT_MS),
	      "in round %" PRId64 " %zu of %zu messages came", round, recorder_count(handler->recorder),
	      arrived);
	conformance_drained(c, bus, NULL, PER_ROUND);
	conformance_close(c, bus);
}

struct shrinking {
	struct conformance *c;
	struct footprint before;
};

/* A thread that was joined is listed for a moment longer. */
static bool is_gone(void *ctx)
{
	struct shrinking *shrinking = ctx;
	struct footprint now = footprint_now(shrinking->c);

	return now.threads <= shrinking->before.threads && now.descriptors <= shrinking->before.descriptors;
}

void conformance_case_49(struct conformance *c)
{
	int64_t rounds = conformance_can(c, FERRY_CAP_DURABLE) ? 20 : 1000;
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	const char *topic = conformance_name(c, "orders");
	struct shrinking shrinking = {.c = c};
	struct footprint after;

	for (int64_t round = 0; round < WARM_UP; round++)
		run_round(c, topic, &handler, round);
	shrinking.before = footprint_now(c);
	for (int64_t round = WARM_UP; round < rounds; round++)
		run_round(c, topic, &handler, round);
	conformance_each_once(c, seen, 0, (size_t)rounds * PER_ROUND);
	conformance_until_now(c, is_gone, &shrinking, 5000);
	after = footprint_now(c);
	CHECK(c, after.threads <= shrinking.before.threads,
	      "after %d rounds there were %zu threads, after %" PRId64 " there are %zu", WARM_UP,
	      shrinking.before.threads, rounds, after.threads);
	CHECK(c, after.descriptors <= shrinking.before.descriptors,
	      "after %d rounds %zu descriptors were open, after "
	      "%" PRId64 " there are %zu",
	      WARM_UP, shrinking.before.descriptors, rounds, after.descriptors);
	if (conformance_limit_ms(1) > 1)
		return; /* a sanitizer keeps what was freed; it finds leaks itself */
	CHECK(c, after.bytes - shrinking.before.bytes < GROWTH_MOST,
	      "%" PRId64 " rounds took %" PRId64 " KiB of memory", rounds - WARM_UP,
	      (after.bytes - shrinking.before.bytes) / 1024);
}

/* ---- 51: two transports in one process ---- */

/* A bus with one handler on a topic, and what it saw. */
struct party {
	struct ferry_bus *bus;
	struct ferry_publisher *publisher;
	struct recorder *seen;
	struct record_handler handler;
	int64_t first; /* its messages are first .. first + sent - 1 */
	size_t sent;
};

static void party_join(struct conformance *c, struct party *party, const char *topic, int64_t first)
{
	party->seen = conformance_recorder(c);
	party->handler = (struct record_handler){.recorder = party->seen};
	party->first = first;
	conformance_subscribe(c, party->bus, topic, conformance_record, &party->handler, NULL);
	conformance_start(c, party->bus);
	conformance_ok(c, ferry_publisher_open(party->bus, topic, NULL, &party->publisher, NULL), NULL,
		       "publisher_open");
}

static void party_send(struct conformance *c, struct party *party, size_t count)
{
	conformance_publish_many(c, party->publisher, party->first + (int64_t)party->sent, count, NULL);
	party->sent += count;
}

/* All of its own messages have come, once, and none of another bus. */
static void party_check(struct conformance *c, struct party *party)
{
	struct ferry_group_stats stats;

	CHECK(c, recorder_wait(party->seen, party->sent, WAIT_MS), "%zu of %zu messages came to bus %" PRId64,
	      recorder_count(party->seen), party->sent, party->first / 1000);
	CHECK(c, support_counter(c, party->bus, NULL, COUNTER(handled), party->sent),
	      "bus %" PRId64 " does not count %zu handled messages", party->first / 1000, party->sent);
	CHECK(c, recorder_quiet(party->seen, 100), "more came to bus %" PRId64 " than was published on it",
	      party->first / 1000);
	conformance_each_once(c, party->seen, party->first, party->sent);
	stats = conformance_stats(c, party->bus, NULL);
	CHECK(c, stats.handled == party->sent, "bus %" PRId64 " counts %" PRIu64 " messages instead of %zu",
	      party->first / 1000, stats.handled, party->sent);
}

static void party_leave(struct conformance *c, struct party *party)
{
	struct ferry_error err = {0};

	conformance_accounts(c, party->bus);
	ferry_publisher_close(party->publisher);
	conformance_ok(c, ferry_bus_stop(party->bus, WAIT_MS, NULL, &err), &err, "stop");
	conformance_forget(c, party->bus);
	ferry_bus_close(party->bus);
}

void conformance_case_51(struct conformance *c)
{
	const char *topic = conformance_name(c, "orders");
	/* What a transport shares with every bus is told apart by the topic. */
	const char *other = conformance_can(c, FERRY_CAP_DURABLE) ? conformance_name(c, "others") : topic;
	struct party first = {0}, second = {0}, third = {0};
	struct ferry_error err = {0};

	first.bus = conformance_open(c, NULL, NULL);
	second.bus = conformance_open(c, NULL, NULL);
	third.bus = ferry_bus_open("memory:", FERRY_OPTIONS(ferry_bus_options, .service = SERVICE(c)), &err);
	CHECK(c, third.bus, "a bus of the transport memory cannot be opened: %s", err.text);
	party_join(c, &first, topic, 0);
	party_join(c, &second, other, 1000);
	party_join(c, &third, topic, 2000);
	party_send(c, &first, 100);
	party_send(c, &third, 50);
	party_send(c, &second, 70);
	party_check(c, &first);
	party_check(c, &second);
	party_check(c, &third);
	party_leave(c, &second); /* the others go on */
	party_send(c, &first, 10);
	party_send(c, &third, 10);
	party_check(c, &first);
	party_check(c, &third);
	party_leave(c, &third);
	party_leave(c, &first);
}

/* ---- 52: stop where it would wait for itself ---- */

struct stopper {
	struct conformance *c;
	struct ferry_bus *bus;
	struct recorder *completed;
};

static void refuse_stop(const struct stopper *stopper, const char *where)
{
	struct ferry_stop_report report = {.size = sizeof report};
	struct ferry_error err = {0};
	int code = ferry_bus_stop(stopper->bus, 5000, &report, &err);

	conformance_refused(stopper->c, code, FERRY_E_DEADLOCK, &err, NULL, where);
}

static int stop_inside(struct ferry_message *m, void *ctx)
{
	(void)m;
	refuse_stop(ctx, "stop inside a handler");
	return 0;
}

static void stop_in_completion(int code, const struct ferry_error *err, void *ctx)
{
	struct stopper *stopper = ctx;

	conformance_ok(stopper->c, code, err, "an asynchronous publish");
	refuse_stop(stopper, "stop inside a completion");
	recorder_add(stopper->completed, &(struct recorded){.n = 0});
}

void conformance_case_52(struct conformance *c)
{
	struct stopper stopper = {.c = c, .completed = conformance_recorder(c)};
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen, .verdict = stop_inside, .ctx = &stopper};
	struct ferry_stop_report report = {.size = sizeof report};
	const char *topic = conformance_name(c, "orders");
	struct ferry_publisher *publisher;
	struct ferry_error err = {0};

	stopper.bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(c, stopper.bus, topic, conformance_record, &handler, NULL);
	conformance_start(c, stopper.bus);
	publisher = conformance_publisher(c, stopper.bus, topic);
	conformance_publish_many(c, publisher, 0, 10, NULL);
	conformance_ok(c, ferry_publish_async(publisher, "10", 2, NULL, stop_in_completion, &stopper, &err),
		       &err, "publish_async");
	CHECK(c, recorder_wait(seen, 11, WAIT_MS) && recorder_wait(stopper.completed, 1, WAIT_MS),
	      "after a refused stop the bus should go on: %zu of 11 messages and %zu of 1 completions came",
	      recorder_count(seen), recorder_count(stopper.completed));
	CHECK(c, ferry_bus_state(stopper.bus, NULL) == FERRY_STATE_READY,
	      "after a refused stop the state is %d", ferry_bus_state(stopper.bus, NULL));
	conformance_publish_many(c, publisher, 11, 10, NULL);
	CHECK(c, recorder_wait(seen, 21, WAIT_MS), "after a refused stop %zu of 21 messages came",
	      recorder_count(seen));
	conformance_drained(c, stopper.bus, NULL, 21);
	conformance_each_once(c, seen, 0, 21);
	conformance_stop(c, stopper.bus, &report);
	CHECK(c, report.pending == 0, "after a proper stop %" PRIu64 " messages are pending", report.pending);
	CHECK(c, ferry_bus_state(stopper.bus, NULL) == FERRY_STATE_STOPPED,
	      "after a proper stop the state is %d", ferry_bus_state(stopper.bus, NULL));
	conformance_close_all(c);
}

const struct conformance_role conformance_roles_life[] = {{NULL, NULL}};
