/*
 * sub_run.c - the work of `ferry sub`.
 *
 * One worker handles one message at a time: it writes the line, and what the handler returns settles.  The
 * main thread waits for the end (a signal, the last message, silence, a failure) and stops the bus.
 *
 * Nothing that is not written may count as handled, and nothing after the last message may count as tried. So
 * the call that has met the end does not return before the bus stops, and no other call begins; a message
 * that was not written waits until the bus takes it away, which hands it back as it was.
 */
#include "sub.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ferry/ferry.h>

#include "cli.h"
#include "event.h"
#include "output.h"
#include "stop.h"

#define STOP_MS       2000 /* at half of it a call that waits for the end is called off */
#define STOP_AGAIN_MS 10000
#define UNSETTLED_MAX 10000

enum ending { ENDING_NONE, ENDING_COUNT, ENDING_OUTPUT, ENDING_BUS };

struct sub {
	const struct sub_spec *spec;
	struct ferry_bus *bus;
	struct text line;
	int wake[2]; /* readable: there is an ending */
	int quit[2]; /* readable: the bus stops */

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum ending ending;
	bool stopping, lost;
	bool busy; /* a line is being written */
	uint64_t written;
	int64_t last_ms; /* when the last one was */
};

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Make a pipe's end readable for good. */
static void ring(const int ends[2])
{
	ssize_t size;
	do
		size = write(ends[1], "", 1);
	while (size < 0 && errno == EINTR);
}

/* ---- the bus's threads ---- */

static void end(struct sub *sub, enum ending ending)
{
	pthread_mutex_lock(&sub->mutex);
	bool first = sub->ending == ENDING_NONE;
	if (first)
		sub->ending = ending;
	pthread_mutex_unlock(&sub->mutex);
	if (first)
		ring(sub->wake);
}

static void wait_stopping(struct sub *sub)
{
	pthread_mutex_lock(&sub->mutex);
	while (!sub->stopping)
		pthread_cond_wait(&sub->changed, &sub->mutex);
	pthread_mutex_unlock(&sub->mutex);
}

/* Not written: wait until the bus takes the message away. */
static int leave(struct ferry_message *message, const char *why)
{
	struct pollfd fd = {.fd = ferry_message_cancel_fd(message), .events = POLLIN};
	while (fd.fd >= 0 && poll(&fd, 1, -1) < 0 && errno == EINTR)
		continue;
	return ferry_message_fail(message, FERRY_E_RETRY, why);
}

/* Begin with a message: false when there is an end already. */
static bool begin(struct sub *sub)
{
	pthread_mutex_lock(&sub->mutex);
	bool open = sub->ending == ENDING_NONE && !sub->stopping;
	sub->busy = open;
	pthread_mutex_unlock(&sub->mutex);
	return open;
}

/* Its line is out, or not.  True when it was the last one that was wanted. */
static bool finish(struct sub *sub, bool written)
{
	pthread_mutex_lock(&sub->mutex);
	sub->busy = false;
	sub->last_ms = now_ms();
	sub->written += written;
	bool last = written && sub->written == sub->spec->count;
	pthread_mutex_unlock(&sub->mutex);
	return last;
}

static int on_message(struct ferry_message *message, void *ctx)
{
	struct sub *sub = ctx;
	if (!begin(sub))
		return leave(message, "ferry sub has ended");
	if (!event_write(&sub->line, message)) {
		finish(sub, false);
		return FERRY_E_NOMEM;
	}
	int error = output_write(STDOUT_FILENO, sub->quit[0], sub->line.data, sub->line.size);
	bool last = finish(sub, error == 0);
	if (error) {
		if (error != ECANCELED) {
			cli_error("sub: standard output: %s", strerror(error));
			end(sub, ENDING_OUTPUT);
		}
		return leave(message, "ferry sub could not write it");
	}
	if (last) {
		end(sub, ENDING_COUNT);
		wait_stopping(sub);
	}
	return 0;
}

static void on_state(struct ferry_bus *bus, int state, const struct ferry_error *why, void *ctx)
{
	struct sub *sub = ctx;
	(void)bus;
	if (state == FERRY_STATE_STOPPING) {
		pthread_mutex_lock(&sub->mutex);
		sub->stopping = true;
		pthread_cond_broadcast(&sub->changed);
		pthread_mutex_unlock(&sub->mutex);
		ring(sub->quit);
	} else if (state == FERRY_STATE_DISCONNECTED) {
		sub->lost = true; /* calls of this hook come one after the other */
		cli_error("sub: the connection is lost: %s", why ? why->text : "");
	} else if (state == FERRY_STATE_READY && sub->lost) {
		sub->lost = false;
		cli_error("sub: connected again");
	} else if (state == FERRY_STATE_FAILED) {
		end(sub, ENDING_BUS);
	}
}

/* ---- the main thread ---- */

static int subscribe(struct sub *sub, struct ferry_error *err)
{
	const struct sub_spec *spec = sub->spec;
	/* Not more at hand than are wanted.  It never gives a message up: that is for those who handle it. */
	int32_t unsettled = spec->count && spec->count < UNSETTLED_MAX ? (int32_t)spec->count : UNSETTLED_MAX;
	int code = 0;
	for (char **topic = spec->topics; *topic && !code; topic++)
		code = ferry_subscribe(
			sub->bus, *topic, on_message, sub,
			FERRY_OPTIONS(ferry_handler_options, .group = spec->group,
				      .distribution = spec->broadcast ? FERRY_BROADCAST : FERRY_COMPETING,
				      .start = spec->start, .max_unsettled = unsettled,
				      .max_retries = 1000000, .dlq = FERRY_OFF, .timeout_ms = FERRY_NONE),
			err);
	return code;
}

/* How long to wait: ms, 0 when it was silent for long enough, -1 without limit. */
static int patience_ms(struct sub *sub)
{
	if (!sub->spec->idle_exit_ms)
		return -1;
	pthread_mutex_lock(&sub->mutex);
	int64_t since = sub->busy ? now_ms() : sub->last_ms;
	pthread_mutex_unlock(&sub->mutex);
	int64_t left = since + sub->spec->idle_exit_ms - now_ms();
	return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

static void wait_for_end(struct sub *sub, int stop_fd)
{
	struct pollfd fds[] = {{.fd = stop_fd, .events = POLLIN}, {.fd = sub->wake[0], .events = POLLIN}};
	int patience;
	while ((patience = patience_ms(sub)) != 0) {
		if (poll(fds, 2, patience) > 0)
			return;
	}
}

/* Stop, and tell what became of the messages: true when all is in order. */
static bool stop(struct sub *sub)
{
	struct ferry_error err;
	struct ferry_stop_report report = {.size = sizeof report};
	int code = ferry_bus_stop(sub->bus, STOP_MS, &report, &err);
	if (code == FERRY_E_TIMEDOUT)
		code = ferry_bus_stop(sub->bus, STOP_AGAIN_MS, &report, &err);
	if (code)
		cli_error("sub: %s", err.text);
	char lost[64] = "";
	if (report.dropped)
		snprintf(lost, sizeof lost, ", %" PRIu64 " dropped", report.dropped);
	cli_error("sub: %" PRIu64 " written, %" PRIu64 " handed back%s", sub->written, report.handed_back,
		  lost);
	return code == 0;
}

static int run_on(struct sub *sub, int stop_fd)
{
	const struct sub_spec *spec = sub->spec;
	struct ferry_error err;
	if (subscribe(sub, &err) || ferry_bus_start(sub->bus, CLI_START_MS, &err)) {
		cli_error("sub: %s", err.text);
		return EXIT_FAILED;
	}
	pthread_mutex_lock(&sub->mutex);
	sub->last_ms = now_ms();
	pthread_mutex_unlock(&sub->mutex);
	cli_error("sub: ready");
	wait_for_end(sub, stop_fd);

	if (ferry_bus_state(sub->bus, &err) == FERRY_STATE_FAILED)
		cli_error("sub: %s", err.text);
	bool in_order = stop(sub);
	if (spec->count && sub->written < spec->count)
		in_order = false;
	return in_order && sub->ending != ENDING_OUTPUT && sub->ending != ENDING_BUS ? EXIT_DONE
										     : EXIT_FAILED;
}

static void close_both(const int ends[2])
{
	if (ends[0] >= 0) {
		close(ends[0]);
		close(ends[1]);
	}
}

int sub_run(const struct sub_spec *spec)
{
	struct sub sub = {.spec = spec,
			  .wake = {-1, -1},
			  .quit = {-1, -1},
			  .mutex = PTHREAD_MUTEX_INITIALIZER,
			  .changed = PTHREAD_COND_INITIALIZER};
	struct ferry_error err;
	if (cli_was_closed(STDOUT_FILENO)) {
		cli_error("sub: standard output is closed");
		return EXIT_FAILED;
	}
	int result = EXIT_FAILED, stop_fd = stop_watch();
	if (stop_fd < 0)
		return EXIT_FAILED;
	if (pipe(sub.wake) || pipe(sub.quit)) {
		cli_error("sub: %s", strerror(errno));
	} else {
		sub.bus = ferry_bus_open(spec->url,
					 FERRY_OPTIONS(ferry_bus_options, .service = cli_service(),
						       .log = cli_log, .on_state = on_state, .hook_ctx = &sub,
						       .threads = 1, .clock = FERRY_CLOCK_SYSTEM,
						       .fail_fast = FERRY_ON),
					 &err);
		if (sub.bus)
			result = run_on(&sub, stop_fd);
		else
			cli_error("sub: %s", err.text);
		ferry_bus_close(sub.bus);
	}
	close_both(sub.wake);
	close_both(sub.quit);
	text_finish(&sub.line);
	return result;
}
