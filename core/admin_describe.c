/* The calls of admin.h that need no bus. */
#include <ferry/admin.h>

#include <stddef.h>

#include "bus_options.h"
#include "fail.h"
#include "host.h"
#include "loader.h"

int ferry_admin_describe(const char *name_or_path, const struct ferry_transport **ret, const char **ret_path,
			 struct ferry_error *err)
{
	const struct loaded *found;
	if (!name_or_path || !ret)
		return fail(err, FERRY_E_INVALID, "ferry_admin_describe: %s is NULL",
			    name_or_path ? "ret" : "name_or_path");
	int result = loader_find(&host_table, name_or_path, &found, err);
	if (result)
		return result;
	*ret = &found->api;
	if (ret_path)
		*ret_path = found->path;
	return 0;
}

int ferry_admin_list(void (*each)(const char *name, const char *path, void *ctx), void *ctx,
		     struct ferry_error *err)
{
	if (!each)
		return fail(err, FERRY_E_INVALID, "ferry_admin_list: each is NULL");
	return loader_list(each, ctx, err);
}

const char *ferry_admin_capability_name(uint64_t bit)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} names[] = {
		{FERRY_CAP_DURABLE, "DURABLE"},
		{FERRY_CAP_NACK_DELAY, "NACK_DELAY"},
		{FERRY_CAP_ATTEMPT_DURABLE, "ATTEMPT_DURABLE"},
		{FERRY_CAP_HOLD_DURABLE, "HOLD_DURABLE"},
		{FERRY_CAP_EXTEND, "EXTEND"},
		{FERRY_CAP_ATOMIC_DLQ, "ATOMIC_DLQ"},
		{FERRY_CAP_HANDBACK_EXACT, "HANDBACK_EXACT"},
		{FERRY_CAP_KEY_ORDER_GROUP, "KEY_ORDER_GROUP"},
		{FERRY_CAP_RETAIN, "RETAIN"},
		{FERRY_CAP_DEDUP, "DEDUP"},
		{FERRY_CAP_PUB_COPIES, "PUB_COPIES"},
		{FERRY_CAP_PUB_IMMEDIATE, "PUB_IMMEDIATE"},
		{FERRY_CAP_TLS, "TLS"},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].bit == bit)
			return names[i].name;
	}
	return NULL;
}

const struct ferry_option *ferry_admin_bus_options(void)
{
	return config_bus_options;
}
