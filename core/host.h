/*
 * host.h - what the core offers to transports (struct ferry_host).
 */
#ifndef CORE_HOST_H
#define CORE_HOST_H

#include <ferry/transport.h>

#include "timer.h"

extern const struct ferry_host host_table;

/* A subscription's `wake` timer: a retry that the plugin keeps is due, and somebody should fetch it. */
void host_wake_over(struct timer *timer);

#endif
