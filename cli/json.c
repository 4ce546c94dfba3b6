#include "json.h"

#include <stdint.h>
#include <string.h>

bool json_fail(struct json *json, const char *wrong)
{
	json->wrong = wrong;
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

static int peek(const struct json *json)
{
	return json->at < json->end ? (unsigned char)*json->at : -1;
}

int json_next(struct json *json)
{
	while (json->at < json->end && strchr(" \t\r\n", *json->at) && *json->at)
		json->at++;
	return peek(json);
}

bool json_take(struct json *json, char byte, const char *otherwise)
{
	if (json_next(json) != byte)
		return json_fail(json, otherwise);
	json->at++;
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
static bool take_hex(struct json *json, uint32_t *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++) {
		int digit = peek(json) < 0 ? -1 : hex_value(peek(json));
		if (digit < 0)
			return json_fail(json, "\\u needs four hex digits");
		*ret = *ret << 4 | (uint32_t)digit;
		json->at++;
	}
	return true;
}

/* The second half of a pair that began with *code. */
static bool take_low_half(struct json *json, uint32_t *code)
{
	uint32_t low = 0;
	if (*code >= 0xDC00 || json->end - json->at < 2 || memcmp(json->at, "\\u", 2) != 0)
		return json_fail(json, "half of a surrogate pair");
	json->at += 2;
	if (!take_hex(json, &low))
		return false;
	if (low < 0xDC00 || low > 0xDFFF)
		return json_fail(json, "half of a surrogate pair");
	*code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

/* What follows a backslash.  Halves of pairs have to fit only where the text is wanted. */
static bool take_escape(struct json *json, bool wanted, uint32_t *ret)
{
	static const char letters[] = "\"\\/bfnrtu", values[] = "\"\\/\b\f\n\r\t";
	const char *found = peek(json) > 0 ? strchr(letters, peek(json)) : NULL;
	if (!found)
		return json_fail(json, "no such escape");
	json->at++;
	if (*found != 'u') {
		*ret = (uint32_t)values[found - letters];
		return true;
	}
	if (!take_hex(json, ret))
		return false;
	return !wanted || *ret < 0xD800 || *ret > 0xDFFF || take_low_half(json, ret);
}

/* A string up to its closing quote; `to` NULL: it is only checked. */
static bool take_string(struct json *json, char *to, size_t *ret_size)
{
	char *next = to;
	if (!json_take(json, '"', "a string is expected"))
		return false;
	while (peek(json) != '"') {
		uint32_t code;
		size_t size = utf8_sequence(json->at, (size_t)(json->end - json->at));
		if (peek(json) < 0)
			return json_fail(json, "the string does not end");
		if (!size)
			return json_fail(json, "not UTF-8");
		if (peek(json) < 0x20)
			return json_fail(json, "a control character has to be escaped");
		if (peek(json) == '\\') {
			json->at++;
			if (!take_escape(json, to != NULL, &code))
				return false;
			next = to ? put_utf8(next, code) : NULL;
			continue;
		}
		if (to) {
			memcpy(next, json->at, size);
			next += size;
		}
		json->at += size;
	}
	json->at++;
	if (to) {
		*next = '\0';
		*ret_size = (size_t)(next - to);
	}
	return true;
}

bool json_string(struct json *json, char *to, size_t *ret_size)
{
	return take_string(json, to, ret_size);
}

/* ---- values ---- */

static bool take_digits(struct json *json)
{
	const char *first = json->at;
	while (peek(json) >= '0' && peek(json) <= '9')
		json->at++;
	return json->at > first || json_fail(json, "a digit is expected");
}

static bool take_number(struct json *json)
{
	if (peek(json) == '-')
		json->at++;
	if (peek(json) == '0')
		json->at++;
	else if (!take_digits(json))
		return false;
	if (peek(json) == '.') {
		json->at++;
		if (!take_digits(json))
			return false;
	}
	if (peek(json) != 'e' && peek(json) != 'E')
		return true;
	json->at++;
	if (peek(json) == '+' || peek(json) == '-')
		json->at++;
	return take_digits(json);
}

/* A value that has nothing inside. */
static bool take_scalar(struct json *json)
{
	static const char *const words[] = {"true", "false", "null"};
	int byte = json_next(json);
	if (byte == '"')
		return take_string(json, NULL, NULL);
	if (byte == '-' || (byte >= '0' && byte <= '9'))
		return take_number(json);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		size_t size = strlen(words[i]);
		if ((size_t)(json->end - json->at) >= size && memcmp(json->at, words[i], size) == 0) {
			json->at += size;
			return true;
		}
	}
	return json_fail(json, "a value is expected");
}

/* The name of a member and its colon, inside an object; nothing inside an array. */
static bool take_name(struct json *json, char closing)
{
	if (closing == ']')
		return true;
	return take_string(json, NULL, NULL) && json_take(json, ':', "':' is expected");
}

/* The brackets that are open, as the bytes that will close them. */
struct brackets {
	char closing[JSON_DEPTH_MAX];
	size_t depth;
};

/* Open what comes next as long as it is an object or a list that holds something; *ret_empty: it ended with
 * one that does not. */
static bool open_brackets(struct json *json, struct brackets *open, bool *ret_empty)
{
	*ret_empty = false;
	for (int byte; (byte = json_next(json)) == '{' || byte == '[';) {
		char closing = byte == '{' ? '}' : ']';
		if (open->depth == JSON_DEPTH_MAX)
			return json_fail(json, "nested too deeply");
		json->at++;
		if (json_next(json) == closing) {
			json->at++;
			*ret_empty = true;
			return true;
		}
		open->closing[open->depth++] = closing;
		if (!take_name(json, closing))
			return false;
	}
	return true;
}

/* Behind a value: close what ends here, or go to the next member. */
static bool close_brackets(struct json *json, struct brackets *open)
{
	while (open->depth) {
		char closing = open->closing[open->depth - 1];
		int byte = json_next(json);
		if (byte == ',') {
			json->at++;
			return take_name(json, closing);
		}
		if (byte != closing)
			return json_fail(json, closing == '}' ? "',' or '}' is expected"
							      : "',' or ']' is expected");
		json->at++;
		open->depth--;
	}
	return true;
}

bool json_skip(struct json *json, const char **ret_begin)
{
	struct brackets open = {.depth = 0};
	json_next(json);
	if (ret_begin)
		*ret_begin = json->at;
	do {
		bool empty;
		if (!open_brackets(json, &open, &empty) || (!empty && !take_scalar(json)) ||
		    !close_brackets(json, &open))
			return false;
	} while (open.depth);
	return true;
}

bool json_is_value(const char *text, size_t size)
{
	struct json json = {text, text, text + size, NULL};
	const char *begin;
	return json_skip(&json, &begin) && begin == text && json.at == json.end;
}
