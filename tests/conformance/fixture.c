/* fixture.c - the life of a case's process: checks, names and memory. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "context.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW 4
#endif
#endif
#if !defined(SLOW) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define SLOW 4
#endif
#ifndef SLOW
#define SLOW 1
#endif

struct block {
	struct block *next;
	max_align_t bytes[];
};

int64_t conformance_limit_ms(int64_t ms)
{
	return ms * SLOW;
}

/* ---- checks ---- */

/* One line to the runner, or from a role to its case. */
static void tell_result(struct conformance *c, const char *verdict, const char *text)
{
	char line[1200];
	int size = snprintf(line, sizeof line, "%s %s", verdict, text);

	if (size >= (int)sizeof line - 1)
		size = (int)sizeof line - 2;
	for (int i = 0; i < size; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	line[size++] = '\n';
	for (ssize_t sent = 0, n; sent < size; sent += n) {
		n = write(c->result_fd >= 0 ? c->result_fd : STDOUT_FILENO, line + sent,
			  (size_t)(size - sent));
		if (n < 0 && errno != EINTR)
			return;
		if (n < 0)
			n = 0;
	}
}

void conformance_fail(struct conformance *c, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	while (atomic_flag_test_and_set(&c->ending))
		pause(); /* another thread is ending the process */
	conformance_kill_processes(c);
	fflush(NULL);
	tell_result(c, "fail", text);
	/* Not _exit: a sanitizer would report the threads that are now left, and bury the sentence. */
	raise(SIGKILL);
	_exit(1);
}

void conformance_ok(struct conformance *c, int code, const struct ferry_error *err, const char *what)
{
	if (code)
		conformance_fail(c, "%s: %s: %s", what, ferry_error_name(code), err ? err->text : "");
}

void conformance_refused(struct conformance *c, int code, int expected, const struct ferry_error *err,
			 const char *naming, const char *what)
{
	const char *text = err ? err->text : "";

	if (code != expected)
		conformance_fail(c, "%s: expected %s, got %s: %s", what, ferry_error_name(expected),
				 code ? ferry_error_name(code) : "success", code ? text : "");
	if (err && err->code != expected)
		conformance_fail(c, "%s: returned %s, but the error's code is %s", what,
				 ferry_error_name(expected), ferry_error_name(err->code));
	if (naming && !strstr(text, naming))
		conformance_fail(c, "%s: the error does not name \"%s\": %s", what, naming, text);
}

bool conformance_same(const char *left, const char *right)
{
	return strcmp(left ? left : "", right ? right : "") == 0;
}

static void finish(struct conformance *c)
{
	conformance_end_processes(c);
	conformance_close_all(c); /* of a case that is skipped in the middle */
	conformance_end_recorders(c);
	while (c->blocks) {
		struct block *next = c->blocks->next;

		free(c->blocks);
		c->blocks = next;
	}
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
}

void conformance_skip(struct conformance *c, const char *why)
{
	char name[64];

	snprintf(name, sizeof name, "%s", why);
	finish(c);
	tell_result(c, "skip", name);
	exit(0);
}

/* ---- what runs ---- */

const char *conformance_url(const struct conformance *c)
{
	return c->settings->url;
}

const char *conformance_transport_path(const struct conformance *c)
{
	return c->settings->transport_path;
}

const char *conformance_program(const struct conformance *c)
{
	return c->settings->program;
}

bool conformance_can(const struct conformance *c, uint64_t capabilities)
{
	return (c->capabilities & capabilities) == capabilities;
}

bool conformance_has_option(struct conformance *c, const char *name)
{
	const char *which = c->settings->transport_path ? c->settings->transport_path : c->transport;
	const struct ferry_transport *transport;
	struct ferry_error err = {0};

	conformance_ok(c, ferry_admin_describe(which, &transport, NULL, &err), &err, "describe");
	for (const struct ferry_option *option = transport->options; option && option->name; option++)
		if (!strcmp(option->name, name))
			return true;
	return false;
}

bool conformance_is_role(const struct conformance *c)
{
	return c->result_fd < 0;
}

void conformance_control(struct conformance *c, const char *verb)
{
	int status;

	CHECK(c, c->settings->control, "control \"%s\" was asked for without --control", verb);
	status = system(conformance_text(c, "%s %s", c->settings->control, verb));
	CHECK(c, status == 0, "the control command failed: %s %s: status %d", c->settings->control, verb,
	      status);
}

/* ---- names and memory ---- */

void *conformance_alloc(struct conformance *c, size_t bytes)
{
	struct block *block = calloc(1, sizeof *block + bytes);

	CHECK(c, block, "out of memory");
	pthread_mutex_lock(&c->lock);
	block->next = c->blocks;
	c->blocks = block;
	pthread_mutex_unlock(&c->lock);
	return block->bytes;
}

const char *conformance_text(struct conformance *c, const char *format, ...)
{
	va_list arguments;
	char *text;
	int size;

	va_start(arguments, format);
	size = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	CHECK(c, size >= 0, "cannot format \"%s\"", format);
	text = conformance_alloc(c, (size_t)size + 1);
	va_start(arguments, format);
	vsnprintf(text, (size_t)size + 1, format, arguments);
	va_end(arguments);
	return text;
}

const char *conformance_name(struct conformance *c, const char *base)
{
	return conformance_text(c, "%s-c%d-%s", base, c->number, c->settings->run);
}

/* ---- the process ---- */

static void begin(struct conformance *c, const struct conformance_settings *settings, int number,
		  int result_fd)
{
	pthread_condattr_t attributes;
	struct ferry_bus *bus;

	/* Neither a case nor a role outlives the process that started it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	*c = (struct conformance){.settings = settings, .number = number, .result_fd = result_fd};
	atomic_flag_clear(&c->ending);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attributes);
	pthread_condattr_destroy(&attributes);

	bus = conformance_open(c, NULL, NULL);
	c->capabilities = ferry_bus_capabilities(bus);
	snprintf(c->transport, sizeof c->transport, "%s", ferry_bus_transport(bus));
	conformance_forget(c, bus);
	ferry_bus_close(bus);
}

int conformance_child_case(const struct conformance_settings *settings, const struct conformance_case *which,
			   int result_fd)
{
	struct conformance c;

	begin(&c, settings, which->number, result_fd);
	which->run(&c);
	CHECK(&c, !c.buses, "the case has left a bus open, whose handlers may use variables of the case");
	finish(&c);
	tell_result(&c, "pass", "");
	return 0;
}

static const struct conformance_role *find_role(const char *name)
{
	static const struct conformance_role *const lists[] = {
		conformance_roles_common, conformance_roles_competing, conformance_roles_broadcast,
		conformance_roles_ack,    conformance_roles_dlq,       conformance_roles_timeout,
		conformance_roles_order,  conformance_roles_life,
	};

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		for (const struct conformance_role *role = lists[i]; role->name; role++)
			if (!strcmp(role->name, name))
				return role;
	return NULL;
}

int conformance_child_role(const struct conformance_settings *settings, int number, const char *name,
			   int argc, char **argv)
{
	const struct conformance_role *role = find_role(name);
	struct conformance c;
	int status;

	begin(&c, settings, number, -1);
	CHECK(&c, role, "there is no role \"%s\"", name);
	status = role->run(&c, argc, argv);
	CHECK(&c, !c.buses, "the role has left a bus open, whose handlers may use variables of the role");
	finish(&c);
	return status;
}
