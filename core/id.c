#include "id.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/random.h>

#include "clock.h"

/* ---- forks ---- */

_Atomic uint32_t fork_count;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void forked(void)
{
	atomic_fetch_add(&fork_count, 1);
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forked);
}

void fork_watch(void)
{
	pthread_once(&fork_once, watch_forks);
}

/* ---- ids ---- */

uint64_t id_random(void)
{
	uint64_t value;
	if (getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value)
		return value;
	/* Never seen with a kernel that has booted: times and an address still differ between threads. */
	return (uint64_t)clock_real() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(uintptr_t)&value;
}

_Thread_local struct id_series id_series;

void id_begin_series(void)
{
	id_series.prefix = id_random();
	id_series.counter = (id_random() >> 1) | 1;
	id_series.made_in = fork_generation();
}

void id_format(const uint64_t bits[2], char text[FERRY_ID_TEXT_SIZE])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t high = bits[0], low = bits[1];
	for (int i = 25; i >= 0; i--) {
		text[i] = digits[low & 31];
		low = (low >> 5) | (high << 59);
		high >>= 5;
	}
	text[26] = '\0';
}
