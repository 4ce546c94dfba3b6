/*
 * faulty.h - the objects of the faulty transport: each stands before the inner transport's own.
 *
 *     core  ->  faulty (one fault)  ->  inner transport
 *           <-  host table (host.c) <-
 */
#ifndef FAULTY_FAULTY_H
#define FAULTY_FAULTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <ferry/bus.h>
#include <ferry/handler.h>
#include <ferry/transport.h>

#include "fault.h"

struct ferry_connection {
	struct ferry_connection *inner;
	const struct ferry_host *host; /* the core's */
	void *core;                    /* what the core gave to create */
	struct ferry_config config;    /* the inner's: the core's, with the inner URL's parts */
	char *inner_url;               /* what the config's parts point into */
	enum fault fault;
	unsigned every;
	atomic_uint count; /* chances for the fault so far */
};

struct ferry_subscription {
	struct ferry_subscription *inner;
	struct ferry_source *source;
	struct ferry_subscription *next;
	void *core;
	char topic[256];
	unsigned index;      /* in the source, from 0 */
	uint32_t credit;     /* what the core still takes; the pump thread's */
	atomic_bool waiting; /* armed while the source is shut */
};

struct ferry_source {
	struct ferry_source *inner;
	struct ferry_connection *connection;
	struct ferry_subscription *subscriptions;
	char group[64];
	int32_t distribution;
	bool first_group;              /* the first group that the process opened */
	atomic_int open;               /* deliveries that are not settled */
	_Atomic int64_t shut_until_us; /* FAULT_RETRY_BLOCKS */
};

/* The inner transport, our zero-filled copy: set once, by entry. */
extern struct ferry_transport inner;
/* The host table that the inner transport is given. */
extern struct ferry_host inner_host;

/* True when this is the fault, and its turn. */
static inline bool fault_hits(struct ferry_connection *c, enum fault fault)
{
	return c->fault == fault && (atomic_fetch_add(&c->count, 1) + 1) % c->every == 0;
}

/* host.c */
void host_init(const struct ferry_host *host);

/* inner.c */
/* Load FAULTY_INNER, or the memory transport that was built beside; false (and a log line) when
 * refused. */
bool inner_load(const struct ferry_host *host);
/* Fill in c->config from the core's and from `url`; `own` is how many settings of the core's are ours. */
int inner_config(struct ferry_connection *c, const struct ferry_config *config, const char *url, size_t own,
		 struct ferry_error *err);

/* publish.c */
size_t faulty_publish(struct ferry_connection *c, struct ferry_outgoing *const *outs, size_t count);
void faulty_dead_letter(struct ferry_source *s, struct ferry_delivery *delivery, struct ferry_outgoing *dead);

/* source.c */
int faulty_source_open(struct ferry_connection *c, const struct ferry_source_spec *spec,
		       struct ferry_source **ret, struct ferry_error *err);
int faulty_subscribe(struct ferry_source *s, const struct ferry_subscription_spec *spec,
		     struct ferry_subscription **ret, struct ferry_error *err);
int faulty_source_start(struct ferry_source *s, int64_t deadline_us, struct ferry_error *err);
int faulty_source_stop(struct ferry_source *s, int64_t deadline_us, struct ferry_source_rest *rest);
void faulty_source_close(struct ferry_source *s);
int faulty_alive(struct ferry_source *s, const struct ferry_delivery *delivery);
size_t faulty_position(struct ferry_source *s, const struct ferry_delivery *delivery, char *buffer,
		       size_t size);
int64_t faulty_lease_ms(struct ferry_source *s);

/* deliver.c */
int faulty_fetch(struct ferry_source *s, struct ferry_subscription *only,
		 struct ferry_delivery *const *deliveries, size_t max, int timeout_ms);
void faulty_credit(struct ferry_subscription *sub, uint32_t count);
void faulty_wakeup(struct ferry_source *s);
int faulty_arm(struct ferry_subscription *sub);

/* settle.c */
void faulty_settle(struct ferry_source *s, struct ferry_settle *settles, size_t count);
void faulty_release(struct ferry_source *s, struct ferry_delivery *const *deliveries, size_t count);
/* The delivery ends in the inner transport, with the verb and flags. Returns its result. */
int settle_inner(struct ferry_source *s, struct ferry_delivery *delivery, int32_t verb, uint32_t flags);
/* A delivery has ended: opens a source that waited for it. */
void settle_ended(struct ferry_source *s);

#endif
