/*
 * cases_abi.c - what the core loads and what it refuses: case 54.
 *
 * Older and newer plugins are made of the transport's own file: a plugin's struct is constant data, so that
 * its size and version can be changed in a copy.  Of a plugin that fills its struct in at run time there are
 * no such copies, and only the rest is checked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

/* ---- the transport describes itself ---- */

static void check_slots(struct conformance *c, const struct ferry_transport *t)
{
	CHECK(c,
	      t->create && t->start && t->stop && t->destroy && t->destination && t->publish &&
		      t->source_open && t->subscribe && t->source_start && t->source_stop &&
		      t->source_close && t->fetch && t->settle && t->release,
	      "a required slot is missing");
	CHECK(c, t->thread_model == FERRY_PUMP || t->thread_model == FERRY_FETCH_FROM_WORKERS,
	      "the thread model is %d", t->thread_model);
	CHECK(c, t->thread_model != FERRY_PUMP || (t->credit && t->wakeup), "a pump needs credit and wakeup");
	CHECK(c, t->thread_model == FERRY_PUMP || t->arm, "fetching from workers needs arm");
	CHECK(c, !(t->capabilities & FERRY_CAP_ATOMIC_DLQ) || t->dead_letter, "ATOMIC_DLQ needs dead_letter");
	for (int bit = 0; bit < 64; bit++)
		CHECK(c, !(t->capabilities >> bit & 1) || ferry_admin_capability_name(UINT64_C(1) << bit),
		      "the capability of bit %d has no name", bit);
}

static void check_options(struct conformance *c, const struct ferry_option *options)
{
	for (const struct ferry_option *at = options; at && at->name; at++) {
		size_t size = strspn(at->name, "abcdefghijklmnopqrstuvwxyz0123456789_");
		bool prefix = at->type == FERRY_OPTION_PREFIX;

		CHECK(c, size > 0 && (prefix || at->name[size] == '\0'), "a setting has the name \"%s\"",
		      at->name);
		CHECK(c, at->type >= FERRY_OPTION_TEXT && at->type <= FERRY_OPTION_PREFIX,
		      "setting %s has type %d", at->name, at->type);
		CHECK(c, at->help && *at->help, "setting %s has no help", at->name);
		CHECK(c, at->min <= at->max, "setting %s is at least %" PRId64 " and at most %" PRId64,
		      at->name, at->min, at->max);
		CHECK(c, at->type != FERRY_OPTION_CHOICE || at->choices, "setting %s has no choices",
		      at->name);
		for (const struct ferry_option *other = options; other < at; other++)
			CHECK(c, strcmp(other->name, at->name) != 0, "setting %s is there twice", at->name);
	}
}

static const struct ferry_transport *describe(struct conformance *c, const char **ret_path)
{
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	const char *path = conformance_transport_path(c);
	const struct ferry_transport *transport;
	struct ferry_error err = {0};

	conformance_ok(
		c, ferry_admin_describe(path ? path : ferry_bus_transport(bus), &transport, ret_path, &err),
		&err, "describe");
	CHECK(c, transport->abi_major == FERRY_ABI_MAJOR, "the transport's ABI is %" PRIu32,
	      transport->abi_major);
	CHECK(c, !strcmp(transport->name, ferry_bus_transport(bus)), "the transport %s calls itself %s",
	      ferry_bus_transport(bus), transport->name);
	CHECK(c, transport->capabilities == ferry_bus_capabilities(bus),
	      "the capabilities described are not those of a bus");
	CHECK(c,
	      transport->version && *transport->version && transport->summary && *transport->summary &&
		      transport->schemes && *transport->schemes,
	      "the transport has no version, summary or schemes");
	check_slots(c, transport);
	check_options(c, transport->options);
	conformance_close(c, bus);
	return transport;
}

/* ---- copies ---- */

struct image {
	unsigned char *bytes;
	size_t size;
	size_t at; /* where the plugin's struct stands; 0: not found */
};

static struct image read_image(struct conformance *c, const char *path)
{
	struct image image = {0};
	struct stat info;
	FILE *file = fopen(path, "rb");

	CHECK(c, file && !fstat(fileno(file), &info), "%s cannot be read: %s", path, strerror(errno));
	image.size = (size_t)info.st_size;
	image.bytes = conformance_alloc(c, image.size);
	CHECK(c, fread(image.bytes, 1, image.size, file) == image.size, "%s cannot be read", path);
	fclose(file);
	return image;
}

/* The struct's words that are no pointers are in the file as they are. */
static bool is_struct(const unsigned char *bytes, const struct ferry_transport *transport)
{
	struct ferry_transport there;

	memcpy(&there, bytes, sizeof there);
	return there.size >= offsetof(struct ferry_transport, raw_put) && there.size <= 4096 &&
	       there.abi_major == transport->abi_major && there.abi_minor == transport->abi_minor &&
	       there.capabilities == transport->capabilities && there.thread_model == transport->thread_model;
}

/* False when it is not there, or not only once. */
static bool find_struct(struct image *image, const struct ferry_transport *transport)
{
	size_t found = 0;

	for (size_t at = 0; at + sizeof *transport <= image->size; at += sizeof(void *))
		if (is_struct(image->bytes + at, transport)) {
			image->at = at;
			found++;
		}
	return found == 1;
}

/* A folder of our own; removed with what is in it by `forget`. */
static const char *make_folder(struct conformance *c)
{
	const char *base = getenv("TMPDIR");
	char *folder =
		(char *)(uintptr_t)conformance_text(c, "%s/ferry-abi-XXXXXX", base && *base ? base : "/tmp");

	CHECK(c, mkdtemp(folder), "%s cannot be made: %s", folder, strerror(errno));
	return folder;
}

/* Write a file under the transport's own name, in a new folder; returns its path. */
static const char *write_copy(struct conformance *c, const char *name, const void *bytes, size_t size)
{
	const char *path = conformance_text(c, "%s/%s", make_folder(c), name);
	FILE *file = fopen(path, "wb");

	CHECK(c, file && fwrite(bytes, 1, size, file) == size && !fclose(file), "%s cannot be written: %s",
	      path, strerror(errno));
	CHECK(c, !chmod(path, 0755), "chmod %s: %s", path, strerror(errno));
	return path;
}

static void forget(struct conformance *c, const char *path)
{
	char *folder = (char *)(uintptr_t)conformance_text(c, "%s", path);

	unlink(path);
	*strrchr(folder, '/') = '\0';
	rmdir(folder);
}

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* A copy whose struct says this. */
static const char *write_changed(struct conformance *c, const struct image *image, const char *path,
				 size_t size, uint32_t major, uint32_t minor)
{
	struct ferry_transport head;

	memcpy(&head, image->bytes + image->at, sizeof head);
	head.size = size;
	head.abi_major = major;
	head.abi_minor = minor;
	unsigned char *changed = conformance_alloc(c, image->size);
	memcpy(changed, image->bytes, image->size);
	memcpy(changed + image->at, &head, sizeof head);
	return write_copy(c, base_name(path), changed, image->size);
}

static void check_refused(struct conformance *c, const char *path, const char *naming, const char *what)
{
	const struct ferry_transport *transport;
	struct ferry_error err = {0};
	int code = ferry_admin_describe(path, &transport, NULL, &err);

	conformance_refused(c, code, FERRY_E_PLUGIN, &err, naming, what);
	CHECK(c, strstr(err.text, base_name(path)), "%s: the error does not name the file: %s", what,
	      err.text);
	forget(c, path);
}

/* It loads, and messages go through it. */
static const struct ferry_transport *check_loads(struct conformance *c, const char *path, const char *base)
{
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	const char *topic = conformance_name(c, base);
	const struct ferry_transport *transport;
	struct ferry_error err = {0};
	struct ferry_bus *bus;

	conformance_ok(c, ferry_admin_describe(path, &transport, NULL, &err), &err, base);
	bus = conformance_open(c, NULL, FERRY_OPTIONS(ferry_bus_options, .transport_path = path));
	conformance_subscribe(c, bus, topic, conformance_record, &handler, NULL);
	conformance_start(c, bus);
	conformance_publish_many(c, conformance_publisher(c, bus, topic), 0, 20, NULL);
	CHECK(c, recorder_wait(seen, 20, WAIT_MS), "%s: %zu of 20 messages came", base, recorder_count(seen));
	conformance_drained(c, bus, NULL, 20);
	conformance_each_once(c, seen, 0, 20);
	conformance_close(c, bus);
	forget(c, path);
	return transport;
}

void conformance_case_54(struct conformance *c)
{
	const char *path = NULL, *copy;
	const struct ferry_transport *transport = describe(c, &path), *changed;
	struct image image = read_image(c, path);
	size_t whole = sizeof *transport, old = offsetof(struct ferry_transport, raw_put);
	static const char text[] = "This is no plugin.\n";

	check_refused(c, write_copy(c, base_name(path), text, sizeof text - 1), NULL,
		      "a file that is no plugin");
	check_refused(c, write_copy(c, base_name(path), image.bytes, 40), NULL,
		      "a plugin that was cut short");
	copy = write_copy(c, base_name(path), image.bytes, image.size);
	CHECK(c, !chmod(copy, 0757), "chmod %s: %s", copy, strerror(errno));
	check_refused(c, copy, "written", "a plugin that others can write");
	if (!find_struct(&image, transport))
		return;
	changed = check_loads(c, write_changed(c, &image, path, old, FERRY_ABI_MAJOR, 0), "smaller");
	CHECK(c, !changed->raw_put && !changed->raw_get && !changed->objects,
	      "a plugin whose struct ends before the slot raw_put has it");
	check_loads(c, write_changed(c, &image, path, whole + 64, FERRY_ABI_MAJOR, 0), "larger");
	check_loads(c, write_changed(c, &image, path, whole, FERRY_ABI_MAJOR, FERRY_ABI_MINOR + 1), "newer");
	check_refused(c, write_changed(c, &image, path, whole, FERRY_ABI_MAJOR + 1, 0), "ABI",
		      "a plugin of another major version");
	check_refused(c, write_changed(c, &image, path, 0, FERRY_ABI_MAJOR, 0), "size",
		      "a plugin with size 0");
}
