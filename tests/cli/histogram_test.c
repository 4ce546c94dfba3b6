/*
 * histogram_test.c - the buckets of cli/histogram.c, and its percentiles beside those of the sorted values.
 */
#include <stdio.h>
#include <stdlib.h>

#include "histogram.h"

static int failures;

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			failures++;                                            \
			printf("FAILED: line %d: %s\n", __LINE__, #condition); \
		}                                                              \
	} while (0)

static void buckets_follow_one_another_without_gap(void)
{
	for (unsigned int i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
		uint64_t top = histogram_bucket_top(i);
		CHECK(histogram_bucket(top) == i);
		CHECK(histogram_bucket(top + 1) == i + 1);
	}
	CHECK(histogram_bucket(0) == 0);
	CHECK(histogram_bucket_top(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
	CHECK(histogram_bucket(UINT64_MAX) == HISTOGRAM_BUCKETS - 1);
}

static void no_bucket_is_wider_than_its_share(void)
{
	for (unsigned int i = 1; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t first = histogram_bucket_top(i - 1) + 1, width = histogram_bucket_top(i) - first + 1;
		CHECK(width == 1 || width <= first / HISTOGRAM_PARTS);
	}
}

/* Numbers of all sizes, always the same ones. */
static uint64_t next_value(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*state >> 20) >> (*state >> 59);
}

static int compare(const void *a, const void *b)
{
	const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
	return (one > other) - (one < other);
}

static void percentiles_are_those_of_the_sorted_values(void)
{
	enum { COUNT = 10000 };
	static uint64_t values[COUNT];
	static struct histogram histogram;
	uint64_t state = 1;
	for (size_t i = 0; i < COUNT; i++) {
		values[i] = next_value(&state);
		histogram_add(&histogram, values[i]);
	}
	qsort(values, COUNT, sizeof values[0], compare);
	for (unsigned int permille = 1; permille <= 1000; permille++) {
		uint64_t exact = values[permille * (COUNT / 1000) - 1];
		uint64_t read = histogram_percentile(&histogram, permille / 10.0);
		CHECK(read >= exact);
		CHECK(read - exact <= exact / HISTOGRAM_PARTS);
	}
	CHECK(histogram.count == COUNT);
	CHECK(histogram.min == values[0]);
	CHECK(histogram.max == values[COUNT - 1]);
	CHECK(histogram_percentile(&histogram, 100) == values[COUNT - 1]);
}

static void small_values_are_exact(void)
{
	static struct histogram histogram;
	for (uint64_t value = 1; value <= 200; value++)
		histogram_add(&histogram, value);
	CHECK(histogram_percentile(&histogram, 50) == 100);
	CHECK(histogram_percentile(&histogram, 99) == 198);
	CHECK(histogram_percentile(&histogram, 99.9) == 200);
	CHECK(histogram_percentile(&histogram, 0.1) == 1);
	CHECK(histogram_mean(&histogram) == 100.5);
}

static void merging_is_adding(void)
{
	static struct histogram all, one, other;
	uint64_t state = 7;
	for (size_t i = 0; i < 1000; i++) {
		uint64_t value = next_value(&state);
		histogram_add(&all, value);
		histogram_add(i % 3 ? &one : &other, value);
	}
	histogram_merge(&one, &other);
	CHECK(one.count == all.count && one.min == all.min && one.max == all.max);
	for (unsigned int percent = 1; percent <= 100; percent++)
		CHECK(histogram_percentile(&one, percent) == histogram_percentile(&all, percent));
	static struct histogram empty;
	histogram_merge(&empty, &one);
	CHECK(empty.min == one.min && empty.max == one.max && empty.count == one.count);
}

static void an_empty_one_has_no_percentiles(void)
{
	static struct histogram empty, other;
	CHECK(histogram_percentile(&empty, 50) == 0);
	CHECK(histogram_mean(&empty) == 0);
	histogram_add(&other, 5);
	histogram_merge(&other, &empty);
	CHECK(other.count == 1 && other.min == 5);
}

int main(void)
{
	buckets_follow_one_another_without_gap();
	no_bucket_is_wider_than_its_share();
	percentiles_are_those_of_the_sorted_values();
	small_values_are_exact();
	merging_is_adding();
	an_empty_one_has_no_percentiles();
	printf("%d failures\n", failures);
	return failures ? 1 : 0;
}
