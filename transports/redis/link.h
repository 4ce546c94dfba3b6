/*
 * link.h - one connection to the server: connecting, logging in, bytes out, replies in.
 *
 *     DOWN --link_begin--> CONNECTING --> HANDSHAKE (rediss) --> LOGIN --> UP
 *       ^                                                                  |
 *       `-------------- link_fail: closed, with a reason and a time -------'
 *
 * Nothing here waits, but for the calls at the end.  A link belongs to one thread at a time.  hiredis looks
 * up the host, connects and parses; the socket is ours, so that writing raises no SIGPIPE and a program that
 * calls exec does not inherit it.  A reply that comes too late would answer the next command (there are no
 * numbers in the protocol), so whoever loses patience closes the link.
 */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "bytes.h"
#include "reply.h"
#include "tls.h"

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_HANDSHAKE, LINK_LOGIN, LINK_UP };

/* Where to, and as whom; the same for all links of a bus. */
struct link_target {
	const struct ferry_host *host;
	void *core;
	const char *url; /* without secrets */
	char *address;
	int port;
	const char *user, *password; /* "" = none */
	int database;
	struct tls_context *tls; /* NULL = plain */
	const char *tls_name;    /* whom the certificate must name */
	int64_t patience_us;     /* for connecting, and for a reply */
};

struct link {
	const struct link_target *target;
	bool wants_id; /* ask for client_id when logging in */

	enum link_state state;
	int fd;
	struct tls_session *tls;
	bool tls_wants_write;
	struct reply_reader *replies;
	struct bytes out; /* what link_flush sends */
	size_t sent;
	unsigned login;    /* answers to come */
	int64_t client_id; /* 0 = unknown */
	int64_t give_up_at;
	int64_t retry_at, backoff_us;
	uint64_t random;
	struct ferry_error why; /* of the last link_fail */
};

/* Monotonic, real: what the server's time is compared with, and what is slept by. */
int64_t real_us(void);

/* FERRY_E_NOMEM. */
int link_init(struct link *link, const struct link_target *target);
void link_finish(struct link *link);

/* Start connecting; when that fails at once the link is DOWN again. */
void link_begin(struct link *link);
/* Go on as far as it can without waiting; notices when connecting takes too long. */
void link_step(struct link *link);
/* Close it, and say why; `retry_at` is then set, doubling from 50 ms to 5 s, with jitter. */
void link_fail(struct link *link, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for an error reply. */
void link_fail_reply(struct link *link, const char *what, const struct reply *reply);
/* Close it in order: no reason, no pause. */
void link_close(struct link *link);
/* What to poll the socket for. */
short link_events(const struct link *link);

/* UP only.  How many of the bytes were taken, maybe 0; a failure closes the link and returns 0. */
size_t link_send(struct link *link, const void *data, size_t size);
/* Send from `out`; true when nothing is left.  Commands are added to `out` by the caller. */
bool link_flush(struct link *link);
/* Take in what has come; false when the link has failed. */
bool link_receive(struct link *link);
/* The next reply, valid until the next call: NULL when none is complete, or the link has failed. */
const struct reply *link_next(struct link *link);

/* ---- waiting ---- */

/* Wait until the socket is ready, `wake` (a descriptor, or -1) is readable, or real time `until`. */
void link_wait(struct link *link, int wake, int64_t until);
/* Bring it up until real time `until`, or describe why not. */
int link_ensure(struct link *link, int wake, int64_t until, struct ferry_error *err);
/* Send what is in `out` and wait for one reply; NULL: the link has failed, `why` says how. */
const struct reply *link_call(struct link *link, int wake, int64_t until);
/* One more reply to what was sent. */
const struct reply *link_await(struct link *link, int wake, int64_t until);

#endif
