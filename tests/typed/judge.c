/*
 * judge.c - what ferry says about payloads of the model's topics, for schema.py to compare.
 *
 *     typed_judge schemas     a line for each topic: its name, a space, its JSON Schema
 *     typed_judge payloads    a line for each payload of payloads.h and of the model: topic, space, hex
 * digits typed_judge verdicts    reads such lines and answers each: "ok", or why it is refused
 */
#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "payloads.h"

#define PAYLOAD_MAX 8192

static const struct ferry_topic *const topics[] = {&order_topic, &widths_topic, &tree_topic};
#define TOPIC_COUNT (sizeof(topics) / sizeof(topics[0]))

static int print_schemas(void)
{
	for (size_t i = 0; i < TOPIC_COUNT; i++) {
		size_t size = ferry_topic_json_schema(topics[i], NULL, 0) + 1;
		char *text = malloc(size);
		if (!text || ferry_topic_json_schema(topics[i], text, size) + 1 != size)
			return 1;
		printf("%s %s\n", topics[i]->name, text);
		free(text);
	}
	return 0;
}

static void print_payload(const char *topic, const char *payload, size_t size)
{
	printf("%s ", topic);
	for (size_t i = 0; i < size; i++)
		printf("%02x", (unsigned char)payload[i]);
	putchar('\n');
}

static int print_payloads(void)
{
	char json[PAYLOAD_MAX];
	size_t size;
	for (size_t i = 0; i < sound_payload_count; i++)
		print_payload("order.placed", sound_payloads[i], strlen(sound_payloads[i]));
	for (size_t i = 0; i < bad_payload_count; i++)
		print_payload("order.placed", bad_payloads[i].text, bad_payload_size(&bad_payloads[i]));
	print_payload("order.placed", full_order_json, strlen(full_order_json));
	if (widths_encode(&full_widths, json, sizeof json, &size, NULL))
		return 1;
	print_payload("test.widths", json, size);
	const struct tree leaf = {.value = 1, .raw = {"[1]", 3}};
	if (tree_encode(&(struct tree){.value = 2, .left = &leaf, .children = &leaf, .child_count = 1}, json,
			sizeof json, &size, NULL))
		return 1;
	print_payload("test.tree", json, size);
	return 0;
}

static const struct ferry_topic *find_topic(const char *name)
{
	for (size_t i = 0; i < TOPIC_COUNT; i++)
		if (strcmp(topics[i]->name, name) == 0)
			return topics[i];
	return NULL;
}

static int judge(char *line)
{
	char payload[PAYLOAD_MAX];
	size_t size = 0;
	struct ferry_error err = {.code = 0};
	const void *event = NULL;
	char *hex = strchr(line, ' ');
	if (!hex)
		return 1;
	*hex++ = '\0';
	const struct ferry_topic *topic = find_topic(line);
	for (unsigned byte; sscanf(hex, "%2x", &byte) == 1 && size < sizeof payload; hex += 2)
		payload[size++] = (char)byte;
	if (!topic || *hex != '\n')
		return 1;
	int code = ferry_topic_decode(topic, payload, size, &event, &err);
	puts(code ? err.text : "ok");
	ferry_topic_free(event);
	return code && code != FERRY_E_DECODE;
}

static int print_verdicts(void)
{
	char line[2 * PAYLOAD_MAX + 300];
	while (fgets(line, sizeof line, stdin)) {
		if (judge(line)) {
			fprintf(stderr, "typed_judge: a line that cannot be judged: %s\n", line);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	if (strcmp(what, "schemas") == 0)
		return print_schemas();
	if (strcmp(what, "payloads") == 0)
		return print_payloads();
	if (strcmp(what, "verdicts") == 0)
		return print_verdicts();
	fprintf(stderr, "usage: %s schemas|payloads|verdicts\n", argv[0]);
	return 2;
}
