/*
 * loader.h - finding, loading and checking transports.
 *
 * A transport is a file libferry-transport-<name>.so.  It is searched in an explicit path, then in the
 * folders of FERRY_TRANSPORT_PATH (absolute, separated by ':'; not looked at in a set-uid program), then in
 * the built-in folder.  What is found is run with the program's rights, so a file or folder that others can
 * write is refused.
 */
#ifndef CORE_LOADER_H
#define CORE_LOADER_H

#include <ferry/transport.h>

/* A loaded plugin; lives for the process.  `api` is our zero-filled copy of the plugin's struct. */
struct loaded {
	struct ferry_transport api;
	char *path; /* absolute, without symbolic links */
};

/*
 * Load the transport of a URL's scheme ("memory", "rediss").  `path` is NULL, or an absolute .so, or a folder
 * to look in first.  `host` is handed to the plugin's entry, once per process.  [thread-safe]
 *
 * FERRY_E_NOT_FOUND says where it looked; FERRY_E_PLUGIN which file was refused and why; FERRY_E_CONFIG: the
 * path is not absolute, or the transport does not know the scheme; FERRY_E_NOMEM.
 */
int loader_load(const struct ferry_host *host, const char *scheme, const char *path,
		const struct loaded **ret, struct ferry_error *err);

/* The same by the name of a transport, or by the absolute path of its file, whatever its schemes.
 * [thread-safe] */
int loader_find(const struct ferry_host *host, const char *name_or_path, const struct loaded **ret,
		struct ferry_error *err);

/* Call `each` for every file that a search without explicit path could find; per folder, in the order of
 * names. */
int loader_list(void (*each)(const char *name, const char *path, void *ctx), void *ctx,
		struct ferry_error *err);

#endif
