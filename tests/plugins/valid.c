/* The one that must load, with a setting of each type. */
#include "plugin.h"

static const struct ferry_option options[] = {
	{.name = "prefix", .type = FERRY_OPTION_TEXT, .default_value = "ferry:", .help = "Text."},
	{.name = "password", .type = FERRY_OPTION_SECRET, .help = "A secret."},
	{.name = "queue",
	 .type = FERRY_OPTION_INTEGER,
	 .default_value = "4096",
	 .min = 1,
	 .max = 65536,
	 .help = "A number."},
	{.name = "queue_bytes",
	 .type = FERRY_OPTION_SIZE,
	 .default_value = "16MiB",
	 .min = 1024,
	 .max = 1 << 30,
	 .help = "A size."},
	{.name = "linger",
	 .type = FERRY_OPTION_DURATION,
	 .default_value = "5ms",
	 .max = 60000,
	 .help = "A duration."},
	{.name = "sync", .type = FERRY_OPTION_SWITCH, .default_value = "on", .help = "A switch."},
	{.name = "mode",
	 .type = FERRY_OPTION_CHOICE,
	 .default_value = "fast",
	 .choices = "fast|safe|slow",
	 .help = "A choice."},
	{.name = "native.", .type = FERRY_OPTION_PREFIX, .help = "Passed through."},
	{.name = NULL},
};

PLUGIN("valid", (table.schemes = "valid valids", table.options = options))
