/* criterion.c - each case of the table on memory, as a Criterion test by its index. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "conformance.h"

ParameterizedTestParameters(conformance, memory)
{
	static int numbers[CONFORMANCE_CASES];

	for (int i = 0; i < CONFORMANCE_CASES; i++)
		numbers[i] = i + 1;
	return cr_make_param_array(int, numbers, CONFORMANCE_CASES);
}

ParameterizedTest(const int *number, conformance, memory)
{
	struct conformance_settings settings = {
		.url = "memory:", .program = FERRY_PROGRAM, .run = "criterion"};
	const struct conformance_case *which = &conformance_table[*number - 1];
	struct conformance_outcome outcome;
	struct ferry_error err = {0};
	uint64_t capabilities;
	char transport[64];

	cr_assert_eq(which->number, *number);
	cr_assert_eq(conformance_probe(&settings, &capabilities, transport, sizeof transport, &err), 0, "%s",
		     err.text);
	if (!conformance_excluded(&settings, which, capabilities, &outcome))
		conformance_run_case(&settings, which, &outcome);
	if (outcome.status == CONFORMANCE_SKIPPED)
		cr_skip("%s", outcome.reason);
	cr_expect_eq(outcome.status, CONFORMANCE_PASSED, "%d %s: %s\n%s", *number, which->name,
		     outcome.reason, outcome.output ? outcome.output : "");
	conformance_outcome_finish(&outcome);
}
