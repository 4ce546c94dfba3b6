#include "send.h"

#include "completer.h"
#include "publication.h"
#include "publisher.h"
#include "topic.h"

/* How long after its deadline a transport may still report: it has to, but we do not wait for ever. */
#define REPORT_GRACE_US 1000000

/* ---- waiting for room ---- */

void publishers_wake(struct ferry_bus *bus)
{
	pthread_mutex_lock(&bus->room_lock);
	atomic_fetch_add(&bus->room_generation, 1);
	pthread_cond_broadcast(&bus->room);
	pthread_mutex_unlock(&bus->room_lock);
}

/* Wait until `generation` has passed: there may be room, or the state has changed. */
static bool wait_room(struct ferry_bus *bus, uint64_t generation, int64_t deadline_us)
{
	bool in_time = true;
	pthread_mutex_lock(&bus->room_lock);
	while (in_time && atomic_load(&bus->room_generation) == generation)
		in_time = cond_wait_until(&bus->room, &bus->room_lock, deadline_us);
	pthread_mutex_unlock(&bus->room_lock);
	return in_time;
}

/* May this thread wait?  A handler or a completion may be what makes the room. */
static int may_wait(const struct ferry_bus *bus, const struct topic *topic, const char *what,
		    struct ferry_error *err)
{
	if (inside.bus == bus)
		return fail(err, FERRY_E_AGAIN, "%s: %s, and a %s must not wait for its own work",
			    topic->name, what, inside.what == INSIDE_HANDLER ? "handler" : "completion");
	if (bus->config.full == FERRY_FULL_REJECT)
		return fail(err, FERRY_E_AGAIN, "%s: %s, and full=reject", topic->name, what);
	return 0;
}

/* 0 once messages can be handed over: the bus is started, connected, and not yet stopped. */
int send_usable(struct ferry_bus *bus, struct topic *topic, int64_t deadline_us, struct ferry_error *err)
{
	for (;;) {
		uint64_t generation = atomic_load(&bus->room_generation);
		int state = atomic_load_explicit(&bus->state, memory_order_acquire);
		if (state == FERRY_STATE_READY || state == FERRY_STATE_DISCONNECTED ||
		    (state == FERRY_STATE_STOPPING && inside.bus == bus))
			return topic_resolve(bus, topic, deadline_us, err);
		if (state == FERRY_STATE_OPEN)
			return fail(err, FERRY_E_STATE, "%s: publishing needs ferry_bus_start first",
				    topic->name);
		if (state == FERRY_STATE_FAILED)
			return fail(err, FERRY_E_STATE, "%s: the bus has failed: %s", topic->name,
				    bus->why.text);
		if (state != FERRY_STATE_CONNECTING)
			return fail(err, FERRY_E_STATE, "%s: the bus is stopped", topic->name);
		int code = may_wait(bus, topic, "the bus is not connected yet", err);
		if (code)
			return code;
		if (!wait_room(bus, generation, deadline_us))
			return fail(err, FERRY_E_TIMEDOUT,
				    "%s: not connected before the deadline; nothing was sent", topic->name);
	}
}

/* Around each call of the plugin's publish but the fastest: a stop waits for those inside before it takes the
 * backend apart, and nobody enters afterwards. */
static bool enter(struct ferry_bus *bus)
{
	atomic_fetch_add(&bus->publishing, 1);
	return !atomic_load(&bus->apart);
}

static void leave(struct ferry_bus *bus)
{
	if (atomic_fetch_sub(&bus->publishing, 1) == 1)
		bus_progress(bus);
}

/*
 * Hand over all messages, waiting for room until the deadline.  Returns how many were taken; when these are
 * not all, *ret_code says why.  The caller leaves when it has done what belongs to the call.
 */
static size_t hand_over(struct ferry_bus *bus, struct topic *topic, struct ferry_outgoing *const *outs,
			size_t count, int64_t deadline_us, int *ret_code, struct ferry_error *err)
{
	size_t taken = 0;
	*ret_code = enter(bus) ? 0 : fail(err, FERRY_E_STATE, "%s: the bus is stopped", topic->name);
	while (!*ret_code) {
		uint64_t generation = atomic_load_explicit(&bus->room_generation, memory_order_acquire);
		taken += bus->api->publish(bus->connection, outs + taken, count - taken);
		if (taken == count)
			return taken;
		*ret_code = may_wait(bus, topic, "the transport's queue is full", err);
		if (!*ret_code && atomic_load(&bus->stopping))
			*ret_code = fail(err, FERRY_E_STATE, "%s: the bus is stopped", topic->name);
		bool late = !*ret_code && !wait_room(bus, generation, deadline_us);
		if (late) /* there may be room for one, though not enough to be told */
			taken += bus->api->publish(bus->connection, outs + taken, count - taken);
		if (late && taken == count)
			return taken;
		if (late)
			*ret_code = fail(
				err, FERRY_E_TIMEDOUT,
				"%s: the transport's queue stayed full until the deadline; nothing was sent",
				topic->name);
	}
	return taken;
}

int send_outcome(const struct topic *topic, int result, const char *reason, struct ferry_error *err)
{
	return result ? fail(err, result, "%s: %s", topic->name, reason ? reason : ferry_error_text(result))
		      : 0;
}

/* Count a message that no transport has seen: it is certainly not stored. */
int send_refused(struct ferry_bus *bus, struct topic *topic, int code)
{
	topic_count(bus, topic, code);
	return code;
}

/* ---- waiting for results ---- */

int waiter_begin(struct waiter *waiter, struct ferry_bus *bus, struct ferry_error *err)
{
	*waiter = (struct waiter){.bus = bus, .err = err};
	return cond_init(&waiter->done) ? fail_nomem(err, "publishing") : 0;
}

/* [room_lock] */
static void waiter_add(struct waiter *waiter, struct publication *p)
{
	p->waiter = waiter;
	p->wait_link = &waiter->first;
	p->wait_next = waiter->first;
	if (p->wait_next)
		p->wait_next->wait_link = &p->wait_next;
	waiter->first = p;
	waiter->open++;
}

/* [room_lock] */
static void waiter_remove(struct publication *p)
{
	*p->wait_link = p->wait_next;
	if (p->wait_next)
		p->wait_next->wait_link = p->wait_link;
	p->waiter->open--;
	p->waiter = NULL;
}

/* [room_lock] */
static void waiter_note(struct waiter *waiter, const struct publication *p, int result, const char *reason)
{
	*p->result_slot = result;
	if (!result || waiter->failed)
		return;
	send_outcome(p->topic, result, reason, waiter->err);
	waiter->failed = true;
}

void waiter_complete(struct publication *p)
{
	struct ferry_bus *bus = p->bus;
	pthread_mutex_lock(&bus->room_lock);
	struct waiter *waiter = p->waiter;
	if (waiter) {
		waiter_note(waiter, p, p->result, p->reason);
		waiter_remove(p);
		if (!waiter->open)
			pthread_cond_signal(&waiter->done);
	}
	pthread_mutex_unlock(&bus->room_lock);
	publication_free(p);
}

void waiter_end(struct waiter *waiter, int64_t deadline_us)
{
	struct ferry_bus *bus = waiter->bus;
	int64_t until = deadline_us > INT64_MAX - REPORT_GRACE_US ? INT64_MAX : deadline_us + REPORT_GRACE_US;
	pthread_mutex_lock(&bus->room_lock);
	while (waiter->open && cond_wait_until(&waiter->done, &bus->room_lock, until))
		;
	while (waiter->first) {
		struct publication *p = waiter->first;
		waiter_note(waiter, p, FERRY_E_UNKNOWN, "no result before the deadline");
		waiter_remove(p);
	}
	pthread_mutex_unlock(&bus->room_lock);
	pthread_cond_destroy(&waiter->done);
}

static void fill_out(const struct send *send, struct ferry_outgoing *out)
{
	struct ferry_bus *bus = send->bus;
	out->dedup_id = send->dedup_id;
	out->deadline_us = bus->clock.manual && send->deadline_us != INT64_MAX
				   ? clock_now(&bus->clock) + (send->deadline_us - clock_real())
				   : send->deadline_us;
}

/* A publication for each record, in the waiter's list; returns how many could be made. */
static size_t make_waited(const struct send *send, struct waiter *waiter, const struct ferry_record *records,
			  int32_t *const *results, size_t count, struct publication **made)
{
	struct ferry_bus *bus = send->bus;
	size_t n = 0;
	for (; n < count; n++) {
		struct publication *p = publication_make(bus, PUBLICATION_WAITED, send->topic, &records[n]);
		if (!p)
			break;
		fill_out(send, &p->out);
		p->result_slot = results[n];
		if (publication_own_record(p)) {
			publication_free(p);
			break;
		}
		made[n] = p;
	}
	pthread_mutex_lock(&bus->room_lock);
	for (size_t i = 0; i < n; i++)
		waiter_add(waiter, made[i]);
	pthread_mutex_unlock(&bus->room_lock);
	return n;
}

/* The transport reports from another thread: each message is a publication of its own. */
static void send_waited(const struct send *send, struct waiter *waiter, const struct ferry_record *records,
			int32_t *const *results, size_t count)
{
	struct ferry_bus *bus = send->bus;
	struct publication *made[BATCH_MAX];
	struct ferry_outgoing *outs[BATCH_MAX];
	struct ferry_error why = {.code = 0};
	size_t ready = make_waited(send, waiter, records, results, count, made), taken = 0;
	int code = 0;
	for (size_t i = 0; i < ready; i++)
		outs[i] = &made[i]->out;
	if (ready) {
		taken = hand_over(bus, send->topic, outs, ready, send->deadline_us, &code, &why);
		leave(bus);
	}
	if (!code && ready < count)
		code = fail_nomem(&why, "publishing");
	/* What was not taken has no result to come. */
	pthread_mutex_lock(&bus->room_lock);
	for (size_t i = taken; i < ready; i++)
		waiter_remove(made[i]);
	if (code && !waiter->failed) {
		waiter->failed = true;
		fail(waiter->err, code, "%s", why.text);
	}
	pthread_mutex_unlock(&bus->room_lock);
	for (size_t i = taken; i < ready; i++)
		publication_free(made[i]);
	for (size_t i = taken; i < count; i++)
		*results[i] = send_refused(bus, send->topic, code);
}

/* The transport has the result when publish returns: nothing to allocate and nobody to wait for. */
static void send_immediate(const struct send *send, const struct ferry_record *records,
			   int32_t *const *results, size_t count, bool *told)
{
	struct ferry_outgoing items[BATCH_MAX], *outs[BATCH_MAX];
	struct ferry_destination *destination =
		atomic_load_explicit(&send->topic->destination, memory_order_relaxed);
	outs[0] = items;
	for (size_t i = 0; i < count; i++) {
		items[i] = (struct ferry_outgoing){.size = sizeof items[i], .destination = destination};
		items[i].record = records[i];
		fill_out(send, &items[i]);
		outs[i] = &items[i];
	}
	int code;
	struct ferry_error *err = *told ? NULL : send->err;
	size_t taken = hand_over(send->bus, send->topic, outs, count, send->deadline_us, &code, err);
	leave(send->bus);
	*told = *told || code;
	for (size_t i = 0; i < count; i++) {
		*results[i] = i < taken ? items[i].result : send_refused(send->bus, send->topic, code);
		if (i >= taken)
			continue;
		topic_count(send->bus, send->topic, items[i].result);
		if (items[i].result && !*told)
			*told = send_outcome(send->topic, items[i].result, items[i].reason, send->err) != 0;
	}
}

void send_records(const struct send *send, struct waiter *waiter, const struct ferry_record *records,
		  int32_t *const *results, size_t count)
{
	if (bus_can(send->bus, FERRY_CAP_PUB_IMMEDIATE))
		send_immediate(send, records, results, count, &waiter->failed);
	else
		send_waited(send, waiter, records, results, count);
}

int send_one(const struct send *send, const struct ferry_record *record)
{
	struct waiter waiter;
	int32_t result, *slot = &result;
	bool told = false;
	if (bus_can(send->bus, FERRY_CAP_PUB_IMMEDIATE)) {
		send_immediate(send, record, &slot, 1, &told);
		return result;
	}
	int code = waiter_begin(&waiter, send->bus, send->err);
	if (code)
		return send_refused(send->bus, send->topic, code);
	send_waited(send, &waiter, record, &slot, 1);
	waiter_end(&waiter, send->deadline_us);
	return result;
}

int send_async(const struct send *send, const struct ferry_record *record)
{
	struct ferry_bus *bus = send->bus;
	struct publication *p = publication_make(bus, PUBLICATION_ASYNC, send->topic, record);
	if (!p)
		return send_refused(bus, send->topic, fail_nomem(send->err, "publishing"));
	fill_out(send, &p->out);
	p->done = send->done;
	p->ctx = send->ctx;
	if (publication_own_record(p)) {
		publication_free(p);
		return send_refused(bus, send->topic, fail_nomem(send->err, "publishing"));
	}
	struct ferry_outgoing *out = &p->out;
	int code;
	if (hand_over(bus, send->topic, &out, 1, send->deadline_us, &code, send->err) == 0) {
		leave(bus);
		publication_free(p);
		return send_refused(bus, send->topic, code);
	}
	if (bus_can(bus, FERRY_CAP_PUB_IMMEDIATE))
		publications_complete(bus, &out, 1);
	leave(bus);
	return 0;
}

int publish_record(struct ferry_bus *bus, struct topic *topic, const struct ferry_record *record,
		   struct ferry_view dedup_id, int64_t deadline_us, struct ferry_error *err)
{
	int code = send_usable(bus, topic, deadline_us, err);
	if (code)
		return code;
	struct send send = {
		.bus = bus, .topic = topic, .deadline_us = deadline_us, .dedup_id = dedup_id, .err = err};
	return send_one(&send, record);
}
