/*
 * context.h - the struct behind a case; for fixture.c, buses.c, clock.c, recorder.c and process.c only.
 *
 * Locks: `lock` guards the lists and the recorders' entries; nothing else is called under it.
 */
#ifndef FERRY_CONFORMANCE_CONTEXT_H
#define FERRY_CONFORMANCE_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include "conformance.h"

struct open_publisher {
	struct ferry_publisher *publisher;
	struct open_publisher *next;
};

struct open_bus {
	struct ferry_bus *bus;
	struct open_publisher *publishers;
	struct open_bus *next;
};

struct conformance {
	const struct conformance_settings *settings;
	int number;
	int result_fd; /* -1 in a role */
	uint64_t capabilities;
	char transport[64]; /* its name */
	bool manual;
	_Atomic int64_t manual_us;
	atomic_flag ending; /* the first failure wins */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* an entry was recorded, a process said something */
	struct open_bus *buses;
	struct process *processes;
	struct recorder *recorders;
	struct block *blocks;
};

/* The system's monotonic clock. */
int64_t conformance_real_us(void);
/* Wait on c->changed, with c->lock held, at most until conformance_real_us() is `until_us`. */
void conformance_wait_changed(struct conformance *c, int64_t until_us);

/* Clean-up by the frame, in this order. */
void conformance_end_processes(struct conformance *c);
void conformance_end_recorders(struct conformance *c);
/* Kill what conformance_spawn started, without waiting: for a case that fails. */
void conformance_kill_processes(struct conformance *c);

#endif
