/*
 * route.h - which handler a message goes to.
 *
 * All functions: subscription.lock held.
 */
#ifndef CORE_ROUTE_H
#define CORE_ROUTE_H

#include "core.h"

enum route {
	ROUTE_READY,   /* in a handler's queue: submit the subscription */
	ROUTE_WAITING, /* behind its key, held until it is due, or a suspect */
	ROUTE_FILTERED /* for nobody here: the caller ends the delivery */
};

/* A message that was just taken from the transport. */
enum route route_new(struct subscription *s, struct ferry_message *m);
/* A message that may run (again): picks the handler afresh. */
void route_ready(struct subscription *s, struct ferry_message *m);
/* Another group's, by ferry-target-group. */
bool route_is_foreign(const struct subscription *s, const struct ferry_message *m);

/* The handler may take another message now. */
bool handler_has_slot(const struct handler *h);
bool handler_matches(const struct handler *h, const struct ferry_message *m);
/* Messages in the handlers' queues. */
uint32_t subscription_ready(const struct subscription *s);
/* The pump would give credit now. [subscription.lock held] */
bool subscription_hungry(const struct subscription *s);

static inline void list_add(struct message_list *list, struct ferry_message *m, size_t link_offset)
{
	struct message_link *link = (struct message_link *)(void *)((char *)m + link_offset);
	link->previous = NULL;
	link->next = list->first;
	if (list->first)
		((struct message_link *)(void *)((char *)list->first + link_offset))->previous = m;
	list->first = m;
}

static inline void list_remove(struct message_list *list, struct ferry_message *m, size_t link_offset)
{
	struct message_link *link = (struct message_link *)(void *)((char *)m + link_offset);
	if (link->previous)
		((struct message_link *)(void *)((char *)link->previous + link_offset))->next = link->next;
	else
		list->first = link->next;
	if (link->next)
		((struct message_link *)(void *)((char *)link->next + link_offset))->previous =
			link->previous;
	link->previous = link->next = NULL;
}

#define LIST_ADD(list, m, link)    list_add((list), (m), offsetof(struct ferry_message, link))
#define LIST_REMOVE(list, m, link) list_remove((list), (m), offsetof(struct ferry_message, link))

#endif
