/* runner.c - runs each case in a child of the program and finds out how it ended. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conformance.h"

#define RESULT_FD  3
#define OUTPUT_MAX (512 * 1024) /* of one case; the rest is read and forgotten */
#define LIMIT_S    60

/* What comes from one pipe. */
struct stream {
	int fd; /* -1: ended */
	char *text;
	size_t size;
};

struct child {
	pid_t pid;
	struct stream result, output;
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- starting ---- */

static int cloexec_pipe(int ends[2])
{
	if (pipe(ends))
		return -1;
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	return 0;
}

static int spawn(struct child *child, char *const *argv, int output, int result)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	extern char **environ;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	posix_spawn_file_actions_adddup2(&actions, result, RESULT_FD);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setpgroup(&attributes, 0); /* so that the case's own processes can be ended with it */
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	error = posix_spawn(&child->pid, argv[0], &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

static int start(const struct conformance_settings *settings, int number, struct child *child)
{
	const char *argv[16];
	char number_text[8], fd_text[8];
	int output[2], result[2], error;
	size_t count = 0;

	snprintf(number_text, sizeof number_text, "%d", number);
	snprintf(fd_text, sizeof fd_text, "%d", RESULT_FD);
	argv[count++] = settings->program;
	argv[count++] = "conformance";
	argv[count++] = "--case";
	argv[count++] = number_text;
	argv[count++] = "--run";
	argv[count++] = settings->run;
	argv[count++] = "--result-fd";
	argv[count++] = fd_text;
	if (settings->transport_path) {
		argv[count++] = "--transport";
		argv[count++] = settings->transport_path;
	}
	if (settings->control) {
		argv[count++] = "--control";
		argv[count++] = settings->control;
	}
	argv[count++] = settings->url;
	argv[count] = NULL;
	if (cloexec_pipe(output))
		return errno;
	if (cloexec_pipe(result)) {
		error = errno;
		close(output[0]);
		close(output[1]);
		return error;
	}
	error = spawn(child, (char *const *)(uintptr_t)argv, output[1], result[1]);
	close(output[1]);
	close(result[1]);
	child->output.fd = output[0];
	child->result.fd = result[0];
	return error;
}

/* ---- listening ---- */

static void take(struct stream *stream)
{
	char bytes[4096];
	ssize_t size = read(stream->fd, bytes, sizeof bytes);
	char *grown;

	if (size < 0 && errno == EINTR)
		return;
	if (size <= 0) {
		close(stream->fd);
		stream->fd = -1;
		return;
	}
	if (stream->size + (size_t)size > OUTPUT_MAX)
		return;
	grown = realloc(stream->text, stream->size + (size_t)size + 1);
	if (!grown)
		return;
	memcpy(grown + stream->size, bytes, (size_t)size);
	stream->text = grown;
	stream->size += (size_t)size;
	stream->text[stream->size] = '\0';
}

/* Read until both pipes have ended, or, with `only_result`, until the child's own one has. */
static bool listen_until(struct child *child, bool only_result, double deadline)
{
	while (child->result.fd >= 0 || (!only_result && child->output.fd >= 0)) {
		struct pollfd polled[2] = {{.fd = child->result.fd, .events = POLLIN},
					   {.fd = child->output.fd, .events = POLLIN}};
		double left = deadline - seconds_now();

		if (left <= 0)
			return false;
		if (poll(polled, 2, (int)(left * 1000) + 1) < 0 && errno != EINTR)
			return false;
		if (polled[0].revents)
			take(&child->result);
		if (polled[1].revents)
			take(&child->output);
	}
	return true;
}

/* ---- judging ---- */

static void fail(struct conformance_outcome *outcome, const char *text)
{
	outcome->status = CONFORMANCE_FAILED;
	snprintf(outcome->reason, sizeof outcome->reason, "%s", text);
}

static void judge_result(const char *result, struct conformance_outcome *outcome)
{
	size_t length = strcspn(result, "\n");
	char line[1200];

	snprintf(line, sizeof line, "%.*s", (int)(length < sizeof line ? length : sizeof line - 1), result);
	if (!strncmp(line, "pass", 4)) {
		outcome->status = CONFORMANCE_PASSED;
		return;
	}
	if (!strncmp(line, "skip ", 5))
		outcome->status = CONFORMANCE_SKIPPED;
	else
		outcome->status = CONFORMANCE_FAILED;
	snprintf(outcome->reason, sizeof outcome->reason, "%.*s", (int)sizeof outcome->reason - 1,
		 strlen(line) > 5 ? line + 5 : "");
}

/* A sentence about an end that was not an orderly one. */
static void judge_end(const struct child *child, int status, struct conformance_outcome *outcome)
{
	bool told = outcome->status == CONFORMANCE_FAILED;
	char text[200];

	if (told)
		return;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "the process was ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) && outcome->status)
		snprintf(text, sizeof text, "the checks passed, then the process ended with status %d",
			 WEXITSTATUS(status));
	else if (!outcome->status)
		snprintf(text, sizeof text, "the process ended with status %d and no result",
			 WEXITSTATUS(status));
	else if (child->output.text &&
		 (strstr(child->output.text, "Sanitizer") || strstr(child->output.text, "runtime error:")))
		snprintf(text, sizeof text, "a sanitizer reported an error");
	else
		return;
	fail(outcome, text);
}

/* ---- one case ---- */

/* End the case's process and all that it has started, and hear the rest. */
static int end(struct child *child)
{
	siginfo_t info;
	int status = 0;

	/* While the leader is not waited for, its group cannot be anybody else's. */
	while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) && errno == EINTR)
		;
	kill(-child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	listen_until(child, false, seconds_now() + 5);
	if (child->result.fd >= 0)
		close(child->result.fd);
	if (child->output.fd >= 0)
		close(child->output.fd);
	return status;
}

void conformance_run_case(const struct conformance_settings *settings, const struct conformance_case *which,
			  struct conformance_outcome *ret)
{
	struct child child = {.pid = -1, .result = {.fd = -1}, .output = {.fd = -1}};
	double limit =
		(double)conformance_limit_ms(1000) / 1000 * (which->limit_s ? which->limit_s : LIMIT_S);
	double begin = seconds_now();
	int error, status;
	bool in_time;

	*ret = (struct conformance_outcome){0};
	error = start(settings, which->number, &child);
	if (error) {
		snprintf(ret->reason, sizeof ret->reason, "%s cannot be started: %s", settings->program,
			 strerror(error));
		ret->status = CONFORMANCE_FAILED;
		return;
	}
	in_time = listen_until(&child, true, begin + limit);
	if (!in_time)
		kill(-child.pid, SIGKILL);
	status = end(&child);
	if (child.result.text)
		judge_result(child.result.text, ret);
	if (in_time)
		judge_end(&child, status, ret);
	else if (ret->status != CONFORMANCE_FAILED) {
		ret->status = CONFORMANCE_FAILED;
		snprintf(ret->reason, sizeof ret->reason, "killed: no end within %.0f s", limit);
	}
	free(child.result.text);
	ret->output = child.output.text;
	ret->seconds = seconds_now() - begin;
}

void conformance_outcome_finish(struct conformance_outcome *outcome)
{
	free(outcome->output);
	outcome->output = NULL;
}

/* ---- all cases ---- */

/* The first capability of `bits`, by name. */
static const char *capability(uint64_t bits)
{
	const char *name = ferry_admin_capability_name(bits & (~bits + 1));

	return name ? name : "UNKNOWN";
}

/* Why a case is not run; NULL: it is. */
static const char *excluded(const struct conformance_settings *settings, const struct conformance_case *which,
			    uint64_t capabilities)
{
	uint64_t needs = which->needs | (which->marks & CONFORMANCE_PROCESSES ? FERRY_CAP_DURABLE : 0);

	if (settings->only[0] && !settings->only[which->number])
		return "not selected";
	if (needs & ~capabilities)
		return capability(needs & ~capabilities);
	if (which->excludes & capabilities)
		return capability(which->excludes & capabilities);
	if ((which->marks & CONFORMANCE_CONTROL) && !settings->control)
		return "CONTROL";
	return NULL;
}

bool conformance_excluded(const struct conformance_settings *settings, const struct conformance_case *which,
			  uint64_t capabilities, struct conformance_outcome *ret)
{
	const char *why = excluded(settings, which, capabilities);

	*ret = (struct conformance_outcome){0};
	if (!why)
		return false;
	ret->status = CONFORMANCE_SKIPPED;
	snprintf(ret->reason, sizeof ret->reason, "%s", why);
	return true;
}

int conformance_probe(const struct conformance_settings *settings, uint64_t *ret_capabilities, char *ret_name,
		      size_t size, struct ferry_error *err)
{
	struct ferry_bus *bus = ferry_bus_open(settings->url,
					       FERRY_OPTIONS(ferry_bus_options, .service = "conformance",
							     .transport_path = settings->transport_path),
					       err);

	if (!bus)
		return err->code;
	*ret_capabilities = ferry_bus_capabilities(bus);
	snprintf(ret_name, size, "%s", ferry_bus_transport(bus));
	ferry_bus_close(bus);
	return 0;
}

int conformance_run(const struct conformance_settings *settings, FILE *tap)
{
	struct conformance_outcome outcomes[CONFORMANCE_CASES] = {{0}};
	struct ferry_error err = {0};
	uint64_t capabilities = 0;
	char transport[64];
	int status = 0;

	if (conformance_probe(settings, &capabilities, transport, sizeof transport, &err)) {
		fprintf(stderr, "ferry: conformance: %s\n", err.text);
		return 2;
	}
	conformance_tap_begin(tap, transport, capabilities);
	for (int i = 0; i < CONFORMANCE_CASES; i++) {
		const struct conformance_case *which = &conformance_table[i];

		if (!conformance_excluded(settings, which, capabilities, &outcomes[i]))
			conformance_run_case(settings, which, &outcomes[i]);
		conformance_tap_case(tap, which, &outcomes[i]);
		if (outcomes[i].status == CONFORMANCE_FAILED)
			status = 1;
	}
	if (settings->junit && conformance_junit(settings->junit, transport, outcomes)) {
		fprintf(stderr, "ferry: conformance: %s cannot be written: %s\n", settings->junit,
			strerror(errno));
		status = 1;
	}
	for (int i = 0; i < CONFORMANCE_CASES; i++)
		conformance_outcome_finish(&outcomes[i]);
	return status;
}
