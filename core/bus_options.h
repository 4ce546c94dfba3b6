/*
 * bus_options.h - the settings that every transport has: their table, and the same settings in the call's
 * struct.
 */
#ifndef CORE_BUS_OPTIONS_H
#define CORE_BUS_OPTIONS_H

#include <ferry/bus.h>
#include <ferry/transport.h>

/* The order of the table, and of every array of its settings. */
enum bus_setting {
	SERVICE,
	PUBLISH_TIMEOUT,
	TAKEOVER,
	THREADS,
	FULL,
	CLOCK,
	PROVISION,
	FAIL_FAST,
	ENVELOPE,
	ON_UNKNOWN,
	MEMORY_BUDGET,
	MAX_MESSAGE,
	PASSWORD,
	PASSWORD_FILE,
	BUS_SETTINGS,
};

/* Ends with a NULL name. */
extern const struct ferry_option config_bus_options[];

/* FERRY_E_INVALID with one sentence for the first field that is out of range. */
int bus_options_check(const struct ferry_bus_options *options, struct ferry_error *err);

#endif
