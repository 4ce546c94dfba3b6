#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "url.h"

static const struct {
	const char *text, *scheme, *user, *password, *hosts, *path, *masked;
} good[] = {
	{"memory:", "memory", "", "", "", "", "memory:"},
	{"memory:?", "memory", "", "", "", "", "memory:"},
	{"memory://", "memory", "", "", "", "", "memory://"},
	{"sqlite:/tmp/x.db", "sqlite", "", "", "", "/tmp/x.db", "sqlite:/tmp/x.db"},
	{"sqlite:x?a=b://u:p@h", "sqlite", "", "", "", "x", "sqlite:x"},
	{"sqlite:x://u:p@h", "sqlite", "", "", "", "x://u:p@h", "sqlite:***@h"},
	{"redis:/u:p@h", "redis", "", "", "", "/u:p@h", "redis:***@h"},
	{"sqlite:x.db?sync=off", "sqlite", "", "", "", "x.db", "sqlite:x.db"},
	{"sqlite:/a%20b%3F/c@d:e", "sqlite", "", "", "", "/a b?/c@d:e", "sqlite:***@d:e"},
	{"sqlite:///tmp/x.db", "sqlite", "", "", "", "/tmp/x.db", "sqlite:///tmp/x.db"},
	{"kafka://a:9092,b:9092?x=1", "kafka", "", "", "a:9092,b:9092", "", "kafka://a:9092,b:9092"},
	{"redis://h", "redis", "", "", "h", "", "redis://h"},
	{"redis://h/", "redis", "", "", "h", "/", "redis://h/"},
	{"redis://h:6379/0?prefix=f:", "redis", "", "", "h:6379", "/0", "redis://h:6379/0"},
	{"redis://u:p@h/0", "redis", "u", "p", "h", "/0", "redis://u:***@h/0"},
	{"redis://:p@h", "redis", "", "p", "h", "", "redis://:***@h"},
	{"redis://u:@h", "redis", "u", "", "h", "", "redis://u:***@h"},
	{"redis://u@h", "redis", "u", "", "h", "", "redis://***@h"},
	{"redis://u:p:q@h", "redis", "u", "p:q", "h", "", "redis://u:***@h"},
	{"redis://u%3A1:p%40%2F%3f%25@h", "redis", "u:1", "p@/?%", "h", "", "redis://u%3A1:***@h"},
	{"nats://u:p@a:4222,b:4222", "nats", "u", "p", "a:4222,b:4222", "", "nats://u:***@a:4222,b:4222"},
	{"redis://[::1]:6379/2", "redis", "", "", "[::1]:6379", "/2", "redis://[::1]:6379/2"},
	{"redis://[fe80::1],[::1]", "redis", "", "", "[fe80::1],[::1]", "", "redis://[fe80::1],[::1]"},
	{"tls://h.example.org:4222", "tls", "", "", "h.example.org:4222", "", "tls://h.example.org:4222"},
	{"a-1:caf\xC3\xA9", "a-1", "", "", "", "caf\xC3\xA9", "a-1:caf\xC3\xA9"},
};

Test(url, is_taken_apart)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct url url;
		struct ferry_error err = {0};
		char masked[100], *text = strdup(good[i].text);
		cr_assert_eq(url_check(text, &err), 0, "%s: %s", good[i].text, err.text);
		url_mask(text, masked);
		cr_assert_eq(url_parse(&url, text, &err), 0, "%s: %s", good[i].text, err.text);
		cr_expect_str_eq(url.scheme, good[i].scheme);
		cr_expect_str_eq(url.user, good[i].user);
		cr_expect_str_eq(url.password, good[i].password);
		cr_expect_str_eq(url.hosts, good[i].hosts);
		cr_expect_str_eq(url.path, good[i].path);
		cr_expect_str_eq(masked, good[i].masked);
		cr_expect(strlen(masked) + 1 <= strlen(good[i].text) + URL_MASK_EXTRA);
		free(text);
	}
}

static const struct {
	const char *text, *naming;
} bad[] = {
	{"", "the URL is empty"},
	{" memory:", "a space or control character at offset 0"},
	{"memory:\n", "a space or control character at offset 7"},
	{"memory:a b", "at offset 8"},
	{"memory:\x7F", "at offset 7"},
	{"memory:#x", "a '#' at offset 7: write it as %23"},
	{"memory:\xFF", "not valid UTF-8"},
	{"memory:\xC3", "not valid UTF-8"},
	{"memory", "has no scheme"},
	{"/tmp/x.db", "has no scheme"},
	{":", "scheme"},
	{"://h", "scheme"},
	{"Redis://h", "expected 1 to 40 of a-z, 0-9 and '-'"},
	{"../memory:", "scheme"},
	{"me/mory:", "scheme"},
	{"me_mory:", "scheme"},
	{"a2345678901234567890123456789012345678901:", "scheme"},
	{"sqlite:%", "the URL's path has a '%'"},
	{"sqlite:%0", "the URL's path has a '%'"},
	{"sqlite:%0g", "the URL's path has a '%'"},
	{"sqlite:%00", "(and not 00)"},
	{"redis://h/%zz", "the URL's path has a '%'"},
	{"redis://%zz:secret@h", "the URL's user has a '%'"},
	{"redis://u:secret%@h", "the URL's password has a '%'"},
	{"redis://u:secret%4@h", "the URL's password has a '%'"},
	{"redis://u:sec%00ret@h", "the URL's password has a '%'"},
	/* a password that was not encoded, or whose '@host' was forgotten, is nowhere quoted */
	{"redis://u:secret", "host number 1"},
	{"redis://u:sec/ret@h", "'@' behind its hosts"},
	{"redis://u:sec?ret@h", "'@' behind its hosts"},
	{"redis://u:sec?secret=1@h", "'@' behind its hosts"},
	{"redis://u:se@c/ret@h", "'@' behind its hosts"},
	{"redis://u:secret@h/0@secret", "'@' behind its hosts"},
	{"redis://u:sec@ret@h", "more than one '@'"},
	{"nats://u:secret@a,u:secret@b", "more than one '@'"},
	{"redis://u:sec#ret@h", "'#' at offset 13"},
	{"redis://u:sec ret@h", "at offset 13"},
	/* hosts */
	{"kafka://a,", "host number 2"},
	{"kafka://,a", "host number 1"},
	{"kafka://a,,b", "host number 2"},
	{"kafka://a:0", "a port from 1 to 65535"},
	{"kafka://a:65536", "a port from 1 to 65535"},
	{"kafka://a:9092x", "host number 1"},
	{"kafka://a:", "host number 1"},
	{"kafka://:9092", "host number 1"},
	{"kafka://a:1:2", "host number 1"},
	{"kafka://a:-1", "host number 1"},
	{"kafka://a;b", "host number 1"},
	{"kafka://caf\xC3\xA9", "host number 1"},
	{"redis://[::1", "host number 1"},
	{"redis://[]", "host number 1"},
	{"redis://[::1]x", "host number 1"},
	{"redis://[::g]", "host number 1"},
	{"redis://[::1]:", "host number 1"},
	{"redis://::1", "host number 1"},
	{"redis://[::1,b]", "host number 1"},
};

Test(url, what_is_wrong_is_named_and_no_secret_is)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct url url;
		struct ferry_error err = {0};
		char *text = strdup(bad[i].text);
		cr_expect_eq(url_parse(&url, text, &err), FERRY_E_CONFIG, "%s", bad[i].text);
		cr_expect_eq(err.code, FERRY_E_CONFIG, "%s", bad[i].text);
		cr_expect(strstr(err.text, bad[i].naming), "%s: %s", bad[i].text, err.text);
		cr_expect_not(strstr(err.text, "sec") || strstr(err.text, "ret"), "%s: %s", bad[i].text,
			      err.text);
		free(text);
	}
}

Test(url, has_a_longest_length)
{
	struct url url;
	struct ferry_error err = {0};
	char *text = malloc(URL_MAX + 2);
	memset(text, 'a', URL_MAX + 1);
	memcpy(text, "memory:", 7);
	text[URL_MAX] = '\0';
	cr_expect_eq(url_parse(&url, text, &err), 0, "%s", err.text);
	memset(text, 'a', URL_MAX + 1);
	memcpy(text, "memory:", 7);
	text[URL_MAX + 1] = '\0';
	cr_expect_eq(url_parse(&url, text, &err), FERRY_E_CONFIG);
	cr_expect(strstr(err.text, "longer than 16384 bytes"), "%s", err.text);
	free(text);
}

Test(url, settings_come_one_after_the_other)
{
	static const char *const expected[] = {"a", "1", "b.c_d-E", "x y&=%", "empty", "", "eq", "a=b?/@:+"};
	char text[] = "memory:?a=1&b.c_d-E=x%20y%26%3D%25&empty=&eq=a=b?/@:+";
	const char *key, *value;
	struct url url;
	struct ferry_error err = {0};
	cr_assert_eq(url_parse(&url, text, &err), 0, "%s", err.text);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i += 2) {
		cr_assert_eq(url_next_setting(&url, &key, &value, &err), 1, "%s", err.text);
		cr_expect_str_eq(key, expected[i]);
		cr_expect_str_eq(value, expected[i + 1]);
	}
	cr_expect_eq(url_next_setting(&url, &key, &value, &err), 0);
	cr_expect_eq(url_next_setting(&url, &key, &value, &err), 0);
}

static const struct {
	const char *text, *naming;
} bad_queries[] = {
	{"memory:?a", "the setting 'a' has no value: write a=VALUE"},
	{"memory:?=1", "a key that is not valid"},
	{"memory:?&a=1", "a key that is not valid"},
	{"memory:?a=1&", "ends in '&'"},
	{"memory:?a=1&&b=1", "a key that is not valid"},
	{"memory:?a=secret%", "the setting 'a' has a '%'"},
	{"memory:?a=secret%00", "(and not 00)"},
	{"memory:?a=secret%q0", "write '%' as %25"},
	{"memory:?a%20b=1", "a key that is not valid"},
	{"memory:?secret/x=1", "a key that is not valid"},
	{"memory:?secret@h", "a key that is not valid"},
	{"memory:?secret,secret=1", "a key that is not valid"},
};

Test(url, a_broken_query_is_named)
{
	for (size_t i = 0; i < sizeof(bad_queries) / sizeof(bad_queries[0]); i++) {
		const char *key, *value;
		struct url url;
		struct ferry_error err = {0};
		char *text = strdup(bad_queries[i].text);
		int result;
		cr_assert_eq(url_parse(&url, text, &err), 0, "%s: %s", bad_queries[i].text, err.text);
		do {
			result = url_next_setting(&url, &key, &value, &err);
		} while (result == 1);
		cr_expect_eq(result, FERRY_E_CONFIG, "%s", bad_queries[i].text);
		cr_expect(strstr(err.text, bad_queries[i].naming), "%s: %s", bad_queries[i].text, err.text);
		cr_expect_not(strstr(err.text, "secret"), "%s: %s", bad_queries[i].text, err.text);
		free(text);
	}
}
