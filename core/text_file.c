#include "text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"

static int check_file(const struct stat *st, const char *origin, const char *path, size_t max,
		      struct ferry_error *err)
{
	if (!S_ISREG(st->st_mode))
		return fail(err, FERRY_E_CONFIG, "%s: %.200s is not a regular file", origin, path);
	if (st->st_mode & S_IWOTH)
		return fail(err, FERRY_E_CONFIG,
			    "%s: %.200s can be written by everyone, so it is not trusted: chmod o-w it",
			    origin, path);
	if ((uintmax_t)st->st_size > max)
		return fail(err, FERRY_E_CONFIG, "%s: %.200s is too large: expected at most %zu bytes",
			    origin, path, max);
	return 0;
}

/* Up to `room` bytes; -1 and errno. */
static ssize_t read_all(int fd, char *to, size_t room)
{
	size_t size = 0;
	while (size < room) {
		ssize_t got = read(fd, to + size, room - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	return (ssize_t)size;
}

static int read_open(const struct ferry_allocator *a, int fd, const char *origin, const char *path,
		     size_t max, char **ret, size_t *ret_size, struct ferry_error *err)
{
	struct stat st;
	if (fstat(fd, &st))
		return fail(err, FERRY_E_CONFIG, "%s: %.200s cannot be read: %s", origin, path,
			    strerror(errno));
	int code = check_file(&st, origin, path, max, err);
	if (code)
		return code;
	size_t room = (size_t)st.st_size + 1; /* one more: to see that it has grown */
	char *text = alloc_bytes(a, room);
	if (!text)
		return fail_nomem(err, "reading a file");
	ssize_t size = read_all(fd, text, room);
	if (size < 0 || (size_t)size == room) {
		code = fail(err, FERRY_E_CONFIG, "%s: %.200s cannot be read: %s", origin, path,
			    size < 0 ? strerror(errno) : "it grows meanwhile");
		text_file_free(a, text, room);
		return code;
	}
	text[size] = '\0';
	*ret = text;
	*ret_size = (size_t)size;
	return 0;
}

int text_file_read(const struct ferry_allocator *a, const char *origin, const char *path, size_t max,
		   char **ret, size_t *ret_size, struct ferry_error *err)
{
	if (path[0] != '/')
		return fail(err, FERRY_E_CONFIG,
			    "%s is not an absolute path: expected the path of a file, beginning with '/'",
			    origin);
	/* A FIFO must not hang the program before it is refused. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail(err, FERRY_E_CONFIG, "%s: %.200s cannot be opened: %s", origin, path,
			    strerror(errno));
	int code = read_open(a, fd, origin, path, max, ret, ret_size, err);
	close(fd);
	return code;
}

void text_file_free(const struct ferry_allocator *a, char *text, size_t size)
{
	if (text)
		explicit_bzero(text, size);
	alloc_free(a, text);
}
