/*
 * load_test.c - everything at once.
 */
#include "life.h"

const struct life_test load_tests[] = {
	{NULL, NULL},
};
