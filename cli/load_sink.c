#include "load_parts.h"

#include <string.h>

/* Add where only one thread at a time writes: cheaper than an atomic addition. */
static void add_alone(_Atomic uint64_t *number, uint64_t more)
{
	uint64_t now = atomic_load_explicit(number, memory_order_relaxed);
	atomic_store_explicit(number, now + more, memory_order_relaxed);
}

static void note_time(struct sink *sink, uint64_t word)
{
	const struct load *load = sink->load;
	sink->last_ns = load_now_ns();
	if (!(word & WORD_STAMPED))
		return;
	_Atomic int64_t *stamp = &load->stamps[(word & WORD_NUMBER) / load->spec->sample];
	int64_t latency = sink->last_ns - atomic_load_explicit(stamp, memory_order_relaxed);
	histogram_add(&sink->latency, latency > 0 ? (uint64_t)latency : 0);
}

int sink_handle(struct ferry_message *message, void *ctx)
{
	struct sink *sink = ctx;
	size_t size;
	const void *payload = ferry_message_payload(message, &size);
	uint64_t word = 0;
	if (size == sink->load->spec->size)
		memcpy(&word, payload, sizeof word);
	uint64_t number = word & WORD_NUMBER;
	if (word >> WORD_RUN_SHIFT != sink->load->run || number >= sink->load->spec->messages) {
		sink->foreign++;
		return 0;
	}
	if (word & WORD_WARMUP) {
		add_alone(&sink->warm, 1);
		return 0;
	}
	if (word & (WORD_STAMPED | WORD_TAIL))
		note_time(sink, word);
	_Atomic uint64_t *seen = &sink->seen[number / 64];
	uint64_t bit = UINT64_C(1) << number % 64;
	if (atomic_load_explicit(seen, memory_order_relaxed) & bit) {
		sink->duplicates++;
		return 0;
	}
	add_alone(seen, bit);
	add_alone(&sink->arrived, 1);
	return 0;
}
