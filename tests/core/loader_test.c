/*
 * The loader through the calls of admin.h.  What it refuses, and why, is tests/plugins/plugin_host_test.c.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/admin.h>
#include <ferry/bus.h>

#include "names.h"
#include "setting.h"

static void prepare(void)
{
	setenv("FERRY_TRANSPORT_PATH", PLUGINS, 1);
}

TestSuite(loader, .init = prepare);

Test(loader, describes_by_name_and_by_path)
{
	const struct ferry_transport *by_name = NULL, *by_path = NULL;
	const char *path = NULL;
	struct ferry_error err = {0};
	cr_assert_eq(ferry_admin_describe("valid", &by_name, &path, &err), 0, "%s", err.text);
	cr_expect_str_eq(by_name->name, "valid");
	cr_expect_str_eq(by_name->options[0].name, "prefix");
	cr_expect_str_eq(path, PLUGINS "/libferry-transport-valid.so");
	cr_assert_eq(ferry_admin_describe(path, &by_path, NULL, &err), 0, "%s", err.text);
	cr_expect_eq(by_path, by_name);
	/* Its schemes do not matter here. */
	cr_assert_eq(ferry_admin_describe(PLUGINS "/libferry-transport-other-name.so", &by_path, NULL, &err),
		     0, "%s", err.text);
	cr_expect_neq(by_path, by_name);
}

static const struct {
	const char *what;
	int code;
	const char *naming;
} bad[] = {
	{NULL, FERRY_E_INVALID, "name_or_path is NULL"},
	{"", FERRY_E_PLUGIN, "cannot be the name of a transport"},
	{"./libferry-transport-valid.so", FERRY_E_PLUGIN, "cannot be the name of a transport"},
	{"vallid", FERRY_E_NOT_FOUND, "did you mean 'valid'?"},
	{"nothing-like-it", FERRY_E_NOT_FOUND, PLUGINS},
	{"/nowhere/x.so", FERRY_E_NOT_FOUND, "/nowhere/x.so"},
	{"no-credit", FERRY_E_PLUGIN, "the slot 'credit' is missing"},
	{PLUGINS, FERRY_E_PLUGIN, "no regular file"},
};

Test(loader, what_cannot_be_described_is_named)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct ferry_transport *transport = NULL;
		const char *path = NULL;
		struct ferry_error err = {0};
		cr_expect_eq(ferry_admin_describe(bad[i].what, &transport, &path, &err), bad[i].code,
			     "%s: %s", bad[i].what ? bad[i].what : "NULL", err.text);
		cr_expect(strstr(err.text, bad[i].naming), "%s", err.text);
		cr_expect(!transport && !path);
	}
	struct ferry_error err = {0};
	cr_expect_eq(ferry_admin_describe("valid", NULL, NULL, &err), FERRY_E_INVALID);
	cr_expect_eq(ferry_admin_list(NULL, NULL, &err), FERRY_E_INVALID);
}

static void count_valid(const char *name, const char *path, void *ctx)
{
	if (strcmp(name, "valid") == 0 && strcmp(path, PLUGINS "/libferry-transport-valid.so") == 0)
		++*(int *)ctx;
}

Test(loader, lists_what_it_could_load)
{
	int count = 0;
	struct ferry_error err = {0};
	cr_expect_eq(ferry_admin_list(count_valid, &count, &err), 0, "%s", err.text);
	cr_expect_eq(count, 1);
}

static const struct {
	uint64_t bit;
	const char *name;
} capabilities[] = {
	{FERRY_CAP_DURABLE, "DURABLE"},
	{FERRY_CAP_NACK_DELAY, "NACK_DELAY"},
	{FERRY_CAP_ATTEMPT_DURABLE, "ATTEMPT_DURABLE"},
	{FERRY_CAP_HOLD_DURABLE, "HOLD_DURABLE"},
	{FERRY_CAP_EXTEND, "EXTEND"},
	{FERRY_CAP_ATOMIC_DLQ, "ATOMIC_DLQ"},
	{FERRY_CAP_HANDBACK_EXACT, "HANDBACK_EXACT"},
	{FERRY_CAP_KEY_ORDER_GROUP, "KEY_ORDER_GROUP"},
	{FERRY_CAP_RETAIN, "RETAIN"},
	{FERRY_CAP_DEDUP, "DEDUP"},
	{FERRY_CAP_PUB_COPIES, "PUB_COPIES"},
	{FERRY_CAP_PUB_IMMEDIATE, "PUB_IMMEDIATE"},
	{FERRY_CAP_TLS, "TLS"},
};

Test(loader, capabilities_have_names)
{
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++)
		cr_expect_str_eq(ferry_admin_capability_name(capabilities[i].bit), capabilities[i].name);
	cr_expect_null(ferry_admin_capability_name(0));
	cr_expect_null(ferry_admin_capability_name(FERRY_CAP_TLS | FERRY_CAP_DEDUP));
	cr_expect_null(ferry_admin_capability_name(UINT64_C(1) << 63));
}

Test(loader, the_settings_of_every_bus_are_described)
{
	size_t count = 0;
	for (const struct ferry_option *o = ferry_admin_bus_options(); o->name; o++, count++) {
		char expected[200];
		struct ferry_setting setting;
		cr_expect(o->help && o->help[strlen(o->help) - 1] == '.', "%s", o->name);
		cr_expect(!o->default_value || setting_parse(o, o->default_value, &setting), "%s", o->name);
		setting_expected(o, expected, sizeof(expected));
		cr_expect(strlen(expected) > 3, "%s: %s", o->name, expected);
	}
	cr_expect_eq(count, 14);
}
