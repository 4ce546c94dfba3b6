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

/* A variable FERRY_<TRANSPORT>_... is one of its settings. */
static int check_own(struct settings *s, const char *variable)
{
	char prefix[SETTINGS_VARIABLE_MAX], key[SETTINGS_VARIABLE_MAX];
	settings_variable(s, true, "", prefix);
	if (!key_of(variable, prefix, key) || has_variable(s, true, s->api->options, variable) ||
	    has_variable(s, false, config_bus_options, variable))
		return 0;
	return settings_unknown(s, SCOPE_OWN, key);
}

/* The key of every bus that is nearest, or NULL. */
static const char *nearest_of_bus(const char *key)
{
	const char *keys[BUS_SETTINGS + 3] = {"url", "config", "transport_path"};
	for (size_t i = 0; i < BUS_SETTINGS; i++)
		keys[3 + i] = config_bus_options[i].name;
	return name_nearest(key, keys, BUS_SETTINGS + 3);
}

/* Any other variable may be the program's own, unless it is nearly one of every bus. */
static int check_bus(struct settings *s, const char *variable)
{
	char prefix[SETTINGS_VARIABLE_MAX], key[SETTINGS_VARIABLE_MAX], known[SETTINGS_VARIABLE_MAX];
	if (s->api) {
		settings_variable(s, true, "", prefix);
		if (key_of(variable, prefix, key))
			return 0;
	}
	const char *nearest = key_of(variable, "FERRY_", key) ? nearest_of_bus(key) : NULL;
	if (!nearest || !name_is_misspelt(key, nearest))
		return 0;
	settings_variable(s, false, nearest, known);
	if (strcmp(known, variable) == 0)
		return 0;
	return fail(
		s->err, FERRY_E_CONFIG,
		"the environment's %s is not known: expected a setting of every bus; did you mean '%s'? If "
		"it is not for ferry, give it a name that is less like one",
		variable, known);
}

/* Call `check` for every variable that has a value, until one fails. */
static int check_variables(struct settings *s, int (*check)(struct settings *s, const char *variable))
{
	char variable[SETTINGS_VARIABLE_MAX];
	int code = 0;
	for (char **entry = environ; entry && *entry && !code; entry++) {
		size_t size = strcspn(*entry, "=");
		if (size >= sizeof(variable))
			continue;
		memcpy(variable, *entry, size);
		variable[size] = '\0';
		if (environment_get(variable))
			code = check(s, variable);
	}
	return code;
}

int environment_check(struct settings *s)
{
	return check_variables(s, check_bus);
}

int environment_read(struct settings *s)
{
	s->source = FROM_ENVIRONMENT;
	int code = put_variables(s, SCOPE_OWN, s->api->options);
	if (!code)
		code = put_variables(s, SCOPE_BUS, config_bus_options);
	if (!code)
		code = check_variables(s, check_own);
	return code ? code : environment_check(s);
}
