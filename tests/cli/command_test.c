/*
 * command_test.c - runs the program `ferry` with good and bad command lines (command_table.c) and input
 * (fed_table.c).
 *
 *     command_test PROGRAM FOLDER-OF-MEMORY FOLDER-OF-FAULTY
 */
#include "command_test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

static void complain(const struct run *run, const char *what, const char *text)
{
	failures++;
	printf("FAILED: ferry");
	for (size_t i = 0; run->arguments[i]; i++)
		printf(" '%s'", run->arguments[i]);
	printf("\n  %s\n  %s\n", what, text ? text : "");
}

static void give_up(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- running it ---- */

struct output {
	int status;
	char *out, *err;
};

static char *read_back(FILE *file)
{
	long size = ftell(file);
	if (fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0)
		give_up("output");
	rewind(file);
	char *text = calloc(1, (size_t)size + 1);
	if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
		give_up("output");
	fclose(file);
	return text;
}

static int wait_for(pid_t child)
{
	int status;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			give_up("waitpid");
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* In the child: descriptors whose bit is set in `closed` are not there. */
static void set_standard(FILE *const *files, unsigned int closed)
{
	for (int fd = 0; fd < 3; fd++) {
		if (dup2(fileno(files[fd]), fd) < 0)
			_exit(126);
	}
	for (int fd = 0; fd < 3; fd++) {
		if (closed & 1u << fd)
			close(fd);
	}
}

static struct output run_it(const char *program, const struct run *run, const char *input,
			    unsigned int closed)
{
	FILE *in = tmpfile(), *out = tmpfile(), *err = tmpfile();
	char *argv[ARGUMENTS_MAX + 2] = {(char *)(uintptr_t)program};
	for (size_t i = 0; run->arguments[i]; i++)
		argv[i + 1] = (char *)(uintptr_t)run->arguments[i];
	if (!in || !out || !err || fputs(input, in) < 0 || fflush(in) || fseek(in, 0, SEEK_SET))
		give_up("tmpfile");
	fflush(stdout);
	pid_t child = fork();
	if (child < 0)
		give_up("fork");
	if (child == 0) {
		set_standard((FILE *[]){in, out, err}, closed);
		execv(program, argv);
		_exit(127);
	}
	struct output output = {.status = wait_for(child)};
	fclose(in);
	output.out = read_back(out);
	output.err = read_back(err);
	return output;
}

/* ---- looking at it ---- */

static void check_text(const struct run *run, const char *expected, const char *text, const char *what)
{
	if (expected && *expected ? !strstr(text, expected) : expected && *text)
		complain(run, what, text);
}

/* Follow one name, or the index of an array's element. */
static const json_t *member(const json_t *json, const char *name)
{
	return json_is_array(json) ? json_array_get(json, strtoul(name, NULL, 10))
				   : json_object_get(json, name);
}

/* `how`: '=' or, of numbers, '>'. */
static bool has_value(const json_t *json, char how, const char *value)
{
	if (how == '>')
		return json_is_number(json) && json_number_value(json) > strtod(value, NULL);
	if (json_is_string(json))
		return strcmp(json_string_value(json), value) == 0;
	if (json_is_integer(json))
		return json_integer_value(json) == strtoll(value, NULL, 10);
	return json_is_boolean(json) && json_is_true(json) == (strcmp(value, "true") == 0);
}

static void check_json(const struct run *run, const char *text)
{
	json_error_t error;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	char expected[512], *next_value = NULL, *next_name = NULL;
	if (!root) {
		complain(run, error.text, text);
		return;
	}
	snprintf(expected, sizeof expected, "%s", run->json);
	for (char *item = strtok_r(expected, ";", &next_value); item;
	     item = strtok_r(NULL, ";", &next_value)) {
		const json_t *json = root;
		char *value = strpbrk(item, "=>"), how = *value;
		*value++ = '\0';
		for (char *name = strtok_r(item, ".", &next_name); name;
		     name = strtok_r(NULL, ".", &next_name))
			json = member(json, name);
		if (!has_value(json, how, value))
			complain(run, value, text);
	}
	json_decref(root);
}

static void check(const char *program, const struct run *run, const char *input, unsigned int closed)
{
	struct output output = run_it(program, run, input, closed);
	char status[32];
	snprintf(status, sizeof status, "exit status %d", output.status);
	if (output.status != run->status)
		complain(run, status, output.err);
	check_text(run, run->out, output.out, "standard output");
	check_text(run, run->err, output.err, "standard error");
	if (run->not_err && strstr(output.err, run->not_err))
		complain(run, "standard error", output.err);
	if (run->json)
		check_json(run, output.out);
	free(output.out);
	free(output.err);
}

/* An error in writing the result is a failure too. */
static void check_full_disk(const char *program)
{
	static const struct run run = {.arguments = {"--help"}};
	pid_t child = fork();
	if (child == 0) {
		int full = open("/dev/full", O_WRONLY), null = open("/dev/null", O_WRONLY);
		if (full < 0 || dup2(full, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
			_exit(126);
		execl(program, program, "--help", (char *)NULL);
		_exit(127);
	}
	if (child < 0 || wait_for(child) != 1)
		complain(&run, "standard output could not be written, and the status is not 1", NULL);
}

/* A descriptor of the program's own must not take the place of one that is closed. */
static void check_closed(const char *program)
{
	enum { IN = 1, OUT = 2, ERR = 4 };
	static const struct {
		unsigned int closed;
		struct run run;
	} closed_runs[] = {
		{OUT,
		 {{"sub", "memory:", "t", "--broadcast"}, 1, "", "standard output is closed", NULL, NULL}},
		{IN | OUT,
		 {{"sub", "memory:", "t", "--broadcast"}, 1, "", "standard output is closed", NULL, NULL}},
		{IN | OUT | ERR, {{"sub", "memory:", "t", "--broadcast"}, 1, "", "", NULL, NULL}},
		{OUT, {{"--help"}, 1, "", "standard output: ", NULL, NULL}},
		{IN, {{"pub", "memory:", "t"}, 2, "", "ferry: pub: standard input is closed\n", NULL, NULL}},
		{IN | OUT,
		 {{"pub", "memory:", "t"}, 2, "", "ferry: pub: standard input is closed\n", NULL, NULL}},
		{IN | OUT,
		 {{"pub", "memory:", "t", "--file", "/dev/null"}, 0, "", "0 confirmed", NULL, NULL}},
		{ERR, {{"pub", "memory:", "t"}, 0, "", "", NULL, NULL}},
	};
	for (size_t i = 0; i < sizeof closed_runs / sizeof closed_runs[0]; i++)
		check(program, &closed_runs[i].run, "x\n", closed_runs[i].closed);
}

static void check_url_of_environment(const char *program)
{
	static const struct run run = {{"bench", "--messages", "10", "--size", "8"},
				       0,
				       "memory: 10 messages of 8 bytes",
				       "",
				       NULL,
				       NULL};
	setenv("FERRY_URL", "memory:", 1);
	check(program, &run, "", 0);
	unsetenv("FERRY_URL");
}

/* ---- the transports that are found ---- */

/* A folder with a file that is no transport. */
static void make_broken(char *folder, char *file, size_t room)
{
	if (!mkdtemp(folder))
		give_up(folder);
	snprintf(file, room, "%s/libferry-transport-broken.so", folder);
	FILE *broken = fopen(file, "w");
	if (!broken || fputs("not an ELF file\n", broken) < 0 || fclose(broken))
		give_up(file);
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/ferry-cli-XXXXXX", file[64], path[4096];
	if (argc != 4) {
		fprintf(stderr, "usage: command_test PROGRAM FOLDER-OF-MEMORY FOLDER-OF-FAULTY\n");
		return 2;
	}
	umask(022);
	make_broken(folder, file, sizeof file);
	snprintf(path, sizeof path, "%s:%s:%s", folder, argv[2], argv[3]);
	setenv("FERRY_TRANSPORT_PATH", path, 1);
	unsetenv("FERRY_URL");
	unsetenv("FERRY_CONFIG");
	for (size_t i = 0; i < run_count; i++)
		check(argv[1], &runs[i], "", 0);
	for (size_t i = 0; i < fed_run_count; i++)
		check(argv[1], &fed_runs[i].run, fed_runs[i].in, 0);
	check_full_disk(argv[1]);
	check_closed(argv[1]);
	check_url_of_environment(argv[1]);
	unlink(file);
	rmdir(folder);
	printf("%zu runs, %d failures\n", run_count + fed_run_count + 2, failures);
	return failures ? 1 : 0;
}
