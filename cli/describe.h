/*
 * describe.h - a transport's own description, as text for people and as JSON for programs.
 */
#ifndef CLI_DESCRIBE_H
#define CLI_DESCRIBE_H

#include <jansson.h>

#include <ferry/transport.h>

/* Print the transport, its settings and the bus's on standard output. */
void describe_text(const struct ferry_transport *transport, const char *path);

/* The same as an object; the caller owns it. */
json_t *describe_json(const struct ferry_transport *transport, const char *path);

/* Print a value on standard output, indented, its members in the order in which they were added. */
void describe_print_json(const json_t *json);

#endif
