#include "load_parts.h"

#include <string.h>
#include <time.h>

/* A publisher gives up after so many calls in a row that failed for a reason that could have gone away. */
#define FAILURES_MAX 16

static void sleep_until(int64_t ns)
{
	struct timespec at = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
		continue;
}

static void note_failure(struct feeder *feeder, uint64_t number, int code)
{
	uint64_t bit = UINT64_C(1) << number % 64;
	atomic_fetch_or_explicit(&feeder->load->failed[number / 64], bit, memory_order_relaxed);
	if (code == FERRY_E_UNKNOWN)
		feeder->unknown++;
	else
		feeder->rejected++;
}

/* Publish the first `count` items.  False when going on makes no sense. */
static bool publish(struct feeder *feeder, unsigned int count)
{
	struct ferry_batch_item *items = feeder->items;
	struct ferry_error err; /* left alone on success: no cost there */
	int code;
	if (feeder->load->spec->batch == 1)
		code = items->result =
			ferry_publish(feeder->publisher, items->payload, items->payload_size, NULL, &err);
	else
		code = ferry_publish_batch(feeder->publisher, items, count, 0, &err);
	if (!code) {
		feeder->failures = 0;
		return true;
	}
	if (!feeder->error.code)
		feeder->error = err;
	if (code == FERRY_E_AGAIN) /* full=reject: this is what is being measured */
		return true;
	return ferry_error_retriable(code) && ++feeder->failures < FAILURES_MAX;
}

/* Write the head of the item's payload, and its stamp when it is in the sample. */
static void prepare(struct feeder *feeder, unsigned int item, uint64_t number, uint64_t flags,
		    int64_t planned)
{
	struct load *load = feeder->load;
	uint64_t word = load->run << WORD_RUN_SHIFT | flags | number;
	if (!(flags & WORD_WARMUP) && number == feeder->next_sample) {
		int64_t stamp = planned ? planned : load_now_ns();
		_Atomic int64_t *slot = &load->stamps[number / load->spec->sample];
		atomic_store_explicit(slot, stamp, memory_order_relaxed);
		feeder->next_sample += load->spec->sample;
		word |= WORD_STAMPED;
	}
	if (!(flags & WORD_WARMUP) && feeder->end - number <= TAIL)
		word |= WORD_TAIL;
	memcpy(feeder->payloads + item * load->spec->size, &word, sizeof word);
}

/* When the message is due, or 0 without a rate.  A late one keeps its time: what it waited counts as latency.
 */
static int64_t planned_ns(const struct feeder *feeder, uint64_t number)
{
	const struct load_spec *spec = feeder->load->spec;
	if (!spec->rate)
		return 0;
	uint64_t turn = (number - feeder->begin) * spec->publishers + feeder->index;
	return feeder->load->start_ns + (int64_t)((double)turn * 1e9 / (double)spec->rate);
}

static void measure(struct feeder *feeder)
{
	uint64_t number = feeder->begin;
	bool go_on = true;
	while (go_on && number < feeder->end) {
		uint64_t rest = feeder->end - number;
		unsigned int count = feeder->load->spec->batch;
		count = rest < count ? (unsigned int)rest : count;
		int64_t planned = planned_ns(feeder, number);
		if (planned > 0)
			sleep_until(planned);
		for (unsigned int i = 0; i < count; i++)
			prepare(feeder, i, number + i, 0, planned);
		go_on = publish(feeder, count);
		for (unsigned int i = 0; i < count; i++) {
			if (feeder->items[i].result)
				note_failure(feeder, number + i, feeder->items[i].result);
		}
		number += count;
	}
	feeder->unsent = feeder->end - number;
	for (; number < feeder->end; number++)
		atomic_fetch_or(&feeder->load->failed[number / 64], UINT64_C(1) << number % 64);
	feeder->done_ns = load_now_ns();
}

static void warm_up(struct feeder *feeder)
{
	bool go_on = true;
	for (uint64_t done = 0; go_on && done < feeder->warmup;) {
		uint64_t rest = feeder->warmup - done;
		unsigned int count = feeder->load->spec->batch;
		count = rest < count ? (unsigned int)rest : count;
		for (unsigned int i = 0; i < count; i++)
			prepare(feeder, i, 0, WORD_WARMUP, 0);
		go_on = publish(feeder, count);
		for (unsigned int i = 0; i < count; i++)
			feeder->warmed += !feeder->items[i].result;
		done += count;
	}
}

static void finish_stage(struct load *load)
{
	pthread_mutex_lock(&load->mutex);
	load->running--;
	pthread_cond_broadcast(&load->changed);
	pthread_mutex_unlock(&load->mutex);
}

static enum stage next_stage(struct load *load, enum stage stage)
{
	pthread_mutex_lock(&load->mutex);
	while (load->stage == stage)
		pthread_cond_wait(&load->changed, &load->mutex);
	stage = load->stage;
	pthread_mutex_unlock(&load->mutex);
	return stage;
}

void *feeder_main(void *ctx)
{
	struct feeder *feeder = ctx;
	warm_up(feeder);
	finish_stage(feeder->load);
	if (next_stage(feeder->load, STAGE_WARMUP) == STAGE_MEASURE)
		measure(feeder);
	return NULL;
}
