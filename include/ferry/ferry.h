/*
 * ferry.h - typed, transport-agnostic events.  Includes everything an application needs.
 */
#ifndef FERRY_FERRY_H
#define FERRY_FERRY_H

/* The version lives here and nowhere else: the build reads these three lines. */
#define FERRY_VERSION_MAJOR 0
#define FERRY_VERSION_MINOR 1
#define FERRY_VERSION_PATCH 0

#include <ferry/base.h>
#include <ferry/error.h>
#include <ferry/bus.h>
#include <ferry/message.h>
#include <ferry/handler.h>
#include <ferry/publisher.h>
#include <ferry/topic.h>
#include <ferry/interceptor.h>
#include <ferry/stats.h>
#include <ferry/dlq.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0": the version of the library that runs, which may differ from the header's. [thread-safe] */
FERRY_API const char *ferry_version(void);

#ifdef __cplusplus
}
#endif

#endif
