/*
 * main.c - a struct published and handled by ferry, beside jansson's own dump and load, in one run.
 *
 * Each row is measured in pairs, ferry and jansson in turn; what counts is the median of the pairs' ratios.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ferry.h>
#include <jansson.h>

#include "side.h"

#define PAIRS_MAX 1000
#define QUICK     10 /* --quick divides the number of orders by this */

/* Multiples of the batch and of QUICK. */
static const struct row rows[] = {
	{"flat", "3 members", 0, false, 1, 640000},
	{"order", "a nested object, 3 items", 3, true, 1, 128000},
	{"batch", "the same, in batches of 64", 3, true, 64, 128000},
	{"large", "a nested object, 50 items", 50, true, 1, 12800},
};
#define ROWS (sizeof rows / sizeof rows[0])

struct options {
	unsigned int pairs;
	bool quick;
	double most; /* 0: no bound */
};

/* The pairs of one row. */
struct series {
	double ferry[PAIRS_MAX], jansson[PAIRS_MAX], cpu[PAIRS_MAX], wall[PAIRS_MAX];
};

static int compare(const void *a, const void *b)
{
	const double one = *(const double *)a, other = *(const double *)b;
	return (one > other) - (one < other);
}

/* Sorts the values. */
static double median(double *values, unsigned int count)
{
	qsort(values, count, sizeof *values, compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static bool run_row(const struct row *original, const struct options *options, double *ret_ratio)
{
	static struct series s;
	struct row row = *original;
	row.orders /= options->quick ? QUICK : 1;
	for (unsigned int i = 0; i < options->pairs; i++) {
		struct cost ferry, jansson;
		if (!ferry_side_run(&row, &ferry) || !jansson_side_run(&row, &jansson))
			return false;
		s.ferry[i] = ferry.cpu_us;
		s.jansson[i] = jansson.cpu_us;
		s.cpu[i] = ferry.cpu_us / jansson.cpu_us;
		s.wall[i] = ferry.wall_us / jansson.wall_us;
	}
	*ret_ratio = median(s.cpu, options->pairs);
	printf("%-6s  %-26s  %8.2f  %8.2f  %6.2f  %5.2f .. %-5.2f  %6.2f\n", row.name, row.title,
	       median(s.ferry, options->pairs), median(s.jansson, options->pairs), *ret_ratio, s.cpu[0],
	       s.cpu[options->pairs - 1], median(s.wall, options->pairs));
	fflush(stdout);
	return true;
}

static int run_rows(const struct options *options)
{
	bool within = true;
	printf("ferry %s, memory transport, beside jansson %s: %u pairs a row\n\n", ferry_version(),
	       JANSSON_VERSION, options->pairs);
	printf("%-6s  %-26s  %8s  %8s  %6s  %-14s  %6s\n", "row", "", "ferry us", "jansson", "ratio",
	       "min .. max", "wall");
	for (size_t i = 0; i < ROWS; i++) {
		double ratio;
		if (!run_row(&rows[i], options, &ratio))
			return 1;
		if (options->most > 0 && ratio > options->most) {
			fprintf(stderr, "bench-typed: row %s: %.2f is more than %.2f\n", rows[i].name, ratio,
				options->most);
			within = false;
		}
	}
	printf("\nMicroseconds of processor time per order, of all threads, and their ratio; wall: the ratio "
	       "of "
	       "the time\nthat passed.  Medians of the pairs; less is better.  Every order was what was "
	       "sent.\n");
	return within ? 0 : 1;
}

static const char help[] = "Usage: bench-typed [--pairs N] [--quick] [--most RATIO]\n"
			   "\n"
			   "  --pairs N      measure each row N times, ferry and jansson in turn [7]\n"
			   "  --quick        a tenth of the orders\n"
			   "  --most RATIO   fail when a row's ratio of processor time is greater\n";

static bool read_options(int argc, char **argv, struct options *ret)
{
	static const struct option long_options[] = {{"pairs", required_argument, NULL, 'p'},
						     {"quick", no_argument, NULL, 'q'},
						     {"most", required_argument, NULL, 'm'},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	int option;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		char nothing[] = "", *end = nothing;
		if (option == 'h') {
			fputs(help, stdout);
			exit(0);
		}
		if (option == 'p')
			ret->pairs = (unsigned int)strtoul(optarg, &end, 10);
		else if (option == 'm')
			ret->most = strtod(optarg, &end);
		else if (option == 'q')
			ret->quick = true;
		else
			return false;
		if (*end)
			return false;
	}
	return optind == argc && ret->pairs >= 1 && ret->pairs <= PAIRS_MAX && ret->most >= 0;
}

int main(int argc, char **argv)
{
	struct options options = {.pairs = 7};
	if (!read_options(argc, argv, &options)) {
		fputs(help, stderr);
		return 2;
	}
	return run_rows(&options);
}
