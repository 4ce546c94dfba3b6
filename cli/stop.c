#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static int ends[2] = {-1, -1};
static volatile sig_atomic_t requested;

static void on_signal(int number)
{
	int kept = errno;
	(void)number;
	requested = 1;
	(void)!write(ends[1], "", 1);
	errno = kept;
}

static int watch(int number)
{
	struct sigaction old, action = {.sa_handler = on_signal};
	action.sa_flags = (int)SA_RESETHAND;
	sigemptyset(&action.sa_mask);
	if (sigaction(number, NULL, &old))
		return -1;
	return old.sa_handler == SIG_IGN ? 0 : sigaction(number, &action, NULL);
}

int stop_watch(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigemptyset(&ignore.sa_mask);
	if (pipe(ends) || fcntl(ends[0], F_SETFD, FD_CLOEXEC) || fcntl(ends[1], F_SETFD, FD_CLOEXEC) ||
	    fcntl(ends[1], F_SETFL, O_NONBLOCK) || watch(SIGINT) || watch(SIGTERM) || watch(SIGHUP) ||
	    sigaction(SIGPIPE, &ignore, NULL)) {
		cli_error("signals: %s", strerror(errno));
		return -1;
	}
	return ends[0];
}

bool stop_requested(void)
{
	return requested != 0;
}
