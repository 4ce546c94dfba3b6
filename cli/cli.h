/*
 * cli.h - what the commands of the program `ferry` share.
 *
 * Results go to standard output.  Everything else goes to standard error, each line as "ferry: ...".
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* the command ran and the answer is no */
	EXIT_USAGE = 2,  /* the command line is wrong; nothing was done */
};

#define CLI_SERVICE  "ferry-cli"
#define CLI_START_MS 10000

enum cli_format { CLI_TEXT, CLI_JSON };

/* The commands.  argv[0] is the command's name; each returns an enum exit_code. */
int command_transports(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_conformance(int argc, char **argv);
int command_pub(int argc, char **argv);
int command_sub(int argc, char **argv);

/* Print "ferry: <text>" on standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Print "ferry: <command>: <text>; see 'ferry <command> --help'" and return EXIT_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The bus's log: errors and warnings become error lines, the same one after the other only once.  A
 * ferry_log_fn.
 */
void cli_log(int level, const char *text, void *ctx);

/*
 * Put /dev/null in the place of each standard descriptor that is closed, so that no pipe or connection gets
 * its number.  Standard output gets one that cannot be written: a result that nobody sees is a failure.
 * False when that failed.
 */
bool cli_fill_standard(void);

/* True when the descriptor 0, 1 or 2 was closed at the start. */
bool cli_was_closed(int fd);

/* An argument as it may be printed: of a URL the user, the password and the query are "***".  Good until the
 * next call; for the main thread. */
const char *cli_masked(const char *argument);
bool cli_is_url(const char *argument);

/* Refuse a URL among the arguments from optind on, which are topics: 0, or EXIT_USAGE. */
int cli_no_urls(int argc, char **argv);

/* The service to open a bus with: CLI_SERVICE, or NULL when FERRY_SERVICE names another. */
const char *cli_service(void);

/* Take the URL from the arguments that are no options, at optind: the first one if it has a colon, which no
 * topic has.  Else *ret is NULL: the environment has it.  False when it has not. */
bool cli_take_url(int argc, char **argv, const char **ret);

/* What to say after getopt_long has returned '?' or ':' (opterr is 0, and the short options begin with ':').
 */
int cli_bad_option(int result, char **argv);

/* Read "1000" (with_units false), or also "64KiB", "16MiB", "1GiB".  False when it is no such number or is
 * outside min..max; *ret is untouched then. */
bool cli_number(const char *text, bool with_units, uint64_t min, uint64_t max, uint64_t *ret);

/* "text" or "json". */
bool cli_format(const char *text, enum cli_format *ret);

/* Write what standard output still holds: EXIT_FAILED and a line when it could not be written, else `result`.
 */
int cli_flush(int result);

#endif
