/*
 * loader.h - finding, loading and checking transports.
 */
#ifndef CORE_LOADER_H
#define CORE_LOADER_H

#include <ferry/transport.h>

/* A loaded plugin; lives for the process.  `api` is our zero-filled copy of the plugin's struct. */
struct loaded {
	struct ferry_transport api;
	char *path;
	struct loaded *next;
};

/*
 * Load by scheme or name ("memory", "rediss"), searching in `path` (an absolute .so or folder; NULL), then
 * FERRY_TRANSPORT_PATH (secure_getenv; absolute folders separated by ':'), then the built-in folder.  `host` is
 * handed to the plugin's entry, once per process.  [thread-safe]
 */
int loader_load(const struct ferry_host *host, const char *scheme, const char *path, const struct loaded **ret,
                struct ferry_error *err);

/* Call `each` for every file of the search path that is named as a transport. */
int loader_list(void (*each)(const char *name, const char *path, void *ctx), void *ctx, struct ferry_error *err);

#endif
