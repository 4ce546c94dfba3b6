/*
 * host.c - what the rest asks of the host and of the system: memory, error texts, waiting.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "plugin.h"

/* ---- errors ---- */

static unsigned flags_of(int code)
{
	switch (code) {
#define FLAGS(name, value, retriable, text) \
	case value:                         \
		return (retriable) ? FERRY_ERROR_RETRIABLE : 0;
		FERRY_ERRORS(FLAGS)
#undef FLAGS
	default:
		return 0;
	}
}

int fail(struct ferry_error *err, int code, const char *format, ...)
{
	if (!err)
		return code;
	va_list values;
	va_start(values, format);
	vsnprintf(err->text, sizeof err->text, format, values);
	va_end(values);
	err->code = code;
	err->native_code = 0;
	err->flags = flags_of(code);
	return code;
}

/* ---- memory ---- */

void *host_zeroed(const struct ferry_connection *c, size_t bytes)
{
	void *memory = c->host->alloc(c->core, bytes);
	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

char *host_text(const struct ferry_connection *c, const char *format, ...)
{
	va_list values;
	va_start(values, format);
	int size = vsnprintf(NULL, 0, format, values);
	va_end(values);
	char *text = size < 0 ? NULL : c->host->alloc(c->core, (size_t)size + 1);
	if (!text)
		return NULL;
	va_start(values, format);
	vsnprintf(text, (size_t)size + 1, format, values);
	va_end(values);
	return text;
}

void host_free(const struct ferry_connection *c, void *memory)
{
	if (memory)
		c->host->free(c->core, memory);
}

/* ---- waiting ---- */

int64_t pacing_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t pacing_deadline(const struct ferry_connection *c, int64_t deadline_us)
{
	int64_t left = deadline_us - c->host->now_us(c->core);
	int64_t now = pacing_us();
	return left < INT64_MAX - now ? now + left : INT64_MAX;
}

bool pacing_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until)
{
	if (until == INT64_MAX)
		return pthread_cond_wait(condition, lock) == 0;
	const struct timespec at = {.tv_sec = (time_t)(until / 1000000),
				    .tv_nsec = (long)(until % 1000000) * 1000};
	return until > 0 && pthread_cond_timedwait(condition, lock, &at) == 0;
}
