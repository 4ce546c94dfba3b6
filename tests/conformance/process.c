/* process.c - other processes of a case; a socket carries lines both ways. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context.h"

#define MAX_ARGUMENTS 48
#define LINE_BYTES    1400

struct line {
	struct line *next;
	char text[];
};

struct process {
	struct conformance *c;
	struct process *next;
	const char *role;
	struct recorder *recorder;
	int number;
	int fd;
	pthread_t reader;
	pid_t pid;
	int status;
	bool reaped;
	bool joined;
	/* guarded by c->lock */
	struct line *first, **last;
	bool ended; /* it has closed its side: no line follows */
};

/* ---- what it says ---- */

static void keep_line(struct process *process, const char *text)
{
	struct conformance *c = process->c;
	struct line *line = malloc(sizeof *line + strlen(text) + 1);

	CHECK(c, line, "out of memory");
	line->next = NULL;
	strcpy(line->text, text);
	pthread_mutex_lock(&c->lock);
	*process->last = line;
	process->last = &line->next;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static void take_line(struct process *process, const char *text)
{
	struct recorded entry = {.handler = process->number};

	if (!strncmp(text, "fail ", 5))
		conformance_fail(process->c, "in process %s, handler %d: %s", process->role, process->number,
				 text + 5);
	if (sscanf(text, "got %" SCNd64 " %" SCNu32 " %" SCNd64 " %63s", &entry.n, &entry.attempt,
		   &entry.at_us, entry.id) != 4)
		keep_line(process, text);
	else if (process->recorder)
		recorder_add(process->recorder, &entry);
}

static void *read_lines(void *ctx)
{
	struct process *process = ctx;
	FILE *from = fdopen(dup(process->fd), "r");
	char text[LINE_BYTES];

	while (from && fgets(text, sizeof text, from)) {
		text[strcspn(text, "\n")] = '\0';
		take_line(process, text);
	}
	if (from)
		fclose(from);
	pthread_mutex_lock(&process->c->lock);
	process->ended = true;
	pthread_cond_broadcast(&process->c->changed);
	pthread_mutex_unlock(&process->c->lock);
	return NULL;
}

/* ---- starting ---- */

static void run_program(struct process *process, char *const *argv, int theirs)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	extern char **environ;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, theirs, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	error = posix_spawn(&process->pid, argv[0], &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	CHECK(process->c, !error, "%s cannot be started: %s", argv[0], strerror(error));
}

static void start(struct process *process, char *const *argv)
{
	struct conformance *c = process->c;
	int pair[2];

	CHECK(c, !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair: %s",
	      strerror(errno));
	run_program(process, argv, pair[1]);
	close(pair[1]);
	process->fd = pair[0];
	process->last = &process->first;
	pthread_mutex_lock(&c->lock);
	process->next = c->processes;
	c->processes = process;
	pthread_mutex_unlock(&c->lock);
	CHECK(c, !pthread_create(&process->reader, NULL, read_lines, process), "a thread cannot be started");
}

struct process *conformance_spawn(struct conformance *c, struct recorder *recorder, int number,
				  const char *role, ...)
{
	struct process *process = conformance_alloc(c, sizeof *process);
	const char *argv[MAX_ARGUMENTS];
	va_list arguments;
	size_t count = 0;

	*process = (struct process){.c = c, .role = role, .recorder = recorder, .number = number};
	argv[count++] = c->settings->program;
	argv[count++] = "conformance";
	argv[count++] = "--case";
	argv[count++] = conformance_text(c, "%d", c->number);
	argv[count++] = "--run";
	argv[count++] = c->settings->run;
	argv[count++] = "--role";
	argv[count++] = role;
	if (c->settings->transport_path) {
		argv[count++] = "--transport";
		argv[count++] = c->settings->transport_path;
	}
	argv[count++] = c->settings->url;
	argv[count++] = "--";
	va_start(arguments, role);
	while (count < MAX_ARGUMENTS && (argv[count] = va_arg(arguments, const char *)) != NULL)
		count++;
	va_end(arguments);
	CHECK(c, count < MAX_ARGUMENTS, "too many arguments for role %s", role);
	start(process, (char *const *)(uintptr_t)argv);
	return process;
}

pid_t process_pid(const struct process *process)
{
	return process->pid;
}

/* ---- talking ---- */

void process_send(struct process *process, const char *text)
{
	const char *line = conformance_text(process->c, "%s\n", text);
	size_t size = strlen(line);

	/* A local socket takes a short line whole. */
	CHECK(process->c, send(process->fd, line, size, MSG_NOSIGNAL) == (ssize_t)size,
	      "process %s, handler %d, does not take \"%s\": %s", process->role, process->number, text,
	      strerror(errno));
}

struct expectation {
	struct process *process;
	const char *word;
	char *ret_rest;
	size_t size;
	bool found;
};

/* True when the line was found or cannot come any more. */
static bool look(void *ctx)
{
	struct expectation *want = ctx;
	struct process *process = want->process;
	size_t length = strlen(want->word);
	bool ended;

	pthread_mutex_lock(&process->c->lock);
	while (process->first && !want->found) {
		struct line *line = process->first;
		const char *rest = line->text + length;

		process->first = line->next;
		if (!process->first)
			process->last = &process->first;
		if (!strncmp(line->text, want->word, length) && (!*rest || *rest == ' ')) {
			want->found = true;
			if (want->ret_rest)
				snprintf(want->ret_rest, want->size, "%s", *rest ? rest + 1 : "");
		}
		free(line);
	}
	ended = process->ended;
	pthread_mutex_unlock(&process->c->lock);
	return want->found || ended;
}

bool process_try_expect(struct process *process, const char *word, int64_t timeout_ms, char *ret_rest,
			size_t size)
{
	struct expectation want = {.process = process, .word = word, .ret_rest = ret_rest, .size = size};

	conformance_until_now(process->c, look, &want, timeout_ms);
	return want.found;
}

static bool has_closed(struct process *process)
{
	bool ended;

	pthread_mutex_lock(&process->c->lock);
	ended = process->ended;
	pthread_mutex_unlock(&process->c->lock);
	return ended;
}

void process_expect(struct process *process, const char *word, int64_t timeout_ms, char *ret_rest,
		    size_t size)
{
	CHECK(process->c, process_try_expect(process, word, timeout_ms, ret_rest, size),
	      "process %s, handler %d, did not say \"%s\"%s", process->role, process->number, word,
	      has_closed(process) ? ": it has ended" : "");
}

/* ---- ending ---- */

void process_signal(struct process *process, int signal)
{
	CHECK(process->c, !process->reaped && !kill(process->pid, signal),
	      "process %s cannot be sent signal %d", process->role, signal);
}

static bool has_ended(void *ctx)
{
	struct process *process = ctx;

	if (!process->reaped)
		process->reaped = waitpid(process->pid, &process->status, WNOHANG) == process->pid;
	return process->reaped;
}

int process_wait(struct process *process, int64_t timeout_ms)
{
	CHECK(process->c, conformance_until_now(process->c, has_ended, process, timeout_ms),
	      "process %s, handler %d, did not end", process->role, process->number);
	if (!process->joined)
		pthread_join(process->reader, NULL);
	process->joined = true;
	return process->status;
}

void process_kill(struct process *process)
{
	if (!process->reaped)
		kill(process->pid, SIGKILL);
	process_wait(process, WAIT_MS);
}

void process_reap(struct process *process)
{
	int status;

	process_send(process, "stop");
	process_expect(process, "stopped", WAIT_MS, NULL, 0);
	status = process_wait(process, WAIT_MS);
	CHECK(process->c, status == 0, "process %s, handler %d, ended with %s %d", process->role,
	      process->number, WIFSIGNALED(status) ? "signal" : "status",
	      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void conformance_kill_processes(struct conformance *c)
{
	pthread_mutex_lock(&c->lock);
	for (struct process *at = c->processes; at; at = at->next)
		if (!at->reaped)
			kill(at->pid, SIGKILL);
	pthread_mutex_unlock(&c->lock);
}

void conformance_end_processes(struct conformance *c)
{
	for (struct process *at = c->processes; at; at = at->next) {
		process_kill(at);
		close(at->fd);
		while (at->first) {
			struct line *next = at->first->next;

			free(at->first);
			at->first = next;
		}
	}
}
