#include <criterion/criterion.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "names.h"
#include "options.h"

static const struct {
	const char *name;
	int code;
	int retriable;
} codes[] = {{"FERRY_OK", 0, 0},
#define ROW(name, value, retriable, text) {"FERRY_E_" #name, (value), (retriable)},
	     FERRY_ERRORS(ROW)
#undef ROW
};

Test(error, every_code_has_a_name_a_text_and_a_verdict)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		cr_expect_str_eq(ferry_error_name(codes[i].code), codes[i].name);
		cr_expect_eq(ferry_error_retriable(codes[i].code), codes[i].retriable, "%s", codes[i].name);
		cr_expect(strlen(ferry_error_text(codes[i].code)) > 5, "%s", codes[i].name);
	}
	cr_expect_eq(ferry_error_retriable(FERRY_E_UNREACHABLE), 1);
	cr_expect_eq(ferry_error_retriable(FERRY_E_CONFIG), 0);
}

Test(error, numbers_never_change)
{
	cr_expect_eq(FERRY_E_NOMEM, -1);
	cr_expect_eq(FERRY_E_CONFIG, -11);
	cr_expect_eq(FERRY_E_INTERNAL, -22);
	cr_expect_eq(sizeof(struct ferry_error), 512);
}

Test(error, other_numbers_are_no_codes)
{
	static const int numbers[] = {1, -23, 1000, INT_MAX, INT_MIN};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		cr_expect_str_eq(ferry_error_name(numbers[i]), "FERRY_E_?");
		cr_expect_not_null(ferry_error_text(numbers[i]));
		cr_expect_eq(ferry_error_retriable(numbers[i]), 0);
	}
}

Test(error, a_failure_replaces_all_that_was_there)
{
	struct ferry_error err;
	memset(&err, 0xFF, sizeof(err));
	cr_expect_eq(fail(&err, FERRY_E_CONFIG, "the setting '%s' is %d", "queue", 7), FERRY_E_CONFIG);
	cr_expect_eq(err.code, FERRY_E_CONFIG);
	cr_expect_eq(err.native_code, 0);
	cr_expect_eq(err.flags, 0);
	cr_expect_str_eq(err.text, "the setting 'queue' is 7");
	cr_expect_eq(fail_nomem(&err, "opening a bus"), FERRY_E_NOMEM);
	cr_expect_eq(err.flags, FERRY_ERROR_RETRIABLE);
	cr_expect_str_eq(err.text, "out of memory while opening a bus");
	cr_expect_eq(fail(NULL, FERRY_E_STATE, "nobody %s", "listens"), FERRY_E_STATE);
}

Test(error, a_failure_may_quote_the_one_before)
{
	struct ferry_error err;
	fail(&err, FERRY_E_BROKER, "inner");
	fail(&err, FERRY_E_UNREACHABLE, "outer: %s", err.text);
	cr_expect_str_eq(err.text, "outer: inner");
}

Test(error, a_text_is_printable_whatever_it_quotes)
{
	struct ferry_error err;
	fail(&err, FERRY_E_BROKER, "%s", "a\nb\x7f\xC3|\xE4\xB8 \xC3\xA4");
	cr_expect_str_eq(err.text, "a?b??|?? \xC3\xA4");
}

Test(error, a_long_text_is_cut_between_characters)
{
	struct ferry_error err;
	char text[700];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	fail(&err, FERRY_E_INVALID, "%s", text);
	cr_expect_eq(strlen(err.text), sizeof(err.text) - 1);
	/* Characters of two, three and four bytes, beginning at each place near the end. */
	static const char *const characters[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
	for (size_t kind = 0; kind < 3; kind++) {
		size_t width = kind + 2;
		for (size_t begin = 0; begin < width; begin++) {
			char *end = text;
			for (size_t i = 0; i < begin; i++)
				*end++ = 'x';
			for (size_t i = 0; i < 600 / width; i++, end += width)
				memcpy(end, characters[kind], width);
			*end = '\0';
			fail(&err, FERRY_E_INVALID, "%s", text);
			size_t size = strlen(err.text);
			cr_expect(text_is_utf8(err.text, size), "width %zu, begun at %zu", width, begin);
			cr_expect(size > sizeof(err.text) - 1 - width, "width %zu, begun at %zu: %zu bytes",
				  width, begin, size);
		}
	}
}

Test(error, control_characters_do_not_reach_a_log)
{
	struct ferry_error err;
	fail(&err, FERRY_E_BROKER, "%s", "a\nb\rc\td\x1B[0m\x7F");
	cr_expect_str_eq(err.text, "a?b?c?d?[0m?");
}

/* ---- option structs, whose refusals are errors that every call shares ---- */

struct known_options {
	size_t size;
	int64_t a;
	int64_t b;
};

struct newer_options {
	struct known_options known;
	int64_t c;
};

Test(options, null_means_every_default)
{
	struct known_options to = {1, 2, 3};
	cr_expect_eq(options_copy(&to, sizeof(to), NULL, "known_options", NULL), 0);
	cr_expect(to.size == sizeof(to) && to.a == 0 && to.b == 0);
}

Test(options, an_older_struct_lacks_what_is_zero)
{
	struct known_options to, from = {offsetof(struct known_options, b), 7, 8};
	cr_expect_eq(options_copy(&to, sizeof(to), &from, "known_options", NULL), 0);
	cr_expect(to.size == sizeof(to) && to.a == 7 && to.b == 0);
}

Test(options, a_newer_struct_may_not_ask_for_what_is_unknown)
{
	struct ferry_error err = {0};
	struct known_options to = {1, 2, 3};
	struct newer_options from = {{sizeof(from), 7, 8}, 0};
	cr_expect_eq(options_copy(&to, sizeof(to), &from, "known_options", &err), 0);
	cr_expect(to.size == sizeof(to) && to.a == 7 && to.b == 8);
	from.c = INT64_C(1) << 56; /* in the last byte */
	cr_expect_eq(options_copy(&to, sizeof(to), &from, "known_options", &err), FERRY_E_INVALID);
	cr_expect(strstr(err.text, "struct known_options"), "%s", err.text);
	cr_expect(strstr(err.text, "newer library"), "%s", err.text);
}

Test(options, a_size_that_nobody_set_is_refused)
{
	static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 1 << 20, SIZE_MAX};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct ferry_error err = {0};
		struct known_options to, from = {sizes[i], 7, 8};
		cr_expect_eq(options_copy(&to, sizeof(to), &from, "known_options", &err), FERRY_E_INVALID);
		cr_expect(strstr(err.text, "sizeof(struct known_options)"), "%s", err.text);
	}
}
