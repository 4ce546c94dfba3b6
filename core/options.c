#include "options.h"

#include <string.h>

#include "fail.h"

#define OPTIONS_MAX 4096 /* a larger size is memory that nobody initialised */

int options_copy(void *to, size_t to_size, const void *from, const char *what, struct ferry_error *err)
{
	size_t size = 0;
	if (from) {
		memcpy(&size, from, sizeof(size));
		if (size < sizeof(size) || size > OPTIONS_MAX)
			return fail(err, FERRY_E_INVALID,
				    "struct %s: its size is %zu: set .size = sizeof(struct %s), or use "
				    "FERRY_OPTIONS",
				    what, size, what);
	}
	for (size_t i = to_size; i < size; i++) {
		if (((const unsigned char *)from)[i] != 0)
			return fail(err, FERRY_E_INVALID,
				    "struct %s: a field past its first %zu bytes is set, and this version of "
				    "libferry does not know it: leave it zero or use a newer library",
				    what, to_size);
	}
	memset(to, 0, to_size);
	if (from)
		memcpy(to, from, size < to_size ? size : to_size);
	memcpy(to, &to_size, sizeof(to_size));
	return 0;
}
