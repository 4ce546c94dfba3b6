/*
 * histogram.h - a histogram of durations with a high dynamic range: any 64-bit value, two significant digits,
 * constant memory, no arithmetic but shifts when a value is added.
 *
 * The buckets are those of HdrHistogram (Gil Tene): octaves, each cut into equal parts.
 *
 *     values               buckets                    width
 *     0 .. 255             256, one per value         1
 *     256 .. 511           128                        2
 *     512 .. 1023          128                        4
 *     2^e .. 2^(e+1) - 1   128                        2^(e-7)
 *
 * So a bucket is never wider than 1/128 (0.8 %) of what it holds.  A percentile is the highest value of its
 * bucket, cut to the largest value that was added: never too good.
 */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PARTS_LOG2 7
#define HISTOGRAM_PARTS      (1u << HISTOGRAM_PARTS_LOG2)
#define HISTOGRAM_BUCKETS    (2 * HISTOGRAM_PARTS + (63 - HISTOGRAM_PARTS_LOG2) * HISTOGRAM_PARTS)

/* Zeroed = empty.  One thread at a time. */
struct histogram {
	uint64_t count;
	uint64_t min, max; /* meaningful when count > 0 */
	long double sum;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* Add all that is in `from`. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* The value that `percent` (0 < percent <= 100) of the values do not exceed; 0 when it is empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* 0 when it is empty. */
double histogram_mean(const struct histogram *histogram);

/* The bucket of a value, and the highest value of a bucket: for the test. */
unsigned int histogram_bucket(uint64_t value);
uint64_t histogram_bucket_top(unsigned int bucket);

#endif
