#include "config_file.h"

#include <inttypes.h>
#include <stdio.h>

#include "fail.h"
#include "names.h"
#include "setting.h"
#include "text_file.h"

/* ---- parsing ---- */

/* The key that ends with the quote before `end`: "" when it is not one that can be quoted. */
static void key_before(const char *text, int end, char key[129])
{
	int begin = end - 1;
	key[0] = '\0';
	if (begin < 0 || text[begin] != '"')
		return;
	while (begin > 0 && end - begin < 130 && text[begin - 1] != '"')
		begin--;
	if (begin == 0 || end - 1 - begin > 128)
		return;
	memcpy(key, text + begin, (size_t)(end - 1 - begin));
	key[end - 1 - begin] = '\0';
	if (!name_is_attribute(key))
		key[0] = '\0';
}

/* The parser's own text quotes what it stumbled over, which may be a secret. */
static int not_json(const char *path, const char *text, const json_error_t *bad, struct ferry_error *err)
{
	enum json_error_code code = json_error_code(bad);
	char key[129];
	if (code == json_error_out_of_memory || bad->text[0] == '\0')
		return fail_nomem(err, "reading the settings");
	if (code == json_error_duplicate_key) {
		key_before(text, bad->position, key);
		return fail(err, FERRY_E_CONFIG,
			    "%.200s: the key '%s' at line %d is given twice: expected it once", path, key,
			    bad->line);
	}
	return fail(
		err, FERRY_E_CONFIG,
		"%.200s: line %d, column %d: this is not JSON%s: expected one object of settings, such as "
		"{\"url\": \"memory:\"}",
		path, bad->line, bad->column,
		code == json_error_numeric_overflow         ? " that can be read (the number is too large)"
		: code == json_error_invalid_utf8           ? " (it is not UTF-8)"
		: code == json_error_null_character         ? " that can be read (a string has a NUL)"
		: code == json_error_premature_end_of_input ? " (it ends too early)"
							    : "");
}

int config_file_open(struct config_file *ret, const char *origin, const char *path,
		     const struct ferry_allocator *a, struct ferry_error *err)
{
	json_error_t bad = {.text = ""};
	char *text;
	size_t size;
	int code = text_file_read(a, origin, path, CONFIG_FILE_MAX, &text, &size, err);
	if (code)
		return code;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &bad);
	if (!root)
		code = not_json(path, text, &bad, err);
	else if (!json_is_object(root))
		code = fail(err, FERRY_E_CONFIG,
			    "%.200s: the file is not an object: expected one object of settings, such as "
			    "{\"url\": \"memory:\"}",
			    path);
	text_file_free(a, text, size);
	*ret = (struct config_file){path, root};
	if (code)
		config_file_close(ret);
	return code;
}

static void wipe(json_t *value)
{
	const char *key;
	json_t *member;
	if (json_is_string(value))
		explicit_bzero((void *)(uintptr_t)json_string_value(value), json_string_length(value));
	json_object_foreach(value, key, member) wipe(member);
}

void config_file_close(struct config_file *file)
{
	wipe(file->root);
	json_decref(file->root);
	*file = (struct config_file){NULL, NULL};
}

/* ---- values ---- */

static const char *kind_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	case JSON_REAL:
		return "a number with a fraction or an exponent";
	case JSON_NULL:
		return "null";
	default:
		return json_is_true(value) ? "true" : "false";
	}
}

/* True when a value of this kind is one that the option can have; its text is checked later. */
static bool is_kind(const struct ferry_option *option, const json_t *value)
{
	switch (option->type) {
	case FERRY_OPTION_INTEGER:
		return json_is_integer(value) ||
		       (json_is_string(value) && option->choices &&
			setting_choice(option->choices, json_string_value(value)) >= 0);
	case FERRY_OPTION_SIZE:
	case FERRY_OPTION_DURATION:
		return json_is_integer(value) || json_is_string(value);
	case FERRY_OPTION_SWITCH:
		return json_is_boolean(value) || json_is_string(value);
	case FERRY_OPTION_PREFIX:
		return json_is_integer(value) || json_is_string(value) || json_is_boolean(value);
	default:
		return json_is_string(value);
	}
}

/* The value as it would stand in a URL. */
static const char *keep_value(struct settings *s, const struct ferry_option *option, const json_t *value)
{
	char number[32];
	if (json_is_string(value))
		return settings_keep(s, json_string_value(value), json_string_length(value));
	if (json_is_boolean(value) && option->type == FERRY_OPTION_SWITCH)
		return json_is_true(value) ? "on" : "off";
	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	int size = snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return settings_keep(s, number, (size_t)size);
}

/* ---- members ---- */

static int bad_key(const struct settings *s)
{
	return fail(s->err, FERRY_E_CONFIG,
		    "%.200s: it has a key that is not valid: expected 1 to 128 of A-Z, a-z, 0-9, '.', '_' "
		    "and '-'",
		    s->file);
}

static int put_member(struct settings *s, enum settings_scope scope, const char *key, const json_t *value)
{
	struct settings_place place;
	if (!settings_find(s, scope, key, &place))
		return name_is_attribute(key) ? settings_unknown(s, scope, key) : bad_key(s);
	if (!name_is_attribute(key))
		return bad_key(s);
	if (!is_kind(place.option, value))
		return settings_refuse(s, &place, key, kind_of(value));
	const char *text = keep_value(s, place.option, value);
	if (!text)
		return fail_nomem(s->err, "reading the settings");
	/* The name in an own key of a PREFIX option is kept by the settings, too. */
	if (!place.setting && !(key = settings_keep(s, key, strlen(key))))
		return fail_nomem(s->err, "reading the settings");
	return settings_put(s, &place, key, text);
}

static int read_section(struct settings *s, json_t *section)
{
	const char *key;
	json_t *value;
	if (!json_is_object(section))
		return fail(s->err, FERRY_E_CONFIG,
			    "%.200s: the setting '%s' is %s: expected an object of settings of the transport "
			    "'%s'",
			    s->file, s->api->name, kind_of(section), s->api->name);
	json_object_foreach(section, key, value)
	{
		int code = put_member(s, SCOPE_OWN, key, value);
		if (code)
			return code;
	}
	return 0;
}

/* Settings of another transport, which nobody can check now; but a name that is nearly a known key is meant
 * to be that. */
static bool is_of_another(struct settings *s, const char *key, const json_t *value)
{
	return json_is_object(value) && name_is_transport(key) && !settings_is_near(s, key);
}

int config_file_read(const struct config_file *file, struct settings *s)
{
	const char *key;
	json_t *value;
	int code = 0;
	s->source = FROM_FILE;
	json_object_foreach(file->root, key, value)
	{
		if (strcmp(key, s->api->name) == 0)
			code = read_section(s, value);
		else if (strcmp(key, "url") != 0 && !is_of_another(s, key, value))
			code = put_member(s, SCOPE_BUS, key, value);
		if (code)
			return code;
	}
	return 0;
}

int config_file_url(const struct config_file *file, const char **ret, struct ferry_error *err)
{
	const json_t *url = json_object_get(file->root, "url");
	*ret = json_string_value(url);
	if (!url || *ret)
		return 0;
	return fail(err, FERRY_E_CONFIG,
		    "%.200s: the setting 'url' is %s: expected a string such as \"memory:\" or "
		    "\"redis://host:6379\"",
		    file->path, kind_of(url));
}
