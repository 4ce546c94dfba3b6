#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "load_parts.h"

#define STOP_MS         10000
#define LOOK_MS         2
#define THREADS_DEFAULT 12 /* workers of a bus */

int64_t load_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int no_memory(struct ferry_error *err)
{
	*err = (struct ferry_error){.code = FERRY_E_NOMEM};
	snprintf(err->text, sizeof err->text,
		 "not enough memory or threads for so many messages, publishers or "
		 "handlers");
	return FERRY_E_NOMEM;
}

/* ---- counting the bitmaps ---- */

static unsigned int ones(uint64_t word)
{
	unsigned int count = 0;
	for (; word; word &= word - 1)
		count++;
	return count;
}

static uint64_t bits(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

struct tally {
	uint64_t handled, lost, twice; /* twice: by two handlers of which one should have got it */
};

/* One word of what the sinks from `first` to before `end` have seen together. */
static void tally_word(const struct load *load, unsigned int first, unsigned int end, size_t word,
		       struct tally *tally)
{
	uint64_t left = load->spec->messages - word * 64;
	uint64_t all = left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
	uint64_t seen = 0;
	for (unsigned int i = first; i < end; i++) {
		uint64_t here = bits(&load->sinks[i].seen[word]);
		tally->twice += ones(seen & here);
		seen |= here;
	}
	tally->handled += ones(seen);
	tally->lost += ones(all & ~seen & ~bits(&load->failed[word]));
}

static struct tally tally(const struct load *load)
{
	struct tally sum = {0};
	unsigned int step = load->spec->broadcast ? 1 : load->spec->handlers;
	for (unsigned int first = 0; first < load->spec->handlers; first += step) {
		for (size_t word = 0; word < load->words; word++)
			tally_word(load, first, first + step, word, &sum);
	}
	return sum;
}

/* ---- preparing ---- */

static int subscribe(struct load *load, struct ferry_error *err)
{
	const struct load_spec *spec = load->spec;
	for (unsigned int i = 0; i < spec->handlers; i++) {
		char name[32];
		snprintf(name, sizeof name, "bench-%u", i + 1);
		int code = ferry_subscribe(
			load->bus, spec->topic, sink_handle, &load->sinks[i],
			FERRY_OPTIONS(ferry_handler_options, .name = name,
				      .distribution = spec->broadcast ? FERRY_BROADCAST : FERRY_COMPETING),
			err);
		if (code)
			return code;
	}
	return 0;
}

static int open_bus(struct load *load, struct ferry_error *err)
{
	unsigned int handlers = load->spec->handlers;
	load->bus = ferry_bus_open(
		load->spec->url,
		FERRY_OPTIONS(ferry_bus_options, .service = CLI_SERVICE, .log = cli_log,
			      .fail_fast = FERRY_ON,
			      /* Fixed: nothing here dispatches or moves a clock. */
			      .clock = FERRY_CLOCK_SYSTEM,
			      .threads = (int32_t)(handlers > THREADS_DEFAULT ? handlers : THREADS_DEFAULT)),
		err);
	if (!load->bus)
		return err->code;
	int code = subscribe(load, err);
	return code ? code : ferry_bus_start(load->bus, CLI_START_MS, err);
}

static int open_feeder(struct load *load, unsigned int index, struct ferry_error *err)
{
	const struct load_spec *spec = load->spec;
	struct feeder *feeder = &load->feeders[index];
	feeder->load = load;
	feeder->index = index;
	/* Shares that differ by one at most, without a product that could overflow. */
	uint64_t share = spec->messages / spec->publishers, more = spec->messages % spec->publishers;
	feeder->begin = index * share + (index < more ? index : more);
	feeder->end = feeder->begin + share + (index < more);
	feeder->warmup = spec->warmup / spec->publishers + (index < spec->warmup % spec->publishers);
	feeder->next_sample =
		spec->sample ? (feeder->begin + spec->sample - 1) / spec->sample * spec->sample : UINT64_MAX;
	feeder->payloads = calloc(spec->batch, spec->size);
	feeder->items = calloc(spec->batch, sizeof *feeder->items);
	if (!feeder->payloads || !feeder->items)
		return no_memory(err);
	for (unsigned int i = 0; i < spec->batch; i++) {
		feeder->items[i].payload = feeder->payloads + i * spec->size;
		feeder->items[i].payload_size = spec->size;
	}
	return ferry_publisher_open(load->bus, spec->topic, NULL, &feeder->publisher, err);
}

static int allocate(struct load *load, struct ferry_error *err)
{
	const struct load_spec *spec = load->spec;
	load->words = (size_t)((spec->messages + 63) / 64);
	load->failed = calloc(load->words, sizeof *load->failed);
	load->stamps =
		calloc(spec->sample ? (size_t)(spec->messages / spec->sample) + 1 : 1, sizeof *load->stamps);
	load->sinks = aligned_alloc(CACHE_LINE, spec->handlers * sizeof *load->sinks);
	load->feeders = aligned_alloc(CACHE_LINE, spec->publishers * sizeof *load->feeders);
	if (load->sinks)
		memset(load->sinks, 0, spec->handlers * sizeof *load->sinks);
	if (load->feeders)
		memset(load->feeders, 0, spec->publishers * sizeof *load->feeders);
	if (!load->failed || !load->stamps || !load->sinks || !load->feeders)
		return no_memory(err);
	for (unsigned int i = 0; i < spec->handlers; i++) {
		load->sinks[i].load = load;
		load->sinks[i].seen = calloc(load->words, sizeof *load->sinks[i].seen);
		if (!load->sinks[i].seen)
			return no_memory(err);
	}
	return 0;
}

static void release(struct load *load)
{
	for (unsigned int i = 0; load->feeders && i < load->spec->publishers; i++) {
		ferry_publisher_close(load->feeders[i].publisher);
		free(load->feeders[i].payloads);
		free(load->feeders[i].items);
	}
	ferry_bus_close(load->bus);
	for (unsigned int i = 0; load->sinks && i < load->spec->handlers; i++)
		free(load->sinks[i].seen);
	free(load->sinks);
	free(load->feeders);
	free(load->stamps);
	free(load->failed);
	pthread_cond_destroy(&load->changed);
	pthread_mutex_destroy(&load->mutex);
}

/* ---- running ---- */

static void begin_stage(struct load *load, enum stage stage)
{
	pthread_mutex_lock(&load->mutex);
	load->stage = stage;
	load->start_ns = load_now_ns();
	pthread_cond_broadcast(&load->changed);
	pthread_mutex_unlock(&load->mutex);
}

static void wait_warm_up(struct load *load)
{
	pthread_mutex_lock(&load->mutex);
	while (load->running)
		pthread_cond_wait(&load->changed, &load->mutex);
	pthread_mutex_unlock(&load->mutex);
}

static bool all_arrived(const struct load *load, bool warm, uint64_t expected, uint64_t *ret_sum)
{
	*ret_sum = 0;
	for (unsigned int i = 0; i < load->spec->handlers; i++)
		*ret_sum += bits(warm ? &load->sinks[i].warm : &load->sinks[i].arrived);
	/* The sum can contain a message twice; the bitmaps tell. */
	return *ret_sum >= expected && (warm || tally(load).lost == 0);
}

/* Wait until `expected` messages have arrived, or none has for a while.  The main thread looks from time to
 * time: a handler that signalled each arrival would be measured with its signalling. */
static void wait_arrived(const struct load *load, bool warm, uint64_t expected)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
	uint64_t sum, last = 0;
	int64_t since = load_now_ns();
	while (!all_arrived(load, warm, expected, &sum)) {
		int64_t now = load_now_ns();
		if (sum != last)
			since = now;
		else if (now - since > load->spec->patience_ms * 1000000)
			return;
		last = sum;
		nanosleep(&pause, NULL);
	}
}

static int run_feeders(struct load *load, struct ferry_error *err)
{
	const struct load_spec *spec = load->spec;
	unsigned int started = 0, receivers = spec->broadcast ? spec->handlers : 1;
	uint64_t warmed = 0, well = spec->messages;
	load->running = spec->publishers;
	while (started < spec->publishers && pthread_create(&load->feeders[started].thread, NULL, feeder_main,
							    &load->feeders[started]) == 0)
		started++;
	if (started == spec->publishers) {
		wait_warm_up(load);
		for (unsigned int i = 0; i < started; i++)
			warmed += load->feeders[i].warmed;
		wait_arrived(load, true, warmed * receivers);
		begin_stage(load, STAGE_MEASURE);
	} else {
		begin_stage(load, STAGE_ABANDONED);
	}
	for (unsigned int i = 0; i < started; i++)
		pthread_join(load->feeders[i].thread, NULL);
	if (started < spec->publishers)
		return no_memory(err);
	for (unsigned int i = 0; i < started; i++)
		well -= load->feeders[i].rejected + load->feeders[i].unknown + load->feeders[i].unsent;
	wait_arrived(load, false, well * receivers);
	return 0;
}

/* ---- the result ---- */

static void collect(const struct load *load, struct load_result *ret)
{
	struct tally sum = tally(load);
	int64_t last = load->start_ns, done = load->start_ns;
	for (unsigned int i = 0; i < load->spec->publishers; i++) {
		const struct feeder *feeder = &load->feeders[i];
		ret->rejected += feeder->rejected;
		ret->unknown += feeder->unknown;
		ret->unsent += feeder->unsent;
		if (!ret->error.code)
			ret->error = feeder->error;
		done = feeder->done_ns > done ? feeder->done_ns : done;
	}
	for (unsigned int i = 0; i < load->spec->handlers; i++) {
		const struct sink *sink = &load->sinks[i];
		ret->duplicates += sink->duplicates;
		ret->foreign += sink->foreign;
		histogram_merge(&ret->latency, &sink->latency);
		last = sink->last_ns > last ? sink->last_ns : last;
	}
	ret->published = load->spec->messages - ret->rejected - ret->unknown - ret->unsent;
	ret->handled = sum.handled;
	ret->lost = sum.lost;
	ret->duplicates += sum.twice;
	ret->published_ns = done - load->start_ns;
	ret->handled_ns = last - load->start_ns;
}

/* Stop, then read everything: no handler runs any more. */
static int finish(struct load *load, struct load_result *ret, struct ferry_error *err)
{
	ret->stopped.size = sizeof ret->stopped;
	int code = ferry_bus_stop(load->bus, STOP_MS, &ret->stopped, err);
	struct ferry_stats *stats = code ? NULL : ferry_stats_take(load->bus, err);
	if (!stats)
		return code ? code : FERRY_E_NOMEM;
	ret->accounting = ferry_stats_sum(stats, NULL);
	ferry_stats_free(stats);
	snprintf(ret->transport, sizeof ret->transport, "%s", ferry_bus_transport(load->bus));
	collect(load, ret);
	return 0;
}

int load_run(const struct load_spec *spec, struct load_result *ret, struct ferry_error *err)
{
	struct load load = {.spec = spec};
	pthread_mutex_init(&load.mutex, NULL);
	pthread_cond_init(&load.changed, NULL);
	load.run = ((uint64_t)load_now_ns() / 1000 ^ (uint64_t)getpid() << 12) & WORD_RUN_MASK;
	*ret = (struct load_result){0};
	int code = allocate(&load, err);
	if (!code)
		code = open_bus(&load, err);
	for (unsigned int i = 0; !code && i < spec->publishers; i++)
		code = open_feeder(&load, i, err);
	if (!code)
		code = run_feeders(&load, err);
	if (!code)
		code = finish(&load, ret, err);
	release(&load);
	return code;
}
