/* Forgot to set its size. */
#include "plugin.h"

PLUGIN("size-zero", table.size = 0)
