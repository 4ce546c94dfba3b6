/*
 * bytes_test.c - buffers, commands and the ids of entries.
 */
#include "bytes.h"

#include <inttypes.h>

#include "unit_test.h"

static struct bytes empty(void)
{
	return (struct bytes){.host = &unit_host};
}

static void check_bytes(const struct bytes *bytes, const char *should, size_t size)
{
	CHECK(!bytes->failed);
	CHECK_EQ(bytes->size, size);
	CHECK(!memcmp(bytes->data, should, size));
}

static void a_command_is_an_array_of_texts(void)
{
	static const char should[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n";
	struct bytes out = empty();
	command(&out, "SET", "k", "", NULL);
	check_bytes(&out, should, sizeof should - 1);
	bytes_free(&out);
}

static void arguments_are_bytes_numbers_and_ids(void)
{
	static const char should[] = "*5\r\n$4\r\na\0\r\n\r\n$20\r\n-9223372036854775808\r\n$1\r\n0\r\n"
				     "$41\r\n18446744073709551615-18446744073709551615\r\n$0\r\n\r\n";
	struct bytes out = empty();
	command_begin(&out, 5);
	command_data(&out, "a\0\r\n", 4);
	command_number(&out, INT64_MIN);
	command_number(&out, 0);
	command_id(&out, (struct entry_id){UINT64_MAX, UINT64_MAX});
	command_data(&out, NULL, 0);
	check_bytes(&out, should, sizeof should - 1);
	bytes_free(&out);
}

static void grows_as_far_as_it_is_filled(void)
{
	struct bytes out = empty();
	char piece[997];
	for (int i = 0; i < 500; i++) {
		memset(piece, i % 251, sizeof piece);
		bytes_add(&out, piece, sizeof piece);
	}
	CHECK_EQ(out.size, 500 * sizeof piece);
	for (int i = 0; i < 500; i++)
		CHECK_EQ((unsigned char)out.data[(size_t)i * sizeof piece], i % 251);
	bytes_free(&out);
}

static void keeps_memory_up_to_a_bound(void)
{
	struct bytes out = empty();
	bytes_add(&out, "abc", 3);
	bytes_clear(&out, 4096);
	CHECK(out.size == 0 && unit_allocations == 1);
	CHECK(bytes_room(&out, 5000));
	bytes_clear(&out, 4096);
	CHECK(out.size == 0 && unit_allocations == 0);
	bytes_add(&out, "d", 1);
	check_bytes(&out, "d", 1);
	bytes_free(&out);
}

static void remembers_that_memory_was_missing(void)
{
	struct bytes out = empty();
	unit_allocs_allowed = 0;
	command(&out, "PING", NULL);
	CHECK(out.failed && out.size == 0);
	unit_allocs_allowed = -1;
	bytes_add(&out, "x", 1);
	CHECK(out.failed);
	bytes_clear(&out, 4096);
	bytes_add(&out, "y", 1);
	check_bytes(&out, "y", 1);
	bytes_free(&out);
}

static void ids_are_read_as_they_are_written(void)
{
	static const struct entry_id ids[] = {
		{0, 0}, {0, 1}, {1, 0}, {1700000000000, 7}, {UINT64_MAX, UINT64_MAX}};
	char text[ENTRY_ID_TEXT];
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		struct entry_id back = {9, 9};
		CHECK_EQ(entry_id_format(ids[i], text), strlen(text));
		CHECK(entry_id_parse(text, &back) && !entry_id_compare(back, ids[i]));
		for (size_t j = 0; j < sizeof ids / sizeof ids[0]; j++)
			CHECK_EQ(entry_id_compare(ids[i], ids[j]), (i > j) - (i < j));
	}
}

static void what_is_no_id_is_refused(void)
{
	static const char *const texts[] = {"", "-", "1", "1-", "-1-", "1-2-3", "1-2x", "x1-2", "$", ">"};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct entry_id id = {9, 9};
		CHECK(!entry_id_parse(texts[i], &id));
		CHECK(id.ms == 9 && id.seq == 9);
	}
}

const struct unit_test unit_tests[] = {
	TEST(a_command_is_an_array_of_texts),    TEST(arguments_are_bytes_numbers_and_ids),
	TEST(grows_as_far_as_it_is_filled),      TEST(keeps_memory_up_to_a_bound),
	TEST(remembers_that_memory_was_missing), TEST(ids_are_read_as_they_are_written),
	TEST(what_is_no_id_is_refused),          {NULL, NULL},
};
