/*
 * github_test.c - what comes back from the structs of github.h is what was in the payloads.
 *
 *     github-test FILE
 *
 * Every payload of a typed topic is decoded and encoded again; then each declared member is compared with
 * the original, by Jansson, lists and nested structs included (null and absent are the same).  Each declared
 * member has to be there at least once, else its name could be wrong without anybody noticing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "github.h"
#include "lines.h"

#define FIELDS_MAX 200

static const struct ferry_topic *const topics[] = {&push_topic, &issues_topic, &pull_request_topic};

#define TOPICS (sizeof topics / sizeof topics[0])

/* The declared members that some payload had. */
static const struct ferry_field *seen[FIELDS_MAX];
static size_t seen_count;

static bool is_seen(const struct ferry_field *field)
{
	size_t i = 0;
	while (i < seen_count && seen[i] != field)
		i++;
	return i < seen_count;
}

/* Say it; false.  The levels above add where it is. */
static bool differ(const char *name, const char *how)
{
	fprintf(stderr, "  '%s': %s\n", name, how);
	return false;
}

/* A member's value; NULL when it is absent or null. */
static const json_t *member(const json_t *object, const struct ferry_field *field)
{
	const json_t *value = json_object_get(object, field->name);
	return json_is_null(value) ? NULL : value;
}

static bool compare_struct(const struct ferry_struct *described, const json_t *before, const json_t *after);

static bool compare_value(const struct ferry_field *field, const json_t *before, const json_t *after)
{
	if (field->kind != FERRY_KIND_OBJECT)
		return json_equal(before, after) || differ(field->name, "the value is another");
	return compare_struct(field->object(), before, after) || differ(field->name, "in here");
}

static bool compare_list(const struct ferry_field *field, const json_t *before, const json_t *after)
{
	size_t count = json_array_size(before);
	if (!json_is_array(before) || !json_is_array(after) || json_array_size(after) != count)
		return differ(field->name, "the list has another length");
	for (size_t i = 0; i < count; i++) {
		if (!compare_value(field, json_array_get(before, i), json_array_get(after, i)))
			return false;
	}
	return true;
}

static bool compare_struct(const struct ferry_struct *described, const json_t *before, const json_t *after)
{
	size_t written = 0;
	for (size_t i = 0; i < described->field_count; i++) {
		const struct ferry_field *field = &described->fields[i];
		const json_t *old = member(before, field), *new = member(after, field);
		written += json_object_get(after, field->name) != NULL;
		if (!old && !new)
			continue;
		if (!old || !new)
			return differ(field->name, old ? "it got lost" : "it came from nowhere");
		if (!is_seen(field) && seen_count < FIELDS_MAX)
			seen[seen_count++] = field;
		if (field->list ? !compare_list(field, old, new) : !compare_value(field, old, new))
			return false;
	}
	return written == json_object_size(after) || differ(described->name, "a member came from nowhere");
}

/* Decode and encode; NULL and a message on failure. */
static json_t *round_trip(const struct ferry_topic *topic, const struct ndjson_event *event)
{
	const void *decoded = NULL;
	struct ferry_error err = {0};
	size_t size = 0, room = 2 * event->payload_size + 1000;
	char *text = malloc(room);
	json_t *json = NULL;
	if (text && ferry_topic_decode(topic, event->payload, event->payload_size, &decoded, &err) == 0 &&
	    ferry_topic_encode(topic, decoded, text, room, &size, &err) == 0)
		json = json_loadb(text, size, 0, NULL);
	if (!json)
		fprintf(stderr, "  %s\n", err.code ? err.text : "what was encoded is not JSON");
	ferry_topic_free(decoded);
	free(text);
	return json;
}

static bool check_event(const struct ferry_topic *topic, const struct ndjson_event *event)
{
	json_t *before = json_loadb(event->payload, event->payload_size, 0, NULL);
	json_t *after = round_trip(topic, event);
	bool equal = before && after && compare_struct(topic->fields(), before, after);
	json_decref(before);
	json_decref(after);
	return equal;
}

/* Print the declared members that no payload had. */
static size_t print_unseen(const struct ferry_struct *described)
{
	size_t unseen = 0;
	for (size_t i = 0; i < described->field_count; i++) {
		const struct ferry_field *field = &described->fields[i];
		if (!is_seen(field)) {
			fprintf(stderr, "no line has a member '%s' of '%s'\n", field->name, described->name);
			unseen++;
		} else if (field->kind == FERRY_KIND_OBJECT) {
			unseen += print_unseen(field->object());
		}
	}
	return unseen;
}

int main(int argc, char **argv)
{
	struct lines lines = {0};
	size_t equal[TOPICS] = {0}, wrong = 0, typed = 0;
	if (argc != 2 || !lines_read(&lines, argv[1], "github-test")) {
		lines_free(&lines);
		return 2;
	}
	for (size_t i = 0; i < lines.count; i++) {
		size_t kind = 0;
		while (kind < TOPICS && strcmp(topics[kind]->name, lines.events[i].topic) != 0)
			kind++;
		if (kind == TOPICS)
			continue;
		typed++;
		bool same = check_event(topics[kind], &lines.events[i]);
		equal[kind] += same;
		wrong += !same;
		if (!same)
			fprintf(stderr, "line %zu does not come back as it was\n", lines.numbers[i]);
	}
	for (size_t kind = 0; kind < TOPICS; kind++) {
		printf("%s: %zu equal\n", topics[kind]->name, equal[kind]);
		wrong += !equal[kind] + print_unseen(topics[kind]->fields());
	}
	printf("%zu others\n", lines.count - typed);
	lines_free(&lines);
	return wrong ? 1 : 0;
}
