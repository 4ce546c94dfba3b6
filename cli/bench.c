/*
 * bench.c - `ferry bench`: the command line of a measurement and its exit status; load.c does the work,
 * report.c tells.
 */
#include "cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "report.h"

static const char help[] =
	"Usage: ferry bench URL --messages N --size B [OPTIONS]\n"
	"\n"
	"Publish N messages of B bytes through the bus that URL names (default: FERRY_URL), handle them in "
	"the same\n"
	"process, and report rates, latency, lost and repeated messages, and the accounting of the bus.\n"
	"\n"
	"  --messages N        messages to measure\n"
	"  --size B            bytes of a payload, 8 at least; also 4KiB, 1MiB\n"
	"  --publishers P      threads that publish [1]\n"
	"  --handlers H        handlers [1]; they compete for the messages\n"
	"  --broadcast         each handler gets every message instead\n"
	"  --batch K           publish K messages with one call [1: single calls]\n"
	"  --warmup N          messages before the measurement [a tenth, at most 100000]\n"
	"  --latency K         time every K-th message [128]; 1 = each, which costs speed; 0 = none\n"
	"  --rate R            publish R messages per second [as fast as it goes, with full queues: then "
	"the\n"
	"                      latency is the time spent in them]\n"
	"  --topic NAME        topic to use [ferry-bench]; two runs at a time on one broker need two\n"
	"  --timeout S         give up when nothing has arrived for S seconds [30]\n"
	"  --format text|json  how to print the result [text]\n"
	"  --help              show this\n"
	"\n"
	"Exit status: 0 everything published arrived; 1 something was lost or could not be published.\n";

enum {
	OPTION_MESSAGES = 256,
	OPTION_SIZE,
	OPTION_PUBLISHERS,
	OPTION_HANDLERS,
	OPTION_BATCH,
	OPTION_WARMUP,
	OPTION_LATENCY,
	OPTION_RATE,
	OPTION_TIMEOUT,
	OPTION_BROADCAST,
	OPTION_TOPIC,
	OPTION_FORMAT
};

/* The options that are numbers. */
struct numbers {
	uint64_t messages, size, publishers, handlers, batch, warmup, latency, rate, timeout;
};

static const struct number_option {
	const char *name;
	size_t offset;
	uint64_t min, max;
	bool with_units;
} number_options[] = {
	{"messages", offsetof(struct numbers, messages), 1, LOAD_MESSAGES_MAX, false},
	{"size", offsetof(struct numbers, size), LOAD_SIZE_MIN, UINT64_C(1) << 30, true},
	{"publishers", offsetof(struct numbers, publishers), 1, 1024, false},
	{"handlers", offsetof(struct numbers, handlers), 1, 1024, false},
	{"batch", offsetof(struct numbers, batch), 1, 65536, false},
	{"warmup", offsetof(struct numbers, warmup), 0, LOAD_MESSAGES_MAX, false},
	{"latency", offsetof(struct numbers, latency), 0, LOAD_MESSAGES_MAX, false},
	{"rate", offsetof(struct numbers, rate), 1, 1000000000, false},
	{"timeout", offsetof(struct numbers, timeout), 1, 86400, false},
};

#define WARMUP_UNSET UINT64_MAX
#define WARMUP_MAX   100000

/* Read one numeric option: 0, or EXIT_USAGE. */
static int read_number(const char *command, int option, struct numbers *numbers)
{
	const struct number_option *o = &number_options[option - OPTION_MESSAGES];
	uint64_t *value = (uint64_t *)(void *)((char *)numbers + o->offset);
	if (cli_number(optarg, o->with_units, o->min, o->max, value))
		return 0;
	return cli_usage(command, "--%s is a number from %" PRIu64 " to %" PRIu64 "%s, not '%s'", o->name,
			 o->min, o->max, o->with_units ? " (also 4KiB, 1MiB)" : "", cli_masked(optarg));
}

struct arguments {
	struct load_spec spec;
	enum cli_format format;
};

/* What the command line leaves out or must not contain: 0, or EXIT_USAGE. */
static int complete(int argc, char **argv, const struct numbers *numbers, struct arguments *ret)
{
	if (argc - optind > 1)
		return cli_usage(argv[0], "one URL at most, and '%s' is a second one",
				 cli_masked(argv[optind + 1]));
	if (argc == optind && !getenv("FERRY_URL"))
		return cli_usage(argv[0], "a URL is missing, for example 'memory:'");
	if (cli_is_url(ret->spec.topic))
		return cli_usage(argv[0], "--topic: '%s' is no topic: the URL comes first",
				 cli_masked(ret->spec.topic));
	if (!numbers->messages)
		return cli_usage(argv[0], "--messages is missing");
	if (!numbers->size)
		return cli_usage(argv[0], "--size is missing");
	struct load_spec *spec = &ret->spec;
	uint64_t tenth = numbers->messages / 10;
	spec->url = argc > optind ? argv[optind] : NULL;
	spec->messages = numbers->messages;
	spec->size = (size_t)numbers->size;
	spec->publishers = (unsigned int)numbers->publishers;
	spec->handlers = (unsigned int)numbers->handlers;
	spec->batch = (unsigned int)numbers->batch;
	spec->warmup = numbers->warmup;
	if (numbers->warmup == WARMUP_UNSET)
		spec->warmup = tenth < WARMUP_MAX ? tenth : WARMUP_MAX;
	spec->sample = numbers->latency;
	spec->rate = numbers->rate;
	spec->patience_ms = (int64_t)numbers->timeout * 1000;
	return 0;
}

/* EXIT_DONE, EXIT_USAGE, or -1: go on. */
static int read_arguments(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {{"messages", required_argument, NULL, OPTION_MESSAGES},
						{"size", required_argument, NULL, OPTION_SIZE},
						{"publishers", required_argument, NULL, OPTION_PUBLISHERS},
						{"handlers", required_argument, NULL, OPTION_HANDLERS},
						{"batch", required_argument, NULL, OPTION_BATCH},
						{"warmup", required_argument, NULL, OPTION_WARMUP},
						{"latency", required_argument, NULL, OPTION_LATENCY},
						{"rate", required_argument, NULL, OPTION_RATE},
						{"timeout", required_argument, NULL, OPTION_TIMEOUT},
						{"broadcast", no_argument, NULL, OPTION_BROADCAST},
						{"topic", required_argument, NULL, OPTION_TOPIC},
						{"format", required_argument, NULL, OPTION_FORMAT},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct numbers numbers = {.publishers = 1,
				  .handlers = 1,
				  .batch = 1,
				  .warmup = WARMUP_UNSET,
				  .latency = 128,
				  .timeout = 30};
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option >= OPTION_MESSAGES && option <= OPTION_TIMEOUT) {
			if (read_number(argv[0], option, &numbers))
				return EXIT_USAGE;
		} else if (option == OPTION_BROADCAST) {
			ret->spec.broadcast = true;
		} else if (option == OPTION_TOPIC) {
			ret->spec.topic = optarg;
		} else if (option == OPTION_FORMAT) {
			if (!cli_format(optarg, &ret->format))
				return cli_usage(argv[0], "--format is 'text' or 'json', not '%s'",
						 cli_masked(optarg));
		} else if (option == 'h') {
			fputs(help, stdout);
			return EXIT_DONE;
		} else {
			return cli_bad_option(option, argv);
		}
	}
	return complete(argc, argv, &numbers, ret) ? EXIT_USAGE : -1;
}

int command_bench(int argc, char **argv)
{
	struct arguments arguments = {.spec = {.topic = "ferry-bench"}};
	struct ferry_error err;
	int result = read_arguments(argc, argv, &arguments);
	if (result >= 0)
		return result;
	struct load_result *load = calloc(1, sizeof *load); /* the histogram makes it large */
	result = EXIT_FAILED;
	if (!load) {
		cli_error("out of memory");
	} else if (load_run(&arguments.spec, load, &err)) {
		cli_error("%s", err.text);
	} else {
		if (arguments.format == CLI_JSON)
			report_json(&arguments.spec, load);
		else
			report_text(&arguments.spec, load);
		if (load->error.code)
			cli_error("the first publish that failed: %s", load->error.text);
		if (load->lost)
			cli_error("%" PRIu64 " messages were confirmed and did not arrive", load->lost);
		result = load->published == arguments.spec.messages && !load->lost ? EXIT_DONE : EXIT_FAILED;
	}
	free(load);
	return result;
}
