/*
 * proxy_test.c - proxy.c between this program's own clients and its own server.
 *
 * Usage: proxy_test PROXY.  The test holds both ends of every connection, and has no threads.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 30000 /* for what must happen */
#define QUIET_MS    300   /* for what must not */
#define LINKS_MAX   400   /* as in proxy.c */

static const char *program;
static pid_t proxy;
static uint16_t port;
static int upstream = -1; /* listens */

#define CHECK(condition, ...) ((condition) ? (void)0 : fail(__LINE__, #condition, __VA_ARGS__))

static void fail(int line, const char *condition, const char *why)
{
	fprintf(stderr, "line %d: %s: %s (errno: %s)\n", line, condition, why, strerror(errno));
	kill(proxy, SIGKILL);
	exit(EXIT_FAILURE);
}

static int64_t now_ms(clockid_t clock)
{
	struct timespec t = {0};

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool wait_for(int fd, short events, int milliseconds)
{
	struct pollfd one = {.fd = fd, .events = events};

	return poll(&one, 1, milliseconds) == 1;
}

/* ---- the ends ---- */

static struct sockaddr_in loopback(uint16_t number)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(number)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static uint16_t listen_upstream(void)
{
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof address;

	upstream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(!bind(upstream, (struct sockaddr *)&address, sizeof address), "no port for the server");
	CHECK(!listen(upstream, 64), "the server cannot listen");
	getsockname(upstream, (struct sockaddr *)&address, &size);
	return ntohs(address.sin_port);
}

/* -1: refused */
static int connect_client(void)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!connect(fd, (struct sockaddr *)&address, sizeof address))
		return fd;
	CHECK(errno == ECONNREFUSED, "another error than a refusal");
	close(fd);
	return -1;
}

static int accept_server(void)
{
	int fd;

	CHECK(wait_for(upstream, POLLIN, DEADLINE_MS), "the proxy has not connected to the server");
	fd = accept(upstream, NULL, NULL);
	CHECK(fd >= 0, "accept");
	return fd;
}

static void connect_both(int fds[2])
{
	fds[0] = connect_client();
	CHECK(fds[0] >= 0, "the proxy refuses");
	fds[1] = accept_server();
}

static void close_both(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static void expect_text(int fd, const char *text)
{
	char got[64] = "";
	size_t size = 0;

	while (size < strlen(text)) {
		ssize_t more;

		CHECK(wait_for(fd, POLLIN, DEADLINE_MS), "nothing comes");
		more = recv(fd, got + size, sizeof got - 1 - size, 0);
		CHECK(more > 0, "the connection has ended");
		size += (size_t)more;
	}
	CHECK(strcmp(got, text) == 0, got);
}

static void send_text(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "send");
}

static void expect_passing(const int fds[2])
{
	send_text(fds[0], "there");
	expect_text(fds[1], "there");
	send_text(fds[1], "and back");
	expect_text(fds[0], "and back");
}

static void expect_end(int fd, bool reset)
{
	char byte;
	ssize_t size;

	CHECK(wait_for(fd, POLLIN, DEADLINE_MS), "the connection goes on");
	size = recv(fd, &byte, 1, 0);
	if (reset)
		CHECK(size < 0 && errno == ECONNRESET, "not a reset");
	else
		CHECK(size == 0, "not an end in order");
}

/* ---- the proxy ---- */

static pid_t run(const char *const words[], int output)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (output >= 0)
			dup2(output, STDOUT_FILENO);
		execv(program, (char *const *)words);
		_exit(127);
	}
	return pid;
}

static int wait_exit(pid_t pid)
{
	int status = 0;

	CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
	CHECK(WIFEXITED(status), "it was ended by a signal");
	return WEXITSTATUS(status);
}

static int try_command(const char *command, const char *argument)
{
	const char *words[] = {"proxy", "--send", "socket", command, argument, NULL};

	return wait_exit(run(words, -1));
}

static void tell(const char *command, const char *argument)
{
	CHECK(try_command(command, argument) == 0, command);
}

static void start_proxy(uint16_t server)
{
	char number[8];
	const char *words[] = {"proxy", "0", number, "socket", NULL};
	char line[64] = "";
	int output[2];
	unsigned chosen = 0;

	snprintf(number, sizeof number, "%u", (unsigned)server);
	CHECK(!pipe(output), "pipe");
	proxy = run(words, output[1]);
	close(output[1]);
	CHECK(wait_for(output[0], POLLIN, DEADLINE_MS), "the proxy says nothing");
	CHECK(read(output[0], line, sizeof line - 1) > 0, "the proxy has not come up");
	CHECK(sscanf(line, "listening on %u", &chosen) == 1, line);
	port = (uint16_t)chosen;
	close(output[0]);
}

/* Nothing comes on fd, and the proxy does not turn in circles meanwhile. */
static void expect_quiet(int fd)
{
	clockid_t its;
	int64_t before;

	CHECK(!clock_getcpuclockid(proxy, &its), "no clock");
	before = now_ms(its);
	CHECK(!wait_for(fd, POLLIN, QUIET_MS), "something came");
	CHECK(now_ms(its) - before < QUIET_MS / 3, "the proxy is busy, with nothing to do");
}

/* ---- what it shows ---- */

static void passes_both_ways_and_ends(void)
{
	int fds[2];

	connect_both(fds);
	expect_passing(fds);
	shutdown(fds[0], SHUT_WR);
	expect_end(fds[1], false);
	send_text(fds[1], "still");
	expect_text(fds[0], "still");
	expect_quiet(fds[0]);
	close(fds[1]);
	expect_end(fds[0], false);
	close(fds[0]);
}

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static size_t send_until_full(int fd)
{
	size_t sent = 0;

	while (wait_for(fd, POLLOUT, QUIET_MS)) {
		unsigned char part[4096];
		ssize_t size;

		for (size_t i = 0; i < sizeof part; i++)
			part[i] = byte_at(sent + i);
		size = send(fd, part, sizeof part, MSG_NOSIGNAL | MSG_DONTWAIT);
		CHECK(size >= 0 || errno == EAGAIN, "send");
		if (size > 0)
			sent += (size_t)size;
		CHECK(sent < (size_t)256 << 20, "the proxy takes whatever comes");
	}
	return sent;
}

static void holds_little_and_loses_nothing(void)
{
	size_t sent;
	size_t got = 0;
	int fds[2];

	connect_both(fds);
	sent = send_until_full(fds[0]);
	expect_quiet(fds[0]);
	shutdown(fds[0], SHUT_WR);
	for (;;) {
		unsigned char part[65536];
		ssize_t size;

		CHECK(wait_for(fds[1], POLLIN, DEADLINE_MS), "the proxy stands still");
		size = recv(fds[1], part, sizeof part, 0);
		CHECK(size >= 0, "recv");
		if (size == 0)
			break;
		for (ssize_t i = 0; i < size; i++)
			CHECK(part[i] == byte_at(got + (size_t)i), "another byte than was sent");
		got += (size_t)size;
	}
	CHECK(got == sent, "bytes are missing");
	close_both(fds);
}

static void cuts_and_heals(void)
{
	int fds[2];

	connect_both(fds);
	tell("cut", NULL);
	expect_end(fds[0], false);
	expect_end(fds[1], false);
	close_both(fds);
	CHECK(connect_client() < 0, "a cut link takes connections");
	tell("cut", NULL);
	CHECK(connect_client() < 0, "a link cut twice takes connections");
	tell("heal", NULL);
	connect_both(fds);
	expect_passing(fds);
	close_both(fds);
}

static void holds_up(void)
{
	int old[2];
	int young[2];
	int gone[2];

	connect_both(old);
	connect_both(gone);
	tell("blackhole", NULL);
	send_text(old[0], "late");
	young[0] = connect_client();
	CHECK(young[0] >= 0, "a black hole refuses");
	send_text(young[0], "later");
	close_both(gone);
	expect_quiet(old[1]);
	expect_quiet(upstream);
	tell("heal", NULL);
	expect_text(old[1], "late");
	young[1] = accept_server();
	expect_text(young[1], "later");
	expect_passing(old);
	expect_passing(young);
	close_both(old);
	close_both(young);
}

static void delays(void)
{
	static const int delay_ms = 200;
	int64_t begin;
	int fds[2];

	connect_both(fds);
	tell("delay", "200");
	for (int side = 0; side < 2; side++) {
		begin = now_ms(CLOCK_MONOTONIC);
		send_text(fds[side], "one ");
		send_text(fds[side], "two");
		expect_text(fds[!side], "one two");
		/* Its clock counts whole milliseconds, and so does ours. */
		CHECK(now_ms(CLOCK_MONOTONIC) - begin >= delay_ms - 2, "too early");
	}
	begin = now_ms(CLOCK_MONOTONIC);
	close(fds[0]);
	expect_end(fds[1], false);
	CHECK(now_ms(CLOCK_MONOTONIC) - begin >= delay_ms - 2, "the end comes too early");
	close(fds[1]);
	tell("heal", NULL);
}

static void resets(void)
{
	int fds[2];

	connect_both(fds);
	tell("reset", NULL);
	expect_end(fds[0], true);
	expect_end(fds[1], true);
	close_both(fds);
	connect_both(fds);
	expect_passing(fds);
	close_both(fds);
}

static void lets_those_beyond_its_limit_wait(void)
{
	static int fds[LINKS_MAX + 1][2];

	for (int i = 0; i < LINKS_MAX; i++)
		connect_both(fds[i]);
	fds[LINKS_MAX][0] = connect_client();
	expect_quiet(upstream);
	close_both(fds[0]);
	fds[LINKS_MAX][1] = accept_server();
	expect_passing(fds[LINKS_MAX]);
	for (int i = 1; i <= LINKS_MAX; i++)
		close_both(fds[i]);
}

static void refuses_what_it_does_not_know(void)
{
	CHECK(try_command("burn", NULL) == 1, "an unknown command");
	CHECK(try_command("delay", NULL) == 1, "a delay of nothing");
	CHECK(try_command("delay", "soon") == 1, "a delay that is no number");
	CHECK(try_command("delay", "0000000000000000000000000000000000000000000000000000000000000001") == 1,
	      "a command that is too long");
}

static void resets_clients_of_a_server_that_is_away(void)
{
	int client;

	close(upstream);
	client = connect_client();
	CHECK(client >= 0, "refused");
	expect_end(client, true);
	close(client);
}

static void ends_when_told(void)
{
	CHECK(!kill(proxy, SIGTERM), "it has died before");
	CHECK(wait_exit(proxy) == 0, "its exit status");
	CHECK(access("socket", F_OK) < 0, "its socket is left behind");
	CHECK(try_command("heal", NULL) == 1, "a command to nobody");
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/proxy_test.XXXXXX";

	program = argc == 2 ? realpath(argv[1], NULL) : NULL;
	CHECK(program, "usage: proxy_test PROXY");
	CHECK(mkdtemp(folder) && !chdir(folder), "no temporary folder");
	start_proxy(listen_upstream());
	passes_both_ways_and_ends();
	holds_little_and_loses_nothing();
	cuts_and_heals();
	holds_up();
	delays();
	resets();
	lets_those_beyond_its_limit_wait();
	refuses_what_it_does_not_know();
	resets_clients_of_a_server_that_is_away();
	ends_when_told();
	rmdir(folder);
	free((char *)program);
	puts("the proxy does what it says");
	return EXIT_SUCCESS;
}
