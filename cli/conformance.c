/*
 * conformance.c - `ferry conformance`: prove that a transport keeps the contract.
 *
 * The table and what runs it are in tests/conformance/; here is the command line, and the options with
 * which the command starts itself once for each case.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli.h"
#include "conformance.h"

#define RUN_TEXT 8

enum { OPT_TRANSPORT = 256, OPT_LIST, OPT_ONLY, OPT_CONTROL, OPT_JUNIT, OPT_CASE, OPT_RUN, OPT_ROLE, OPT_FD };

struct request {
	struct conformance_settings settings;
	bool list;
	int number; /* --case: run this one here; 0: all, each in a child */
	int result_fd;
	const char *role;
	char program[4096];
	char transport[4096];
	char run[RUN_TEXT + 1];
};

static void usage(FILE *to)
{
	fputs("Usage: ferry conformance [OPTIONS] URL\n\n"
	      "Runs the 54 promises of ferry's contract against a transport, each in a process of its own.\n"
	      "Results are TAP on standard output; a promise that needs a capability which the transport "
	      "does\n"
	      "not have is skipped.\n\n"
	      "  --transport PATH  the transport's .so (default: found by the URL's scheme)\n"
	      "  --only N[,N...]   only these cases\n"
	      "  --control CMD     a command that is given start, stop, kill, cut or heal and does that to "
	      "the\n"
	      "                    broker; without it the cases that need it are skipped\n"
	      "  --junit FILE      also write the results as a JUnit file\n"
	      "  --list            print the cases and what they need\n"
	      "  --help            print this\n\n"
	      "Names of topics and groups are new in every run, so a durable backend can be used again.\n"
	      "Exit status: 0 all passed or were skipped, 1 a case failed, 2 wrong command line or URL.\n",
	      to);
}

static void list_bits(uint64_t bits, const char *before)
{
	for (int i = 0; i < 64; i++)
		if (bits & (UINT64_C(1) << i))
			printf(" %s%s", before, ferry_admin_capability_name(UINT64_C(1) << i));
}

static int list(void)
{
	static const struct {
		unsigned mark;
		const char *name;
	} marks[] = {{CONFORMANCE_PROCESSES, "PROCESSES"},
		     {CONFORMANCE_CONTROL, "CONTROL"},
		     {CONFORMANCE_RAW, "RAW"},
		     {CONFORMANCE_OBJECTS, "OBJECTS"},
		     {CONFORMANCE_CORE, "(core)"}};

	for (size_t i = 0; i < CONFORMANCE_CASES; i++) {
		const struct conformance_case *which = &conformance_table[i];

		printf("%2d  %s", which->number, which->name);
		if (which->needs || which->excludes || which->marks)
			printf(" :");
		list_bits(which->needs, "");
		list_bits(which->excludes, "not ");
		for (size_t m = 0; m < sizeof marks / sizeof marks[0]; m++)
			if (which->marks & marks[m].mark)
				printf(" %s", marks[m].name);
		putchar('\n');
	}
	return EXIT_DONE;
}

/* "25,26" */
static bool read_only(const char *text, bool *only)
{
	char *end;

	do {
		long number = strtol(text, &end, 10);

		if (end == text || number < 1 || number > CONFORMANCE_CASES)
			return false;
		only[number] = true;
		text = end + 1;
	} while (*end == ',');
	only[0] = true;
	return *end == '\0';
}

static const struct option options[] = {
	{"transport", required_argument, NULL, OPT_TRANSPORT},
	{"list", no_argument, NULL, OPT_LIST},
	{"only", required_argument, NULL, OPT_ONLY},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"junit", required_argument, NULL, OPT_JUNIT},
	{"help", no_argument, NULL, 'h'},
	/* for the command's own children */
	{"case", required_argument, NULL, OPT_CASE},
	{"run", required_argument, NULL, OPT_RUN},
	{"role", required_argument, NULL, OPT_ROLE},
	{"result-fd", required_argument, NULL, OPT_FD},
	{NULL, 0, NULL, 0},
};

/* 0, or the exit status of a command line that is wrong. */
static int read_options(int argc, char **argv, struct request *request)
{
	struct conformance_settings *settings = &request->settings;

	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		switch (option) {
		case OPT_TRANSPORT:
			settings->transport_path = optarg;
			break;
		case OPT_LIST:
			request->list = true;
			break;
		case OPT_CONTROL:
			settings->control = optarg;
			break;
		case OPT_JUNIT:
			settings->junit = optarg;
			break;
		case OPT_CASE:
			request->number = atoi(optarg);
			break;
		case OPT_RUN:
			settings->run = optarg;
			break;
		case OPT_ROLE:
			request->role = optarg;
			break;
		case OPT_FD:
			request->result_fd = atoi(optarg);
			break;
		case OPT_ONLY:
			if (read_only(optarg, settings->only))
				break;
			return cli_usage(argv[0], "--only '%s' is not a list of numbers from 1 to %d",
					 cli_masked(optarg), CONFORMANCE_CASES);
		case 'h':
			usage(stdout);
			exit(cli_flush(EXIT_DONE));
		default:
			return cli_bad_option(option, argv);
		}
	}
	return 0;
}

static void make_run(char text[RUN_TEXT + 1])
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz012345";
	unsigned char bytes[RUN_TEXT];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		memset(bytes, (int)getpid(), sizeof bytes);
	for (int i = 0; i < RUN_TEXT; i++)
		text[i] = digits[bytes[i] % 32];
	text[RUN_TEXT] = '\0';
}

static int find_program(struct request *request)
{
	ssize_t size = readlink("/proc/self/exe", request->program, sizeof request->program - 1);

	if (size < 0) {
		cli_error("conformance: /proc/self/exe cannot be read: %s", strerror(errno));
		return EXIT_FAILED;
	}
	request->program[size] = '\0';
	request->settings.program = request->program;
	return 0;
}

/* A bus wants an absolute path; a person may type another. */
static void find_transport(struct request *request)
{
	const char *given = request->settings.transport_path;
	char *absolute = given ? realpath(given, NULL) : NULL;

	if (absolute && strlen(absolute) < sizeof request->transport) {
		strcpy(request->transport, absolute);
		request->settings.transport_path = request->transport;
	}
	free(absolute);
}

/* A case or a role, as the runner or a case has asked for it. */
static int run_here(struct request *request, int argc, char **argv)
{
	if (request->number < 1 || request->number > CONFORMANCE_CASES)
		return cli_usage("conformance", "--case is a number from 1 to %d", CONFORMANCE_CASES);
	if (request->role)
		return conformance_child_role(&request->settings, request->number, request->role, argc, argv);
	if (request->result_fd < 3)
		return cli_usage("conformance", "--case is for the command's own use; try --only");
	fcntl(request->result_fd, F_SETFD, FD_CLOEXEC);
	return conformance_child_case(&request->settings, &conformance_table[request->number - 1],
				      request->result_fd);
}

int command_conformance(int argc, char **argv)
{
	struct request request = {0};
	int status = read_options(argc, argv, &request);

	if (status)
		return status;
	if (request.list)
		return list();
	if (optind >= argc)
		return cli_usage(argv[0], "a URL is needed");
	if (optind + 1 < argc && !request.role)
		return cli_usage(argv[0], "unexpected argument '%s'", cli_masked(argv[optind + 1]));
	if (request.settings.transport_path && cli_is_url(request.settings.transport_path))
		return cli_usage(argv[0], "--transport is a file, not '%s'",
				 cli_masked(request.settings.transport_path));
	if (request.settings.junit && cli_is_url(request.settings.junit))
		return cli_usage(argv[0], "--junit is a file, not '%s'", cli_masked(request.settings.junit));
	request.settings.url = argv[optind++];
	if (!request.settings.run) {
		make_run(request.run);
		request.settings.run = request.run;
	}
	find_transport(&request);
	status = find_program(&request);
	if (status)
		return status;
	/* The role's own arguments follow "--", which getopt has moved behind the options. */
	if (request.number || request.role)
		return run_here(&request, argc - optind, argv + optind);
	return conformance_run(&request.settings, stdout);
}
