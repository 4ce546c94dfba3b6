/*
 * command_test.h - one run of the program `ferry` and what is expected of it.
 */
#ifndef TESTS_CLI_COMMAND_TEST_H
#define TESTS_CLI_COMMAND_TEST_H

#include <stddef.h>

#define ARGUMENTS_MAX 20

/* A URL whose passwords nothing may print, wherever it stands. */
#define SECRET "redis://me:hunter2@host/?password=hunter2"

struct run {
	const char *arguments[ARGUMENTS_MAX];
	int status;
	const char *out;     /* standard output contains it; "" = is empty; NULL = anything */
	const char *err;     /* the same of standard error; "" = is empty */
	const char *not_err; /* standard error does not contain it */
	/* Standard output is JSON and holds these values: "path.to.member=value;path>number". */
	const char *json;
};

extern const struct run runs[];
extern const size_t run_count;

/* A run of a command that reads lines. */
struct fed_run {
	const char *in; /* standard input */
	struct run run;
};

extern const struct fed_run fed_runs[];
extern const size_t fed_run_count;

#endif
