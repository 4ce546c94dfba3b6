#include "accounting.h"

#include <stdio.h>
#include <time.h>

static uint64_t ended(const struct ferry_group_stats *sum)
{
	return sum->handled + sum->filtered + sum->dead_lettered + sum->dropped;
}

static bool all_ended(const struct ferry_stats *stats, const char *const *groups, size_t count)
{
	bool all = true;
	for (; *groups; groups++) {
		struct ferry_group_stats sum = ferry_stats_sum(stats, *groups);
		all = all && ended(&sum) >= count;
	}
	return all;
}

int accounting_wait(struct ferry_bus *bus, const char *const *groups, size_t count, int64_t timeout_ms,
		    struct ferry_error *err)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	int64_t end = ferry_bus_now_us(bus) + timeout_ms * 1000;
	bool all = false;
	while (!all && ferry_bus_now_us(bus) < end) {
		struct ferry_stats *stats = ferry_stats_take(bus, err);
		if (!stats)
			return FERRY_E_NOMEM;
		all = all_ended(stats, groups, count);
		ferry_stats_free(stats);
		if (!all)
			nanosleep(&pause, NULL);
	}
	return 0;
}

static void print_row(const char *group, const struct ferry_group_stats *sum)
{
	printf("%-6s  %8llu  %7llu  %8llu  %13llu  %7llu  %7llu  %11llu  %5llu  %9llu\n", group,
	       (unsigned long long)sum->received, (unsigned long long)sum->handled,
	       (unsigned long long)sum->filtered, (unsigned long long)sum->dead_lettered,
	       (unsigned long long)sum->dropped, (unsigned long long)sum->retried,
	       (unsigned long long)sum->handed_back, (unsigned long long)sum->stale,
	       (unsigned long long)sum->in_flight);
}

bool accounting_print(const struct ferry_stats *stats, const char *const *groups, size_t count)
{
	printf("%-6s  %8s  %7s  %8s  %13s  %7s  %7s  %11s  %5s  %9s\n", "group", "received", "handled",
	       "filtered", "dead-lettered", "dropped", "retried", "handed back", "stale", "in flight");
	for (size_t i = 0; groups[i]; i++) {
		struct ferry_group_stats sum = ferry_stats_sum(stats, groups[i]);
		print_row(groups[i], &sum);
	}
	return all_ended(stats, groups, count);
}
