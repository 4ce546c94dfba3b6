/*
 * typed.c - a typed topic, published and handled; with WRONG_STRUCT or WRONG_HANDLER it must not compile.
 */
#include <ferry/ferry.h>

#include <stdio.h>

struct order {
	int64_t cents;
};
struct parcel {
	int64_t grams;
};
FERRY_TOPIC_DECLARE(order, struct order);
FERRY_TOPIC_DEFINE(order, struct order, "order.placed", 1, FERRY_FIELD(cents, .required = true, .min = 0));

#ifdef WRONG_STRUCT
#define PUBLISHED struct parcel
#else
#define PUBLISHED struct order
#endif
#ifdef WRONG_HANDLER
#define HANDLED struct parcel
#else
#define HANDLED struct order
#endif

static int on_order(const HANDLED *event, struct ferry_message *message, void *ctx)
{
	int *calls = ctx;
	(void)message;
	*calls += event != NULL;
	return 0;
}

static int place(struct ferry_bus *bus, struct ferry_error *err)
{
	struct order_publisher *publisher;
	PUBLISHED event = {990};
	int code = order_publisher_open(bus, NULL, &publisher, err);

	if (code)
		return code;
	code = order_publish(publisher, &event, NULL, err);
	order_publisher_close(publisher);
	return code;
}

int main(void)
{
	struct ferry_error err;
	int calls = 0;
	struct ferry_bus *bus = ferry_bus_open(
		"memory:", FERRY_OPTIONS(ferry_bus_options, .threads = FERRY_THREADS_CALLER), &err);

	if (!bus || order_subscribe(bus, on_order, &calls, NULL, &err) || ferry_bus_start(bus, 0, &err) ||
	    place(bus, &err)) {
		fprintf(stderr, "%s: %s\n", ferry_error_name(err.code), err.text);
		return 1;
	}
	while (calls == 0 && ferry_bus_dispatch(bus, 10000) > 0)
		;
	ferry_bus_close(bus);
	return calls == 1 ? 0 : 1;
}
