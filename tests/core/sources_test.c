/* Settings from the environment and from a file, beside the URL. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ferry/ferry.h>

#include "config.h"
#include "setting.h"

/* The transport `valid` of tests/plugins, whose table has a setting of each type, in this order. */
enum { PREFIX, SECRET, QUEUE, QUEUE_BYTES, LINGER, SYNC, MODE, NATIVE };

static const struct ferry_host host = {.size = sizeof(host)};

static char folder[64], file[96], secret_file[96];

/* An allocator that counts what is not freed and fails at the `fail_at`-th call; 0: never. */
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
	return ++balance->calls == balance->fail_at ? NULL : realloc(memory, bytes);
}

static void count_free(void *memory, void *ctx)
{
	((struct balance *)ctx)->held--;
	free(memory);
}

static void write_bytes(const char *path, const char *text, size_t size)
{
	FILE *out = fopen(path, "w");
	cr_assert_not_null(out);
	cr_assert_eq(fwrite(text, 1, size, out), size);
	cr_assert_eq(fclose(out), 0);
	cr_assert_eq(chmod(path, 0600), 0);
}

static void write_text(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text));
}

static void prepare(void)
{
	setenv("FERRY_TRANSPORT_PATH", PLUGINS, 1);
	strcpy(folder, "/tmp/ferry-sources-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/ferry.json", folder);
	snprintf(secret_file, sizeof(secret_file), "%s/secret", folder);
}

static void clean(void)
{
	unlink(file);
	unlink(secret_file);
	rmdir(folder);
}

TestSuite(sources, .init = prepare, .fini = clean);

static struct config open_good(const char *url, const struct ferry_bus_options *options)
{
	struct config config;
	struct ferry_error err = {0};
	int result = config_open(&config, url, options, &host, &err);
	cr_assert_eq(result, 0, "%s: %s", url ? url : "NULL", err.text);
	return config;
}

static struct config open_file(const char *url, const char *text)
{
	write_text(file, text);
	return open_good(url, FERRY_OPTIONS(ferry_bus_options, .config = file));
}

/* A refusal: its words are in the text and no secret is, and nothing stays allocated. */
static void expect_bad(const char *what, const char *url, const char *config, const char *const *words)
{
	struct config c;
	struct balance balance = {0, 0, 0};
	struct ferry_allocator allocator = {count_alloc, count_resize, count_free, &balance};
	struct ferry_error err = {0};
	int result = config_open(&c, url,
				 FERRY_OPTIONS(ferry_bus_options, .allocator = &allocator, .config = config),
				 &host, &err);
	cr_expect_eq(result, FERRY_E_CONFIG, "%s: %s: %s", what, ferry_error_name(result), err.text);
	for (; *words; words++)
		cr_expect(strstr(err.text, *words), "%s: expected '%s' in: %s", what, *words, err.text);
	cr_expect_null(strstr(err.text, "hunter"), "%s: a secret in: %s", what, err.text);
	cr_expect_eq(balance.held, 0, "%s: a leak", what);
	config_close(&c);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- what is read ---- */

Test(sources, the_environment_sets_everything)
{
	static const char *const variables[][2] = {
		{"FERRY_URL", "valid:"},
		{"FERRY_SERVICE", "shop"},
		{"FERRY_PUBLISH_TIMEOUT", "1500ms"},
		{"FERRY_TAKEOVER", "2m"},
		{"FERRY_THREADS", "caller"},
		{"FERRY_FULL", "reject"},
		{"FERRY_CLOCK", "manual"},
		{"FERRY_PROVISION", "check"},
		{"FERRY_FAIL_FAST", "on"},
		{"FERRY_ENVELOPE", "compact"},
		{"FERRY_ON_UNKNOWN", "report"},
		{"FERRY_MEMORY_BUDGET", "2GiB"},
		{"FERRY_MAX_MESSAGE", "1000"},
		{"FERRY_PASSWORD", "hunter2"},
		{"FERRY_VALID_PREFIX", "a&b"},
		{"FERRY_VALID_PASSWORD", "hunter3"},
		{"FERRY_VALID_QUEUE", "7"},
		{"FERRY_VALID_QUEUE_BYTES", "64KiB"},
		{"FERRY_VALID_LINGER", "1s"},
		{"FERRY_VALID_SYNC", "off"},
		{"FERRY_VALID_MODE", "slow"},
	};
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		setenv(variables[i][0], variables[i][1], 1);
	struct config c = open_good(NULL, NULL);
	const struct ferry_config *p = &c.plugin;
	cr_expect_str_eq(p->service, "shop");
	cr_expect_eq(c.publish_timeout_ms, 1500);
	cr_expect_eq(c.takeover_ms, 120000);
	cr_expect_eq(c.threads, FERRY_THREADS_CALLER);
	cr_expect_eq(c.full, FERRY_FULL_REJECT);
	cr_expect_eq(c.clock, FERRY_CLOCK_MANUAL);
	cr_expect_eq(c.provision, FERRY_PROVISION_CHECK);
	cr_expect_eq(c.fail_fast, 1);
	cr_expect_eq(c.envelope, FERRY_ENVELOPE_COMPACT);
	cr_expect_eq(c.on_unknown, FERRY_UNKNOWN_REPORT);
	cr_expect_eq(c.memory_budget, INT64_C(2) << 30);
	cr_expect_eq(c.max_message, 1000);
	cr_expect_str_eq(p->password, "hunter2");
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		setenv(variables[i][0], "zzzz", 1); /* nothing of the environment's is kept */
	cr_expect_str_eq(p->settings[PREFIX].text, "a&b");
	cr_expect_str_eq(p->settings[SECRET].text, "hunter3");
	cr_expect_eq(p->settings[QUEUE].number, 7);
	cr_expect_eq(p->settings[QUEUE_BYTES].number, 65536);
	cr_expect_eq(p->settings[LINGER].number, 1000);
	cr_expect_eq(p->settings[SYNC].number, 0);
	cr_expect_eq(p->settings[MODE].number, 2);
	for (int i = PREFIX; i < NATIVE; i++)
		cr_expect_eq(p->settings[i].is_set, 1, "setting %d", i);
	config_close(&c);
}

Test(sources, a_file_sets_everything)
{
	struct config c = open_file(
		NULL, "{\"url\": \"valid://h:1\", \"service\": \"shop\", \"publish_timeout\": \"1500ms\","
		      " \"takeover\": \"2m\", \"threads\": 3, \"full\": \"reject\", \"clock\": \"manual\","
		      " \"provision\": \"check\", \"fail_fast\": true, \"envelope\": \"compact\","
		      " \"on_unknown\": \"report\", \"memory_budget\": \"2GiB\", \"max_message\": 1000,"
		      " \"password\": \"hunter2\", \"kafka\": {\"anything\": [1]},"
		      " \"valid\": {\"prefix\": \"a&b\", \"password\": \"hunter3\", \"queue\": 7,"
		      " \"queue_bytes\": \"64KiB\", \"linger\": \"1s\", \"sync\": false, \"mode\": \"slow\","
		      " \"native.a\": \"x\", \"native.b\": 5, \"native.c\": true}}");
	const struct ferry_config *p = &c.plugin;
	cr_expect_str_eq(p->hosts, "h:1");
	cr_expect_str_eq(p->service, "shop");
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
	cr_expect_str_eq(p->password, "hunter2");
	cr_expect_str_eq(p->settings[PREFIX].text, "a&b");
	cr_expect_str_eq(p->settings[SECRET].text, "hunter3");
	cr_expect_eq(p->settings[QUEUE].number, 7);
	cr_expect_eq(p->settings[QUEUE_BYTES].number, 65536);
	cr_expect_eq(p->settings[LINGER].number, 1000);
	cr_expect_eq(p->settings[SYNC].number, 0);
	cr_expect_eq(p->settings[MODE].number, 2);
	for (int i = PREFIX; i < NATIVE; i++)
		cr_expect_eq(p->settings[i].is_set, 1, "setting %d", i);
	static const char *const extra[][2] = {{"native.a", "x"}, {"native.b", "5"}, {"native.c", "true"}};
	for (size_t i = 0; i < 3; i++) {
		const struct ferry_attribute *found = p->extra;
		while (found->name && strcmp(found->name, extra[i][0]) != 0)
			found++;
		cr_assert_not_null(found->name, "%s", extra[i][0]);
		cr_expect_str_eq(found->value, extra[i][1]);
	}
	config_close(&c);
}

Test(sources, the_call_the_url_the_environment_the_file_the_default)
{
	static const char text[] = "{\"url\": \"durable:\", \"service\": \"file\", \"takeover\": \"1s\","
				   " \"threads\": \"caller\", \"valid\": {\"queue\": 1, \"linger\": \"1ms\","
				   " \"native.x\": \"file\", \"prefix\": \"file\"}}";
	setenv("FERRY_URL", "valid:?queue=3&native.x=url", 1);
	setenv("FERRY_SERVICE", "environment", 1);
	setenv("FERRY_TAKEOVER", "2s", 1);
	setenv("FERRY_VALID_QUEUE", "2", 1);
	setenv("FERRY_VALID_LINGER", "2ms", 1);
	struct config c = open_file(NULL, text);
	cr_expect_str_eq(c.transport->api.name, "valid");
	cr_expect_str_eq(c.plugin.service, "environment");
	cr_expect_eq(c.takeover_ms, 2000);
	cr_expect_eq(c.publish_timeout_ms, 30000);
	cr_expect_eq(c.threads, FERRY_THREADS_CALLER);
	cr_expect_eq(c.plugin.settings[QUEUE].number, 3);
	cr_expect_eq(c.plugin.settings[LINGER].number, 2);
	cr_expect_str_eq(c.plugin.settings[PREFIX].text, "file");
	cr_expect_eq(c.plugin.settings[QUEUE_BYTES].number, 16 << 20);
	cr_expect_str_eq(c.plugin.extra[0].value, "url");
	cr_expect_null(c.plugin.extra[1].name);
	config_close(&c);
	unsetenv("FERRY_URL");
	c = open_file(NULL, text);
	cr_expect_str_eq(c.transport->api.name, "durable");
	config_close(&c);
	c = open_good("valid:?takeover=3s", FERRY_OPTIONS(ferry_bus_options, .config = file,
							  .service = "call", .takeover_ms = 4000));
	cr_expect_str_eq(c.plugin.service, "call");
	cr_expect_eq(c.takeover_ms, 4000);
	config_close(&c);
}

Test(sources, the_file_comes_from_the_call_or_else_the_environment)
{
	write_text(file, "{\"threads\": 5}");
	setenv("FERRY_CONFIG", file, 1);
	struct config c = open_good("valid:", NULL);
	cr_expect_eq(c.threads, 5);
	config_close(&c);
	setenv("FERRY_CONFIG", "/nowhere", 1);
	c = open_good("valid:", FERRY_OPTIONS(ferry_bus_options, .config = file));
	cr_expect_eq(c.threads, 5);
	config_close(&c);
	setenv("FERRY_CONFIG", "", 1);
	c = open_good("valid:", NULL);
	cr_expect_eq(c.threads, 12);
	config_close(&c);
	struct ferry_error err = {0};
	cr_expect_eq(
		config_open(&c, "valid:", FERRY_OPTIONS(ferry_bus_options, .config = "x.json"), &host, &err),
		FERRY_E_INVALID);
	cr_expect(strstr(err.text, "ferry_bus_options.config is 'x.json': expected the absolute path"), "%s",
		  err.text);
}

/* The program's own variables, those of other transports, and empty ones. */
Test(sources, other_variables_are_the_programs_own)
{
	static const char *const variables[] = {
		"FERRY_HOME",
		"FERRY_USER",
		"FERRY_LOG",
		"FERRY_DEBUG",
		"FERRY_PORT",
		"FERRY_VERSION",
		"FERRY_TOKEN",
		"FERRY_NATS_PASSWORD",
		"FERRY_",
		"FERRY_KAFKA_THREADS",
		"FERRY_REDIS_TAKEOVER",
		"FERRY_MEMORY_QUEUE",
		"FERRY_CLOUD",
		"FERRY_FULLNESS",
		"FERRY_TIMEOUT",
		"FERRY_VALIDATE",
		"ferry_servce",
		"FERRYSERVICE",
		"SERVCE",
		"FERRY_PUBLISH_TIMEOUTS_MS",
		"FERRY_URL_OF_SHOP",
		"FERRY_DURABLE_QUEUE",
	};
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		setenv(variables[i], "x", 1);
	setenv("FERRY_SERVCE", "", 1);
	setenv("FERRY_VALID_QUUE", "", 1);
	struct config c = open_good("valid:", NULL);
	cr_expect_str_eq(c.plugin.service, "default");
	config_close(&c);
}

/* ---- the password ---- */

static void expect_password(const char *url, const char *password)
{
	struct config c = open_good(url, NULL);
	cr_expect_str_eq(c.plugin.password, password, "%s: %s", url, c.plugin.password);
	cr_expect_null(strstr(c.plugin.url, "hunter"));
	config_close(&c);
}

Test(sources, a_password_comes_from_the_first_source_that_has_one)
{
	char url[200], setting[120];
	write_text(secret_file, "hunter file \n");
	snprintf(url, sizeof(url), "durable://u@h?service=s&password_file=%s", secret_file);
	expect_password("durable://u@h?service=s", "");
	expect_password(url, "hunter file ");
	expect_password("durable://u@h?service=s&password=hunter%26", "hunter&");
	setenv("FERRY_PASSWORD", "hunter env", 1);
	expect_password("durable://u@h?service=s", "hunter env");
	expect_password("durable://u:hunter%40@h?service=s", "hunter@");
	expect_password(url, "hunter file ");
	unsetenv("FERRY_PASSWORD");
	setenv("FERRY_PASSWORD_FILE", secret_file, 1);
	expect_password("durable://u:hunter%40@h?service=s", "hunter@");
	expect_password("durable://u@h?service=s&password=hunter1", "hunter1");
	expect_password("durable://u@h?service=s", "hunter file ");
	snprintf(setting, sizeof(setting), "{\"password_file\": \"%s\"}", secret_file);
	write_text(file, setting);
	unsetenv("FERRY_PASSWORD_FILE");
	setenv("FERRY_CONFIG", file, 1);
	expect_password("durable://u@h?service=s", "hunter file ");
	write_text(secret_file, "hunter\r\n");
	expect_password("durable://u@h?service=s", "hunter");
	write_text(secret_file, "hunter\n\n");
	expect_password("durable://u@h?service=s", "hunter\n");
	cr_assert_eq(chmod(secret_file, 0444), 0);
	expect_password("durable://u@h?service=s", "hunter\n");
}

Test(sources, a_password_file_that_cannot_be_used_is_named)
{
	static char large[5000];
	setenv("FERRY_PASSWORD_FILE", secret_file, 1);
	expect_bad("missing", "valid:", NULL,
		   WORDS("FERRY_PASSWORD_FILE: ", secret_file, "No such file or directory"));
	write_text(secret_file, "");
	expect_bad("empty", "valid:", NULL, WORDS("FERRY_PASSWORD_FILE", secret_file, "is empty"));
	write_text(secret_file, "\n");
	expect_bad("a newline", "valid:", NULL, WORDS(secret_file, "is empty", "expected a password"));
	write_bytes(secret_file, "hunter\0x", 8);
	expect_bad("NUL", "valid:", NULL, WORDS(secret_file, "has a NUL"));
	memset(large, 'x', sizeof(large));
	write_bytes(secret_file, large, sizeof(large));
	expect_bad("large", "valid:", NULL, WORDS(secret_file, "at most 4096 bytes"));
	write_text(secret_file, "hunter");
	cr_assert_eq(chmod(secret_file, 0602), 0);
	expect_bad("writable", "valid:", NULL, WORDS(secret_file, "written by everyone", "chmod o-w"));
	setenv("FERRY_PASSWORD_FILE", folder, 1);
	expect_bad("a folder", "valid:", NULL, WORDS(folder, "not a regular file"));
	unsetenv("FERRY_PASSWORD_FILE");
	expect_bad("no UTF-8", "valid:?password_file=/%FF/%C3%A9/%C3", NULL,
		   WORDS("'password_file': /?/\xC3\xA9/? cannot be opened: No such file"));
	setenv("FERRY_PASSWORD_FILE", "hunter2", 1);
	expect_bad("the password itself", "valid:", NULL, WORDS("FERRY_PASSWORD_FILE", "absolute path"));
	setenv("FERRY_PASSWORD", "hunter2", 1);
	expect_bad("both", "valid:", NULL, WORDS("FERRY_PASSWORD_FILE", "one of both"));
	expect_bad("twice in the URL", "durable://u:hunter2@h?password=hunter3", NULL,
		   WORDS("the URL's setting 'password'", "expected one"));
}

/* ---- what is refused ---- */

static const struct {
	const char *variable, *value, *words[3];
} bad_variables[] = {
	{"FERRY_VALID_QUUE", "5", {"FERRY_VALID_QUUE is not known", "did you mean 'FERRY_VALID_QUEUE'?"}},
	{"FERRY_VALID_THREADS", "5", {"FERRY_VALID_THREADS is not", "did you mean 'FERRY_THREADS'?"}},
	{"FERRY_VALID_PASSWRD", "hunter2", {"FERRY_VALID_PASSWRD", "did you mean 'FERRY_VALID_PASSWORD'?"}},
	{"FERRY_VALID_NATIVE_X", "hunter2", {"FERRY_VALID_NATIVE_X is not known", "expected"}},
	{"FERRY_VALID_SOMETHING",
	 "5",
	 {"FERRY_VALID_SOMETHING", "expected one of FERRY_VALID_PREFIX, FERRY"}},
	{"FERRY_VALID_QUEUE", "0", {"FERRY_VALID_QUEUE is '0'", "a whole number from 1 to 65536"}},
	{"FERRY_VALID_QUEUE", "5 ", {"FERRY_VALID_QUEUE is '5 '", "a whole number"}},
	{"FERRY_VALID_QUEUE", "5\n", {"FERRY_VALID_QUEUE is not valid", "a whole number"}},
	{"FERRY_VALID_QUEUE", "\xFF", {"FERRY_VALID_QUEUE is not valid UTF-8", "a whole number"}},
	{"FERRY_VALID_QUEUE_BYTES",
	 "64KB",
	 {"FERRY_VALID_QUEUE_BYTES is '64KB'", "a size in bytes from 1KiB"}},
	{"FERRY_VALID_LINGER", "5", {"FERRY_VALID_LINGER is '5'", "a duration with its unit"}},
	{"FERRY_VALID_SYNC", "true", {"FERRY_VALID_SYNC is 'true'", "on or off"}},
	{"FERRY_VALID_MODE", "quick", {"FERRY_VALID_MODE is 'quick'", "one of fast|safe|slow"}},
	{"FERRY_PUBLISH_TIMEOUT", "10", {"FERRY_PUBLISH_TIMEOUT is '10'", "a duration", "from 1ms to 1d"}},
	{"FERRY_TAKEOVER", "5ms", {"FERRY_TAKEOVER is '5ms'", "from 100ms to 1d"}},
	{"FERRY_THREADS", "many", {"FERRY_THREADS is 'many'", "caller, or a whole number from 1 to 256"}},
	{"FERRY_FULL", "drop", {"FERRY_FULL is 'drop'", "one of block|reject"}},
	{"FERRY_FAIL_FAST", "1", {"FERRY_FAIL_FAST is '1'", "on or off"}},
	{"FERRY_MEMORY_BUDGET", "1", {"FERRY_MEMORY_BUDGET is '1'", "from 1KiB to 1TiB"}},
	{"FERRY_MAX_MESSAGE", "1MB", {"FERRY_MAX_MESSAGE is '1MB'", "a size"}},
	{"FERRY_SERVICE", "a b", {"FERRY_SERVICE is 'a b'", "1 to 40 of"}},
	/* nearly one of every bus */
	{"FERRY_SERVCE", "shop", {"FERRY_SERVCE is not known", "did you mean 'FERRY_SERVICE'?"}},
	{"FERRY_SERVICES", "shop", {"FERRY_SERVICES is not", "expected", "'FERRY_SERVICE'?"}},
	{"FERRY_PUBLISH_TIMOUT", "1s", {"FERRY_PUBLISH_TIMOUT", "'FERRY_PUBLISH_TIMEOUT'?"}},
	{"FERRY_THREAD", "2", {"FERRY_THREAD is not known", "did you mean 'FERRY_THREADS'?"}},
	{"FERRY_FALL_FAST", "on", {"FERRY_FALL_FAST", "did you mean 'FERRY_FAIL_FAST'?"}},
	{"FERRY_MAXMESSAGE", "1", {"FERRY_MAXMESSAGE", "did you mean 'FERRY_MAX_MESSAGE'?"}},
	{"FERRY_MAX_MESSAGES", "1", {"FERRY_MAX_MESSAGES", "did you mean 'FERRY_MAX_MESSAGE'?"}},
	{"FERRY_PASSWD", "hunter2", {"FERRY_PASSWD", "did you mean 'FERRY_PASSWORD'?"}},
	{"FERRY_PASSWORDFILE", "hunter2", {"FERRY_PASSWORDFILE", "'FERRY_PASSWORD_FILE'?"}},
	{"FERRY_URI", "valid://u:hunter2@h", {"FERRY_URI", "did you mean 'FERRY_URL'?"}},
	{"FERRY_CONFG", "/hunter2", {"FERRY_CONFG", "did you mean 'FERRY_CONFIG'?"}},
	{"FERRY_TRANSPORTPATH", "/x", {"FERRY_TRANSPORTPATH", "did you mean 'FERRY_TRANSPORT_PATH'?"}},
	{"FERRY_service", "shop", {"FERRY_service is not known", "did you mean 'FERRY_SERVICE'?"}},
	{"FERRY_CONFIG", "ferry.json", {"FERRY_CONFIG", "absolute path"}},
	{"FERRY_CONFIG", "/nowhere/ferry.json", {"FERRY_CONFIG: /nowhere/ferry.json", "No such file"}},
};

Test(sources, a_bad_variable_is_named_with_what_was_expected)
{
	for (size_t i = 0; i < sizeof(bad_variables) / sizeof(bad_variables[0]); i++) {
		const char *const *words = bad_variables[i].words;
		setenv(bad_variables[i].variable, bad_variables[i].value, 1);
		expect_bad(bad_variables[i].variable, "valid:", NULL,
			   WORDS("the environment's ", words[0], words[1], words[2]));
		/* Nor does a value of the URL hide it. */
		expect_bad(bad_variables[i].variable, "valid:?queue=1&sync=on&full=block&takeover=1s", NULL,
			   WORDS(words[0], words[1], words[2]));
		unsetenv(bad_variables[i].variable);
	}
}

Test(sources, a_misspelt_variable_explains_what_is_missing)
{
	setenv("FERRY_ULR", "valid:", 1);
	expect_bad("FERRY_ULR", NULL, NULL, WORDS("FERRY_ULR is not known", "did you mean 'FERRY_URL'?"));
	unsetenv("FERRY_ULR");
	unsetenv("FERRY_TRANSPORT_PATH");
	setenv("FERRY_TRANSPORTS_PATH", PLUGINS, 1);
	expect_bad("FERRY_TRANSPORTS_PATH", "no-such-one:", NULL,
		   WORDS("FERRY_TRANSPORTS_PATH is not known", "did you mean 'FERRY_TRANSPORT_PATH'?"));
}

Test(sources, a_quoted_value_is_cut_between_characters)
{
	char value[200] = "valid:?mode=";
	for (int i = 0; i < 51; i++)
		strcat(value, i ? "\xC3\xA9" : "x");
	expect_bad("a long value", value, NULL, WORDS("'mode' is 'x\xC3\xA9", "\xC3\xA9': expected one of"));
	expect_bad("not UTF-8", "valid:?mode=%C3", NULL, WORDS("'mode' is not valid: expected one of"));
}

Test(sources, a_bad_url_of_the_environment_or_a_file_is_named)
{
	setenv("FERRY_URL", "valid://u:hunter2@h@i", 1);
	expect_bad("FERRY_URL", NULL, NULL, WORDS("the environment's FERRY_URL: the URL has more than one"));
	unsetenv("FERRY_URL");
	write_text(file, "{\"url\": \"valid://u:hunter2@h@i\"}");
	expect_bad("the file's url", NULL, file, WORDS(file, ": the URL has more than one '@'"));
	write_text(file, "{\"threads\": 1}");
	expect_bad("no url", NULL, file, WORDS("there is no URL"));
}

static const struct {
	const char *text, *words[3];
} bad_files[] = {
	/* keys */
	{"{\"publish_timout\": \"1s\"}",
	 {"'publish_timout' is not known", "did you mean 'publish_timeout'?"}},
	{"{\"quuee\": 5}", {"'quuee' is not known", "did you mean 'valid.queue'?"}},
	{"{\"queue\": 5}", {"'queue' is not known", "did you mean 'valid.queue'?"}},
	{"{\"urll\": \"valid:\"}", {"'urll' is not known", "did you mean 'url'?"}},
	{"{\"vaild\": {\"queue\": 5}}", {"'vaild' is not known", "did you mean 'valid'?"}},
	{"{\"pasword\": \"hunter2\"}", {"'pasword' is not known", "did you mean 'valid.password'?"}},
	{"{\"unheard_of\": \"hunter2\"}", {"'unheard_of' is not known", "expected one of valid.prefix, "}},
	{"{\"kafka\": 5}", {"'kafka' is not known", "expected one of"}},
	{"{\"native.x\": \"1\"}", {"'native.x' is not known"}},
	{"{\"\": 1}", {"a key that is not valid", "expected 1 to 128"}},
	{"{\"hunter 2\": 1}", {"a key that is not valid", "expected 1 to 128"}},
	{"{\"valid\": {\"native.hunter 2\": 1}}", {"a key that is not valid"}},
	{"{\"valid\": {\"quue\": 5}}", {"'valid.quue' is not known", "did you mean 'valid.queue'?"}},
	{"{\"valid\": {\"threads\": 5}}", {"'valid.threads' is not known", "did you mean 'threads'?"}},
	{"{\"valid\": {\"url\": \"valid:\"}}", {"'valid.url' is not known", "did you mean 'url'?"}},
	{"{\"threads\": 1, \"threads\": 2}", {"'threads'", "line 1", "given twice: expected it once"}},
	{"{\"valid\": {\"queue\": 1,\n\"queue\" : 2}}", {"'queue'", "line 2", "given twice"}},
	{"{\"a \\\" hunter\": 1, \"a \\\" hunter\": 2}", {"given twice"}},
	/* the JSON type */
	{"{\"url\": 5}", {"'url' is a whole number", "expected a string such as"}},
	{"{\"url\": null}", {"'url' is null", "expected a string"}},
	{"{\"service\": 5}", {"'service' is a whole number", "expected 1 to 40 of"}},
	{"{\"service\": \"a b\"}", {"'service' is 'a b'", "expected 1 to 40 of"}},
	{"{\"threads\": \"5\"}", {"'threads' is a string", "caller, or a whole number from 1 to 256"}},
	{"{\"threads\": 5.0}", {"'threads' is a number with a fraction", "a whole number"}},
	{"{\"threads\": {}}", {"'threads' is an object", "a whole number"}},
	{"{\"publish_timeout\": true}", {"'publish_timeout' is true", "a duration with its unit"}},
	{"{\"publish_timeout\": 10}", {"'publish_timeout' is '10'", "a duration with its unit"}},
	{"{\"fail_fast\": 1}", {"'fail_fast' is a whole number", "on or off"}},
	{"{\"fail_fast\": \"true\"}", {"'fail_fast' is 'true'", "on or off"}},
	{"{\"full\": false}", {"'full' is false", "one of block|reject"}},
	{"{\"password\": 5}", {"'password' is a whole number", "expected text"}},
	{"{\"password_file\": [\"hunter2\"]}", {"'password_file' is a list", "expected text"}},
	{"{\"password_file\": \"hunter2\"}", {"'password_file' is not an absolute path"}},
	{"{\"password\": \"hunter2\", \"password_file\": \"/x\"}", {"'password_file'", "one of both"}},
	{"{\"valid\": \"hunter2\"}", {"'valid' is a string", "an object of settings"}},
	{"{\"valid\": {\"password\": {\"hunter\": 2}}}", {"'valid.password' is an object", "expected text"}},
	{"{\"valid\": {\"native.x\": [\"hunter\"]}}", {"'valid.native.x' is a list", "expected text"}},
	{"{\"valid\": {\"native.x\": null}}", {"'valid.native.x' is null"}},
	/* unit and range */
	{"{\"memory_budget\": 5}", {"'memory_budget' is '5'", "from 1KiB to 1TiB"}},
	{"{\"memory_budget\": \"64MB\"}", {"'memory_budget' is '64MB'", "a size"}},
	{"{\"max_message\": -1}", {"'max_message' is '-1'", "from 1 to 1GiB"}},
	{"{\"threads\": 257}", {"'threads' is '257'", "from 1 to 256"}},
	{"{\"clock\": \"real\"}", {"'clock' is 'real'", "one of system|manual"}},
	{"{\"clock\": \"a\\nb\"}", {"'clock' is not valid", "one of system|manual"}},
	{"{\"valid\": {\"queue\": 0}}", {"'valid.queue' is '0'", "from 1 to 65536"}},
	{"{\"valid\": {\"queue\": -9223372036854775808}}", {"'valid.queue'", "from 1 to 65536"}},
	{"{\"valid\": {\"linger\": \"2m\"}}", {"'valid.linger' is '2m'", "from 0 to 1m"}},
	{"{\"valid\": {\"mode\": \"\"}}", {"'valid.mode' is ''", "one of fast|safe|slow"}},
	/* not JSON */
	{"", {"line 1, column 0", "not JSON", "expected one object"}},
	{"{\"threads\": 5", {"line 1", "ends too early", "expected one object"}},
	{"{\"password\": \"hunter2}", {"line 1", "expected one object"}},
	{"{\"password\": hunter2}", {"line 1", "not JSON", "expected one object"}},
	{"{\"threads\": 5} hunter", {"line 1", "not JSON"}},
	{"{\"threads\": 5,}", {"line 1", "not JSON"}},
	{"{'threads': 5}", {"line 1", "not JSON"}},
	{"{\"valid\": {\"queue\": 1e400}}", {"line 1", "the number is too large"}},
	{"{\"valid\": {\"queue\": 99999999999999999999}}", {"line 1", "the number is too large"}},
	{"{\"service\": \"\xFF\"}", {"line 1", "not UTF-8"}},
	{"{\"service\": \"a\\u0000b\"}", {"line 1", "a NUL"}},
	{"[\"hunter2\"]", {"not an object", "expected one object of settings"}},
	{"\"hunter2\"", {"not an object", "expected one object of settings"}},
};

Test(sources, a_bad_file_is_named_with_what_was_expected)
{
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		const char *const *words = bad_files[i].words;
		write_text(file, bad_files[i].text);
		expect_bad(bad_files[i].text, "valid:", file, WORDS(file, words[0], words[1], words[2]));
	}
}

Test(sources, a_file_that_cannot_be_trusted_or_read_is_refused)
{
	expect_bad("missing", "valid:", file,
		   WORDS("ferry_bus_options.config: ", file, "No such file or directory"));
	expect_bad("a folder", "valid:", folder, WORDS(folder, "not a regular file"));
	write_text(file, "{}");
	cr_assert_eq(chmod(file, 0646), 0);
	expect_bad("writable", "valid:", file, WORDS(file, "written by everyone"));
	write_text(file, "{}");
	cr_assert_eq(truncate(file, (1 << 20) + 1), 0);
	expect_bad("large", "valid:", file, WORDS(file, "too large", "at most 1048576 bytes"));
}

/* ---- secrets ---- */

/* A configuration, and where its secret is. */
struct input {
	char url[200]; /* "": none */
	const char *variables[2][2];
	char members[300]; /* of the file's object; "": no file */
};

static const struct input holders[] = {
	{.url = "valid://me:hunter2@h"},
	{.url = "valid://hunter2@h"},
	{.url = "valid:hunter2@h"},
	{.url = "valid:?password=hunter2"},
	{.url = "valid:?native.sasl.password=hunter2"},
	{.url = "valid://me:hunter2@h?password=hunter3"},
	{.url = "valid:?password_file=hunter2"},
	{.variables = {{"FERRY_URL", "valid://me:hunter2@h"}}},
	{.variables = {{"FERRY_URL", "valid://me:hun/hunter2@h"}}},
	{.url = "valid:", .variables = {{"FERRY_PASSWORD", "hunter2"}}},
	{.url = "valid:", .variables = {{"FERRY_VALID_PASSWORD", "hunter2"}}},
	{.url = "valid:", .variables = {{"FERRY_PASSWORD_FILE", secret_file}}},
	{.url = "valid:", .variables = {{"FERRY_PASSWORD_FILE", "hunter2"}}},
	{.url = "valid:", .variables = {{"FERRY_CONFIG", "hunter2"}}},
	{.members = "\"url\": \"valid://me:hunter2@h\""},
	{.url = "valid:", .members = "\"password\": \"hunter2\""},
	{.url = "valid:", .members = "\"password_file\": \"hunter2\""},
	{.url = "valid:", .members = "\"valid\": {\"password\": \"hunter2\"}"},
	{.url = "valid:", .members = "\"valid\": {\"native.sasl.password\": \"hunter2\"}"},
	{.url = "valid:", .members = "\"url\": \"redis://me:hunter2@h\""},
	{.url = "valid:", .members = "\"kafka\": {\"password\": \"hunter2\"}"},
};

/* A mistake beside it. */
static const struct input mistakes[] = {
	{.url = "quue=5"},
	{.url = "pasword=hunter2"},
	{.url = "queue=0"},
	{.url = "queue=5&queue=6"},
	{.url = "native.x=hunter2&native.x=hunter2"},
	{.url = "queue"},
	{.url = "queue=%"},
	{.url = "queue=%00"},
	{.url = "mode=%FF"},
	{.url = "service=a%20b"},
	{.variables = {{"FERRY_VALID_QUUE", "5"}}},
	{.variables = {{"FERRY_VALID_PASWORD", "hunter2"}}},
	{.variables = {{"FERRY_PASSWRD", "hunter2"}}},
	{.variables = {{"FERRY_VALID_PASSWORD", "hunter2\xFF"}}},
	{.variables = {{"FERRY_THREADS", "0"}}},
	{.members = "\"treads\": 5"},
	{.members = "\"pasword\": \"hunter2\""},
	{.members = "\"threads\": 0"},
	{.members = "\"threads\": 1, \"threads\": 1"},
	{.members = "\"x\": {\"hunter2 \": 1, \"hunter2 \": 1}"},
	{.members = "\"password\": [\"hunter2\"]"},
	{.members = "\"password\": \"hunter2"},
	{.members = "\"password\": hunter2"},
	{.members = "\"password\": \"hunter2\xFF\""},
	{.members = "\"password\": \"hunter2\\u0000\""},
	{.members = "\"service\": \"a b\"} hunter2"},
};

static struct input both(const struct input *holder, const struct input *mistake)
{
	struct input in = *holder;
	if (mistake->url[0])
		snprintf(in.url + strlen(in.url), sizeof(in.url) - strlen(in.url), "%s%s",
			 strchr(in.url, '?') ? "&" : "?", mistake->url);
	in.variables[1][0] = mistake->variables[0][0];
	in.variables[1][1] = mistake->variables[0][1];
	if (mistake->members[0])
		snprintf(in.members + strlen(in.members), sizeof(in.members) - strlen(in.members), "%s%s",
			 in.members[0] ? ", " : "", mistake->members);
	return in;
}

static int open_input(const struct input *in, struct config *config, struct ferry_error *err)
{
	char text[400];
	for (size_t i = 0; i < 2; i++) {
		if (in->variables[i][0])
			setenv(in->variables[i][0], in->variables[i][1], 1);
	}
	snprintf(text, sizeof(text), "{%s}", in->members);
	write_text(file, text);
	/* Without a file of the call FERRY_CONFIG can be wrong. */
	int code = config_open(config, in->url[0] ? in->url : NULL,
			       FERRY_OPTIONS(ferry_bus_options, .config = in->members[0] ? file : NULL),
			       &host, err);
	for (size_t i = 0; i < 2; i++) {
		if (in->variables[i][0])
			unsetenv(in->variables[i][0]);
	}
	return code;
}

Test(sources, no_mistake_brings_a_secret_into_an_error)
{
	write_text(secret_file, "hunter2\n");
	for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++) {
		struct config c;
		struct ferry_error err = {0};
		int code = open_input(&holders[i], &c, &err);
		cr_expect_null(strstr(err.text, "hunter"), "%zu: a secret in: %s", i, err.text);
		cr_expect(code || !strstr(c.plugin.url, "hunter"), "%zu: a secret in the URL for logs", i);
		config_close(&c);
		for (size_t k = 0; k < sizeof(mistakes) / sizeof(mistakes[0]); k++) {
			struct input in = both(&holders[i], &mistakes[k]);
			/* A query needs a URL of the call's, which then wins. */
			if (mistakes[k].url[0] && !holders[i].url[0])
				continue;
			code = open_input(&in, &c, &err);
			cr_expect_neq(code, 0, "%zu, %zu: the mistake is not noticed", i, k);
			cr_expect_null(strstr(err.text, "hunter"), "%zu, %zu: a secret in: %s", i, k,
				       err.text);
			config_close(&c);
		}
	}
}

struct log {
	int lines;
	bool has_secret;
};

static void read_log(int level, const char *text, void *ctx)
{
	struct log *log = ctx;
	(void)level;
	log->lines++;
	log->has_secret |= strstr(text, "hunter") != NULL;
}

static int reject(struct ferry_message *message, void *ctx)
{
	(void)ctx;
	ferry_message_fail(message, FERRY_E_INVALID, "not wanted");
	return FERRY_REJECT;
}

/* A whole bus, whose password is in every place at once, logs what it drops and no secret. */
Test(sources, no_secret_is_in_a_log)
{
	struct log log = {0, false};
	struct ferry_error err = {0};
	struct ferry_publisher *publisher = NULL;
	write_text(file, "{\"password\": \"hunter2\", \"url\": \"memory:\"}");
	setenv("FERRY_PASSWORD", "hunter2", 1);
	setenv("FERRY_URL", "memory:", 1);
	struct ferry_bus *bus =
		ferry_bus_open("memory:",
			       FERRY_OPTIONS(ferry_bus_options, .log = read_log, .hook_ctx = &log,
					     .config = file, .transport_path = PLUGINS "/../../lib"),
			       &err);
	cr_assert_not_null(bus, "%s", err.text);
	cr_assert_eq(ferry_subscribe(bus, "a", reject, NULL,
				     FERRY_OPTIONS(ferry_handler_options, .dlq = FERRY_OFF), &err),
		     0, "%s", err.text);
	cr_assert_eq(ferry_bus_start(bus, 0, &err), 0, "%s", err.text);
	cr_assert_eq(ferry_publisher_open(bus, "a", NULL, &publisher, &err), 0, "%s", err.text);
	cr_assert_eq(ferry_publish(publisher, "x", 1, NULL, &err), 0, "%s", err.text);
	ferry_publisher_close(publisher);
	cr_assert_eq(ferry_bus_stop(bus, 5000, NULL, &err), 0, "%s", err.text);
	ferry_bus_close(bus);
	cr_expect_gt(log.lines, 0, "nothing was logged");
	cr_expect_not(log.has_secret, "a secret in a log");
}

/* ---- memory ---- */

static const char whole[] = "{\"url\": \"valid:?queue=3\", \"service\": \"shop\", \"threads\": 5,"
			    " \"valid\": {\"linger\": \"1s\", \"native.a\": \"1\", \"native.b\": 2,"
			    " \"native.c\": \"3\", \"native.d\": \"4\", \"native.e\": \"5\","
			    " \"native.f\": \"6\", \"native.g\": \"7\", \"native.h\": \"8\"}}";

Test(sources, every_failed_allocation_is_reported_and_leaks_nothing)
{
	char text[800];
	struct balance balance = {0, 0, 0};
	struct ferry_allocator allocator = {count_alloc, count_resize, count_free, &balance};
	const struct ferry_bus_options options = {
		.size = sizeof(options), .allocator = &allocator, .config = file};
	write_text(secret_file, "hunter2\n");
	snprintf(text, sizeof(text), "{\"password_file\": \"%s\", %s", secret_file, whole + 1);
	write_text(file, text);
	setenv("FERRY_VALID_PREFIX", "x", 1);
	struct config c = open_good(NULL, &options);
	long total = balance.calls;
	cr_expect_str_eq(c.plugin.password, "hunter2");
	config_close(&c);
	cr_expect_eq(balance.held, 0);
	cr_assert_geq(total, 20);
	for (long at = 1; at <= total; at++) {
		struct ferry_error err = {0};
		balance = (struct balance){0, 0, at};
		cr_expect_eq(config_open(&c, NULL, &options, &host, &err), FERRY_E_NOMEM, "call %ld: %s", at,
			     err.text);
		cr_expect_eq(balance.held, 0, "call %ld leaks", at);
		config_close(&c);
	}
}

/* ---- the documentation ---- */

/* The table of docs/configuration.md has exactly the rows of the bus's table, in its order. */
Test(sources, the_documentation_has_the_table_of_every_bus)
{
	static char doc[32768], rows[8192];
	FILE *in = fopen(CONFIGURATION, "r");
	size_t used = 0;
	cr_assert_not_null(in);
	cr_assert_lt(fread(doc, 1, sizeof(doc) - 1, in), sizeof(doc) - 1);
	fclose(in);
	for (const struct ferry_option *o = config_bus_options; o->name; o++) {
		char expected[200];
		setting_expected(o, expected, sizeof(expected));
		char *example = strstr(expected, ", e.g.");
		if (example)
			*example = '\0';
		for (char *bar = expected; (bar = strchr(bar, '|')); bar++)
			*bar = '/';
		used += (size_t)snprintf(rows + used, sizeof(rows) - used, "| `%s` | %s | %s%s%s | %s |\n",
					 o->name, expected, o->default_value ? "`" : "",
					 o->default_value ? o->default_value : "none",
					 o->default_value ? "`" : "", o->help);
		cr_assert_lt(used, sizeof(rows));
	}
	const char *table = strstr(doc, "|---|---|---|---|\n");
	cr_assert_not_null(table);
	table = strchr(table, '\n') + 1;
	const char *end = strstr(table, "\n\n");
	cr_assert_not_null(end);
	cr_expect(strlen(rows) == (size_t)(end + 1 - table) && strncmp(table, rows, strlen(rows)) == 0,
		  "docs/configuration.md: its table should be\n%s", rows);
}
