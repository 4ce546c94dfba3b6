#include "publishers.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct named_publisher {
	char *topic, *content_type;
	struct ferry_publisher *publisher;
	struct named_publisher *next;
};

static int compare(const void *a, const void *b)
{
	const struct named_publisher *left = a, *right = b;
	int order = strcmp(left->topic, right->topic);
	return order ? order : strcmp(left->content_type, right->content_type);
}

static void free_named(struct named_publisher *named)
{
	ferry_publisher_close(named->publisher);
	free(named->topic);
	free(named->content_type);
	free(named);
}

static int no_memory(struct ferry_error *err)
{
	*err = (struct ferry_error){.code = FERRY_E_NOMEM, .flags = FERRY_ERROR_RETRIABLE};
	snprintf(err->text, sizeof err->text, "%s", ferry_error_text(FERRY_E_NOMEM));
	return FERRY_E_NOMEM;
}

static int add(struct publishers *publishers, const struct named_publisher *key, struct ferry_publisher **ret,
	       struct ferry_error *err)
{
	struct named_publisher *named = calloc(1, sizeof *named);
	if (!named)
		return no_memory(err);
	named->topic = strdup(key->topic);
	named->content_type = strdup(key->content_type);
	int code = named->topic && named->content_type ? 0 : no_memory(err);
	if (!code)
		code = ferry_publisher_open(
			publishers->bus, key->topic,
			FERRY_OPTIONS(ferry_publisher_options,
				      .content_type = *key->content_type ? named->content_type : NULL),
			&named->publisher, err);
	if (!code && !tsearch(named, &publishers->tree, compare))
		code = no_memory(err);
	if (code) {
		free_named(named);
		return code;
	}
	named->next = publishers->all;
	publishers->all = named;
	*ret = named->publisher;
	return 0;
}

int publishers_get(struct publishers *publishers, const char *topic, const char *content_type,
		   struct ferry_publisher **ret, struct ferry_error *err)
{
	const struct named_publisher key = {.topic = (char *)(uintptr_t)topic,
					    .content_type =
						    (char *)(uintptr_t)(content_type ? content_type : "")};
	struct named_publisher *const *found = tfind(&key, &publishers->tree, compare);
	if (!found)
		return add(publishers, &key, ret, err);
	*ret = (*found)->publisher;
	return 0;
}

void publishers_close(struct publishers *publishers)
{
	for (struct named_publisher *named = publishers->all, *next; named; named = next) {
		next = named->next;
		tdelete(named, &publishers->tree, compare);
		free_named(named);
	}
	publishers->all = NULL;
}
