/* Calls itself otherwise than its file. */
#include "plugin.h"

PLUGIN("other-name", table.name = "valid")
