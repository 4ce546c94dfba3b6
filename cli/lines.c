#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 << 10)

/* Make room for a read behind what is there. */
static bool make_room(struct lines *lines)
{
	if (lines->data && lines->begin) {
		memmove(lines->data, lines->data + lines->begin, lines->end - lines->begin);
		lines->end -= lines->begin;
		lines->begin = 0;
	}
	if (lines->room - lines->end >= READ_BYTES)
		return true;
	size_t room = lines->room ? lines->room * 2 : 2 * READ_BYTES;
	char *data = lines->end >= LINE_MAX_BYTES ? NULL : realloc(lines->data, room);
	if (!data) {
		errno = lines->end >= LINE_MAX_BYTES ? EOVERFLOW : ENOMEM;
		return false;
	}
	lines->data = data;
	lines->room = room;
	return true;
}

/* Read more; *ret_size 0 is the end of the file. */
static enum lines_result read_more(struct lines *lines, size_t *ret_size)
{
	if (!make_room(lines))
		return LINES_ERROR;
	for (;;) {
		struct pollfd fds[] = {{.fd = lines->stop_fd, .events = POLLIN},
				       {.fd = lines->fd, .events = POLLIN}};
		if (poll(fds, 2, -1) < 0) {
			if (errno != EINTR)
				return LINES_ERROR;
			continue;
		}
		if (fds[0].revents)
			return LINES_STOP;
		ssize_t size = read(lines->fd, lines->data + lines->end, lines->room - lines->end);
		if (size < 0 && errno != EINTR && errno != EAGAIN)
			return LINES_ERROR;
		if (size < 0)
			continue;
		*ret_size = (size_t)size;
		lines->end += *ret_size;
		lines->bytes += *ret_size;
		return LINES_LINE;
	}
}

static enum lines_result give(struct lines *lines, size_t size, bool newline, const char **ret,
			      size_t *ret_size)
{
	*ret = lines->data + lines->begin;
	*ret_size = size;
	lines->begin += size + newline;
	lines->number++;
	return LINES_LINE;
}

enum lines_result lines_next(struct lines *lines, const char **ret, size_t *ret_size)
{
	size_t looked = 0; /* without a newline */
	for (;;) {
		size_t size = lines->end - lines->begin, more;
		const char *from = lines->data ? lines->data + lines->begin : "";
		const char *newline = memchr(from + looked, '\n', size - looked);
		if (newline)
			return give(lines, (size_t)(newline - from), true, ret, ret_size);
		looked = size;
		enum lines_result result = read_more(lines, &more);
		if (result != LINES_LINE)
			return result;
		if (!more)
			return size ? give(lines, size, false, ret, ret_size) : LINES_END;
	}
}

void lines_finish(struct lines *lines)
{
	free(lines->data);
	lines->data = NULL;
}
