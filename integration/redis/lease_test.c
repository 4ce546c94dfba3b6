/*
 * lease_test.c - leases are renewed while other things are on their way to the server.
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

static const struct scene_test tests[] = {
	TEST(a_renewal_does_not_bring_back_a_dead_letter),
	{NULL, NULL},
};

int main(int argc, char **argv)
{
	return scene_main(argc, argv, tests);
}
