/* Ends before a slot that every transport must have. */
#include "plugin.h"

PLUGIN("no-release", table.size = offsetof(struct ferry_transport, release))
