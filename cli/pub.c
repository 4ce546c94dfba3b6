/*
 * pub.c - `ferry pub`: its command line; pub_run.c does the work.
 */
#include "pub.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"
#include "event.h"
#include "scan.h"

static const char help[] =
	"Usage: ferry pub URL TOPIC [OPTIONS]\n"
	"       ferry pub URL [TOPIC] --ndjson [OPTIONS]\n"
	"\n"
	"Publish each line of the standard input on the bus that URL names (default: FERRY_URL).\n"
	"A line is the payload, without its newline; an empty line is an empty message.\n"
	"\n"
	"  --file FILE         read FILE instead; '-' is the standard input\n"
	"  --attr NAME=VALUE   give each message this attribute; may be repeated\n"
	"  --key KEY           the ordering key of each message\n"
	"  --content-type T    the content type of each message, e.g. application/json\n"
	"  --ndjson            a line is a JSON object, as 'ferry sub' prints it:\n"
	"                        payload         a string: its text is the payload; any other value:\n"
	"                                        that value, byte for byte as it stands in the line\n"
	"                        payload_base64  or this instead: bytes\n"
	"                        topic, attributes, key (or key_base64), content_type, id, trace_id\n"
	"                                        optional; they win over the command line\n"
	"                      Other members and blank lines are skipped.\n"
	"  --help              show this\n"
	"\n"
	"A line that is wrong or too large is reported and left out.  When the bus itself fails\n"
	"nothing more is read.  SIGINT and SIGTERM end the reading, and what was read is still\n"
	"confirmed; a later one ends at once.  How many messages were confirmed is told at the end,\n"
	"on the standard error.\n"
	"\n"
	"Exit status: 0 every line was confirmed; 1 some were not; 2 wrong command line, or no such\n"
	"file.\n";

/* The library's rules for names of attributes: what is wrong with all messages is told once, before them. */
static bool is_attribute_name(const char *name, size_t size)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	return size > 0 && size <= 128 && strspn(name, allowed) >= size;
}

/* Those that base.h reserves. */
static bool is_reserved_name(const char *name)
{
	static const char *const whole[] = {"content-type", "traceparent", "tracestate", "baggage"};
	static const char *const begins[] = {"ce_", "ce-", "ferry-", "Nats-"};
	for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
		if (strcasecmp(name, whole[i]) == 0 || strncasecmp(name, begins[i], strlen(begins[i])) == 0)
			return true;
	}
	return false;
}

/* Add NAME=VALUE, cutting `text` in two: 0, or EXIT_USAGE. */
static int add_attribute(const char *command, char *text, struct ferry_attribute *attributes, size_t *count)
{
	char *equals = strchr(text, '=');
	const char *url = strstr(text, "://");
	if (!equals || (url && url < equals))
		return cli_usage(command, "--attr is NAME=VALUE, not '%s'", cli_masked(text));
	if (!is_attribute_name(text, (size_t)(equals - text)))
		return cli_usage(command, "--attr: '%.*s' is no attribute's name: use [A-Za-z0-9_.-]{1,128}",
				 (int)(equals - text), text);
	*equals = '\0';
	if (is_reserved_name(text))
		return cli_usage(command, "--attr: the name '%s' is reserved", text);
	if (!utf8_is_valid(equals + 1, strlen(equals + 1)))
		return cli_usage(command, "--attr: the value of '%s' is not UTF-8", text);
	for (size_t i = 0; i < *count; i++) {
		if (strcmp(attributes[i].name, text) == 0)
			return cli_usage(command, "--attr: '%s' is there twice", text);
	}
	if (*count == EVENT_ATTRIBUTES_MAX)
		return cli_usage(command, "--attr: %d at most", EVENT_ATTRIBUTES_MAX);
	attributes[(*count)++] = (struct ferry_attribute){text, equals + 1};
	return 0;
}

/* The arguments that are no options: 0, or EXIT_USAGE. */
static int complete(int argc, char **argv, struct pub_spec *spec)
{
	bool has_url = cli_take_url(argc, argv, &spec->url);
	if (cli_no_urls(argc, argv))
		return EXIT_USAGE;
	if (!has_url)
		return cli_usage(argv[0], "a URL is missing, for example 'memory:'");
	if (optind < argc)
		spec->topic = argv[optind++];
	if (optind < argc)
		return cli_usage(argv[0], "one topic at most, and '%s' is a second one", argv[optind]);
	if (!spec->topic && !spec->ndjson)
		return cli_usage(argv[0], "a topic is missing");
	return 0;
}

/* EXIT_DONE, EXIT_USAGE, or -1: go on. */
static int read_arguments(int argc, char **argv, struct pub_spec *spec, struct ferry_attribute *attributes)
{
	static const struct option options[] = {
		{"file", required_argument, NULL, 'f'},
		{"attr", required_argument, NULL, 'a'},
		{"key", required_argument, NULL, 'k'},
		{"ndjson", no_argument, NULL, 'n'},
		{"content-type", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'f') {
			spec->file = strcmp(optarg, "-") == 0 ? NULL : optarg;
		} else if (option == 'a') {
			if (add_attribute(argv[0], optarg, attributes, &spec->attribute_count))
				return EXIT_USAGE;
		} else if (option == 'k') {
			spec->key = optarg;
		} else if (option == 'c') {
			spec->content_type = optarg;
		} else if (option == 'n') {
			spec->ndjson = true;
		} else if (option == 'h') {
			fputs(help, stdout);
			return EXIT_DONE;
		} else {
			return cli_bad_option(option, argv);
		}
	}
	return complete(argc, argv, spec) ? EXIT_USAGE : -1;
}

int command_pub(int argc, char **argv)
{
	struct ferry_attribute attributes[EVENT_ATTRIBUTES_MAX];
	struct pub_spec spec = {.attributes = attributes};
	int result = read_arguments(argc, argv, &spec, attributes);
	return result >= 0 ? result : pub_run(&spec);
}
