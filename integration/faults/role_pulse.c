/* role_pulse.c - a small publish ten times a second, to see whether the server stands still. */
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "role.h"

/* Wait for a beat; true when there is a word on standard input. */
static bool hears(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	return poll(&input, 1, BEAT_US / 1000) > 0;
}

int role_pulse(const struct arguments *arguments)
{
	struct ferry_bus *bus = role_open(arguments);
	struct ferry_publisher *publisher;
	struct ferry_error err = {0};
	role_start(bus);
	if (ferry_publisher_open(bus, argument(arguments, "topic", ""), NULL, &publisher, &err))
		log_failure("the publisher cannot be opened: %s", err.text);
	while (!hears()) {
		int64_t before_us = now_us();
		/* Whether it was stored is no matter: only how long it took. */
		(void)ferry_publish(publisher, "", 0, NULL, NULL);
		log_stall(before_us, now_us());
	}
	ferry_publisher_close(publisher);
	role_finish(bus);
	return 0;
}
