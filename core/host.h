/*
 * host.h - what the core offers to transports (struct ferry_host).
 */
#ifndef CORE_HOST_H
#define CORE_HOST_H

#include <ferry/transport.h>

extern const struct ferry_host host_table;

#endif
