/* cases_broadcast.c - each message to every broadcast handler of every process: cases 19 to 23. */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "conformance.h"

#define LATE_MS 100

static struct ferry_publisher *open_publisher(struct conformance *c, const char *topic)
{
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	conformance_start(c, bus);
	return conformance_publisher(c, bus, topic);
}

static void subscribe(struct conformance *c, struct ferry_bus *bus, const char *topic, const char *name,
		      const char *durable, struct record_handler *handler)
{
	conformance_subscribe(c, bus, topic, conformance_record, handler,
			      FERRY_OPTIONS(ferry_handler_options, .name = name,
					    .distribution = FERRY_BROADCAST, .broadcast_durable = durable));
}

/* Every one of first .. first + count - 1 once, and nothing else. */
static void check_got(struct conformance *c, struct recorder *seen, const char *who, int64_t first,
		      size_t count)
{
	CHECK(c, recorder_wait(seen, count, WAIT_MS), "%s should have got %zu messages, but got %zu", who,
	      count, recorder_count(seen));
	CHECK(c, recorder_quiet(seen, LATE_MS), "%s got more than was published for it", who);
	conformance_each_once(c, seen, first, count);
}

/* ---- 19 ---- */

void conformance_case_19(struct conformance *c)
{
	enum { COUNT = 200, HERE = 3, PROCESSES = 2 };
	static const char *const names[HERE] = {"audit", "cache", "metrics"};
	const char *topic = conformance_name(c, "news");
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct recorder *seen[HERE + PROCESSES], *worker = conformance_recorder(c);
	struct record_handler handlers[HERE], for_worker = {.recorder = worker};
	struct process *processes[PROCESSES];
	int others = conformance_can(c, FERRY_CAP_DURABLE) ? PROCESSES : 0;

	for (int i = 0; i < HERE + PROCESSES; i++)
		seen[i] = conformance_recorder(c);
	for (int i = 0; i < HERE; i++) {
		handlers[i] = (struct record_handler){.recorder = seen[i], .number = i};
		subscribe(c, bus, topic, names[i], NULL, &handlers[i]);
	}
	/* A competing handler of the same topic takes nothing from them. */
	conformance_subscribe(c, bus, topic, conformance_record, &for_worker, NULL);
	for (int i = 0; i < others; i++)
		processes[i] = conformance_spawn(c, seen[HERE + i], HERE + i, "consumer",
						 conformance_text(c, "topic=%s", topic),
						 "distribution=broadcast", "name=audit", NULL);
	for (int i = 0; i < others; i++)
		process_expect(processes[i], "ready", WAIT_MS, NULL, 0);
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, COUNT, NULL);
	for (int i = 0; i < HERE + others; i++)
		check_got(c, seen[i], i < HERE ? names[i] : "another process", 0, COUNT);
	check_got(c, worker, "a competing handler", 0, COUNT);
	for (int i = 0; i < others; i++)
		process_reap(processes[i]);
	conformance_close(c, bus);
}

/* ---- 20 ---- */

void conformance_case_20(struct conformance *c)
{
	enum { COUNT = 30 };
	const char *topic = conformance_name(c, "news");
	struct recorder *early = conformance_recorder(c), *late = conformance_recorder(c);
	struct record_handler for_early = {.recorder = early}, for_late = {.recorder = late};
	struct ferry_bus *first = conformance_open(c, NULL, NULL), *second = conformance_open(c, NULL, NULL);
	struct ferry_publisher *publisher;

	subscribe(c, first, topic, "early", NULL, &for_early);
	conformance_start(c, first);
	publisher = conformance_publisher(c, first, topic);
	conformance_publish_many(c, publisher, 0, COUNT, NULL);
	subscribe(c, second, topic, "late", NULL, &for_late);
	conformance_start(c, second);
	conformance_publish_many(c, publisher, COUNT, COUNT, NULL);
	check_got(c, early, "the early handler", 0, 2 * COUNT);
	check_got(c, late, "the late joiner", COUNT, COUNT);
	conformance_close_all(c);
}

/* ---- 21 ---- */

/* A bus with a plain broadcast handler and one with a durable name, started. */
static struct ferry_bus *open_two(struct conformance *c, const char *topic, struct record_handler *plain,
				  struct record_handler *durable)
{
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);

	subscribe(c, bus, topic, "plain", NULL, plain);
	subscribe(c, bus, topic, "durable", "site-7", durable);
	conformance_start(c, bus);
	return bus;
}

void conformance_case_21(struct conformance *c)
{
	enum { COUNT = 20 };
	const char *topic = conformance_name(c, "news");
	struct recorder *plain = conformance_recorder(c), *durable = conformance_recorder(c);
	struct record_handler for_plain = {.recorder = plain}, for_durable = {.recorder = durable};
	struct ferry_publisher *publisher = open_publisher(c, topic);
	struct ferry_bus *bus = open_two(c, topic, &for_plain, &for_durable);

	conformance_publish_many(c, publisher, 0, COUNT, NULL);
	check_got(c, plain, "the plain handler", 0, COUNT);
	check_got(c, durable, "the durable handler", 0, COUNT);
	conformance_drained(c, bus, NULL, 2 * COUNT);
	conformance_close(c, bus);
	/* Nobody is there. */
	conformance_publish_many(c, publisher, COUNT, COUNT, NULL);
	recorder_clear(plain);
	recorder_clear(durable);
	bus = open_two(c, topic, &for_plain, &for_durable);
	conformance_publish_many(c, publisher, 2 * COUNT, COUNT, NULL);
	check_got(c, plain, "the plain handler after a restart", 2 * COUNT, COUNT);
	check_got(c, durable, "the durable handler after a restart", COUNT, 2 * COUNT);
	conformance_close(c, bus);
	conformance_close_all(c);
}

/* ---- 22 ---- */

enum { ONLINE = 20, OFFLINE = 20 };

struct outcomes {
	atomic_int code[OFFLINE]; /* 1 = not yet */
	atomic_int count;
};

struct outcome {
	struct outcomes *all;
	int index;
};

static void note_outcome(int code, const struct ferry_error *err, void *ctx)
{
	struct outcome *outcome = ctx;

	(void)err;
	atomic_store(&outcome->all->code[outcome->index], code);
	atomic_fetch_add(&outcome->all->count, 1);
}

static bool all_known(void *ctx)
{
	return atomic_load(&((struct outcomes *)ctx)->count) == OFFLINE;
}

/* Publish while the link is cut; what the transport does not even take is not stored. */
static struct outcomes *publish_offline(struct conformance *c, struct ferry_publisher *publisher)
{
	struct outcomes *all = conformance_alloc(c, sizeof *all);

	for (int i = 0; i < OFFLINE; i++) {
		struct outcome *outcome = conformance_alloc(c, sizeof *outcome);
		char payload[24];
		int size = snprintf(payload, sizeof payload, "%d", ONLINE + i);
		int code;

		*outcome = (struct outcome){.all = all, .index = i};
		atomic_store(&all->code[i], 1);
		code = ferry_publish_async(publisher, payload, (size_t)size,
					   FERRY_OPTIONS(ferry_publish_options, .deadline_ms = 4 * WAIT_MS),
					   note_outcome, outcome, NULL);
		if (code)
			note_outcome(code, NULL, outcome);
	}
	return all;
}

static bool is_down(void *bus)
{
	return ferry_bus_state(bus, NULL) != FERRY_STATE_READY;
}

/* Every confirmed message, before, during and after, at least once. */
static void check_offline(struct conformance *c, struct recorder *seen, struct outcomes *all)
{
	for (int i = 0; i < OFFLINE; i++) {
		int code = atomic_load(&all->code[i]);
		size_t came = recorder_count_n(seen, ONLINE + i);

		CHECK(c, code || came, "message %d was confirmed during the disconnection and never came",
		      ONLINE + i);
		CHECK(c, !code || code == FERRY_E_UNKNOWN || !came,
		      "message %d was refused with %s, but came", ONLINE + i, ferry_error_name(code));
	}
}

void conformance_case_22(struct conformance *c)
{
	const char *topic = conformance_name(c, "news");
	const char *query = conformance_has_option(c, "inactive_threshold") ? "inactive_threshold=2s" : NULL;
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	struct ferry_bus *bus = conformance_open(c, query, NULL);
	struct ferry_publisher *publisher;
	struct outcomes *all;

	subscribe(c, bus, topic, "reader", NULL, &handler);
	conformance_start(c, bus);
	publisher = conformance_publisher(c, bus, topic);
	conformance_publish_many(c, publisher, 0, ONLINE, NULL);
	CHECK(c, recorder_wait(seen, ONLINE, WAIT_MS), "%d messages were published, but %zu came", ONLINE,
	      recorder_count(seen));
	conformance_control(c, "cut");
	all = publish_offline(c, publisher);
	conformance_until(c, is_down, bus, 5000); /* an idle client need not notice */
	conformance_pass(c, 5000);                /* longer than the broker keeps a temporary consumer */
	conformance_control(c, "heal");
	CHECK(c, conformance_until(c, all_known, all, 5 * WAIT_MS), "of %d publishes %d have no outcome",
	      OFFLINE, OFFLINE - atomic_load(&all->count));
	conformance_publish_many(c, publisher, ONLINE + OFFLINE, ONLINE, NULL);
	recorder_wait_distinct(seen, 2 * ONLINE + OFFLINE, WAIT_MS);
	CHECK(c,
	      !recorder_missing(seen, 0, ONLINE, NULL) &&
		      !recorder_missing(seen, ONLINE + OFFLINE, ONLINE, NULL),
	      "messages from before or after the disconnection never came");
	check_offline(c, seen, all);
	conformance_close_all(c);
}

/* ---- 23 ---- */

static uint64_t count_objects(struct conformance *c, struct ferry_bus *bus, const char *needle)
{
	struct ferry_error err = {0};
	uint64_t count = 0;
	int code = ferry_admin_objects(bus, needle, &count, &err);

	if (code == FERRY_E_UNSUPPORTED)
		conformance_skip(c, "OBJECTS");
	conformance_ok(c, code, &err, "objects");
	return count;
}

/* Start a bus of `service` with both kinds of handlers, let it work, stop it. */
static void live(struct conformance *c, const char *service, bool competing)
{
	enum { COUNT = 20 };
	const char *topic = conformance_name(c, "news");
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handlers[3] = {{.recorder = seen}, {.recorder = seen}, {.recorder = seen}};
	struct ferry_bus *bus =
		conformance_open(c, NULL, FERRY_OPTIONS(ferry_bus_options, .service = service));
	size_t expected = COUNT * (competing ? 3 : 2);

	subscribe(c, bus, topic, "one", NULL, &handlers[0]);
	subscribe(c, bus, topic, "two", NULL, &handlers[1]);
	if (competing)
		conformance_subscribe(c, bus, topic, conformance_record, &handlers[2], NULL);
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, COUNT, NULL);
	CHECK(c, recorder_wait(seen, expected, WAIT_MS), "%zu calls were expected, but %zu came", expected,
	      recorder_count(seen));
	conformance_drained(c, bus, NULL, expected);
	conformance_close(c, bus);
}

void conformance_case_23(struct conformance *c)
{
	const char *readers = conformance_name(c, "readers"), *workers = conformance_name(c, "workers");
	struct ferry_bus *observer = conformance_open(
		c, NULL, FERRY_OPTIONS(ferry_bus_options, .service = conformance_name(c, "observer")));
	uint64_t left, before;

	conformance_start(c, observer);
	CHECK(c, count_objects(c, observer, readers) == 0, "objects of a name that nobody has used yet");
	live(c, readers, false);
	left = count_objects(c, observer, readers);
	CHECK(c, left == 0, "broadcast handlers were stopped, and %" PRIu64 " objects are left", left);
	/* A competing group stays, but a second life adds nothing to it. */
	live(c, workers, true);
	before = count_objects(c, observer, workers);
	CHECK(c, before > 0, "a competing group left nothing behind, so it would lose messages");
	live(c, workers, true);
	left = count_objects(c, observer, workers);
	CHECK(c, left == before,
	      "a group's second start and stop changed its objects from %" PRIu64 " to %" PRIu64, before,
	      left);
	conformance_close_all(c);
}

const struct conformance_role conformance_roles_broadcast[] = {{NULL, NULL}};
