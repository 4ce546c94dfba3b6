#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "names.h"

/* The transport `valid` of tests/plugins, whose table has a setting of each type, in this order. */
enum { PREFIX, SECRET, QUEUE, QUEUE_BYTES, LINGER, SYNC, MODE, NATIVE };

static const struct ferry_host host = {.size = sizeof(host)};

/* An allocator that counts what is not freed and fails at the `fail_at`-th call. */
struct balance {
	long held, calls, fail_at;
};

static void *count_alloc(size_t bytes, void *ctx)
{
	struct balance *balance = ctx;
	if (++balance->calls == balance->fail_at)
		return NULL;
	balance->held++;
	return malloc(bytes);
}

static void *count_resize(void *memory, size_t bytes, void *ctx)
{
	struct balance *balance = ctx;
	if (++balance->calls == balance->fail_at)
		return NULL;
	return realloc(memory, bytes);
}

static void count_free(void *memory, void *ctx)
{
	((struct balance *)ctx)->held--;
	free(memory);
}

static void prepare(void)
{
	setenv("FERRY_TRANSPORT_PATH", PLUGINS, 1);
	unsetenv("FERRY_URL");
	unsetenv("FERRY_SERVICE");
}

TestSuite(config, .init = prepare);

static struct config open_good(const char *url, const struct ferry_bus_options *options)
{
	struct config config;
	struct ferry_error err = {0};
	int result = config_open(&config, url, options, &host, &err);
	cr_assert_eq(result, 0, "%s: %s", url, err.text);
	return config;
}

/* NULL, or what is wrong with a refusal that should have this code and all these words. */
static const char *fault_of(int result, int code, const struct ferry_error *err, const char *const *words)
{
	if (result != code || err->code != code)
		return "another code";
	if (strstr(err->text, "hunter"))
		return "a secret";
	while (*words && strstr(err->text, *words))
		words++;
	return *words;
}

/* Refused with this code and a sentence with all the words; nothing stays allocated. */
static void expect_bad(const char *url, const struct ferry_bus_options *options, int code,
		       const char *const *words)
{
	struct config config;
	struct balance balance = {0, 0, 0};
	struct ferry_allocator allocator = {count_alloc, count_resize, count_free, &balance};
	struct ferry_bus_options with = {.size = sizeof(with)};
	struct ferry_error err = {0};
	if (options)
		with = *options;
	if (!with.allocator)
		with.allocator = &allocator;
	int result = config_open(&config, url, &with, &host, &err);
	const char *fault = fault_of(result, code, &err, words);
	cr_expect_null(fault, "%s: expected %s with '%s', got %s: %s", url ? url : "NULL",
		       ferry_error_name(code), fault, ferry_error_name(result), err.text);
	cr_expect_eq(balance.held, 0, "%s: a leak", url ? url : "NULL");
	config_close(&config);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(config, defaults_are_as_documented)
{
	struct config c = open_good("valid:", NULL);
	cr_expect_eq(c.memory_budget, 64 << 20);
	cr_expect_eq(c.max_message, 1 << 20);
	cr_expect_eq(c.publish_timeout_ms, 30000);
	cr_expect_eq(c.takeover_ms, 30000);
	cr_expect_eq(c.threads, 12);
	cr_expect_eq(c.full, FERRY_FULL_BLOCK);
	cr_expect_eq(c.clock, FERRY_CLOCK_SYSTEM);
	cr_expect_eq(c.provision, FERRY_PROVISION_AUTO);
	cr_expect_eq(c.envelope, FERRY_ENVELOPE_CLOUDEVENTS);
	cr_expect_eq(c.on_unknown, FERRY_UNKNOWN_RESEND);
	cr_expect_eq(c.fail_fast, 0);
	cr_expect_str_eq(c.transport->api.name, "valid");
	const struct ferry_config *p = &c.plugin;
	cr_expect_eq(p->size, sizeof(struct ferry_config));
	cr_expect_str_eq(p->service, "default");
	cr_expect_str_eq(p->scheme, "valid");
	cr_expect_str_eq(p->hosts, "");
	cr_expect_str_eq(p->user, "");
	cr_expect_str_eq(p->password, "");
	cr_expect_str_eq(p->path, "");
	cr_expect_str_eq(p->settings[PREFIX].text, "ferry:");
	cr_expect_null(p->settings[SECRET].text);
	cr_expect_eq(p->settings[QUEUE].number, 4096);
	cr_expect_eq(p->settings[QUEUE_BYTES].number, 16 << 20);
	cr_expect_eq(p->settings[LINGER].number, 5);
	cr_expect_eq(p->settings[SYNC].number, 1);
	cr_expect_eq(p->settings[MODE].number, 0);
	cr_expect_str_eq(p->settings[MODE].text, "fast");
	for (int i = PREFIX; i <= NATIVE; i++)
		cr_expect_eq(p->settings[i].is_set, 0, "setting %d", i);
	cr_expect_null(p->extra[0].name);
	cr_expect_eq(p->memory_budget, c.memory_budget);
	cr_expect_eq(p->max_message, c.max_message);
	cr_expect_eq(p->takeover_ms, 30000);
	cr_expect_eq(p->publish_timeout_ms, 30000);
	cr_expect_eq(p->provision, 1);
	cr_expect_eq(p->envelope, 1);
	cr_expect_eq(p->on_unknown, 1);
	cr_expect_eq(p->manual_clock, 0);
	config_close(&c);
}

Test(config, the_query_sets_everything)
{
	struct config c = open_good(
		"valids://me:hun%40ter@a:1,b:2/"
		"p%20q?service=shop&publish_timeout=1500ms&takeover=2m&threads=3&full=reject&clock=manual&"
		"provision=check&fail_fast=on&envelope=compact&on_unknown=report&memory_budget=2GiB&max_"
		"message=1000&prefix=a%26b&password=hunter2&queue=7&queue_bytes=64KiB&linger=1s&sync=off&"
		"mode=slow&native.a.b=1&native.c=%20",
		FERRY_OPTIONS(ferry_bus_options, .transport_path = PLUGINS "/libferry-transport-valid.so"));
	const struct ferry_config *p = &c.plugin;
	cr_expect_eq(c.publish_timeout_ms, 1500);
	cr_expect_eq(c.takeover_ms, 120000);
	cr_expect_eq(c.threads, 3);
	cr_expect_eq(c.full, FERRY_FULL_REJECT);
	cr_expect_eq(c.clock, FERRY_CLOCK_MANUAL);
	cr_expect_eq(c.provision, FERRY_PROVISION_CHECK);
	cr_expect_eq(c.fail_fast, 1);
	cr_expect_eq(c.envelope, FERRY_ENVELOPE_COMPACT);
	cr_expect_eq(c.on_unknown, FERRY_UNKNOWN_REPORT);
	cr_expect_eq(c.memory_budget, INT64_C(2) << 30);
	cr_expect_eq(c.max_message, 1000);
	cr_expect_str_eq(p->url, "valids://me:***@a:1,b:2/p%20q");
	cr_expect_str_eq(p->scheme, "valids");
	cr_expect_str_eq(p->user, "me");
	cr_expect_str_eq(p->password, "hun@ter");
	cr_expect_str_eq(p->hosts, "a:1,b:2");
	cr_expect_str_eq(p->path, "/p q");
	cr_expect_str_eq(p->service, "shop");
	cr_expect_eq(p->provision, 2);
	cr_expect_eq(p->envelope, 2);
	cr_expect_eq(p->on_unknown, 2);
	cr_expect_eq(p->manual_clock, 1);
	cr_expect_str_eq(p->settings[PREFIX].text, "a&b");
	cr_expect_str_eq(p->settings[SECRET].text, "hunter2");
	cr_expect_eq(p->settings[QUEUE].number, 7);
	cr_expect_eq(p->settings[QUEUE_BYTES].number, 65536);
	cr_expect_eq(p->settings[LINGER].number, 1000);
	cr_expect_eq(p->settings[SYNC].number, 0);
	cr_expect_eq(p->settings[MODE].number, 2);
	for (int i = PREFIX; i < NATIVE; i++)
		cr_expect_eq(p->settings[i].is_set, 1, "setting %d", i);
	cr_expect_str_eq(p->extra[0].name, "native.a.b");
	cr_expect_str_eq(p->extra[0].value, "1");
	cr_expect_str_eq(p->extra[1].name, "native.c");
	cr_expect_str_eq(p->extra[1].value, " ");
	cr_expect_null(p->extra[2].name);
	config_close(&c);
}

Test(config, passes_many_native_settings_through)
{
	char url[4000] = "valid:?";
	for (int i = 0; i < 100; i++)
		snprintf(url + strlen(url), sizeof(url) - strlen(url), "%snative.n%d=%d", i ? "&" : "", i, i);
	struct config c = open_good(url, NULL);
	for (int i = 0; i < 100; i++)
		cr_expect_eq(atoi(c.plugin.extra[i].value), i);
	cr_expect_null(c.plugin.extra[100].name);
	config_close(&c);
}

static const struct {
	const char *query, *key, *expected, *nearest;
} bad[] = {
	{"quue=5", "'quue'", "expected a setting of the transport 'valid'", "did you mean 'queue'?"},
	{"publish-timeout=5s", "'publish-timeout'", "of every bus", "did you mean 'publish_timeout'?"},
	{"pasword=hunter2", "'pasword'", "expected a setting", "did you mean 'password'?"},
	{"QUEUE=hunter2", "'QUEUE'", "expected one of prefix, password", "max_message"},
	{"something_else=hunter2", "'something_else'", "expected one of prefix, password", "max_message"},
	{"native.=1", "'native.'", "expected a setting", "did you mean 'native.'?"},
	{"transport_path=/x", "'transport_path'", "expected one of", "service"},
	{"queue=5&queue=5", "'queue' is given twice", "expected it once", ""},
	{"service=a&takeover=1s&service=b", "'service' is given twice", "expected it once", ""},
	{"password=hunter2&password=hunter3", "'password' is given twice", "expected it once", ""},
	{"native.x=hunter&native.x=hunter", "'native.x' is given twice", "expected it once", ""},
	{"queue=0", "'queue' is '0'", "a whole number from 1 to 65536", "e.g. 4096"},
	{"queue=65537", "'queue' is '65537'", "from 1 to 65536", ""},
	{"queue=-1", "'queue' is '-1'", "from 1 to 65536", ""},
	{"queue=", "'queue' is ''", "a whole number", ""},
	{"queue=+5", "'queue'", "a whole number", ""},
	{"queue=0x10", "'queue'", "a whole number", ""},
	{"queue=5.0", "'queue'", "a whole number", ""},
	{"queue=5%20", "'queue'", "a whole number", ""},
	{"queue=5s", "'queue'", "a whole number", ""},
	{"queue=99999999999999999999999", "'queue'", "a whole number", ""},
	{"queue_bytes=1", "'queue_bytes' is '1'", "a size in bytes from 1KiB to 1GiB", "e.g. 16MiB"},
	{"queue_bytes=64KB", "'queue_bytes'", "a size", "e.g. 16MiB"},
	{"queue_bytes=64kib", "'queue_bytes'", "a size", ""},
	{"queue_bytes=64%20KiB", "'queue_bytes'", "a size", ""},
	{"queue_bytes=KiB", "'queue_bytes'", "a size", ""},
	{"queue_bytes=-64KiB", "'queue_bytes'", "a size", ""},
	{"queue_bytes=9223372036854775807KiB", "'queue_bytes'", "a size", ""},
	{"linger=5", "'linger' is '5'", "a duration with its unit (ms, s, m, h, d) from 0 to 1m", "e.g. 5ms"},
	{"linger=2m", "'linger'", "from 0 to 1m", ""},
	{"linger=1.5s", "'linger'", "a duration", ""},
	{"linger=5S", "'linger'", "a duration", ""},
	{"linger=5sec", "'linger'", "a duration", ""},
	{"linger=99999999999999999d", "'linger'", "a duration", ""},
	{"publish_timeout=0", "'publish_timeout' is '0'", "from 1ms to 1d", "e.g. 30s"},
	{"publish_timeout=2d", "'publish_timeout'", "from 1ms to 1d", ""},
	{"takeover=99ms", "'takeover'", "from 100ms to 1d", "e.g. 30s"},
	{"sync=true", "'sync' is 'true'", "on or off", ""},
	{"sync=1", "'sync'", "on or off", ""},
	{"sync=ON", "'sync'", "on or off", ""},
	{"sync=", "'sync'", "on or off", ""},
	{"fail_fast=yes", "'fail_fast'", "on or off", ""},
	{"mode=quick", "'mode' is 'quick'", "one of fast|safe|slow", ""},
	{"mode=fast|safe", "'mode'", "one of fast|safe|slow", ""},
	{"mode=", "'mode'", "one of fast|safe|slow", ""},
	{"full=wait", "'full'", "one of block|reject", ""},
	{"clock=real", "'clock'", "one of system|manual", ""},
	{"provision=on", "'provision'", "one of auto|check|off", ""},
	{"envelope=none", "'envelope'", "one of cloudevents|compact", ""},
	{"on_unknown=drop", "'on_unknown'", "one of resend|report", ""},
	{"threads=0", "'threads'", "caller, or a whole number from 1 to 256", "e.g. 12"},
	{"threads=257", "'threads'", "caller, or a whole number", ""},
	{"threads=callers", "'threads'", "caller, or a whole number", ""},
	{"memory_budget=1023", "'memory_budget'", "from 1KiB to 1TiB", "e.g. 64MiB"},
	{"memory_budget=0", "'memory_budget'", "from 1KiB to 1TiB", ""},
	{"max_message=0", "'max_message'", "from 1 to 1GiB", "e.g. 1MiB"},
	{"max_message=2GiB", "'max_message'", "from 1 to 1GiB", ""},
	{"service=", "'service' is ''", "expected 1 to 40 of", ""},
	{"service=a.b", "'service' is 'a.b'", "expected 1 to 40 of A-Z, a-z, 0-9, '_' and '-'", ""},
	{"service=a2345678901234567890123456789012345678901", "'service'", "expected 1 to 40 of", ""},
	{"password=hunter2%", "'password'", "'%'", ""},
	{"password", "'password' has no value", "write password=VALUE", ""},
};

Test(config, a_bad_setting_is_named_with_what_was_expected)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char url[200];
		snprintf(url, sizeof(url), "valid://me:hunter1@h?%s", bad[i].query);
		expect_bad(url, NULL, FERRY_E_CONFIG, WORDS(bad[i].key, bad[i].expected, bad[i].nearest));
	}
}

Test(config, threads_can_be_the_callers)
{
	struct config c = open_good("valid:?threads=caller", NULL);
	cr_expect_eq(c.threads, FERRY_THREADS_CALLER);
	config_close(&c);
	c = open_good("valid:?threads=caller", FERRY_OPTIONS(ferry_bus_options, .threads = 4));
	cr_expect_eq(c.threads, 4);
	config_close(&c);
	c = open_good("valid:", FERRY_OPTIONS(ferry_bus_options, .threads = FERRY_THREADS_CALLER));
	cr_expect_eq(c.threads, FERRY_THREADS_CALLER);
	config_close(&c);
}

Test(config, the_call_wins_over_the_url)
{
	const struct ferry_bus_options options = {
		.size = sizeof(options),
		.service = "called",
		.memory_budget = 4096,
		.max_message = 17,
		.publish_timeout_ms = 1,
		.takeover_ms = 100,
		.threads = 256,
		.full = FERRY_FULL_BLOCK,
		.clock = FERRY_CLOCK_SYSTEM,
		.provision = FERRY_PROVISION_AUTO,
		.fail_fast = FERRY_OFF,
		.envelope = FERRY_ENVELOPE_CLOUDEVENTS,
		.on_unknown = FERRY_UNKNOWN_RESEND,
	};
	struct config c = open_good("valid:?service=urls&memory_budget=1MiB&max_message=18&publish_timeout="
				    "2s&takeover=2s&threads=2&full=reject&clock=manual&provision=off&fail_"
				    "fast=on&envelope=compact&on_unknown=report",
				    &options);
	cr_expect_str_eq(c.plugin.service, "called");
	cr_expect_eq(c.memory_budget, 4096);
	cr_expect_eq(c.max_message, 17);
	cr_expect_eq(c.publish_timeout_ms, 1);
	cr_expect_eq(c.takeover_ms, 100);
	cr_expect_eq(c.threads, 256);
	cr_expect_eq(c.full, FERRY_FULL_BLOCK);
	cr_expect_eq(c.clock, FERRY_CLOCK_SYSTEM);
	cr_expect_eq(c.provision, FERRY_PROVISION_AUTO);
	cr_expect_eq(c.fail_fast, 0);
	cr_expect_eq(c.envelope, FERRY_ENVELOPE_CLOUDEVENTS);
	cr_expect_eq(c.on_unknown, FERRY_UNKNOWN_RESEND);
	config_close(&c);
}

Test(config, the_service_comes_from_the_call_the_url_the_environment)
{
	setenv("FERRY_SERVICE", "from-env", 1);
	struct config c = open_good("durable:", NULL);
	cr_expect_str_eq(c.plugin.service, "from-env");
	config_close(&c);
	c = open_good("durable:?service=from-url", NULL);
	cr_expect_str_eq(c.plugin.service, "from-url");
	config_close(&c);
	c = open_good("durable:?service=from-url", FERRY_OPTIONS(ferry_bus_options, .service = "from-call"));
	cr_expect_str_eq(c.plugin.service, "from-call");
	config_close(&c);
	setenv("FERRY_SERVICE", "no good", 1);
	expect_bad("valid:", NULL, FERRY_E_CONFIG, WORDS("FERRY_SERVICE is 'no good'", "expected 1 to 40"));
	setenv("FERRY_SERVICE", "", 1);
	c = open_good("valid:", NULL);
	cr_expect_str_eq(c.plugin.service, "default");
	config_close(&c);
}

Test(config, a_durable_transport_needs_a_service)
{
	expect_bad("durable:", NULL, FERRY_E_CONFIG,
		   WORDS("'durable'", "FERRY_SERVICE", "?service=", "ferry_bus_options.service"));
}

Test(config, the_url_comes_from_the_environment_only_without_one)
{
	expect_bad(NULL, NULL, FERRY_E_CONFIG, WORDS("no URL", "FERRY_URL"));
	setenv("FERRY_URL", "valid:?queue=9", 1);
	struct config c = open_good(NULL, NULL);
	cr_expect_eq(c.plugin.settings[QUEUE].number, 9);
	config_close(&c);
	c = open_good("valid:", NULL);
	cr_expect_eq(c.plugin.settings[QUEUE].number, 4096);
	config_close(&c);
	expect_bad("", NULL, FERRY_E_CONFIG, WORDS("the URL is empty"));
	setenv("FERRY_URL", "", 1);
	expect_bad(NULL, NULL, FERRY_E_CONFIG, WORDS("no URL", "FERRY_URL"));
}

Test(config, an_unknown_transport_is_not_found)
{
	expect_bad("vallid://me:hunter2@h", NULL, FERRY_E_NOT_FOUND,
		   WORDS("no transport 'vallid'", "did you mean 'valid'?", PLUGINS));
	expect_bad("no-arm:", NULL, FERRY_E_PLUGIN, WORDS("libferry-transport-no-arm.so", "'arm'"));
	expect_bad(
		"valid:",
		FERRY_OPTIONS(ferry_bus_options, .transport_path = PLUGINS "/libferry-transport-durable.so"),
		FERRY_E_CONFIG, WORDS("'durable'", "'valid:'"));
}

Test(config, a_number_of_the_call_is_named_with_its_range)
{
#define BAD(FIELD, value, ...)                                                                    \
	expect_bad("valid:", FERRY_OPTIONS(ferry_bus_options, .FIELD = (value)), FERRY_E_INVALID, \
		   WORDS("ferry_bus_options." #FIELD " is", __VA_ARGS__))
	BAD(memory_budget, 1023, "1024 to 1099511627776 bytes");
	BAD(memory_budget, FERRY_NONE, "-1", "0 for the default");
	BAD(memory_budget, INT64_MIN, "1024 to");
	BAD(max_message, -5, "1 to 1073741824 bytes");
	BAD(max_message, INT64_MAX, "1 to 1073741824 bytes");
	BAD(publish_timeout_ms, -1, "1 to 86400000 ms");
	BAD(publish_timeout_ms, INT32_MAX, "1 to 86400000 ms");
	BAD(takeover_ms, 99, "100 to 86400000 ms");
	BAD(threads, 257, "1 to 256 threads, or FERRY_THREADS_CALLER");
	BAD(threads, -1, "FERRY_THREADS_CALLER");
	BAD(full, 3, "FERRY_FULL_BLOCK or FERRY_FULL_REJECT");
	BAD(full, -1, "FERRY_FULL_BLOCK");
	BAD(clock, 3, "FERRY_CLOCK_SYSTEM or FERRY_CLOCK_MANUAL");
	BAD(provision, 4, "FERRY_PROVISION_AUTO, FERRY_PROVISION_CHECK or FERRY_PROVISION_OFF");
	BAD(fail_fast, 2, "FERRY_ON or FERRY_OFF");
	BAD(fail_fast, -2, "FERRY_ON or FERRY_OFF");
	BAD(envelope, 3, "FERRY_ENVELOPE_CLOUDEVENTS or FERRY_ENVELOPE_COMPACT");
	BAD(on_unknown, -7, "FERRY_UNKNOWN_RESEND or FERRY_UNKNOWN_REPORT");
	BAD(reserved, 1, "expected 0");
	BAD(service, "a b", "'a b'", "1 to 40");
	BAD(service, "", "''", "1 to 40");
	BAD(transport_path, "plugins", "'plugins'", "absolute path");
	BAD(transport_path, "", "''", "absolute path");
#undef BAD
	struct ferry_allocator half = {count_alloc, NULL, count_free, NULL};
	expect_bad("valid:", FERRY_OPTIONS(ferry_bus_options, .allocator = &half), FERRY_E_INVALID,
		   WORDS("ferry_bus_options.allocator", "alloc, resize and free"));
}

Test(config, older_and_newer_option_structs_are_understood)
{
	struct {
		struct ferry_bus_options known;
		int64_t newer;
	} options = {{.size = sizeof(options), .threads = 5, .service = "x"}, 0};
	struct config c = open_good("valid:", &options.known);
	cr_expect_eq(c.threads, 5);
	config_close(&c);
	options.newer = 1;
	struct ferry_error err = {0};
	cr_expect_eq(config_open(&c, "valid:", &options.known, &host, &err), FERRY_E_INVALID);
	cr_expect(strstr(err.text, "struct ferry_bus_options"), "%s", err.text);
	options.known.size = offsetof(struct ferry_bus_options, threads);
	c = open_good("valid:", &options.known);
	cr_expect_eq(c.threads, 12);
	cr_expect_str_eq(c.plugin.service, "x");
	config_close(&c);
	options.known.size = 0;
	cr_expect_eq(config_open(&c, "valid:", &options.known, &host, &err), FERRY_E_INVALID);
}

Test(config, each_bus_has_a_name_of_its_own)
{
	struct config a = open_good("valid:", NULL), b = open_good("valid:", NULL);
	char process[32];
	snprintf(process, sizeof(process), "-%d-", (int)getpid());
	cr_expect(name_is_group(a.plugin.instance), "%s",
		  a.plugin.instance); /* the same charset and length */
	cr_expect(strstr(a.plugin.instance, process), "%s", a.plugin.instance);
	cr_expect_str_neq(a.plugin.instance, b.plugin.instance);
	config_close(&a);
	config_close(&b);
}

Test(config, nothing_of_the_callers_is_kept)
{
	char url[] = "valid://u:p@h/x?prefix=abc", service[] = "shop";
	struct ferry_bus_options options = {.size = sizeof(options), .service = service};
	struct config c = open_good(url, &options);
	memset(url, 'z', sizeof(url) - 1);
	memset(service, 'z', sizeof(service) - 1);
	cr_expect_str_eq(c.plugin.service, "shop");
	cr_expect_str_eq(c.plugin.settings[PREFIX].text, "abc");
	cr_expect_str_eq(c.plugin.hosts, "h");
	cr_expect_str_eq(c.plugin.url, "valid://u:***@h/x");
	config_close(&c);
}

Test(config, every_failed_allocation_is_reported_and_leaks_nothing)
{
	static const char url[] = "valid://u:p@h/"
				  "x?native.a=1&native.b=2&native.c=3&native.d=4&native.e=5&native.f=6&"
				  "native.g=7&native.h=8&native.i=9&queue=3";
	struct balance balance = {0, 0, 0};
	struct ferry_allocator allocator = {count_alloc, count_resize, count_free, &balance};
	const struct ferry_bus_options options = {.size = sizeof(options), .allocator = &allocator};
	struct config c = open_good(url, &options);
	long total = balance.calls;
	cr_expect_gt(balance.held, 0);
	config_close(&c);
	cr_expect_eq(balance.held, 0);
	cr_assert_geq(total, 6);
	for (long at = 1; at <= total; at++) {
		struct ferry_error err = {0};
		balance = (struct balance){0, 0, at};
		cr_expect_eq(config_open(&c, url, &options, &host, &err), FERRY_E_NOMEM, "call %ld: %s", at,
			     err.text);
		cr_expect_eq(err.flags, FERRY_ERROR_RETRIABLE);
		cr_expect_eq(balance.held, 0, "call %ld leaks", at);
		config_close(&c);
	}
	balance = (struct balance){0, 0, total + 1};
	c = open_good(url, &options);
	config_close(&c);
}

Test(config, closing_what_never_opened_is_allowed)
{
	struct config c = {.owned = NULL};
	config_close(&c);
	config_close(&c);
}
