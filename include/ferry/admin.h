/*
 * admin.h - looking at the backend beneath ferry: for conformance tests and tools.
 *
 * Not included by ferry.h.  Each call returns FERRY_E_UNSUPPORTED when the transport does not offer it.
 */
#ifndef FERRY_ADMIN_H
#define FERRY_ADMIN_H

#include <ferry/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_bus;

/*
 * The bus must be READY or DISCONNECTED.  Meaning and errors as the slots of the same name in transport.h.
 * [thread-safe]
 */
FERRY_API int ferry_admin_raw_put(struct ferry_bus *bus, const char *topic, const struct ferry_raw *raw,
                                  struct ferry_error *err);
FERRY_API int ferry_admin_raw_get(struct ferry_bus *bus, const char *topic, uint64_t index, ferry_raw_fn *each,
                                  void *ctx, struct ferry_error *err);
FERRY_API int ferry_admin_objects(struct ferry_bus *bus, const char *needle, uint64_t *ret_count,
                                  struct ferry_error *err);

/*
 * Describe a transport: by name ("memory"), or by the absolute path of its .so.  The struct is the core's
 * copy and lives for ever; *ret_path (may be NULL) is the file it came from.  Loads the plugin. [thread-safe]
 */
FERRY_API int ferry_admin_describe(const char *name_or_path, const struct ferry_transport **ret,
                                   const char **ret_path, struct ferry_error *err);
/* Call `each` with the name and path of every transport file that a bus could load. [thread-safe] */
FERRY_API int ferry_admin_list(void (*each)(const char *name, const char *path, void *ctx), void *ctx,
                               struct ferry_error *err);
/* The name of a capability bit, e.g. "NACK_DELAY"; NULL for an unknown bit. [thread-safe] */
FERRY_API const char *ferry_admin_capability_name(uint64_t bit);
/* The settings that every transport has (service, publish_timeout, ...), as a table. [thread-safe] */
FERRY_API const struct ferry_option *ferry_admin_bus_options(void);

#ifdef __cplusplus
}
#endif

#endif
