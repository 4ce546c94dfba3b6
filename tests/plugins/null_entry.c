/* Refuses, but only the first time: the loader must not ask twice. */
#include "plugin.h"

const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host)
{
	static struct ferry_transport table;
	static int calls;
	(void)host;
	table = plugin_valid("null-entry");
	return ++calls == 1 ? NULL : &table;
}
