#include "ndjson.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct scan {
	const char *begin, *at, *end;
	char *strings; /* where the next string goes; all of them are shorter than the line */
	struct ndjson_error *err;
};

static bool fail(struct scan *scan, const char *text)
{
	scan->err->byte = (size_t)(scan->at - scan->begin) + 1;
	scan->err->text = text;
	return false;
}

/* The byte that comes next, or -1 at the end. */
static int peek(const struct scan *scan)
{
	return scan->at < scan->end ? (unsigned char)*scan->at : -1;
}

static void skip_space(struct scan *scan)
{
	while (peek(scan) == ' ' || peek(scan) == '\t' || peek(scan) == '\r' || peek(scan) == '\n')
		scan->at++;
}

/* Take this byte if it comes next. */
static bool accept(struct scan *scan, char byte)
{
	skip_space(scan);
	if (peek(scan) != byte)
		return false;
	scan->at++;
	return true;
}

static bool expect(struct scan *scan, char byte, const char *otherwise)
{
	return accept(scan, byte) || fail(scan, otherwise);
}

/* ---- strings ---- */

/* Append a code point as UTF-8; `*to` NULL: nowhere. */
static void put_code_point(char **to, uint32_t code)
{
	char *at = *to;
	if (!at)
		return;
	if (code < 0x80) {
		*at++ = (char)code;
	} else if (code < 0x800) {
		*at++ = (char)(0xC0 | code >> 6);
		*at++ = (char)(0x80 | (code & 0x3F));
	} else if (code < 0x10000) {
		*at++ = (char)(0xE0 | code >> 12);
		*at++ = (char)(0x80 | (code >> 6 & 0x3F));
		*at++ = (char)(0x80 | (code & 0x3F));
	} else {
		*at++ = (char)(0xF0 | code >> 18);
		*at++ = (char)(0x80 | (code >> 12 & 0x3F));
		*at++ = (char)(0x80 | (code >> 6 & 0x3F));
		*at++ = (char)(0x80 | (code & 0x3F));
	}
	*to = at;
}

/* Read well-formed UTF-8: no overlong form, no surrogate, nothing beyond U+10FFFF. */
static bool scan_utf8(struct scan *scan, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)*scan->at;
	size_t more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF8 ? 3 : 0;
	if (!more || (size_t)(scan->end - scan->at) <= more)
		return fail(scan, "not UTF-8");
	uint32_t code = first & (0x3Fu >> more);
	for (size_t i = 1; i <= more; i++) {
		unsigned char next = (unsigned char)scan->at[i];
		if ((next & 0xC0) != 0x80)
			return fail(scan, "not UTF-8");
		code = code << 6 | (next & 0x3F);
	}
	if (code < least[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
		return fail(scan, "not UTF-8");
	scan->at += more + 1;
	*ret = code;
	return true;
}

static bool scan_hex(struct scan *scan, uint32_t *ret)
{
	uint32_t code = 0;
	for (int i = 0; i < 4; i++) {
		int byte = peek(scan);
		if (byte >= '0' && byte <= '9')
			code = code << 4 | (uint32_t)(byte - '0');
		else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
			code = code << 4 | (uint32_t)((byte | 0x20) - 'a' + 10);
		else
			return fail(scan, "\\u needs four hex digits");
		scan->at++;
	}
	*ret = code;
	return true;
}

/* What follows "\u".  A string that is kept must be whole: surrogates in pairs, and no NUL. */
static bool scan_unicode_escape(struct scan *scan, bool keep, uint32_t *ret)
{
	uint32_t low;
	if (!scan_hex(scan, ret))
		return false;
	if (!keep)
		return true;
	if (*ret == 0)
		return fail(scan, "a NUL character is not allowed here");
	if (*ret < 0xD800 || *ret >= 0xE000)
		return true;
	if (*ret >= 0xDC00 || scan->end - scan->at < 6 || memcmp(scan->at, "\\u", 2) != 0)
		return fail(scan, "half of a surrogate pair");
	scan->at += 2;
	if (!scan_hex(scan, &low))
		return false;
	if (low < 0xDC00 || low >= 0xE000)
		return fail(scan, "half of a surrogate pair");
	*ret = 0x10000 + ((*ret - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

/* What follows the backslash. */
static bool scan_escape(struct scan *scan, bool keep, uint32_t *ret)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	int byte = peek(scan);
	const char *found = byte > 0 ? strchr(names, byte) : NULL;
	if (byte != 'u' && !found)
		return fail(scan, "no such escape");
	scan->at++;
	if (byte == 'u')
		return scan_unicode_escape(scan, keep, ret);
	*ret = (uint32_t)values[found - names];
	return true;
}

/* Read a string.  With `ret` its text is kept, unescaped and ended by NUL, else it is only checked. */
static bool scan_string(struct scan *scan, const char **ret, size_t *ret_size)
{
	char *text = ret ? scan->strings : NULL;
	if (!expect(scan, '"', "a string is expected"))
		return false;
	while (peek(scan) != '"') {
		uint32_t code;
		int byte = peek(scan);
		if (byte < 0)
			return fail(scan, "the string does not end");
		if (byte < 0x20)
			return fail(scan, "a control character has to be escaped");
		if (byte == '\\') {
			scan->at++;
			if (!scan_escape(scan, ret != NULL, &code))
				return false;
		} else if (byte < 0x80) {
			code = (uint32_t)byte;
			scan->at++;
		} else if (!scan_utf8(scan, &code)) {
			return false;
		}
		put_code_point(&text, code);
	}
	scan->at++;
	if (!ret)
		return true;
	*ret = scan->strings;
	*ret_size = (size_t)(text - scan->strings);
	*text = '\0';
	scan->strings = text + 1;
	return true;
}

/* ---- values that are only checked ---- */

static bool scan_digits(struct scan *scan)
{
	const char *first = scan->at;
	while (peek(scan) >= '0' && peek(scan) <= '9')
		scan->at++;
	return scan->at > first || fail(scan, "a digit is expected");
}

static bool scan_number(struct scan *scan)
{
	if (peek(scan) == '-')
		scan->at++;
	if (peek(scan) == '0')
		scan->at++;
	else if (!scan_digits(scan))
		return false;
	if (peek(scan) == '.') {
		scan->at++;
		if (!scan_digits(scan))
			return false;
	}
	if (peek(scan) == 'e' || peek(scan) == 'E') {
		scan->at++;
		if (peek(scan) == '+' || peek(scan) == '-')
			scan->at++;
		return scan_digits(scan);
	}
	return true;
}

static bool scan_word(struct scan *scan, const char *word)
{
	size_t length = strlen(word);
	if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
		return fail(scan, "a value is expected");
	scan->at += length;
	return true;
}

static bool scan_value(struct scan *scan, int depth);

/* Objects and arrays: what stands between the brackets. */
static bool scan_members(struct scan *scan, int depth, char close)
{
	if (depth > NDJSON_DEPTH_MAX)
		return fail(scan, "nested too deeply");
	scan->at++;
	if (accept(scan, close))
		return true;
	do {
		if (close == '}' && (!scan_string(scan, NULL, NULL) || !expect(scan, ':', "':' is expected")))
			return false;
		if (!scan_value(scan, depth))
			return false;
	} while (accept(scan, ','));
	return expect(scan, close, close == '}' ? "',' or '}' is expected" : "',' or ']' is expected");
}

static bool scan_value(struct scan *scan, int depth)
{
	skip_space(scan);
	switch (peek(scan)) {
	case '{':
		return scan_members(scan, depth + 1, '}');
	case '[':
		return scan_members(scan, depth + 1, ']');
	case '"':
		return scan_string(scan, NULL, NULL);
	case 't':
		return scan_word(scan, "true");
	case 'f':
		return scan_word(scan, "false");
	case 'n':
		return scan_word(scan, "null");
	case '-':
		return scan_number(scan);
	default:
		if (peek(scan) >= '0' && peek(scan) <= '9')
			return scan_number(scan);
		return fail(scan, "a value is expected");
	}
}

/* ---- the event ---- */

static bool scan_attribute(struct scan *scan, struct ndjson_event *event)
{
	struct ferry_attribute *next = event->attributes;
	const char *name, *value;
	size_t size;
	if (!scan_string(scan, &name, &size) || !expect(scan, ':', "':' is expected"))
		return false;
	skip_space(scan);
	if (peek(scan) != '"')
		return fail(scan, "an attribute's value has to be a string");
	if (!scan_string(scan, &value, &size))
		return false;
	for (; next->name; next++) {
		if (strcmp(next->name, name) == 0)
			return fail(scan, "the attribute is there twice");
	}
	if (next == event->attributes + NDJSON_ATTRIBUTES_MAX)
		return fail(scan, "too many attributes");
	*next = (struct ferry_attribute){name, value};
	return true;
}

static bool scan_attributes(struct scan *scan, struct ndjson_event *event)
{
	if (!expect(scan, '{', "attributes have to be an object"))
		return false;
	if (accept(scan, '}'))
		return true;
	do {
		if (!scan_attribute(scan, event))
			return false;
	} while (accept(scan, ','));
	return expect(scan, '}', "',' or '}' is expected");
}

/* A member that must not be there twice. */
enum { TOPIC = 1, ATTRIBUTES = 2, KEY = 4, PAYLOAD = 8 };

static unsigned int member_of(const char *name)
{
	static const struct {
		const char *name;
		unsigned int member;
	} members[] = {{"topic", TOPIC}, {"attributes", ATTRIBUTES}, {"key", KEY}, {"payload", PAYLOAD}};
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		if (strcmp(name, members[i].name) == 0)
			return members[i].member;
	}
	return 0;
}

static bool scan_member_value(struct scan *scan, struct ndjson_event *event, unsigned int member)
{
	size_t size;
	skip_space(scan);
	switch (member) {
	case TOPIC:
		return scan_string(scan, &event->topic, &size);
	case ATTRIBUTES:
		return scan_attributes(scan, event);
	case KEY:
		if (peek(scan) == 'n')
			return scan_word(scan, "null");
		return scan_string(scan, &event->key, &event->key_size);
	case PAYLOAD:
		event->payload = scan->at;
		if (!scan_value(scan, 0))
			return false;
		event->payload_size = (size_t)(scan->at - event->payload);
		return true;
	default:
		return scan_value(scan, 0);
	}
}

static bool scan_event(struct scan *scan, struct ndjson_event *event)
{
	unsigned int seen = 0;
	if (!expect(scan, '{', "an object is expected"))
		return false;
	do {
		const char *name;
		size_t size;
		if (!scan_string(scan, &name, &size))
			return false;
		unsigned int member = member_of(name);
		if (member & seen)
			return fail(scan, "the member is there twice");
		seen |= member;
		if (!expect(scan, ':', "':' is expected") || !scan_member_value(scan, event, member))
			return false;
	} while (accept(scan, ','));
	if (!expect(scan, '}', "',' or '}' is expected"))
		return false;
	skip_space(scan);
	if (scan->at < scan->end)
		return fail(scan, "something follows the object");
	if (!(seen & TOPIC))
		return fail(scan, "there is no topic");
	return seen & PAYLOAD ? true : fail(scan, "there is no payload");
}

int ndjson_parse(const char *line, size_t size, struct ndjson_event *ret, struct ndjson_error *err)
{
	struct ndjson_event event = {.strings = malloc(size + 1)};
	struct scan scan = {line, line, line + size, event.strings, err};
	if (!event.strings)
		fail(&scan, "out of memory");
	else if (scan_event(&scan, &event)) {
		*ret = event;
		return 0;
	}
	ndjson_free(&event);
	return -1;
}

void ndjson_free(struct ndjson_event *event)
{
	free(event->strings);
	*event = (struct ndjson_event){0};
}
