#include "output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#define GRACE_MS 1000

/* Wait until `fd` takes PIPE_BUF bytes without blocking: 0, or an errno. */
static int wait_writable(int fd, int stop_fd, bool begun, bool *stopped)
{
	for (;;) {
		struct pollfd fds[] = {{.fd = fd, .events = POLLOUT},
				       {.fd = *stopped ? -1 : stop_fd, .events = POLLIN}};
		int count = poll(fds, 2, *stopped ? GRACE_MS : -1);
		if (count < 0 && errno != EINTR)
			return errno;
		if (count < 0)
			continue;
		*stopped = *stopped || fds[1].revents;
		if (*stopped && !begun)
			return ECANCELED;
		if (fds[0].revents)
			return 0; /* an error too: the write will tell */
		if (count == 0)
			return ECANCELED;
	}
}

int output_write(int fd, int stop_fd, const char *data, size_t size)
{
	bool stopped = false;
	for (size_t done = 0; done < size;) {
		size_t part = size - done < PIPE_BUF ? size - done : PIPE_BUF;
		int error = wait_writable(fd, stop_fd, done > 0, &stopped);
		if (error)
			return error;
		ssize_t written = write(fd, data + done, part);
		if (written < 0 && errno != EINTR && errno != EAGAIN)
			return errno;
		done += written > 0 ? (size_t)written : 0;
	}
	return 0;
}
