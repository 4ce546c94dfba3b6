/*
 * pause_test.c - the server keeps commands waiting.
 */
#include "scene.h"

#define KEY "ferry:{t}"
#define DLQ "ferry:{t}:dlq:g"

/* The bytes that the server has read from a client and not run yet, of the client that has most. */
static long long waiting_bytes(void)
{
	long long most = 0;
	for (const char *at = ask("CLIENT LIST"); (at = strstr(at, " qbuf=")); at++) {
		long long bytes = strtoll(at + strlen(" qbuf="), NULL, 10);
		most = bytes > most ? bytes : most;
	}
	return most;
}

/* The dead letter and the end of its message are one transaction, which the server keeps waiting until the
 * leases are renewed; that of a message which ended meanwhile must not be. */
static void a_renewal_does_not_bring_back_a_dead_letter(void)
{
	struct seen rejected = {.lock = PTHREAD_MUTEX_INITIALIZER, .reject = true, .hold = true};
	struct seen held = {.lock = PTHREAD_MUTEX_INITIALIZER, .hold = true};
	struct ferry_bus *bus = scene_bus("takeover=3s");
	scene_subscribe(bus, "t", "g", &rejected, NULL);
	scene_subscribe(bus, "u", "g", &held, NULL);
	scene_start(bus);
	scene_publish(bus, "t", 1, 2);
	scene_publish(bus, "u", 1, 2);
	WAIT_UNTIL(seen_held(&rejected) == 1 && seen_held(&held) == 1);
	/* This client's own bytes count as well: what waits is more than they. */
	long long none = waiting_bytes();
	ask("CLIENT PAUSE 60000 WRITE");
	seen_let_go(&rejected);
	WAIT_UNTIL(waiting_bytes() > none);
	long long transaction = waiting_bytes();
	WAIT_UNTIL(waiting_bytes() > transaction);
	ask("CLIENT UNPAUSE");
	WAIT_UNTIL(ask_number("EXISTS " DLQ) && ask_number("XLEN " DLQ) == 1);
	seen_let_go(&held);
	scene_stop(bus);
	CHECK_EQ(ask_number("XPENDING " KEY " g"), 0);
	CHECK_EQ(seen_total(&rejected), 1);
}

static void *publish_slowly(void *publisher)
{
	struct ferry_error err;
	const struct ferry_publish_options options = {.size = sizeof options, .deadline_ms = 20000};
	CHECK_EQ(ferry_publish(publisher, "1", 1, &options, &err), 0);
	return NULL;
}

/* The first message of a topic asks for its stream, and so does the other one, which has less time. */
static void a_call_keeps_its_deadline_behind_another(void)
{
	struct ferry_bus *bus = scene_bus("");
	struct ferry_publisher *slow, *quick;
	struct ferry_error err;
	const struct ferry_publish_options options = {.size = sizeof options, .deadline_ms = 300};
	pthread_t thread;
	scene_start(bus);
	CHECK_EQ(ferry_publisher_open(bus, "slow", NULL, &slow, &err), 0);
	CHECK_EQ(ferry_publisher_open(bus, "quick", NULL, &quick, &err), 0);
	ask("CLIENT PAUSE 60000 WRITE");
	CHECK_EQ(pthread_create(&thread, NULL, publish_slowly, slow), 0);
	WAIT_UNTIL(strstr(ask("CLIENT LIST"), "cmd=xgroup|create"));
	int64_t begin = real_ms();
	CHECK_EQ(ferry_publish(quick, "1", 1, &options, &err), FERRY_E_TIMEDOUT);
	CHECK(strstr(err.text, "waits for an answer"));
	CHECK(real_ms() < begin + 5000);
	ask("CLIENT UNPAUSE");
	CHECK_EQ(pthread_join(thread, NULL), 0);
	ferry_publisher_close(quick);
	ferry_publisher_close(slow);
	scene_stop(bus);
}

static const struct scene_test tests[] = {
	TEST(a_call_keeps_its_deadline_behind_another),
	TEST(a_renewal_does_not_bring_back_a_dead_letter),
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	return scene_main(argc, argv, tests);
}
