#include "order.h"

#include <string.h>

/* The key's bytes, or the partition's; false without a key. */
static bool lane_key(const struct subscription *s, const struct ferry_message *m, struct ferry_view *ret)
{
	if (s->order == FERRY_ORDER_PARTITION) {
		*ret = (struct ferry_view){&m->delivery.partition, sizeof m->delivery.partition};
		return true;
	}
	*ret = m->delivery.record.key;
	return ret->data != NULL;
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static size_t bucket_of(struct ferry_view key)
{
	const unsigned char *bytes = key.data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < key.size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return (size_t)(hash ^ (hash >> 32)) % LANES;
}

static bool same_key(const struct subscription *s, const struct ferry_message *a, struct ferry_view key)
{
	struct ferry_view other;
	return lane_key(s, a, &other) && other.size == key.size &&
	       (key.size == 0 || memcmp(other.data, key.data, key.size) == 0);
}

static void insert_head(struct subscription *s, struct ferry_message *m, size_t bucket)
{
	m->lane_head = true;
	m->lane_next = s->lanes[bucket];
	s->lanes[bucket] = m;
}

bool lane_enter(struct subscription *s, struct ferry_message *m)
{
	struct ferry_view key;
	m->lane_waiting = m->lane_last = NULL;
	if (!lane_key(s, m, &key))
		return true;
	size_t bucket = bucket_of(key);
	for (struct ferry_message *head = s->lanes[bucket]; head; head = head->lane_next) {
		if (!same_key(s, head, key))
			continue;
		m->next = NULL;
		if (head->lane_last)
			head->lane_last->next = m;
		else
			head->lane_waiting = m;
		head->lane_last = m;
		s->resting++;
		return false;
	}
	insert_head(s, m, bucket);
	return true;
}

struct ferry_message *lane_leave(struct subscription *s, struct ferry_message *m)
{
	struct ferry_view key;
	if (!m->lane_head || !lane_key(s, m, &key))
		return NULL;
	size_t bucket = bucket_of(key);
	struct ferry_message **link = &s->lanes[bucket];
	while (*link != m)
		link = &(*link)->lane_next;
	*link = m->lane_next;
	m->lane_head = false;

	struct ferry_message *next = m->lane_waiting;
	if (!next)
		return NULL;
	s->resting--;
	next->lane_waiting = next->next;
	next->lane_last = next->next ? m->lane_last : NULL;
	next->next = NULL;
	m->lane_waiting = m->lane_last = NULL;
	insert_head(s, next, bucket);
	return next;
}

void lane_replace(struct subscription *s, struct ferry_message *head, struct ferry_message *twin)
{
	struct ferry_view key;
	if (!lane_key(s, head, &key))
		return;
	struct ferry_message **link = &s->lanes[bucket_of(key)];
	while (*link != head)
		link = &(*link)->lane_next;
	*link = twin;
	twin->lane_next = head->lane_next;
	twin->lane_waiting = head->lane_waiting;
	twin->lane_last = head->lane_last;
	twin->lane_head = true;
	head->lane_head = false;
}

void lane_take_waiting(struct subscription *s, struct message_queue *into)
{
	for (size_t i = 0; i < LANES; i++) {
		for (struct ferry_message *head = s->lanes[i]; head; head = head->lane_next) {
			struct ferry_message *m = head->lane_waiting;
			head->lane_waiting = head->lane_last = NULL;
			while (m) {
				struct ferry_message *next = m->next;
				s->resting--;
				queue_push(into, m);
				m = next;
			}
		}
	}
}
