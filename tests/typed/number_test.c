/*
 * number_test.c - numbers as text: every double reads back as itself, in every locale.
 */
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "typed_test.h"

static void comes_back(double value)
{
	double numbers[] = {value};
	char json[512];
	size_t size = 0;
	struct ferry_error err = {0};
	struct widths w = {.numbers = numbers, .number_count = 1};
	const struct widths *decoded = NULL;
	OK(widths_encode(&w, json, sizeof json, &size, &err), &err);
	OK(widths_decode(json, size, &decoded, &err), &err);
	CHECK(decoded->numbers[0] == value && signbit(decoded->numbers[0]) == signbit(value), "%a became %a",
	      value, decoded->numbers[0]);
	widths_free(decoded);
}

static void every_double_reads_back(void)
{
	static const double values[] = {0,
					-0.0,
					1,
					-1,
					0.1,
					1e-5,
					123456789.125,
					1e9,
					-1e15,
					-1e16,
					-1e22,
					-1e300,
					2.2250738585072014e-308,
					5e-324,
					1.0 / 3,
					-9007199254740992.0,
					-9007199254740994.0};
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		comes_back(values[i]);
	uint64_t state = 88172645463325252u;
	for (int i = 0; i < 20000; i++) {
		double value;
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(&value, &state, sizeof value);
		if (isfinite(value))
			comes_back(value > 0 ? -value : value);
	}
}

static void the_locale_does_not_matter(void)
{
	static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
	bool found = false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !found; i++)
		found = setlocale(LC_ALL, names[i]);
	every_double_reads_back();
	setlocale(LC_ALL, "C");
	printf("# a locale with a decimal comma %s\n", found ? "was used" : "is not installed");
}

/* Bounds are doubles; integers are compared exactly, also where a double cannot tell them apart. */
static void bounds_are_exact(void)
{
	uint64_t one[] = {0};
	char json[512];
	size_t size = 0;
	struct ferry_error err = {0};
	struct widths w = {.large = one, .large_count = 1};
	REFUSED(widths_encode(&w, json, sizeof json, &size, &err), FERRY_E_INVALID, &err,
		"test.widths: large[0]: expected at least 1, got 0");
	one[0] = (uint64_t)INT64_MAX + 1;
	REFUSED(widths_encode(&w, json, sizeof json, &size, &err), FERRY_E_INVALID, &err,
		"test.widths: large[0]: expected at most 9223372036854775807, got 9223372036854775808");
	one[0] = INT64_MAX;
	OK(widths_encode(&w, json, sizeof json, &size, &err), &err);
}

const struct typed_test number_tests[] = {
	{"every_double_reads_back", every_double_reads_back},
	{"the_locale_does_not_matter", the_locale_does_not_matter},
	{"bounds_are_exact", bounds_are_exact},
	{NULL, NULL},
};
