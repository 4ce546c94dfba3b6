/*
 * probe.h - how far apart two processors are just now.
 *
 * On virtual machines this changes several times while one looks, and every figure between two threads with
 * it: the table says in which state it was taken.
 */
#ifndef BENCH_MEMORY_PROBE_H
#define BENCH_MEMORY_PROBE_H

/* Nanoseconds for a cache line to another thread and back; 0 when there is only one processor. */
double probe_round_trip_ns(void);

#endif
