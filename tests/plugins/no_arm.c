/* FETCH_FROM_WORKERS without arm. */
#include "plugin.h"

PLUGIN("no-arm", table.arm = NULL)
