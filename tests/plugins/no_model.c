/* Says neither thread model. */
#include "plugin.h"

PLUGIN("no-model", table.thread_model = 0)
