/*
 * process_test.c - what a process takes of the server and leaves behind, and what it leaves alone in itself.
 */
#include "scene.h"

#include <signal.h>

#define TOPICS 100

/* How many of the server's clients have this in their line. */
static int clients_with(const char *text)
{
	int count = 0;
	const char *list = ask("CLIENT LIST TYPE normal");
	for (const char *line = list; line && *line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *at = strstr(line, text), *end = strchr(line, '\n');
		count += at && (!end || at < end);
	}
	return count;
}

static void a_hundred_topics_have_one_reader(void)
{
	static struct seen seen[TOPICS];
	struct ferry_bus *bus = scene_bus("");
	char topic[16];
	for (int i = 0; i < TOPICS; i++) {
		pthread_mutex_init(&seen[i].lock, NULL);
		snprintf(topic, sizeof topic, "t%d", i);
		scene_subscribe(bus, topic, "g", &seen[i], NULL);
	}
	scene_start(bus);
	WAIT_UNTIL(clients_with("cmd=xreadgroup") > 0);
	for (int i = 0; i < TOPICS; i++) {
		snprintf(topic, sizeof topic, "t%d", i);
		scene_publish(bus, topic, i, i + 1);
	}
	for (int i = 0; i < TOPICS; i++)
		WAIT_UNTIL(seen_total(&seen[i]) == 1);
	CHECK_EQ(clients_with("cmd=xreadgroup"), 1);
	CHECK(clients_with("id=") <= 1 + 4); /* ours; and publisher, control, reader, admin */
	scene_stop(bus);
	WAIT_UNTIL(clients_with("id=") == 1);
}

static void who_ends_in_order_leaves_no_name(void)
{
	for (int round = 0; round < 3; round++) {
		struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 1};
		struct ferry_bus *a = scene_bus(""), *b = scene_bus("");
		scene_subscribe(a, "t", "g", &seen, NULL);
		scene_subscribe(b, "t", "g", &seen, NULL);
		scene_start(a);
		scene_start(b);
		scene_publish(a, "t", 0, 50);
		WAIT_UNTIL(seen_total(&seen) == 100);
		scene_stop(a);
		scene_stop(b);
		const char *rest = ask("XINFO CONSUMERS ferry:{t} g");
		CHECK(!strncmp(rest, "name ferry-waiting pending 0 ", 29) && !strstr(rest + 5, "name"));
	}
}

/* Stopped in the middle: what was taken is handed back, and nothing is counted as an attempt. */
static void what_was_not_begun_is_handed_back(void)
{
	struct seen first = {.lock = PTHREAD_MUTEX_INITIALIZER, .hold = true}, second = SEEN;
	struct ferry_bus *a = scene_bus("");
	scene_subscribe(a, "t", "g", &first, NULL);
	scene_start(a);
	scene_publish(a, "t", 0, 200);
	WAIT_UNTIL(seen_held(&first) == 1);
	seen_let_go(&first);
	scene_stop(a);
	CHECK(!strstr(ask("XINFO CONSUMERS ferry:{t} g"), "name scene"));
	struct ferry_bus *b = scene_bus("claim_interval=50ms");
	scene_subscribe(b, "t", "g", &second, NULL);
	scene_start(b);
	WAIT_UNTIL(seen_distinct(&first) + seen_distinct(&second) == 200);
	scene_stop(b);
	CHECK_EQ(second.last_attempt, 1);
}

/* Connections are cut under load: no signal comes, and nobody has changed what it would do. */
static void sigpipe_is_left_alone(void)
{
	struct seen seen = SEEN;
	struct sigaction action;
	signal(SIGPIPE, SIG_DFL);
	struct ferry_bus *bus = scene_bus("");
	scene_subscribe(bus, "t", "g", &seen, NULL);
	scene_start(bus);
	for (int round = 0; round < 20; round++) {
		ask("CLIENT KILL TYPE normal SKIPME yes");
		scene_publish(bus, "t", round * 10, round * 10 + 10);
	}
	WAIT_UNTIL(seen_distinct(&seen) == 200);
	ask("CLIENT KILL TYPE normal SKIPME yes");
	scene_stop(bus);
	CHECK(!sigaction(SIGPIPE, NULL, &action) && action.sa_handler == SIG_DFL);
}

static const struct scene_test tests[] = {
	TEST(a_hundred_topics_have_one_reader),
	TEST(who_ends_in_order_leaves_no_name),
	TEST(what_was_not_begun_is_handed_back),
	TEST(sigpipe_is_left_alone),
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	return scene_main(argc, argv, tests);
}
