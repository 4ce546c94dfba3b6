/*
 * pauses_test.c - retries come out by their time.
 */
#include "redis.h"

#include "unit_test.h"

static const struct ferry_connection connection = {.host = &unit_host};

static void add(struct pauses *pauses, int64_t due, uint64_t name)
{
	const struct pause pause = {.due = due, .id = {name, 0}};
	CHECK(pauses_add(&connection, pauses, &pause));
}

static void an_empty_heap_is_never_due(void)
{
	struct pauses pauses = {.items = NULL};
	CHECK_EQ(pauses_first(&pauses), INT64_MAX);
	pauses_free(&connection, &pauses);
}

/* In every order of seven, two of them equal. */
static void the_earliest_comes_first(void)
{
	int64_t order[7];
	for (int permutation = 0; permutation < 7 * 6 * 5 * 4 * 3 * 2; permutation++) {
		struct pauses pauses = {.items = NULL};
		int rest = permutation;
		bool used[7] = {false};
		for (int i = 0; i < 7; i++) {
			int nth = rest % (7 - i), at = 0;
			rest /= 7 - i;
			while (used[at] || nth-- > 0)
				at++;
			used[at] = true;
			order[i] = at == 6 ? 3 : at;
			add(&pauses, order[i], (uint64_t)at);
		}
		static const int64_t sorted[] = {0, 1, 2, 3, 3, 4, 5};
		for (int i = 0; i < 7; i++) {
			CHECK_EQ(pauses_first(&pauses), sorted[i]);
			CHECK_EQ(pauses_take(&pauses).due, sorted[i]);
		}
		CHECK_EQ(pauses_first(&pauses), INT64_MAX);
		pauses_free(&connection, &pauses);
	}
}

/* As a process uses it: some come, some go. */
static void many_come_and_go(void)
{
	struct pauses pauses = {.items = NULL};
	uint64_t random = 88172645463325252u;
	int64_t now = 0;
	size_t taken = 0;
	for (uint64_t i = 0; i < 5000; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		add(&pauses, now + (int64_t)(random % 1000), i);
		for (; random % 3 == 0 && pauses.count && pauses_first(&pauses) <= now + 200; taken++) {
			struct pause pause = pauses_take(&pauses);
			CHECK(pause.due >= now);
			now = pause.due;
		}
	}
	for (; pauses.count; taken++) {
		int64_t due = pauses_take(&pauses).due;
		CHECK(due >= now);
		now = due;
	}
	CHECK_EQ(taken, 5000);
	pauses_free(&connection, &pauses);
}

static void one_too_many_for_the_memory_is_refused(void)
{
	struct pauses pauses = {.items = NULL};
	const struct pause late = {.due = -1};
	for (uint64_t i = 0; i < 16; i++)
		add(&pauses, (int64_t)i, i);
	unit_allocs_allowed = 0;
	CHECK(!pauses_add(&connection, &pauses, &late));
	CHECK_EQ(pauses.count, 16);
	CHECK_EQ(pauses_first(&pauses), 0);
	pauses_free(&connection, &pauses);
}

const struct unit_test unit_tests[] = {
	TEST(an_empty_heap_is_never_due),
	TEST(the_earliest_comes_first),
	TEST(many_come_and_go),
	TEST(one_too_many_for_the_memory_is_refused),
	{NULL, NULL},
};
