/*
 * config_fuzz.c - hostile configuration: the first line is a URL, lines behind it that begin with FERRY_ are
 * the environment, and the rest is the text of a file.
 *
 * The transport is `valid` of tests/plugins, whose table has a setting of each type.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"
#include "names.h"
#include "setting.h"

static const struct ferry_host host = {.size = sizeof(host)};

/* A file in memory, and its name. */
static char file_path[64];
static int file = -1;

static void prepare(void)
{
	if (file >= 0)
		return;
	file = memfd_create("ferry.json", MFD_CLOEXEC);
	FUZZ_CHECK(file >= 0 && fchmod(file, 0600) == 0);
	snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", file);
}

static void write_file(const uint8_t *data, size_t size)
{
	FUZZ_CHECK(ftruncate(file, 0) == 0);
	FUZZ_CHECK(pwrite(file, data, size, 0) == (ssize_t)size);
}

#define VARIABLES_MAX 16

static char transport_path[] = "FERRY_TRANSPORT_PATH=" PLUGINS;

/* Make the lines that begin with FERRY_ the whole environment, but for the folder of plugins, which comes
 * first; returns what is behind them.  The entries lie in `lines`. */
static char *read_environment(char *lines, char *variables[VARIABLES_MAX + 2])
{
	size_t count = 0;
	variables[count++] = transport_path;
	while (count <= VARIABLES_MAX && strncmp(lines, "FERRY_", 6) == 0) {
		variables[count++] = lines;
		lines += strcspn(lines, "\n");
		if (*lines)
			*lines++ = '\0';
	}
	variables[count] = NULL;
	return lines;
}

/* What is accepted is inside the ranges of the tables. */
static void check_accepted(const struct config *c)
{
	const struct ferry_option *table = c->transport->api.options;
	FUZZ_CHECK(name_is_group(c->plugin.service) && name_is_group(c->plugin.instance));
	FUZZ_CHECK(setting_in_range(&config_bus_options[MEMORY_BUDGET], c->memory_budget));
	FUZZ_CHECK(setting_in_range(&config_bus_options[MAX_MESSAGE], c->max_message));
	FUZZ_CHECK(setting_in_range(&config_bus_options[PUBLISH_TIMEOUT], c->publish_timeout_ms));
	FUZZ_CHECK(c->threads == FERRY_THREADS_CALLER || (c->threads >= 1 && c->threads <= 256));
	FUZZ_CHECK(!strchr(c->plugin.url, '?'));
	for (size_t i = 0; table && table[i].name; i++) {
		if (c->plugin.settings[i].is_set && table[i].type != FERRY_OPTION_CHOICE)
			FUZZ_CHECK(setting_in_range(&table[i], c->plugin.settings[i].number));
	}
	for (const struct ferry_attribute *extra = c->plugin.extra; extra->name; extra++)
		FUZZ_CHECK(strncmp(extra->name, "native.", 7) == 0 && extra->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t url_size = end ? (size_t)(end - data) : size;
	struct config config;
	struct ferry_error err = {.code = 0};
	char **outside = environ, *variables[VARIABLES_MAX + 2];
	char *url = strndup((const char *)data, url_size);
	char *rest = end ? strndup((const char *)end + 1, size - url_size - 1) : strdup("");
	FUZZ_CHECK(url && rest);
	prepare();
	/* A file may hold a NUL, lines of the environment cannot. */
	size_t lines = (size_t)(read_environment(rest, variables) - rest);
	if (end)
		write_file(end + 1 + lines, size - url_size - 1 - lines);
	environ = variables;
	int code =
		config_open(&config, *url ? url : NULL,
			    FERRY_OPTIONS(ferry_bus_options, .config = end ? file_path : NULL), &host, &err);
	environ = outside;
	if (code == 0)
		check_accepted(&config);
	else
		FUZZ_CHECK(err.code == code && err.text[0] && text_is_utf8(err.text, strlen(err.text)));
	config_close(&config);
	free(url);
	free(rest);
	return 0;
}
