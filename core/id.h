/*
 * id.h - unique ids: a random 64-bit prefix per thread, and a counter.
 *
 * As text, 26 characters of Crockford's base 32 (digits and capital letters without I, L, O, U).
 */
#ifndef CORE_ID_H
#define CORE_ID_H

#include <stdatomic.h>
#include <stdint.h>

#include <ferry/transport.h>

/* A thread's series of ids. */
struct id_series {
	uint64_t prefix, counter; /* counter 0: not begun */
	uint32_t made_in;         /* a fork's child must not go on with its parent's series */
};
/* A few bytes of static TLS: reached without a call even from a library that was loaded late. */
extern _Thread_local struct id_series id_series __attribute__((tls_model("initial-exec")));
extern _Atomic uint32_t fork_count;
void id_begin_series(void);

static inline void id_next(uint64_t bits[2])
{
	struct id_series *series = &id_series;
	if (!series->counter || series->made_in != atomic_load_explicit(&fork_count, memory_order_relaxed))
		id_begin_series();
	bits[0] = series->prefix;
	bits[1] = series->counter++;
}
void id_format(const uint64_t bits[2], char text[FERRY_ID_TEXT_SIZE]);
/* A random number from the kernel. */
uint64_t id_random(void);

/* How many forks this process is away from the one that loaded the library: grows in each child.
 * fork_watch is called before the first use. */
void fork_watch(void);
static inline uint32_t fork_generation(void)
{
	return atomic_load_explicit(&fork_count, memory_order_relaxed);
}

#endif
