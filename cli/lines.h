/*
 * lines.h - reading a file or a pipe line by line, until it ends or the program is to stop.
 */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stddef.h>
#include <stdint.h>

#define LINE_MAX_BYTES ((size_t)2 << 30) /* twice what a payload can have at most: room for its escapes */

struct lines {
	int fd;
	int stop_fd; /* readable: stop */
	char *data;
	size_t begin, end, room; /* what is read and not given out is data[begin..end) */
	uint64_t number;         /* of the line given out last, from 1 */
	uint64_t bytes;          /* read so far */
};

enum lines_result {
	LINES_LINE, /* a line without its newline; good until the next call */
	LINES_END,
	LINES_STOP,
	LINES_ERROR, /* errno says why */
};

enum lines_result lines_next(struct lines *lines, const char **ret, size_t *ret_size);
void lines_finish(struct lines *lines);

#endif
