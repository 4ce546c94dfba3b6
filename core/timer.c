#include "timer.h"

#include "thread.h"

/* ---- the heap ---- */

static struct timer *meld(struct timer *a, struct timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->due_us < a->due_us) {
		struct timer *swap = a;
		a = b;
		b = swap;
	}
	b->previous = a;
	b->sibling = a->child;
	if (a->child)
		a->child->previous = b;
	a->child = b;
	a->sibling = NULL;
	a->previous = NULL;
	return a;
}

/* Pair the children from left to right, then meld the pairs from right to left. */
static struct timer *meld_children(struct timer *first)
{
	struct timer *pairs = NULL;
	while (first) {
		struct timer *a = first, *b = a->sibling;
		first = b ? b->sibling : NULL;
		a->sibling = a->previous = NULL;
		if (b)
			b->sibling = b->previous = NULL;
		struct timer *pair = meld(a, b);
		pair->sibling = pairs;
		pairs = pair;
	}
	struct timer *root = NULL;
	while (pairs) {
		struct timer *next = pairs->sibling;
		pairs->sibling = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

static void heap_remove(struct timers *timers, struct timer *t)
{
	if (t == timers->root) {
		timers->root = meld_children(t->child);
	} else {
		if (t->previous->child == t)
			t->previous->child = t->sibling;
		else
			t->previous->sibling = t->sibling;
		if (t->sibling)
			t->sibling->previous = t->previous;
		timers->root = meld(timers->root, meld_children(t->child));
	}
	t->child = t->sibling = t->previous = NULL;
	t->queued = false;
}

static void heap_insert(struct timers *timers, struct timer *t, int64_t due_us)
{
	t->due_us = due_us;
	t->child = t->sibling = t->previous = NULL;
	t->queued = true;
	timers->root = meld(timers->root, t);
	if (timers->root == t)
		pthread_cond_signal(&timers->wake);
}

/* ---- setting ---- */

void timer_set(struct timers *timers, struct timer *timer, int64_t due_us)
{
	pthread_mutex_lock(&timers->lock);
	if (timer->queued)
		heap_remove(timers, timer);
	heap_insert(timers, timer, due_us);
	pthread_mutex_unlock(&timers->lock);
}

void timer_set_earlier(struct timers *timers, struct timer *timer, int64_t due_us)
{
	pthread_mutex_lock(&timers->lock);
	if (!timer->queued) {
		heap_insert(timers, timer, due_us);
	} else if (due_us < timer->due_us) {
		heap_remove(timers, timer);
		heap_insert(timers, timer, due_us);
	}
	pthread_mutex_unlock(&timers->lock);
}

bool timer_cancel(struct timers *timers, struct timer *timer)
{
	pthread_mutex_lock(&timers->lock);
	bool queued = timer->queued;
	if (queued)
		heap_remove(timers, timer);
	pthread_mutex_unlock(&timers->lock);
	return queued;
}

/* ---- firing ---- */

/* Called with the lock held; gives it up while a timer fires. */
static void fire_due(struct timers *timers)
{
	while (timers->root && timers->root->due_us <= clock_now(timers->clock)) {
		struct timer *t = timers->root;
		heap_remove(timers, t);
		pthread_mutex_unlock(&timers->lock);
		t->fire(t);
		pthread_mutex_lock(&timers->lock);
	}
}

void timers_run(struct timers *timers)
{
	pthread_mutex_lock(&timers->lock);
	fire_due(timers);
	pthread_mutex_unlock(&timers->lock);
	timers->tick(timers->tick_ctx);
}

/* Quiet ticks before the thread goes to sleep for good: a bus with a steady trickle of messages does not pay
 * a wake-up per message. */
#define QUIET_TICKS 10

static void *watch(void *ctx)
{
	struct timers *timers = ctx;
	unsigned quiet = 0;
	pthread_mutex_lock(&timers->lock);
	while (!timers->stop) {
		fire_due(timers);
		if (timers->stop)
			break;
		int64_t until = timers->root ? timers->root->due_us : INT64_MAX;
		quiet = atomic_load(&timers->busy) ? 0 : quiet + 1;
		if (quiet > QUIET_TICKS) {
			atomic_store(&timers->ticking, false);
			/* A worker that became busy before it could see this has counted itself: look again.
			 */
			if (atomic_load(&timers->busy))
				atomic_store(&timers->ticking, true);
			else
				cond_wait_until(&timers->wake, &timers->lock, until);
			if (atomic_load(&timers->busy)) {
				atomic_store(&timers->ticking, true);
				quiet = 0;
			}
			continue;
		}
		int64_t tick = clock_real() + TIMER_TICK_US;
		cond_wait_until(&timers->wake, &timers->lock, until < tick ? until : tick);
		atomic_fetch_add_explicit(&timers->ticks, 1, memory_order_relaxed);
		pthread_mutex_unlock(&timers->lock);
		timers->tick(timers->tick_ctx);
		pthread_mutex_lock(&timers->lock);
	}
	pthread_mutex_unlock(&timers->lock);
	return NULL;
}

void timers_busy(struct timers *timers)
{
	atomic_fetch_add(&timers->busy, 1);
	if (!atomic_load(&timers->ticking)) {
		pthread_mutex_lock(&timers->lock);
		pthread_cond_signal(&timers->wake);
		pthread_mutex_unlock(&timers->lock);
	}
}

void timers_idle(struct timers *timers)
{
	atomic_fetch_sub(&timers->busy, 1);
}

/* ---- life ---- */

int timers_init(struct timers *timers, const struct clock *clock, void (*tick)(void *ctx), void *ctx)
{
	*timers = (struct timers){.clock = clock, .tick = tick, .tick_ctx = ctx};
	atomic_init(&timers->busy, 0);
	atomic_init(&timers->ticking, clock->manual); /* nobody to wake under a manual clock */
	int error = pthread_mutex_init(&timers->lock, NULL);
	if (error)
		return error;
	error = cond_init(&timers->wake);
	if (error)
		pthread_mutex_destroy(&timers->lock);
	return error;
}

int timers_start(struct timers *timers)
{
	if (timers->clock->manual)
		return 0;
	atomic_store(&timers->ticking, true);
	int error = thread_start(&timers->thread, "ferry-timer", watch, timers);
	timers->running = !error;
	return error;
}

void timers_stop(struct timers *timers)
{
	if (!timers->running)
		return;
	pthread_mutex_lock(&timers->lock);
	timers->stop = true;
	pthread_cond_signal(&timers->wake);
	pthread_mutex_unlock(&timers->lock);
	pthread_join(timers->thread, NULL);
	timers->running = false;
}

void timers_destroy(struct timers *timers)
{
	pthread_cond_destroy(&timers->wake);
	pthread_mutex_destroy(&timers->lock);
}
