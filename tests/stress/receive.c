/*
 * receive.c - handlers that fail now and then, settle here or elsewhere, and remember what they saw.
 */
#include <stdlib.h>
#include <string.h>

#include "stress.h"

#define FAIL_PERCENT      2
#define REJECT_PER_10_000 20

struct parcel {
	struct parcel *next;
	struct ferry_message *message;
	struct receiver *receiver;
};

static struct stamp read_stamp(struct receiver *r, const struct ferry_message *message)
{
	struct stamp stamp;
	size_t size;
	const unsigned char *payload = ferry_message_payload(message, &size);
	CHECK(size >= sizeof(stamp), "%s: a payload of %zu bytes", r->name, size);
	memcpy(&stamp, payload, sizeof(stamp));
	CHECK(stamp.size == size && stamp.sum == stamp_sum(payload + sizeof(stamp), size - sizeof(stamp)),
	      "%s: message %u of publisher %u is damaged", r->name, stamp.sequence, stamp.publisher);
	CHECK(stamp.publisher < PUBLISHERS_MAX && stamp.sequence < MESSAGES_MAX, "%s: a strange message",
	      r->name);
	return stamp;
}

/* Every verdict but a retry comes here, before the message is settled. */
static void note_done(struct receiver *r, const struct ferry_message *message, bool rejected)
{
	struct stamp stamp = read_stamp(r, message);
	unsigned before = atomic_fetch_add(&r->seen[stamp.publisher][stamp.sequence], 1);
	CHECK(before == 0, "%s: message %u of publisher %u came twice", r->name, stamp.sequence,
	      stamp.publisher);
	if (r->round->plan.keyed) {
		uint32_t newest = atomic_exchange(&r->newest[stamp.publisher], stamp.sequence + 1);
		CHECK(newest == stamp.sequence, "%s: publisher %u: message %u after %u messages", r->name,
		      stamp.publisher, stamp.sequence, newest);
	}
	if (rejected)
		atomic_fetch_add(&r->rejected, 1);
	atomic_fetch_add(&r->done, 1);
}

/* 0 = handled, FERRY_REJECT, or a failure.  Depends on message, receiver and attempt: the same in each run.
 */
static int verdict_of(struct receiver *r, const struct ferry_message *message)
{
	struct stamp stamp = read_stamp(r, message);
	uint64_t state = r->round->plan.seed ^ ((uint64_t)stamp.publisher << 40 | stamp.sequence) ^
			 (uint64_t)r->number << 50 ^ (uint64_t)ferry_message_attempt(message) << 56;
	unsigned draw = random_below(&state, 10000);
	if (draw < REJECT_PER_10_000)
		return FERRY_REJECT;
	return draw < FAIL_PERCENT * 100 + REJECT_PER_10_000 ? FERRY_E_RETRY : 0;
}

static int on_message(struct ferry_message *message, void *ctx)
{
	struct receiver *r = ctx;
	int verdict = verdict_of(r, message);
	if (verdict != FERRY_E_RETRY)
		note_done(r, message, verdict == FERRY_REJECT);
	return verdict;
}

/* ---- manual ack: half of the messages are settled here, half on another thread ---- */

static void settle(struct receiver *r, struct ferry_message *message)
{
	int verdict = verdict_of(r, message);
	int code;
	if (verdict != FERRY_E_RETRY)
		note_done(r, message, verdict == FERRY_REJECT);
	if (verdict == FERRY_E_RETRY)
		code = ferry_message_nack(message, 1);
	else
		code = verdict ? ferry_message_reject(message) : ferry_message_ack(message);
	CHECK(code == 0, "%s: settle: %s", r->name, ferry_error_name(code));
	CHECK(ferry_message_ack(message) == FERRY_E_STALE, "%s: a second settle was taken", r->name);
}

static int on_manual_message(struct ferry_message *message, void *ctx)
{
	struct receiver *r = ctx;
	struct settler *settler = &r->round->settler;
	if (read_stamp(r, message).sequence % 2) {
		settle(r, message);
		return 0;
	}
	struct parcel *parcel = malloc(sizeof(*parcel));
	CHECK(parcel, "out of memory");
	*parcel = (struct parcel){.message = ferry_message_ref(message), .receiver = r};
	pthread_mutex_lock(&settler->lock);
	*settler->tail = parcel;
	settler->tail = &parcel->next;
	pthread_cond_signal(&settler->wake);
	pthread_mutex_unlock(&settler->lock);
	return 0;
}

static void *settler_run(void *ctx)
{
	struct settler *s = ctx;
	pthread_mutex_lock(&s->lock);
	while (s->head || !s->stop) {
		if (!s->head) {
			pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		struct parcel *all = s->head;
		s->head = NULL;
		s->tail = &s->head;
		pthread_mutex_unlock(&s->lock);
		while (all) {
			struct parcel *next = all->next;
			settle(all->receiver, all->message);
			ferry_message_unref(all->message);
			free(all);
			all = next;
		}
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void settler_start(struct settler *s)
{
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	s->head = NULL;
	s->tail = &s->head;
	s->stop = false;
	CHECK(pthread_create(&s->thread, NULL, settler_run, s) == 0, "no thread");
}

void settler_stop(struct settler *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
}

/* ---- all receivers of a round ---- */

static void subscribe(struct receiver *r, const struct ferry_handler_options *options)
{
	struct ferry_error err;
	ferry_handler_fn *handler = options->ack == FERRY_ACK_MANUAL ? on_manual_message : on_message;
	CHECK(ferry_subscribe(r->round->bus, "stress", handler, r, options, &err) == 0, "subscribe: %s",
	      err.text);
}

void receivers_subscribe(struct round *round)
{
	const struct plan *plan = &round->plan;
	struct ferry_handler_options options = {
		.size = sizeof(options),
		.ack = plan->manual ? FERRY_ACK_MANUAL : FERRY_ACK_AUTO,
		.order = plan->keyed ? FERRY_ORDER_KEY : FERRY_ORDER_NONE,
		.concurrency = (int32_t)plan->concurrency,
		.initial_backoff_ms = 1,
		.max_backoff_ms = 3,
		.max_retries = 1000,
		.timeout_ms = FERRY_NONE,
		.max_unsettled = (int32_t)plan->max_unsettled,
	};
	round->receiver_count = plan->groups + plan->broadcasts;
	for (unsigned i = 0; i < round->receiver_count; i++) {
		struct receiver *r = &round->receivers[i];
		bool competing = i < plan->groups;
		r->round = round;
		r->number = i;
		snprintf(r->name, sizeof(r->name), "%s%u", competing ? "group" : "broadcast", i);
		options.distribution = competing ? FERRY_COMPETING : FERRY_BROADCAST;
		options.group = competing ? r->name : NULL;
		for (unsigned h = 0; h < (competing ? plan->handlers : 1); h++)
			subscribe(r, &options);
	}
}

void receivers_check(struct round *round)
{
	for (unsigned i = 0; i < round->receiver_count; i++) {
		struct receiver *r = &round->receivers[i];
		for (unsigned p = 0; p < round->plan.publishers; p++)
			for (unsigned n = 0; n < round->plan.messages; n++)
				CHECK(atomic_load(&r->seen[p][n]) == 1,
				      "%s: message %u of publisher %u came %u times", r->name, n, p,
				      atomic_load(&r->seen[p][n]));
	}
}
