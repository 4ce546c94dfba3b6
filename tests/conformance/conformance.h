/*
 * conformance.h - the contract of every transport as one table of 54 cases, and the program that walks it.
 *
 *     ferry conformance  --+-- case 1 --  child: ferry conformance --case 1 ...    --+-- role: another client
 *     (runner.c)           +-- case 2 --  child: ferry conformance --case 2 ...      +-- role: another client
 *     (report.c: TAP)      ...            (fixture.c, recorder.c, cases_*.c)             (process.c)
 *
 * Each case runs in a process of its own, so that a crash, a hang or a sanitizer's report is the failure
 * of one case.  Expectations come from the transport's capabilities, never from its name.
 *
 * A file with cases includes this header and uses
 *     fixture.h   checks, names, buses, publishing, time
 *     recorder.h  what the handlers saw
 *     process.h   other processes: consumers that can be killed
 * and defines `void conformance_case_<N>(struct conformance *c)` for each row that table.c gives it.
 */
#ifndef FERRY_CONFORMANCE_H
#define FERRY_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <ferry/admin.h>
#include <ferry/ferry.h>

#include "cases.h"
#include "fixture.h"
#include "process.h"
#include "recorder.h"

#define CONFORMANCE_CASES 54

/* What a case needs besides capabilities, and what the fault tests may expect of it. */
enum conformance_mark {
	CONFORMANCE_PROCESSES = 1 << 0, /* several processes: skipped without DURABLE */
	CONFORMANCE_CONTROL = 1 << 1,   /* --control CMD: skipped without it */
	CONFORMANCE_RAW = 1 << 2,       /* the admin slots raw_put and raw_get; the case itself skips */
	CONFORMANCE_OBJECTS = 1 << 3,   /* the admin slot objects; the case itself skips */
	CONFORMANCE_CORE = 1 << 4,      /* about the core alone: no fault of a transport can make it fail */
};

struct conformance_case {
	int number;
	const char *name;  /* the promise, in words */
	uint64_t needs;    /* FERRY_CAP_*: skipped when one is absent */
	uint64_t excludes; /* FERRY_CAP_*: skipped when one is there */
	unsigned marks;    /* enum conformance_mark */
	int limit_s;       /* killed after so many seconds (0: 60); sanitizers get more */
	void (*run)(struct conformance *c);
};

/* The table, in order: case N is conformance_table[N - 1]. */
extern const struct conformance_case conformance_table[CONFORMANCE_CASES];

/*
 * What a process that a case starts does: conformance_spawn(c, ..., "name", arguments) ends up in `run`
 * of the child with the same names, URL and transport.  Returns the exit status.  Each file of cases
 * exports an array that ends with a NULL name.
 */
struct conformance_role {
	const char *name;
	int (*run)(struct conformance *c, int argc, char **argv);
};

extern const struct conformance_role conformance_roles_common[];
extern const struct conformance_role conformance_roles_competing[];
extern const struct conformance_role conformance_roles_broadcast[];
extern const struct conformance_role conformance_roles_ack[];
extern const struct conformance_role conformance_roles_dlq[];
extern const struct conformance_role conformance_roles_timeout[];
extern const struct conformance_role conformance_roles_order[];
extern const struct conformance_role conformance_roles_life[];

/* ---- running ---- */

struct conformance_settings {
	const char *url;
	const char *transport_path; /* absolute path of a .so; NULL: found by the URL's scheme */
	const char *control; /* shell command that is given start, stop, kill, cut or heal; NULL: none */
	const char *program; /* `<program> conformance --case N ...` runs one case */
	const char *run;     /* [a-z0-9]{1,8}: part of every name of this run */
	const char *junit;   /* also write this file; NULL: not */
	bool only[CONFORMANCE_CASES + 1]; /* by number; [0] set: there is a selection */
};

enum conformance_status { CONFORMANCE_PASSED = 1, CONFORMANCE_FAILED = 2, CONFORMANCE_SKIPPED = 3 };

/* How one case ended; `output` is what it and its processes printed. */
struct conformance_outcome {
	enum conformance_status status;
	char reason[1024]; /* failed: a sentence; skipped: the capability's name */
	char *output;      /* owned; NULL: none */
	double seconds;
};

/* Run one case in a child.  conformance_outcome_finish frees what it holds. */
void conformance_run_case(const struct conformance_settings *settings, const struct conformance_case *which,
			  struct conformance_outcome *ret);
void conformance_outcome_finish(struct conformance_outcome *outcome);

/* What can be expected of the transport: its FERRY_CAP_* bits and its name.  Connects to nothing. */
int conformance_probe(const struct conformance_settings *settings, uint64_t *ret_capabilities, char *ret_name,
		      size_t size, struct ferry_error *err);
/* True when the case is not to be run: *ret then says why. */
bool conformance_excluded(const struct conformance_settings *settings, const struct conformance_case *which,
			  uint64_t capabilities, struct conformance_outcome *ret);

/* Run all that is selected, TAP on `tap`.  The exit status: 0, 1 (a case failed), 2 (cannot begin). */
int conformance_run(const struct conformance_settings *settings, FILE *tap);

/* ---- report.c ---- */

void conformance_tap_begin(FILE *tap, const char *transport, uint64_t capabilities);
void conformance_tap_case(FILE *tap, const struct conformance_case *which,
			  const struct conformance_outcome *outcome);
/* Write the JUnit file; `outcomes` has CONFORMANCE_CASES entries, status 0 = not run.  -1 on failure. */
int conformance_junit(const char *path, const char *suite, const struct conformance_outcome *outcomes);

/* ---- inside the child ---- */

/* What `--case N` runs; writes "pass", "fail SENTENCE" or "skip WHY" to result_fd.  The exit status. */
int conformance_child_case(const struct conformance_settings *settings, const struct conformance_case *which,
			   int result_fd);
/* What `--case N --role NAME` runs.  The exit status. */
int conformance_child_role(const struct conformance_settings *settings, int number, const char *role,
			   int argc, char **argv);

/* The program's command. */
int command_conformance(int argc, char **argv);

#endif
