#include "describe.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <ferry/admin.h>

static const char *type_name(int32_t type)
{
	static const char *const names[] = {
		[FERRY_OPTION_TEXT] = "text",         [FERRY_OPTION_SECRET] = "secret",
		[FERRY_OPTION_INTEGER] = "integer",   [FERRY_OPTION_SIZE] = "size",
		[FERRY_OPTION_DURATION] = "duration", [FERRY_OPTION_SWITCH] = "switch",
		[FERRY_OPTION_CHOICE] = "choice",     [FERRY_OPTION_PREFIX] = "prefix"};
	if (type <= 0 || (size_t)type >= sizeof names / sizeof names[0])
		return "unknown";
	return names[type];
}

static const char *thread_model_name(int32_t model)
{
	return model == FERRY_PUMP ? "pump" : "workers";
}

/* A number in the notation of the URL, in the largest unit that is exact: 16MiB, 30s. */
static void format_number(const struct ferry_option *option, int64_t number, char *text, size_t size)
{
	static const struct {
		int32_t type;
		int64_t factor;
		const char *name;
	} units[] = {{FERRY_OPTION_SIZE, 1 << 30, "GiB"},   {FERRY_OPTION_SIZE, 1 << 20, "MiB"},
		     {FERRY_OPTION_SIZE, 1 << 10, "KiB"},   {FERRY_OPTION_DURATION, 86400000, "d"},
		     {FERRY_OPTION_DURATION, 3600000, "h"}, {FERRY_OPTION_DURATION, 60000, "m"},
		     {FERRY_OPTION_DURATION, 1000, "s"},    {FERRY_OPTION_DURATION, 1, "ms"}};
	for (size_t i = 0; number && i < sizeof units / sizeof units[0]; i++) {
		if (units[i].type == option->type && number % units[i].factor == 0) {
			snprintf(text, size, "%" PRId64 "%s", number / units[i].factor, units[i].name);
			return;
		}
	}
	snprintf(text, size, "%" PRId64, number);
}

static void format_range(const struct ferry_option *option, char *text, size_t size)
{
	char min[32], max[32], numbers[80] = "";
	bool bounded = option->min || option->max;
	if (bounded) {
		format_number(option, option->min, min, sizeof min);
		format_number(option, option->max, max, sizeof max);
		snprintf(numbers, sizeof numbers, "%s..%s", min, option->max == INT64_MAX ? "" : max);
	}
	if (option->type == FERRY_OPTION_SWITCH)
		snprintf(text, size, "on|off");
	else if (option->choices)
		snprintf(text, size, "%s%s%s", numbers, bounded ? "|" : "", option->choices);
	else
		snprintf(text, size, "%s", bounded ? numbers : "-");
}

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

static void print_options(const struct ferry_option *options)
{
	printf("  %-22s %-9s %-14s %-22s %s\n", "NAME", "TYPE", "DEFAULT", "RANGE", "MEANING");
	for (; options && options->name; options++) {
		char name[80], range[128];
		snprintf(name, sizeof name, "%s%s", options->name,
			 options->type == FERRY_OPTION_PREFIX ? "*" : "");
		format_range(options, range, sizeof range);
		printf("  %-22s %-9s %-14s %-22s %s\n", name, type_name(options->type),
		       options->default_value ? options->default_value : "-", range,
		       options->help ? options->help : "");
	}
}

/* Call `each` with the name of every capability, "BIT_<n>" for one that this program does not know. */
static void each_capability(uint64_t capabilities, void (*each)(const char *name, void *ctx), void *ctx)
{
	for (unsigned int bit = 0; bit < 64; bit++) {
		char unknown[16];
		if (!(capabilities >> bit & 1))
			continue;
		const char *name = ferry_admin_capability_name(UINT64_C(1) << bit);
		snprintf(unknown, sizeof unknown, "BIT_%u", bit);
		each(name ? name : unknown, ctx);
	}
}

static void print_capability(const char *name, void *ctx)
{
	(void)ctx;
	printf(" %s", name);
}

void describe_text(const struct ferry_transport *transport, const char *path)
{
	printf("%s: %s\n", transport->name, or_dash(transport->summary));
	printf("  path          %s\n", path);
	printf("  version       %s\n", or_dash(transport->version));
	printf("  abi           %" PRIu32 ".%" PRIu32 "\n", transport->abi_major, transport->abi_minor);
	printf("  schemes       %s\n", or_dash(transport->schemes));
	printf("  threads       %s\n", thread_model_name(transport->thread_model));
	printf("  capabilities ");
	each_capability(transport->capabilities, print_capability, NULL);
	printf("\n\nsettings of %s\n", transport->name);
	if (transport->options && transport->options->name)
		print_options(transport->options);
	else
		printf("  none\n");
	printf("\nsettings of every bus\n");
	print_options(ferry_admin_bus_options());
}

/* ---- JSON ---- */

static void append_capability(const char *name, void *ctx)
{
	json_array_append_new(ctx, json_string(name));
}

/* "a|b" or "a b" as an array. */
static json_t *split(const char *text, const char *separators)
{
	json_t *array = json_array();
	while (text && *text) {
		size_t length = strcspn(text, separators);
		if (length)
			json_array_append_new(array, json_stringn(text, length));
		text += length;
		text += strspn(text, separators);
	}
	return array;
}

static json_t *options_json(const struct ferry_option *options)
{
	json_t *array = json_array();
	for (; options && options->name; options++) {
		json_t *option = json_pack("{s:s, s:s, s:s?, s:s?}", "name", options->name, "type",
					   type_name(options->type), "default", options->default_value,
					   "help", options->help);
		if (options->min || options->max) {
			json_object_set_new(option, "min", json_integer(options->min));
			json_object_set_new(option, "max", json_integer(options->max));
		}
		if (options->choices)
			json_object_set_new(option, "choices", split(options->choices, "|"));
		json_array_append_new(array, option);
	}
	return array;
}

json_t *describe_json(const struct ferry_transport *transport, const char *path)
{
	json_t *capabilities = json_array();
	char abi[32];
	each_capability(transport->capabilities, append_capability, capabilities);
	snprintf(abi, sizeof abi, "%" PRIu32 ".%" PRIu32, transport->abi_major, transport->abi_minor);
	return json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:s, s:o, s:o, s:o, s:o}", "name", transport->name,
			 "path", path, "version", transport->version, "summary", transport->summary, "abi",
			 abi, "threads", thread_model_name(transport->thread_model), "schemes",
			 split(transport->schemes, " "), "capabilities", capabilities, "options",
			 options_json(transport->options), "bus_options",
			 options_json(ferry_admin_bus_options()));
}

void describe_print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
}
