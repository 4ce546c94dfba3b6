/*
 * options.h - taking over a caller's option struct, whose size may be another than ours.
 */
#ifndef CORE_OPTIONS_H
#define CORE_OPTIONS_H

#include <ferry/error.h>

/*
 * Copy the option struct `from` (NULL: every default), which begins with its size_t size, into the `to_size`
 * bytes of `to`.  A smaller one came from an older program: what it lacks is zero.  A larger one came from a
 * newer program: accepted when the part that we do not know is zero.  to's size becomes `to_size`.  `what` is
 * the struct's name, for the error: FERRY_E_INVALID.
 */
int options_copy(void *to, size_t to_size, const void *from, const char *what, struct ferry_error *err);

#endif
