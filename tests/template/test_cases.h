/*
 * test_cases.h - the tests, and the roles of processes that die in them.
 */
#ifndef TEST_CASES_H
#define TEST_CASES_H

#include <sqlite3.h>

#include "test_host.h"

struct test_case {
	const char *name; /* NULL: the end */
	void (*run)(void);
};
#define TEST(name)          \
	{                   \
#name, name \
	}

struct test_role {
	const char *name; /* NULL: the end */
	void (*run)(const char *file);
};

extern const struct test_case publish_tests[], claim_tests[], broadcast_tests[], start_tests[];
extern const struct test_role publish_roles[], claim_roles[], start_roles[];

/* ---- template_test.c ---- */

extern char test_folder[64];
/* A file of its own for each call; the name lives until the fourth call after. */
const char *new_file(void);
/* Run this program again in a role, with a file; returns its exit status. */
int start_role(const char *role, const char *file);

/* Keep everybody from writing to a file. */
struct lock {
	sqlite3 *db;
};
void lock_file(struct lock *lock, const char *file);
void unlock_file(struct lock *lock);

/* Group "shop", topic "orders". */
extern const struct consumer_options shop;
void settle_all(struct consumer *consumer, size_t count, int32_t verb);
/* A view's text, and the NUL behind it. */
void check_text(struct ferry_view view, const char *expected);

#endif
