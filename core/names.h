/*
 * names.h - which names are allowed.
 */
#ifndef CORE_NAMES_H
#define CORE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_TOPIC_MAX     200 /* of an application's topic */
#define NAME_DERIVED_MAX   249 /* of a name that is made of others: dlq.<group>.<topic> */
#define NAME_GROUP_MAX     40
#define NAME_TRANSPORT_MAX 40

/* [A-Za-z0-9._-]{1,200}, no empty part between dots.  `derived`: up to 249. */
bool name_is_topic(const char *name);
bool name_is_derived_topic(const char *name);
/* [A-Za-z0-9_-]{1,40} */
bool name_is_group(const char *name);
/* [a-z0-9-]{1,40} */
bool name_is_transport(const char *name);
/* [A-Za-z0-9_.-]{1,128} */
bool name_is_attribute(const char *name);
/* One of the names that are ferry's own or the wire's (base.h); case-insensitive. */
bool name_is_reserved_attribute(const char *name);
/* Well-formed UTF-8 without NUL, any length. */
bool text_is_utf8(const char *text, size_t size);
/* Put a '?' in the place of each control character and each byte that is not part of well-formed UTF-8. */
void text_make_printable(char *text);
/* True when two different topics would be one on Kafka: equal after '.' -> '_'. */
bool names_collide(const char *a, const char *b);
/* The candidate nearest to `word` by edit distance, or NULL when none is near: a distance over max(2, length
 * / 3), or as long as the word itself. */
const char *name_nearest(const char *word, const char *const *candidates, size_t count);
/* True when `word` can hardly mean anything but `name`: one edit away, of 8 characters or more two. */
bool name_is_misspelt(const char *word, const char *name);

#endif
