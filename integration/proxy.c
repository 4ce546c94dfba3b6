/*
 * proxy.c - a link on the loopback that can be cut, held up, slowed down and reset.
 *
 *	client --- PORT [ proxy ] --- UPSTREAM
 *
 *	proxy PORT UPSTREAM SOCKET       run; PORT 0 takes a free one.  Says "listening on PORT".
 *	proxy --send SOCKET COMMAND...   tell a running proxy one of
 *
 *	cut        refuse new connections and close those there are
 *	blackhole  keep connections and accept new ones, but pass nothing on
 *	delay MS   pass everything on, each way MS later
 *	heal       pass everything on at once, as at the beginning
 *	reset      end the connections there are with a TCP reset, now
 *
 * The first four are states, each replacing the one before.  A command is done when --send returns.
 * SIGTERM and SIGINT end the proxy.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proxy_link.h"

#define LINKS_MAX       400 /* beyond, clients wait to be accepted */
#define COMMAND_BYTES   64
#define DELAY_MAX_MS    600000
#define PAUSE_MS        100 /* after an accept that failed for lack of something */
#define ANSWER_DEADLINE 30  /* seconds */

enum mode { PASS, CUT, BLACKHOLE };
enum { POLL_LISTENER, POLL_CONTROL, POLL_COMMANDER, POLL_LINKS };

static struct {
	enum mode mode;
	int64_t delay_ms;
	int64_t paused_until_ms;
	uint16_t port;
	uint16_t upstream;
	int listener; /* while cut: bound, so that the port stays ours, but it does not listen */
	int control;
	int commander; /* who is about to send a command, or -1 */
	char command[COMMAND_BYTES];
	size_t command_size;
	struct link *links[LINKS_MAX];
	size_t link_count;
	struct pollfd polls[POLL_LINKS + 2 * LINKS_MAX];
} proxy = {.listener = -1, .control = -1, .commander = -1};

static volatile sig_atomic_t ended;

static void on_end(int signal)
{
	(void)signal;
	ended = 1;
}

static int64_t read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- listening ---- */

static int local_socket(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof address->sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static bool listen_for_commands(const char *path)
{
	struct sockaddr_un address;
	struct stat old;

	if (stat(path, &old) == 0 && S_ISSOCK(old.st_mode))
		unlink(path);
	proxy.control = local_socket(path, &address);
	if (proxy.control < 0)
		return false;
	fcntl(proxy.control, F_SETFL, O_NONBLOCK);
	return !bind(proxy.control, (struct sockaddr *)&address, sizeof address) && !listen(proxy.control, 4);
}

/* ---- links ---- */

static void remove_link(size_t i, bool reset)
{
	link_destroy(proxy.links[i], reset);
	proxy.links[i] = proxy.links[--proxy.link_count];
}

static void remove_links(bool reset)
{
	while (proxy.link_count)
		remove_link(proxy.link_count - 1, reset);
}

static void accept_link(void)
{
	int fd = accept(proxy.listener, NULL, NULL);

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			proxy.paused_until_ms = read_clock() + PAUSE_MS;
		return;
	}
	proxy.links[proxy.link_count] = link_create(fd);
	if (!proxy.links[proxy.link_count])
		return;
	proxy.link_count++;
	if (proxy.mode == PASS && !link_connect(proxy.links[proxy.link_count - 1], proxy.upstream))
		remove_link(proxy.link_count - 1, true);
}

/* ---- commands ---- */

static bool go_pass(void)
{
	if (proxy.mode == CUT && listen(proxy.listener, SOMAXCONN))
		return false;
	proxy.mode = PASS;
	/* Those that a black hole has accepted. */
	for (size_t i = proxy.link_count; i-- > 0;)
		if (proxy.links[i]->fds[SERVER] < 0 && !link_connect(proxy.links[i], proxy.upstream))
			remove_link(i, true);
	return true;
}

static bool go_cut(void)
{
	remove_links(false);
	proxy.mode = CUT;
	close(proxy.listener);
	proxy.listener = tcp_bind(&proxy.port);
	if (proxy.listener >= 0)
		return true;
	ended = 1; /* without its port it is no use, and must not look alive */
	return false;
}

/* The number, or -1. */
static long read_number(const char *text, long max)
{
	char *end;
	long number = strtol(text, &end, 10);

	return end == text || *end || number < 0 || number > max ? -1 : number;
}

/* NULL: done; else what is wrong. */
static const char *obey(const char *command)
{
	long delay_ms = 0;
	bool done = true;

	if (strcmp(command, "cut") == 0) {
		done = go_cut();
	} else if (strcmp(command, "blackhole") == 0) {
		done = go_pass();
		proxy.mode = BLACKHOLE;
	} else if (strcmp(command, "heal") == 0 || strncmp(command, "delay ", 6) == 0) {
		if (*command == 'd')
			delay_ms = read_number(command + 6, DELAY_MAX_MS);
		if (delay_ms < 0)
			return "delay takes milliseconds, up to 600000";
		proxy.delay_ms = delay_ms;
		done = go_pass();
	} else if (strcmp(command, "reset") == 0) {
		remove_links(true);
	} else {
		return "the commands are cut, blackhole, delay MS, heal and reset";
	}
	return done ? NULL : strerror(errno);
}

static void drop_commander(void)
{
	close(proxy.commander);
	proxy.commander = -1;
}

/* A new one takes the place of one that has not finished its line. */
static void accept_commander(void)
{
	int fd = accept(proxy.control, NULL, NULL);

	if (fd < 0)
		return;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (proxy.commander >= 0)
		drop_commander();
	proxy.commander = fd;
	proxy.command_size = 0;
}

static void read_command(void)
{
	char answer[COMMAND_BYTES * 2];
	const char *wrong;
	char *end;
	ssize_t size = recv(proxy.commander, proxy.command + proxy.command_size,
			    COMMAND_BYTES - proxy.command_size, 0);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size > 0)
		proxy.command_size += (size_t)size;
	end = memchr(proxy.command, '\n', proxy.command_size);
	if (!end && size > 0 && proxy.command_size < COMMAND_BYTES)
		return;
	if (end) {
		*end = '\0';
		wrong = obey(proxy.command);
		snprintf(answer, sizeof answer, "%s\n", wrong ? wrong : "done");
		send(proxy.commander, answer, strlen(answer), MSG_NOSIGNAL);
	}
	drop_commander();
}

/* ---- the loop ---- */

/* Milliseconds until something that waits for its time can go on; -1: nothing does. */
static int64_t next_due(int64_t now)
{
	int64_t next = proxy.paused_until_ms > now ? proxy.paused_until_ms : INT64_MAX;

	for (size_t i = 0; i < proxy.link_count && proxy.mode != BLACKHOLE; i++) {
		for (int side = CLIENT; side <= SERVER; side++) {
			int64_t due = flow_due(&proxy.links[i]->flows[side]);

			/* What is due already waits for its receiver, and that is polled. */
			if (due > now && due < next)
				next = due;
		}
	}
	return next == INT64_MAX ? -1 : next - now;
}

static void set_poll(size_t i, int fd, short events)
{
	proxy.polls[i] = (struct pollfd){.fd = events ? fd : -1, .events = events};
}

static size_t set_polls(int64_t now)
{
	bool accepts = proxy.mode != CUT && proxy.link_count < LINKS_MAX && proxy.paused_until_ms <= now;
	size_t count = POLL_LINKS;

	set_poll(POLL_LISTENER, proxy.listener, accepts ? POLLIN : 0);
	set_poll(POLL_CONTROL, proxy.control, POLLIN);
	set_poll(POLL_COMMANDER, proxy.commander, POLLIN);
	for (size_t i = 0; i < proxy.link_count && proxy.mode != BLACKHOLE; i++)
		for (int side = CLIENT; side <= SERVER; side++)
			set_poll(count++, proxy.links[i]->fds[side], link_events(proxy.links[i], side, now));
	return count;
}

/* Links from the last to the first: the polls are in their order, and one that ends is replaced by the last.
 */
static void serve(void)
{
	int64_t now = read_clock();

	for (size_t i = proxy.link_count; i-- > 0 && proxy.mode != BLACKHOLE;) {
		enum link_result result =
			link_serve(proxy.links[i], &proxy.polls[POLL_LINKS + 2 * i], now, proxy.delay_ms);

		if (result != LINK_GOES_ON)
			remove_link(i, result == LINK_BROKEN);
	}
	if (proxy.polls[POLL_LISTENER].revents)
		accept_link();
	if (proxy.polls[POLL_COMMANDER].revents)
		read_command();
	if (proxy.polls[POLL_CONTROL].revents)
		accept_commander();
}

/* SIGTERM and SIGINT come only while it waits. */
static int run(const char *path)
{
	struct sigaction end = {.sa_handler = on_end};
	sigset_t both;
	sigset_t waiting;

	sigemptyset(&both);
	sigaddset(&both, SIGTERM);
	sigaddset(&both, SIGINT);
	sigprocmask(SIG_BLOCK, &both, &waiting);
	sigdelset(&waiting, SIGTERM);
	sigdelset(&waiting, SIGINT);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	while (!ended) {
		int64_t now = read_clock();
		size_t count = set_polls(now);
		int64_t wait_ms = next_due(now);
		struct timespec wait = {.tv_sec = (time_t)(wait_ms / 1000),
					.tv_nsec = (long)(wait_ms % 1000) * 1000000};

		if (ppoll(proxy.polls, count, wait_ms < 0 ? NULL : &wait, &waiting) >= 0)
			serve();
		else if (errno != EINTR)
			break;
	}
	remove_links(false);
	unlink(path);
	return ended ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the command line ---- */

static int complain(const char *what)
{
	fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
	return EXIT_FAILURE;
}

/* words: ended by NULL */
static int send_command(const char *path, char **words)
{
	struct timeval deadline = {.tv_sec = ANSWER_DEADLINE};
	struct sockaddr_un address;
	char text[COMMAND_BYTES * 2] = "";
	size_t size = 0;
	ssize_t got;
	int fd = local_socket(path, &address);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
		return complain(path);
	for (; *words && size < COMMAND_BYTES; words++)
		size += (size_t)snprintf(text + size, COMMAND_BYTES - size, "%s%c", *words,
					 words[1] ? ' ' : '\n');
	if (size >= COMMAND_BYTES) {
		fprintf(stderr, "proxy: the command is too long\n");
		return EXIT_FAILURE;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
	if (send(fd, text, size, MSG_NOSIGNAL) < 0 ||
	    (got = recv(fd, text, sizeof text - 1, MSG_WAITALL)) < 0)
		return complain(path);
	close(fd);
	text[got] = '\0';
	if (strcmp(text, "done\n") == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "proxy: %s", got ? text : "no answer\n");
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	long port;
	long upstream;

	if (argc > 3 && strcmp(argv[1], "--send") == 0)
		return send_command(argv[2], argv + 3);
	port = argc == 4 ? read_number(argv[1], 65535) : -1;
	upstream = argc == 4 ? read_number(argv[2], 65535) : -1;
	if (port < 0 || upstream < 1) {
		fprintf(stderr, "usage: proxy PORT UPSTREAM SOCKET | proxy --send SOCKET COMMAND...\n");
		return 2;
	}
	proxy.port = (uint16_t)port;
	proxy.upstream = (uint16_t)upstream;
	if (!listen_for_commands(argv[3]))
		return complain(argv[3]);
	proxy.listener = tcp_bind(&proxy.port);
	if (proxy.listener < 0 || listen(proxy.listener, SOMAXCONN))
		return complain(argv[1]);
	printf("listening on %u\n", (unsigned)proxy.port);
	fflush(stdout);
	return run(argv[3]);
}
