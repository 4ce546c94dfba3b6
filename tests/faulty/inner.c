/*
 * inner.c - loading the transport that is wrapped, and what it is configured with.
 *
 * Which transport that is has to be known when entry is called, because entry states the capabilities: so its
 * path comes from the environment, and only its URL from ours.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "faulty.h"

struct ferry_transport inner;

static bool refuse(const struct ferry_host *host, const char *path, const char *why)
{
	char text[512];
	snprintf(text, sizeof(text), "faulty: the inner transport %s cannot be used: %s", path, why);
	host->log(NULL, FERRY_LOG_ERROR, text);
	return false;
}

bool inner_load(const struct ferry_host *host)
{
	const char *path = getenv("FAULTY_INNER");
	if (!path)
		path = FAULTY_DEFAULT_INNER;
	if (path[0] != '/')
		return refuse(host, path, "the path must be absolute");
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!library)
		return refuse(host, path, dlerror());
	ferry_transport_entry_fn *entry;
	void *symbol = dlsym(library, FERRY_TRANSPORT_ENTRY);
	memcpy(&entry, &symbol,
	       sizeof(entry)); /* ISO C has no cast from an object's address to a function's */
	if (!symbol)
		return refuse(host, path, "it has no " FERRY_TRANSPORT_ENTRY);
	const struct ferry_transport *api = entry(&inner_host);
	if (!api || api->abi_major != FERRY_ABI_MAJOR)
		return refuse(host, path, "its entry refused, or its ABI is another one");
	memcpy(&inner, api, api->size < sizeof(inner) ? api->size : sizeof(inner));
	return true;
}

/* Is `scheme` one of the inner transport's, which are separated by spaces? */
static bool scheme_known(const char *scheme, size_t length)
{
	for (const char *word = inner.schemes; *word;) {
		size_t size = strcspn(word, " ");
		if (size == length && !memcmp(word, scheme, size))
			return true;
		word += size;
		word += strspn(word, " ");
	}
	return false;
}

static int bad_url(struct ferry_error *err, const char *url, const char *why)
{
	if (err) {
		*err = (struct ferry_error){.code = FERRY_E_CONFIG};
		snprintf(err->text, sizeof(err->text), "inner=%.200s: %s", url, why);
	}
	return FERRY_E_CONFIG;
}

int inner_config(struct ferry_connection *c, const struct ferry_config *config, const char *url, size_t own,
		 struct ferry_error *err)
{
	size_t length = strcspn(url, ":");
	if (url[length] != ':' || !scheme_known(url, length))
		return bad_url(err, url, "the inner transport does not have this scheme");
	if (strpbrk(url, "?@"))
		return bad_url(
			err, url,
			"write the inner transport's settings beside fault=; a login is not passed on");

	/* "scheme\0hosts\0path\0" and the URL itself */
	size_t size = strlen(url) + 1;
	char *text = c->host->alloc(c->core, 2 * size + 1);
	if (!text)
		return FERRY_E_NOMEM;
	memcpy(text, url, size);
	char *scheme = text + size;
	memcpy(scheme, url, length);
	scheme[length] = '\0';
	const char *rest = url + length + 1;
	const char *hosts = "";
	if (!strncmp(rest, "//", 2)) {
		size_t hosts_length = strcspn(rest + 2, "/");
		char *copy = scheme + length + 1;
		memcpy(copy, rest + 2, hosts_length);
		copy[hosts_length] = '\0';
		hosts = copy;
		rest += 2 + hosts_length;
	}

	c->inner_url = text;
	memcpy(&c->config, config, config->size < sizeof(c->config) ? config->size : sizeof(c->config));
	c->config.size = sizeof(c->config);
	c->config.url = text;
	c->config.scheme = scheme;
	c->config.hosts = hosts;
	c->config.path = text + (rest - url);
	c->config.settings = config->settings + own;
	return 0;
}
