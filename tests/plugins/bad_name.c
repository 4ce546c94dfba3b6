/* Calls itself what no transport may be called. */
#include "plugin.h"

PLUGIN("bad-name", table.name = "../valid")
