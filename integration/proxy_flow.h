/*
 * proxy_flow.h - one direction of a connection through the proxy: bytes that wait until their time.
 *
 * Memory is bounded: a flow that is full takes no more, and TCP slows its sender down.
 */
#ifndef PROXY_FLOW_H
#define PROXY_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_BYTES 131072
#define FLOW_MARKS 256

struct flow {
	unsigned char *bytes;
	size_t begin;
	size_t end;
	/* What was read in one go has one time; marks[first .. first + marks_used) as a ring. */
	struct {
		size_t size;
		int64_t due_ms;
	} marks[FLOW_MARKS];
	size_t first;
	size_t marks_used;
	bool ended;  /* the sender has closed its side */
	bool passed; /* and the receiver has been told */
};

bool flow_init(struct flow *flow);
void flow_finish(struct flow *flow);

/* Whether it can take more from its sender. */
bool flow_has_room(const struct flow *flow);

/* When the oldest bytes may go on, or the end; INT64_MAX: nothing waits. */
int64_t flow_due(const struct flow *flow);

/* Read what is there, to go on at due_ms.  false: the sender is gone. */
bool flow_read(struct flow *flow, int from, int64_t due_ms);

/* Write what may go on by now_ms, as far as the receiver takes it.  false: the receiver is gone. */
bool flow_write(struct flow *flow, int to, int64_t now_ms);

#endif
