#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "alloc.h"
#include "bus_options.h"
#include "fail.h"
#include "names.h"
#include "options.h"
#include "setting.h"
#include "url.h"

/* What a config allocates, from its allocator. */
struct owned {
	char *url; /* cut to pieces, decoded: may hold a password */
	size_t url_size;
	char *masked;
	struct ferry_setting *settings;
	struct ferry_attribute *extra;
	size_t extra_count, extra_room;
	char service[NAME_GROUP_MAX + 1];
	char instance[41];
};

/* What one config_open works with. */
struct resolve {
	struct config *config;
	struct owned *owned;
	struct ferry_bus_options options;
	struct url url;
	struct ferry_setting bus[BUS_SETTINGS];
	struct ferry_error *err;
};

/* ---- the URL's query ---- */

static size_t table_size(const struct ferry_option *table)
{
	size_t size = 0;
	while (table && table[size].name)
		size++;
	return size;
}

static const struct ferry_option *find_option(const struct ferry_option *table, const char *key)
{
	for (; table && table->name; table++) {
		if (table->type != FERRY_OPTION_PREFIX && strcmp(table->name, key) == 0)
			return table;
	}
	return NULL;
}

static const struct ferry_option *find_prefix(const struct ferry_option *table, const char *key)
{
	for (; table && table->name; table++) {
		size_t size = strlen(table->name);
		if (table->type == FERRY_OPTION_PREFIX && strncmp(table->name, key, size) == 0 && key[size])
			return table;
	}
	return NULL;
}

#define KNOWN_MAX 128

/* The value is not quoted: the key may be a misspelt secret's. */
static int unknown_key(struct resolve *r, const char *key)
{
	const struct ferry_transport *api = &r->config->transport->api;
	const char *known[KNOWN_MAX];
	char list[360] = "";
	size_t count = 0, used = 0;
	for (const struct ferry_option *o = api->options; o && o->name && count < KNOWN_MAX; o++)
		known[count++] = o->name;
	for (const struct ferry_option *o = config_bus_options; o->name && count < KNOWN_MAX; o++)
		known[count++] = o->name;
	const char *nearest = name_nearest(key, known, count);
	if (nearest)
		return fail(r->err, FERRY_E_CONFIG,
			    "the setting '%s' is not known: expected a setting of the transport '%s' or of "
			    "every bus; did you mean '%s'?",
			    key, api->name, nearest);
	for (size_t i = 0; i < count && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", known[i]);
	return fail(r->err, FERRY_E_CONFIG, "the setting '%s' is not known: expected one of %s", key, list);
}

static int bad_value(struct resolve *r, const struct ferry_option *option, const char *value)
{
	char expected[200];
	setting_expected(option, expected, sizeof(expected));
	if (option->type == FERRY_OPTION_SECRET)
		return fail(r->err, FERRY_E_CONFIG, "the setting '%s' is not valid: expected %s",
			    option->name, expected);
	return fail(r->err, FERRY_E_CONFIG, "the setting '%s' is '%.100s': expected %s", option->name, value,
		    expected);
}

static int twice(struct resolve *r, const char *key)
{
	return fail(r->err, FERRY_E_CONFIG, "the setting '%s' is given twice: expected it once", key);
}

static int set_option(struct resolve *r, const struct ferry_option *option, struct ferry_setting *setting,
		      const char *value)
{
	if (setting->is_set)
		return twice(r, option->name);
	if (!setting_parse(option, value, setting))
		return bad_value(r, option, value);
	setting->is_set = 1;
	return 0;
}

/* A key of a PREFIX option; the list always ends with a NULL name. */
static int add_extra(struct resolve *r, const char *key, const char *value)
{
	struct owned *owned = r->owned;
	for (size_t i = 0; i < owned->extra_count; i++) {
		if (strcmp(owned->extra[i].name, key) == 0)
			return twice(r, key);
	}
	if (owned->extra_count + 1 >= owned->extra_room) {
		const struct ferry_allocator *a = &r->config->allocator;
		size_t room = owned->extra_room ? owned->extra_room * 2 : 8;
		size_t bytes = room * sizeof(*owned->extra);
		void *grown = owned->extra ? alloc_resize(a, owned->extra, bytes) : alloc_bytes(a, bytes);
		if (!grown)
			return fail_nomem(r->err, "reading the settings");
		owned->extra = grown;
		owned->extra_room = room;
	}
	owned->extra[owned->extra_count++] = (struct ferry_attribute){key, value};
	owned->extra[owned->extra_count] = (struct ferry_attribute){NULL, NULL};
	return 0;
}

/* A transport's own setting comes before the bus's of the same name: an old plugin's URL goes on to mean what
 * it meant when a later core has a new setting. */
static int read_setting(struct resolve *r, const char *key, const char *value)
{
	const struct ferry_option *table = r->config->transport->api.options;
	const struct ferry_option *option = find_option(table, key);
	if (option)
		return set_option(r, option, &r->owned->settings[option - table], value);
	option = find_option(config_bus_options, key);
	if (option)
		return set_option(r, option, &r->bus[option - config_bus_options], value);
	if (find_prefix(table, key))
		return add_extra(r, key, value);
	return unknown_key(r, key);
}

static void read_defaults(const struct ferry_option *table, struct ferry_setting *settings)
{
	for (size_t i = 0; table && table[i].name; i++) {
		if (table[i].default_value && table[i].type != FERRY_OPTION_PREFIX)
			(void)setting_parse(&table[i], table[i].default_value, &settings[i]);
	}
}

static int read_query(struct resolve *r)
{
	const struct ferry_option *table = r->config->transport->api.options;
	const char *key, *value;
	int more;
	r->owned->settings =
		alloc_zeroed(&r->config->allocator, (table_size(table) + 1) * sizeof(struct ferry_setting));
	if (!r->owned->settings)
		return fail_nomem(r->err, "reading the settings");
	read_defaults(table, r->owned->settings);
	read_defaults(config_bus_options, r->bus);
	while ((more = url_next_setting(&r->url, &key, &value, r->err)) == 1) {
		int result = read_setting(r, key, value);
		if (result)
			return result;
	}
	return more;
}

/* ---- the result ---- */

static int32_t number_of(const struct resolve *r, int32_t option, enum bus_setting setting)
{
	return option ? option : (int32_t)r->bus[setting].number;
}

/* A choice's index begins with 0, its enum with 1. */
static int32_t enum_of(const struct resolve *r, int32_t option, enum bus_setting setting)
{
	return option ? option : (int32_t)r->bus[setting].number + 1;
}

static void resolve_numbers(struct resolve *r)
{
	const struct ferry_bus_options *o = &r->options;
	struct config *c = r->config;
	c->memory_budget = o->memory_budget ? o->memory_budget : r->bus[MEMORY_BUDGET].number;
	c->max_message = o->max_message ? o->max_message : r->bus[MAX_MESSAGE].number;
	c->publish_timeout_ms = number_of(r, o->publish_timeout_ms, PUBLISH_TIMEOUT);
	c->takeover_ms = number_of(r, o->takeover_ms, TAKEOVER);
	c->threads = r->bus[THREADS].text ? FERRY_THREADS_CALLER : (int32_t)r->bus[THREADS].number;
	if (o->threads)
		c->threads = o->threads;
	c->full = enum_of(r, o->full, FULL);
	c->clock = enum_of(r, o->clock, CLOCK);
	c->provision = enum_of(r, o->provision, PROVISION);
	c->envelope = enum_of(r, o->envelope, ENVELOPE);
	c->on_unknown = enum_of(r, o->on_unknown, ON_UNKNOWN);
	c->fail_fast = number_of(r, o->fail_fast, FAIL_FAST) == 1;
}

/* An empty variable is as good as none. */
static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static int resolve_service(struct resolve *r)
{
	const char *origin = "the setting 'service'", *service = r->bus[SERVICE].text;
	if (r->options.service) {
		service = r->options.service; /* checked */
	} else if (!service) {
		origin = "the environment's FERRY_SERVICE";
		service = environment("FERRY_SERVICE");
	}
	if (!service && (r->config->transport->api.capabilities & FERRY_CAP_DURABLE))
		return fail(r->err, FERRY_E_CONFIG,
			    "the transport '%s' is durable and needs the name of this service, which its "
			    "consumer group gets: set FERRY_SERVICE, ?service= in the URL or "
			    "ferry_bus_options.service",
			    r->config->transport->api.name);
	if (!service)
		service = "default";
	if (!name_is_group(service))
		return fail(r->err, FERRY_E_CONFIG,
			    "%s is '%.64s': expected 1 to 40 of A-Z, a-z, 0-9, '_' and '-'", origin, service);
	snprintf(r->owned->service, sizeof(r->owned->service), "%s", service);
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
		.password = r->url.password,
		.path = r->url.path,
		.settings = r->owned->settings,
		.extra = r->owned->extra ? r->owned->extra : none,
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

static int copy_url(struct resolve *r, const char *text)
{
	const struct ferry_allocator *a = &r->config->allocator;
	int result = url_check(text, r->err);
	if (result)
		return result;
	r->owned->url_size = strlen(text);
	r->owned->url = alloc_string(a, text);
	r->owned->masked = alloc_bytes(a, r->owned->url_size + URL_MASK_EXTRA);
	if (!r->owned->url || !r->owned->masked)
		return fail_nomem(r->err, "reading the URL");
	url_mask(text, r->owned->masked);
	return url_parse(&r->url, r->owned->url, r->err);
}

static int resolve(struct resolve *r, const char *text, const struct ferry_host *host)
{
	int result = copy_url(r, text);
	if (result == 0)
		result = loader_load(host, r->url.scheme, r->options.transport_path, &r->config->transport,
				     r->err);
	if (result == 0)
		result = read_query(r);
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
	if (!url)
		url = environment("FERRY_URL");
	if (!url)
		return fail(err, FERRY_E_CONFIG,
			    "there is no URL: pass one, such as memory:, or set FERRY_URL");
	config->allocator = r.options.allocator ? *r.options.allocator : alloc_default;
	config->owned = r.owned = alloc_zeroed(&config->allocator, sizeof(*r.owned));
	if (!r.owned)
		return fail_nomem(err, "opening a bus");
	result = resolve(&r, url, host);
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
		alloc_free(&a, owned->settings);
		alloc_free(&a, owned->extra);
		alloc_free(&a, owned);
	}
	memset(config, 0, sizeof(*config));
}
