/*
 * sub.h - printing messages.
 */
#ifndef CLI_SUB_H
#define CLI_SUB_H

#include <stdbool.h>
#include <stdint.h>

struct sub_spec {
	const char *url; /* NULL: from the environment */
	char **topics;   /* ends with NULL */
	const char *group;
	bool broadcast;       /* then there is no group */
	int start;            /* enum ferry_start_at, 0 = default */
	uint64_t count;       /* messages to print; 0 = no end */
	int64_t idle_exit_ms; /* end when nothing comes for so long; 0 = never */
};

/* Print messages until the count is reached, nothing comes, or a signal.  An enum exit_code. */
int sub_run(const struct sub_spec *spec);

#endif
