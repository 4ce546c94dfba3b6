/*
 * base64.h - bytes as text: RFC 4648, with padding, without line breaks.
 */
#ifndef CLI_BASE64_H
#define CLI_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* How many characters `size` bytes become. */
size_t base64_size(size_t size);

/* Write them, without a NUL. */
void base64_encode(const void *bytes, size_t size, char *to);

/* Read them back, in place if to == text.  False when it is no base64 or not the only spelling of its bytes.
 */
bool base64_decode(const char *text, size_t size, void *to, size_t *ret_size);

#endif
