/*
 * error.h - what went wrong.
 *
 *     struct ferry_error err;
 *     if (ferry_bus_start(bus, 10000, &err))
 *         fprintf(stderr, "%s: %s\n", ferry_error_name(err.code), err.text);
 *
 * A fallible function returns 0 or one of the negative codes below, and describes
 * the failure in the caller's own `struct ferry_error`, which may be NULL.  There
 * is no "last error" and errno has no meaning.  On success the struct is left alone.
 */
#ifndef FERRY_ERROR_H
#define FERRY_ERROR_H

#include <ferry/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * X(NAME, value, retriable, text): FERRY_E_<NAME>, its number, whether the same
 * call can succeed later without a change by the caller, and what it means.
 * Numbers never change.
 */
#define FERRY_ERRORS(X)                                                                            \
	X(NOMEM, -1, 1, "out of memory")                                                           \
	X(INVALID, -2, 0, "an argument is not valid")                                              \
	X(STATE, -3, 0, "the call is not allowed in this state")                                   \
	X(AGAIN, -4, 1, "it would have to wait, and may not")                                      \
	X(TIMEDOUT, -5, 1, "the deadline passed")                                                  \
	X(UNKNOWN, -6, 1, "the outcome is unknown: the message may be stored")                     \
	X(REJECTED, -7, 0, "refused: the message is certainly not stored")                         \
	X(TOO_LARGE, -8, 0, "the message is larger than max_message")                              \
	X(NOT_FOUND, -9, 0, "there is no such thing")                                              \
	X(UNSUPPORTED, -10, 0, "the transport does not have this capability")                      \
	X(CONFIG, -11, 0, "a setting is not valid")                                                \
	X(UNREACHABLE, -12, 1, "the broker cannot be reached")                                     \
	X(DENIED, -13, 0, "the broker refused the login, the certificate or the right")            \
	X(PLUGIN, -14, 0, "the transport's plugin cannot be used")                                 \
	X(STALE, -15, 0, "the delivery is settled already or is no longer ours")                   \
	X(DEADLOCK, -16, 0, "the call would wait for the handler that makes it")                   \
	X(FORK, -17, 0, "the bus was opened before a fork and cannot be used in the child")        \
	X(DECODE, -18, 0, "the payload cannot be decoded")                                         \
	X(RETRY, -19, 1, "the handler asks for another attempt")                                   \
	X(MISSING_ACK, -20, 1, "a manual-ack handler returned 0 without a reference or a settle")  \
	X(BROKER, -21, 1, "the broker reported an error")                                          \
	X(INTERNAL, -22, 0, "a defect in ferry or in a transport")

enum ferry_code {
	FERRY_OK = 0,
#define FERRY_ERROR_CODE(name, value, retriable, text) FERRY_E_##name = (value),
	FERRY_ERRORS(FERRY_ERROR_CODE)
#undef FERRY_ERROR_CODE
};

/* Flags of a struct ferry_error. */
#define FERRY_ERROR_RETRIABLE (1u << 0) /* the same call can succeed later */
#define FERRY_ERROR_FATAL     (1u << 1) /* this bus will not work again: close it */

/* 512 bytes, no pointers: copy it freely. */
struct ferry_error {
	int32_t code;        /* enum ferry_code */
	int32_t native_code; /* the client library's or the broker's own number, or 0 */
	uint32_t flags;      /* FERRY_ERROR_* */
	char text[500];      /* one sentence that names the thing and what to do */
};

/* "FERRY_E_NOMEM" for -1; "FERRY_E_?" for a number that is no code. [thread-safe] */
FERRY_API const char *ferry_error_name(int code);

/* The general text of a code, without the particulars. [thread-safe] */
FERRY_API const char *ferry_error_text(int code);

/* 1 when the same call can succeed later. [thread-safe] */
FERRY_API int ferry_error_retriable(int code);

#ifdef __cplusplus
}
#endif

#endif
