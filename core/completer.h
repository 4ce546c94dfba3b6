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

void completer_push(struct completer *c, struct publication *p);
/* Call what is there, on this thread; returns how many. */
int completer_run(struct ferry_bus *bus);

#endif
