/*
 * publication.h - a message on its way out, from the publish call to its result.
 *
 * Recycled through a free list of the bus; its copy of the record, where one is needed, is one block.
 */
#ifndef CORE_PUBLICATION_H
#define CORE_PUBLICATION_H

#include "core.h"

struct waiter;

enum publication_kind {
	PUBLICATION_WAITED, /* a thread waits for it (waiter; NULL once it gave up) */
	PUBLICATION_ASYNC,  /* `done` is called by the completer */
	PUBLICATION_DEAD,   /* a dead letter: dlq.c goes on with the message */
};

struct publication {
	struct ferry_outgoing out;
	struct ferry_bus *bus;
	struct topic *topic;
	struct publication *next;
	enum publication_kind kind;
	int result;
	char *reason; /* of a failure, copied */
	void *copy;   /* the record's bytes, when the plugin does not copy them */

	struct waiter *waiter;
	int32_t *result_slot;
	struct publication *wait_next, **wait_link; /* all that the waiter waits for */

	ferry_published_fn *done;
	void *ctx;

	struct ferry_message *message;
};

/* NULL: out of memory. */
struct publication *publication_make(struct ferry_bus *bus, enum publication_kind kind, struct topic *topic,
				     const struct ferry_record *record);
/* Make the record's views last as long as the publication, if the plugin needs that. */
int publication_own_record(struct publication *p);
void publication_free(struct publication *p);
/* The same for a list that is linked by next. */
void publications_free_list(struct ferry_bus *bus, struct publication *list);
/* The free list, when the bus is closed. */
void publications_free(struct ferry_bus *bus);

/* Whoever has results calls this, once for each; they may be gone when it returns. */
void publications_complete(struct ferry_bus *bus, struct ferry_outgoing *const *outs, size_t count);

/* Count a result in the topic's statistics. */
void topic_count(struct ferry_bus *bus, struct topic *topic, int result);

#endif
