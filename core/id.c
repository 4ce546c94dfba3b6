#include "id.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/random.h>

#include "clock.h"

/* ---- forks ---- */

static _Atomic uint32_t generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void forked(void)
{
	atomic_fetch_add(&generation, 1);
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forked);
}

uint32_t fork_generation(void)
{
	pthread_once(&fork_once, watch_forks);
	return atomic_load_explicit(&generation, memory_order_relaxed);
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

void id_next(uint64_t bits[2])
{
	static _Thread_local uint64_t prefix, counter;
	static _Thread_local uint32_t made_in;
	uint32_t now = atomic_load_explicit(&generation, memory_order_relaxed);
	/* After a fork the child's thread must not go on with its parent's series. */
	if (!counter || made_in != now) {
		prefix = id_random();
		counter = (id_random() >> 1) | 1;
		made_in = now;
	}
	bits[0] = prefix;
	bits[1] = counter++;
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
