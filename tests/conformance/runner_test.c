/*
 * runner_test.c - whatever a case's process does, the run goes on and says what happened.
 *
 * The program is its own child: called as `runner_test conformance --case N ...` it behaves as case N of
 * the table below says.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"

#define RESULT_FD 3 /* what the runner is known to pass */

static void result(const char *line)
{
	if (write(RESULT_FD, line, strlen(line)) < 0)
		abort();
}

static void passes(void)
{
	result("pass\n");
}
static void fails(void)
{
	result("fail message 7 never came\n");
	_exit(1);
}
static void skips(void)
{
	result("skip RAW\n");
}
static void crashes(void)
{
	puts("about to crash");
	fflush(stdout);
	signal(SIGSEGV, SIG_DFL); /* a sanitizer would turn it into an exit status */
	raise(SIGSEGV);
}
static void hangs(void)
{
	for (;;)
		pause();
}
static void hangs_after_passing(void)
{
	result("pass\n");
	hangs();
}
static void leaks(void)
{
	result("pass\n");
	_exit(23);
}
static void says_nothing(void) {}
static void is_reported(void)
{
	result("pass\n");
	/* In two pieces: our own output must not look like a report. */
	printf("x.c:1: %s %s\n", "runtime", "error: overflow");
}
static void leaves_a_child(void)
{
	fflush(NULL);
	if (!fork()) {
		close(RESULT_FD);
		hangs(); /* and keeps the output's pipe open */
	}
	result("pass\n");
}

static const struct behaviour {
	const char *what;
	void (*run)(void);
	enum conformance_status status;
	const char *reason; /* is in the reason */
	const char *output; /* is in the output */
} behaviours[] = {
	{"passes", passes, CONFORMANCE_PASSED, "", ""},
	{"fails", fails, CONFORMANCE_FAILED, "message 7 never came", ""},
	{"skips", skips, CONFORMANCE_SKIPPED, "RAW", ""},
	{"crashes", crashes, CONFORMANCE_FAILED, "signal 11", "about to crash"},
	{"hangs", hangs, CONFORMANCE_FAILED, "killed: no end within", ""},
	{"hangs after passing", hangs_after_passing, CONFORMANCE_FAILED, "killed: no end within", ""},
	{"leaks", leaks, CONFORMANCE_FAILED, "the checks passed, then the process ended with status 23", ""},
	{"says nothing", says_nothing, CONFORMANCE_FAILED, "status 0 and no result", ""},
	{"is reported", is_reported, CONFORMANCE_FAILED, "sanitizer", "x.c:1"},
	{"leaves a child", leaves_a_child, CONFORMANCE_PASSED, "", ""},
};
#define BEHAVIOURS ((int)(sizeof behaviours / sizeof behaviours[0]))

static int failures;

static void expect(bool condition, const char *what, const char *detail)
{
	if (condition)
		return;
	fprintf(stderr, "runner_test: %s: got \"%s\"\n", what, detail);
	failures++;
}

static void run_behaviours(const char *program)
{
	struct conformance_settings settings = {.url = "memory:", .program = program, .run = "test"};

	for (int i = 0; i < BEHAVIOURS; i++) {
		const struct behaviour *b = &behaviours[i];
		struct conformance_case which = {.number = i + 1, .name = b->what, .limit_s = 2};
		struct conformance_outcome outcome;

		conformance_run_case(&settings, &which, &outcome);
		expect(outcome.status == b->status && strstr(outcome.reason, b->reason), b->what,
		       outcome.reason);
		expect(strstr(outcome.output ? outcome.output : "", b->output), b->what,
		       outcome.output ? outcome.output : "");
		conformance_outcome_finish(&outcome);
	}
}

/* What a report of these outcomes looks like. */
static void check_reports(void)
{
	struct conformance_outcome outcomes[CONFORMANCE_CASES] = {
		{.status = CONFORMANCE_PASSED},
		{.status = CONFORMANCE_SKIPPED, .reason = "DURABLE"},
		{.status = CONFORMANCE_FAILED,
		 .reason = "a \"b\" <c>",
		 .output = (char[]){"one\ntwo\x01\n"}}};
	static const char *const tap_parts[] = {"ok 1 - ",
						"ok 2 - ",
						" # skip DURABLE\n",
						"\nnot ok 3 - ",
						"message: \"a \\\"b\\\" <c>\"\n",
						"\n  ---\n",
						"\n    one\n    two",
						"\n  ...\n"};
	static const char *const xml_parts[] = {
		"tests=\"3\" failures=\"1\" skipped=\"1\"", "<skipped message=\"DURABLE\"/>",
		"<failure message=\"a &quot;b&quot; &lt;c&gt;\"/>", "two?\n", "</testsuite>"};
	char path[] = "/tmp/runner_test.XXXXXX";
	char *tap, xml[4096] = "";
	size_t size;
	FILE *to = open_memstream(&tap, &size), *from;

	for (int i = 0; i < 3; i++)
		conformance_tap_case(to, &conformance_table[i], &outcomes[i]);
	fclose(to);
	for (size_t i = 0; i < sizeof tap_parts / sizeof tap_parts[0]; i++)
		expect(strstr(tap, tap_parts[i]), tap_parts[i], tap);
	free(tap);

	close(mkstemp(path));
	expect(conformance_junit(path, "x", outcomes) == 0, "the JUnit file is written", path);
	from = fopen(path, "r");
	expect(from && fread(xml, 1, sizeof xml - 1, from) > 0, "the JUnit file can be read", path);
	if (from)
		fclose(from);
	unlink(path);
	for (size_t i = 0; i < sizeof xml_parts / sizeof xml_parts[0]; i++)
		expect(strstr(xml, xml_parts[i]), xml_parts[i], xml);
	expect(conformance_junit("/nowhere/x", "x", outcomes) != 0, "a path that cannot be written",
	       "success");
}

static void check_table(void)
{
	for (int i = 0; i < CONFORMANCE_CASES; i++)
		expect(conformance_table[i].number == i + 1 && conformance_table[i].run,
		       "the table is in order", conformance_table[i].name);
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "conformance")) {
		behaviours[atoi(argv[3]) - 1].run();
		return 0;
	}
	run_behaviours(argv[0]);
	check_reports();
	check_table();
	return failures > 0;
}
