#include "accounting.h"

#include <stdio.h>
#include <string.h>
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

int accounting_wait_in_flight(struct ferry_bus *bus, uint64_t count, int64_t timeout_ms,
			      struct ferry_error *err)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int64_t end = ferry_bus_now_us(bus) + timeout_ms * 1000;
	struct ferry_group_stats sum;
	do {
		struct ferry_stats *stats = ferry_stats_take(bus, err);
		if (!stats)
			return FERRY_E_NOMEM;
		sum = ferry_stats_sum(stats, NULL);
		ferry_stats_free(stats);
		nanosleep(&pause, NULL);
	} while (sum.in_flight > count && ferry_bus_now_us(bus) < end);
	return 0;
}

static void print_group(const char *group, const struct ferry_group_stats *sum)
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
		print_group(groups[i], &sum);
	}
	return all_ended(stats, groups, count);
}

static const struct ferry_group_stats *find(const struct ferry_stats *stats, const struct accounting_row *row)
{
	for (size_t i = 0; i < ferry_stats_group_count(stats); i++) {
		const struct ferry_group_stats *group = ferry_stats_group(stats, i);
		if (strcmp(group->topic, row->topic) == 0 && strcmp(group->handler, row->handler) == 0)
			return group;
	}
	return NULL;
}

/* Whether a transport delivers a retry again or the process keeps it differs, and so does `received`; the
 * number of messages does not. */
static bool print_row(const struct accounting_row *row, const struct ferry_group_stats *sum)
{
	if (!sum) {
		printf("   %-25s %-8s is not there\n", row->topic, row->handler);
		return false;
	}
	uint64_t messages = sum->received - sum->retried - sum->handed_back - sum->stale;
	printf("   %-25s %-8s %8d %8d %8d %13d %8d %9d\n", row->topic, row->handler, (int)messages,
	       (int)sum->handled, (int)sum->filtered, (int)sum->dead_lettered, (int)sum->dropped,
	       (int)sum->in_flight);
	return messages == sum->handled + sum->filtered + sum->dead_lettered + sum->dropped &&
	       !sum->in_flight;
}

bool accounting_print_rows(const struct ferry_stats *stats, const struct accounting_row *rows, size_t count)
{
	bool balanced = true;
	printf("   %-25s %-8s %8s %8s %8s %13s %8s %9s\n", "topic", "handler", "messages", "handled",
	       "filtered", "dead-lettered", "dropped", "in flight");
	for (size_t i = 0; i < count; i++)
		balanced = print_row(&rows[i], find(stats, &rows[i])) && balanced;
	return balanced;
}
