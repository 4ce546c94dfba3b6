/*
 * scan.h - walking over JSON text without changing it.
 *
 * What is published has to be what was written, to the last byte, so values are found here and not read:
 * jansson would spell numbers and escapes anew.  The grammar is that of RFC 8259, strictly.
 */
#ifndef CLI_SCAN_H
#define CLI_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define SCAN_DEPTH_MAX 250 /* jq's own limit, less what is around a payload */

/* A place in a text.  After a function has returned false `at` is where it is wrong and `wrong` says why. */
struct scan {
	const char *begin, *at, *end;
	const char *wrong;
};

/* Note what is wrong here; always false. */
bool scan_fail(struct scan *scan, const char *wrong);

/* The byte that comes next after white space, or -1 at the end. */
int scan_next(struct scan *scan);

/* Take `byte` if it comes next, else fail with `otherwise`. */
bool scan_take(struct scan *scan, char byte, const char *otherwise);

/* Go past a value, which begins after white space; *ret_begin (may be NULL) is its first byte. */
bool scan_value(struct scan *scan, const char **ret_begin);

/*
 * Read a string, unescaped and ended by a NUL, into `to`, which has room for as many bytes as are left.
 * It may contain NULs.  Half of a surrogate pair is refused: UTF-8 cannot say it.
 */
bool scan_string(struct scan *scan, char *to, size_t *ret_size);

/* True when the text is one JSON value, with nothing before and nothing after it. */
bool scan_is_value(const char *text, size_t size);

/* How many bytes the well-formed UTF-8 sequence that begins at `text` has; 0 when there is none. */
size_t utf8_sequence(const char *text, size_t left);
bool utf8_is_valid(const char *text, size_t size);

#endif
