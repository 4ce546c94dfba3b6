#include "setting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t value;
};

/* The smallest first; the last is an empty name. */
static const struct unit durations[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
					{"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1},
				    {"KiB", INT64_C(1) << 10},
				    {"MiB", INT64_C(1) << 20},
				    {"GiB", INT64_C(1) << 30},
				    {"TiB", INT64_C(1) << 40},
				    {NULL, 0}};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

/* Decimal digits at the front of `text`, with a '-' when `negative`; NULL when there are none or too many. */
static const char *read_number(const char *text, bool negative, int64_t *ret)
{
	bool minus = negative && *text == '-';
	int64_t value = 0;
	text += minus ? 1 : 0;
	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		int digit = *text - '0';
		if (value > (INT64_MAX - digit) / 10)
			return NULL;
		value = value * 10 + digit;
	}
	*ret = minus ? -value : value;
	return text;
}

static bool read_amount(const char *text, const struct unit *units, bool negative, int64_t *ret)
{
	int64_t value;
	const char *rest = read_number(text, negative, &value);
	if (!rest)
		return false;
	if (value == 0 && *rest == '\0') {
		*ret = 0; /* no unit is needed */
		return true;
	}
	for (; units->name; units++) {
		if (strcmp(rest, units->name) == 0) {
			if (value > INT64_MAX / units->value)
				return false;
			*ret = value * units->value;
			return true;
		}
	}
	return false;
}

int setting_choice(const char *choices, const char *word)
{
	size_t size = strlen(word);
	for (int index = 0;; index++) {
		size_t length = strcspn(choices, "|");
		if (length == size && memcmp(choices, word, size) == 0)
			return index;
		if (choices[length] == '\0')
			return -1;
		choices += length + 1;
	}
}

bool setting_in_range(const struct ferry_option *option, int64_t number)
{
	return (option->min == 0 && option->max == 0) || (number >= option->min && number <= option->max);
}

static bool read_integer(const struct ferry_option *option, const char *text, struct ferry_setting *ret)
{
	if (option->choices && setting_choice(option->choices, text) >= 0) {
		ret->text = text;
		return true;
	}
	return read_amount(text, plain, true, &ret->number) && setting_in_range(option, ret->number);
}

bool setting_parse(const struct ferry_option *option, const char *text, struct ferry_setting *ret)
{
	int choice = -1;
	ret->number = 0;
	ret->text = NULL;
	switch (option->type) {
	case FERRY_OPTION_TEXT:
	case FERRY_OPTION_SECRET:
		ret->text = text;
		return true;
	case FERRY_OPTION_INTEGER:
		return read_integer(option, text, ret);
	case FERRY_OPTION_SIZE:
		return read_amount(text, sizes, false, &ret->number) && setting_in_range(option, ret->number);
	case FERRY_OPTION_DURATION:
		return read_amount(text, durations, false, &ret->number) &&
		       setting_in_range(option, ret->number);
	case FERRY_OPTION_SWITCH:
		choice = setting_choice("off|on", text);
		break;
	case FERRY_OPTION_CHOICE:
		choice = setting_choice(option->choices, text);
		ret->text = text;
		break;
	default:
		break;
	}
	ret->number = choice;
	return choice >= 0;
}

/* In the largest unit that leaves no rest. */
static void print_amount(char *buffer, size_t size, const struct unit *units, int64_t value)
{
	const struct unit *best = units;
	for (; units->name; units++) {
		if (value != 0 && value % units->value == 0)
			best = units;
	}
	snprintf(buffer, size, "%" PRId64 "%s", value / best->value, value == 0 ? "" : best->name);
}

static void print_range(const struct ferry_option *option, const char *noun, const struct unit *units,
			const char *example, char *buffer, size_t size)
{
	char least[32], most[32], range[80] = "", words[64] = "";
	if (option->max == INT64_MAX) {
		print_amount(least, sizeof(least), units, option->min);
		snprintf(range, sizeof(range), " of at least %s", least);
	} else if (option->min != 0 || option->max != 0) {
		print_amount(least, sizeof(least), units, option->min);
		print_amount(most, sizeof(most), units, option->max);
		snprintf(range, sizeof(range), " from %s to %s", least, most);
	}
	if (option->type == FERRY_OPTION_INTEGER && option->choices)
		snprintf(words, sizeof(words), "%s, or ", option->choices);
	snprintf(buffer, size, "%s%s%s, e.g. %s", words, noun, range, example);
}

void setting_expected(const struct ferry_option *option, char *buffer, size_t size)
{
	const char *value = option->default_value;
	char least[32];
	switch (option->type) {
	case FERRY_OPTION_INTEGER:
		print_amount(least, sizeof(least), plain, option->min);
		print_range(option, "a whole number", plain, value ? value : least, buffer, size);
		break;
	case FERRY_OPTION_SIZE:
		print_range(option, "a size in bytes", sizes, value ? value : "64KiB", buffer, size);
		break;
	case FERRY_OPTION_DURATION:
		print_range(option, "a duration with its unit (ms, s, m, h, d)", durations,
			    value ? value : "10s", buffer, size);
		break;
	case FERRY_OPTION_SWITCH:
		snprintf(buffer, size, "on or off");
		break;
	case FERRY_OPTION_CHOICE:
		snprintf(buffer, size, "one of %s", option->choices);
		break;
	default:
		snprintf(buffer, size, "text");
		break;
	}
}
