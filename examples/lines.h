/*
 * lines.h - a file of events, one in each line that is not blank (see ndjson.h).
 */
#ifndef EXAMPLES_LINES_H
#define EXAMPLES_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "ndjson.h"

struct lines {
	struct ndjson_event *events;
	size_t *numbers; /* of their lines, from 1 */
	size_t count;
	char *text; /* the whole file; payloads point into it */
};

/*
 * Read a file, or standard input when `path` is NULL.  False when that fails or a line is wrong: then
 * `program`, the place and the reason are on standard error.  Give *ret to lines_free in either case.
 */
bool lines_read(struct lines *ret, const char *path, const char *program);

void lines_free(struct lines *lines);

#endif
