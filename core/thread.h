/*
 * thread.h - threads of a bus: every signal blocked, named for ps and gdb.
 */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>

/* Returns 0 or an errno value. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *ctx);

#endif
