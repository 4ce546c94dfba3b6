/*
 * pub.h - publishing lines.
 */
#ifndef CLI_PUB_H
#define CLI_PUB_H

#include <stdbool.h>
#include <stddef.h>

#include <ferry/ferry.h>

struct pub_spec {
	const char *url;          /* NULL: from the environment */
	const char *topic;        /* NULL: each line has its own */
	const char *file;         /* NULL: standard input */
	const char *key;          /* NULL: none */
	const char *content_type; /* NULL: none */
	const struct ferry_attribute *attributes;
	size_t attribute_count;
	bool ndjson; /* a line is an event, else a payload */
};

/* Publish each line, wait for all results and tell them on standard error.  An enum exit_code. */
int pub_run(const struct pub_spec *spec);

#endif
