#include "url.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "names.h"

int url_check(const char *text, struct ferry_error *err)
{
	size_t size = strnlen(text, URL_MAX + 1);
	if (size == 0)
		return fail(err, FERRY_E_CONFIG,
			    "the URL is empty: expected one such as memory: or redis://host:6379");
	if (size > URL_MAX)
		return fail(err, FERRY_E_CONFIG, "the URL is longer than %d bytes", URL_MAX);
	if (!text_is_utf8(text, size))
		return fail(err, FERRY_E_CONFIG, "the URL is not valid UTF-8: write other bytes as %%XX");
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7F)
			return fail(
				err, FERRY_E_CONFIG,
				"the URL has a space or control character at offset %zu: write it as %%XX",
				i);
		if (text[i] == '#')
			return fail(err, FERRY_E_CONFIG, "the URL has a '#' at offset %zu: write it as %%23",
				    i);
	}
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Replace %XX in place; false for a broken one or %00. */
static bool decode(char *text)
{
	char *to = text;
	for (const char *from = text; *from; from++) {
		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		int high = hex_digit(from[1]);
		int low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0 || high + low == 0)
			return false;
		*to++ = (char)(high * 16 + low);
		from += 2;
	}
	*to = '\0';
	return true;
}

static int decode_part(char *text, const char *part, struct ferry_error *err)
{
	if (decode(text))
		return 0;
	return fail(err, FERRY_E_CONFIG,
		    "the URL's %s has a '%%' without two hexadecimal digits (and not 00) behind it: write "
		    "'%%' as %%25",
		    part);
}

static bool is_port(const char *text, size_t size)
{
	unsigned value = 0;
	if (size == 0 || size > 5)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	return value >= 1 && value <= 65535;
}

/* "name", "name:port", "[v6]" or "[v6]:port". */
static bool is_host(const char *host, size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	static const char address[] = "0123456789abcdefABCDEF:.";
	bool bracket = size > 0 && host[0] == '[';
	size_t name = bracket ? 1 + strspn(host + 1, address) : strspn(host, letters);
	if (bracket && (name < 3 || name >= size || host[name++] != ']'))
		return false;
	if (name == 0 || name > size)
		return false;
	return name == size || (host[name] == ':' && is_port(host + name + 1, size - name - 1));
}

static int check_hosts(const char *hosts, struct ferry_error *err)
{
	if (*hosts == '\0')
		return 0;
	for (unsigned count = 1;; count++) {
		size_t size = strcspn(hosts, ",");
		if (!is_host(hosts, size))
			return fail(err, FERRY_E_CONFIG,
				    "the URL's host number %u is not valid: expected HOST or HOST:PORT with "
				    "a port from 1 to 65535, several separated by ','",
				    count);
		if (hosts[size] == '\0')
			return 0;
		hosts += size + 1;
	}
}

/* user:password@hosts */
static int parse_authority(struct url *url, char *text, struct ferry_error *err)
{
	char *at = strchr(text, '@');
	url->hosts = text;
	if (at) {
		*at = '\0';
		url->hosts = at + 1;
		if (strchr(at + 1, '@'))
			return fail(err, FERRY_E_CONFIG,
				    "the URL has more than one '@' before its hosts: write one "
				    "user:password@ for all hosts, and '@' inside it as %%40");
		char *colon = strchr(text, ':');
		if (colon)
			*colon++ = '\0';
		url->user = text;
		url->password = colon ? colon : "";
		if (decode_part(text, "user", err) || (colon && decode_part(colon, "password", err)))
			return FERRY_E_CONFIG;
	}
	return check_hosts(url->hosts, err);
}

/* After "//". */
static int parse_hierarchy(struct url *url, char *text, struct ferry_error *err)
{
	size_t authority = strcspn(text, "/");
	if (strchr(text + authority, '@') || (url->query && strchr(url->query, '@')))
		return fail(err, FERRY_E_CONFIG,
			    "the URL has an '@' behind its hosts: write '@' as %%40 there, and in a user or "
			    "password '/' as %%2F, '?' as %%3F, '@' as %%40");
	/* The path keeps its '/', so the authority moves to the front to make room for its NUL. */
	url->path = text + authority;
	char *front = text - 1;
	memmove(front, text, authority);
	front[authority] = '\0';
	if (parse_authority(url, front, err))
		return FERRY_E_CONFIG;
	return decode_part(text + authority, "path", err);
}

int url_parse(struct url *ret, char *text, struct ferry_error *err)
{
	*ret = (struct url){"", "", "", "", "", NULL};
	if (url_check(text, err))
		return FERRY_E_CONFIG;
	char *question = strchr(text, '?');
	if (question) {
		*question = '\0';
		ret->query = question + 1;
	}
	char *colon = strchr(text, ':');
	if (!colon)
		return fail(err, FERRY_E_CONFIG,
			    "the URL has no scheme: expected one such as memory: or redis://host:6379");
	*colon = '\0';
	if (!name_is_transport(text))
		return fail(err, FERRY_E_CONFIG,
			    "the URL's scheme, before the first ':', is not valid: expected 1 to 40 of a-z, "
			    "0-9 and '-'");
	ret->scheme = text;
	if (strncmp(colon + 1, "//", 2) == 0)
		return parse_hierarchy(ret, colon + 3, err);
	ret->path = colon + 1;
	return decode_part(colon + 1, "path", err);
}

void url_mask(const char *text, char *masked)
{
	size_t end = strcspn(text, "?");
	const char *user = memchr(text, ':', end);
	const char *colon = NULL, *at = NULL;
	if (user && strncmp(user, "://", 3) == 0) {
		user += 3;
		at = memchr(user, '@', strcspn(user, "/?"));
		colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
	} else if (user) {
		/* A path; or "//" was forgotten, and what stands before '@' is a password all the same. */
		user++;
		at = memrchr(user, '@', end - (size_t)(user - text));
	}
	size_t size = 0;
	if (at) {
		size = (size_t)((colon ? colon + 1 : user) - text);
		memcpy(masked, text, size);
		memcpy(masked + size, "***", 3);
		size += 3;
		end -= (size_t)(at - text);
		text = at;
	}
	memcpy(masked + size, text, end);
	masked[size + end] = '\0';
}

/* A key is quoted in errors, so it must look like one and not like a piece of a password. */
static bool is_key(const char *key)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t size = strspn(key, letters);
	return size > 0 && size <= 128 && key[size] == '\0';
}

int url_next_setting(struct url *url, const char **ret_key, const char **ret_value, struct ferry_error *err)
{
	char *key = url->query;
	if (!key || *key == '\0')
		return 0;
	size_t size = strcspn(key, "&");
	bool last = key[size] == '\0';
	key[size] = '\0';
	url->query = last ? NULL : key + size + 1;
	if (!last && *url->query == '\0')
		return fail(err, FERRY_E_CONFIG, "the URL ends in '&': expected another KEY=VALUE behind it");
	char *value = strchr(key, '=');
	if (value)
		*value++ = '\0';
	if (!is_key(key))
		return fail(
			err, FERRY_E_CONFIG,
			"the URL's query has a key that is not valid: expected KEY=VALUE separated by '&', a "
			"key of 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', and in a value '&' as %%26");
	if (!value)
		return fail(err, FERRY_E_CONFIG, "the setting '%s' has no value: write %s=VALUE", key, key);
	if (!decode(value))
		return fail(err, FERRY_E_CONFIG,
			    "the setting '%s' has a '%%' without two hexadecimal digits (and not 00) behind "
			    "it: write '%%' as %%25",
			    key);
	*ret_key = key;
	*ret_value = value;
	return 1;
}
