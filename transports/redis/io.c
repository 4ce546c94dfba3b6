/*
 * io.c - the thread that writes: publishes, and the verdicts of every source.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "redis.h"

#define FEW       16 /* links that need no memory */
#define HASTY_MAX 8

struct poll_set {
	struct pollfd few[FEW], *all;
	size_t count, capacity;
};

static void add(const struct ferry_connection *c, struct poll_set *set, int fd, short events)
{
	if (set->count == set->capacity) {
		size_t capacity = set->capacity * 2;
		struct pollfd *more = c->host->alloc(c->core, capacity * sizeof *more);
		if (!more)
			return; /* it is looked at in the next round all the same */
		memcpy(more, set->all, set->count * sizeof *more);
		if (set->all != set->few)
			host_free(c, set->all);
		set->all = more;
		set->capacity = capacity;
	}
	set->all[set->count++] = (struct pollfd){.fd = fd, .events = events};
}

void io_wake(struct ferry_connection *c)
{
	if (atomic_exchange(&c->io_idle, false))
		eventfd_set(c->wake);
}

/* Something came after the round had looked. */
static bool has_work(struct ferry_connection *c)
{
	bool work = false;
	pthread_mutex_lock(&c->lock);
	work = c->publisher.staging && c->publisher.staging->count;
	for (struct ferry_source *source = c->sources; source && !work; source = source->next) {
		pthread_mutex_lock(&source->lock);
		work = source->control.state == LINK_UP && real_us() >= source->write_at &&
		       (source->dirty || source->unblock);
		work = work || (source->control.state == LINK_DOWN && atomic_load(&source->control_wanted));
		pthread_mutex_unlock(&source->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return work;
}

/* Sleep until a socket is ready, somebody wakes us, or real time `until`. */
static void sleep_until(struct ferry_connection *c, struct ferry_source *sources, int64_t until)
{
	struct poll_set set = {.capacity = FEW};
	set.all = set.few;
	atomic_store(&c->io_idle, true);
	/* While there is more to send, replies can wait a few rounds: each look is a system call. */
	c->readable = ++c->hasty >= HASTY_MAX;
	if (c->readable)
		c->hasty = 0;
	if (!has_work(c)) {
		add(c, &set, c->wake, POLLIN);
		add(c, &set, c->publisher.link.fd, link_events(&c->publisher.link));
		for (struct ferry_source *source = sources; source; source = source->next)
			add(c, &set, source->control.fd, link_events(&source->control));
		int64_t now = real_us();
		int64_t ms = until > now ? (until - now + 999) / 1000 : 0;
		(void)poll(set.all, (nfds_t)set.count, ms > 60000 ? 60000 : (int)ms);
		if (set.all[0].revents)
			eventfd_clear(c->wake);
		c->readable = set.all[1].revents != 0;
		c->hasty = 0;
		if (set.all != set.few)
			host_free(c, set.all);
	}
	atomic_store(&c->io_idle, false);
}

/* One look at everything; returns when the next one is due. */
static int64_t run_round(struct ferry_connection *c, struct ferry_source *sources)
{
	int64_t until = publisher_run(c);
	for (struct ferry_source *source = sources; source; source = source->next) {
		int64_t due = verdict_run(source);
		until = due < until ? due : until;
	}
	return until;
}

static bool has_ended(struct ferry_connection *c, int64_t *ret_stop_at)
{
	pthread_mutex_lock(&c->lock);
	bool stopping = c->stopping, open = c->publisher.done < c->publisher.taken;
	*ret_stop_at = stopping ? c->stop_at : INT64_MAX;
	pthread_mutex_unlock(&c->lock);
	return stopping && (!open || real_us() >= *ret_stop_at);
}

static void *io_main(void *connection)
{
	struct ferry_connection *c = connection;
	int64_t stop_at;
	while (!has_ended(c, &stop_at)) {
		pthread_mutex_lock(&c->lock);
		while (c->closing)
			pthread_cond_wait(&c->changed, &c->lock);
		struct ferry_source *sources = c->sources;
		c->in_round = true;
		pthread_mutex_unlock(&c->lock);
		int64_t until = run_round(c, sources);
		sleep_until(c, sources, until < stop_at ? until : stop_at);
		pthread_mutex_lock(&c->lock);
		c->in_round = false;
		if (c->closing)
			pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
	}
	publisher_abandon(c);
	return NULL;
}

/* ---- started and stopped ---- */

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), struct ferry_connection *c,
		 struct ferry_error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		(void)pthread_setname_np(*thread, name);
	return error ? fault(err, FERRY_E_NOMEM, "%s: no thread: %s", c->config->url, strerror(error)) : 0;
}

int io_start(struct ferry_connection *c, struct ferry_error *err)
{
	int code = thread_start(&c->io, "redis-io", io_main, c, err);
	c->io_running = !code;
	return code;
}

void io_stop(struct ferry_connection *c, int64_t until)
{
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	c->stop_at = until;
	pthread_mutex_unlock(&c->lock);
	eventfd_set(c->wake);
	pthread_join(c->io, NULL);
	c->io_running = false;
	link_close(&c->publisher.link);
}
