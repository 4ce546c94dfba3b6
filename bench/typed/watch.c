#include <sys/resource.h>
#include <time.h>

#include "side.h"

static double micros(struct timeval time)
{
	return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

struct watch watch_start(void)
{
	struct rusage used;
	struct timespec now;
	getrusage(RUSAGE_SELF, &used);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (struct watch){micros(used.ru_utime) + micros(used.ru_stime),
			      (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3};
}

struct cost watch_stop(const struct watch *watch, uint64_t orders)
{
	struct watch now = watch_start();
	return (struct cost){(now.cpu_us - watch->cpu_us) / (double)orders,
			     (now.wall_us - watch->wall_us) / (double)orders};
}
