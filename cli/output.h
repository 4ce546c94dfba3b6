/*
 * output.h - writing a whole line to standard output, or none of it.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stddef.h>

/*
 * Write it all, waiting while the reader is slow.  0, or an errno.  When `stop_fd` is readable nothing new is
 * begun: ECANCELED; a line that is begun has a second to come through, and is else left cut.
 */
int output_write(int fd, int stop_fd, const char *data, size_t size);

#endif
