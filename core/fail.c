#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "names.h"

struct code {
	int value;
	int retriable;
	const char *name;
	const char *text;
};

static const struct code codes[] = {{FERRY_OK, 0, "FERRY_OK", "success"},
#define FAIL_CODE(name, value, retriable, text) {(value), (retriable), "FERRY_E_" #name, (text)},
				    FERRY_ERRORS(FAIL_CODE)
#undef FAIL_CODE
};

static const struct code *find_code(int value)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].value == value)
			return &codes[i];
	}
	return NULL;
}

const char *ferry_error_name(int code)
{
	const struct code *found = find_code(code);
	return found ? found->name : "FERRY_E_?";
}

const char *ferry_error_text(int code)
{
	const struct code *found = find_code(code);
	return found ? found->text : "a number that is no error code";
}

int ferry_error_retriable(int code)
{
	const struct code *found = find_code(code);
	return found ? found->retriable : 0;
}

/* Where to cut text of `size` bytes so that no UTF-8 sequence is left unfinished. */
static size_t whole_characters(const char *text, size_t size)
{
	size_t at = size;
	while (at > 0 && size - at < 4 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
		at--;
	if (at == 0)
		return size;
	unsigned char first = (unsigned char)text[at - 1];
	size_t wants = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
	return size - (at - 1) < wants ? at - 1 : size;
}

int fail(struct ferry_error *err, int code, const char *format, ...)
{
	/* Formatted beside *err, because an argument may be its old text. */
	char text[sizeof(((struct ferry_error *)0)->text)];
	va_list arguments;
	if (!err)
		return code;
	va_start(arguments, format);
	int wanted = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	size_t size = wanted < 0 ? 0 : strnlen(text, sizeof(text));
	if (wanted >= (int)sizeof(text))
		size = whole_characters(text, size);
	text[size] = '\0';
	/* A name, a payload or a broker's answer, cut anywhere, must not break the lines of a log. */
	text_make_printable(text);
	memset(err, 0, sizeof(*err));
	err->code = code;
	err->flags = ferry_error_retriable(code) ? FERRY_ERROR_RETRIABLE : 0;
	memcpy(err->text, text, size);
	return code;
}

int fail_nomem(struct ferry_error *err, const char *doing)
{
	return fail(err, FERRY_E_NOMEM, "out of memory while %s", doing);
}
