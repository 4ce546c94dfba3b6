/*
 * many_test.c - a thousand subscriptions in one process: all deliver, and threads stay few.
 */
#include <dirent.h>

#include "api_test.h"

#define SUBSCRIPTIONS 1000
#define THREADS_MAX   20

static int threads_now(void)
{
	int count = 0;
	DIR *tasks = opendir("/proc/self/task");
	CHECK(tasks, "/proc/self/task cannot be read");
	for (struct dirent *entry; (entry = readdir(tasks));)
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

static void deliver_to_all(int32_t distribution)
{
	static atomic_int calls[SUBSCRIPTIONS];
	struct ferry_error err = {0};
	struct ferry_bus *bus = open_memory("memory:", NULL);
	char topic[32];
	int most = 0;
	for (int i = 0; i < SUBSCRIPTIONS; i++) {
		atomic_store(&calls[i], 0);
		snprintf(topic, sizeof(topic), "topic.%d", i);
		OK(ferry_subscribe(bus, topic, count_call, &calls[i],
				   FERRY_OPTIONS(ferry_handler_options, .distribution = distribution), &err),
		   &err);
	}
	OK(ferry_bus_start(bus, 0, &err), &err);
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < SUBSCRIPTIONS; i++) {
			snprintf(topic, sizeof(topic), "topic.%d", i);
			struct ferry_publisher *p = open_publisher(bus, topic);
			OK(ferry_publish(p, "x", 1, NULL, &err), &err);
			ferry_publisher_close(p);
		}
		int threads = threads_now();
		most = threads > most ? threads : most;
		for (int i = 0; i < SUBSCRIPTIONS; i++)
			WAIT_FOR(&calls[i], round);
	}
	CHECK(most < THREADS_MAX, "%d threads for %d subscriptions", most, SUBSCRIPTIONS);
	OK(ferry_bus_stop(bus, 5000, NULL, &err), &err);
	for (int i = 0; i < SUBSCRIPTIONS; i++)
		CHECK(atomic_load(&calls[i]) == 3, "topic.%d was delivered %d times", i,
		      atomic_load(&calls[i]));
	ferry_bus_close(bus);
}

static void a_thousand_topics_need_few_threads(void)
{
	deliver_to_all(FERRY_COMPETING);
}

static void a_thousand_broadcast_handlers_need_few_threads(void)
{
	deliver_to_all(FERRY_BROADCAST);
}

const struct api_test many_tests[] = {
	{"a_thousand_topics_need_few_threads", a_thousand_topics_need_few_threads},
	{"a_thousand_broadcast_handlers_need_few_threads", a_thousand_broadcast_handlers_need_few_threads},
	{NULL, NULL},
};
