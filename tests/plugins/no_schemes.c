/* Serves no URL. */
#include "plugin.h"

PLUGIN("no-schemes", table.schemes = NULL)
