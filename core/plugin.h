/*
 * plugin.h - one file of a transport: may it be trusted, does it load, does it keep the ABI.
 */
#ifndef CORE_PLUGIN_H
#define CORE_PLUGIN_H

#include <stdbool.h>

#include <ferry/transport.h>

/* Refuse (FERRY_E_PLUGIN) a file that others than root and we can write, or that lies in such a folder. */
int plugin_trust(const char *path, struct ferry_error *err);

/*
 * dlopen the file and fill in *ret, a copy of its struct whose missing end is zero.  It is never unloaded.
 * FERRY_E_PLUGIN with the path and the cause; *ret_entered tells that its entry has run, which must happen
 * once per process only.
 */
int plugin_open(const char *path, const struct ferry_host *host, struct ferry_transport *ret,
		bool *ret_entered, struct ferry_error *err);

#endif
