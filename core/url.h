/*
 * url.h - taking a URL apart.
 *
 *     scheme://user:password@hosts/path?key=value&key=value
 *     scheme:path?key=value
 *
 * No error text holds a part of the URL that can be a secret: a password with a raw '/' or '@' in it ends up
 * anywhere, so only the scheme and well-formed keys are ever quoted.
 */
#ifndef CORE_URL_H
#define CORE_URL_H

#include <ferry/error.h>

#define URL_MAX 16384 /* bytes */

/* Parts of the text that url_parse worked on; "" when absent. */
struct url {
	const char *scheme;
	const char *user;     /* decoded */
	const char *password; /* decoded */
	const char *hosts;    /* as written: "a:9092,b:9092" */
	const char *path;     /* decoded: "/0"; without "//" all that follows the colon */
	char *query;          /* for url_next_setting; NULL = none */
};

/* 0, or FERRY_E_CONFIG when `text` cannot be a URL, whatever its transport; before url_parse and url_mask. */
int url_check(const char *text, struct ferry_error *err);

/* Take apart `text`, which is cut into pieces in place and must outlive *ret. */
int url_parse(struct url *ret, char *text, struct ferry_error *err);

/* The size of url_mask's text, its NUL included, is at most strlen(text) + URL_MASK_EXTRA. */
#define URL_MASK_EXTRA 8
/* Write `text`, which url_parse accepts, in a form for logs: without the query, "***" for the password, and
 * for a user without a password, which some brokers take as a token, and for what stands before an "@" in a
 * path. */
void url_mask(const char *text, char *masked);

/* The next key and its decoded value: 1, 0 at the end, or FERRY_E_CONFIG.  Moves url->query forward. */
int url_next_setting(struct url *url, const char **ret_key, const char **ret_value, struct ferry_error *err);

#endif
