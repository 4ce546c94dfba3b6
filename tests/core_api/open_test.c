/*
 * open_test.c - what ferry_bus_open refuses, and that it names the thing.
 */
#include <stdlib.h>

#include "api_test.h"

/* Opening must fail with this code and name the thing. */
static void open_refused(const char *url, const struct ferry_bus_options *options, int expected,
			 const char *naming)
{
	struct ferry_error err = {0};
	struct ferry_bus *bus = ferry_bus_open(url, options, &err);
	CHECK(!bus, "%s was opened", url ? url : "NULL");
	CHECK(err.code == expected, "%s: %s, not %s: %s", url ? url : "NULL", ferry_error_name(err.code),
	      ferry_error_name(expected), err.text);
	CHECK(strstr(err.text, naming), "%s: the error does not name \"%s\": %s", url ? url : "NULL", naming,
	      err.text);
}

static void an_unknown_transport_says_where_it_looked(void)
{
	open_refused("nosuch:", NULL, FERRY_E_NOT_FOUND, "nosuch");
	open_refused("nosuch:", NULL, FERRY_E_NOT_FOUND, "/");
}

static void a_url_that_is_none_is_refused(void)
{
	open_refused("", NULL, FERRY_E_CONFIG, "URL");
	open_refused("memory", NULL, FERRY_E_CONFIG, "memory");
	open_refused(":4222", NULL, FERRY_E_CONFIG, "scheme");
	open_refused("../memory:", NULL, FERRY_E_CONFIG, "scheme");
	open_refused("memory:?queue=%zz", NULL, FERRY_E_CONFIG, "queue");
}

static void without_a_url_the_environment_is_named(void)
{
	unsetenv("FERRY_URL");
	open_refused(NULL, NULL, FERRY_E_CONFIG, "FERRY_URL");
}

static void an_unknown_setting_is_named_with_the_nearest(void)
{
	open_refused("memory:?quueue=5", NULL, FERRY_E_CONFIG, "quueue");
	open_refused("memory:?quueue=5", NULL, FERRY_E_CONFIG, "'queue'");
	open_refused("memory:?servcie=shop", NULL, FERRY_E_CONFIG, "'service'");
}

static void a_bad_value_is_named_with_what_was_expected(void)
{
	open_refused("memory:?queue=lots", NULL, FERRY_E_CONFIG, "queue");
	open_refused("memory:?queue=-1", NULL, FERRY_E_CONFIG, "queue");
	open_refused("memory:?queue=", NULL, FERRY_E_CONFIG, "queue");
	open_refused("memory:?publish_timeout=10", NULL, FERRY_E_CONFIG, "publish_timeout");
	open_refused("memory:?memory_budget=64Gibi", NULL, FERRY_E_CONFIG, "memory_budget");
	open_refused("memory:?full=never", NULL, FERRY_E_CONFIG, "full");
	open_refused("memory:?service=a.b", NULL, FERRY_E_CONFIG, "service");
}

static void a_bad_option_is_refused(void)
{
	open_refused("memory:", FERRY_OPTIONS(ferry_bus_options, .service = "two words"), FERRY_E_INVALID,
		     "service");
	open_refused("memory:", FERRY_OPTIONS(ferry_bus_options, .full = 9), FERRY_E_INVALID, "full");
	open_refused("memory:", FERRY_OPTIONS(ferry_bus_options, .threads = -7), FERRY_E_INVALID, "threads");
	open_refused("memory:", FERRY_OPTIONS(ferry_bus_options, .publish_timeout_ms = -1), FERRY_E_INVALID,
		     "publish_timeout");
	open_refused("memory:", FERRY_OPTIONS(ferry_bus_options, .max_message = -1), FERRY_E_INVALID,
		     "max_message");
	open_refused("memory:", FERRY_OPTIONS(ferry_bus_options, .transport_path = "lib"), FERRY_E_INVALID,
		     "absolute");
	open_refused("memory:", FERRY_OPTIONS(ferry_bus_options, .reserved = 1), FERRY_E_INVALID, "reserved");
}

/* A program that was built against a later ferry: its struct is larger. */
struct later_options {
	struct ferry_bus_options options;
	int64_t added;
};

static void a_larger_struct_is_taken_only_with_an_empty_tail(void)
{
	struct later_options later = {.options = {.size = sizeof(later)}};
	struct ferry_bus *bus = open_memory("memory:", &later.options);
	ferry_bus_close(bus);
	later.added = 1;
	open_refused("memory:", &later.options, FERRY_E_INVALID, "ferry_bus_options");
}

static void a_smaller_struct_is_taken_and_one_without_size_is_not(void)
{
	struct ferry_bus_options earlier = {.size = offsetof(struct ferry_bus_options, memory_budget),
					    .memory_budget = -1};
	struct ferry_bus *bus = open_memory("memory:", &earlier);
	ferry_bus_close(bus);
	earlier.size = 0;
	open_refused("memory:", &earlier, FERRY_E_INVALID, "size");
}

static void an_error_may_be_omitted(void)
{
	CHECK(!ferry_bus_open("nosuch:", NULL, NULL), "an unknown transport was opened");
	CHECK(!ferry_bus_open("memory:?quueue=5", NULL, NULL), "an unknown setting was taken");
	ferry_bus_close(NULL);
}

const struct api_test open_tests[] = {
	{"an_unknown_transport_says_where_it_looked", an_unknown_transport_says_where_it_looked},
	{"a_url_that_is_none_is_refused", a_url_that_is_none_is_refused},
	{"without_a_url_the_environment_is_named", without_a_url_the_environment_is_named},
	{"an_unknown_setting_is_named_with_the_nearest", an_unknown_setting_is_named_with_the_nearest},
	{"a_bad_value_is_named_with_what_was_expected", a_bad_value_is_named_with_what_was_expected},
	{"a_bad_option_is_refused", a_bad_option_is_refused},
	{"a_larger_struct_is_taken_only_with_an_empty_tail",
	 a_larger_struct_is_taken_only_with_an_empty_tail},
	{"a_smaller_struct_is_taken_and_one_without_size_is_not",
	 a_smaller_struct_is_taken_and_one_without_size_is_not},
	{"an_error_may_be_omitted", an_error_may_be_omitted},
	{NULL, NULL},
};
