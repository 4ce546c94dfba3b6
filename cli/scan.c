#include "scan.h"

#include <stdint.h>
#include <string.h>

bool scan_fail(struct scan *scan, const char *wrong)
{
	scan->wrong = wrong;
	return false;
}

/* ---- UTF-8 ---- */

size_t utf8_sequence(const char *text, size_t left)
{
	/* The second byte's range is narrower after some first bytes: no overlong form, no surrogate, nothing
	 * past U+10FFFF. */
	static const struct {
		unsigned char first, last, low, high, size;
	} forms[] = {
		{0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
		{0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
		{0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
	};
	const unsigned char *s = (const unsigned char *)text;
	size_t i = 0;
	while (left && i < sizeof forms / sizeof forms[0] && (s[0] < forms[i].first || s[0] > forms[i].last))
		i++;
	if (!left || i == sizeof forms / sizeof forms[0] || left < forms[i].size)
		return 0;
	if (forms[i].size > 1 && (s[1] < forms[i].low || s[1] > forms[i].high))
		return 0;
	for (size_t k = 2; k < forms[i].size; k++) {
		if ((s[k] & 0xC0) != 0x80)
			return 0;
	}
	return forms[i].size;
}

bool utf8_is_valid(const char *text, size_t size)
{
	for (size_t at = 0, step; at < size; at += step) {
		step = utf8_sequence(text + at, size - at);
		if (!step)
			return false;
	}
	return true;
}

/* Write a code point and return where it ends. */
static char *put_utf8(char *to, uint32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
		return to;
	}
	int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
	static const unsigned char marks[] = {0, 0xC0, 0xE0, 0xF0};
	*to++ = (char)(marks[more] | code >> 6 * more);
	while (more--)
		*to++ = (char)(0x80 | (code >> 6 * more & 0x3F));
	return to;
}

/* ---- strings ---- */

static int peek(const struct scan *scan)
{
	return scan->at < scan->end ? (unsigned char)*scan->at : -1;
}

int scan_next(struct scan *scan)
{
	while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) && *scan->at)
		scan->at++;
	return peek(scan);
}

bool scan_take(struct scan *scan, char byte, const char *otherwise)
{
	if (scan_next(scan) != byte)
		return scan_fail(scan, otherwise);
	scan->at++;
	return true;
}

static int hex_value(int byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The four digits after "\u". */
static bool take_hex(struct scan *scan, uint32_t *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++) {
		int digit = peek(scan) < 0 ? -1 : hex_value(peek(scan));
		if (digit < 0)
			return scan_fail(scan, "\\u needs four hex digits");
		*ret = *ret << 4 | (uint32_t)digit;
		scan->at++;
	}
	return true;
}

/* The second half of a pair that began with *code. */
static bool take_low_half(struct scan *scan, uint32_t *code)
{
	uint32_t low = 0;
	if (*code >= 0xDC00 || scan->end - scan->at < 2 || memcmp(scan->at, "\\u", 2) != 0)
		return scan_fail(scan, "half of a surrogate pair");
	scan->at += 2;
	if (!take_hex(scan, &low))
		return false;
	if (low < 0xDC00 || low > 0xDFFF)
		return scan_fail(scan, "half of a surrogate pair");
	*code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

/* What follows a backslash.  Halves of pairs have to fit only where the text is wanted. */
static bool take_escape(struct scan *scan, bool wanted, uint32_t *ret)
{
	static const char letters[] = "\"\\/bfnrtu", values[] = "\"\\/\b\f\n\r\t";
	const char *found = peek(scan) > 0 ? strchr(letters, peek(scan)) : NULL;
	if (!found)
		return scan_fail(scan, "no such escape");
	scan->at++;
	if (*found != 'u') {
		*ret = (uint32_t)values[found - letters];
		return true;
	}
	if (!take_hex(scan, ret))
		return false;
	return !wanted || *ret < 0xD800 || *ret > 0xDFFF || take_low_half(scan, ret);
}

/* A string up to its closing quote; `to` NULL: it is only checked. */
static bool take_string(struct scan *scan, char *to, size_t *ret_size)
{
	char *next = to;
	if (!scan_take(scan, '"', "a string is expected"))
		return false;
	while (peek(scan) != '"') {
		uint32_t code;
		size_t size = utf8_sequence(scan->at, (size_t)(scan->end - scan->at));
		if (peek(scan) < 0)
			return scan_fail(scan, "the string does not end");
		if (!size)
			return scan_fail(scan, "not UTF-8");
		if (peek(scan) < 0x20)
			return scan_fail(scan, "a control character has to be escaped");
		if (peek(scan) == '\\') {
			scan->at++;
			if (!take_escape(scan, to != NULL, &code))
				return false;
			next = to ? put_utf8(next, code) : NULL;
			continue;
		}
		if (to) {
			memcpy(next, scan->at, size);
			next += size;
		}
		scan->at += size;
	}
	scan->at++;
	if (to) {
		*next = '\0';
		*ret_size = (size_t)(next - to);
	}
	return true;
}

bool scan_string(struct scan *scan, char *to, size_t *ret_size)
{
	return take_string(scan, to, ret_size);
}

/* ---- values ---- */

static bool take_digits(struct scan *scan)
{
	const char *first = scan->at;
	while (peek(scan) >= '0' && peek(scan) <= '9')
		scan->at++;
	return scan->at > first || scan_fail(scan, "a digit is expected");
}

static bool take_number(struct scan *scan)
{
	if (peek(scan) == '-')
		scan->at++;
	if (peek(scan) == '0')
		scan->at++;
	else if (!take_digits(scan))
		return false;
	if (peek(scan) == '.') {
		scan->at++;
		if (!take_digits(scan))
			return false;
	}
	if (peek(scan) != 'e' && peek(scan) != 'E')
		return true;
	scan->at++;
	if (peek(scan) == '+' || peek(scan) == '-')
		scan->at++;
	return take_digits(scan);
}

/* A value that has nothing inside. */
static bool take_scalar(struct scan *scan)
{
	static const char *const words[] = {"true", "false", "null"};
	int byte = scan_next(scan);
	if (byte == '"')
		return take_string(scan, NULL, NULL);
	if (byte == '-' || (byte >= '0' && byte <= '9'))
		return take_number(scan);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		size_t size = strlen(words[i]);
		if ((size_t)(scan->end - scan->at) >= size && memcmp(scan->at, words[i], size) == 0) {
			scan->at += size;
			return true;
		}
	}
	return scan_fail(scan, "a value is expected");
}

/* The name of a member and its colon, inside an object; nothing inside an array. */
static bool take_name(struct scan *scan, char closing)
{
	if (closing == ']')
		return true;
	return take_string(scan, NULL, NULL) && scan_take(scan, ':', "':' is expected");
}

/* The brackets that are open, as the bytes that will close them. */
struct brackets {
	char closing[SCAN_DEPTH_MAX];
	size_t depth;
};

/* Open what comes next as long as it is an object or a list that holds something; *ret_empty: it ended with
 * one that does not. */
static bool open_brackets(struct scan *scan, struct brackets *open, bool *ret_empty)
{
	*ret_empty = false;
	for (int byte; (byte = scan_next(scan)) == '{' || byte == '[';) {
		char closing = byte == '{' ? '}' : ']';
		if (open->depth == SCAN_DEPTH_MAX)
			return scan_fail(scan, "nested too deeply");
		scan->at++;
		if (scan_next(scan) == closing) {
			scan->at++;
			*ret_empty = true;
			return true;
		}
		open->closing[open->depth++] = closing;
		if (!take_name(scan, closing))
			return false;
	}
	return true;
}

/* Behind a value: close what ends here, or go to the next member. */
static bool close_brackets(struct scan *scan, struct brackets *open)
{
	while (open->depth) {
		char closing = open->closing[open->depth - 1];
		int byte = scan_next(scan);
		if (byte == ',') {
			scan->at++;
			return take_name(scan, closing);
		}
		if (byte != closing)
			return scan_fail(scan, closing == '}' ? "',' or '}' is expected"
							      : "',' or ']' is expected");
		scan->at++;
		open->depth--;
	}
	return true;
}

bool scan_value(struct scan *scan, const char **ret_begin)
{
	struct brackets open = {.depth = 0};
	scan_next(scan);
	if (ret_begin)
		*ret_begin = scan->at;
	do {
		bool empty;
		if (!open_brackets(scan, &open, &empty) || (!empty && !take_scalar(scan)) ||
		    !close_brackets(scan, &open))
			return false;
	} while (open.depth);
	return true;
}

bool scan_is_value(const char *text, size_t size)
{
	struct scan scan = {text, text, text + size, NULL};
	const char *begin;
	return scan_value(&scan, &begin) && begin == text && scan.at == scan.end;
}
