/* Describes a setting whose default is not in its range. */
#include "plugin.h"

static const struct ferry_option options[] = {
	{.name = "queue",
	 .type = FERRY_OPTION_INTEGER,
	 .default_value = "0",
	 .min = 1,
	 .max = 9,
	 .help = "A number."},
	{.name = NULL},
};

PLUGIN("bad-default", table.options = options)
