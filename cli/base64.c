#include "base64.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_size(size_t size)
{
	return (size / 3 + (size % 3 != 0)) * 4;
}

void base64_encode(const void *bytes, size_t size, char *to)
{
	const unsigned char *from = bytes;
	for (; size; to += 4) {
		size_t take = size < 3 ? size : 3;
		uint32_t group = 0;
		for (size_t i = 0; i < 3; i++)
			group = group << 8 | (i < take ? from[i] : 0);
		for (size_t i = 0; i < 4; i++)
			to[i] = i <= take ? digits[group >> 6 * (3 - i) & 63] : '=';
		from += take;
		size -= take;
	}
}

/* Read one group of four; *ret_bytes is how many bytes it holds. */
static bool decode_group(const char *text, bool last, uint32_t *ret, size_t *ret_bytes)
{
	size_t used = 4;
	while (last && used > 2 && text[used - 1] == '=')
		used--;
	*ret = 0;
	for (size_t i = 0; i < 4; i++) {
		const char *digit = i < used ? strchr(digits, text[i]) : digits;
		if (!digit || !*digit)
			return false;
		*ret = *ret << 6 | (uint32_t)(digit - digits);
	}
	*ret_bytes = used - 1;
	return used == 4 || (*ret & (used == 3 ? 0xFFU : 0xFFFFU)) == 0; /* bits that belong to no byte */
}

bool base64_decode(const char *text, size_t size, void *to, size_t *ret_size)
{
	unsigned char *next = to;
	if (size % 4)
		return false;
	for (size_t at = 0; at < size; at += 4) {
		uint32_t group;
		size_t bytes;
		if (!decode_group(text + at, at + 4 == size, &group, &bytes))
			return false;
		for (size_t i = 0; i < bytes; i++)
			*next++ = (unsigned char)(group >> 8 * (2 - i));
	}
	*ret_size = (size_t)(next - (unsigned char *)to);
	return true;
}
