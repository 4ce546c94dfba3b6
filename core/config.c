#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "alloc.h"
#include "bus_options.h"
#include "config_file.h"
#include "environment.h"
#include "fail.h"
#include "names.h"
#include "options.h"
#include "settings.h"
#include "text_file.h"
#include "url.h"

#define PASSWORD_MAX 4096 /* bytes of a password file */

/* What a config allocates, from its allocator. */
struct owned {
	char *url; /* cut to pieces, decoded: may hold a password */
	size_t url_size;
	char *masked;
	struct settings settings;
	char service[NAME_GROUP_MAX + 1];
	char instance[41];
};

/* What one config_open works with. */
struct resolve {
	struct config *config;
	struct owned *owned;
	struct settings *settings; /* the owned */
	struct ferry_bus_options options;
	struct config_file file;
	struct url url;
	const char *password;
	struct ferry_error *err;
};

/* ---- the settings ---- */

static int read_query(struct resolve *r)
{
	const char *key, *value;
	int more;
	r->settings->source = FROM_URL;
	while ((more = url_next_setting(&r->url, &key, &value, r->err)) == 1) {
		struct settings_place place;
		int code = settings_find(r->settings, SCOPE_ALL, key, &place)
				   ? settings_put(r->settings, &place, key, value)
				   : settings_unknown(r->settings, SCOPE_ALL, key);
		if (code)
			return code;
	}
	return more;
}

static int read_settings(struct resolve *r)
{
	r->settings->api = &r->config->transport->api;
	r->settings->file = r->file.path;
	int code = settings_begin(r->settings);
	if (!code)
		code = read_query(r);
	if (!code)
		code = environment_read(r->settings);
	if (!code && r->file.root)
		code = config_file_read(&r->file, r->settings);
	if (!code)
		settings_finish(r->settings);
	return code;
}

/* ---- the password ---- */

static int read_password_file(struct resolve *r)
{
	char origin[SETTINGS_LABEL_MAX], *text;
	size_t size;
	settings_origin(r->settings, PASSWORD_FILE, origin);
	const char *path = r->settings->bus[PASSWORD_FILE].text;
	int code = text_file_read(r->settings->allocator, origin, path, PASSWORD_MAX, &text, &size, r->err);
	if (code)
		return code;
	size_t used = size;
	if (used && text[used - 1] == '\n')
		used--;
	if (used && used < size && text[used - 1] == '\r')
		used--;
	if (used == 0 || memchr(text, '\0', used))
		code = fail(r->err, FERRY_E_CONFIG, "%s: %.200s %s: expected a password", origin, path,
			    used ? "has a NUL" : "is empty");
	else if (!(r->password = settings_keep(r->settings, text, used)))
		code = fail_nomem(r->err, "reading a password");
	text_file_free(r->settings->allocator, text, size);
	return code;
}

/* The first source that gives one, as itself or as a file. */
static int resolve_password(struct resolve *r)
{
	const struct settings *s = r->settings;
	enum settings_source word = s->bus_from[PASSWORD], file = s->bus_from[PASSWORD_FILE];
	bool in_url = *r->url.password != '\0';
	r->password = in_url ? r->url.password : "";
	if (in_url && (word == FROM_URL || file == FROM_URL))
		return fail(r->err, FERRY_E_CONFIG,
			    "the URL's setting '%s' gives a second password beside the one before the hosts: "
			    "expected one",
			    word == FROM_URL ? "password" : "password_file");
	if (word != FROM_DEFAULT && word == file) {
		char origin[SETTINGS_LABEL_MAX];
		settings_origin(s, PASSWORD_FILE, origin);
		return fail(r->err, FERRY_E_CONFIG, "%s stands beside a password: expected one of both",
			    origin);
	}
	if (in_url || (word == FROM_DEFAULT && file == FROM_DEFAULT))
		return 0;
	if (file != FROM_DEFAULT && (word == FROM_DEFAULT || file < word))
		return read_password_file(r);
	r->password = s->bus[PASSWORD].text;
	return 0;
}

/* ---- the result ---- */

static int32_t number_of(const struct resolve *r, int32_t option, enum bus_setting setting)
{
	return option ? option : (int32_t)r->settings->bus[setting].number;
}

/* A choice's index begins with 0, its enum with 1. */
static int32_t enum_of(const struct resolve *r, int32_t option, enum bus_setting setting)
{
	return option ? option : (int32_t)r->settings->bus[setting].number + 1;
}

static void resolve_numbers(struct resolve *r)
{
	const struct ferry_bus_options *o = &r->options;
	struct config *c = r->config;
	c->memory_budget = o->memory_budget ? o->memory_budget : r->settings->bus[MEMORY_BUDGET].number;
	c->max_message = o->max_message ? o->max_message : r->settings->bus[MAX_MESSAGE].number;
	c->publish_timeout_ms = number_of(r, o->publish_timeout_ms, PUBLISH_TIMEOUT);
	c->takeover_ms = number_of(r, o->takeover_ms, TAKEOVER);
	c->threads = r->settings->bus[THREADS].text ? FERRY_THREADS_CALLER
						    : (int32_t)r->settings->bus[THREADS].number;
	if (o->threads)
		c->threads = o->threads;
	c->full = enum_of(r, o->full, FULL);
	c->clock = enum_of(r, o->clock, CLOCK);
	c->provision = enum_of(r, o->provision, PROVISION);
	c->envelope = enum_of(r, o->envelope, ENVELOPE);
	c->on_unknown = enum_of(r, o->on_unknown, ON_UNKNOWN);
	c->fail_fast = number_of(r, o->fail_fast, FAIL_FAST) == 1;
}

static int resolve_service(struct resolve *r)
{
	const char *service = r->options.service ? r->options.service : r->settings->bus[SERVICE].text;
	if (!service && (r->config->transport->api.capabilities & FERRY_CAP_DURABLE))
		return fail(r->err, FERRY_E_CONFIG,
			    "the transport '%s' is durable and needs the name of this service, which its "
			    "consumer group gets: set FERRY_SERVICE, ?service= in the URL or "
			    "ferry_bus_options.service",
			    r->config->transport->api.name);
	snprintf(r->owned->service, sizeof(r->owned->service), "%s", service ? service : "default");
	return 0;
}

/* Host, process and random: for a human who looks at the broker, and unique without them. */
static int make_instance(char instance[41], struct ferry_error *err)
{
	char host[20 + 1] = "";
	uint32_t random;
	char name[256] = "";
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return fail(err, FERRY_E_INTERNAL, "the system gives no random bytes for this bus's name");
	if (gethostname(name, sizeof(name) - 1) || name[0] == '\0')
		snprintf(name, sizeof(name), "host");
	name[strcspn(name, ".")] = '\0';
	snprintf(host, sizeof(host), "%.20s", name);
	for (char *c = host; *c; c++) {
		if (*c < 0 || !name_is_group((const char[]){*c, '\0'}))
			*c = '-';
	}
	snprintf(instance, 41, "%.20s-%u-%08" PRIx32, host, (unsigned)getpid(), random);
	return 0;
}

static void resolve_plugin(struct resolve *r)
{
	static const struct ferry_attribute none[] = {{NULL, NULL}};
	const struct config *c = r->config;
	r->config->plugin = (struct ferry_config){
		.size = sizeof(struct ferry_config),
		.url = r->owned->masked,
		.scheme = r->url.scheme,
		.hosts = r->url.hosts,
		.user = r->url.user,
		.password = r->password,
		.path = r->url.path,
		.settings = r->settings->own,
		.extra = r->settings->extra ? r->settings->extra : none,
		.service = r->owned->service,
		.instance = r->owned->instance,
		.memory_budget = c->memory_budget,
		.max_message = c->max_message,
		.takeover_ms = c->takeover_ms,
		.publish_timeout_ms = c->publish_timeout_ms,
		.provision = c->provision,
		.envelope = c->envelope,
		.on_unknown = c->on_unknown,
		.manual_clock = c->clock == FERRY_CLOCK_MANUAL,
	};
}

static int copy_url(struct resolve *r, const char *text, struct ferry_error *err)
{
	const struct ferry_allocator *a = &r->config->allocator;
	int result = url_check(text, err);
	if (result)
		return result;
	r->owned->url_size = strlen(text);
	r->owned->url = alloc_string(a, text);
	r->owned->masked = alloc_bytes(a, r->owned->url_size + URL_MASK_EXTRA);
	if (!r->owned->url || !r->owned->masked)
		return fail_nomem(err, "reading the URL");
	url_mask(text, r->owned->masked);
	return url_parse(&r->url, r->owned->url, err);
}

/* The call's URL, or else the environment's, or else the file's; an error of these names them. */
static int resolve_url(struct resolve *r, const char *text)
{
	struct ferry_error why = {0};
	const char *origin = "the environment's FERRY_URL", *of_file = NULL;
	int code = r->file.root ? config_file_url(&r->file, &of_file, r->err) : 0;
	if (code)
		return code;
	if (text)
		return copy_url(r, text, r->err);
	text = environment_get("FERRY_URL");
	if (!text && of_file) {
		origin = r->file.path;
		text = of_file;
	}
	if (!text) {
		code = environment_check(r->settings);
		return code ? code
			    : fail(r->err, FERRY_E_CONFIG,
				   "there is no URL: pass one, such as memory:, or set FERRY_URL");
	}
	code = copy_url(r, text, &why);
	return code ? fail(r->err, code, "%.200s: %s", origin, why.text) : 0;
}

static int open_file(struct resolve *r)
{
	const char *origin = "ferry_bus_options.config", *path = r->options.config;
	if (!path) {
		origin = "the environment's FERRY_CONFIG";
		path = environment_get("FERRY_CONFIG");
	}
	return path ? config_file_open(&r->file, origin, path, &r->config->allocator, r->err) : 0;
}

static int resolve(struct resolve *r, const char *text, const struct ferry_host *host)
{
	int result = open_file(r);
	if (result == 0)
		result = resolve_url(r, text);
	if (result == 0)
		result = loader_load(host, r->url.scheme, r->options.transport_path, &r->config->transport,
				     r->err);
	/* It may be because of a misspelt FERRY_TRANSPORT_PATH. */
	if (result == FERRY_E_NOT_FOUND && environment_check(r->settings))
		result = FERRY_E_CONFIG;
	if (result == 0)
		result = read_settings(r);
	if (result == 0)
		result = resolve_password(r);
	if (result == 0)
		result = resolve_service(r);
	if (result == 0)
		result = make_instance(r->owned->instance, r->err);
	if (result)
		return result;
	resolve_numbers(r);
	resolve_plugin(r);
	return 0;
}

int config_open(struct config *config, const char *url, const struct ferry_bus_options *options,
		const struct ferry_host *host, struct ferry_error *err)
{
	struct resolve r = {.config = config, .err = err};
	memset(config, 0, sizeof(*config));
	int result = options_copy(&r.options, sizeof(r.options), options, "ferry_bus_options", err);
	if (result == 0)
		result = bus_options_check(&r.options, err);
	if (result)
		return result;
	config->allocator = r.options.allocator ? *r.options.allocator : alloc_default;
	config->owned = r.owned = alloc_zeroed(&config->allocator, sizeof(*r.owned));
	if (!r.owned)
		return fail_nomem(err, "opening a bus");
	r.settings = &r.owned->settings;
	r.settings->allocator = &config->allocator;
	r.settings->err = err;
	result = resolve(&r, url, host);
	config_file_close(&r.file);
	/* They are for reading only, and not ours. */
	r.settings->err = NULL;
	r.settings->file = NULL;
	if (result)
		config_close(config);
	return result;
}

void config_close(struct config *config)
{
	struct owned *owned = config->owned;
	if (owned) {
		const struct ferry_allocator a = config->allocator;
		if (owned->url)
			explicit_bzero(owned->url, owned->url_size);
		alloc_free(&a, owned->url);
		alloc_free(&a, owned->masked);
		owned->settings.allocator = &a; /* the config may have moved since it was opened */
		settings_free(&owned->settings);
		alloc_free(&a, owned);
	}
	memset(config, 0, sizeof(*config));
}
