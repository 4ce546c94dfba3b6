/*
 * config_file.h - settings from a JSON file.
 *
 *     {"url": "memory:", "service": "shop", "publish_timeout": "10s", "memory": {"queue": 100}}
 *
 * The settings of every bus and `url` stand at the top, a transport's own in an object of its name.  Objects
 * of other transports may be there for the day when the URL names them.  A number is a JSON number; a size
 * and a duration are strings as in a URL, a size also a number of bytes; a switch is a JSON boolean or "on"
 * or "off"; all else is a string.
 *
 * The parser takes its memory from malloc, not from the bus's allocator, which jansson cannot be given per
 * call.
 */
#ifndef CORE_CONFIG_FILE_H
#define CORE_CONFIG_FILE_H

#include <jansson.h>

#include "settings.h"

#define CONFIG_FILE_MAX (1 << 20) /* bytes */

struct config_file {
	const char *path;
	json_t *root; /* an object; NULL: there is no file */
};

/* Read and parse; `origin` is where the path was given, for errors.  `path` must outlive *ret. */
int config_file_open(struct config_file *ret, const char *origin, const char *path,
		     const struct ferry_allocator *a, struct ferry_error *err);
/* Its `url`, or NULL.  FERRY_E_CONFIG: it is not text. */
int config_file_url(const struct config_file *file, const char **ret, struct ferry_error *err);
/* Put its settings. */
int config_file_read(const struct config_file *file, struct settings *s);
/* Wipes the texts; a zeroed one is allowed. */
void config_file_close(struct config_file *file);

#endif
