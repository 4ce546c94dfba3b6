/* roles.c - the other side of process.h: what a role's process says and hears, and the common roles. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "context.h"

void conformance_say(struct conformance *c, const char *format, ...)
{
	va_list arguments;

	(void)c;
	flockfile(stdout);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	funlockfile(stdout);
}

bool conformance_hear(struct conformance *c, char *line, size_t size)
{
	(void)c;
	if (!fgets(line, (int)size, stdin))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

const char *conformance_argument(int argc, char **argv, const char *key, const char *otherwise)
{
	size_t length = strlen(key);

	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], key, length) && argv[i][length] == '=')
			return argv[i] + length + 1;
	return otherwise;
}

int64_t conformance_argument_number(int argc, char **argv, const char *key, int64_t otherwise)
{
	const char *value = conformance_argument(argc, argv, key, NULL);

	return value ? strtoll(value, NULL, 10) : otherwise;
}

int conformance_serve(struct conformance *c, struct ferry_bus *bus)
{
	struct ferry_stop_report report = {.size = sizeof report};
	char line[128];

	conformance_start(c, bus);
	conformance_say(c, "ready");
	while (conformance_hear(c, line, sizeof line)) {
		CHECK(c, !strcmp(line, "stop"), "an unknown command: %s", line);
		conformance_stop(c, bus, &report);
		conformance_say(c, "stopped %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, report.handled,
				report.handed_back, report.pending, report.dropped);
		break;
	}
	conformance_close(c, bus);
	return 0;
}

/* ---- consumer ---- */

struct consumer {
	struct record_handler handler;
	int64_t hold_ms;
};

static int hold(struct ferry_message *message, void *ctx)
{
	struct consumer *consumer = ctx;
	struct timespec rest = {.tv_sec = (time_t)(consumer->hold_ms / 1000),
				.tv_nsec = (long)(consumer->hold_ms % 1000) * 1000000};

	(void)message;
	nanosleep(&rest, NULL);
	return 0;
}

static int consume(struct conformance *c, int argc, char **argv)
{
	struct consumer consumer = {.handler = {.recorder = conformance_recorder(c), .verdict = hold},
				    .hold_ms = conformance_argument_number(argc, argv, "hold_ms", 0)};
	struct ferry_bus_options bus_options = {
		.size = sizeof bus_options,
		.service = conformance_argument(argc, argv, "service", NULL),
		.takeover_ms = (int32_t)conformance_argument_number(argc, argv, "takeover_ms", 0)};
	struct ferry_handler_options options = {
		.size = sizeof options,
		.name = conformance_argument(argc, argv, "name", NULL),
		.group = conformance_argument(argc, argv, "group", NULL),
		.broadcast_durable = conformance_argument(argc, argv, "durable", NULL),
		.concurrency = (int32_t)conformance_argument_number(argc, argv, "concurrency", 0)};
	struct ferry_bus *bus;

	consumer.handler.ctx = &consumer;
	if (!strcmp(conformance_argument(argc, argv, "distribution", ""), "broadcast"))
		options.distribution = FERRY_BROADCAST;
	if (!strcmp(conformance_argument(argc, argv, "start", ""), "earliest"))
		options.start = FERRY_START_EARLIEST;
	bus = conformance_open(c, conformance_argument(argc, argv, "query", NULL), &bus_options);
	conformance_subscribe(c, bus, conformance_argument(argc, argv, "topic", ""), conformance_record,
			      &consumer.handler, &options);
	return conformance_serve(c, bus);
}

const struct conformance_role conformance_roles_common[] = {{"consumer", consume}, {NULL, NULL}};
