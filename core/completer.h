/*
 * completer.h - tells the application how its asynchronous publishes ended.
 *
 * One thread per bus; with threads=caller the application's own, inside ferry_bus_dispatch.
 */
#ifndef CORE_COMPLETER_H
#define CORE_COMPLETER_H

#include "core.h"

struct publication;

int completer_init(struct completer *c);
int completer_start(struct ferry_bus *bus);
/* Every completion that was pushed is called before this returns. */
void completer_stop(struct ferry_bus *bus);
void completer_destroy(struct completer *c);

/* A list that is linked by next; `end` is the NULL behind its last. */
void completer_push(struct ferry_bus *bus, struct publication *first, struct publication **end);
/* Call what is there, on this thread; returns how many. */
int completer_run(struct ferry_bus *bus);

#endif
