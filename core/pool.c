#include "pool.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "completer.h"
#include "thread.h"
#include "verdict.h"
#include "worker.h"

/* ---- the run queue ---- */

/* Called with the pool's lock held. */
static struct subscription *pop(struct pool *pool)
{
	struct subscription *s = pool->head;
	if (!s)
		return NULL;
	pool->head = s->run_next;
	if (!pool->head)
		pool->tail = &pool->head;
	atomic_fetch_sub(&pool->waiting, 1);
	/* From now on a new message queues it again. */
	atomic_store(&s->queued, false);
	return s;
}

static void *work(void *ctx)
{
	struct worker *w = ctx;
	struct ferry_bus *bus = w->bus;
	struct pool *pool = &bus->pool;
	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		struct subscription *s = pop(pool);
		if (s) {
			pthread_mutex_unlock(&pool->lock);
			worker_serve(w, s);
			pthread_mutex_lock(&pool->lock);
			continue;
		}
		atomic_fetch_add(&pool->idle, 1);
		if (atomic_load(&bus->winding_down)) {
			pthread_mutex_unlock(&pool->lock);
			bus_progress(bus);
			pthread_mutex_lock(&pool->lock);
		}
		if (!pool->head && !pool->stop)
			pthread_cond_wait(&pool->wake, &pool->lock);
		atomic_fetch_sub(&pool->idle, 1);
	}
	w->finished = true;
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Called with the pool's lock held. */
static int add_worker(struct ferry_bus *bus)
{
	struct pool *pool = &bus->pool;
	struct worker *w = worker_make(bus);
	if (!w)
		return ENOMEM;
	int error = thread_start(&w->thread, "ferry-worker", work, w);
	if (error) {
		worker_free(w);
		return error;
	}
	w->next = pool->workers;
	pool->workers = w;
	pool->threads++;
	return 0;
}

void pool_signal_caller(struct ferry_bus *bus)
{
	if (bus->pool.event_fd < 0)
		return;
	uint64_t one = 1;
	ssize_t written = write(bus->pool.event_fd, &one, sizeof one);
	(void)written; /* full means readable */
}

void pool_submit(struct subscription *s)
{
	struct ferry_bus *bus = s->group->bus;
	struct pool *pool = &bus->pool;
	if (atomic_exchange(&s->queued, true))
		return;
	pthread_mutex_lock(&pool->lock);
	s->run_next = NULL;
	*pool->tail = s;
	pool->tail = &s->run_next;
	uint32_t waiting = atomic_fetch_add(&pool->waiting, 1) + 1;
	if (pool->caller)
		;
	else if (atomic_load(&pool->idle) >= waiting)
		pthread_cond_signal(&pool->wake);
	else if (!pool->stop && pool->threads - pool->stuck < pool->limit)
		(void)add_worker(bus); /* without a further thread those that there are will come to it */
	else
		pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	pool_signal_caller(bus);
}

bool pool_is_pressed(struct ferry_bus *bus)
{
	return atomic_load_explicit(&bus->pool.waiting, memory_order_relaxed) &&
	       !atomic_load_explicit(&bus->pool.idle, memory_order_relaxed);
}

void pool_stick(struct worker *w, const struct ferry_message *m)
{
	struct pool *pool = &w->bus->pool;
	pthread_mutex_lock(&pool->lock);
	/* The owner clears `current` first and looks at `stuck` afterwards, we the other way round: one of us
	 * sees the other. */
	if (!w->stuck) {
		atomic_store(&w->stuck, true);
		if (atomic_load(&w->current) == m)
			pool->stuck++;
		else
			atomic_store(&w->stuck, false);
	}
	pthread_mutex_unlock(&pool->lock);
}

void pool_unstick(struct worker *w)
{
	struct pool *pool = &w->bus->pool;
	pthread_mutex_lock(&pool->lock);
	if (w->stuck) {
		w->stuck = false;
		pool->stuck--;
	}
	pthread_mutex_unlock(&pool->lock);
}

/* ---- the tick ---- */

void pool_tick(void *ctx)
{
	struct ferry_bus *bus = ctx;
	struct pool *pool = &bus->pool;
	pthread_mutex_lock(&pool->lock);
	struct worker *first = pool->caller ? pool->caller : pool->workers;
	pthread_mutex_unlock(&pool->lock);
	for (struct worker *w = first; w; w = w->next)
		worker_look(w);
}

bool pool_is_idle(struct ferry_bus *bus)
{
	struct pool *pool = &bus->pool;
	pthread_mutex_lock(&pool->lock);
	bool idle = !pool->head && atomic_load(&pool->idle) + pool->stuck >= pool->threads;
	pthread_mutex_unlock(&pool->lock);
	return idle;
}

/* ---- life ---- */

int pool_init(struct ferry_bus *bus)
{
	struct pool *pool = &bus->pool;
	*pool = (struct pool){.event_fd = -1};
	pool->tail = &pool->head;
	bool caller = bus->config.threads == FERRY_THREADS_CALLER;
	pool->limit = caller ? 0 : (uint32_t)bus->config.threads;
	int error = pthread_mutex_init(&pool->lock, NULL);
	if (error)
		return error;
	error = cond_init(&pool->wake);
	if (error) {
		pthread_mutex_destroy(&pool->lock);
		return error;
	}
	if (!caller)
		return 0;
	pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pool->caller = pool->event_fd < 0 ? NULL : worker_make(bus);
	if (pool->caller)
		return 0;
	error = pool->event_fd < 0 ? errno : ENOMEM;
	pool_destroy(bus);
	return error;
}

int pool_start(struct ferry_bus *bus)
{
	struct pool *pool = &bus->pool;
	pthread_mutex_lock(&pool->lock);
	int error = pool->caller || pool->workers ? 0 : add_worker(bus);
	pthread_mutex_unlock(&pool->lock);
	return error;
}

bool pool_stop(struct ferry_bus *bus)
{
	struct pool *pool = &bus->pool;
	bool clean = true;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->wake);
	struct worker *first = pool->workers;
	pthread_mutex_unlock(&pool->lock);
	for (struct worker *w = first; w; w = w->next) {
		if (w->joined)
			continue;
		/* A call that does not return is not waited for. */
		pthread_mutex_lock(&pool->lock);
		bool stuck = !w->finished && w->stuck;
		pthread_mutex_unlock(&pool->lock);
		if (stuck) {
			clean = false;
			continue;
		}
		pthread_join(w->thread, NULL);
		w->joined = true;
	}
	return clean;
}

void pool_destroy(struct ferry_bus *bus)
{
	struct pool *pool = &bus->pool;
	while (pool->workers) {
		struct worker *w = pool->workers;
		pool->workers = w->next;
		worker_free(w);
	}
	if (pool->caller)
		worker_free(pool->caller);
	if (pool->event_fd >= 0)
		close(pool->event_fd);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
}

/* ---- threads=caller ---- */

int ferry_bus_fd(const struct ferry_bus *bus)
{
	int code = bus_guard(bus, NULL);
	if (code)
		return code;
	return bus->pool.event_fd < 0 ? FERRY_E_STATE : bus->pool.event_fd;
}

static int dispatch_ready(struct ferry_bus *bus)
{
	struct pool *pool = &bus->pool;
	uint64_t before = pool->caller->runs;
	int completions = completer_run(bus);
	/* What is submitted from now on makes the descriptor readable again: publishers that go on and on do
	 * not keep the caller here. */
	for (uint32_t waiting = atomic_load(&pool->waiting); waiting; waiting--) {
		pthread_mutex_lock(&pool->lock);
		struct subscription *s = pop(pool);
		pthread_mutex_unlock(&pool->lock);
		if (s)
			worker_serve(pool->caller, s);
		completions += completer_run(bus);
	}
	bus_progress(bus);
	return completions + (int)(pool->caller->runs - before);
}

int ferry_bus_dispatch(struct ferry_bus *bus, int64_t timeout_ms)
{
	int code = bus_guard(bus, NULL);
	if (code)
		return code;
	if (bus->pool.event_fd < 0)
		return FERRY_E_STATE;
	if (inside.bus == bus)
		return FERRY_E_DEADLOCK;
	int64_t deadline = deadline_after(clock_real(), timeout_ms);
	for (;;) {
		int64_t left_ms = deadline == INT64_MAX ? -1 : (deadline - clock_real()) / 1000;
		if (left_ms < 0 && deadline != INT64_MAX)
			left_ms = 0;
		struct pollfd fd = {.fd = bus->pool.event_fd, .events = POLLIN};
		(void)poll(&fd, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
		uint64_t signals;
		ssize_t got = read(bus->pool.event_fd, &signals, sizeof signals);
		(void)got;
		int ran = dispatch_ready(bus);
		if (ran || (deadline != INT64_MAX && clock_real() >= deadline))
			return ran;
	}
}
