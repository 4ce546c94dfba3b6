/*
 * main.c - the program `ferry`: finds the command and runs it.
 */
#include <stdio.h>
#include <string.h>

#include <ferry/ferry.h>

#include "cli.h"

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{"transports", "list the transports that can be loaded, or describe one", command_transports},
	{"pub", "publish lines", command_pub},
	{"sub", "print messages as lines", command_sub},
	{"bench", "measure a bus: rates, latency, lost and repeated messages", command_bench},
#ifdef FERRY_CONFORMANCE
	{"conformance", "prove that a transport keeps the contract", command_conformance},
#endif
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static void usage(FILE *to)
{
	fputs("Usage: ferry COMMAND [OPTIONS]\n\n", to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-12s  %s\n", commands[i].name, commands[i].summary);
	fputs("\n'ferry COMMAND --help' explains a command, 'ferry --version' tells the version.\n"
	      "Exit status: 0 done, 1 failed, 2 wrong command line.\n",
	      to);
}

int main(int argc, char **argv)
{
	if (!cli_fill_standard())
		return EXIT_FAILED;
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	const char *word = argv[1];
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		usage(stdout);
		return cli_flush(EXIT_DONE);
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		printf("ferry %s\n", ferry_version());
		return cli_flush(EXIT_DONE);
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(word, commands[i].name) == 0)
			return cli_flush(commands[i].run(argc - 1, argv + 1));
	}
	cli_error("unknown %s '%s'; see 'ferry --help'", word[0] == '-' ? "option" : "command",
		  cli_masked(word));
	return EXIT_USAGE;
}
