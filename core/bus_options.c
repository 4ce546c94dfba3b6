#include "bus_options.h"

#include <inttypes.h>
#include <stdio.h>

#include "fail.h"
#include "names.h"
#include "setting.h"

#define DAY_MS INT64_C(86400000)
#define KIB(n) (INT64_C(n) << 10)
#define GIB(n) (INT64_C(n) << 30)

/* The choices stand in the order of their enums, whose values begin with 1. */
const struct ferry_option config_bus_options[] = {
	[SERVICE] =
		{.name = "service",
		 .type = FERRY_OPTION_TEXT,
		 .help = "Name of the program and of its consumer group; required on a durable transport."},
	[PUBLISH_TIMEOUT] = {.name = "publish_timeout",
			     .type = FERRY_OPTION_DURATION,
			     .default_value = "30s",
			     .min = 1,
			     .max = DAY_MS,
			     .help = "How long a publish may take, room and confirmation included."},
	[TAKEOVER] = {.name = "takeover",
		      .type = FERRY_OPTION_DURATION,
		      .default_value = "30s",
		      .min = 100,
		      .max = DAY_MS,
		      .help = "After this the messages of a dead consumer move to others."},
	[THREADS] = {.name = "threads",
		     .type = FERRY_OPTION_INTEGER,
		     .default_value = "12",
		     .min = 1,
		     .max = 256,
		     .choices = "caller",
		     .help = "Most threads that run handlers; caller: the program runs them by "
			     "ferry_bus_dispatch."},
	[FULL] = {.name = "full",
		  .type = FERRY_OPTION_CHOICE,
		  .default_value = "block",
		  .choices = "block|reject",
		  .help = "A publish without room waits until its deadline, or is refused at once."},
	[CLOCK] = {.name = "clock",
		   .type = FERRY_OPTION_CHOICE,
		   .default_value = "system",
		   .choices = "system|manual",
		   .help = "A manual clock stands still until the program moves it; for tests."},
	[PROVISION] =
		{.name = "provision",
		 .type = FERRY_OPTION_CHOICE,
		 .default_value = "auto",
		 .choices = "auto|check|off",
		 .help = "Create what is missing in the backend, refuse the start and name it, or trust."},
	[FAIL_FAST] = {.name = "fail_fast",
		       .type = FERRY_OPTION_SWITCH,
		       .default_value = "off",
		       .help = "An unreachable backend fails the start instead of being tried again."},
	[ENVELOPE] = {.name = "envelope",
		      .type = FERRY_OPTION_CHOICE,
		      .default_value = "cloudevents",
		      .choices = "cloudevents|compact",
		      .help = "Headers on the wire: all of CloudEvents, or only those that ferry needs."},
	[ON_UNKNOWN] =
		{.name = "on_unknown",
		 .type = FERRY_OPTION_CHOICE,
		 .default_value = "resend",
		 .choices = "resend|report",
		 .help = "A publish with unknown outcome is sent again until its deadline, or reported."},
	[MEMORY_BUDGET] = {.name = "memory_budget",
			   .type = FERRY_OPTION_SIZE,
			   .default_value = "64MiB",
			   .min = KIB(1),
			   .max = GIB(1024),
			   .help = "Most bytes of messages in memory, per source; on memory per bus."},
	[MAX_MESSAGE] = {.name = "max_message",
			 .type = FERRY_OPTION_SIZE,
			 .default_value = "1MiB",
			 .min = 1,
			 .max = GIB(1),
			 .help = "Largest payload in bytes."},
	[PASSWORD] = {.name = "password",
		      .type = FERRY_OPTION_SECRET,
		      .help = "Password for the backend; the URL's own, before the hosts, wins."},
	[PASSWORD_FILE] = {.name = "password_file",
			   .type = FERRY_OPTION_TEXT,
			   .help = "The same from a file: its absolute path; one newline at the end is cut."},
	[BUS_SETTINGS] = {.name = NULL},
};

static int refuse_option(struct ferry_error *err, const char *field, int64_t value, const char *expected)
{
	return fail(err, FERRY_E_INVALID, "ferry_bus_options.%s is %" PRId64 ": expected %s", field, value,
		    expected);
}

/* Zero is the default; else the same range as in the URL. */
static int check_number(struct ferry_error *err, const char *field, int64_t value, enum bus_setting setting,
			const char *unit)
{
	const struct ferry_option *option = &config_bus_options[setting];
	char expected[128];
	if (value == 0 || setting_in_range(option, value))
		return 0;
	snprintf(expected, sizeof(expected), "0 for the default, or %" PRId64 " to %" PRId64 " %s",
		 option->min, option->max, unit);
	return refuse_option(err, field, value, expected);
}

static int check_enum(struct ferry_error *err, const char *field, int32_t value, int32_t last,
		      const char *expected)
{
	if (value >= 0 && value <= last)
		return 0;
	return refuse_option(err, field, value, expected);
}

static int check_enums(const struct ferry_bus_options *o, struct ferry_error *err)
{
	if (check_enum(err, "full", o->full, FERRY_FULL_REJECT, "FERRY_FULL_BLOCK or FERRY_FULL_REJECT") ||
	    check_enum(err, "clock", o->clock, FERRY_CLOCK_MANUAL,
		       "FERRY_CLOCK_SYSTEM or FERRY_CLOCK_MANUAL") ||
	    check_enum(err, "provision", o->provision, FERRY_PROVISION_OFF,
		       "FERRY_PROVISION_AUTO, FERRY_PROVISION_CHECK or FERRY_PROVISION_OFF") ||
	    check_enum(err, "envelope", o->envelope, FERRY_ENVELOPE_COMPACT,
		       "FERRY_ENVELOPE_CLOUDEVENTS or FERRY_ENVELOPE_COMPACT") ||
	    check_enum(err, "on_unknown", o->on_unknown, FERRY_UNKNOWN_REPORT,
		       "FERRY_UNKNOWN_RESEND or FERRY_UNKNOWN_REPORT"))
		return FERRY_E_INVALID;
	if (o->fail_fast < FERRY_OFF || o->fail_fast > FERRY_ON)
		return refuse_option(err, "fail_fast", o->fail_fast, "FERRY_ON or FERRY_OFF");
	if (o->reserved != 0)
		return refuse_option(err, "reserved", o->reserved, "0");
	return 0;
}

int bus_options_check(const struct ferry_bus_options *o, struct ferry_error *err)
{
	if (o->allocator && (!o->allocator->alloc || !o->allocator->resize || !o->allocator->free))
		return fail(err, FERRY_E_INVALID,
			    "ferry_bus_options.allocator lacks a function: expected alloc, resize and free");
	if (o->service && !name_is_group(o->service))
		return fail(err, FERRY_E_INVALID,
			    "ferry_bus_options.service is '%.64s': expected 1 to 40 of A-Z, a-z, 0-9, '_' "
			    "and '-'",
			    o->service);
	if (o->transport_path && o->transport_path[0] != '/')
		return fail(err, FERRY_E_INVALID,
			    "ferry_bus_options.transport_path is '%.200s': expected an absolute path of a "
			    "file or folder",
			    o->transport_path);
	if (o->config && o->config[0] != '/')
		return fail(err, FERRY_E_INVALID,
			    "ferry_bus_options.config is '%.200s': expected the absolute path of a file",
			    o->config);
	if (o->threads != FERRY_THREADS_CALLER &&
	    check_number(err, "threads", o->threads, THREADS, "threads, or FERRY_THREADS_CALLER"))
		return FERRY_E_INVALID;
	if (check_number(err, "memory_budget", o->memory_budget, MEMORY_BUDGET, "bytes") ||
	    check_number(err, "max_message", o->max_message, MAX_MESSAGE, "bytes") ||
	    check_number(err, "publish_timeout_ms", o->publish_timeout_ms, PUBLISH_TIMEOUT, "ms") ||
	    check_number(err, "takeover_ms", o->takeover_ms, TAKEOVER, "ms"))
		return FERRY_E_INVALID;
	return check_enums(o, err);
}
