/*
 * payloads.h - payloads of the topic order.placed (model.h): some that break a rule each, and some sound
 * ones.
 */
#ifndef PAYLOADS_H
#define PAYLOADS_H

#include <string.h>

struct bad_payload {
	const char *text;
	const char *names; /* the sentence begins with "order.placed: " and this */
	size_t size;       /* 0: the text's length */
};

extern const struct bad_payload bad_payloads[];
extern const size_t bad_payload_count;
size_t bad_payload_size(const struct bad_payload *payload);

extern const char *const sound_payloads[];
extern const size_t sound_payload_count;

#endif
