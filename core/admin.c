/*
 * admin.c - the transport's own view of the backend, for tests and tools.
 */
#include "core.h"

static int reachable(struct ferry_bus *bus, bool offered, const char *what, struct ferry_error *err)
{
	int code = bus_guard(bus, err);
	if (code)
		return code;
	if (!offered)
		return fail(err, FERRY_E_UNSUPPORTED, "transport %s does not offer %s", bus->api->name, what);
	int state = atomic_load(&bus->state);
	if (state != FERRY_STATE_READY && state != FERRY_STATE_DISCONNECTED)
		return fail(err, FERRY_E_STATE, "%s needs a bus that is ready", what);
	return 0;
}

int ferry_admin_raw_put(struct ferry_bus *bus, const char *topic, const struct ferry_raw *raw,
			struct ferry_error *err)
{
	int code = reachable(bus, bus && bus->api->raw_put, "raw_put", err);
	if (!code && (!topic || !raw))
		code = fail(err, FERRY_E_INVALID, "raw_put: %s is NULL", topic ? "raw" : "the topic");
	return code ? code : bus->api->raw_put(bus->connection, topic, raw, err);
}

int ferry_admin_raw_get(struct ferry_bus *bus, const char *topic, uint64_t index, ferry_raw_fn *each,
			void *ctx, struct ferry_error *err)
{
	int code = reachable(bus, bus && bus->api->raw_get, "raw_get", err);
	if (!code && (!topic || !each))
		code = fail(err, FERRY_E_INVALID, "raw_get: %s is NULL", topic ? "each" : "the topic");
	return code ? code : bus->api->raw_get(bus->connection, topic, index, each, ctx, err);
}

int ferry_admin_objects(struct ferry_bus *bus, const char *needle, uint64_t *ret_count,
			struct ferry_error *err)
{
	int code = reachable(bus, bus && bus->api->objects, "objects", err);
	if (!code && (!needle || !ret_count))
		code = fail(err, FERRY_E_INVALID, "objects: %s is NULL", needle ? "ret_count" : "needle");
	if (code)
		return code;
	int64_t count = bus->api->objects(bus->connection, needle);
	if (count < 0)
		return fail(err, (int)count, "objects: %s", ferry_error_text((int)count));
	*ret_count = (uint64_t)count;
	return 0;
}
