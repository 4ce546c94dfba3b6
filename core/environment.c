#include "environment.h"

#include <stdlib.h>
#include <unistd.h>

#include "fail.h"
#include "names.h"

const char *environment_get(const char *variable)
{
	const char *value = secure_getenv(variable);
	return value && *value ? value : NULL;
}

static int put_variable(struct settings *s, enum settings_scope scope, const char *key)
{
	char variable[SETTINGS_VARIABLE_MAX];
	struct settings_place place;
	settings_variable(s, scope == SCOPE_OWN, key, variable);
	const char *value = environment_get(variable);
	if (!value)
		return 0;
	size_t size = strlen(value);
	settings_find(s, scope, key, &place);
	if (!text_is_utf8(value, size))
		return settings_refuse(s, &place, key, "not valid UTF-8");
	const char *text = settings_keep(s, value, size);
	if (!text)
		return fail_nomem(s->err, "reading the environment");
	return settings_put(s, &place, key, text);
}

static int put_variables(struct settings *s, enum settings_scope scope, const struct ferry_option *table)
{
	int code = 0;
	for (; table && table->name && !code; table++) {
		if (table->type != FERRY_OPTION_PREFIX)
			code = put_variable(s, scope, table->name);
	}
	return code;
}

/* True when a setting in the table has this variable. */
static bool has_variable(const struct settings *s, bool own, const struct ferry_option *table,
			 const char *variable)
{
	char known[SETTINGS_VARIABLE_MAX];
	for (; table && table->name; table++) {
		settings_variable(s, own, table->name, known);
		if (table->type != FERRY_OPTION_PREFIX && strcmp(known, variable) == 0)
			return true;
	}
	return false;
}

/* What follows the prefix in a variable FERRY_<TRANSPORT>_..., as a key; false for any other. */
static bool key_of(const char *variable, const char *prefix, char key[SETTINGS_VARIABLE_MAX])
{
	size_t size = strlen(prefix), length = strlen(variable);
	if (length <= size || length >= SETTINGS_VARIABLE_MAX || strncmp(variable, prefix, size) != 0)
		return false;
	for (size_t i = size; i <= length; i++) {
		char c = variable[i];
		key[i - size] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	return name_is_attribute(key);
}

static int check_variable(struct settings *s, const char *variable, const char *prefix)
{
	char key[SETTINGS_VARIABLE_MAX];
	if (!key_of(variable, prefix, key) || !environment_get(variable) ||
	    has_variable(s, true, s->api->options, variable) ||
	    has_variable(s, false, config_bus_options, variable))
		return 0;
	return settings_unknown(s, SCOPE_OWN, key);
}

static int refuse_unknown(struct settings *s)
{
	char prefix[SETTINGS_VARIABLE_MAX], variable[SETTINGS_VARIABLE_MAX];
	int code = 0;
	settings_variable(s, true, "", prefix);
	for (char **entry = environ; entry && *entry && !code; entry++) {
		size_t size = strcspn(*entry, "=");
		if (size >= sizeof(variable))
			continue;
		memcpy(variable, *entry, size);
		variable[size] = '\0';
		code = check_variable(s, variable, prefix);
	}
	return code;
}

int environment_read(struct settings *s)
{
	s->source = FROM_ENVIRONMENT;
	int code = put_variables(s, SCOPE_OWN, s->api->options);
	if (!code)
		code = put_variables(s, SCOPE_BUS, config_bus_options);
	return code ? code : refuse_unknown(s);
}
