/*
 * pub_run.c - the work of `ferry pub`: reads lines, publishes each, and tells what was not confirmed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "event.h"
#include "lines.h"
#include "outbox.h"
#include "pub.h"
#include "publishers.h"
#include "stop.h"

#define STOP_MS 10000

struct pub {
	const struct pub_spec *spec;
	struct lines lines;
	uint64_t size; /* of the file, 0 = not known */
	struct publishers publishers;
	struct outbox outbox;
	struct event event;
};

/* Give the event what the line leaves open and the command line says.  False when there are too many. */
static bool complete(const struct pub_spec *spec, struct event *event)
{
	size_t own = event->attribute_count;
	if (!event->topic)
		event->topic = spec->topic;
	if (!event->content_type)
		event->content_type = spec->content_type;
	if (!event->key && spec->key) {
		event->key = spec->key;
		event->key_size = strlen(spec->key);
	}
	for (size_t i = 0; i < spec->attribute_count; i++) {
		size_t k = 0;
		while (k < own && strcmp(event->attributes[k].name, spec->attributes[i].name) != 0)
			k++;
		if (k < own)
			continue;
		if (event->attribute_count == EVENT_ATTRIBUTES_MAX)
			return false;
		event->attributes[event->attribute_count++] = spec->attributes[i];
	}
	return true;
}

static void send_event(struct pub *pub)
{
	const struct event *event = &pub->event;
	struct ferry_publisher *publisher;
	struct ferry_error err;
	struct outbox_slot *slot = outbox_take(&pub->outbox, pub->lines.number, event->payload_size);
	int code = publishers_get(&pub->publishers, event->topic, event->content_type, &publisher, &err);
	if (!code)
		code = ferry_publish_async(publisher, event->payload, event->payload_size,
					   FERRY_OPTIONS(ferry_publish_options,
							 .attributes = event->attributes, .key = event->key,
							 .key_size = event->key_size, .id = event->id,
							 .trace_id = event->trace_id),
					   outbox_ended, slot, &err);
	if (code)
		outbox_ended(code, &err, slot);
}

static bool is_blank(const char *line, size_t size)
{
	while (size && (line[size - 1] == ' ' || line[size - 1] == '\t' || line[size - 1] == '\r'))
		size--;
	return size == 0;
}

static void take_line(struct pub *pub, const char *line, size_t size)
{
	struct event *event = &pub->event;
	struct event_error wrong = {0, NULL};
	if (!pub->spec->ndjson) {
		*event = (struct event){.payload = line, .payload_size = size};
	} else if (is_blank(line, size)) {
		return;
	} else if (event_read(event, line, size, &wrong)) {
		outbox_refused(&pub->outbox, pub->lines.number, wrong.byte, wrong.text);
		return;
	}
	if (!complete(pub->spec, event))
		outbox_refused(&pub->outbox, pub->lines.number, 0, "too many attributes");
	else if (!event->topic)
		outbox_refused(&pub->outbox, pub->lines.number, 0,
			       "there is no topic, neither here nor on the command line");
	else
		send_event(pub);
}

/* Publish what there is to read.  True when all of it was. */
static bool publish_lines(struct pub *pub)
{
	const char *line;
	size_t size;
	enum lines_result result = LINES_LINE;
	while (!stop_requested() && !outbox_is_broken(&pub->outbox) &&
	       (result = lines_next(&pub->lines, &line, &size)) == LINES_LINE) {
		take_line(pub, line, size);
		outbox_show(&pub->outbox, pub->lines.number, pub->lines.bytes, pub->size);
	}
	int error = errno;
	outbox_drain(&pub->outbox);
	if (result == LINES_END)
		return true;
	if (result == LINES_ERROR)
		cli_error("pub: %s: %s", pub->spec->file ? cli_masked(pub->spec->file) : "standard input",
			  strerror(error));
	cli_error("pub: stopped after line %" PRIu64 ": the rest was not read", pub->lines.number);
	return false;
}

static int finish(struct pub *pub, bool complete)
{
	struct outbox *outbox = &pub->outbox;
	if (outbox->failed)
		cli_error("pub: %" PRIu64 " confirmed, %" PRIu64 " failed", outbox->confirmed,
			  outbox->failed);
	else
		cli_error("pub: %" PRIu64 " confirmed", outbox->confirmed);
	return complete && !outbox->failed ? EXIT_DONE : EXIT_FAILED;
}

static int run_on(struct pub *pub, struct ferry_bus *bus)
{
	struct ferry_publisher *checked;
	struct ferry_error err;
	int code = ferry_bus_start(bus, CLI_START_MS, &err);
	pub->publishers.bus = bus;
	if (!code && pub->spec->topic) /* a wrong name is told once, not for each line */
		code = publishers_get(&pub->publishers, pub->spec->topic, pub->spec->content_type, &checked,
				      &err);
	if (code) {
		cli_error("pub: %s", err.text);
		return EXIT_FAILED;
	}
	return finish(pub, publish_lines(pub));
}

/* The file that is to be read, or -1. */
static int open_input(const char *file, uint64_t *ret_size)
{
	struct stat stat;
	if (!file && cli_was_closed(STDIN_FILENO)) {
		cli_error("pub: standard input is closed");
		return -1;
	}
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (fd >= 0 && fstat(fd, &stat) == 0 && !S_ISDIR(stat.st_mode)) {
		*ret_size = S_ISREG(stat.st_mode) ? (uint64_t)stat.st_size : 0;
		return fd;
	}
	int error = fd >= 0 ? EISDIR : errno;
	cli_error("pub: %s: %s", file ? cli_masked(file) : "standard input", strerror(error));
	if (fd >= 0 && file)
		close(fd);
	return -1;
}

int pub_run(const struct pub_spec *spec)
{
	uint64_t size;
	struct ferry_error err;
	int result = EXIT_FAILED, fd = open_input(spec->file, &size);
	if (fd < 0)
		return EXIT_USAGE;
	struct pub *pub = calloc(1, sizeof *pub);
	struct ferry_bus *bus = NULL;
	int stop_fd = stop_watch();
	if (!pub) {
		cli_error("out of memory");
	} else if (stop_fd >= 0) {
		*pub = (struct pub){.spec = spec, .size = size, .lines = {.fd = fd, .stop_fd = stop_fd}};
		outbox_init(&pub->outbox);
		bus = ferry_bus_open(spec->url,
				     FERRY_OPTIONS(ferry_bus_options, .service = cli_service(),
						   .log = cli_log, .fail_fast = FERRY_ON,
						   .full = FERRY_FULL_BLOCK,
						   /* Fixed: nothing here dispatches or moves a clock. */
						   .threads = 1, .clock = FERRY_CLOCK_SYSTEM),
				     &err);
		if (bus)
			result = run_on(pub, bus);
		else
			cli_error("pub: %s", err.text);
		publishers_close(&pub->publishers);
		if (bus && ferry_bus_stop(bus, STOP_MS, NULL, &err))
			cli_error("pub: %s", err.text);
		ferry_bus_close(bus);
		outbox_finish(&pub->outbox);
		event_finish(&pub->event);
		lines_finish(&pub->lines);
	}
	free(pub);
	if (spec->file)
		close(fd);
	return result;
}
