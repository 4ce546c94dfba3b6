/* Lacks a slot that every transport must have. */
#include "plugin.h"

PLUGIN("no-publish", table.publish = NULL)
