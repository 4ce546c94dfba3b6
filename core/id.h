/*
 * id.h - unique ids: a random 64-bit prefix per thread, and a counter.
 *
 * As text, 26 characters of Crockford's base 32 (digits and capital letters without I, L, O, U).
 */
#ifndef CORE_ID_H
#define CORE_ID_H

#include <stdint.h>

#include <ferry/transport.h>

void id_next(uint64_t bits[2]);
void id_format(const uint64_t bits[2], char text[FERRY_ID_TEXT_SIZE]);
/* A random number from the kernel. */
uint64_t id_random(void);

/* How many forks this process is away from the one that loaded the library: grows in each child. */
uint32_t fork_generation(void);

#endif
