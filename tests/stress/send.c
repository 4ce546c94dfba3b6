/*
 * send.c - publishers: single, asynchronous and in batches, with payloads of random sizes.
 */
#include <stdlib.h>
#include <string.h>

#include "stress.h"

#define BATCH_MAX 32

uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint32_t stamp_sum(const unsigned char *bytes, size_t size)
{
	uint32_t sum = 2166136261u;
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 16777619u;
	return sum;
}

/* Write message `sequence` into the buffer; returns its size. */
static size_t write_message(struct sender *s, uint64_t *random, uint32_t sequence, unsigned char *buffer)
{
	size_t extra = random_below(random, s->round->plan.max_size + 1);
	for (size_t i = 0; i < extra; i++)
		buffer[sizeof(struct stamp) + i] = (unsigned char)(sequence + i);
	struct stamp stamp = {.publisher = s->number,
			      .sequence = sequence,
			      .size = (uint32_t)(sizeof(stamp) + extra),
			      .sum = stamp_sum(buffer + sizeof(stamp), extra)};
	memcpy(buffer, &stamp, sizeof(stamp));
	return stamp.size;
}

static void on_published(int code, const struct ferry_error *err, void *ctx)
{
	struct round *round = ctx;
	CHECK(code == 0, "a completion: %s", err->text);
	atomic_fetch_add(&round->completions, 1);
}

static const struct ferry_publish_options *options_for(struct sender *s,
						       struct ferry_publish_options *options)
{
	*options = (struct ferry_publish_options){.size = sizeof(*options), .deadline_ms = 600000};
	if (s->round->plan.keyed) {
		options->key = &s->number;
		options->key_size = sizeof(s->number);
	}
	return options;
}

/* Publish a batch that begins with `sequence`; returns how many messages it has. */
static uint32_t send_batch(struct sender *s, struct ferry_publisher *p, uint64_t *random, uint32_t sequence,
			   unsigned char *buffer)
{
	struct ferry_error err;
	struct ferry_publish_options options;
	struct ferry_batch_item items[BATCH_MAX];
	uint32_t left = s->round->plan.messages - sequence;
	uint32_t count = 1 + random_below(random, left < BATCH_MAX ? left : BATCH_MAX);
	size_t stride = sizeof(struct stamp) + s->round->plan.max_size;
	options_for(s, &options);
	for (uint32_t i = 0; i < count; i++) {
		size_t size = write_message(s, random, sequence + i, buffer + i * stride);
		items[i] = (struct ferry_batch_item){
			.payload = buffer + i * stride, .payload_size = size, .options = &options};
	}
	CHECK(ferry_publish_batch(p, items, count, 600000, &err) == 0, "batch: %s", err.text);
	return count;
}

void *sender_run(void *ctx)
{
	struct sender *s = ctx;
	struct round *round = s->round;
	struct ferry_error err;
	struct ferry_publish_options options;
	struct ferry_publisher *p;
	uint64_t random = round->plan.seed ^ (s->number + 1) * UINT64_C(0x1000003);
	unsigned char *buffer = malloc(BATCH_MAX * (sizeof(struct stamp) + round->plan.max_size));
	CHECK(buffer, "out of memory");
	CHECK(ferry_publisher_open(round->bus, "stress", NULL, &p, &err) == 0, "publisher: %s", err.text);
	for (uint32_t sequence = 0; sequence < round->plan.messages;) {
		unsigned way = random_below(&random, 8);
		if (way == 0) {
			uint32_t count = send_batch(s, p, &random, sequence, buffer);
			atomic_fetch_add(&round->completions, count);
			sequence += count;
			continue;
		}
		size_t size = write_message(s, &random, sequence++, buffer);
		if (way < 4) {
			CHECK(ferry_publish_async(p, buffer, size, options_for(s, &options), on_published,
						  round, &err) == 0,
			      "async: %s", err.text);
			continue;
		}
		CHECK(ferry_publish(p, buffer, size, options_for(s, &options), &err) == 0, "publish: %s",
		      err.text);
		atomic_fetch_add(&round->completions, 1);
	}
	ferry_publisher_close(p);
	free(buffer);
	atomic_fetch_add(&round->published, round->plan.messages);
	return NULL;
}
