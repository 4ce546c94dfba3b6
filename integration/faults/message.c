/* message.c - kinds and payloads. */
#include "message.h"

#include <stdio.h>
#include <string.h>

uint64_t random_next(uint64_t *state)
{
	/* splitmix64: any state is a good one */
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t random_between(uint64_t *state, int64_t from, int64_t to)
{
	return from + (int64_t)(random_next(state) % (uint64_t)(to - from + 1));
}

enum kind message_kind(const struct mix *mix, uint64_t seed, unsigned number)
{
	const struct {
		enum kind kind;
		unsigned share;
	} shares[] = {{KIND_FLAKY, mix->flaky},
		      {KIND_REJECT, mix->reject},
		      {KIND_HOPELESS, mix->hopeless},
		      {KIND_OTHER, mix->other},
		      {KIND_LARGE, mix->large}};
	uint64_t state = seed ^ ((uint64_t)number << 32);
	int64_t at = random_between(&state, 0, 999);
	for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
		at -= shares[i].share;
		if (at < 0)
			return shares[i].kind;
	}
	return KIND_GOOD;
}

static char filler(unsigned number, size_t at)
{
	return (char)(number * 131 + at);
}

size_t message_write(char *buffer, size_t size, unsigned number, enum kind kind)
{
	char head[48];
	size_t length = (size_t)snprintf(head, sizeof head, "%u %c %zu ", number, kind, size);
	if (size < length) {
		size = sizeof head;
		length = (size_t)snprintf(head, sizeof head, "%u %c %zu ", number, kind, size);
	}
	memcpy(buffer, head, length);
	for (size_t i = length; i < size; i++)
		buffer[i] = filler(number, i);
	return size;
}

bool message_read(const char *payload, size_t size, unsigned *ret_number, enum kind *ret_kind)
{
	char head[48] = "", kind;
	size_t said;
	int length = 0;
	memcpy(head, payload, size < sizeof head ? size : sizeof head - 1);
	if (sscanf(head, "%u %c %zu%n", ret_number, &kind, &said, &length) != 3 || said != size)
		return false;
	for (size_t i = (size_t)length + 1; i < size; i++)
		if (payload[i] != filler(*ret_number, i))
			return false;
	*ret_kind = (enum kind)kind;
	return true;
}

bool message_is_fatal(enum kind kind)
{
	return kind == KIND_REJECT || kind == KIND_HOPELESS || kind == KIND_ABORT;
}
