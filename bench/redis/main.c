/*
 * main.c - ferry's transport for Redis Streams beside hiredis alone, on one server, in one run.
 *
 * Each row is measured in pairs, ferry and hiredis in turn; what counts is the median of the pairs' ratios.
 * Every run begins without the stream, is checked, and deletes what it made.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ferry.h>

#include "server.h"
#include "tally.h"

#define PAIRS_MAX   1000
#define QUICK       20 /* --quick divides the number of messages by this */
#define ENVIRONMENT "FERRY_TEST_REDIS_DIRECT_URL"

static const struct row rows[] = {
	{"publish", "asynchronous, 1000 on their way", ROW_PUBLISH, 100000, 5000},
	{"batch", "1000 at once, all waited for", ROW_BATCH, 100000, 5000},
	{"consume", "a competing handler, acknowledged", ROW_CONSUME, 100000, 5000},
	{"sync", "one by one, each waited for", ROW_SYNC, 5000, 500},
};
#define ROWS (sizeof rows / sizeof rows[0])

struct options {
	unsigned int pairs;
	bool quick;
	const char *only;
};

/* A figure of both sides, and their ratio, over the pairs. */
struct figure {
	double ferry[PAIRS_MAX], raw[PAIRS_MAX], ratio[PAIRS_MAX];
};

typedef bool side_fn(const struct server *server, const struct row *row, struct cost *ret);

/* One run of one side: what it has left behind must be right. */
static bool run_side(const struct server *server, const struct row *row, side_fn *side, struct cost *ret,
		     char ret_shape[SHAPE_MAX])
{
	bool ok = server_clear(server) && (row->kind != ROW_CONSUME || raw_side_fill(server, row)) &&
		  side(server, row, ret) &&
		  server_check_stream(server, row->warmup + row->messages, ret_shape) &&
		  (row->kind != ROW_CONSUME || server_check_group(server));
	return server_clear(server) && ok;
}

static void note(struct figure *figure, unsigned int pair, double ferry, double raw)
{
	figure->ferry[pair] = ferry;
	figure->raw[pair] = raw;
	figure->ratio[pair] = ferry / raw;
}

static bool run_pair(const struct server *server, const struct row *row, struct figure *speed,
		     struct figure *cpu, unsigned int pair)
{
	struct cost ferry, raw;
	char shape[SHAPE_MAX] = "", raw_shape[SHAPE_MAX] = "";
	if (!run_side(server, row, ferry_side_run, &ferry, shape) ||
	    !run_side(server, row, raw_side_run, &raw, raw_shape))
		return false;
	if (strcmp(shape, raw_shape) != 0) {
		fprintf(stderr, "bench-redis: an entry of ferry has%s, one of hiredis%s\n", shape, raw_shape);
		return false;
	}
	if (row->kind == ROW_SYNC)
		note(speed, pair, ferry.wait_us, raw.wait_us);
	else
		note(speed, pair, 1000 / ferry.wall_us, 1000 / raw.wall_us);
	note(cpu, pair, ferry.cpu_us, raw.cpu_us);
	return true;
}

static void print_figure(struct figure *f, unsigned int pairs, const char *unit)
{
	double ratio = median(f->ratio, pairs);
	printf("  %8.2f %8.2f %-3s  %5.2f  %4.2f .. %-5.2f", median(f->ferry, pairs), median(f->raw, pairs),
	       unit, ratio, f->ratio[0], f->ratio[pairs - 1]);
}

static bool run_row(const struct server *server, const struct row *original, const struct options *options)
{
	static struct figure speed, cpu;
	struct row row = *original;
	row.messages /= options->quick ? QUICK : 1;
	row.warmup /= options->quick ? QUICK : 1;
	for (unsigned int pair = 0; pair < options->pairs; pair++) {
		if (!run_pair(server, &row, &speed, &cpu, pair))
			return false;
	}
	printf("%-8s %-34s", row.name, row.title);
	print_figure(&speed, options->pairs, row.kind == ROW_SYNC ? "us" : "k/s");
	print_figure(&cpu, options->pairs, "us");
	printf("\n");
	fflush(stdout);
	return true;
}

static bool run_rows(const struct server *server, const struct options *options)
{
	printf("ferry %s, Redis Streams, beside hiredis %d.%d.%d: %u pairs a row, %d B payloads\n\n",
	       ferry_version(), HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, options->pairs, PAYLOAD);
	printf("%-8s %-34s  %8s %8s %-3s  %5s  %-13s  %8s %8s %-3s  %5s  %s\n", "row", "", "ferry", "hiredis",
	       "", "ratio", "min .. max", "CPU", "hiredis", "", "ratio", "min .. max");
	for (size_t i = 0; i < ROWS; i++) {
		if ((!options->only || strcmp(options->only, rows[i].name) == 0) &&
		    !run_row(server, &rows[i], options))
			return false;
	}
	printf("\nk/s: thousand messages a second, more is better.  us: microseconds that one publish waits, "
	       "less "
	       "is\nbetter.  CPU: microseconds of processor time per message, of all threads of the client, "
	       "less "
	       "is better.\nMedians of the pairs.  Both stored the same fields; nothing was lost or "
	       "repeated.\n");
	return true;
}

/* ---- the command line ---- */

static const char help[] =
	"Usage: bench-redis [--pairs N] [--quick] [--only ROW] [redis://HOST:PORT]\n"
	"\n"
	"  --pairs N    measure each row N times, ferry and hiredis in turn [7]\n"
	"  --quick      a twentieth of the messages\n"
	"  --only ROW   one row: publish, batch, consume or sync\n"
	"\n"
	"The server should do nothing else. Without its address that of " ENVIRONMENT " is taken,\n"
	"which `./dev brokers env` prints.\n";

static bool is_row(const char *name)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool read_options(int argc, char **argv, struct options *ret)
{
	static const struct option long_options[] = {{"pairs", required_argument, NULL, 'p'},
						     {"quick", no_argument, NULL, 'q'},
						     {"only", required_argument, NULL, 'o'},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	int option;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		char nothing[] = "", *end = nothing;
		if (option == 'h') {
			fputs(help, stdout);
			exit(0);
		}
		if (option == '?' || (option == 'o' && !is_row(optarg)))
			return false;
		if (option == 'p')
			ret->pairs = (unsigned int)strtoul(optarg, &end, 10);
		ret->quick = ret->quick || option == 'q';
		ret->only = option == 'o' ? optarg : ret->only;
		if (*end)
			return false;
	}
	return argc - optind <= 1 && ret->pairs >= 1 && ret->pairs <= PAIRS_MAX;
}

int main(int argc, char **argv)
{
	struct options options = {.pairs = 7};
	struct server server;
	if (!read_options(argc, argv, &options)) {
		fputs(help, stderr);
		return 2;
	}
	const char *url = optind < argc ? argv[optind] : getenv(ENVIRONMENT);
	if (!url) {
		fprintf(stderr,
			"bench-redis: where is the server?  Neither an address nor " ENVIRONMENT " was "
			"given\n");
		return 2;
	}
	bool ok = server_open(&server, url) && run_rows(&server, &options);
	server_close(&server);
	return ok ? 0 : 1;
}
