/*
 * consumer.c - the smallest whole program: one message through the memory transport.
 */
#include <ferry/ferry.h>

#include <stdio.h>
#include <string.h>

static int on_greeting(struct ferry_message *message, void *ctx)
{
	size_t size;
	const char *text = ferry_message_payload(message, &size);
	int *greetings = ctx;

	if (size == 5 && memcmp(text, "hello", size) == 0)
		(*greetings)++;
	return 0;
}

static int greet(struct ferry_bus *bus, struct ferry_error *err)
{
	struct ferry_publisher *publisher;
	int rc = ferry_publisher_open(bus, "greeting", NULL, &publisher, err);

	if (rc)
		return rc;
	rc = ferry_publish(
		publisher, "hello", 5,
		FERRY_OPTIONS(ferry_publish_options, .attributes = FERRY_ATTRIBUTES({"to", "you"})), err);
	ferry_publisher_close(publisher);
	return rc;
}

int main(void)
{
	struct ferry_error err;
	int greetings = 0;
	struct ferry_bus *bus = ferry_bus_open(
		"memory:", FERRY_OPTIONS(ferry_bus_options, .threads = FERRY_THREADS_CALLER), &err);

	if (!bus || ferry_subscribe(bus, "greeting", on_greeting, &greetings, NULL, &err) ||
	    ferry_bus_start(bus, 0, &err) || greet(bus, &err)) {
		fprintf(stderr, "%s: %s\n", ferry_error_name(err.code), err.text);
		return 1;
	}
	while (greetings == 0 && ferry_bus_dispatch(bus, 10000) > 0)
		;
	ferry_bus_close(bus);
	printf("ferry %s: %d message handled\n", ferry_version(), greetings);
	return greetings == 1 ? 0 : 1;
}
