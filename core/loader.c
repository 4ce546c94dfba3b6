#include "loader.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "fail.h"
#include "names.h"
#include "plugin.h"

#define PREFIX "libferry-transport-"
#define SUFFIX ".so"

/* A file whose entry has run.  It is not run again: a refusal is kept and repeated. */
struct file {
	struct loaded loaded;
	struct file *next;
	struct ferry_error refusal; /* code 0: usable */
};

/* The process's table of plugins: the library's only global state. */
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;

static struct file *find_file(const char *path)
{
	for (struct file *file = files; file; file = file->next) {
		if (strcmp(file->loaded.path, path) == 0)
			return file;
	}
	return NULL;
}

/* Outlives every bus, so it does not come from a bus's allocator. */
static struct file *make_file(const char *path)
{
	struct file *file = alloc_zeroed(&alloc_default, sizeof(*file));
	if (!file)
		return NULL;
	file->loaded.path = alloc_string(&alloc_default, path);
	if (!file->loaded.path) {
		alloc_free(&alloc_default, file);
		return NULL;
	}
	return file;
}

static void drop_file(struct file *file)
{
	alloc_free(&alloc_default, file->loaded.path);
	alloc_free(&alloc_default, file);
}

/* Under files_lock.  NULL and *ret_code when the entry has not run, so that it may be tried again. */
static struct file *load_new(const struct ferry_host *host, const char *path, int *ret_code,
			     struct ferry_error *err)
{
	struct ferry_error why;
	bool entered;
	struct file *file = make_file(path);
	if (!file) {
		*ret_code = fail_nomem(err, "loading a transport");
		return NULL;
	}
	int result = plugin_open(path, host, &file->loaded.api, &entered, &why);
	if (!entered) {
		*ret_code = fail(err, result, "%s", why.text);
		drop_file(file);
		return NULL;
	}
	if (result)
		file->refusal = why;
	file->next = files;
	files = file;
	return file;
}

/* The loaded file, or NULL and *ret_code. */
static const struct loaded *load_file(const struct ferry_host *host, const char *path, int *ret_code,
				      struct ferry_error *err)
{
	char real[PATH_MAX];
	if (!realpath(path, real)) {
		*ret_code = fail(err, errno == ENOENT ? FERRY_E_NOT_FOUND : FERRY_E_PLUGIN,
				 "%s: it cannot be opened: %s", path, strerror(errno));
		return NULL;
	}
	/* `path` may be a link, which others must not be able to bend either. */
	*ret_code = plugin_trust(path, err);
	if (*ret_code == 0)
		*ret_code = plugin_trust(real, err);
	if (*ret_code)
		return NULL;
	pthread_mutex_lock(&files_lock);
	struct file *file = find_file(real);
	if (!file)
		file = load_new(host, real, ret_code, err);
	pthread_mutex_unlock(&files_lock);
	if (!file)
		return NULL;
	if (file->refusal.code) {
		*ret_code = fail(err, file->refusal.code, "%s", file->refusal.text);
		return NULL;
	}
	return &file->loaded;
}

/* ---- searching ---- */

/* The places to look in, one after the other: an explicit folder, FERRY_TRANSPORT_PATH, the built-in folder.
 */
struct search {
	const char *first; /* NULL: none */
	const char *rest;  /* of FERRY_TRANSPORT_PATH */
	bool done;
	char folder[PATH_MAX];
};

static void search_begin(struct search *search, const char *first)
{
	search->first = first;
	search->rest = secure_getenv("FERRY_TRANSPORT_PATH");
	search->done = false;
}

static int search_take(struct search *search, const char *folder, size_t size, struct ferry_error *err)
{
	if (folder[0] != '/' || size >= sizeof(search->folder))
		return fail(err, FERRY_E_CONFIG,
			    "FERRY_TRANSPORT_PATH: '%.*s' is not absolute: expected folders that begin with "
			    "'/', separated by ':'",
			    (int)(size < 200 ? size : 200), folder);
	memcpy(search->folder, folder, size);
	search->folder[size] = '\0';
	return 1;
}

/* 1 and search->folder; 0 at the end; or an error. */
static int search_next(struct search *search, struct ferry_error *err)
{
	if (search->first) {
		const char *first = search->first;
		search->first = NULL;
		return search_take(search, first, strlen(first), err);
	}
	while (search->rest && *search->rest) {
		const char *folder = search->rest;
		size_t size = strcspn(folder, ":");
		search->rest += size + (folder[size] == ':' ? 1 : 0);
		if (size)
			return search_take(search, folder, size, err);
	}
	if (search->done)
		return 0;
	search->done = true;
	return search_take(search, FERRY_TRANSPORT_DIR, strlen(FERRY_TRANSPORT_DIR), err);
}

/* True when the folder has a file for the transport `name`. */
static bool find_in(const char *folder, const char *name, char path[PATH_MAX])
{
	int size = snprintf(path, PATH_MAX, "%s/" PREFIX "%s" SUFFIX, folder, name);
	return size < PATH_MAX && access(path, F_OK) == 0;
}

/* ---- listing ---- */

/* The transport that a file of this name is: false when it is none. */
static bool transport_of(const char *file, char name[NAME_TRANSPORT_MAX + 1])
{
	const size_t prefix = strlen(PREFIX), suffix = strlen(SUFFIX);
	size_t size = strlen(file);
	if (size <= prefix + suffix || size - prefix - suffix > NAME_TRANSPORT_MAX ||
	    strncmp(file, PREFIX, prefix) != 0 || strcmp(file + size - suffix, SUFFIX) != 0)
		return false;
	memcpy(name, file + prefix, size - prefix - suffix);
	name[size - prefix - suffix] = '\0';
	return name_is_transport(name);
}

static int keep_transports(const struct dirent *entry)
{
	char name[NAME_TRANSPORT_MAX + 1];
	return transport_of(entry->d_name, name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* True when a place of the search before number `place` has the transport, so that a later one is never
 * loaded by name. */
static bool is_hidden(unsigned place, const char *name)
{
	char path[PATH_MAX];
	struct search search;
	search_begin(&search, NULL);
	while (place-- > 0 && search_next(&search, NULL) == 1) {
		if (find_in(search.folder, name, path))
			return true;
	}
	return false;
}

int loader_list(void (*each)(const char *name, const char *path, void *ctx), void *ctx,
		struct ferry_error *err)
{
	char name[NAME_TRANSPORT_MAX + 1], path[PATH_MAX];
	struct search search;
	int more;
	search_begin(&search, NULL);
	for (unsigned place = 0; (more = search_next(&search, err)) == 1; place++) {
		struct dirent **entries;
		int count = scandir(search.folder, &entries, keep_transports, by_name);
		if (count < 0 && errno == ENOMEM)
			return fail_nomem(err, "listing transports");
		for (int i = 0; i < count; i++) {
			if (transport_of(entries[i]->d_name, name) && find_in(search.folder, name, path) &&
			    !is_hidden(place, name))
				each(name, path, ctx);
			free(entries[i]);
		}
		if (count >= 0)
			free(entries);
	}
	return more;
}

/* ---- loading by name ---- */

/* The places that were looked in, for the error. */
struct places {
	char text[400];
	size_t size;
};

static void places_add(struct places *places, const char *folder)
{
	size_t room = sizeof(places->text) - places->size;
	int wrote = snprintf(places->text + places->size, room, "%s%s", places->size ? ", " : "", folder);
	if (wrote > 0)
		places->size += (size_t)wrote < room ? (size_t)wrote : room - 1;
}

#define KNOWN_MAX 32

struct known {
	char names[KNOWN_MAX][NAME_TRANSPORT_MAX + 1];
	const char *pointers[KNOWN_MAX];
	size_t count;
};

static void collect_name(const char *name, const char *path, void *ctx)
{
	struct known *known = ctx;
	(void)path;
	if (known->count == KNOWN_MAX)
		return;
	snprintf(known->names[known->count], sizeof(known->names[0]), "%s", name);
	known->pointers[known->count] = known->names[known->count];
	known->count++;
}

static int not_found(const char *name, const struct places *places, struct ferry_error *err)
{
	struct known known = {.count = 0};
	char hint[NAME_TRANSPORT_MAX + 32] = "";
	/* Only for a hint: a listing that fails gives none. */
	(void)loader_list(collect_name, &known, NULL);
	const char *nearest = name_nearest(name, known.pointers, known.count);
	if (nearest)
		snprintf(hint, sizeof(hint), " (did you mean '%s'?)", nearest);
	return fail(err, FERRY_E_NOT_FOUND,
		    "there is no transport '%s'%s: looked for " PREFIX "%s" SUFFIX " in %s", name, hint, name,
		    places->text);
}

/* Look for `name` in `first` (NULL: nowhere) and then in the folders of the search.  NULL and *ret_code. */
static const struct loaded *load_name(const struct ferry_host *host, const char *name, const char *first,
				      int *ret_code, struct ferry_error *err)
{
	struct search search;
	struct places places = {.size = 0};
	char path[PATH_MAX];
	search_begin(&search, first);
	while ((*ret_code = search_next(&search, err)) == 1) {
		if (!find_in(search.folder, name, path)) {
			places_add(&places, search.folder);
			continue;
		}
		const struct loaded *found = load_file(host, path, ret_code, err);
		if (!found || strcmp(found->api.name, name) == 0)
			return found;
		*ret_code = fail(err, FERRY_E_PLUGIN,
				 "%s: it calls itself '%s': expected '%s', as its file is named", path,
				 found->api.name, name);
		return NULL;
	}
	if (*ret_code == 0)
		*ret_code = not_found(name, &places, err);
	return NULL;
}

static int refuse_name(const char *name, struct ferry_error *err)
{
	return fail(err, FERRY_E_PLUGIN,
		    "'%.100s' cannot be the name of a transport: expected 1 to 40 of a-z, 0-9 and '-'", name);
}

int loader_find(const struct ferry_host *host, const char *name_or_path, const struct loaded **ret,
		struct ferry_error *err)
{
	const struct loaded *found;
	int code;
	if (name_or_path[0] == '/')
		found = load_file(host, name_or_path, &code, err);
	else if (name_is_transport(name_or_path))
		found = load_name(host, name_or_path, NULL, &code, err);
	else
		return refuse_name(name_or_path, err);
	if (!found)
		return code;
	*ret = found;
	return 0;
}

/* Schemes that another transport serves, with TLS. */
static const char *transport_for(const char *scheme)
{
	if (strcmp(scheme, "rediss") == 0)
		return "redis";
	if (strcmp(scheme, "tls") == 0)
		return "nats";
	return scheme;
}

static bool has_word(const char *words, const char *word)
{
	size_t size = strlen(word);
	while (*words) {
		size_t length = strcspn(words, " ");
		if (length == size && memcmp(words, word, size) == 0)
			return true;
		words += length;
		words += strspn(words, " ");
	}
	return false;
}

int loader_load(const struct ferry_host *host, const char *scheme, const char *path,
		const struct loaded **ret, struct ferry_error *err)
{
	struct stat st;
	const struct loaded *found;
	int code;
	if (!name_is_transport(scheme))
		return refuse_name(scheme, err);
	if (path && path[0] != '/')
		return fail(err, FERRY_E_CONFIG,
			    "the transport path '%.200s' is not absolute: expected a file or folder that "
			    "begins with '/'",
			    path);
	if (path && stat(path, &st))
		return fail(err, errno == ENOENT ? FERRY_E_NOT_FOUND : FERRY_E_PLUGIN,
			    "the transport path %s cannot be opened: %s", path, strerror(errno));
	if (path && !S_ISDIR(st.st_mode))
		found = load_file(host, path, &code, err);
	else
		found = load_name(host, transport_for(scheme), path, &code, err);
	if (!found)
		return code;
	if (!has_word(found->api.schemes, scheme))
		return fail(err, FERRY_E_CONFIG,
			    "the transport '%s' (%s) does not serve URLs that begin with '%s:': expected %s",
			    found->api.name, found->path, scheme, found->api.schemes);
	*ret = found;
	return 0;
}
