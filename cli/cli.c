#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ferry/ferry.h>

void cli_error(const char *format, ...)
{
	va_list arguments;
	flockfile(stderr); /* a line of another thread may come at the same time */
	fputs("ferry: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	funlockfile(stderr);
}

int cli_usage(const char *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "ferry: %s: ", command);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "; see 'ferry %s --help'\n", command);
	va_end(arguments);
	return EXIT_USAGE;
}

void cli_log(int level, const char *text, void *ctx)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static char last[sizeof((struct ferry_error *)0)->text];
	(void)ctx;
	if (level > FERRY_LOG_WARNING)
		return;
	pthread_mutex_lock(&mutex);
	if (strncmp(last, text, sizeof last - 1) != 0) {
		snprintf(last, sizeof last, "%s", text);
		cli_error("%s", text);
	}
	pthread_mutex_unlock(&mutex);
}

static bool closed[STDERR_FILENO + 1];

bool cli_fill_standard(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		closed[fd] = true;
		/* The lowest number that is free is this one. */
		if (open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd) {
			cli_error("/dev/null: %s", strerror(errno));
			return false;
		}
	}
	return true;
}

bool cli_was_closed(int fd)
{
	return closed[fd];
}

bool cli_is_url(const char *argument)
{
	return strstr(argument, "://") != NULL;
}

const char *cli_masked(const char *argument)
{
	static char *kept;
	const char *scheme = strstr(argument, "://");
	if (!scheme)
		return argument;
	/* The last '@': a password that was not encoded may have others. */
	const char *begin = scheme + 3, *at = strrchr(begin, '@'), *rest = at ? at : begin;
	size_t shown = strcspn(rest, "?"), room = strlen(argument) + sizeof "***?***";
	free(kept);
	kept = malloc(room);
	if (!kept)
		return "***";
	snprintf(kept, room, "%.*s%s%.*s%s", (int)(begin - argument), argument, at ? "***" : "", (int)shown,
		 rest, rest[shown] ? "?***" : "");
	return kept;
}

int cli_no_urls(int argc, char **argv)
{
	for (int i = optind; i < argc; i++) {
		if (cli_is_url(argv[i]))
			return cli_usage(argv[0], "'%s' is no topic: the URL comes first",
					 cli_masked(argv[i]));
	}
	return 0;
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);
	return value && *value;
}

const char *cli_service(void)
{
	return is_set("FERRY_SERVICE") ? NULL : CLI_SERVICE;
}

bool cli_take_url(int argc, char **argv, const char **ret)
{
	*ret = NULL;
	if (optind < argc && strchr(argv[optind], ':'))
		*ret = argv[optind++];
	return *ret || is_set("FERRY_URL") || is_set("FERRY_CONFIG");
}

int cli_bad_option(int result, char **argv)
{
	const char *word = argv[optind - 1];
	if (result == ':')
		return cli_usage(argv[0], "option '%s' needs a value", cli_masked(word));
	/* A long option leaves 0 in optopt when it is unknown, and its own value when it was given a value
	 * that it does not take. */
	if (strncmp(word, "--", 2) == 0 && optopt)
		return cli_usage(argv[0], "option '%s' takes no value", cli_masked(word));
	if (optopt)
		return cli_usage(argv[0], "unknown option '-%c'", optopt);
	return cli_usage(argv[0], "unknown option '%s'", cli_masked(word));
}

bool cli_number(const char *text, bool with_units, uint64_t min, uint64_t max, uint64_t *ret)
{
	static const struct {
		const char *name;
		unsigned int shift;
	} units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
	if (*text < '0' || *text > '9')
		return false;
	char *end;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno)
		return false;
	for (size_t i = 0; i < (with_units ? sizeof units / sizeof units[0] : 1); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (number > max >> units[i].shift || number << units[i].shift < min)
			return false;
		*ret = number << units[i].shift;
		return true;
	}
	return false;
}

bool cli_format(const char *text, enum cli_format *ret)
{
	if (strcmp(text, "text") == 0)
		*ret = CLI_TEXT;
	else if (strcmp(text, "json") == 0)
		*ret = CLI_JSON;
	else
		return false;
	return true;
}

int cli_flush(int result)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return result;
	cli_error("standard output: %s", strerror(errno));
	return EXIT_FAILED;
}
