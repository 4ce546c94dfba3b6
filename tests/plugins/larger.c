/* A newer plugin: more slots and more capabilities than this core knows. */
#include <string.h>

#include "plugin.h"

static struct {
	struct ferry_transport known;
	unsigned char newer[64];
} new_table;

const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host)
{
	(void)host;
	new_table.known = plugin_valid("larger");
	new_table.known.size = sizeof(new_table);
	new_table.known.abi_minor = FERRY_ABI_MINOR + 1;
	new_table.known.capabilities |= UINT64_C(1) << 62;
	memset(new_table.newer, 0xFF, sizeof(new_table.newer));
	return &new_table.known;
}
