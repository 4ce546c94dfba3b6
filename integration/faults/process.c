/* process.c - the processes of a run: this program, started with a role. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "role.h"
#include "run.h"

#define ARGUMENTS_MAX 40

/* What a role runs as, and what its names end in. */
static const struct {
	const char *role, *mode, *topic, *service;
} roles[] = {
	[ROLE_PUBLISH] = {"publish", "", "", "-pub"},   [ROLE_CONSUME] = {"consume", "handle", "", ""},
	[ROLE_SWEEP] = {"consume", "sweep", "", ""},    [ROLE_DEAD] = {"consume", "dead", "", "-dead"},
	[ROLE_PULSE] = {"pulse", "", ".pulse", "-pub"},
};

/* The arguments that each role gets; returns how many. */
static int common_arguments(struct run *run, const struct process *process, const char **argv)
{
	const struct settings *settings = run->settings;
	const struct mix *mix = &run->mix;
	int count = 0;
	argv[count++] = settings->program;
	argv[count++] = "--role";
	argv[count++] = roles[process->role].role;
	argv[count++] = process->path;
	argv[count++] = run_text(run, "url=%s", settings->url);
	if (settings->transport)
		argv[count++] = run_text(run, "transport=%s", settings->transport);
	argv[count++] = run_text(run, "run=%s", run->id);
	argv[count++] = run_text(run, "seed=%ld", (long)(run->random >> 2)); /* another one for each */
	argv[count++] = run_text(run, "topic=%s%s", process->role == ROLE_DEAD ? run->dead_topic : run->topic,
				 roles[process->role].topic);
	argv[count++] = run_text(run, "service=%s%s", run->group, roles[process->role].service);
	argv[count++] = run_text(run, "takeover_ms=%d", run->takeover_ms);
	if (process->role == ROLE_PUBLISH) {
		argv[count++] = run_text(run, "max_message=%d", MESSAGE_MAX);
		argv[count++] = run_text(run, "flaky=%u", mix->flaky);
		argv[count++] = run_text(run, "reject=%u", mix->reject);
		argv[count++] = run_text(run, "hopeless=%u", mix->hopeless);
		argv[count++] = run_text(run, "other=%u", mix->other);
		argv[count++] = run_text(run, "large=%u", mix->large);
	} else {
		argv[count++] = run_text(run, "mode=%s", roles[process->role].mode);
		argv[count++] = run_text(run, "concurrency=%d", run->concurrency);
		argv[count++] = run_text(run, "work_us=%d", run->work_us);
		argv[count++] = run_text(run, "max_retries=%d", run->max_retries);
		argv[count++] = run_text(run, "backoff_ms=%d", run->backoff_ms);
		argv[count++] = run_text(run, "max_deliveries=%d", run->max_deliveries);
	}
	return count;
}

static void become(char *const *argv, int input)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A stopped process does not see that its standard input was closed. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(input, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
		execv(argv[0], argv);
	_exit(127);
}

static void spawn(struct run *run, struct process *process, char *const *argv)
{
	int ends[2];
	CHECK(run, !pipe2(ends, O_CLOEXEC), "pipe: %s", strerror(errno));
	fflush(NULL);
	process->pid = fork();
	CHECK(run, process->pid >= 0, "fork: %s", strerror(errno));
	if (process->pid == 0)
		become(argv, ends[0]);
	close(ends[0]);
	process->input = ends[1];
}

struct process *run_start(struct run *run, enum role role, const char *name, ...)
{
	CHECK(run, run->process_count < PROCESSES_MAX, "too many processes");
	struct process *process = &run->processes[run->process_count++];
	const char *argv[ARGUMENTS_MAX];
	va_list arguments;
	*process = (struct process){.role = role};
	snprintf(process->name, sizeof process->name, "%s", name);
	snprintf(process->path, sizeof process->path, "%s/%02zu-%s.log", run->folder, run->process_count,
		 name);
	process->log = open(process->path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(run, process->log >= 0, "%s: %s", process->path, strerror(errno));
	random_next(&run->random);
	int count = common_arguments(run, process, argv);
	va_start(arguments, name);
	while (count < ARGUMENTS_MAX && (argv[count] = va_arg(arguments, const char *)))
		count++;
	va_end(arguments);
	CHECK(run, count < ARGUMENTS_MAX, "too many arguments for %s", name);
	spawn(run, process, (char *const *)(uintptr_t)argv);
	return process;
}

void process_say(struct run *run, struct process *process, const char *word)
{
	CHECK(run, dprintf(process->input, "%s\n", word) > 0, "%s does not hear \"%s\": %s", process->name,
	      word, strerror(errno));
}

void process_signal(struct run *run, struct process *process, int signal)
{
	CHECK(run, !process->ended && !kill(process->pid, signal), "%s cannot be sent signal %d",
	      process->name, signal);
}

static void wait_for(struct process *process, int flags)
{
	if (!process->ended && waitpid(process->pid, &process->status, flags) == process->pid) {
		process->ended = true;
		close(process->input);
	}
}

void process_kill(struct run *run, struct process *process)
{
	size_t fault = fault_begin(run, process);
	process->mortal = true;
	process_signal(run, process, SIGKILL);
	wait_for(process, 0);
	fault_end(run, fault, 0);
	CHECK(run, WIFSIGNALED(process->status), "%s ended by itself before it could be killed",
	      process->name);
}

void processes_reap(struct run *run)
{
	for (size_t i = 0; i < run->process_count; i++)
		wait_for(&run->processes[i], WNOHANG);
}

void processes_kill_all(struct run *run)
{
	for (size_t i = 0; i < run->process_count; i++) {
		struct process *process = &run->processes[i];
		if (!process->ended) {
			kill(process->pid, SIGKILL);
			wait_for(process, 0);
		}
	}
}
