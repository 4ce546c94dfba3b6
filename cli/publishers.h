/*
 * publishers.h - a publisher for each topic and content type, opened when it is first needed.
 */
#ifndef CLI_PUBLISHERS_H
#define CLI_PUBLISHERS_H

#include <ferry/ferry.h>

struct publishers {
	struct ferry_bus *bus;
	void *tree; /* of struct named_publisher, for tsearch */
	struct named_publisher *all;
};

/* `content_type` may be NULL.  0, or a negative FERRY_E_* and a text in *err. */
int publishers_get(struct publishers *publishers, const char *topic, const char *content_type,
		   struct ferry_publisher **ret, struct ferry_error *err);

/* Close them all. */
void publishers_close(struct publishers *publishers);

#endif
