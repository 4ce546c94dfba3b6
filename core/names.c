#include "names.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#define NAME_ATTRIBUTE_MAX 128
#define NEAREST_MAX        64 /* longer words are not compared */

static bool is_lower_or_digit(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(unsigned char c)
{
	return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* Between 1 and `max` characters, each a letter, a digit or one of `others`. */
static bool is_name(const char *name, size_t max, const char *others)
{
	size_t length = 0;
	for (; name[length]; length++) {
		if (length == max)
			return false;
		if (!is_alnum((unsigned char)name[length]) && !strchr(others, name[length]))
			return false;
	}
	return length > 0;
}

/* NATS splits subjects at dots and has no empty part. */
static bool has_empty_part(const char *name)
{
	size_t length = strlen(name);
	return name[0] == '.' || name[length - 1] == '.' || strstr(name, "..");
}

bool name_is_topic(const char *name)
{
	return is_name(name, NAME_TOPIC_MAX, "._-") && !has_empty_part(name);
}

bool name_is_derived_topic(const char *name)
{
	return is_name(name, NAME_DERIVED_MAX, "._-") && !has_empty_part(name);
}

bool name_is_group(const char *name)
{
	return is_name(name, NAME_GROUP_MAX, "_-");
}

bool name_is_transport(const char *name)
{
	if (!is_name(name, NAME_TRANSPORT_MAX, "-"))
		return false;
	for (; *name; name++) {
		if (*name >= 'A' && *name <= 'Z')
			return false;
	}
	return true;
}

bool name_is_attribute(const char *name)
{
	return is_name(name, NAME_ATTRIBUTE_MAX, "_.-");
}

bool name_is_reserved_attribute(const char *name)
{
	static const char *const whole[] = {"content-type", "traceparent", "tracestate", "baggage"};
	static const char *const begins[] = {"ce_", "ce-", "ferry-", "Nats-"};
	/* Their first letters: every publish with attributes asks. */
	if (!strchr("cCtTbBfFnN", name[0]))
		return false;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		if (strcasecmp(name, whole[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		if (strncasecmp(name, begins[i], strlen(begins[i])) == 0)
			return true;
	}
	return false;
}

/* How many bytes the sequence that begins at `s` has; 0 when it is not well-formed (Unicode, table 3-7). */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
	unsigned char low = 0x80, high = 0xBF;
	size_t size;
	if (s[0] >= 0x01 && s[0] <= 0x7F)
		return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		size = 2;
	else if (s[0] >= 0xE0 && s[0] <= 0xEF)
		size = 3;
	else if (s[0] >= 0xF0 && s[0] <= 0xF4)
		size = 4;
	else
		return 0;
	if (s[0] == 0xE0)
		low = 0xA0; /* shorter forms exist below */
	else if (s[0] == 0xED)
		high = 0x9F; /* surrogates above */
	else if (s[0] == 0xF0)
		low = 0x90;
	else if (s[0] == 0xF4)
		high = 0x8F; /* past U+10FFFF above */
	if (left < size || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++) {
		if (s[i] < 0x80 || s[i] > 0xBF)
			return 0;
	}
	return size;
}

bool text_is_utf8(const char *text, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;
	while (at < size) {
		size_t step = utf8_sequence(s + at, size - at);
		if (step == 0)
			return false;
		at += step;
	}
	return true;
}

void text_make_printable(char *text)
{
	size_t left = strlen(text);
	while (left) {
		size_t step = utf8_sequence((const unsigned char *)text, left);
		if (step == 0 || (unsigned char)*text < ' ' || *text == 0x7F) {
			*text = '?';
			step = 1;
		}
		text += step;
		left -= step;
	}
}

static char kafka_metric(char c)
{
	return c == '.' ? '_' : c;
}

bool names_collide(const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return false;
	while (*a && kafka_metric(*a) == kafka_metric(*b)) {
		a++;
		b++;
	}
	return *a == '\0' && *b == '\0';
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t rows[3][NEAREST_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	for (size_t j = 0; j <= b_size; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
			row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		size_t *spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[b_size];
}

const char *name_nearest(const char *word, const char *const *candidates, size_t count)
{
	size_t length = strlen(word);
	size_t limit = length / 3 > 2 ? length / 3 : 2;
	size_t best = SIZE_MAX;
	const char *nearest = NULL;
	if (length > NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(candidates[i]);
		if (size > NEAREST_MAX)
			continue;
		size_t distance = edit_distance(word, length, candidates[i], size);
		if (distance <= limit && distance < length && distance < best) {
			best = distance;
			nearest = candidates[i];
		}
	}
	return nearest;
}

bool name_is_misspelt(const char *word, const char *name)
{
	size_t length = strlen(word), size = strlen(name);
	return length <= NEAREST_MAX && size <= NEAREST_MAX &&
	       edit_distance(word, length, name, size) <= (size < 8 ? 1 : 2);
}
