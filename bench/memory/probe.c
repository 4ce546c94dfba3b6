#include "probe.h"

#include <stdatomic.h>
#include <unistd.h>

#include "receiver.h"

#define ROUNDS 5000

struct ball {
	_Alignas(CACHE_LINE) atomic_uint turn; /* odd: the other thread's */
};

static void *answer(void *ctx)
{
	struct ball *ball = ctx;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		while (atomic_load_explicit(&ball->turn, memory_order_acquire) != 2 * i + 1)
			continue;
		atomic_store_explicit(&ball->turn, 2 * i + 2, memory_order_release);
	}
	return NULL;
}

double probe_round_trip_ns(void)
{
	struct ball ball = {0};
	pthread_t thread;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || pthread_create(&thread, NULL, answer, &ball))
		return 0;
	int64_t begin = now_ns();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		atomic_store_explicit(&ball.turn, 2 * i + 1, memory_order_release);
		while (atomic_load_explicit(&ball.turn, memory_order_acquire) != 2 * i + 2)
			continue;
	}
	int64_t end = now_ns();
	pthread_join(thread, NULL);
	return (double)(end - begin) / ROUNDS;
}
