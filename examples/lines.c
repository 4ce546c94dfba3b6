#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_all(FILE *file, char **ret, size_t *ret_size)
{
	char *text = NULL;
	size_t size = 0, room = 0, got;
	do {
		if (size == room) {
			char *more = realloc(text, room = room ? 2 * room : 65536);
			if (!more)
				break;
			text = more;
		}
		got = fread(text + size, 1, room - size, file);
		size += got;
	} while (got);
	*ret = text;
	*ret_size = size;
	return text && !ferror(file) && feof(file);
}

static bool is_blank(const char *text, size_t size)
{
	while (size && (*text == ' ' || *text == '\t' || *text == '\r')) {
		text++;
		size--;
	}
	return !size;
}

static bool parse(struct lines *lines, size_t size, const char *program)
{
	const char *at = lines->text, *end = lines->text + size;
	struct ndjson_error error;
	for (size_t number = 1; at < end; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline ? newline : end) - at);
		if (!is_blank(at, length)) {
			if (ndjson_parse(at, length, &lines->events[lines->count], &error)) {
				fprintf(stderr, "%s: line %zu, byte %zu: %s\n", program, number, error.byte,
					error.text);
				return false;
			}
			lines->numbers[lines->count++] = number;
		}
		at += length + 1;
	}
	return true;
}

bool lines_read(struct lines *ret, const char *path, const char *program)
{
	FILE *file = path ? fopen(path, "rb") : stdin;
	size_t size = 0, most = 1;
	*ret = (struct lines){0};
	bool ok = file && read_all(file, &ret->text, &size);
	if (!ok)
		perror(path ? path : "standard input");
	if (file && path)
		fclose(file);
	for (size_t i = 0; ok && i < size; i++)
		most += ret->text[i] == '\n';
	ret->events = calloc(most, sizeof *ret->events);
	ret->numbers = calloc(most, sizeof *ret->numbers);
	return ok && ret->events && ret->numbers && parse(ret, size, program);
}

void lines_free(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		ndjson_free(&lines->events[i]);
	free(lines->events);
	free(lines->numbers);
	free(lines->text);
}
