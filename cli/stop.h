/*
 * stop.h - being asked to end: SIGINT, SIGTERM and SIGHUP as a file descriptor.
 */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <stdbool.h>

/*
 * Take the signals from now on, and ignore SIGPIPE: a reader that has gone is an error of a write.  A signal
 * that the program was started with ignored stays so.  Another one, a second or more after the first, ends
 * the program at once.  Returns a descriptor that is readable after the first, or -1 and a line on standard
 * error.
 */
int stop_watch(void);

/* True after the first signal. */
bool stop_requested(void);

#endif
