/* PUMP without wakeup. */
#include "plugin.h"

PLUGIN("no-wakeup", (table.thread_model = FERRY_PUMP, table.wakeup = NULL))
