/*
 * io.c - the I/O thread: when a round is due.
 *
 * At once when there is a publish, a fetch that was not looked at, or a source that leaves.  For verdicts
 * alone after commit_interval, or at once when a fetch waits.  And, looked for every poll_interval, when
 * another process has committed or a lease may have run out.  After a failure, again and again.
 */
#include <signal.h>
#include <string.h>

#include "round.h"

#define LOOK_US 200000 /* between two looks for leases that have run out */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* True when a round is due; else when to ask again. [lock] */
static bool is_due(const struct ferry_connection *c, int64_t now, int64_t *ret_until)
{
	bool waiting = c->stopping, urgent = c->queue.count > 0 || c->io.work || c->io.down;
	*ret_until = INT64_MAX;
	if (now < c->io.retry_at) {
		*ret_until = c->io.retry_at;
		return false;
	}
	for (const struct ferry_source *source = c->sources; source; source = source->next) {
		waiting = waiting || (source->wanted && !source->filled);
		urgent = urgent || source->fresh || (source->leaving && !source->left);
		if (!source->left)
			*ret_until = c->io.poll_at;
	}
	if (urgent || (c->dirty && (waiting || now >= c->write_at)))
		return true;
	if (c->dirty)
		*ret_until = earlier(*ret_until, c->write_at);
	return false;
}

/* Look at the file without the write lock: has somebody else committed, or is it time to look at leases? */
static bool poll(struct ferry_connection *c, int64_t now)
{
	struct io *io = &c->io;
	int64_t version = io->version;
	store_version(&io->store, &version);
	bool due = version != io->version || now >= io->look_at;
	io->version = version;
	io->poll_at = now + c->poll_us;
	if (due)
		io->look_at = now + LOOK_US;
	return due;
}

static bool has_ended(const struct ferry_connection *c, int64_t now)
{
	bool all_done = !c->queue.count && !c->dirty && !c->io.work;
	return c->stopping && (all_done || now >= c->stop_at);
}

/* Wait until a round is due; false: the thread must end. [lock] */
static bool wait_until_due(struct ferry_connection *c)
{
	for (;;) {
		int64_t now = pacing_us(), until;
		if (has_ended(c, now))
			return false;
		if (is_due(c, now, &until))
			return true;
		if (until == c->io.poll_at && now >= until) {
			pthread_mutex_unlock(&c->lock);
			bool due = poll(c, now);
			pthread_mutex_lock(&c->lock);
			if (due)
				return true;
			continue;
		}
		c->idle = true;
		pacing_wait(&c->wake, &c->lock, c->stopping ? earlier(until, c->stop_at) : until);
		c->idle = false;
	}
}

static void *io_main(void *connection)
{
	struct ferry_connection *c = connection;
	pthread_mutex_lock(&c->lock);
	while (wait_until_due(c)) {
		struct ferry_source *sources = c->sources;
		size_t publishes = queue_front(&c->queue);
		c->in_round = true;
		pthread_mutex_unlock(&c->lock);
		round_run(c, sources, publishes);
		pthread_mutex_lock(&c->lock);
		c->in_round = false;
		pthread_cond_broadcast(&c->changed);
	}
	size_t left = c->queue.count;
	pthread_mutex_unlock(&c->lock);
	const struct outcome stopped = {.result = FERRY_E_TIMEDOUT,
					.reason =
						"the transport was stopped before the file could be written"};
	queue_fail(c, left, &stopped);
	return NULL;
}

int io_start(struct ferry_connection *c, struct ferry_error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&c->thread, NULL, io_main, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return fail(err, FERRY_E_NOMEM, "the I/O thread cannot be started: %s", strerror(rc));
	c->running = true;
	return 0;
}

void io_stop(struct ferry_connection *c, int64_t deadline_us)
{
	int64_t until = pacing_deadline(c, deadline_us);
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	c->stop_at = until;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	c->running = false;
}
