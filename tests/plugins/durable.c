/* Durable: a bus needs the name of its service. */
#include "plugin.h"

PLUGIN("durable", table.capabilities = FERRY_CAP_DURABLE | FERRY_CAP_ATOMIC_DLQ)
