/*
 * fault.h - failures in one sentence.
 */
#ifndef REDIS_FAULT_H
#define REDIS_FAULT_H

#include <ferry/transport.h>

/* Describe a failure in *err (may be NULL) and return its code. */
int fault(struct ferry_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What an error reply means: FERRY_E_DENIED, _UNREACHABLE (not now, but it may pass), _CONFIG, _BROKER ... */
int fault_code(const char *reply);
/* The same as an error about `what`, with what to do about it. */
int fault_reply(struct ferry_error *err, const char *what, const char *reply);

#endif
