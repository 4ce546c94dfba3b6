/*
 * proxy_link.h - one connection through the proxy: a client's socket, a server's, and a flow each way.
 */
#ifndef PROXY_LINK_H
#define PROXY_LINK_H

#include <netinet/in.h>
#include <poll.h>

#include "proxy_flow.h"

enum { CLIENT, SERVER };

/* flows[i] goes from fds[i] to the other. */
struct link {
	int fds[2]; /* the server's is -1 until link_connect */
	struct flow flows[2];
	bool connected;
};

enum link_result { LINK_GOES_ON, LINK_ENDED, LINK_BROKEN };

/* A socket bound to the port, which is set if it was 0; it does not block.  -1: errno. */
int tcp_bind(uint16_t *port);

/* Takes the accepted socket.  NULL: no memory, and the socket is closed. */
struct link *link_create(int client);

/* reset: both sides see ECONNRESET instead of an end. */
void link_destroy(struct link *link, bool reset);

/* Begin to connect to the server. */
bool link_connect(struct link *link, uint16_t upstream);

/* What to poll a side for.  0: not at all, or a hang-up would wake the poller for ever. */
short link_events(const struct link *link, int side, int64_t now_ms);

/* Do what the polls of both sides say can be done; what is read goes on delay_ms later. */
enum link_result link_serve(struct link *link, const struct pollfd polls[2], int64_t now_ms,
			    int64_t delay_ms);

#endif
