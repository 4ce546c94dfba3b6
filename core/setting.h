/*
 * setting.h - one value of a described setting (struct ferry_option): reading it, and saying what was
 * expected.
 */
#ifndef CORE_SETTING_H
#define CORE_SETTING_H

#include <stdbool.h>

#include <ferry/transport.h>

/*
 * Read `text` as the value of `option`: sets number and text (which *ret borrows) of *ret, or returns false
 * when it is not valid or out of range.  An INTEGER with `choices` takes those words besides numbers; text is
 * then the word, and else NULL.
 */
bool setting_parse(const struct ferry_option *option, const char *text, struct ferry_setting *ret);

/* True when `number` is inside the option's range. */
bool setting_in_range(const struct ferry_option *option, int64_t number);

/* What a value of `option` looks like: "a duration from 1ms to 1d, e.g. 30s".  Cut to fit. */
void setting_expected(const struct ferry_option *option, char *buffer, size_t size);

/* The place of `word` in "a|b|c", from 0, or -1. */
int setting_choice(const char *choices, const char *word);

#endif
