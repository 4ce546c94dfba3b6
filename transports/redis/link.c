#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "fault.h"

#define BACKOFF_MIN_US 50000
#define BACKOFF_MAX_US 5000000
#define READ_SIZE      (64 * 1024)
#define KEEP_OUT       ((size_t)1 << 20)

/* The answers of a login, in the order in which they come. */
enum { LOGIN_AUTH = 1 << 0, LOGIN_SELECT = 1 << 1, LOGIN_ID = 1 << 2, LOGIN_PING = 1 << 3 };

int64_t real_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int link_init(struct link *link, const struct link_target *target)
{
	*link = (struct link){.target = target, .fd = -1, .backoff_us = BACKOFF_MIN_US};
	link->out = (struct bytes){.host = target->host, .core = target->core};
	if (getrandom(&link->random, sizeof link->random, 0) != sizeof link->random)
		link->random = (uint64_t)real_us();
	link->random |= 1;
	return 0;
}

void link_finish(struct link *link)
{
	if (!link->target)
		return;
	link_close(link);
	bytes_free(&link->out);
}

void link_close(struct link *link)
{
	if (link->tls)
		tls_end(link->tls);
	link->tls = NULL;
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	reply_reader_free(link->replies);
	link->replies = NULL;
	link->state = LINK_DOWN;
	link->client_id = 0;
	link->sent = 0;
	bytes_clear(&link->out, KEEP_OUT);
}

/* ---- failing ---- */

/* xorshift: George Marsaglia, 2003.  For jitter only. */
static uint64_t next_random(struct link *link)
{
	link->random ^= link->random << 13;
	link->random ^= link->random >> 7;
	link->random ^= link->random << 17;
	return link->random;
}

static void pause_before_next(struct link *link)
{
	/* What has not reached the server must not do so later, behind what the next connection says. */
	const struct linger nothing = {.l_onoff = 1};
	int64_t half = link->backoff_us / 2;
	if (link->fd >= 0)
		(void)setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &nothing, sizeof nothing);
	link_close(link);
	link->retry_at = real_us() + half + (int64_t)(next_random(link) % (uint64_t)half);
	link->backoff_us = link->backoff_us * 2 < BACKOFF_MAX_US ? link->backoff_us * 2 : BACKOFF_MAX_US;
}

void link_fail(struct link *link, int code, const char *format, ...)
{
	char text[400];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	fault(&link->why, code, "%s: %s", link->target->url, text);
	pause_before_next(link);
}

void link_fail_reply(struct link *link, const char *what, const struct reply *reply)
{
	char about[200];
	snprintf(about, sizeof about, "%s: %s", link->target->url, what);
	fault_reply(&link->why, about, reply->text);
	pause_before_next(link);
}

/* The server, or what stands there instead, wants nothing to do with us. */
static void fail_gone(struct link *link, const char *how)
{
	const char *hint = "";
	if (link->state == LINK_LOGIN && link->tls)
		hint = " during the login; it may want a certificate of ours: cert_file and key_file";
	else if (link->state == LINK_LOGIN)
		hint = " during the login; if it expects TLS, write rediss://";
	link_fail(link, FERRY_E_UNREACHABLE, "%s%s", how, hint);
}

static void fail_errno(struct link *link, int error)
{
	fail_gone(link, strerror(error));
}

static void fail_closed(struct link *link)
{
	fail_gone(link, "the server closed the connection");
}

/* It takes too long. */
static void fail_late(struct link *link, const char *until)
{
	link_fail(link, FERRY_E_UNREACHABLE, "no answer %s%s", until,
		  link->state == LINK_HANDSHAKE
			  ? "; if the server does not speak TLS on this port, write redis://"
			  : "");
}

/* ---- coming up ---- */

void link_begin(struct link *link)
{
	const struct link_target *target = link->target;
	int on = 1;
	redisContext *context = redisConnectNonBlock(target->address, target->port);
	link->give_up_at = real_us() + target->patience_us;
	if (!context || context->err) {
		link_fail(link, context ? FERRY_E_UNREACHABLE : FERRY_E_NOMEM, "%s",
			  context ? context->errstr : "out of memory");
		if (context)
			redisFree(context);
		return;
	}
	link->fd = redisFreeKeepFd(context);
	(void)fcntl(link->fd, F_SETFD, FD_CLOEXEC);
	(void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	link->replies = reply_reader_make(target->host, target->core);
	if (!link->replies) {
		link_fail(link, FERRY_E_NOMEM, "out of memory");
		return;
	}
	link->state = LINK_CONNECTING;
}

static void begin_login(struct link *link)
{
	const struct link_target *target = link->target;
	char database[16];
	link->state = LINK_LOGIN;
	link->login = LOGIN_PING;
	if (*target->password) {
		link->login |= LOGIN_AUTH;
		if (*target->user)
			command(&link->out, "AUTH", target->user, target->password, NULL);
		else
			command(&link->out, "AUTH", target->password, NULL);
	}
	if (target->database) {
		link->login |= LOGIN_SELECT;
		snprintf(database, sizeof database, "%d", target->database);
		command(&link->out, "SELECT", database, NULL);
	}
	if (link->wants_id) {
		link->login |= LOGIN_ID;
		command(&link->out, "CLIENT", "ID", NULL);
	}
	command(&link->out, "PING", NULL);
	link_flush(link);
}

static void login_reply(struct link *link, const struct reply *reply)
{
	unsigned answered = link->login & ~(link->login - 1);
	link->login &= ~answered;
	if (answered == LOGIN_ID) {
		/* Without the right to ask it is 0: a read is then not ended early. */
		link->client_id = reply_is_error(reply) ? 0 : reply->integer;
		return;
	}
	if (reply_is_error(reply)) {
		link_fail_reply(link, "logging in", reply);
		return;
	}
	if (!link->login) {
		link->state = LINK_UP;
		link->why.code = 0;
	}
}

static void step_connecting(struct link *link)
{
	struct pollfd poller = {.fd = link->fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof error;
	if (poll(&poller, 1, 0) != 1)
		return;
	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
		fail_errno(link, error ? error : errno);
		return;
	}
	if (!link->target->tls) {
		begin_login(link);
		return;
	}
	link->tls = tls_begin(link->target->tls, link->fd, link->target->tls_name);
	if (link->tls)
		link->state = LINK_HANDSHAKE;
	else
		link_fail(link, FERRY_E_NOMEM, "out of memory");
}

static void step_handshake(struct link *link)
{
	char text[200] = "";
	int result = tls_handshake(link->tls, text, sizeof text);
	link->tls_wants_write = result == TLS_WANT_WRITE;
	if (result == TLS_DONE)
		begin_login(link);
	else if (result == TLS_FAILED && strstr(text, "wrong version number"))
		link_fail(link, FERRY_E_CONFIG, "the server does not speak TLS on this port: write redis://");
	else if (result == TLS_FAILED && strstr(text, "certificate"))
		link_fail(link, FERRY_E_DENIED, "TLS with %s: %s; %s", link->target->tls_name, text,
			  strstr(text, "mismatch") ? "tls_name says whom it must name"
						   : "ca_file names the authorities to trust");
	else if (result == TLS_FAILED)
		link_fail(link, FERRY_E_UNREACHABLE, "TLS with %s: %s", link->target->tls_name, text);
}

void link_step(struct link *link)
{
	if (link->state == LINK_CONNECTING)
		step_connecting(link);
	if (link->state == LINK_HANDSHAKE)
		step_handshake(link);
	if (link->state == LINK_LOGIN && link_flush(link) && link_receive(link)) {
		const struct reply *reply;
		while (link->state == LINK_LOGIN && (reply = link_next(link)))
			login_reply(link, reply);
	}
	if (link->state != LINK_DOWN && link->state != LINK_UP && real_us() >= link->give_up_at) {
		char until[64];
		snprintf(until, sizeof until, "within %lld ms (connect_timeout)",
			 (long long)(link->target->patience_us / 1000));
		fail_late(link, until);
	}
}

short link_events(const struct link *link)
{
	switch (link->state) {
	case LINK_CONNECTING:
		return POLLOUT;
	case LINK_HANDSHAKE:
		return link->tls_wants_write ? POLLOUT : POLLIN;
	default:
		return link->sent < link->out.size ? POLLIN | POLLOUT : POLLIN;
	}
}

/* ---- bytes ---- */

size_t link_send(struct link *link, const void *data, size_t size)
{
	ssize_t sent =
		link->tls ? tls_write(link->tls, data, size) : send(link->fd, data, size, MSG_NOSIGNAL);
	if (sent >= 0)
		return (size_t)sent;
	if (link->tls ? sent != TLS_FAILED : errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	if (link->tls)
		fail_closed(link);
	else
		fail_errno(link, errno);
	return 0;
}

bool link_flush(struct link *link)
{
	if (link->out.failed) {
		link_fail(link, FERRY_E_NOMEM, "out of memory");
		return false;
	}
	while (link->sent < link->out.size) {
		size_t sent = link_send(link, link->out.data + link->sent, link->out.size - link->sent);
		if (!sent)
			return false;
		link->sent += sent;
	}
	link->sent = 0;
	bytes_clear(&link->out, KEEP_OUT);
	return true;
}

/* Bytes, 0 = none now, -1 = failed. */
static ssize_t receive_some(struct link *link, char *data, size_t size)
{
	ssize_t got = link->tls ? tls_read(link->tls, data, size) : recv(link->fd, data, size, 0);
	if (got > 0)
		return got;
	if (got == 0) {
		fail_closed(link);
		return -1;
	}
	if (link->tls ? got != TLS_FAILED : errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	if (link->tls)
		fail_closed(link);
	else
		fail_errno(link, errno);
	return -1;
}

bool link_receive(struct link *link)
{
	char data[READ_SIZE];
	do {
		ssize_t got = receive_some(link, data, sizeof data);
		if (got <= 0)
			return got == 0;
		if (!reply_feed(link->replies, data, (size_t)got)) {
			link_fail(link, FERRY_E_NOMEM, "out of memory for a reply");
			return false;
		}
		/* A short read has emptied the socket; with TLS there may be bytes that no poll announces. */
		if ((size_t)got < sizeof data && !(link->tls && tls_pending(link->tls)))
			return true;
	} while (link->tls);
	return true;
}

const struct reply *link_next(struct link *link)
{
	const struct reply *reply;
	if (link->state != LINK_UP && link->state != LINK_LOGIN)
		return NULL;
	int got = reply_next(link->replies, &reply);
	/* It works, not only to log in. */
	if (got > 0 && link->state == LINK_UP)
		link->backoff_us = BACKOFF_MIN_US;
	if (got > 0)
		return reply;
	if (got < 0 && link->state == LINK_LOGIN)
		link_fail(link, FERRY_E_CONFIG,
			  "what answers there does not speak Redis' protocol; if it expects TLS, write "
			  "rediss://");
	else if (got < 0)
		link_fail(link, FERRY_E_BROKER,
			  "what came is no reply of Redis, or there is no memory for it");
	return NULL;
}

/* ---- waiting ---- */

void link_wait(struct link *link, int wake, int64_t until)
{
	struct pollfd pollers[2] = {{.fd = wake, .events = POLLIN},
				    {.fd = link->fd, .events = link_events(link)}};
	int64_t now = real_us();
	int64_t ms = until > now ? (until - now + 999) / 1000 : 0;
	(void)poll(pollers, 2, ms > 60000 ? 60000 : (int)ms);
}

/* Whether `wake` says that waiting is over. */
static bool is_woken(int wake)
{
	struct pollfd poller = {.fd = wake, .events = POLLIN};
	return wake >= 0 && poll(&poller, 1, 0) == 1;
}

int link_ensure(struct link *link, int wake, int64_t until, struct ferry_error *err)
{
	bool begun = false;
	while (link->state != LINK_UP) {
		if (link->state == LINK_DOWN && begun)
			break;
		if (link->state == LINK_DOWN)
			link_begin(link);
		begun = true;
		link_step(link);
		if (link->state == LINK_UP || link->state == LINK_DOWN)
			continue;
		if (real_us() >= until || is_woken(wake)) {
			/* Why the attempt before failed says more than that this one was cut short. */
			if (link->why.code)
				pause_before_next(link);
			else
				fail_late(link, "before the deadline");
			break;
		}
		link_wait(link, wake, until < link->give_up_at ? until : link->give_up_at);
	}
	if (link->state == LINK_UP)
		return 0;
	if (err)
		*err = link->why;
	return link->why.code;
}

const struct reply *link_await(struct link *link, int wake, int64_t until)
{
	while (link->state == LINK_UP) {
		const struct reply *reply = link_next(link);
		if (reply)
			return reply;
		if (link->state != LINK_UP)
			break;
		if (real_us() >= until || is_woken(wake)) {
			link_fail(link, FERRY_E_TIMEDOUT, "no reply before the deadline");
			break;
		}
		link_wait(link, wake, until);
		link_flush(link);
		if (link->state == LINK_UP)
			link_receive(link);
	}
	return NULL;
}

const struct reply *link_call(struct link *link, int wake, int64_t until)
{
	link_flush(link);
	return link_await(link, wake, until);
}
