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
 * Put every setting that a variable gives.  FERRY_E_CONFIG: a variable FERRY_<TRANSPORT>_... is none of the
 * transport's, or environment_check refuses one.
 */
int environment_read(struct settings *s);

/*
 * FERRY_E_CONFIG for a variable that is nearly one of every bus, such as FERRY_SERVCE.  Other variables are
 * the program's own business.  The settings need no transport.
 */
int environment_check(struct settings *s);

#endif
