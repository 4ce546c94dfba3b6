/*
 * environment.h - settings from the environment: FERRY_<SETTING> for those of every bus,
 * FERRY_<TRANSPORT>_<SETTING> for a transport's own, in capitals, '_' for every other character.
 *
 * An empty variable is as good as none; a set-uid program sees none.
 */
#ifndef CORE_ENVIRONMENT_H
#define CORE_ENVIRONMENT_H

#include "settings.h"

/* The variable's value, or NULL. */
const char *environment_get(const char *variable);

/*
 * Put every setting that a variable gives.  A variable FERRY_<TRANSPORT>_... that is none is refused:
 * FERRY_E_CONFIG.  Other unknown variables are the program's own business.
 */
int environment_read(struct settings *s);

#endif
