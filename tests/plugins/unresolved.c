/* Needs a symbol that nothing defines, as when the broker's client library is another version. */
#include "plugin.h"

int client_library_call(void);

PLUGIN("unresolved", table.reserved = client_library_call())
