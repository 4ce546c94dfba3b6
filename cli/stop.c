#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/* `timeout` and others send a signal twice in a row. */
#define AGAIN_MS 1000

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

static int ends[2] = {-1, -1};
static volatile sig_atomic_t requested;
static int64_t first_ms; /* when; only the handler looks, and all its signals are blocked there */

static void on_signal(int number)
{
	int kept = errno;
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	int64_t now_ms = (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
	if (!requested) {
		requested = 1;
		first_ms = now_ms;
		(void)!write(ends[1], "", 1);
	} else if (now_ms - first_ms > AGAIN_MS) {
		signal(number, SIG_DFL);
		raise(number);
	}
	errno = kept;
}

static int watch(int number)
{
	struct sigaction old, action = {.sa_handler = on_signal};
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < NUMBERS; i++)
		sigaddset(&action.sa_mask, numbers[i]);
	if (sigaction(number, NULL, &old))
		return -1;
	return old.sa_handler == SIG_IGN ? 0 : sigaction(number, &action, NULL);
}

static int watch_all(void)
{
	for (size_t i = 0; i < NUMBERS; i++) {
		if (watch(numbers[i]))
			return -1;
	}
	return 0;
}

int stop_watch(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigemptyset(&ignore.sa_mask);
	if (pipe(ends) || fcntl(ends[0], F_SETFD, FD_CLOEXEC) || fcntl(ends[1], F_SETFD, FD_CLOEXEC) ||
	    fcntl(ends[1], F_SETFL, O_NONBLOCK) || watch_all() || sigaction(SIGPIPE, &ignore, NULL)) {
		cli_error("signals: %s", strerror(errno));
		return -1;
	}
	return ends[0];
}

bool stop_requested(void)
{
	return requested != 0;
}
