/*
 * transports.c - `ferry transports`: what can be loaded, and the settings of each.
 */
#include "cli.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/admin.h>

#include "describe.h"

static const char help[] =
	"Usage: ferry transports [NAME | FILE] [--format text|json]\n"
	"\n"
	"Without an argument: list every transport that can be loaded; one that cannot is listed with its "
	"reason.\n"
	"With the name of a transport, or the file of one: show its path, version, ABI, capabilities and "
	"settings,\n"
	"and the settings that every bus has.\n"
	"\n"
	"Transports are files libferry-transport-NAME.so in the folders of FERRY_TRANSPORT_PATH (absolute,\n"
	"separated by ':'), or else in the folder that was built in.\n"
	"\n"
	"  --format text|json   how to print it [text]\n"
	"  --help               show this\n";

struct list {
	json_t *json; /* an array, or NULL for text */
	unsigned int count;
};

static void list_one(const char *name, const char *path, void *ctx)
{
	struct list *list = ctx;
	const struct ferry_transport *transport;
	struct ferry_error err = {0};
	int failed = ferry_admin_describe(path, &transport, NULL, &err);
	list->count++;
	if (!list->json && failed)
		printf("%-12s  cannot be loaded: %s\n", name, err.text);
	else if (!list->json)
		printf("%-12s  %-8s  %s\n", transport->name, transport->version, transport->summary);
	else if (failed)
		json_array_append_new(list->json, json_pack("{s:s, s:s, s:s, s:i}", "name", name, "path",
							    path, "error", err.text, "code", err.code));
	else
		json_array_append_new(list->json, describe_json(transport, path));
}

static int list_all(enum cli_format format)
{
	struct list list = {.json = format == CLI_JSON ? json_array() : NULL};
	struct ferry_error err;
	if (ferry_admin_list(list_one, &list, &err)) {
		cli_error("%s", err.text);
		json_decref(list.json);
		return EXIT_FAILED;
	}
	if (list.json) {
		json_t *all = json_pack("{s:o}", "transports", list.json);
		describe_print_json(all);
		json_decref(all);
	} else if (!list.count) {
		cli_error("there is no transport; FERRY_TRANSPORT_PATH names the folders to look in");
	}
	return list.count ? EXIT_DONE : EXIT_FAILED;
}

static int describe_one(const char *name, enum cli_format format)
{
	/* The library takes absolute paths only; a shell user writes what is convenient. */
	char *file = strchr(name, '/') ? realpath(name, NULL) : NULL;
	const struct ferry_transport *transport;
	const char *path;
	struct ferry_error err;
	int result = EXIT_FAILED;
	if (ferry_admin_describe(file ? file : name, &transport, &path, &err)) {
		cli_error("%s", err.text);
	} else if (format == CLI_JSON) {
		json_t *json = describe_json(transport, path);
		describe_print_json(json);
		json_decref(json);
		result = EXIT_DONE;
	} else {
		describe_text(transport, path);
		result = EXIT_DONE;
	}
	free(file);
	return result;
}

int command_transports(int argc, char **argv)
{
	static const struct option options[] = {{"format", required_argument, NULL, 'f'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	enum cli_format format = CLI_TEXT;
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			if (!cli_format(optarg, &format))
				return cli_usage(argv[0], "--format is 'text' or 'json', not '%s'",
						 cli_masked(optarg));
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_DONE;
		default:
			return cli_bad_option(option, argv);
		}
	}
	if (argc - optind > 1)
		return cli_usage(argv[0], "one NAME at most, and '%s' is a second one",
				 cli_masked(argv[optind + 1]));
	if (argc > optind && cli_is_url(argv[optind]))
		return cli_usage(argv[0], "'%s' is no transport: expected the name of one, or its file",
				 cli_masked(argv[optind]));
	return argc > optind ? describe_one(argv[optind], format) : list_all(format);
}
