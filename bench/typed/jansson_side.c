/*
 * jansson_side.c - the same objects as json_t: dumped into a buffer that is there, and loaded again.
 *
 * This is the least that JSON by jansson costs: nothing is checked against a schema, no struct is read or
 * filled in, and nothing is sent.
 */
#include <jansson.h>
#include <stdio.h>

#include "order.h"
#include "side.h"

#define JSON_MAX 65536

static bool make_objects(const struct row *row, json_t *objects[ORDERS])
{
	static char json[JSON_MAX];
	const struct order *orders = orders_make(row->items, row->has_customer);
	for (size_t i = 0; i < ORDERS; i++) {
		size_t size;
		if (order_encode(&orders[i], json, sizeof json, &size, NULL))
			return false;
		objects[i] = json_loadb(json, size, 0, NULL);
		if (!objects[i])
			return false;
	}
	return true;
}

static bool dump_and_load(const json_t *object)
{
	static char json[JSON_MAX];
	size_t size = json_dumpb(object, json, sizeof json, JSON_COMPACT);
	json_t *loaded = size && size <= sizeof json ? json_loadb(json, size, 0, NULL) : NULL;
	bool same = json_integer_value(json_object_get(loaded, "cents")) ==
		    json_integer_value(json_object_get(object, "cents"));
	json_decref(loaded);
	return loaded && same;
}

bool jansson_side_run(const struct row *row, struct cost *ret)
{
	json_t *objects[ORDERS] = {NULL};
	bool sound = make_objects(row, objects);
	struct watch watch = watch_start();
	for (uint64_t i = 0; i < row->orders && sound; i++)
		sound = dump_and_load(objects[i % ORDERS]);
	*ret = watch_stop(&watch, row->orders);
	for (size_t i = 0; i < ORDERS; i++)
		json_decref(objects[i]);
	if (!sound)
		fprintf(stderr, "bench-typed: row %s: jansson loads another object\n", row->name);
	return sound;
}
