/*
 * unit_test.h - what the tests of single files share: a host that counts, and a table of tests a program.
 *
 * These programs link the plugin's own objects and need no server.
 */
#ifndef REDIS_UNIT_TEST_H
#define REDIS_UNIT_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/transport.h>

#define CHECK(condition)                                                                         \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__, \
				#condition);                                                     \
			exit(1);                                                                 \
		}                                                                                \
	} while (0)

#define CHECK_EQ(is, should)                                                                               \
	do {                                                                                               \
		long long is_ = (long long)(is), should_ = (long long)(should);                            \
		if (is_ != should_) {                                                                      \
			fprintf(stderr, "%s:%d: %s: %s is %lld, not %lld\n", __FILE__, __LINE__, __func__, \
				#is, is_, should_);                                                        \
			exit(1);                                                                           \
		}                                                                                          \
	} while (0)

#define CHECK_TEXT(is, should)                                                                       \
	do {                                                                                         \
		const char *is_ = (is), *should_ = (should);                                         \
		if (strcmp(is_, should_) != 0) {                                                     \
			fprintf(stderr, "%s:%d: %s: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, \
				__func__, #is, is_, should_);                                        \
			exit(1);                                                                     \
		}                                                                                    \
	} while (0)

/* `needle` must be part of `text`. */
#define CHECK_SAYS(text, needle)                                                                       \
	do {                                                                                           \
		const char *text_ = (text), *needle_ = (needle);                                       \
		if (!strstr(text_, needle_)) {                                                         \
			fprintf(stderr, "%s:%d: %s: \"%s\" does not say \"%s\"\n", __FILE__, __LINE__, \
				__func__, text_, needle_);                                             \
			exit(1);                                                                       \
		}                                                                                      \
	} while (0)

struct unit_test {
	const char *name;
	void (*run)(void);
};

#define TEST(name)          \
	{                   \
#name, name \
	}

/* The program's; the last name is NULL. */
extern const struct unit_test unit_tests[];

/* What the program was called with: file names. */
extern char **unit_arguments;

/* Its wall clock stands at 1.7e15 us. */
extern const struct ferry_host unit_host;

extern long unit_allocations;    /* that live */
extern size_t unit_bytes;        /* of these */
extern long unit_allocs_allowed; /* so many succeed from now on; negative: all */

struct ferry_view unit_view(const char *text);

#endif
