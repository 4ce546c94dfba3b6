/*
 * config.h - what the application asked for: the call's options, the URL, the environment, a file and the
 * defaults, resolved in this order and checked.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <ferry/bus.h>
#include <ferry/transport.h>

#include "bus_options.h"
#include "loader.h"

struct config {
	struct ferry_allocator allocator;
	const struct loaded *transport;
	struct ferry_config plugin; /* what create is given; strings owned by the config */

	int64_t memory_budget, max_message;
	int32_t publish_timeout_ms, takeover_ms;
	int32_t threads;                                      /* > 0, or FERRY_THREADS_CALLER */
	int32_t full, clock, provision, envelope, on_unknown; /* enum values, never 0 */
	int32_t fail_fast;                                    /* 0 or 1 */

	void *owned; /* private to config.c */
};

/*
 * Resolve everything: loads the transport (giving it `host`), checks each key of every source against the
 * bus's table and the transport's.  `url` NULL = FERRY_URL, or the file's.  FERRY_E_CONFIG names the source,
 * the key, what was expected and the nearest known key; secrets are in no text.
 */
int config_open(struct config *config, const char *url, const struct ferry_bus_options *options,
		const struct ferry_host *host, struct ferry_error *err);
/* Free what it owns; a zeroed or half-built one is allowed. */
void config_close(struct config *config);

#endif
