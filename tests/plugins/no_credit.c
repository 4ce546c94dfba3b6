/* PUMP without credit. */
#include "plugin.h"

PLUGIN("no-credit", (table.thread_model = FERRY_PUMP, table.credit = NULL))
