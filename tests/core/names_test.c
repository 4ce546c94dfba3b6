#include <criterion/criterion.h>

#include <string.h>

#include "names.h"

/* `length` times the letter 'a'. */
static const char *long_name(size_t length)
{
	static char name[512];
	memset(name, 'a', length);
	name[length] = '\0';
	return name;
}

static const struct {
	const char *name;
	bool topic, group, transport, attribute;
} names[] = {
	/* name, topic, group, transport, attribute */
	{"a", true, true, true, true},
	{"order", true, true, true, true},
	{"order.placed", true, false, false, true},
	{"Order_Placed-2", true, true, false, true},
	{"order-placed", true, true, true, true},
	{"0", true, true, true, true},
	{"-", true, true, true, true},
	{"", false, false, false, false},
	{".", false, false, false, true},
	{"..", false, false, false, true},
	{".a", false, false, false, true},
	{"a.", false, false, false, true},
	{"a..b", false, false, false, true},
	{"a b", false, false, false, false},
	{" a", false, false, false, false},
	{"a\n", false, false, false, false},
	{"a/b", false, false, false, false},
	{"a*b", false, false, false, false},
	{"a>b", false, false, false, false},
	{"a:b", false, false, false, false},
	{"a%b", false, false, false, false},
	{"caf\xC3\xA9", false, false, false, false},
	{"a\x7F", false, false, false, false},
};

Test(names, charsets_are_as_documented)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *name = names[i].name;
		cr_expect_eq(name_is_topic(name), names[i].topic, "topic '%s'", name);
		cr_expect_eq(name_is_derived_topic(name), names[i].topic, "derived topic '%s'", name);
		cr_expect_eq(name_is_group(name), names[i].group, "group '%s'", name);
		cr_expect_eq(name_is_transport(name), names[i].transport, "transport '%s'", name);
		cr_expect_eq(name_is_attribute(name), names[i].attribute, "attribute '%s'", name);
	}
}

Test(names, every_byte_outside_the_charset_is_refused)
{
	for (int byte = 1; byte < 256; byte++) {
		char name[] = {'a', (char)byte, 'b', '\0'};
		bool alnum = byte < 128 &&
			     strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", byte);
		cr_expect_eq(name_is_topic(name), alnum || strchr("._-", byte), "byte %d", byte);
		cr_expect_eq(name_is_group(name), alnum || strchr("_-", byte), "byte %d", byte);
	}
}

Test(names, lengths_end_where_documented)
{
	cr_expect(name_is_topic(long_name(200)));
	cr_expect_not(name_is_topic(long_name(201)));
	cr_expect(name_is_derived_topic(long_name(249)));
	cr_expect_not(name_is_derived_topic(long_name(250)));
	cr_expect(name_is_group(long_name(40)));
	cr_expect_not(name_is_group(long_name(41)));
	cr_expect(name_is_transport(long_name(40)));
	cr_expect_not(name_is_transport(long_name(41)));
	cr_expect(name_is_attribute(long_name(128)));
	cr_expect_not(name_is_attribute(long_name(129)));
}

Test(names, the_wire_keeps_its_attributes)
{
	static const char *const reserved[] = {
		"content-type", "Content-Type", "traceparent", "TRACESTATE",    "baggage",     "ce_id",
		"CE_id",        "ce-source",    "ferry-",      "Ferry-Attempt", "Nats-Msg-Id", "nats-x",
	};
	static const char *const open[] = {
		"content-types", "content_type", "traceparents", "ce",     "cex",
		"ferry",         "ferry_x",      "nats",         "region", "",
	};
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		cr_expect(name_is_reserved_attribute(reserved[i]), "%s", reserved[i]);
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		cr_expect_not(name_is_reserved_attribute(open[i]), "%s", open[i]);
}

static const struct {
	const char *text;
	size_t size;
	bool valid;
} texts[] = {
	{"", 0, true},
	{"plain", 5, true},
	{"\xC2\x80", 2, true},
	{"\xDF\xBF", 2, true},
	{"\xE0\xA0\x80", 3, true},
	{"\xED\x9F\xBF", 3, true},
	{"\xEE\x80\x80", 3, true},
	{"\xEF\xBF\xBF", 3, true},
	{"\xF0\x90\x80\x80", 4, true},
	{"\xF4\x8F\xBF\xBF", 4, true},
	{"a\0b", 3, false}, /* NUL */
	{"\x80", 1, false}, /* a continuation alone */
	{"\xC2", 1, false}, /* cut off */
	{"\xC2"
	 "a",
	 2, false},
	{"\xC0\x80", 2, false}, /* longer than needed */
	{"\xC1\xBF", 2, false},
	{"\xE0\x9F\xBF", 3, false},
	{"\xF0\x8F\xBF\xBF", 4, false},
	{"\xED\xA0\x80", 3, false}, /* surrogates */
	{"\xED\xBF\xBF", 3, false},
	{"\xF4\x90\x80\x80", 4, false}, /* past the last character */
	{"\xF5\x80\x80\x80", 4, false},
	{"\xFF", 1, false},
	{"\xE2\x82", 2, false},
	{"\xE2\x82"
	 "a",
	 3, false},
	{"\xF0\x9F\x98", 3, false},
	{"ok \xF0\x9F\x98\x80 ok", 10, true},
};

Test(names, utf8_is_checked_to_the_letter)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_expect_eq(text_is_utf8(texts[i].text, texts[i].size), texts[i].valid, "text number %zu",
			     i);
}

Test(names, topics_collide_when_kafka_cannot_tell_them_apart)
{
	cr_expect(names_collide("a.b", "a_b"));
	cr_expect(names_collide("a_b.c", "a.b_c"));
	cr_expect_not(names_collide("a.b", "a.b"));
	cr_expect_not(names_collide("a.b", "a-b"));
	cr_expect_not(names_collide("a.b", "a_bc"));
	cr_expect_not(names_collide("a.bc", "a_b"));
}

static const struct {
	const char *word, *nearest;
} words[] = {
	{"queue", "queue"},
	{"quue", "queue"},
	{"queuee", "queue"},
	{"uqeue", "queue"},
	{"uqeeu", "queue"},
	{"que", "queue"},
	{"qu", NULL},
	{"max_mesage", "max_message"},
	{"maxmessage", "max_message"},
	{"message_max", NULL},
	{"max-message", "max_message"},
	{"QUEUE", NULL},
	{"x", NULL},
	{"", NULL},
	{"xy", NULL},
	{"retain", "retain"},
	{"retian", "retain"},
	{"publish_timeout_ms", "publish_timeout"},
};

Test(names, the_nearest_name_is_near)
{
	static const char *const known[] = {"queue", "retain", "max_message", "publish_timeout", "qux"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const char *nearest = name_nearest(words[i].word, known, 4);
		cr_expect(nearest == words[i].nearest ||
				  (nearest && words[i].nearest && strcmp(nearest, words[i].nearest) == 0),
			  "'%s' gives '%s'", words[i].word, nearest ? nearest : "nothing");
	}
	cr_expect_null(name_nearest("queue", NULL, 0));
	cr_expect_null(name_nearest(long_name(500), known, 4));
}
