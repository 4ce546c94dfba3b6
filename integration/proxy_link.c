#include "proxy_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void prepare(int fd)
{
	int on = 1;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd >= 0)
		prepare(fd);
	return fd;
}

int tcp_bind(uint16_t *port)
{
	struct sockaddr_in address = loopback(*port);
	socklen_t size = sizeof address;
	int on = 1;
	int fd = tcp_socket();

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) ||
	    getsockname(fd, (struct sockaddr *)&address, &size)) {
		close(fd);
		return -1;
	}
	*port = ntohs(address.sin_port);
	return fd;
}

struct link *link_create(int client)
{
	struct link *link = calloc(1, sizeof *link);

	if (!link) {
		close(client);
		return NULL;
	}
	prepare(client);
	link->fds[CLIENT] = client;
	link->fds[SERVER] = -1;
	if (!flow_init(&link->flows[CLIENT]) || !flow_init(&link->flows[SERVER])) {
		link_destroy(link, true);
		return NULL;
	}
	return link;
}

void link_destroy(struct link *link, bool reset)
{
	struct linger none = {.l_onoff = 1, .l_linger = 0};

	for (int side = CLIENT; side <= SERVER; side++) {
		if (link->fds[side] < 0)
			continue;
		if (reset)
			setsockopt(link->fds[side], SOL_SOCKET, SO_LINGER, &none, sizeof none);
		close(link->fds[side]);
	}
	flow_finish(&link->flows[CLIENT]);
	flow_finish(&link->flows[SERVER]);
	free(link);
}

bool link_connect(struct link *link, uint16_t upstream)
{
	struct sockaddr_in address = loopback(upstream);

	link->fds[SERVER] = tcp_socket();
	return link->fds[SERVER] >= 0 &&
	       (!connect(link->fds[SERVER], (struct sockaddr *)&address, sizeof address) ||
		errno == EINPROGRESS);
}

short link_events(const struct link *link, int side, int64_t now_ms)
{
	short events = 0;

	if (!link->connected)
		return side == SERVER && link->fds[SERVER] >= 0 ? POLLOUT : 0;
	if (flow_has_room(&link->flows[side]))
		events |= POLLIN;
	if (flow_due(&link->flows[!side]) <= now_ms)
		events |= POLLOUT;
	return events;
}

/* Whether the connection to the server, begun before, has come about. */
static enum link_result finish_connect(struct link *link)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(link->fds[SERVER], SOL_SOCKET, SO_ERROR, &error, &size) || error)
		return LINK_BROKEN;
	link->connected = true;
	return LINK_GOES_ON;
}

enum link_result link_serve(struct link *link, const struct pollfd polls[2], int64_t now_ms, int64_t delay_ms)
{
	if (!link->connected)
		return polls[SERVER].revents ? finish_connect(link) : LINK_GOES_ON;
	for (int side = CLIENT; side <= SERVER; side++) {
		struct flow *flow = &link->flows[side];

		if (polls[side].revents & (POLLIN | POLLHUP | POLLERR) &&
		    !flow_read(flow, link->fds[side], now_ms + delay_ms))
			return LINK_BROKEN;
		if (!flow_write(flow, link->fds[!side], now_ms))
			return LINK_BROKEN;
	}
	return link->flows[CLIENT].passed && link->flows[SERVER].passed ? LINK_ENDED : LINK_GOES_ON;
}
