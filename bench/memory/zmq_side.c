/*
 * zmq_side.c - a row through ZeroMQ inproc, as its guide would have it: PUSH and PULL, or XPUB that does not
 * drop and SUB; zmq_send from the caller's buffer, zmq_recv into the receiver's.
 */
#include <stdio.h>
#include <stdlib.h>

#include <zmq.h>

#include "receiver.h"

#define ENDPOINT "inproc://bench"

struct puller {
	pthread_t thread;
	void *socket;
	struct receiver *receiver;
	unsigned char *buffer;
	bool running;
};

static bool report(const char *what)
{
	fprintf(stderr, "bench-memory: ZeroMQ: %s: %s\n", what, zmq_strerror(zmq_errno()));
	return false;
}

static bool send_single(struct publisher *publisher, unsigned int count)
{
	size_t size = publisher->row->size;
	for (unsigned int i = 0; i < count; i++) {
		if (zmq_send(publisher->side, publisher->buffer + i * size, size, 0) < 0)
			return report("zmq_send");
	}
	return true;
}

/* Receive until the context is shut down, so that a message too many is seen. */
static void *puller_main(void *ctx)
{
	struct puller *puller = ctx;
	size_t size = puller->receiver->row->size;
	for (;;) {
		int got = zmq_recv(puller->socket, puller->buffer, size, 0);
		if (got == (int)size)
			receive(puller->receiver, puller->buffer);
		else if (got >= 0)
			puller->receiver->duplicates++; /* nothing that was sent */
		else if (zmq_errno() == ETERM)
			break;
	}
	zmq_close(puller->socket);
	return NULL;
}

/* A socket whose half of the pipe holds half of the queue. */
static void *make_socket(void *context, int type, const struct row *row, bool bind)
{
	int half = (int)(QUEUE_MESSAGES / row->publishers / 2), yes = 1, no_linger = 0;
	void *socket = zmq_socket(context, type);
	if (!socket)
		return NULL;
	if (zmq_setsockopt(socket, ZMQ_SNDHWM, &half, sizeof half) ||
	    zmq_setsockopt(socket, ZMQ_RCVHWM, &half, sizeof half) ||
	    zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger) ||
	    (type == ZMQ_XPUB && (zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &yes, sizeof yes) ||
				  zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &yes, sizeof yes))) ||
	    (type == ZMQ_SUB && zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0)) ||
	    (bind ? zmq_bind(socket, ENDPOINT) : zmq_connect(socket, ENDPOINT))) {
		zmq_close(socket);
		return NULL;
	}
	return socket;
}

struct sockets {
	void *context;
	void *senders[16];
	struct puller *pullers;
};

/* One receiver binds and the publishers connect to it; with several, the one publisher binds. */
static bool open_sockets(struct sockets *sockets, const struct row *row)
{
	bool broadcast = row->receivers > 1;
	char subscription[8];
	if (broadcast && !(sockets->senders[0] = make_socket(sockets->context, ZMQ_XPUB, row, true)))
		return report("XPUB");
	for (unsigned int i = 0; i < row->receivers; i++) {
		sockets->pullers[i].socket =
			make_socket(sockets->context, broadcast ? ZMQ_SUB : ZMQ_PULL, row, !broadcast);
		if (!sockets->pullers[i].socket)
			return report("SUB or PULL");
		/* XPUB hears of each subscriber (VERBOSE: also of the second); from then on it gets
		 * everything. */
		if (broadcast && zmq_recv(sockets->senders[0], subscription, sizeof subscription, 0) < 0)
			return report("subscription");
	}
	for (unsigned int i = 0; !broadcast && i < row->publishers; i++) {
		sockets->senders[i] = make_socket(sockets->context, ZMQ_PUSH, row, false);
		if (!sockets->senders[i])
			return report("PUSH");
	}
	return true;
}

static bool start_pullers(struct sockets *sockets, const struct row *row, struct receiver *receivers)
{
	for (unsigned int i = 0; i < row->receivers; i++) {
		struct puller *puller = &sockets->pullers[i];
		puller->receiver = &receivers[i];
		puller->buffer = malloc(row->size);
		puller->running =
			puller->buffer && !pthread_create(&puller->thread, NULL, puller_main, puller);
		if (!puller->running)
			return report("thread");
	}
	return true;
}

static void close_sockets(struct sockets *sockets, const struct row *row)
{
	if (sockets->context)
		zmq_ctx_shutdown(sockets->context);
	for (unsigned int i = 0; sockets->pullers && i < row->receivers; i++) {
		struct puller *puller = &sockets->pullers[i];
		if (puller->running)
			pthread_join(puller->thread, NULL);
		else if (puller->socket)
			zmq_close(puller->socket);
		free(puller->buffer);
	}
	for (unsigned int i = 0; i < row->publishers; i++) {
		if (sockets->senders[i])
			zmq_close(sockets->senders[i]);
	}
	if (sockets->context)
		zmq_ctx_term(sockets->context);
	free(sockets->pullers);
}

bool zmq_side_run(const struct row *row, struct outcome *ret)
{
	struct sockets sockets = {.context = zmq_ctx_new(),
				  .pullers = calloc(row->receivers, sizeof(struct puller))};
	struct receiver *receivers = receivers_make(row);
	bool ok = sockets.context && sockets.pullers && receivers && open_sockets(&sockets, row) &&
		  start_pullers(&sockets, row, receivers) &&
		  publish_all(row, receivers, send_single, sockets.senders, ret);
	close_sockets(&sockets, row);
	if (ok)
		receivers_count(row, receivers, ret);
	receivers_free(receivers);
	return ok;
}
