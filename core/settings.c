#include "settings.h"

#include <stdio.h>

#include "fail.h"
#include "names.h"
#include "setting.h"

struct kept {
	struct kept *next;
	size_t size;
	char text[];
};

const char *settings_keep(struct settings *s, const char *text, size_t size)
{
	struct kept *kept = alloc_bytes(s->allocator, sizeof(*kept) + size + 1);
	if (!kept)
		return NULL;
	memcpy(kept->text, text, size);
	kept->text[size] = '\0';
	kept->size = size;
	kept->next = s->kept;
	s->kept = kept;
	return kept->text;
}

static size_t table_size(const struct ferry_option *table)
{
	size_t size = 0;
	while (table && table[size].name)
		size++;
	return size;
}

int settings_begin(struct settings *s)
{
	s->own = alloc_zeroed(s->allocator, (table_size(s->api->options) + 1) * sizeof(*s->own));
	return s->own ? 0 : fail_nomem(s->err, "reading the settings");
}

static void read_defaults(const struct ferry_option *table, struct ferry_setting *settings)
{
	for (size_t i = 0; table && table[i].name; i++) {
		if (!settings[i].is_set && table[i].default_value && table[i].type != FERRY_OPTION_PREFIX)
			(void)setting_parse(&table[i], table[i].default_value, &settings[i]);
	}
}

void settings_finish(struct settings *s)
{
	read_defaults(s->api->options, s->own);
	read_defaults(config_bus_options, s->bus);
}

void settings_free(struct settings *s)
{
	while (s->kept) {
		struct kept *kept = s->kept;
		s->kept = kept->next;
		explicit_bzero(kept->text, kept->size);
		alloc_free(s->allocator, kept);
	}
	if (s->allocator) {
		alloc_free(s->allocator, s->own);
		alloc_free(s->allocator, s->extra);
	}
	memset(s, 0, sizeof(*s));
}

/* ---- how a key is written in a source ---- */

static char upper(char c)
{
	if (c >= 'a' && c <= 'z')
		return (char)(c - 'a' + 'A');
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ? c : '_';
}

void settings_variable(const struct settings *s, bool own, const char *key,
		       char variable[SETTINGS_VARIABLE_MAX])
{
	snprintf(variable, SETTINGS_VARIABLE_MAX, "FERRY_%s%s%.128s", own ? s->api->name : "", own ? "_" : "",
		 key);
	for (char *c = variable; *c; c++)
		*c = upper(*c);
}

static void spell(const struct settings *s, enum settings_source source, bool own, const char *key,
		  char text[SETTINGS_VARIABLE_MAX])
{
	if (source == FROM_ENVIRONMENT)
		settings_variable(s, own, key, text);
	else if (source == FROM_FILE && own)
		snprintf(text, SETTINGS_VARIABLE_MAX, "%s.%.128s", s->api->name, key);
	else
		snprintf(text, SETTINGS_VARIABLE_MAX, "%.128s", key);
}

static void label(const struct settings *s, enum settings_source source, bool own, const char *key,
		  char text[SETTINGS_LABEL_MAX])
{
	char name[SETTINGS_VARIABLE_MAX];
	spell(s, source, own, key, name);
	if (source == FROM_ENVIRONMENT)
		snprintf(text, SETTINGS_LABEL_MAX, "the environment's %s", name);
	else if (source == FROM_FILE)
		snprintf(text, SETTINGS_LABEL_MAX, "%.140s: the setting '%s'", s->file, name);
	else
		snprintf(text, SETTINGS_LABEL_MAX, "the URL's setting '%s'", name);
}

void settings_origin(const struct settings *s, enum bus_setting setting, char text[SETTINGS_LABEL_MAX])
{
	label(s, s->bus_from[setting], false, config_bus_options[setting].name, text);
}

/* ---- refusing ---- */

#define KNOWN_MAX 128

/* Every key that could be meant; in a file also what only a file has. */
struct known {
	const char *names[KNOWN_MAX];
	size_t own, count; /* the first `own` are the transport's */
};

static void collect_known(const struct settings *s, struct known *known)
{
	size_t count = 0;
	for (const struct ferry_option *o = s->api->options; o && o->name && count < KNOWN_MAX; o++) {
		if (o->type != FERRY_OPTION_PREFIX || s->source != FROM_ENVIRONMENT)
			known->names[count++] = o->name;
	}
	known->own = count;
	for (const struct ferry_option *o = config_bus_options; o->name && count < KNOWN_MAX; o++)
		known->names[count++] = o->name;
	if (s->source == FROM_FILE && count + 2 <= KNOWN_MAX) {
		known->names[count++] = "url";
		known->names[count++] = s->api->name;
	}
	known->count = count;
}

static size_t find_nearest(const struct known *known, const char *key)
{
	const char *nearest = name_nearest(key, known->names, known->count);
	size_t at = 0;
	while (at < known->count && known->names[at] != nearest)
		at++;
	return at;
}

bool settings_is_near(const struct settings *s, const char *key)
{
	struct known known;
	collect_known(s, &known);
	return find_nearest(&known, key) < known.count;
}

/* The value is not quoted: the key may be a misspelt secret's. */
int settings_unknown(struct settings *s, enum settings_scope scope, const char *key)
{
	struct known known;
	char what[SETTINGS_LABEL_MAX], name[SETTINGS_VARIABLE_MAX], list[400] = "";
	size_t used = 0;
	collect_known(s, &known);
	label(s, s->source, scope == SCOPE_OWN, key, what);
	size_t nearest = find_nearest(&known, key);
	if (nearest < known.count) {
		spell(s, s->source, nearest < known.own, known.names[nearest], name);
		return fail(s->err, FERRY_E_CONFIG,
			    "%s is not known: expected a setting of the transport '%s' or of every bus; did "
			    "you mean '%s'?",
			    what, s->api->name, name);
	}
	for (size_t i = 0; i < known.count && used < sizeof(list); i++) {
		spell(s, s->source, i < known.own, known.names[i], name);
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", name);
	}
	return fail(s->err, FERRY_E_CONFIG, "%s is not known: expected one of %s", what, list);
}

/* A group's name, wherever it comes from. */
static void expected_of(const struct settings_place *place, char *buffer, size_t size)
{
	if (place->bus == SERVICE)
		snprintf(buffer, size, "1 to 40 of A-Z, a-z, 0-9, '_' and '-'");
	else
		setting_expected(place->option, buffer, size);
}

int settings_refuse(struct settings *s, const struct settings_place *place, const char *key, const char *got)
{
	char what[SETTINGS_LABEL_MAX], expected[200];
	label(s, s->source, place->bus < 0, key, what);
	expected_of(place, expected, sizeof(expected));
	return fail(s->err, FERRY_E_CONFIG, "%s is %s: expected %s", what, got, expected);
}

#define QUOTED_MAX 100 /* bytes of a value in an error */

/* True when an error can quote the text without harm to a log. */
static bool is_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7F)
			return false;
	}
	return text_is_utf8(text, size);
}

static int bad_value(struct settings *s, const struct settings_place *place, const char *text)
{
	char got[QUOTED_MAX + 3] = "not valid";
	size_t size = strlen(text);
	if (place->option->type != FERRY_OPTION_SECRET && is_printable(text, size)) {
		size_t cut = size < QUOTED_MAX ? size : QUOTED_MAX;
		while (cut < size && ((unsigned char)text[cut] & 0xC0) == 0x80)
			cut--; /* between characters */
		snprintf(got, sizeof(got), "'%.*s'", (int)cut, text);
	}
	return settings_refuse(s, place, place->option->name, got);
}

static int twice(struct settings *s, bool own, const char *key)
{
	char what[SETTINGS_LABEL_MAX];
	label(s, s->source, own, key, what);
	return fail(s->err, FERRY_E_CONFIG, "%s is given twice: expected it once", what);
}

/* ---- taking ---- */

/* The index in the table, or -1; `prefix`: of the PREFIX option that the key begins with. */
static int find_option(const struct ferry_option *table, const char *key, bool prefix)
{
	for (int i = 0; table && table[i].name; i++) {
		size_t size = strlen(table[i].name);
		if (prefix != (table[i].type == FERRY_OPTION_PREFIX))
			continue;
		if (strncmp(table[i].name, key, size) == 0 && (key[size] == '\0') != prefix)
			return i;
	}
	return -1;
}

/* A transport's own setting comes before the bus's of the same name: an old plugin's URL goes on to mean what
 * it meant when a later core has a new setting. */
bool settings_find(struct settings *s, enum settings_scope scope, const char *key, struct settings_place *ret)
{
	const struct ferry_option *table = scope == SCOPE_BUS ? NULL : s->api->options;
	int own = find_option(table, key, false);
	int bus = scope == SCOPE_OWN || own >= 0 ? -1 : find_option(config_bus_options, key, false);
	int prefix = own >= 0 || bus >= 0 ? -1 : find_option(table, key, true);
	ret->bus = bus;
	ret->setting = own >= 0 ? &s->own[own] : bus >= 0 ? &s->bus[bus] : NULL;
	ret->option = bus >= 0 ? &config_bus_options[bus] : NULL;
	if (own >= 0 || prefix >= 0)
		ret->option = &table[own >= 0 ? own : prefix];
	return ret->option != NULL;
}

/* The list always ends with a NULL name. */
static int add_extra(struct settings *s, const char *key, const char *text)
{
	for (size_t i = 0; i < s->extra_count; i++) {
		if (strcmp(s->extra[i].name, key) == 0)
			return s->source == FROM_URL ? twice(s, true, key) : 0;
	}
	if (s->extra_count + 1 >= s->extra_room) {
		size_t room = s->extra_room ? s->extra_room * 2 : 8;
		size_t bytes = room * sizeof(*s->extra);
		void *grown = s->extra ? alloc_resize(s->allocator, s->extra, bytes)
				       : alloc_bytes(s->allocator, bytes);
		if (!grown)
			return fail_nomem(s->err, "reading the settings");
		s->extra = grown;
		s->extra_room = room;
	}
	s->extra[s->extra_count++] = (struct ferry_attribute){key, text};
	s->extra[s->extra_count] = (struct ferry_attribute){NULL, NULL};
	return 0;
}

int settings_put(struct settings *s, const struct settings_place *place, const char *key, const char *text)
{
	struct ferry_setting value = {0};
	if (!place->setting)
		return add_extra(s, key, text);
	if (s->source == FROM_URL && place->setting->is_set)
		return twice(s, place->bus < 0, key);
	if (!setting_parse(place->option, text, &value) || (place->bus == SERVICE && !name_is_group(text)))
		return bad_value(s, place, text);
	if (place->setting->is_set)
		return 0;
	value.is_set = 1;
	*place->setting = value;
	if (place->bus >= 0)
		s->bus_from[place->bus] = s->source;
	return 0;
}
