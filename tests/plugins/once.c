/* Refuses to be entered a second time. */
#include "plugin.h"

const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host)
{
	static struct ferry_transport table;
	static int calls;
	(void)host;
	table = plugin_valid("once");
	return ++calls == 1 ? &table : NULL;
}
