/*
 * main.c - ferry's memory transport beside ZeroMQ inproc, in one run.
 *
 * Each row is measured in pairs, ferry and ZeroMQ in turn; what counts is the median of the pairs' ratios,
 * since a machine that is slow for a while is slow for both.  Every run checks that nothing was lost or
 * repeated.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ferry.h>
#include <zmq.h>

#include "probe.h"
#include "side.h"

#define PAIRS_MAX 1000

static const struct row rows[] = {
	{"single", "256 B, 1 publisher, 1 handler, single calls", 256, 1, 1, 1, false, 0, 2000000, 100000},
	{"filtered", "the same, with an attribute and a filter", 256, 1, 1, 1, true, 0, 2000000, 100000},
	{"batch", "256 B, 1 publisher, 1 handler, batches of 64", 256, 1, 1, 64, false, 0, 4000000, 100000},
	{"publishers", "256 B, 2 publishers, 1 handler, single calls", 256, 2, 1, 1, false, 0, 2000000,
	 100000},
	{"broadcast", "256 B, 1 publisher, 2 broadcast handlers", 256, 1, 2, 1, false, 0, 1000000, 100000},
	{"small", "16 B, 1 publisher, 1 handler, single calls", 16, 1, 1, 1, false, 0, 4000000, 100000},
	{"large", "4 KiB, 1 publisher, 1 handler, single calls", 4096, 1, 1, 1, false, 0, 500000, 50000},
	{"idle", "256 B every 250 us: latency", 256, 1, 1, 1, false, 250000, 2000, 200},
};

#define ROWS  (sizeof rows / sizeof rows[0])
#define QUICK 10 /* --quick divides the number of messages by this */

struct options {
	unsigned int pairs;
	bool quick;
	const char *only;
};

/* The pairs of one row. */
struct series {
	double ferry[PAIRS_MAX], zmq[PAIRS_MAX], ratio[PAIRS_MAX];
	double ferry_p99[PAIRS_MAX], zmq_p99[PAIRS_MAX];
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

static bool sound(const struct row *row, const char *side, const struct outcome *outcome)
{
	if (!outcome->lost && !outcome->duplicates)
		return true;
	fprintf(stderr, "bench-memory: row %s: %s: %llu lost, %llu repeated\n", row->name, side,
		(unsigned long long)outcome->lost, (unsigned long long)outcome->duplicates);
	return false;
}

static bool run_pair(const struct row *row, struct series *series, unsigned int pair)
{
	struct outcome ferry = {0}, zmq = {0};
	if (!ferry_side_run(row, &ferry) || !sound(row, "ferry", &ferry) || !zmq_side_run(row, &zmq) ||
	    !sound(row, "ZeroMQ", &zmq))
		return false;
	double millions = (double)row->messages / 1e6;
	series->ferry[pair] = row->pause_ns ? ferry.p50_us : millions / ferry.seconds;
	series->zmq[pair] = row->pause_ns ? zmq.p50_us : millions / zmq.seconds;
	series->ratio[pair] = series->ferry[pair] / series->zmq[pair];
	series->ferry_p99[pair] = ferry.p99_us;
	series->zmq_p99[pair] = zmq.p99_us;
	return true;
}

static bool run_row(const struct row *original, const struct options *options, struct series *series)
{
	struct row row = *original;
	if (options->quick) {
		row.messages /= QUICK;
		row.warmup /= QUICK;
	}
	for (unsigned int pair = 0; pair < options->pairs; pair++) {
		if (!run_pair(&row, series, pair))
			return false;
	}
	double ratio = median(series->ratio, options->pairs);
	printf("%-10s  %-45s  %7.2f  %7.2f  %-4s  %6.2f  %5.2f .. %.2f\n", row.name, row.title,
	       median(series->ferry, options->pairs), median(series->zmq, options->pairs),
	       row.pause_ns ? "us" : "M/s", ratio, series->ratio[0], series->ratio[options->pairs - 1]);
	if (row.pause_ns)
		printf("%-10s  %-45s  %7.2f  %7.2f  us\n", "", "the 99th percentile of it",
		       median(series->ferry_p99, options->pairs), median(series->zmq_p99, options->pairs));
	fflush(stdout);
	return true;
}

static bool run_rows(const struct options *options)
{
	static struct series series;
	int major, minor, patch;
	zmq_version(&major, &minor, &patch);
	printf("ferry %s, memory transport, beside ZeroMQ %d.%d.%d inproc: %u pairs a row, queues of %d "
	       "messages\n",
	       ferry_version(), major, minor, patch, options->pairs, QUEUE_MESSAGES);
	printf("a cache line to the other processor and back: %.0f ns\n\n", probe_round_trip_ns());
	printf("%-10s  %-45s  %7s  %7s  %-4s  %6s  %s\n", "row", "", "ferry", "ZeroMQ", "", "ratio",
	       "min .. max");
	for (size_t i = 0; i < ROWS; i++) {
		if ((!options->only || strcmp(options->only, rows[i].name) == 0) &&
		    !run_row(&rows[i], options, &series))
			return false;
	}
	printf("\nM/s: million messages a second, more is better.  us: microseconds, less is better.  "
	       "Medians of the "
	       "pairs.\nNothing was lost or repeated.  The cache line takes %.0f ns now.\n",
	       probe_round_trip_ns());
	return true;
}

static const char help[] = "Usage: bench-memory [--pairs N] [--quick] [--only ROW]\n"
			   "\n"
			   "  --pairs N    measure each row N times, ferry and ZeroMQ in turn [7]\n"
			   "  --quick      a tenth of the messages\n"
			   "  --only ROW   one row:";

static void print_help(FILE *to)
{
	fputs(help, to);
	for (size_t i = 0; i < ROWS; i++)
		fprintf(to, " %s", rows[i].name);
	fputs("\n", to);
}

static bool is_row(const char *name)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool read_pairs(const char *text, unsigned int *ret)
{
	char *end;
	long pairs = strtol(text, &end, 10);
	*ret = (unsigned int)pairs;
	return !*end && pairs >= 1 && pairs <= PAIRS_MAX;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {{"pairs", required_argument, NULL, 'p'},
						     {"quick", no_argument, NULL, 'q'},
						     {"only", required_argument, NULL, 'o'},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	struct options options = {.pairs = 7};
	int option;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'h') {
			print_help(stdout);
			return 0;
		}
		if (option == '?' || (option == 'o' && !is_row(optarg)) ||
		    (option == 'p' && !read_pairs(optarg, &options.pairs))) {
			print_help(stderr);
			return 2;
		}
		options.quick = options.quick || option == 'q';
		options.only = option == 'o' ? optarg : options.only;
	}
	if (optind < argc) {
		print_help(stderr);
		return 2;
	}
	return run_rows(&options) ? 0 : 1;
}
