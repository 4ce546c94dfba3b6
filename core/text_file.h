/*
 * text_file.h - reading a small file that an administrator wrote: settings, or a password.
 */
#ifndef CORE_TEXT_FILE_H
#define CORE_TEXT_FILE_H

#include <ferry/error.h>

#include "alloc.h"

/*
 * Read the whole file `path` into memory of `a`, a NUL behind it, for text_file_free.  `origin` is where the
 * path was given, for errors.  FERRY_E_CONFIG: not absolute (the text is then not quoted: it may be a
 * password that stands in the wrong place), not there, not a regular file, larger than `max`, or writable by
 * everyone. A file that everyone may read is accepted: container runtimes mount secrets like that.
 */
int text_file_read(const struct ferry_allocator *a, const char *origin, const char *path, size_t max,
		   char **ret, size_t *ret_size, struct ferry_error *err);

/* Wipe and free; NULL is allowed. */
void text_file_free(const struct ferry_allocator *a, char *text, size_t size);

#endif
