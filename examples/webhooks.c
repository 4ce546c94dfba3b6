/*
 * webhooks.c - events from a file, through two groups of handlers, with proof that none was lost.
 *
 *     webhooks [FILE]          lines of JSON, see ndjson.h; standard input without FILE
 *     FERRY_URL=redis://... webhooks FILE
 *
 * Pushes, issues and pull requests of GitHub (github.h) travel as C structs: a payload that breaks their
 * rules is refused before anything is published, and their handlers are given structs.  Every other kind
 * travels as the bytes that the line has.
 *
 * The group "tally" has one handler a topic and counts what arrives.  The group "watch" has two, which want
 * only action=created and action=deleted; the rest is settled for them and counted as filtered.  At the end
 * the accounting is printed, and the exit status is 1 unless every line is in it and every payload arrived as
 * it was sent, byte for byte.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ferry/ferry.h>

#include "accounting.h"
#include "github.h"
#include "lines.h"

#define WAIT_MS 60000

static const char *const groups[] = {"tally", "watch", NULL};

/* What becomes of a line. */
struct item {
	const struct ndjson_event *event;
	/* The payload as a struct, for the kinds that have one. */
	const struct push *push;
	const struct issues *issues;
	const struct pull_request *pull_request;
	const char *sent; /* the bytes that will travel */
	size_t sent_size;
	char *encoded;        /* memory of `sent`, where the line does not hold it */
	unsigned int arrived; /* in the group "tally" */
};

/* How often a topic came with an action. */
struct count {
	const char *topic, *action;
	unsigned int count;
};

struct inbox {
	struct lines lines;
	struct item *items;  /* one a line */
	const char **topics; /* sorted, each once */
	size_t topic_count;
	char run[40]; /* begins the ids of this run's messages */

	pthread_mutex_t mutex; /* protects what follows, and item.arrived */
	struct count *counts;  /* at most one per line */
	size_t count_count;
	size_t pushes, commits, files;
	size_t issues, open_issues, labels;
	size_t pull_requests;
	int64_t additions, deletions;
	unsigned int created, deleted;
	unsigned int changed; /* payloads that are not what was published */
	unsigned int foreign; /* messages of another run */
};

/* ---- from lines to what will be sent ---- */

static int no_memory(struct ferry_error *err)
{
	*err = (struct ferry_error){.code = FERRY_E_NOMEM, .text = "out of memory"};
	return FERRY_E_NOMEM;
}

/* The bytes of a struct.  The first call only asks how many they are. */
static int encode(struct item *item, const struct ferry_topic *topic, const void *event,
		  struct ferry_error *err)
{
	int code = ferry_topic_encode(topic, event, NULL, 0, &item->sent_size, err);
	if (code && code != FERRY_E_TOO_LARGE)
		return code;
	item->sent = item->encoded = malloc(item->sent_size);
	if (!item->encoded)
		return no_memory(err);
	return ferry_topic_encode(topic, event, item->encoded, item->sent_size, &item->sent_size, err);
}

static int prepare(struct item *item, struct ferry_error *err)
{
	const char *topic = item->event->topic, *payload = item->event->payload;
	size_t size = item->event->payload_size;
	if (strcmp(topic, push_topic.name) == 0)
		return push_decode(payload, size, &item->push, err) ||
		       encode(item, &push_topic, item->push, err);
	if (strcmp(topic, issues_topic.name) == 0)
		return issues_decode(payload, size, &item->issues, err) ||
		       encode(item, &issues_topic, item->issues, err);
	if (strcmp(topic, pull_request_topic.name) == 0)
		return pull_request_decode(payload, size, &item->pull_request, err) ||
		       encode(item, &pull_request_topic, item->pull_request, err);
	item->sent = payload;
	item->sent_size = size;
	return 0;
}

static bool prepare_all(struct inbox *inbox)
{
	size_t count = inbox->lines.count;
	inbox->items = calloc(count + 1, sizeof *inbox->items);
	inbox->counts = calloc(count + 1, sizeof *inbox->counts);
	inbox->topics = calloc(count + 1, sizeof *inbox->topics);
	if (!inbox->items || !inbox->counts || !inbox->topics)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct ferry_error err;
		inbox->items[i].event = &inbox->lines.events[i];
		if (prepare(&inbox->items[i], &err)) {
			fprintf(stderr, "webhooks: line %zu: %s\n", inbox->lines.numbers[i], err.text);
			return false;
		}
	}
	return true;
}

static int compare_topics(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void collect_topics(struct inbox *inbox)
{
	size_t kept = 0;
	for (size_t i = 0; i < inbox->lines.count; i++)
		inbox->topics[i] = inbox->items[i].event->topic;
	qsort(inbox->topics, inbox->lines.count, sizeof *inbox->topics, compare_topics);
	for (size_t i = 0; i < inbox->lines.count; i++) {
		if (!kept || strcmp(inbox->topics[kept - 1], inbox->topics[i]) != 0)
			inbox->topics[kept++] = inbox->topics[i];
	}
	inbox->topic_count = kept;
}

/* ---- the handlers ---- */

/* What a message was made of, by its id; NULL when it is of another run. */
static struct item *item_of(struct inbox *inbox, const struct ferry_message *message)
{
	const char *id = ferry_message_id(message);
	size_t length = strlen(inbox->run);
	if (strncmp(id, inbox->run, length) != 0 || id[length] != '/')
		return NULL;
	unsigned long index = strtoul(id + length + 1, NULL, 10);
	return index < inbox->lines.count ? &inbox->items[index] : NULL;
}

static const char *action_of(const struct item *item)
{
	const struct ferry_attribute *attribute = item->event->attributes;
	while (attribute->name && strcmp(attribute->name, "action") != 0)
		attribute++;
	return attribute->name ? attribute->value : "-";
}

static void count_action(struct inbox *inbox, const struct item *item)
{
	const char *topic = item->event->topic, *action = action_of(item);
	struct count *count = inbox->counts;
	while (count->topic && (strcmp(count->topic, topic) != 0 || strcmp(count->action, action) != 0))
		count++;
	inbox->count_count += !count->topic;
	*count = (struct count){topic, action, count->count + 1};
}

/* True the first time: a message may come twice, a line counts once. */
static bool arrive(struct inbox *inbox, const struct ferry_message *message)
{
	struct item *item = item_of(inbox, message);
	size_t size;
	const void *payload = ferry_message_payload(message, &size);
	if (!item) {
		inbox->foreign++;
		return false;
	}
	if (item->arrived++)
		return false;
	count_action(inbox, item);
	inbox->changed += size != item->sent_size || memcmp(payload, item->sent, size) != 0;
	return true;
}

static int on_push(const struct push *push, struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	pthread_mutex_lock(&inbox->mutex);
	if (arrive(inbox, message)) {
		inbox->pushes++;
		inbox->commits += push->commit_count;
		for (size_t i = 0; i < push->commit_count; i++)
			inbox->files += push->commits[i].added_count + push->commits[i].removed_count +
					push->commits[i].modified_count;
	}
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int on_issues(const struct issues *issues, struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	pthread_mutex_lock(&inbox->mutex);
	if (arrive(inbox, message)) {
		inbox->issues++;
		inbox->open_issues += issues->issue.state == STATE_OPEN;
		inbox->labels += issues->issue.label_count;
	}
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int on_pull_request(const struct pull_request *event, struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	pthread_mutex_lock(&inbox->mutex);
	if (arrive(inbox, message)) {
		inbox->pull_requests++;
		inbox->additions += event->pull_request.additions;
		inbox->deletions += event->pull_request.deletions;
	}
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int on_other(struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	pthread_mutex_lock(&inbox->mutex);
	arrive(inbox, message);
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int watch_created(struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	pthread_mutex_lock(&inbox->mutex);
	inbox->created += item_of(inbox, message) != NULL;
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int watch_deleted(struct ferry_message *message, void *ctx)
{
	struct inbox *inbox = ctx;
	pthread_mutex_lock(&inbox->mutex);
	inbox->deleted += item_of(inbox, message) != NULL;
	pthread_mutex_unlock(&inbox->mutex);
	return 0;
}

static int subscribe_tally(struct ferry_bus *bus, const char *topic, struct inbox *inbox,
			   struct ferry_error *err)
{
	const struct ferry_handler_options *options = FERRY_OPTIONS(ferry_handler_options, .group = "tally");
	if (strcmp(topic, push_topic.name) == 0)
		return push_subscribe(bus, on_push, inbox, options, err);
	if (strcmp(topic, issues_topic.name) == 0)
		return issues_subscribe(bus, on_issues, inbox, options, err);
	if (strcmp(topic, pull_request_topic.name) == 0)
		return pull_request_subscribe(bus, on_pull_request, inbox, options, err);
	return ferry_subscribe(bus, topic, on_other, inbox, options, err);
}

/* These look at no payload, so they are the same for every kind. */
static int subscribe_watch(struct ferry_bus *bus, const char *topic, struct inbox *inbox,
			   struct ferry_error *err)
{
	int code = ferry_subscribe(bus, topic, watch_created, inbox,
				   FERRY_OPTIONS(ferry_handler_options, .group = "watch",
						 .filter = FERRY_ATTRIBUTES({"action", "created"})),
				   err);
	if (code)
		return code;
	return ferry_subscribe(bus, topic, watch_deleted, inbox,
			       FERRY_OPTIONS(ferry_handler_options, .group = "watch",
					     .filter = FERRY_ATTRIBUTES({"action", "deleted"})),
			       err);
}

static int subscribe(struct ferry_bus *bus, struct inbox *inbox, struct ferry_error *err)
{
	int code = 0;
	for (size_t i = 0; i < inbox->topic_count && !code; i++) {
		code = subscribe_tally(bus, inbox->topics[i], inbox, err);
		if (!code)
			code = subscribe_watch(bus, inbox->topics[i], inbox, err);
	}
	return code;
}

/* ---- publishing ---- */

struct outbox {
	struct push_publisher *push;
	struct issues_publisher *issues;
	struct pull_request_publisher *pull_request;
	struct ferry_publisher **others; /* one a topic of the inbox */
};

static int open_outbox(struct ferry_bus *bus, const struct inbox *inbox, struct outbox *out,
		       struct ferry_error *err)
{
	const struct ferry_publisher_options *json =
		FERRY_OPTIONS(ferry_publisher_options, .content_type = "application/json");
	int code = push_publisher_open(bus, NULL, &out->push, err) ||
		   issues_publisher_open(bus, NULL, &out->issues, err) ||
		   pull_request_publisher_open(bus, NULL, &out->pull_request, err);
	out->others = calloc(inbox->topic_count + 1, sizeof *out->others);
	if (!out->others)
		return no_memory(err);
	for (size_t i = 0; !code && i < inbox->topic_count; i++)
		code = ferry_publisher_open(bus, inbox->topics[i], json, &out->others[i], err);
	return code;
}

static void close_outbox(struct outbox *out, size_t topic_count)
{
	push_publisher_close(out->push);
	issues_publisher_close(out->issues);
	pull_request_publisher_close(out->pull_request);
	for (size_t i = 0; out->others && i < topic_count; i++)
		ferry_publisher_close(out->others[i]);
	free(out->others);
}

static int publish(const struct outbox *out, const struct inbox *inbox, size_t index, struct ferry_error *err)
{
	const struct item *item = &inbox->items[index];
	const struct ndjson_event *event = item->event;
	char id[80];
	snprintf(id, sizeof id, "%s/%zu", inbox->run, index);
	const struct ferry_publish_options *options =
		FERRY_OPTIONS(ferry_publish_options, .attributes = event->attributes, .key = event->key,
			      .key_size = event->key_size, .id = id);
	if (item->push)
		return push_publish(out->push, item->push, options, err);
	if (item->issues)
		return issues_publish(out->issues, item->issues, options, err);
	if (item->pull_request)
		return pull_request_publish(out->pull_request, item->pull_request, options, err);
	const char *const *found = bsearch(&event->topic, inbox->topics, inbox->topic_count,
					   sizeof *inbox->topics, compare_topics);
	return ferry_publish(out->others[found - inbox->topics], event->payload, event->payload_size, options,
			     err);
}

/* The lines in their order. */
static int publish_all(struct ferry_bus *bus, const struct inbox *inbox, struct ferry_error *err)
{
	struct outbox out = {0};
	int code = open_outbox(bus, inbox, &out, err);
	for (size_t i = 0; !code && i < inbox->lines.count; i++)
		code = publish(&out, inbox, i, err);
	close_outbox(&out, inbox->topic_count);
	return code;
}

/* ---- the result ---- */

static int compare_counts(const void *a, const void *b)
{
	const struct count *one = a, *other = b;
	int order = strcmp(one->topic, other->topic);
	return order ? order : strcmp(one->action, other->action);
}

static bool print_result(struct inbox *inbox, const struct ferry_stats *stats)
{
	size_t missing = 0;
	printf("%zu lines, %zu topics\n\n%-40s %-24s %s\n", inbox->lines.count, inbox->topic_count, "topic",
	       "action", "count");
	qsort(inbox->counts, inbox->count_count, sizeof *inbox->counts, compare_counts);
	for (size_t i = 0; i < inbox->count_count; i++)
		printf("%-40s %-24s %5u\n", inbox->counts[i].topic, inbox->counts[i].action,
		       inbox->counts[i].count);
	printf("\n%zu pushes: %zu commits, %zu files\n", inbox->pushes, inbox->commits, inbox->files);
	printf("%zu issues: %zu open, %zu labels\n", inbox->issues, inbox->open_issues, inbox->labels);
	printf("%zu pull requests: %lld lines added, %lld deleted\n", inbox->pull_requests,
	       (long long)inbox->additions, (long long)inbox->deletions);
	printf("\nwatched: %u created, %u deleted\n\n", inbox->created, inbox->deleted);
	bool accounted = accounting_print(stats, groups, inbox->lines.count);
	for (size_t i = 0; i < inbox->lines.count; i++)
		missing += !inbox->items[i].arrived;
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
	    accounting_wait(bus, groups, inbox->lines.count, WAIT_MS, err) ||
	    ferry_bus_stop(bus, 10000, NULL, err))
		return -1;
	*ret_stats = ferry_stats_take(bus, err);
	return *ret_stats ? 0 : -1;
}

static void free_inbox(struct inbox *inbox)
{
	for (size_t i = 0; inbox->items && i < inbox->lines.count; i++) {
		push_free(inbox->items[i].push);
		issues_free(inbox->items[i].issues);
		pull_request_free(inbox->items[i].pull_request);
		free(inbox->items[i].encoded);
	}
	free(inbox->items);
	free(inbox->counts);
	free(inbox->topics);
	lines_free(&inbox->lines);
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
	if (lines_read(&inbox.lines, argv[1], "webhooks") && prepare_all(&inbox)) {
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
