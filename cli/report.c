#include "report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "describe.h"

static double per_second(uint64_t count, int64_t ns)
{
	return ns > 0 ? (double)count * 1e9 / (double)ns : 0;
}

static const double percentiles[] = {50, 99, 99.9};
static const char *const percentile_names[] = {"p50", "p99", "p99.9"};

#define PERCENTILES (sizeof percentiles / sizeof percentiles[0])

static double percentile_us(const struct load_result *result, size_t which)
{
	return (double)histogram_percentile(&result->latency, percentiles[which]) / 1000;
}

static void print_rate(const char *what, uint64_t count, int64_t ns, size_t size)
{
	double rate = per_second(count, ns);
	printf("  %-12s %12" PRIu64 "  in %9.3f s  %12.0f /s  %9.1f MB/s\n", what, count, (double)ns / 1e9,
	       rate, rate * (double)size / 1e6);
}

void report_text(const struct load_spec *spec, const struct load_result *r)
{
	const struct ferry_group_stats *a = &r->accounting;
	printf("%s: %" PRIu64 " messages of %zu bytes, %u publisher%s, %u %s handler%s, ", r->transport,
	       spec->messages, spec->size, spec->publishers, spec->publishers == 1 ? "" : "s", spec->handlers,
	       spec->broadcast ? "broadcast" : "competing", spec->handlers == 1 ? "" : "s");
	if (spec->batch == 1)
		printf("single calls\n");
	else
		printf("batches of %u\n", spec->batch);
	print_rate("published", r->published, r->published_ns, spec->size);
	print_rate("handled", r->handled, r->handled_ns, spec->size);
	if (r->latency.count) {
		printf("  latency      ");
		for (size_t i = 0; i < PERCENTILES; i++)
			printf("%s %.1f us  ", percentile_names[i], percentile_us(r, i));
		printf("max %.1f us  (%" PRIu64 " timed%s)\n", (double)r->latency.max / 1000,
		       r->latency.count, spec->rate ? "" : ", queues full");
	}
	printf("  lost %" PRIu64 "  duplicates %" PRIu64 "  rejected %" PRIu64 "  unknown %" PRIu64
	       "  unsent %" PRIu64 "  foreign %" PRIu64 "\n",
	       r->lost, r->duplicates, r->rejected, r->unknown, r->unsent, r->foreign);
	printf("  accounting, warm-up included: received %" PRIu64 " = handled %" PRIu64
	       " + filtered %" PRIu64 " + dead-lettered %" PRIu64 " + dropped %" PRIu64 " + retried %" PRIu64
	       " + handed back %" PRIu64 " + stale %" PRIu64 " + in flight %" PRIu64 "\n",
	       a->received, a->handled, a->filtered, a->dead_lettered, a->dropped, a->retried, a->handed_back,
	       a->stale, a->in_flight);
}

static json_t *integer(uint64_t number)
{
	return json_integer((json_int_t)number);
}

static json_t *rate_json(uint64_t count, int64_t ns, size_t size)
{
	double rate = per_second(count, ns);
	return json_pack("{s:o, s:f, s:f, s:f}", "count", integer(count), "seconds", (double)ns / 1e9,
			 "per_second", rate, "bytes_per_second", rate * (double)size);
}

static json_t *latency_json(const struct load_result *result)
{
	json_t *latency = json_pack("{s:o}", "samples", integer(result->latency.count));
	if (!result->latency.count)
		return latency;
	json_object_set_new(latency, "min", json_real((double)result->latency.min / 1000));
	json_object_set_new(latency, "mean", json_real(histogram_mean(&result->latency) / 1000));
	for (size_t i = 0; i < PERCENTILES; i++)
		json_object_set_new(latency, percentile_names[i], json_real(percentile_us(result, i)));
	json_object_set_new(latency, "max", json_real((double)result->latency.max / 1000));
	return latency;
}

static json_t *accounting_json(const struct ferry_group_stats *a)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "received", integer(a->received),
			 "handled", integer(a->handled), "filtered", integer(a->filtered), "dead_lettered",
			 integer(a->dead_lettered), "dropped", integer(a->dropped), "retried",
			 integer(a->retried), "handed_back", integer(a->handed_back), "stale",
			 integer(a->stale), "in_flight", integer(a->in_flight));
}

void report_json(const struct load_spec *spec, const struct load_result *r)
{
	json_t *json = json_pack(
		"{s:s, s:s, s:o, s:o, s:i, s:i, s:i, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
		"s:o}",
		"ferry", ferry_version(), "transport", r->transport, "messages", integer(spec->messages),
		"size", integer(spec->size), "publishers", (int)spec->publishers, "handlers",
		(int)spec->handlers, "batch", (int)spec->batch, "broadcast", spec->broadcast, "rate",
		integer(spec->rate), "published", rate_json(r->published, r->published_ns, spec->size),
		"handled", rate_json(r->handled, r->handled_ns, spec->size), "latency_us", latency_json(r),
		"lost", integer(r->lost), "duplicates", integer(r->duplicates), "rejected",
		integer(r->rejected), "unknown", integer(r->unknown), "unsent", integer(r->unsent), "foreign",
		integer(r->foreign), "accounting", accounting_json(&r->accounting));
	describe_print_json(json);
	json_decref(json);
}
