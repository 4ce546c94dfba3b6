/*
 * plugin_host_test.c - broken, untrusted, older and newer plugins, each in a process of its own.
 *
 *     plugin_host_test          run every case; a line "ok N - NAME" or "not ok N - NAME" each
 *     plugin_host_test NAME     run one case in this process
 *
 * Every case works in a fresh folder of its own, into which it copies the plugins that it needs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader.h"

extern char **environ;

static const struct ferry_host host = {.size = sizeof(host), .abi_major = FERRY_ABI_MAJOR};
static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_folder(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

_Noreturn static void give_up(int line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void give_up(int line, const char *format, ...)
{
	va_list arguments;
	fprintf(stderr, "%s:%d: ", __FILE__, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	remove_folder();
	_exit(1);
}

#define CHECK(condition, ...)                           \
	do {                                            \
		if (!(condition))                       \
			give_up(__LINE__, __VA_ARGS__); \
	} while (0)

/* ---- the folder of a case ---- */

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/libferry-transport-%s.so", folder, name);
	return path;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
	FILE *out = fopen(path, "w");
	CHECK(out && fwrite(bytes, 1, size, out) == size && fclose(out) == 0, "cannot write %s", path);
	CHECK(chmod(path, 0644) == 0, "cannot chmod %s", path);
}

/* Copy the built plugin `name` into the folder, as `as`. */
static void place(const char *name, const char *as)
{
	char from[PATH_MAX];
	static char bytes[1 << 20];
	snprintf(from, sizeof(from), "%s/libferry-transport-%s.so", PLUGINS, name);
	FILE *in = fopen(from, "r");
	CHECK(in, "cannot open %s", from);
	size_t size = fread(bytes, 1, sizeof(bytes), in);
	CHECK(size > 0 && size < sizeof(bytes), "%s has %zu bytes", from, size);
	fclose(in);
	write_file(path_of(as), bytes, size);
}

/* ---- loading ---- */

static const struct ferry_transport *load(const char *scheme, const char *path)
{
	const struct loaded *found = NULL;
	struct ferry_error err = {0};
	int result = loader_load(&host, scheme, path, &found, &err);
	CHECK(result == 0, "%s was refused: %s", scheme, err.text);
	return &found->api;
}

static void check_error(int line, int result, int code, const struct ferry_error *err, const char *naming)
{
	if (result != code || err->code != code)
		give_up(line, "expected %s, got %s: %s", ferry_error_name(code), ferry_error_name(result),
			err->text);
	if (!strstr(err->text, naming))
		give_up(line, "the sentence does not name \"%s\": %s", naming, err->text);
}

/* The scheme is refused with this code and a sentence that contains `naming`. */
#define REFUSED(scheme, path, code, naming)                                     \
	do {                                                                    \
		const struct loaded *found_ = NULL;                             \
		struct ferry_error err_ = {0};                                  \
		int result_ = loader_load(&host, scheme, path, &found_, &err_); \
		check_error(__LINE__, result_, code, &err_, naming);            \
		CHECK(!found_, "a refusal gave a transport");                   \
	} while (0)

#define FIND_REFUSED(name_or_path, code, naming)                                \
	do {                                                                    \
		const struct loaded *found_ = NULL;                             \
		struct ferry_error err_ = {0};                                  \
		int result_ = loader_find(&host, name_or_path, &found_, &err_); \
		check_error(__LINE__, result_, code, &err_, naming);            \
		CHECK(!found_, "a refusal gave a transport");                   \
	} while (0)

/* ---- plugins that break the ABI: by name and by path, refused with the path and the cause ---- */

static const struct refusal {
	const char *plugin, *cause;
} refusals[] = {
	{"no-entry", "does not export ferry_transport_entry"},
	{"null-entry", "ferry_transport_entry returned NULL"},
	{"size-zero", "its size is 0"},
	{"short-head", "its size is "},
	{"wrong-major", "built for plugin ABI 2.0, and this libferry has 1.0"},
	{"no-publish", "the slot 'publish' is missing, which every transport must have"},
	{"no-release", "the slot 'release' is missing, which every transport must have"},
	{"no-arm", "the slot 'arm' is missing, which thread model FETCH_FROM_WORKERS must have"},
	{"no-credit", "the slot 'credit' is missing, which thread model PUMP must have"},
	{"no-wakeup", "the slot 'wakeup' is missing, which thread model PUMP must have"},
	{"no-dead-letter", "the slot 'dead_letter' is missing, which capability ATOMIC_DLQ must have"},
	{"no-model", "its thread_model is 0"},
	{"no-schemes", "its 'schemes' is empty"},
	{"bad-name", "it calls itself '../valid'"},
	{"bad-default", "its setting 'queue' is badly described: its default is not valid"},
	{"unresolved", "undefined symbol: client_library_call"},
};

static void run_refusal(const struct refusal *refusal)
{
	const char *plugin = refusal->plugin;
	place(plugin, plugin);
	for (int round = 0; round < 2; round++) {
		REFUSED(plugin, NULL, FERRY_E_PLUGIN, refusal->cause);
		REFUSED(plugin, path_of(plugin), FERRY_E_PLUGIN, refusal->cause);
		FIND_REFUSED(path_of(plugin), FERRY_E_PLUGIN, path_of(plugin));
	}
}

/* ---- older and newer plugins ---- */

static void loads_a_valid_one(void)
{
	place("valid", "valid");
	const struct ferry_transport *api = load("valid", NULL);
	CHECK(strcmp(api->name, "valid") == 0 && api->dead_letter && api->options,
	      "the copy is not the plugin's");
	CHECK(load("valid", path_of("valid")) == api, "an absolute path loaded it again");
	CHECK(load("valids", path_of("valid")) == api, "a second scheme loaded it again");
	CHECK(load("valid", folder) == api, "an explicit folder loaded it again");
}

static void loads_a_smaller_struct(void)
{
	place("smaller", "smaller");
	const struct ferry_transport *api = load("smaller", NULL);
	CHECK(api->size == offsetof(struct ferry_transport, dead_letter), "its size is %zu", api->size);
	CHECK(api->create && api->release, "a slot that it has is missing");
	CHECK(!api->dead_letter && !api->alive && !api->position && !api->lease_ms && !api->raw_put &&
		      !api->raw_get && !api->objects,
	      "a slot that it does not have is set");
}

static void loads_a_larger_struct(void)
{
	place("larger", "larger");
	const struct ferry_transport *api = load("larger", NULL);
	CHECK(api->abi_minor == FERRY_ABI_MINOR + 1 && api->release && api->dead_letter, "it was not copied");
	CHECK(!api->objects, "a slot is set that the plugin left out");
	CHECK(api->capabilities & (UINT64_C(1) << 62), "its capabilities were changed");
}

/* ---- the process's table ---- */

static void *load_once(void *ret)
{
	*(const struct ferry_transport **)ret = load("once", NULL);
	return NULL;
}

static void enters_once_for_all_threads(void)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	const struct ferry_transport *got[THREADS] = {NULL};
	place("once", "once");
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, load_once, &got[i]) == 0, "no thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < THREADS; i++)
		CHECK(got[i] == got[0], "two threads got two copies");
}

static void knows_a_file_by_all_its_names(void)
{
	char link[PATH_MAX], roundabout[PATH_MAX];
	place("once", "once");
	snprintf(link, sizeof(link), "%s/link.so", folder);
	snprintf(roundabout, sizeof(roundabout), "%s/./../%s/libferry-transport-once.so", folder,
		 strrchr(folder, '/') + 1);
	CHECK(symlink(path_of("once"), link) == 0, "no symlink");
	const struct ferry_transport *api = load("once", NULL);
	CHECK(load("once", link) == api && load("once", roundabout) == api, "it was loaded again");
}

/* ---- files that are no plugins ---- */

static void refuses_a_text_file(void)
{
	static const char text[] =
		"this is a text file, and no shared object at all, whatever its name says\n";
	write_file(path_of("text"), text, sizeof(text) - 1);
	REFUSED("text", NULL, FERRY_E_PLUGIN, "invalid ELF header");
	REFUSED("text", NULL, FERRY_E_PLUGIN, path_of("text"));
}

static void refuses_an_empty_file(void)
{
	write_file(path_of("empty"), "", 0);
	REFUSED("empty", NULL, FERRY_E_PLUGIN, "file too short");
}

static void refuses_a_cut_off_file(void)
{
	place("valid", "valid");
	CHECK(truncate(path_of("valid"), 200) == 0, "cannot truncate");
	REFUSED("valid", NULL, FERRY_E_PLUGIN, "it cannot be loaded");
}

/* Its headers are whole, its segments are not: the dynamic linker would map what is not there, and a touch of
 * it ends the process with SIGBUS. */
static void refuses_a_half_copied_file(void)
{
	place("valid", "valid");
	CHECK(truncate(path_of("valid"), 1024) == 0, "cannot truncate");
	REFUSED("valid", NULL, FERRY_E_PLUGIN, "is cut short");
}

static void refuses_what_is_no_file(void)
{
	CHECK(mkdir(path_of("folder"), 0755) == 0, "no folder");
	REFUSED("folder", NULL, FERRY_E_PLUGIN, "it is no regular file");
	CHECK(mkfifo(path_of("pipe"), 0600) == 0, "no pipe");
	REFUSED("pipe", NULL, FERRY_E_PLUGIN, "it is no regular file");
}

/* ---- files that others can write ---- */

static void refuses_a_file_that_others_can_write(void)
{
	static const mode_t modes[] = {0646, 0664, 0666, 0777};
	place("valid", "valid");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		CHECK(chmod(path_of("valid"), modes[i]) == 0, "cannot chmod");
		REFUSED("valid", NULL, FERRY_E_PLUGIN, "the file can be written by others");
		REFUSED("valid", path_of("valid"), FERRY_E_PLUGIN, path_of("valid"));
	}
	CHECK(chmod(path_of("valid"), 0755) == 0, "cannot chmod");
	load("valid", NULL);
}

static void refuses_a_folder_that_others_can_write(void)
{
	static const mode_t modes[] = {0703, 0770, 0777, 01777};
	place("valid", "valid");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		CHECK(chmod(folder, modes[i]) == 0, "cannot chmod");
		REFUSED("valid", NULL, FERRY_E_PLUGIN, "its folder can be written by others");
		REFUSED("valid", folder, FERRY_E_PLUGIN, path_of("valid"));
		REFUSED("valid", path_of("valid"), FERRY_E_PLUGIN, "chmod go-w");
	}
	CHECK(chmod(folder, 0755) == 0, "cannot chmod");
	load("valid", NULL);
}

/* A link is as safe as the folder that it stands in, and as the one that it leads to. */
static void refuses_links_through_open_folders(void)
{
	char open_folder[PATH_MAX], link[PATH_MAX];
	snprintf(open_folder, sizeof(open_folder), "%s/open", folder);
	CHECK(mkdir(open_folder, 0700) == 0 && chmod(open_folder, 0777) == 0, "no folder");
	place("valid", "valid");
	snprintf(link, sizeof(link), "%s/open/link.so", folder);
	CHECK(symlink(path_of("valid"), link) == 0, "no symlink");
	REFUSED("valid", link, FERRY_E_PLUGIN, "its folder can be written by others");
	place("valid", "moved");
	snprintf(link, sizeof(link), "%s/open/plain.so", folder);
	CHECK(rename(path_of("moved"), link) == 0, "cannot rename");
	CHECK(symlink(link, path_of("linked")) == 0, "no symlink");
	REFUSED("valid", path_of("linked"), FERRY_E_PLUGIN, "its folder can be written by others");
}

static void refuses_a_stranger_as_owner(void)
{
	if (geteuid() != 0)
		return; /* only root can give a file away */
	place("valid", "valid");
	CHECK(chown(path_of("valid"), 65534, 65534) == 0, "cannot chown");
	REFUSED("valid", NULL, FERRY_E_PLUGIN, "the file belongs to user 65534");
	CHECK(chown(path_of("valid"), 0, 0) == 0 && chown(folder, 65534, 65534) == 0, "cannot chown");
	REFUSED("valid", NULL, FERRY_E_PLUGIN, "its folder belongs to user 65534");
}

/* ---- names and places ---- */

static void refuses_names_that_are_paths(void)
{
	static const char *const names[] = {
		"",
		"../valid",
		"./valid",
		"valid/",
		"a/b",
		"Valid",
		"va lid",
		"valid.so",
		"valid\n",
		"val_d",
		"%2e%2e",
		"..",
		".",
		"valid;x",
		"välid",
		"*",
		"a2345678901234567890123456789012345678901",
	};
	char sub[PATH_MAX];
	snprintf(sub, sizeof(sub), "%s/libferry-transport-..", folder);
	CHECK(mkdir(sub, 0755) == 0, "no folder"); /* so that "../valid" would be found if it were used */
	place("valid", "valid");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		REFUSED(names[i], NULL, FERRY_E_PLUGIN, "cannot be the name of a transport");
		REFUSED(names[i], folder, FERRY_E_PLUGIN, "expected 1 to 40 of a-z, 0-9 and '-'");
		FIND_REFUSED(names[i], FERRY_E_PLUGIN, "cannot be the name of a transport");
	}
}

static void takes_absolute_paths_only(void)
{
	place("valid", "valid");
	CHECK(chdir(folder) == 0, "cannot chdir");
	REFUSED("valid", "libferry-transport-valid.so", FERRY_E_CONFIG, "is not absolute");
	REFUSED("valid", ".", FERRY_E_CONFIG, "is not absolute");
	REFUSED("valid", "", FERRY_E_CONFIG, "is not absolute");
	setenv("FERRY_TRANSPORT_PATH", ".", 1);
	REFUSED("valid", NULL, FERRY_E_CONFIG, "FERRY_TRANSPORT_PATH: '.' is not absolute");
	setenv("FERRY_TRANSPORT_PATH", "/nowhere:relative/folder", 1);
	REFUSED("valid", NULL, FERRY_E_CONFIG, "FERRY_TRANSPORT_PATH: 'relative/folder' is not absolute");
}

static void says_where_it_looked(void)
{
	place("valid", "valid");
	setenv("FERRY_TRANSPORT_PATH", "/nowhere/one::/nowhere/two", 1);
	REFUSED("valid", "/nowhere/three", FERRY_E_NOT_FOUND, "/nowhere/three");
	REFUSED("valid", "/", FERRY_E_NOT_FOUND,
		"there is no transport 'valid': looked for libferry-transport-valid.so in /, /nowhere/one, "
		"/nowhere/two, " FERRY_TRANSPORT_DIR);
	setenv("FERRY_TRANSPORT_PATH", folder, 1);
	REFUSED("vallid", NULL, FERRY_E_NOT_FOUND, "did you mean 'valid'?");
	unsetenv("FERRY_TRANSPORT_PATH");
	REFUSED("valid", NULL, FERRY_E_NOT_FOUND, "in " FERRY_TRANSPORT_DIR);
	FIND_REFUSED("/nowhere/at/all.so", FERRY_E_NOT_FOUND, "/nowhere/at/all.so");
}

static void looks_in_order(void)
{
	char path[PATH_MAX];
	place("valid", "other");
	setenv("FERRY_TRANSPORT_PATH", folder, 1);
	REFUSED("other", NULL, FERRY_E_PLUGIN, "it calls itself 'valid': expected 'other'");
	snprintf(path, sizeof(path), "/nowhere:%s", folder);
	setenv("FERRY_TRANSPORT_PATH", path, 1);
	place("valid", "valid");
	load("valid", NULL);
	/* The built plugins come first when they are named first. */
	setenv("FERRY_TRANSPORT_PATH", PLUGINS, 1);
	const struct loaded *found;
	struct ferry_error err;
	CHECK(loader_load(&host, "valid", folder, &found, &err) == 0, "%s", err.text);
	CHECK(strncmp(found->path, folder, strlen(folder)) == 0, "the explicit folder is not the first: %s",
	      found->path);
}

static void checks_the_scheme(void)
{
	place("valid", "valid");
	place("valid", "redis");
	REFUSED("valids", NULL, FERRY_E_NOT_FOUND, "libferry-transport-valids.so");
	REFUSED("memory", path_of("valid"), FERRY_E_CONFIG, "does not serve URLs that begin with 'memory:'");
	REFUSED("valid-", path_of("valid"), FERRY_E_CONFIG, "expected valid valids");
	REFUSED("vali", path_of("valid"), FERRY_E_CONFIG, "'vali:'");
	/* An alias looks for the file of its transport. */
	REFUSED("rediss", NULL, FERRY_E_PLUGIN, "it calls itself 'valid': expected 'redis'");
	REFUSED("tls", NULL, FERRY_E_NOT_FOUND, "libferry-transport-nats.so");
}

/* ---- listing ---- */

static void note_name(const char *name, const char *path, void *ctx)
{
	char *list = ctx;
	CHECK(path[0] == '/', "%s is not absolute", path);
	snprintf(list + strlen(list), 200 - strlen(list), "%s ", name);
}

static void lists_each_name_once(void)
{
	char list[200] = "", path[PATH_MAX], second[100];
	struct ferry_error err = {0};
	place("valid", "valid");
	place("valid", "b");
	place("valid", "a");
	place("valid", "Upper");
	write_file(path_of("text"), "x", 1);
	snprintf(second, sizeof(second), "%s/second", folder);
	CHECK(mkdir(second, 0755) == 0, "no folder");
	snprintf(path, sizeof(path), "%s/second/libferry-transport-a.so", folder);
	write_file(path, "x", 1);
	snprintf(path, sizeof(path), "%s/second/libferry-transport-c.so", folder);
	write_file(path, "x", 1);
	snprintf(path, sizeof(path), "%s:/nowhere:%s:%s", folder, second, folder);
	setenv("FERRY_TRANSPORT_PATH", path, 1);
	CHECK(loader_list(note_name, list, &err) == 0, "%s", err.text);
	CHECK(strncmp(list, "a b text valid c ", 17) == 0, "listed %s", list);
	setenv("FERRY_TRANSPORT_PATH", "relative", 1);
	CHECK(loader_list(note_name, list, &err) == FERRY_E_CONFIG, "a relative folder was listed");
}

/* ---- running ---- */

static const struct scene {
	const char *name;
	void (*run)(void);
} scenes[] = {
	{"loads_a_valid_one", loads_a_valid_one},
	{"loads_a_smaller_struct", loads_a_smaller_struct},
	{"loads_a_larger_struct", loads_a_larger_struct},
	{"enters_once_for_all_threads", enters_once_for_all_threads},
	{"knows_a_file_by_all_its_names", knows_a_file_by_all_its_names},
	{"refuses_a_text_file", refuses_a_text_file},
	{"refuses_an_empty_file", refuses_an_empty_file},
	{"refuses_a_cut_off_file", refuses_a_cut_off_file},
	{"refuses_a_half_copied_file", refuses_a_half_copied_file},
	{"refuses_what_is_no_file", refuses_what_is_no_file},
	{"refuses_a_file_that_others_can_write", refuses_a_file_that_others_can_write},
	{"refuses_a_folder_that_others_can_write", refuses_a_folder_that_others_can_write},
	{"refuses_links_through_open_folders", refuses_links_through_open_folders},
	{"refuses_a_stranger_as_owner", refuses_a_stranger_as_owner},
	{"refuses_names_that_are_paths", refuses_names_that_are_paths},
	{"takes_absolute_paths_only", takes_absolute_paths_only},
	{"says_where_it_looked", says_where_it_looked},
	{"looks_in_order", looks_in_order},
	{"checks_the_scheme", checks_the_scheme},
	{"lists_each_name_once", lists_each_name_once},
};

#define CHILD        "FERRY_PLUGIN_HOST_CHILD" /* set for the children */
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static int run_one(const char *name)
{
	bool found = false;
	snprintf(folder, sizeof(folder), "/tmp/ferry-plugins-XXXXXX");
	CHECK(mkdtemp(folder), "cannot make a folder in /tmp");
	setenv("FERRY_TRANSPORT_PATH", folder, 1);
	for (size_t i = 0; i < COUNT(refusals); i++) {
		if (strcmp(refusals[i].plugin, name) == 0) {
			run_refusal(&refusals[i]);
			found = true;
		}
	}
	for (size_t i = 0; i < COUNT(scenes); i++) {
		if (strcmp(scenes[i].name, name) == 0) {
			scenes[i].run();
			found = true;
		}
	}
	CHECK(found, "there is no case %s", name);
	remove_folder();
	return 0;
}

static bool spawn_one(const char *name)
{
	char *const arguments[] = {(char *)(uintptr_t) "plugin_host_test", (char *)(uintptr_t)name, NULL};
	pid_t child;
	int status;
	if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) != 0)
		return false;
	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
	int failed = 0;
	if (argc == 2)
		return run_one(argv[1]);
	/* A child that did not get its case must not start all the cases again. */
	if (argc != 1 || getenv(CHILD) || setenv(CHILD, "1", 1))
		return 2;
	printf("1..%zu\n", COUNT(refusals) + COUNT(scenes));
	for (size_t i = 0; i < COUNT(refusals) + COUNT(scenes); i++) {
		bool refusal = i < COUNT(refusals);
		const char *name = refusal ? refusals[i].plugin : scenes[i - COUNT(refusals)].name;
		bool ok = spawn_one(name);
		failed += ok ? 0 : 1;
		printf("%s %zu - %s%s\n", ok ? "ok" : "not ok", i + 1, refusal ? "refuses " : "", name);
		fflush(stdout);
	}
	return failed ? 1 : 0;
}
