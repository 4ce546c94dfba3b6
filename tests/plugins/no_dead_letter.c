/* ATOMIC_DLQ without dead_letter. */
#include "plugin.h"

PLUGIN("no-dead-letter", table.dead_letter = NULL)
