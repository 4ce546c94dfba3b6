#include "bytes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void bytes_free(struct bytes *bytes)
{
	if (bytes->data)
		bytes->host->free(bytes->core, bytes->data);
	bytes->data = NULL;
	bytes->size = bytes->capacity = 0;
	bytes->failed = false;
}

void bytes_clear(struct bytes *bytes, size_t keep)
{
	if (bytes->capacity > keep)
		bytes_free(bytes);
	bytes->size = 0;
	bytes->failed = false;
}

char *bytes_room(struct bytes *bytes, size_t more)
{
	size_t needed = bytes->size + more;
	if (needed > bytes->capacity) {
		size_t capacity = bytes->capacity ? bytes->capacity : 512;
		while (capacity < needed)
			capacity *= 2;
		char *data = bytes->host->resize(bytes->core, bytes->data, capacity);
		if (!data) {
			bytes->failed = true;
			return NULL;
		}
		bytes->data = data;
		bytes->capacity = capacity;
	}
	return bytes->data + bytes->size;
}

void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
	char *at = bytes_room(bytes, size);
	if (!at || !size)
		return;
	memcpy(at, data, size);
	bytes->size += size;
}

/* By hand, since each message has dozens of numbers; returns the end. */
static char *put_digits(char *at, uint64_t number)
{
	char digits[24];
	size_t count = 0;
	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count)
		*at++ = digits[--count];
	return at;
}

/* A mark and a number, as "$12\r\n"; returns the end. */
static char *put_head(char *at, char mark, size_t number)
{
	*at++ = mark;
	at = put_digits(at, number);
	*at++ = '\r';
	*at++ = '\n';
	return at;
}

#define HEAD_MAX 24

void command_begin(struct bytes *bytes, size_t count)
{
	char *at = bytes_room(bytes, HEAD_MAX);
	if (at)
		bytes->size += (size_t)(put_head(at, '*', count) - at);
}

void command_data(struct bytes *bytes, const void *data, size_t size)
{
	char *begin = bytes_room(bytes, HEAD_MAX + size + 2);
	if (!begin)
		return;
	char *at = put_head(begin, '$', size);
	if (size)
		memcpy(at, data, size);
	at += size;
	*at++ = '\r';
	*at++ = '\n';
	bytes->size += (size_t)(at - begin);
}

void command_text(struct bytes *bytes, const char *text)
{
	command_data(bytes, text, strlen(text));
}

void command_number(struct bytes *bytes, int64_t number)
{
	char text[24];
	command_data(bytes, text, (size_t)snprintf(text, sizeof text, "%" PRId64, number));
}

void command_id(struct bytes *bytes, struct entry_id id)
{
	char text[ENTRY_ID_TEXT];
	command_data(bytes, text, entry_id_format(id, text));
}

void command(struct bytes *bytes, ...)
{
	va_list args, again;
	size_t count = 0;
	va_start(args, bytes);
	va_copy(again, args);
	while (va_arg(args, const char *))
		count++;
	va_end(args);
	command_begin(bytes, count);
	for (const char *text; (text = va_arg(again, const char *));)
		command_text(bytes, text);
	va_end(again);
}

/* ---- ids ---- */

int entry_id_compare(struct entry_id a, struct entry_id b)
{
	if (a.ms != b.ms)
		return a.ms < b.ms ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

size_t entry_id_format(struct entry_id id, char text[ENTRY_ID_TEXT])
{
	char *at = put_digits(text, id.ms);
	*at++ = '-';
	at = put_digits(at, id.seq);
	*at = '\0';
	return (size_t)(at - text);
}

static bool take_digits(const char **text, uint64_t *number)
{
	const char *begin = *text;
	for (; **text >= '0' && **text <= '9'; (*text)++)
		*number = *number * 10 + (uint64_t)(**text - '0');
	return *text != begin;
}

bool entry_id_parse(const char *text, struct entry_id *ret)
{
	struct entry_id id = {0, 0};
	if (!take_digits(&text, &id.ms) || *text++ != '-' || !take_digits(&text, &id.seq) || *text)
		return false;
	*ret = id;
	return true;
}
