#include "pump.h"

#include "pool.h"
#include "route.h"
#include "suspect.h"
#include "thread.h"
#include "verdict.h"

#define FETCH_MAX        256
#define FETCH_TIMEOUT_MS 1000
/* As much as the handlers do in this time is fetched ahead. */
#define AHEAD_US   50000
#define TARGET_MAX 1024
/* After a failed fetch, doubling. */
#define PAUSE_MIN_US 50000
#define PAUSE_MAX_US 5000000

/* How many messages the handlers' queues should hold. [subscription.lock held] */
static uint32_t target_of(const struct subscription *s)
{
	uint64_t target = 0;
	for (const struct handler *h = s->handlers; h; h = h->next) {
		/* Of a handler that has not run yet nothing is known: one at a time. */
		bool known = h->quick_us > 0 || h->batch > 1;
		int64_t each = known ? AHEAD_US / (h->quick_us + 1) : 0;
		target += (uint64_t)h->concurrency * (uint64_t)(each < 1            ? 1
								: each > TARGET_MAX ? TARGET_MAX
										    : each);
	}
	return target > TARGET_MAX ? TARGET_MAX : (uint32_t)target;
}

/* What the subscription may get now; notes whether it would like more. */
static uint32_t credit_of(struct subscription *s, bool open)
{
	pthread_mutex_lock(&s->lock);
	uint32_t ready = subscription_ready(s);
	s->target = target_of(s);
	uint32_t credit = open && ready * 2 <= s->target ? s->target - ready : 0;
	/* What was granted counts down by itself: taking it back would send back what is on its way. */
	if (open && credit < s->credit)
		credit = s->credit < s->target ? s->credit : s->target;
	if (s->max_unsettled > 0) {
		uint64_t most = (uint64_t)s->max_unsettled;
		uint64_t left = s->count.in_flight < most ? most - s->count.in_flight : 0;
		if (credit > left) {
			credit = (uint32_t)left;
			s->stalled = true;
		}
	}
	s->hungry = credit * 2 < s->target;
	pthread_mutex_unlock(&s->lock);
	return credit;
}

static void give_credit(struct group *g)
{
	struct ferry_bus *bus = g->bus;
	atomic_store(&g->granted, true);
	bool open = !suspect_active(bus->suspects) && atomic_load(&g->bytes) < bus->config.memory_budget &&
		    !atomic_load(&bus->stopping);
	for (struct subscription *s = g->subscriptions; s; s = s->next) {
		uint32_t credit = credit_of(s, open);
		if (credit != s->credit) {
			bus->api->credit(s->plugin, credit);
			s->credit = credit;
		}
	}
	if (!open) {
		atomic_store(&g->granted, false);
		suspect_step(bus);
	}
}

/* Count the whole batch before any of it can run: suspects look at these numbers. */
static void count_batch(struct ferry_message *const *messages, int count)
{
	for (int i = 0; i < count; i++) {
		struct ferry_message *m = messages[i];
		message_adopt(m);
		struct subscription *s = m->subscription;
		struct group *g = s->group;
		s->credit -= s->credit > 0;
		atomic_fetch_add(&g->bytes, (int64_t)m->delivery.record.payload.size);
		lease_begin(g, m);
		pthread_mutex_lock(&s->lock);
		s->count.received++;
		s->count.in_flight++;
		pthread_mutex_unlock(&s->lock);
	}
}

static void route_batch(struct group *g, struct ferry_message *const *messages, int count)
{
	for (int i = 0; i < count; i++) {
		struct ferry_message *m = messages[i];
		struct subscription *s = m->subscription;
		pthread_mutex_lock(&s->lock);
		enum route route = route_new(s, m);
		pthread_mutex_unlock(&s->lock);
		if (route == ROUTE_FILTERED)
			delivery_end(g->bus, NULL, m, FERRY_SETTLE_ACK, 0, END_FILTERED);
		/* Once for a run of the same subscription. */
		if (i + 1 == count || messages[i + 1]->subscription != s)
			pool_submit(s);
	}
}

/* Sleep until the bus changes or the time is over. */
static void pause_for(struct ferry_bus *bus, int64_t us)
{
	int64_t until = clock_real() + us;
	pthread_mutex_lock(&bus->lock);
	while (!atomic_load(&bus->stopping) && cond_wait_until(&bus->changed, &bus->lock, until))
		;
	pthread_mutex_unlock(&bus->lock);
}

static void *pump(void *ctx)
{
	struct group *g = ctx;
	struct ferry_bus *bus = g->bus;
	struct ferry_message *messages[FETCH_MAX];
	struct ferry_delivery *deliveries[FETCH_MAX];
	uint32_t spare = 0;
	int64_t pause_us = PAUSE_MIN_US;
	while (!atomic_load(&bus->stopping)) {
		give_credit(g);
		if (spare < FETCH_MAX) {
			uint32_t got;
			struct ferry_message *m = message_pool_take(&bus->messages, FETCH_MAX - spare, &got);
			for (; m; m = m->next)
				messages[spare++] = m;
		}
		for (uint32_t i = 0; i < spare; i++) {
			message_prepare(messages[i]);
			deliveries[i] = &messages[i]->delivery;
		}
		int count = bus->api->fetch(g->source, NULL, deliveries, spare, FETCH_TIMEOUT_MS);
		if (count < 0 || spare == 0) {
			bus_log(bus, FERRY_LOG_WARNING,
				"group %s: fetching failed, tried again in %lld ms: %s", g->name,
				(long long)(pause_us / 1000),
				ferry_error_text(count < 0 ? count : FERRY_E_NOMEM));
			pause_for(bus, pause_us);
			pause_us = pause_us * 2 < PAUSE_MAX_US ? pause_us * 2 : PAUSE_MAX_US;
			continue;
		}
		pause_us = PAUSE_MIN_US;
		count_batch(messages, count);
		route_batch(g, messages, count);
		spare -= (uint32_t)count;
		for (uint32_t i = 0; i < spare; i++)
			messages[i] = messages[(uint32_t)count + i];
	}
	for (uint32_t i = 0; i < spare; i++)
		message_pool_give(&bus->messages, messages[i], messages[i]);
	atomic_store(&g->granted, false);
	return NULL;
}

void pump_feed(struct group *g)
{
	if (atomic_load(&g->pump_running))
		g->bus->api->wakeup(g->source);
}

int pump_start(struct group *g)
{
	/* Before the thread: whoever has a message from it may want to feed it. */
	atomic_store(&g->pump_running, true);
	int error = thread_start(&g->pump, "ferry-pump", pump, g);
	if (error)
		atomic_store(&g->pump_running, false);
	return error;
}

void pump_stop(struct group *g)
{
	if (!atomic_load(&g->pump_running))
		return;
	g->bus->api->wakeup(g->source);
	pthread_join(g->pump, NULL);
	atomic_store(&g->pump_running, false);
}
