/* Built for another plugin ABI. */
#include "plugin.h"

PLUGIN("wrong-major", table.abi_major = FERRY_ABI_MAJOR + 1)
