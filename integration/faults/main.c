/*
 * main.c - faults: break things while messages travel, and count them.
 *
 *     faults SCENARIO --url URL [--transport PATH] [--control CMD] [--seed N] [--seeds N] [--jobs N] ...
 *
 * With --seeds each seed is a process of its own, at most --jobs at a time.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "role.h"
#include "run.h"

static const struct scenario scenarios[] = {
	{"kill-consumer", scenario_kill_consumer, "a consumer is killed inside a handler", false},
	{"kill-server", scenario_kill_server, "the server is killed and started again under load", true},
	{"cut-link", scenario_cut_link, "the link to the server is cut under load", true},
	{"freeze-consumer", scenario_freeze_consumer, "a consumer sleeps for longer than its lease", false},
	{"kill-retry", scenario_kill_retry, "consumer and server are killed while messages wait for a retry",
	 false},
	{"abort", scenario_abort, "a message aborts each process that handles it", false},
	{"kill-publisher", scenario_kill_publisher, "a publisher is killed with publishes under way", false},
};

static struct run run; /* large */

struct request {
	struct settings settings;
	unsigned seeds, jobs;
};

static void usage(FILE *to)
{
	fputs("Usage: faults SCENARIO --url URL [OPTIONS]\n\n"
	      "  --transport PATH  the transport's .so, or a folder of them\n"
	      "  --control CMD     a command that is given kill, start, cut or heal and does that to the "
	      "server\n"
	      "  --seed N          decides all that is left to chance [1]\n"
	      "  --seeds N         run N seeds, from --seed on [1]\n"
	      "  --jobs N          so many at a time; 1 where --control is used [1]\n"
	      "  --cut MS          how long cut-link cuts [as the seed says, 1 to 10 s]\n"
	      "  --logs DIR        where logs are made; those of a failure stay [/tmp]\n\n"
	      "Scenarios (* needs --control):\n",
	      to);
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
		fprintf(to, "  %-16s%c %s\n", scenarios[i].name, scenarios[i].needs_control ? '*' : ' ',
			scenarios[i].promise);
}

static const struct scenario *find_scenario(const char *name)
{
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
		if (!strcmp(scenarios[i].name, name))
			return &scenarios[i];
	return NULL;
}

/* ---- one seed ---- */

static void make_names(struct run *r)
{
	uint32_t unique;
	if (getrandom(&unique, sizeof unique, 0) != sizeof unique)
		unique = (uint32_t)now_us();
	snprintf(r->id, sizeof r->id, "%08" PRIx32, unique);
	snprintf(r->topic, sizeof r->topic, "faults.%s.orders", r->id);
	snprintf(r->group, sizeof r->group, "faults-%s", r->id);
	snprintf(r->dead_topic, sizeof r->dead_topic, "dlq.%s.%s", r->group, r->topic);
	snprintf(r->folder, sizeof r->folder, "%s/%s-%" PRIu64 "-%s", r->settings->logs,
		 r->settings->scenario, r->settings->seed, r->id);
}

static void remove_logs(struct run *r)
{
	for (size_t i = 0; i < r->process_count; i++) {
		remove(r->processes[i].path);
		remove(run_text(r, "%s.bus", r->processes[i].path));
	}
	remove(r->folder);
}

static int play(const struct scenario *scenario, const struct settings *settings)
{
	run.settings = settings;
	run.random = settings->seed;
	make_names(&run);
	if ((mkdir(settings->logs, 0700) && errno != EEXIST) || mkdir(run.folder, 0700)) {
		fprintf(stderr, "faults: %s: %s\n", run.folder, strerror(errno));
		return 2;
	}
	/* A consumer that has died must not end the run when it is spoken to. */
	signal(SIGPIPE, SIG_IGN);
	scenario->play(&run);
	remove_logs(&run);
	return 0;
}

/* ---- several ---- */

static pid_t start_seed(char **argv, int argc, uint64_t seed)
{
	char text[24], **with = calloc((size_t)argc + 5, sizeof *with);
	pid_t pid = with ? fork() : -1;
	if (pid != 0) {
		free(with);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(text, sizeof text, "%" PRIu64, seed);
	memcpy(with, argv, (size_t)argc * sizeof *with);
	with[argc] = (char[]){"--seed"};
	with[argc + 1] = text;
	with[argc + 2] = (char[]){"--seeds"};
	with[argc + 3] = (char[]){"1"};
	execv("/proc/self/exe", with);
	_exit(127);
}

static int play_seeds(const struct request *request, int argc, char **argv)
{
	unsigned running = 0, failed = 0;
	for (unsigned i = 0; i < request->seeds || running;) {
		int status;
		if (i < request->seeds && running < request->jobs) {
			if (start_seed(argv, argc, request->settings.seed + i) < 0)
				failed++;
			else
				running++;
			i++;
		} else if (wait(&status) > 0) {
			running--;
			failed += status != 0;
		}
	}
	printf("%s: %u of %u seeds passed\n", request->settings.scenario, request->seeds - failed,
	       request->seeds);
	return failed != 0;
}

/* ---- the command line ---- */

enum { OPT_URL = 256, OPT_TRANSPORT, OPT_CONTROL, OPT_SEED, OPT_SEEDS, OPT_JOBS, OPT_CUT, OPT_LOGS };

static const struct option options[] = {
	{"url", required_argument, NULL, OPT_URL},
	{"transport", required_argument, NULL, OPT_TRANSPORT},
	{"seed", required_argument, NULL, OPT_SEED},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"jobs", required_argument, NULL, OPT_JOBS},
	{"seeds", required_argument, NULL, OPT_SEEDS},
	{"cut", required_argument, NULL, OPT_CUT},
	{"logs", required_argument, NULL, OPT_LOGS},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static uint64_t number(const char *text, uint64_t least)
{
	char *end;
	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	if (errno || end == text || *end || value < least) {
		fprintf(stderr, "faults: not a number, or too small: %s\n", text);
		exit(2);
	}
	return value;
}

static void take_option(struct request *request, int option)
{
	struct settings *s = &request->settings;
	switch (option) {
	case OPT_URL:
		s->url = optarg;
		break;
	case OPT_TRANSPORT:
		s->transport = optarg;
		break;
	case OPT_CONTROL:
		s->control = optarg;
		break;
	case OPT_SEED:
		s->seed = number(optarg, 0);
		break;
	case OPT_SEEDS:
		request->seeds = (unsigned)number(optarg, 1);
		break;
	case OPT_JOBS:
		request->jobs = (unsigned)number(optarg, 1);
		break;
	case OPT_CUT:
		s->cut_ms = (int64_t)number(optarg, 1);
		break;
	case OPT_LOGS:
		s->logs = optarg;
		break;
	case 'h':
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

static int run_role(int argc, char **argv)
{
	struct arguments arguments = {.count = argc - 4, .values = argv + 4};
	log_open(argv[3]);
	if (!strcmp(argv[2], "publish"))
		return role_publish(&arguments);
	return strcmp(argv[2], "pulse") ? role_consume(&arguments) : role_pulse(&arguments);
}

static char *own_path(void)
{
	char *path = realpath("/proc/self/exe", NULL);
	if (!path) {
		perror("faults: /proc/self/exe");
		exit(2);
	}
	return path;
}

int main(int argc, char **argv)
{
	struct request request = {.settings = {.logs = "/tmp", .seed = 1}, .seeds = 1, .jobs = 1};
	if (argc > 3 && !strcmp(argv[1], "--role"))
		return run_role(argc, argv);
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;)
		take_option(&request, option);
	const struct scenario *scenario = optind == argc - 1 ? find_scenario(argv[optind]) : NULL;
	if (!scenario || !request.settings.url) {
		usage(stderr);
		return 2;
	}
	if (scenario->needs_control && !request.settings.control) {
		fprintf(stderr, "faults: %s needs --control\n", scenario->name);
		return 2;
	}
	request.settings.scenario = scenario->name;
	if (request.seeds > 1)
		return play_seeds(&request, argc, argv);
	char *program = own_path();
	request.settings.program = program;
	int status = play(scenario, &request.settings);
	free(program);
	return status;
}
