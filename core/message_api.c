/*
 * message_api.c - the public functions of ferry/message.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core.h"
#include "route.h"
#include "verdict.h"

static struct ferry_bus *bus_of(const struct ferry_message *m)
{
	return m->subscription->group->bus;
}

static const char *text_of(struct ferry_view view)
{
	return view.size ? view.data : "";
}

/* ---- what it carries ---- */

const char *ferry_message_id(const struct ferry_message *message)
{
	return message_id(message);
}

const char *ferry_message_topic(const struct ferry_message *message)
{
	return message->subscription->topic;
}

const char *ferry_message_source(const struct ferry_message *message)
{
	return text_of(message->delivery.record.source);
}

const void *ferry_message_payload(const struct ferry_message *message, size_t *ret_size)
{
	struct ferry_view payload = message->delivery.record.payload;
	if (ret_size)
		*ret_size = payload.size;
	return payload.data ? payload.data : "";
}

const char *ferry_message_content_type(const struct ferry_message *message)
{
	return text_of(message->delivery.record.content_type);
}

int64_t ferry_message_timestamp_us(const struct ferry_message *message)
{
	return message->delivery.record.wall_us;
}

const char *ferry_message_attribute(const struct ferry_message *message, const char *name)
{
	return name ? message_attribute(message, name) : NULL;
}

size_t ferry_message_attribute_count(const struct ferry_message *message)
{
	return message->delivery.record.attribute_count;
}

const struct ferry_attribute *ferry_message_attribute_at(const struct ferry_message *message, size_t index)
{
	const struct ferry_record *r = &message->delivery.record;
	return index < r->attribute_count ? &r->attributes[index] : NULL;
}

const void *ferry_message_key(const struct ferry_message *message, size_t *ret_size)
{
	struct ferry_view key = message->delivery.record.key;
	if (ret_size)
		*ret_size = key.size;
	return key.data;
}

/* A traceparent's trace id is its 32 digits behind the version. */
const char *ferry_message_trace_id(const struct ferry_message *message)
{
	const struct ferry_record *r = &message->delivery.record;
	if (r->trace_id.size)
		return r->trace_id.data;
	if (r->traceparent.size != 55)
		return "";
	struct ferry_message *cache = (struct ferry_message *)(uintptr_t)message;
	pthread_mutex_t *lock = &bus_of(message)->messages.lock;
	pthread_mutex_lock(lock);
	memcpy(cache->trace, (const char *)r->traceparent.data + 3, 32);
	cache->trace[32] = '\0';
	pthread_mutex_unlock(lock);
	return cache->trace;
}

uint32_t ferry_message_attempt(const struct ferry_message *message)
{
	return message->attempt;
}

const char *ferry_message_group(const struct ferry_message *message)
{
	return message->subscription->group->name;
}

size_t ferry_message_position(const struct ferry_message *message, char *buffer, size_t size)
{
	const struct ferry_bus *bus = bus_of(message);
	if (size)
		*buffer = '\0';
	if (!bus->api->position)
		return 0;
	return bus->api->position(message->subscription->group->source, &message->delivery, buffer, size);
}

/* ---- while the handler runs ---- */

int ferry_message_fail(struct ferry_message *message, int code, const char *text)
{
	/* Without a text the verdict finds its own words for the code. */
	if (text)
		message_say_failure(bus_of(message), message, text);
	return code;
}

void ferry_message_retry_after(struct ferry_message *message, int64_t delay_ms)
{
	int64_t most = INT64_MAX / 2000;
	atomic_store_explicit(&message->retry_after_ms,
			      delay_ms < 0      ? -1
			      : delay_ms > most ? most
						: delay_ms,
			      memory_order_relaxed);
}

int ferry_message_cancelled(const struct ferry_message *message)
{
	if (atomic_load(&message->cancelled))
		return 1;
	if (!atomic_load(&bus_of(message)->cancelling))
		return 0;
	/* It has been told: if it gives up now, that is the stop's doing. */
	message_cancel((struct ferry_message *)(uintptr_t)message);
	return 1;
}

int ferry_message_cancel_fd(struct ferry_message *message)
{
	struct ferry_bus *bus = bus_of(message);
	if (bus_guard(bus, NULL))
		return FERRY_E_FORK;
	pthread_mutex_lock(&bus->cancel_lock);
	int fd = atomic_load(&message->cancel_fd);
	if (fd < 0) {
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fd >= 0) {
			message_touch(message);
			atomic_store(&message->cancel_fd, fd);
			LIST_ADD(&bus->cancellable, message, cancel_link);
		}
	}
	pthread_mutex_unlock(&bus->cancel_lock);
	if (fd < 0)
		return FERRY_E_NOMEM;
	/* Cancelled before the descriptor could be seen. */
	if (ferry_message_cancelled(message))
		message_cancel(message);
	return fd;
}

int64_t ferry_message_deadline_us(const struct ferry_message *message)
{
	return atomic_load(&message->deadline_us);
}

int ferry_message_extend(struct ferry_message *message, int64_t more_ms)
{
	struct ferry_bus *bus = bus_of(message);
	if (bus_guard(bus, NULL))
		return FERRY_E_FORK;
	if (more_ms < 0)
		return FERRY_E_INVALID;
	int64_t now = clock_now(&bus->clock), wanted = deadline_after(now, more_ms);
	int64_t deadline = atomic_load(&message->deadline_us);
	/* Never shortened.  An earlier timer of an open message looks at this deadline when it fires. */
	do {
		uint32_t phase = message_phase(message);
		if (deadline <= now || (phase != PHASE_RUNNING && phase != PHASE_OPEN))
			return FERRY_E_STALE;
	} while (deadline < wanted &&
		 !atomic_compare_exchange_strong(&message->deadline_us, &deadline, wanted));
	return 0;
}

/* ---- manual ack ---- */

struct ferry_message *ferry_message_ref(struct ferry_message *message)
{
	atomic_fetch_add(&message->refs, 1);
	return message;
}

void ferry_message_unref(struct ferry_message *message)
{
	if (message && !bus_guard(bus_of(message), NULL))
		message_drop(bus_of(message), NULL, message);
}

/* Win the verdict, from inside the call or after it. */
static int win(struct ferry_message *m)
{
	struct ferry_bus *bus = bus_of(m);
	if (bus_guard(bus, NULL))
		return FERRY_E_FORK;
	if (m->handler->ack != FERRY_ACK_MANUAL)
		return FERRY_E_STATE;
	if (!message_decide(m, PHASE_RUNNING, PHASE_DECIDED) && !message_decide(m, PHASE_OPEN, PHASE_DECIDED))
		return FERRY_E_STALE;
	/* The deadline's timer, if there is one, has a reference. */
	if (timer_cancel(&bus->timers, &m->ack_timer))
		message_drop(bus, NULL, m);
	return 0;
}

int ferry_message_ack(struct ferry_message *message)
{
	int code = win(message);
	if (!code)
		delivery_end(bus_of(message), NULL, message, FERRY_SETTLE_ACK, 0, END_HANDLED);
	return code;
}

static void count_failed(struct ferry_message *m)
{
	pthread_mutex_lock(&m->subscription->lock);
	m->subscription->count.failed++;
	pthread_mutex_unlock(&m->subscription->lock);
}

int ferry_message_nack(struct ferry_message *message, int64_t delay_ms)
{
	int code = win(message);
	if (code)
		return code;
	if (delay_ms >= 0)
		ferry_message_retry_after(message, delay_ms);
	if (!message_has_failure(bus_of(message), message))
		message_set_failure(bus_of(message), message, "the handler asked for another attempt");
	count_failed(message);
	verdict_failed(bus_of(message), NULL, message, FERRY_E_RETRY, REASON_ERROR);
	return 0;
}

int ferry_message_reject(struct ferry_message *message)
{
	int code = win(message);
	if (code)
		return code;
	count_failed(message);
	if (!message_has_failure(bus_of(message), message))
		message_set_failure(bus_of(message), message, "the handler rejected the message");
	verdict_failed(bus_of(message), NULL, message, FERRY_REJECT, REASON_REJECTED);
	return 0;
}

/* ---- decoding ---- */

void ferry_message_set_decoded(struct ferry_message *message, void *object, void (*release)(void *object))
{
	if (message->decoded_release)
		message->decoded_release(message->decoded);
	message_touch(message);
	message->decoded = object;
	message->decoded_release = release;
}

void *ferry_message_decoded(const struct ferry_message *message)
{
	return message->decoded;
}
