/*
 * reply_test.c - replies, however they come in pieces and whatever memory there is.
 */
#include "reply.h"

#include <hiredis/hiredis.h>

#include "unit_test.h"

/* One of each kind, and one as deep as XREADGROUP's. */
static const char stream[] = "+OK\r\n"
			     "-NOGROUP no such group\r\n"
			     ":-42\r\n"
			     "$5\r\na\0\r\nb\r\n"
			     "$0\r\n\r\n"
			     "$-1\r\n"
			     "*-1\r\n"
			     "*0\r\n"
			     "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nd\r\n$2\r\nhi\r\n"
			     "*4\r\n$4\r\nname\r\n$1\r\ng\r\n$7\r\npending\r\n:3\r\n";

static void check_kind(const struct reply *reply, int type, size_t size, const char *text)
{
	CHECK_EQ(reply->type, type);
	CHECK_EQ(reply->size, size);
	CHECK(!memcmp(reply->text, text, size) && !reply->text[size]);
}

static void check_empty(const struct reply *reply, int type)
{
	CHECK_EQ(reply->type, type);
	CHECK_EQ(reply->size, 0);
	CHECK_TEXT(reply->text, "");
}

static void check_deep(const struct reply *reply)
{
	CHECK(reply_is_array(reply, 1) && !reply_is_array(reply, 2));
	const struct reply *one = reply->items[0];
	CHECK(reply_is_array(one, 2));
	CHECK_TEXT(one->items[0]->text, "s");
	const struct reply *entry = one->items[1]->items[0];
	CHECK_TEXT(entry->items[0]->text, "1-0");
	CHECK_TEXT(entry->items[1]->items[0]->text, "d");
	CHECK_TEXT(entry->items[1]->items[1]->text, "hi");
}

static void check_map(const struct reply *reply)
{
	CHECK_TEXT(reply_value(reply, "name")->text, "g");
	CHECK_EQ(reply_value(reply, "pending")->integer, 3);
	CHECK(!reply_value(reply, "lag"));
	CHECK(!reply_value(reply->items[0], "name"));
}

/* The number-th reply of the stream. */
static void check_reply(const struct reply *reply, int number)
{
	switch (number) {
	case 0:
		check_kind(reply, REDIS_REPLY_STATUS, 2, "OK");
		break;
	case 1:
		check_kind(reply, REDIS_REPLY_ERROR, 21, "NOGROUP no such group");
		CHECK(reply_is_error(reply));
		break;
	case 2:
		CHECK_EQ(reply->type, REDIS_REPLY_INTEGER);
		CHECK_EQ(reply->integer, -42);
		break;
	case 3:
		check_kind(reply, REDIS_REPLY_STRING, 5, "a\0\r\nb");
		break;
	case 4:
		check_empty(reply, REDIS_REPLY_STRING);
		break;
	case 5:
	case 6:
		check_empty(reply, REDIS_REPLY_NIL);
		break;
	case 7:
		CHECK(reply_is_array(reply, 0) && !reply_is_array(reply, 1));
		break;
	case 8:
		check_deep(reply);
		break;
	default:
		check_map(reply);
	}
}

#define REPLIES 10

/* Take what is complete; how many replies there were before is given and returned. */
static int take(struct reply_reader *reader, int number)
{
	const struct reply *reply;
	int got;
	while ((got = reply_next(reader, &reply)) > 0)
		check_reply(reply, number++);
	CHECK_EQ(got, 0);
	return number;
}

static void is_split_anywhere(void)
{
	for (size_t split = 0; split < sizeof stream; split++) {
		struct reply_reader *reader = reply_reader_make(&unit_host, NULL);
		int number = 0;
		if (split) {
			CHECK(reply_feed(reader, stream, split));
			number = take(reader, number);
		}
		if (split < sizeof stream - 1) {
			CHECK(reply_feed(reader, stream + split, sizeof stream - 1 - split));
			number = take(reader, number);
		}
		CHECK_EQ(number, REPLIES);
		reply_reader_free(reader);
	}
}

static void comes_byte_by_byte(void)
{
	struct reply_reader *reader = reply_reader_make(&unit_host, NULL);
	int number = 0;
	for (size_t i = 0; i < sizeof stream - 1; i++) {
		CHECK(reply_feed(reader, stream + i, 1));
		number = take(reader, number);
	}
	CHECK_EQ(number, REPLIES);
	reply_reader_free(reader);
}

static void says_that_it_is_no_reply(void)
{
	static const char *const texts[] = {"HTTP/1.1 400 Bad Request\r\n",
					    "\x15\x03\x01\x00\x02\x02\x46\r\n", "*1\r\n!\r\n"};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		const struct reply *reply;
		struct reply_reader *reader = reply_reader_make(&unit_host, NULL);
		CHECK(reply_feed(reader, texts[i], 7));
		CHECK_EQ(reply_next(reader, &reply), -1);
		reply_reader_free(reader);
	}
}

/* However few allocations succeed: -1 or the right reply, and nothing is left over. */
static void lacks_memory_anywhere(void)
{
	long allowed = 0;
	for (int number = 0; number < REPLIES; allowed++) {
		const struct reply *reply;
		unit_allocs_allowed = allowed;
		struct reply_reader *reader = reply_reader_make(&unit_host, NULL);
		number = 0;
		if (reader && reply_feed(reader, stream, sizeof stream - 1))
			while (reply_next(reader, &reply) > 0)
				check_reply(reply, number++);
		unit_allocs_allowed = -1;
		reply_reader_free(reader);
		CHECK_EQ(unit_allocations, 0);
		CHECK(allowed < 100);
	}
	CHECK(allowed > 1);
}

static void add_text(struct reply_reader *reader, size_t size)
{
	char head[32];
	char *text = malloc(size);
	CHECK(text);
	memset(text, 'x', size);
	CHECK(reply_feed(reader, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", size)));
	CHECK(reply_feed(reader, text, size) && reply_feed(reader, "\r\n", 2));
	free(text);
}

static void gives_the_memory_of_a_large_reply_back(void)
{
	const struct reply *reply;
	struct reply_reader *reader = reply_reader_make(&unit_host, NULL);
	add_text(reader, 8 << 20);
	CHECK_EQ(reply_next(reader, &reply), 1);
	CHECK_EQ(reply->size, 8 << 20);
	CHECK(unit_bytes > 8 << 20);
	add_text(reader, 10);
	CHECK_EQ(reply_next(reader, &reply), 1);
	CHECK_TEXT(reply->text, "xxxxxxxxxx");
	CHECK(unit_bytes < 2 << 20);
	reply_reader_free(reader);
}

const struct unit_test unit_tests[] = {
	TEST(is_split_anywhere),
	TEST(comes_byte_by_byte),
	TEST(says_that_it_is_no_reply),
	TEST(lacks_memory_anywhere),
	TEST(gives_the_memory_of_a_large_reply_back),
	{NULL, NULL},
};
