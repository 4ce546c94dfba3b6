/*
 * doubt_test.c - it is not known whether the server has done what a verdict says, or it refuses to.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "scene.h"

#define KEY "ferry:{t}"
#define DLQ "ferry:{t}:dlq:g"

/* The number of the client that has sent this last, or 0. */
static long long client_with(const char *command)
{
	const char *list = ask("CLIENT LIST"), *at = strstr(list, command);
	while (at && at > list && at[-1] != '\n')
		at--;
	return at ? strtoll(at + strlen("id="), NULL, 10) : 0;
}

/* A message has failed, and the link with its retry is lost; the last command happens before another one is
 * there. */
static void lose_link(struct seen *seen, const char *meanwhile)
{
	char kill[60];
	WAIT_UNTIL(seen_held(seen) == 1);
	ask("CLIENT PAUSE 60000 WRITE");
	seen_let_go(seen);
	WAIT_UNTIL(client_with("cmd=xclaim "));
	seen_hold(seen);
	snprintf(kill, sizeof kill, "CLIENT KILL ID %lld", client_with("cmd=xclaim "));
	ask_together((const char *const[]){kill, "CLIENT UNPAUSE", meanwhile, NULL});
}

/* The retry was done, its reply is lost, and the message is at work here again when the next link comes. */
static void a_retry_that_was_done_is_not_done_again(void)
{
	struct seen seen = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 1, .hold = true};
	struct ferry_bus *bus = scene_reading("takeover=10s&claim_interval=10ms&connect_timeout=20s", &seen);
	char id[64], done[200];
	scene_publish(bus, "t", 1, 2);
	snprintf(id, sizeof id, "%.*s", (int)strcspn(ask("XRANGE " KEY " - +"), " "),
		 ask("XRANGE " KEY " - +"));
	snprintf(done, sizeof done,
		 "XCLAIM " KEY " g ferry-waiting 0 %s IDLE 10000 RETRYCOUNT 1 FORCE JUSTID", id);
	lose_link(&seen, done);
	long long claims = calls_of("xclaim");
	WAIT_UNTIL(seen_total(&seen) == 2);
	WAIT_UNTIL(calls_of("xclaim") > claims);
	long long scans = calls_of("xautoclaim");
	WAIT_UNTIL(calls_of("xautoclaim") > scans + 3);
	CHECK_EQ(seen_total(&seen), 2);
	seen_let_go(&seen);
	WAIT_UNTIL(ask_number("XPENDING " KEY " g") == 0);
	scene_stop(bus);
	CHECK_EQ(seen_total(&seen), 2);
}

static void a_retry_in_doubt_outlives_its_group(void)
{
	struct seen seen = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .fail_first = 1, .retry_after_ms = 1, .hold = true};
	struct ferry_bus *bus = scene_reading("takeover=3s&claim_interval=10ms&connect_timeout=20s", &seen);
	scene_publish(bus, "t", 1, 2);
	lose_link(&seen, "XGROUP DESTROY " KEY " g");
	seen_let_go(&seen);
	WAIT_UNTIL(seen_total(&seen) >= 2);
	scene_stop(bus);
	CHECK_EQ(ask_number("XLEN " DLQ), 0);
}

/* A snapshot that fails makes the server refuse to write: here since there is a folder in its place. */
static void a_verdict_waits_until_the_disk_has_room(void)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .hold = true};
	struct ferry_bus *bus = scene_reading("takeover=5s&claim_interval=50ms", &seen);
	char folder[4200];
	snprintf(folder, sizeof folder, "%s/dump.rdb", ask("CONFIG GET dir") + strlen("dir "));
	scene_publish(bus, "t", 1, 2);
	WAIT_UNTIL(seen_held(&seen) == 1);
	ask("CONFIG SET save %s", "3600 1");
	CHECK_EQ(mkdir(folder, 0700), 0);
	ask("BGSAVE");
	WAIT_UNTIL(strstr(ask("INFO persistence"), "rdb_last_bgsave_status:err"));
	seen_let_go(&seen);
	WAIT_UNTIL(strstr(ask("INFO errorstats"), "errorstat_MISCONF"));
	CHECK_EQ(rmdir(folder), 0);
	ask("CONFIG SET stop-writes-on-bgsave-error no");
	WAIT_UNTIL(ask_number("XPENDING " KEY " g") == 0);
	scene_stop(bus);
	CHECK_EQ(seen_total(&seen), 1);
}

static int clients(void)
{
	int count = 0;
	for (const char *at = ask("CLIENT LIST"); (at = strstr(at, " addr=")); at++)
		count++;
	return count;
}

/* A link that had nothing to say since it came back waits longer each time before it tries again.  What
 * brings messages is there sooner, and must not be without the one that settles them. */
static void verdicts_are_written_as_soon_as_messages_come(void)
{
	struct seen seen = SEEN;
	struct ferry_bus *bus = scene_reading("takeover=1s&claim_interval=1h", &seen);
	for (int round = 0; round < 8; round++) {
		/* We, the reader, the publisher and the control link. */
		WAIT_UNTIL(clients() >= 4);
		ask("CLIENT KILL TYPE normal SKIPME yes");
	}
	ask("XADD " KEY " * d 1");
	WAIT_UNTIL(seen_total(&seen) >= 1);
	/* Who takes what has not been settled within the lease. */
	struct ferry_bus *other = scene_reading("takeover=1s&claim_interval=50ms", &seen);
	WAIT_UNTIL(ask_number("XPENDING " KEY " g") == 0);
	scene_stop(other);
	scene_stop(bus);
	CHECK_EQ(seen_total(&seen), 1);
}

static const struct scene_test tests[] = {
	TEST(verdicts_are_written_as_soon_as_messages_come),
	TEST(a_retry_that_was_done_is_not_done_again),
	TEST(a_retry_in_doubt_outlives_its_group),
	TEST(a_verdict_waits_until_the_disk_has_room),
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	return scene_main(argc, argv, tests);
}
