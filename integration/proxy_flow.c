#include "proxy_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool flow_init(struct flow *flow)
{
	memset(flow, 0, sizeof *flow);
	flow->bytes = malloc(FLOW_BYTES);
	return flow->bytes != NULL;
}

void flow_finish(struct flow *flow)
{
	free(flow->bytes);
	flow->bytes = NULL;
}

/* The end takes a mark of its own, of no bytes. */
bool flow_has_room(const struct flow *flow)
{
	return !flow->ended && flow->end - flow->begin < FLOW_BYTES && flow->marks_used < FLOW_MARKS;
}

int64_t flow_due(const struct flow *flow)
{
	return flow->marks_used ? flow->marks[flow->first].due_ms : INT64_MAX;
}

static void mark(struct flow *flow, size_t size, int64_t due_ms)
{
	size_t i = (flow->first + flow->marks_used++) % FLOW_MARKS;

	flow->marks[i].size = size;
	flow->marks[i].due_ms = due_ms;
}

static bool try_again(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

bool flow_read(struct flow *flow, int from, int64_t due_ms)
{
	ssize_t size;

	if (!flow_has_room(flow))
		return true;
	if (flow->begin) {
		memmove(flow->bytes, flow->bytes + flow->begin, flow->end - flow->begin);
		flow->end -= flow->begin;
		flow->begin = 0;
	}
	size = recv(from, flow->bytes + flow->end, FLOW_BYTES - flow->end, 0);
	if (size < 0)
		return try_again();
	mark(flow, (size_t)size, due_ms);
	flow->end += (size_t)size;
	flow->ended = size == 0;
	return true;
}

bool flow_write(struct flow *flow, int to, int64_t now_ms)
{
	while (flow_due(flow) <= now_ms) {
		size_t *left = &flow->marks[flow->first].size;
		bool is_end = *left == 0;

		while (*left) {
			ssize_t size = send(to, flow->bytes + flow->begin, *left, MSG_NOSIGNAL);

			if (size < 0)
				return try_again();
			flow->begin += (size_t)size;
			*left -= (size_t)size;
		}
		flow->first = (flow->first + 1) % FLOW_MARKS;
		flow->marks_used--;
		if (is_end) {
			flow->passed = true;
			shutdown(to, SHUT_WR);
		}
	}
	return true;
}
