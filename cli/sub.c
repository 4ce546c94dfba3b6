/*
 * sub.c - `ferry sub`: its command line; sub_run.c does the work.
 */
#include "sub.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <ferry/ferry.h>

#include "cli.h"

static const char help[] =
	"Usage: ferry sub URL TOPIC... --group G | --broadcast [OPTIONS]\n"
	"\n"
	"Print each message of the topics as one line of JSON, from the bus that URL names (default:\n"
	"FERRY_URL).\n"
	"\n"
	"  --group G             share the messages with all others of the group G; it resumes where\n"
	"                        it stopped\n"
	"  --broadcast           get every message from now on, and leave no trace\n"
	"  --start new|earliest  where a group begins that is not there yet: with what is published\n"
	"                        from now on [new], or with all that the backend still has\n"
	"  --count N             end after N messages\n"
	"  --idle-exit S         end when nothing has come for S seconds\n"
	"  --help                show this\n"
	"\n"
	"A line has id, topic, attempt, timestamp, attributes, key, trace_id, content_type, payload.\n"
	"`payload` is the message itself when that is one JSON value without a line break, and no\n"
	"string; it is a string when the message is any other UTF-8; else there is `payload_base64`.\n"
	"So 'ferry pub --ndjson' makes the same bytes of it again.\n"
	"\n"
	"A message is done when its line is written; what could not be written is handed back.\n"
	"'ferry: sub: ready' comes on the standard error when no message published from then on is\n"
	"missed.  SIGINT and SIGTERM end in good order, a later one at once.\n"
	"\n"
	"Exit status: 0 done, or stopped by a signal; 1 failed, or fewer than N messages; 2 wrong\n"
	"command line.\n";

enum { SECONDS_MAX = 86400 * 365 };

/* One option: 0, or EXIT_USAGE. */
static int read_option(const char *command, int option, struct sub_spec *spec)
{
	uint64_t seconds;
	switch (option) {
	case 'g':
		spec->group = optarg;
		return 0;
	case 'b':
		spec->broadcast = true;
		return 0;
	case 's':
		spec->start = strcmp(optarg, "new") == 0        ? FERRY_START_NEW
			      : strcmp(optarg, "earliest") == 0 ? FERRY_START_EARLIEST
								: 0;
		return spec->start ? 0
				   : cli_usage(command, "--start is 'new' or 'earliest', not '%s'",
					       cli_masked(optarg));
	case 'c':
		if (cli_number(optarg, false, 1, UINT64_C(1) << 48, &spec->count))
			return 0;
		return cli_usage(command, "--count is a number from 1, not '%s'", cli_masked(optarg));
	default:
		if (!cli_number(optarg, false, 1, SECONDS_MAX, &seconds))
			return cli_usage(command, "--idle-exit is a number of seconds from 1 to %d, not '%s'",
					 SECONDS_MAX, cli_masked(optarg));
		spec->idle_exit_ms = (int64_t)seconds * 1000;
		return 0;
	}
}

/* The arguments that are no options, and what must not be missing: 0, or EXIT_USAGE. */
static int complete(int argc, char **argv, struct sub_spec *spec)
{
	bool has_url = cli_take_url(argc, argv, &spec->url);
	if (cli_no_urls(argc, argv))
		return EXIT_USAGE;
	if (!has_url)
		return cli_usage(argv[0], "a URL is missing, for example 'redis://localhost/'");
	spec->topics = argv + optind;
	if (optind == argc)
		return cli_usage(argv[0], "a topic is missing");
	for (int i = optind; i < argc; i++) {
		for (int k = optind; k < i; k++) {
			if (strcmp(argv[i], argv[k]) == 0)
				return cli_usage(argv[0], "the topic '%s' is there twice", argv[i]);
		}
	}
	if (spec->group && spec->broadcast)
		return cli_usage(argv[0], "--group and --broadcast exclude each other");
	if (spec->group && cli_is_url(spec->group))
		return cli_usage(argv[0], "--group is a name, not '%s'", cli_masked(spec->group));
	if (!spec->group && !spec->broadcast)
		return cli_usage(argv[0], "--group or --broadcast is missing");
	return 0;
}

/* EXIT_DONE, EXIT_USAGE, or -1: go on. */
static int read_arguments(int argc, char **argv, struct sub_spec *spec)
{
	static const struct option options[] = {
		{"group", required_argument, NULL, 'g'},
		{"broadcast", no_argument, NULL, 'b'},
		{"start", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'c'},
		{"idle-exit", required_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (option == '?' || option == ':')
			return cli_bad_option(option, argv);
		if (read_option(argv[0], option, spec))
			return EXIT_USAGE;
	}
	return complete(argc, argv, spec) ? EXIT_USAGE : -1;
}

int command_sub(int argc, char **argv)
{
	struct sub_spec spec = {.url = NULL};
	int result = read_arguments(argc, argv, &spec);
	return result >= 0 ? result : sub_run(&spec);
}
