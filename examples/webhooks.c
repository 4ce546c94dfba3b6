/*
 * webhooks.c - events from a file, through two groups of handlers, with proof that none was lost.
 *
 *     webhooks [FILE]          lines of JSON, see ndjson.h; standard input without FILE
 *     FERRY_URL=redis://... webhooks FILE
 *
 * The group "tally" has one handler a topic and counts what arrives.  The group "watch" has two, which want
 * only action=created and action=deleted; the rest is settled for them and counted as filtered.  At the end
 * the accounting is printed, and the exit status is 1 unless every line is in it and every payload arrived as
 * it was written, byte for byte.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ferry/ferry.h>

#include "ndjson.h"

#define WAIT_MS 60000

struct line {
	struct ndjson_event event;
	unsigned int arrived; /* in the group "tally" */
};

/* How often a topic came with an action. */
struct count {
	const char *topic, *action;
	unsigned int count;
};

struct inbox {
	char *text; /* the whole file; payloads point into it */
	struct line *lines;
	size_t line_count;
	const char **topics; /* sorted, each once */
	size_t topic_count;
	char run[40]; /* begins the ids of this run's messages */

	pthread_mutex_t mutex; /* protects what follows, and line.arrived */
	struct count *counts;  /* at most one per line */
	size_t count_count;
	unsigned int created, deleted;
	unsigned int changed; /* payloads that are not what was published */
	unsigned int foreign; /* messages of another run */
};

/* ---- the file ---- */

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

static bool parse_lines(struct inbox *inbox, size_t size)
{
	const char *at = inbox->text, *end = inbox->text + size;
	struct ndjson_error error;
	for (size_t number = 1; at < end; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline ? newline : end) - at);
		if (!is_blank(at, length)) {
			if (ndjson_parse(at, length, &inbox->lines[inbox->line_count].event, &error)) {
				fprintf(stderr, "webhooks: line %zu, byte %zu: %s\n", number, error.byte,
					error.text);
				return false;
			}
			inbox->line_count++;
		}
		at += length + 1;
	}
	return true;
}

static bool read_lines(struct inbox *inbox, const char *path)
{
	FILE *file = path ? fopen(path, "rb") : stdin;
	size_t size = 0, most = 1;
	bool ok = file && read_all(file, &inbox->text, &size);
	if (!ok)
		perror(path ? path : "standard input");
	if (file && path)
		fclose(file);
	for (size_t i = 0; ok && i < size; i++)
		most += inbox->text[i] == '\n';
	inbox->lines = calloc(most, sizeof *inbox->lines);
	inbox->counts = calloc(most, sizeof *inbox->counts);
	inbox->topics = calloc(most, sizeof *inbox->topics);
	return ok && inbox->lines && inbox->counts && inbox->topics && parse_lines(inbox, size);
}

static int compare_topics(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void collect_topics(struct inbox *inbox)
{
	size_t kept = 0;
	for (size_t i = 0; i < inbox->line_count; i++)
		inbox->topics[i] = inbox->lines[i].event.topic;
	qsort(inbox->topics, inbox->line_count, sizeof *inbox->topics, compare_topics);
	for (size_t i = 0; i < inbox->line_count; i++) {
		if (!kept || strcmp(inbox->topics[kept - 1], inbox->topics[i]) != 0)
			inbox->topics[kept++] = inbox->topics[i];
	}
	inbox->topic_count = kept;
}

/* ---- the handlers ---- */

/* The line that a message was made of, by its id; NULL when it is of another run. */
static struct line *line_of(struct inbox *inbox, const struct ferry_message *message)
{
	const char *id = ferry_message_id(message);
	size_t length = strlen(inbox->run);
	if (strncmp(id, inbox->run, length) != 0 || id[length] != '/')
		return NULL;
	unsigned long index = strtoul(id + length + 1, NULL, 10);
	return index < inbox->line_count ? &inbox->lines[index] : NULL;
}

static void count_line(struct inbox *inbox, const struct line *line, const char *action)
{
	const char *topic = line->event.topic;
	struct count *count = inbox->counts;
	while (count->topic && (strcmp(count->topic, topic) != 0 || strcmp(count->action, action) != 0))
		count++;
	inbox->count_count += !count->topic;
	*count = (struct count){topic, action, count->count + 1};
}

static const char *action_of(const struct line *line)
{
	const struct ferry_attribute *attribute = line->event.attributes;
	while (attribute->name && strcmp(attribute->name, "action") != 0)
		attribute++;
	return attribute->name ? attribute->value : "-";
}

static int tally(struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	struct line *line = line_of(inbox, message);
	size_t size;
	const void *payload = ferry_message_payload(message, &size);
	pthread_mutex_lock(&inbox->mutex);
	if (!line) {
		inbox->foreign++;
	} else if (!line->arrived++) { /* a message may come twice; a line counts once */
		count_line(inbox, line, action_of(line));
		inbox->changed +=
			size != line->event.payload_size || memcmp(payload, line->event.payload, size) != 0;
	}
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int watch_created(struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	pthread_mutex_lock(&inbox->mutex);
	inbox->created += line_of(inbox, message) != NULL;
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int watch_deleted(struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	pthread_mutex_lock(&inbox->mutex);
	inbox->deleted += line_of(inbox, message) != NULL;
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int subscribe(struct ferry_bus *bus, struct inbox *inbox, struct ferry_error *err)
{
	for (size_t i = 0; i < inbox->topic_count; i++) {
		const char *topic = inbox->topics[i];
		if (ferry_subscribe(bus, topic, tally, inbox,
				    FERRY_OPTIONS(ferry_handler_options, .group = "tally"), err) ||
		    ferry_subscribe(bus, topic, watch_created, inbox,
				    FERRY_OPTIONS(ferry_handler_options, .group = "watch",
						  .filter = FERRY_ATTRIBUTES({"action", "created"})),
				    err) ||
		    ferry_subscribe(bus, topic, watch_deleted, inbox,
				    FERRY_OPTIONS(ferry_handler_options, .group = "watch",
						  .filter = FERRY_ATTRIBUTES({"action", "deleted"})),
				    err))
			return -1;
	}
	return 0;
}

/* ---- publishing ---- */

static int publish_line(struct ferry_publisher *publisher, const struct inbox *inbox, size_t index,
			struct ferry_error *err)
{
	const struct ndjson_event *event = &inbox->lines[index].event;
	char id[80];
	snprintf(id, sizeof id, "%s/%zu", inbox->run, index);
	return ferry_publish(publisher, event->payload, event->payload_size,
			     FERRY_OPTIONS(ferry_publish_options, .attributes = event->attributes,
					   .key = event->key, .key_size = event->key_size, .id = id),
			     err);
}

/* The lines in their order, through one publisher a topic. */
static int publish_all(struct ferry_bus *bus, const struct inbox *inbox, struct ferry_error *err)
{
	struct ferry_publisher **publishers = calloc(inbox->topic_count + 1, sizeof *publishers);
	const struct ferry_publisher_options *json =
		FERRY_OPTIONS(ferry_publisher_options, .content_type = "application/json");
	int code = publishers ? 0 : FERRY_E_NOMEM;
	for (size_t i = 0; !code && i < inbox->topic_count; i++)
		code = ferry_publisher_open(bus, inbox->topics[i], json, &publishers[i], err);
	for (size_t i = 0; !code && i < inbox->line_count; i++) {
		const char *const *found = bsearch(&inbox->lines[i].event.topic, inbox->topics,
						   inbox->topic_count, sizeof *inbox->topics, compare_topics);
		code = publish_line(publishers[found - inbox->topics], inbox, i, err);
	}
	for (size_t i = 0; publishers && i < inbox->topic_count; i++)
		ferry_publisher_close(publishers[i]);
	free(publishers);
	return code;
}

/* ---- the accounting ---- */

static const char *const groups[] = {"tally", "watch"};

#define GROUPS (sizeof groups / sizeof groups[0])

static uint64_t ended(const struct ferry_group_stats *sum)
{
	return sum->handled + sum->filtered + sum->dead_lettered + sum->dropped;
}

/* Wait until both groups have accounted for every line.  For a filtered message nobody is called, so the
 * counters are all there is to look at. */
static bool wait_accounted(struct ferry_bus *bus, size_t lines, struct ferry_error *err)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	int64_t end = ferry_bus_now_us(bus) + WAIT_MS * INT64_C(1000);
	bool all = false;
	while (!all && ferry_bus_now_us(bus) < end) {
		struct ferry_stats *stats = ferry_stats_take(bus, err);
		if (!stats)
			return false;
		all = true;
		for (size_t i = 0; i < GROUPS; i++) {
			struct ferry_group_stats sum = ferry_stats_sum(stats, groups[i]);
			all = all && ended(&sum) >= lines;
		}
		ferry_stats_free(stats);
		if (!all)
			nanosleep(&pause, NULL);
	}
	return true;
}

static void print_row(const char *group, const struct ferry_group_stats *sum)
{
	printf("%-6s  %8llu  %7llu  %8llu  %13llu  %7llu  %7llu  %11llu  %5llu  %9llu\n", group,
	       (unsigned long long)sum->received, (unsigned long long)sum->handled,
	       (unsigned long long)sum->filtered, (unsigned long long)sum->dead_lettered,
	       (unsigned long long)sum->dropped, (unsigned long long)sum->retried,
	       (unsigned long long)sum->handed_back, (unsigned long long)sum->stale,
	       (unsigned long long)sum->in_flight);
}

/* Print each group's row, in which `received` is the sum of the others; false when a line is missing. */
static bool print_accounting(const struct ferry_stats *stats, size_t lines)
{
	bool all = true;
	printf("%-6s  %8s  %7s  %8s  %13s  %7s  %7s  %11s  %5s  %9s\n", "group", "received", "handled",
	       "filtered", "dead-lettered", "dropped", "retried", "handed back", "stale", "in flight");
	for (size_t i = 0; i < GROUPS; i++) {
		struct ferry_group_stats sum = ferry_stats_sum(stats, groups[i]);
		print_row(groups[i], &sum);
		all = all && ended(&sum) >= lines;
	}
	return all;
}

static int compare_counts(const void *a, const void *b)
{
	const struct count *one = a, *other = b;
	int order = strcmp(one->topic, other->topic);
	return order ? order : strcmp(one->action, other->action);
}

static bool print_result(struct inbox *inbox, const struct ferry_stats *stats)
{
	size_t missing = 0;
	printf("%zu lines, %zu topics\n\n%-40s %-24s %s\n", inbox->line_count, inbox->topic_count, "topic",
	       "action", "count");
	qsort(inbox->counts, inbox->count_count, sizeof *inbox->counts, compare_counts);
	for (size_t i = 0; i < inbox->count_count; i++)
		printf("%-40s %-24s %5u\n", inbox->counts[i].topic, inbox->counts[i].action,
		       inbox->counts[i].count);
	printf("\nwatched: %u created, %u deleted\n\n", inbox->created, inbox->deleted);
	bool accounted = print_accounting(stats, inbox->line_count);
	for (size_t i = 0; i < inbox->line_count; i++)
		missing += !inbox->lines[i].arrived;
	if (accounted && !missing && !inbox->changed) {
		printf("\nEvery line is accounted for, and every payload arrived byte for byte.\n");
		return true;
	}
	printf("\n%zu lines did not arrive, %u payloads were changed.\n", missing, inbox->changed);
	return false;
}

/* ---- the program ---- */

/* Publish, wait, stop: 0, or an error.  *ret_stats is the snapshot after the stop. */
static int run(struct ferry_bus *bus, struct inbox *inbox, struct ferry_stats **ret_stats,
	       struct ferry_error *err)
{
	if (subscribe(bus, inbox, err) || ferry_bus_start(bus, 10000, err) ||
	    ferry_bus_wait_ready(bus, WAIT_MS, err) || publish_all(bus, inbox, err) ||
	    !wait_accounted(bus, inbox->line_count, err) || ferry_bus_stop(bus, 10000, NULL, err))
		return -1;
	*ret_stats = ferry_stats_take(bus, err);
	return *ret_stats ? 0 : -1;
}

static void free_inbox(struct inbox *inbox)
{
	for (size_t i = 0; i < inbox->line_count; i++)
		ndjson_free(&inbox->lines[i].event);
	free(inbox->lines);
	free(inbox->counts);
	free(inbox->topics);
	free(inbox->text);
	pthread_mutex_destroy(&inbox->mutex);
}

int main(int argc, char **argv)
{
	struct inbox inbox = {.mutex = PTHREAD_MUTEX_INITIALIZER};
	struct ferry_error err = {0};
	struct ferry_stats *stats = NULL;
	struct ferry_bus *bus = NULL;
	bool ok = false;
	const char *url = getenv("FERRY_URL");
	if (argc > 2) {
		fprintf(stderr, "Usage: webhooks [FILE]\n");
		return 2;
	}
	snprintf(inbox.run, sizeof inbox.run, "webhooks-%lld-%ld", (long long)time(NULL), (long)getpid());
	if (read_lines(&inbox, argv[1])) {
		collect_topics(&inbox);
		bus = ferry_bus_open(
			url ? url : "memory:", FERRY_OPTIONS(ferry_bus_options, .service = "webhooks"), &err);
		if (bus && run(bus, &inbox, &stats, &err) == 0)
			ok = print_result(&inbox, stats);
		else
			fprintf(stderr, "webhooks: %s: %s\n", ferry_error_name(err.code), err.text);
	}
	ferry_stats_free(stats);
	ferry_bus_close(bus);
	free_inbox(&inbox);
	return ok ? 0 : 1;
}
