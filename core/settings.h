/*
 * settings.h - the settings of one bus while they are collected from the URL, the environment and a file.
 *
 * The sources are read in this order and the first that gives a setting wins.  A value in a later source is
 * checked all the same: a mistake does not wait for the day when it counts.
 */
#ifndef CORE_SETTINGS_H
#define CORE_SETTINGS_H

#include <stdbool.h>

#include <ferry/transport.h>

#include "alloc.h"
#include "bus_options.h"

enum settings_source { FROM_DEFAULT, FROM_URL, FROM_ENVIRONMENT, FROM_FILE };

/* Whose settings a key can be: in a URL all are in one space. */
enum settings_scope { SCOPE_ALL, SCOPE_BUS, SCOPE_OWN };

struct settings {
	const struct ferry_allocator *allocator;
	const struct ferry_transport *api;
	struct ferry_error *err;
	const char *file;            /* the file's path, for errors */
	enum settings_source source; /* what is being read */
	struct ferry_setting *own;   /* one per entry of api->options */
	struct ferry_setting bus[BUS_SETTINGS];
	enum settings_source bus_from[BUS_SETTINGS];
	struct ferry_attribute *extra; /* keys of PREFIX options; NULL, or ends with a NULL name */
	size_t extra_count, extra_room;
	struct kept *kept; /* texts that the settings point into */
};

/* What a key means. */
struct settings_place {
	const struct ferry_option *option;
	struct ferry_setting *setting; /* NULL: a key of a PREFIX option */
	int bus;                       /* enum bus_setting, or -1: the transport's own */
};

/* Begin with nothing set; allocator, api and err are.  FERRY_E_NOMEM. */
int settings_begin(struct settings *s);
/* Give what no source gave its default. */
void settings_finish(struct settings *s);
/* Free everything, wiped; a zeroed one is allowed. */
void settings_free(struct settings *s);

/* A copy of `text` that lives as long as the settings, or NULL. */
const char *settings_keep(struct settings *s, const char *text, size_t size);

/* False when the key is not known in this scope. */
bool settings_find(struct settings *s, enum settings_scope scope, const char *key,
		   struct settings_place *ret);
/* Set the place's value from `text`, which must live as long as the settings.  FERRY_E_CONFIG. */
int settings_put(struct settings *s, const struct settings_place *place, const char *key, const char *text);

/* FERRY_E_CONFIG: the key is not known; names the nearest. */
int settings_unknown(struct settings *s, enum settings_scope scope, const char *key);
/* True when settings_unknown has a suggestion for the key. */
bool settings_is_near(const struct settings *s, const char *key);
/* FERRY_E_CONFIG: the value is `got` ("a list"), which is not quoted. */
int settings_refuse(struct settings *s, const struct settings_place *place, const char *key, const char *got);

/* The name of the environment variable of a setting, the transport's own or the bus's. */
#define SETTINGS_VARIABLE_MAX 192
void settings_variable(const struct settings *s, bool own, const char *key,
		       char variable[SETTINGS_VARIABLE_MAX]);

/* Where a bus setting's value came from, as the beginning of a sentence. */
#define SETTINGS_LABEL_MAX 360
void settings_origin(const struct settings *s, enum bus_setting setting, char label[SETTINGS_LABEL_MAX]);

#endif
