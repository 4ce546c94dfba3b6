/* Claims a size that ends in the middle of what every version has. */
#include "plugin.h"

PLUGIN("short-head", table.size = offsetof(struct ferry_transport, options))
