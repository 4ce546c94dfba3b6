#include "plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "names.h"
#include "setting.h"

/* ---- trust ---- */

static int check_writers(const char *path, const char *what, const struct stat *st, struct ferry_error *err)
{
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return fail(
			err, FERRY_E_PLUGIN,
			"%s: %s can be written by others, who could run code in this program: chmod go-w it",
			path, what);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return fail(err, FERRY_E_PLUGIN,
			    "%s: %s belongs to user %u, neither to root nor to the user of this program "
			    "(%u): chown it",
			    path, what, (unsigned)st->st_uid, (unsigned)geteuid());
	return 0;
}

int plugin_trust(const char *path, struct ferry_error *err)
{
	char folder[PATH_MAX];
	struct stat st;
	if (snprintf(folder, sizeof(folder), "%s", path) >= (int)sizeof(folder))
		return fail(err, FERRY_E_PLUGIN, "%s: the path is too long", path);
	char *slash = strrchr(folder, '/');
	slash[slash == folder ? 1 : 0] = '\0';
	if (stat(folder, &st))
		return fail(err, FERRY_E_PLUGIN, "%s: its folder cannot be looked at: %s", path,
			    strerror(errno));
	if (check_writers(path, "its folder", &st, err))
		return FERRY_E_PLUGIN;
	if (stat(path, &st))
		return fail(err, FERRY_E_PLUGIN, "%s: the file cannot be looked at: %s", path,
			    strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(err, FERRY_E_PLUGIN, "%s: it is no regular file", path);
	return check_writers(path, "the file", &st, err);
}

/* ---- the ABI ---- */

enum need { ALWAYS, FOR_PUMP, FOR_WORKERS, FOR_ATOMIC_DLQ };

struct slot {
	const char *name;
	size_t offset;
	enum need need;
};

#define SLOT(name, need)                                            \
	{                                                           \
#name, offsetof(struct ferry_transport, name), need \
	}

static const struct slot required[] = {
	SLOT(create, ALWAYS),      SLOT(start, ALWAYS),        SLOT(stop, ALWAYS),
	SLOT(destroy, ALWAYS),     SLOT(destination, ALWAYS),  SLOT(publish, ALWAYS),
	SLOT(source_open, ALWAYS), SLOT(subscribe, ALWAYS),    SLOT(source_start, ALWAYS),
	SLOT(source_stop, ALWAYS), SLOT(source_close, ALWAYS), SLOT(fetch, ALWAYS),
	SLOT(settle, ALWAYS),      SLOT(release, ALWAYS),      SLOT(credit, FOR_PUMP),
	SLOT(wakeup, FOR_PUMP),    SLOT(arm, FOR_WORKERS),     SLOT(dead_letter, FOR_ATOMIC_DLQ),
};

/* Why this transport needs the slot, or NULL when it does not. */
static const char *reason_for(const struct ferry_transport *api, enum need need)
{
	switch (need) {
	case ALWAYS:
		return "every transport";
	case FOR_PUMP:
		return api->thread_model == FERRY_PUMP ? "thread model PUMP" : NULL;
	case FOR_WORKERS:
		return api->thread_model == FERRY_FETCH_FROM_WORKERS ? "thread model FETCH_FROM_WORKERS"
								     : NULL;
	case FOR_ATOMIC_DLQ:
		return api->capabilities & FERRY_CAP_ATOMIC_DLQ ? "capability ATOMIC_DLQ" : NULL;
	}
	return NULL;
}

static int check_slots(const char *path, const struct ferry_transport *api, struct ferry_error *err)
{
	if (api->thread_model != FERRY_PUMP && api->thread_model != FERRY_FETCH_FROM_WORKERS)
		return fail(err, FERRY_E_PLUGIN,
			    "%s: its thread_model is %" PRId32
			    ": expected FERRY_FETCH_FROM_WORKERS or FERRY_PUMP",
			    path, api->thread_model);
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		void (*slot)(void);
		const char *reason = reason_for(api, required[i].need);
		memcpy(&slot, (const char *)api + required[i].offset, sizeof(slot));
		if (reason && !slot)
			return fail(err, FERRY_E_PLUGIN, "%s: the slot '%s' is missing, which %s must have",
				    path, required[i].name, reason);
	}
	return 0;
}

static int check_texts(const char *path, const struct ferry_transport *api, struct ferry_error *err)
{
	const struct {
		const char *name, *text;
	} texts[] = {{"name", api->name},
		     {"version", api->version},
		     {"summary", api->summary},
		     {"schemes", api->schemes}};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!texts[i].text || texts[i].text[0] == '\0')
			return fail(err, FERRY_E_PLUGIN, "%s: its '%s' is empty", path, texts[i].name);
	}
	if (!name_is_transport(api->name))
		return fail(err, FERRY_E_PLUGIN,
			    "%s: it calls itself '%.64s': expected a name of 1 to 40 of a-z, 0-9 and '-'",
			    path, api->name);
	return 0;
}

/* NULL, or what is wrong with the description of a setting. */
static const char *option_fault(const struct ferry_option *option)
{
	struct ferry_setting ignored;
	size_t size = strspn(option->name, "abcdefghijklmnopqrstuvwxyz0123456789_.");
	if (size == 0 || option->name[size] != '\0')
		return "its name has other characters than a-z, 0-9, '_' and '.'";
	if (option->type < FERRY_OPTION_TEXT || option->type > FERRY_OPTION_PREFIX)
		return "its type is not known";
	if (option->type == FERRY_OPTION_CHOICE && !option->choices)
		return "it has no choices";
	if (option->min > option->max)
		return "its min is over its max";
	if (option->default_value && !setting_parse(option, option->default_value, &ignored))
		return "its default is not valid";
	return NULL;
}

static int check_options(const char *path, const struct ferry_transport *api, struct ferry_error *err)
{
	for (const struct ferry_option *option = api->options; option && option->name; option++) {
		const char *fault = option_fault(option);
		if (fault)
			return fail(err, FERRY_E_PLUGIN, "%s: its setting '%.64s' is badly described: %s",
				    path, option->name, fault);
	}
	return 0;
}

/* Whatever the size of the plugin's struct, take what both sides know. */
static int take_table(const char *path, const struct ferry_transport *table, struct ferry_transport *ret,
		      struct ferry_error *err)
{
	const size_t head = offsetof(struct ferry_transport, create);
	size_t size;
	memset(ret, 0, sizeof(*ret));
	memcpy(&size, table, sizeof(size));
	if (size < head)
		return fail(err, FERRY_E_PLUGIN,
			    "%s: its struct ferry_transport says that its size is %zu: expected at least "
			    "%zu, sizeof(struct ferry_transport) as a rule",
			    path, size, head);
	memcpy(ret, table, size < sizeof(*ret) ? size : sizeof(*ret));
	if (ret->abi_major != FERRY_ABI_MAJOR)
		return fail(err, FERRY_E_PLUGIN,
			    "%s: it is built for plugin ABI %" PRIu32 ".%" PRIu32
			    ", and this libferry has %d.%d: build it against the headers of this libferry",
			    path, ret->abi_major, ret->abi_minor, FERRY_ABI_MAJOR, FERRY_ABI_MINOR);
	return 0;
}

/* dlerror's text, without the path that the caller writes anyway. */
static const char *load_error(const char *path)
{
	const char *text = dlerror();
	size_t size = strlen(path);
	if (!text)
		return "the dynamic linker gives no reason";
	return strncmp(text, path, size) == 0 && strncmp(text + size, ": ", 2) == 0 ? text + size + 2 : text;
}

/* True unless a loadable segment lies outside the file, as in one that was copied half.  Everything else that
 * may be wrong with a file the dynamic linker tells by itself. */
static bool is_whole(int fd, off_t size)
{
	ElfW(Ehdr) file;
	if (pread(fd, &file, sizeof(file), 0) != (ssize_t)sizeof(file) ||
	    memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_phentsize != sizeof(ElfW(Phdr)))
		return true;
	for (unsigned i = 0; i < file.e_phnum; i++) {
		ElfW(Phdr) segment;
		off_t at = (off_t)(file.e_phoff + i * sizeof(segment));
		if (pread(fd, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment))
			return true;
		if (segment.p_type == PT_LOAD && (segment.p_offset > (uint64_t)size ||
						  segment.p_filesz > (uint64_t)size - segment.p_offset))
			return false;
	}
	return true;
}

static int check_whole(const char *path, struct ferry_error *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(err, FERRY_E_PLUGIN, "%s: it cannot be loaded: %s", path, strerror(errno));
	bool whole = fstat(fd, &st) != 0 || is_whole(fd, st.st_size);
	close(fd);
	if (whole)
		return 0;
	return fail(err, FERRY_E_PLUGIN, "%s: it cannot be loaded: the file is cut short: install it again",
		    path);
}

int plugin_open(const char *path, const struct ferry_host *host, struct ferry_transport *ret,
		bool *ret_entered, struct ferry_error *err)
{
	struct ferry_transport api;
	ferry_transport_entry_fn *entry;
	*ret_entered = false;
	int code = check_whole(path, err);
	if (code)
		return code;
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!library)
		return fail(err, FERRY_E_PLUGIN, "%s: it cannot be loaded: %s", path, load_error(path));
	void *symbol = dlsym(library, FERRY_TRANSPORT_ENTRY);
	if (!symbol)
		return fail(err, FERRY_E_PLUGIN, "%s: it is no transport: it does not export %s", path,
			    FERRY_TRANSPORT_ENTRY);
	memcpy(&entry, &symbol, sizeof(entry)); /* ISO C has no cast from an object to a function */
	*ret_entered = true;
	const struct ferry_transport *table = entry(host);
	if (!table)
		return fail(err, FERRY_E_PLUGIN,
			    "%s: its %s returned NULL: it refuses to work with this libferry", path,
			    FERRY_TRANSPORT_ENTRY);
	if (take_table(path, table, &api, err) || check_texts(path, &api, err) ||
	    check_slots(path, &api, err) || check_options(path, &api, err))
		return FERRY_E_PLUGIN;
	*ret = api;
	return 0;
}
