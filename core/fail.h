/*
 * fail.h - filling in the caller's struct ferry_error.
 */
#ifndef CORE_FAIL_H
#define CORE_FAIL_H

#include <ferry/error.h>

/* Describe a failure in *err (may be NULL) and return `code`; the retriable flag follows from the code.
 * The format makes one sentence that names the thing and what to do; it is cut to fit. */
int fail(struct ferry_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "out of memory while <doing>" */
int fail_nomem(struct ferry_error *err, const char *doing);

#endif
