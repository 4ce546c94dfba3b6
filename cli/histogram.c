#include "histogram.h"

static unsigned int log2_floor(uint64_t value)
{
	unsigned int log2 = 0;
	for (unsigned int step = 32; step; step /= 2) {
		if (value >> step) {
			value >>= step;
			log2 += step;
		}
	}
	return log2;
}

unsigned int histogram_bucket(uint64_t value)
{
	if (value < 2 * HISTOGRAM_PARTS)
		return (unsigned int)value;
	/* value >> shift is in PARTS .. 2 * PARTS - 1; each octave begins PARTS buckets after the last. */
	unsigned int shift = log2_floor(value) - HISTOGRAM_PARTS_LOG2;
	return shift * HISTOGRAM_PARTS + (unsigned int)(value >> shift);
}

uint64_t histogram_bucket_top(unsigned int bucket)
{
	if (bucket < 2 * HISTOGRAM_PARTS)
		return bucket;
	unsigned int shift = bucket / HISTOGRAM_PARTS - 1;
	uint64_t part = bucket - shift * HISTOGRAM_PARTS;
	return ((part + 1) << shift) - 1; /* wraps to the largest number in the last bucket */
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	if (!histogram->count || value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->count++;
	histogram->sum += (long double)value;
	histogram->buckets[histogram_bucket(value)]++;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from)
{
	if (!from->count)
		return;
	if (!histogram->count || from->min < histogram->min)
		histogram->min = from->min;
	if (from->max > histogram->max)
		histogram->max = from->max;
	histogram->count += from->count;
	histogram->sum += from->sum;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	if (!histogram->count)
		return 0;
	double exact = percent / 100 * (double)histogram->count;
	uint64_t rank = (uint64_t)exact;
	if (exact - (double)rank > 1e-6 || rank == 0) /* rounded up, but 99.9 % of 1000 is 999 */
		rank++;
	uint64_t below = 0;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		below += histogram->buckets[i];
		if (below < rank)
			continue;
		uint64_t top = histogram_bucket_top(i);
		return top < histogram->max ? top : histogram->max;
	}
	return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? (double)(histogram->sum / (long double)histogram->count) : 0;
}
