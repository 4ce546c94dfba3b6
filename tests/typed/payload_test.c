/*
 * payload_test.c - payloads that break the rules: each is refused with the topic and the field, or the byte
 * where there is no field, goes to the DLQ with reason `decode`, and is never handed to the handler.
 */
#include <stdlib.h>

#include "payloads.h"
#include "typed_test.h"

static bool names(const char *text, const char *expected)
{
	char whole[200];
	snprintf(whole, sizeof whole, "order.placed: %s", expected);
	return strncmp(text, whole, strlen(whole)) == 0;
}

static void each_is_refused_by_its_field_or_byte(void)
{
	for (size_t i = 0; i < bad_payload_count; i++) {
		const struct bad_payload *bad = &bad_payloads[i];
		struct ferry_error err = {0};
		const struct order *decoded = NULL;
		int code = order_decode(bad->text, bad_payload_size(bad), &decoded, &err);
		CHECK(code == FERRY_E_DECODE, "%zu: %s: %s", i, bad->text, ferry_error_name(code));
		CHECK(names(err.text, bad->names), "%zu: %s: \"%s\" does not begin with \"%s\"", i, bad->text,
		      err.text, bad->names);
		CHECK(!decoded, "%zu: something was returned", i);
		CHECK(order_decode(bad->text, bad_payload_size(bad), &decoded, NULL) == FERRY_E_DECODE,
		      "%zu: without an error struct", i);
	}
}

static void the_sound_ones_are_accepted(void)
{
	for (size_t i = 0; i < sound_payload_count; i++) {
		struct ferry_error err = {0};
		const struct order *decoded = NULL;
		OK(order_decode(sound_payloads[i], strlen(sound_payloads[i]), &decoded, &err), &err);
		order_free(decoded);
	}
}

/* ---- through a bus ---- */

struct shop {
	atomic_int orders, dead;
	bool *seen; /* of each bad payload */
};

static int on_order(const struct order *order, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	(void)message;
	CHECK(strcmp(order->order_id, "A1") == 0, "another order: %s", order->order_id);
	atomic_fetch_add(&shop->orders, 1);
	return 0;
}

static int on_dead(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	size_t size, i = (size_t)atoi(ferry_message_id(message) + 1);
	const void *payload = ferry_message_payload(message, &size);
	CHECK(i < bad_payload_count, "another dead letter: %s", ferry_message_id(message));
	const struct bad_payload *bad = &bad_payloads[i];
	CHECK(size == bad_payload_size(bad) && memcmp(payload, bad->text, size) == 0,
	      "payload %zu is another", i);
	const char *reason = ferry_message_attribute(message, "ferry-dlq-reason");
	CHECK(reason && strcmp(reason, "decode") == 0, "payload %zu: the reason is %s", i, reason);
	const char *error = ferry_message_attribute(message, "ferry-dlq-error");
	CHECK(error && names(error, bad->names), "payload %zu: the error is %s", i, error);
	CHECK(!shop->seen[i], "payload %zu is dead twice", i);
	shop->seen[i] = true;
	atomic_fetch_add(&shop->dead, 1);
	return 0;
}

static void each_goes_to_the_dlq_and_not_to_the_handler(void)
{
	static struct shop shop;
	struct ferry_error err = {0};
	struct ferry_publisher *bytes = NULL;
	struct ferry_bus *bus = open_memory();
	shop.seen = calloc(bad_payload_count, sizeof *shop.seen);
	CHECK(shop.seen, "out of memory");
	OK(order_subscribe(bus, on_order, &shop, NULL, &err), &err);
	OK(ferry_subscribe(bus, "dlq.default.order.placed", on_dead, &shop, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(ferry_publisher_open(bus, "order.placed", NULL, &bytes, &err), &err);
	for (size_t i = 0; i < bad_payload_count; i++) {
		char id[24];
		snprintf(id, sizeof id, "p%zu", i);
		OK(ferry_publish(bytes, bad_payloads[i].text, bad_payload_size(&bad_payloads[i]),
				 FERRY_OPTIONS(ferry_publish_options, .id = id), &err),
		   &err);
	}
	OK(ferry_publish(bytes, full_order_json, strlen(full_order_json), NULL, &err), &err);
	WAIT_FOR(&shop.dead, (int)bad_payload_count);
	WAIT_FOR(&shop.orders, 1);
	ferry_publisher_close(bytes);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	CHECK(atomic_load(&shop.orders) == 1, "%d orders were handled", atomic_load(&shop.orders));
	ferry_bus_close(bus);
	free(shop.seen);
}

const struct typed_test payload_tests[] = {
	{"each_is_refused_by_its_field_or_byte", each_is_refused_by_its_field_or_byte},
	{"the_sound_ones_are_accepted", the_sound_ones_are_accepted},
	{"each_goes_to_the_dlq_and_not_to_the_handler", each_goes_to_the_dlq_and_not_to_the_handler},
	{NULL, NULL},
};
