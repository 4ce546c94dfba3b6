/*
 * same_lines.c - do two files of lines hold the same messages, in whatever order?
 *
 *     same_lines ONE OTHER
 *
 * Topic, key, attributes, trace id, content type and the payload's bytes count.  Each line has to be JSON in
 * jansson's eyes too, but for numbers that are too large for it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

struct message {
	char *bytes; /* all that counts, in one */
	size_t size;
};

struct messages {
	struct message *all;
	size_t count;
};

static void give_up(const char *what, const char *text)
{
	fprintf(stderr, "same_lines: %s: %s\n", what, text);
	exit(1);
}

static void append(struct message *message, const void *bytes, size_t size)
{
	size_t whole = message->size + sizeof size + size;
	char *grown = realloc(message->bytes, whole);
	if (!grown)
		give_up("memory", "there is none");
	memcpy(grown + message->size, &size, sizeof size);
	if (size)
		memcpy(grown + message->size + sizeof size, bytes, size);
	message->bytes = grown;
	message->size = whole;
}

static void append_text(struct message *message, const char *text)
{
	append(message, text ? text : "", text ? strlen(text) : 0);
}

static int by_name(const void *a, const void *b)
{
	const struct ferry_attribute *left = a, *right = b;
	return strcmp(left->name, right->name);
}

static struct message make_message(struct event *event)
{
	struct message message = {NULL, 0};
	append(&message, event->payload, event->payload_size);
	append_text(&message, event->topic);
	append_text(&message, event->key ? "key" : "no key");
	append(&message, event->key, event->key_size);
	append_text(&message, event->trace_id);
	append_text(&message, event->content_type);
	qsort(event->attributes, event->attribute_count, sizeof event->attributes[0], by_name);
	for (size_t i = 0; i < event->attribute_count; i++) {
		append_text(&message, event->attributes[i].name);
		append_text(&message, event->attributes[i].value);
	}
	return message;
}

static void check_json(const char *name, const char *line, size_t size)
{
	json_error_t error;
	json_t *json = json_loadb(line, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
	enum json_error_code code = json ? json_error_unknown : json_error_code(&error);
	if (!json && code != json_error_numeric_overflow && !strstr(error.text, "Unicode '\\uD800'"))
		give_up(name, error.text);
	json_decref(json);
}

static int compare(const void *a, const void *b)
{
	const struct message *left = a, *right = b;
	size_t size = left->size < right->size ? left->size : right->size;
	int order = memcmp(left->bytes, right->bytes, size);
	return order ? order : (left->size > right->size) - (left->size < right->size);
}

static struct messages read_file(const char *name)
{
	struct messages messages = {NULL, 0};
	struct event event = {.strings = NULL};
	struct event_error err;
	char *line = NULL;
	size_t room = 0;
	ssize_t size;
	FILE *file = fopen(name, "r");
	if (!file)
		give_up(name, "cannot be read");
	while ((size = getline(&line, &room, file)) > 0) {
		struct message *all = realloc(messages.all, (messages.count + 1) * sizeof *all);
		if (!all)
			give_up("memory", "there is none");
		check_json(name, line, (size_t)size);
		if (event_read(&event, line, (size_t)size, &err))
			give_up(name, err.text);
		messages.all = all;
		messages.all[messages.count++] = make_message(&event);
	}
	fclose(file);
	free(line);
	event_finish(&event);
	if (!messages.count)
		give_up(name, "it is empty");
	qsort(messages.all, messages.count, sizeof messages.all[0], compare);
	return messages;
}

static void free_messages(struct messages *messages)
{
	for (size_t i = 0; i < messages->count; i++)
		free(messages->all[i].bytes);
	free(messages->all);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: same_lines ONE OTHER\n");
		return 2;
	}
	struct messages one = read_file(argv[1]), other = read_file(argv[2]);
	size_t count = one.count < other.count ? one.count : other.count, i = 0;
	while (i < count && compare(&one.all[i], &other.all[i]) == 0)
		i++;
	int same = one.count == other.count && i == count;
	printf("%zu and %zu messages, %s\n", one.count, other.count, same ? "the same" : "not the same");
	free_messages(&one);
	free_messages(&other);
	return same ? 0 : 1;
}
