/*
 * One value of each type, and what is said when it is not one.  (Bad values by the hundred: config_test.c.)
 */
#include <criterion/criterion.h>

#include <string.h>

#include "setting.h"

static const struct {
	struct ferry_option option;
	const char *value;
	int64_t number;
	const char *expected;
} values[] = {
	{{.type = FERRY_OPTION_TEXT}, "", 0, "text"},
	{{.type = FERRY_OPTION_SECRET}, "x", 0, "text"},
	{{.type = FERRY_OPTION_INTEGER}, "-9223372036854775807", -INT64_MAX, "a whole number, e.g. 0"},
	{{.type = FERRY_OPTION_INTEGER, .min = -5, .max = 5},
	 "-5",
	 -5,
	 "a whole number from -5 to 5, e.g. -5"},
	{{.type = FERRY_OPTION_INTEGER, .min = 3, .max = INT64_MAX},
	 "9223372036854775807",
	 INT64_MAX,
	 "a whole number of at least 3, e.g. 3"},
	{{.type = FERRY_OPTION_INTEGER, .choices = "all|none", .min = 1, .max = 9},
	 "007",
	 7,
	 "all|none, or a whole number from 1 to 9, e.g. 1"},
	{{.type = FERRY_OPTION_SIZE}, "1000", 1000, "a size in bytes, e.g. 64KiB"},
	{{.type = FERRY_OPTION_SIZE}, "3KiB", 3072, "a size in bytes, e.g. 64KiB"},
	{{.type = FERRY_OPTION_SIZE, .max = 1536},
	 "1KiB",
	 1024,
	 "a size in bytes from 0 to 1536, e.g. 64KiB"},
	{{.type = FERRY_OPTION_SIZE, .min = 2048, .max = INT64_MAX, .default_value = "5KiB"},
	 "2TiB",
	 INT64_C(2) << 40,
	 "a size in bytes of at least 2KiB, e.g. 5KiB"},
	{{.type = FERRY_OPTION_DURATION}, "0", 0, "a duration with its unit (ms, s, m, h, d), e.g. 10s"},
	{{.type = FERRY_OPTION_DURATION},
	 "250ms",
	 250,
	 "a duration with its unit (ms, s, m, h, d), e.g. 10s"},
	{{.type = FERRY_OPTION_DURATION},
	 "90s",
	 90000,
	 "a duration with its unit (ms, s, m, h, d), e.g. 10s"},
	{{.type = FERRY_OPTION_DURATION},
	 "5m",
	 300000,
	 "a duration with its unit (ms, s, m, h, d), e.g. 10s"},
	{{.type = FERRY_OPTION_DURATION},
	 "2h",
	 7200000,
	 "a duration with its unit (ms, s, m, h, d), e.g. 10s"},
	{{.type = FERRY_OPTION_DURATION, .min = 1500, .max = 604800000},
	 "7d",
	 604800000,
	 "a duration with its unit (ms, s, m, h, d) from 1500ms to 7d, e.g. 10s"},
	{{.type = FERRY_OPTION_SWITCH}, "on", 1, "on or off"},
	{{.type = FERRY_OPTION_SWITCH}, "off", 0, "on or off"},
	{{.type = FERRY_OPTION_CHOICE, .choices = "a|bc|d"}, "bc", 1, "one of a|bc|d"},
	{{.type = FERRY_OPTION_CHOICE, .choices = "a|bc|d"}, "d", 2, "one of a|bc|d"},
};

Test(setting, reads_and_describes_each_type)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct ferry_setting setting = {.number = 99};
		char expected[200];
		cr_expect(setting_parse(&values[i].option, values[i].value, &setting), "%s", values[i].value);
		cr_expect_eq(setting.number, values[i].number, "%s", values[i].value);
		setting_expected(&values[i].option, expected, sizeof(expected));
		cr_expect_str_eq(expected, values[i].expected);
	}
}

Test(setting, keeps_the_words_of_text_choices_and_numbers)
{
	const struct ferry_option number = {
		.type = FERRY_OPTION_INTEGER, .choices = "all|none", .min = 1, .max = 9};
	const struct ferry_option choice = {.type = FERRY_OPTION_CHOICE, .choices = "a|bc|d"};
	struct ferry_setting setting;
	cr_expect(setting_parse(&number, "none", &setting));
	cr_expect_str_eq(setting.text, "none");
	cr_expect(setting_parse(&number, "5", &setting));
	cr_expect_null(setting.text);
	cr_expect_not(setting_parse(&number, "0", &setting));
	cr_expect_not(setting_parse(&number, "al", &setting));
	cr_expect(setting_parse(&choice, "bc", &setting));
	cr_expect_str_eq(setting.text, "bc");
	cr_expect_not(setting_parse(&choice, "b", &setting));
	cr_expect_not(setting_parse(&choice, "bc|d", &setting));
}

Test(setting, a_description_is_cut_to_fit)
{
	const struct ferry_option choice = {.type = FERRY_OPTION_CHOICE, .choices = "a|bc|d"};
	char expected[8];
	setting_expected(&choice, expected, sizeof(expected));
	cr_expect_str_eq(expected, "one of ");
}

Test(setting, both_bounds_zero_is_any_number)
{
	const struct ferry_option any = {.type = FERRY_OPTION_INTEGER};
	const struct ferry_option down = {.type = FERRY_OPTION_INTEGER, .min = -9};
	cr_expect(setting_in_range(&any, INT64_MIN) && setting_in_range(&any, INT64_MAX));
	cr_expect(setting_in_range(&down, -9) && setting_in_range(&down, 0));
	cr_expect_not(setting_in_range(&down, 1));
	cr_expect_not(setting_in_range(&down, -10));
}
