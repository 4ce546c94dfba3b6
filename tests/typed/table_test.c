/*
 * table_test.c - a topic whose table or codec cannot be right is refused before anything is sent or received.
 */
#include "typed_test.h"

struct faulty {
	const int32_t *a, *b;
	size_t a_count, b_count;
	const char *text;
	const char *const *texts;
	size_t text_count;
	bool has_x, flag;
	int32_t x, y;
	double ratio;
	struct ferry_json raw;
	enum currency currency;
	const struct faulty *next;
};
FERRY_STRUCT_DECLARE(faulty, struct faulty);
FERRY_ENUM_DEFINE(currency, {CURRENCY_EUR, "EUR"}, {CURRENCY_USD, "USD"});

/* A topic of these fields is refused with "test.faulty: field <SENTENCE>". */
#define REFUSED_FIELDS(SENTENCE, ...)                                                                  \
	do {                                                                                           \
		typedef struct faulty ferry_self;                                                      \
		FERRY_TABLE_BEGIN_                                                                     \
		static const struct ferry_field fields[] = {__VA_ARGS__};                              \
		FERRY_TABLE_END_                                                                       \
		faulty_struct = (struct ferry_struct){.size = sizeof faulty_struct,                    \
						      .field_size = sizeof fields[0],                  \
						      .name = "faulty",                                \
						      .fields = fields,                                \
						      .field_count = sizeof fields / sizeof fields[0], \
						      .struct_size = sizeof(ferry_self)};              \
		both_refuse(&faulty_topic, "test.faulty: field " SENTENCE);                            \
	} while (0)

static struct ferry_struct faulty_struct;

const struct ferry_struct *faulty_fields(void)
{
	return &faulty_struct;
}

static const struct ferry_topic faulty_topic = {
	.size = sizeof faulty_topic, .name = "test.faulty", .version = 1, .fields = faulty_fields};

/* With two lists of one count the payload {"a":[1],"b":[1,2,3]} leaves a list of one with a count of three.
 */
static void what_counts_belongs_to_one_list(void)
{
	REFUSED_FIELDS("b of faulty: its count is that of a too: each list needs its own",
		       FERRY_LIST(a, a_count), FERRY_LIST(b, a_count));
	REFUSED_FIELDS("texts of faulty: its count is that of a too: each list needs its own",
		       FERRY_LIST(a, a_count), FERRY_FIELD(x), FERRY_LIST(texts, a_count));
	REFUSED_FIELDS("again of faulty: it is the same list as a, with another count",
		       FERRY_LIST(a, a_count), FERRY_LIST(a, b_count, .name = "again"));
	REFUSED_FIELDS("a_count of faulty: it is the count of a, which a payload may not set",
		       FERRY_LIST(a, a_count), FERRY_FIELD(a_count));
	REFUSED_FIELDS("a of faulty: its count is the field n, which a payload may not set",
		       FERRY_FIELD(a_count, .name = "n"), FERRY_LIST(a, a_count));
	REFUSED_FIELDS("y of faulty: its `has` is that of x too: each needs its own", FERRY_OPTIONAL(x),
		       FERRY_FIELD(y, .has = FERRY_HAS(has_x)));
}

static void names_are_told_apart(void)
{
	REFUSED_FIELDS("x of faulty: another field is called x too", FERRY_FIELD(x),
		       FERRY_FIELD(y, .name = "x"));
	REFUSED_FIELDS("number 2 of faulty: its name is empty", FERRY_FIELD(x), FERRY_FIELD(y, .name = ""));
	REFUSED_FIELDS("number 1 of faulty: its name is NULL", FERRY_FIELD(x, .name = NULL));
	REFUSED_FIELDS("a? of faulty: its name is not UTF-8", FERRY_FIELD(x, .name = "a\377"));
}

static void bounds_leave_something(void)
{
	REFUSED_FIELDS("x of faulty: no value is between min and max", FERRY_FIELD(x, .min = 3, .max = 2));
	REFUSED_FIELDS("ratio of faulty: no value is between min and max", FERRY_FIELD(ratio, .max = NAN));
	REFUSED_FIELDS("text of faulty: no length is between min_length and max_length",
		       FERRY_FIELD(text, .min_length = 3, .max_length = 2));
	REFUSED_FIELDS("a of faulty: no number of items is between min_items and max_items",
		       FERRY_LIST(a, a_count, .min_items = 1, .max_items = 0));
}

static void constraints_fit_their_kind(void)
{
	REFUSED_FIELDS("text of faulty: min and max are for numbers", FERRY_FIELD(text, .min = 0));
	REFUSED_FIELDS("flag of faulty: min and max are for numbers", FERRY_FIELD(flag, .max = 1));
	REFUSED_FIELDS("texts of faulty: min and max are for numbers",
		       FERRY_LIST(texts, text_count, .max = 9));
	REFUSED_FIELDS("raw of faulty: min and max are for numbers", FERRY_FIELD(raw, .min = 1));
	REFUSED_FIELDS("currency of faulty: min and max are for numbers",
		       FERRY_ENUM(currency, currency, .max = 7));
	REFUSED_FIELDS("x of faulty: min_length and max_length are for strings",
		       FERRY_FIELD(x, .max_length = 4));
	REFUSED_FIELDS("a of faulty: min_length and max_length are for strings",
		       FERRY_LIST(a, a_count, .min_length = 1));
	REFUSED_FIELDS("text of faulty: min_items and max_items are for lists",
		       FERRY_FIELD(text, .min_items = 1));
	REFUSED_FIELDS("next of faulty: min_items and max_items are for lists",
		       FERRY_OBJECT(next, faulty, .max_items = 1));
}

struct outer {
	const struct outer *self;
	const struct faulty *inner;
};
FERRY_TOPIC_DECLARE(outer, struct outer);
FERRY_TOPIC_DEFINE(outer, struct outer, "test.outer", 1, FERRY_OBJECT(self, outer),
		   FERRY_OBJECT(inner, faulty));

static void structs_inside_are_checked(void)
{
	REFUSED_FIELDS("a of faulty: no number of items is between min_items and max_items",
		       FERRY_OBJECT(next, faulty), FERRY_LIST(a, a_count, .min_items = 2, .max_items = 1));
	both_refuse(&outer_topic, "test.outer: field a of faulty: no number of items is between min_items "
				  "and max_items");
}

static void sound_tables_are_taken(void)
{
	struct ferry_error err = {0};
	const struct ferry_topic *const sound[] = {&order_topic, &widths_topic, &tree_topic};
	for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++) {
		OK(open_publisher(sound[i], &err), &err);
		OK(open_subscription(sound[i], &err), &err);
	}
}

const struct typed_test table_tests[] = {
	{"what_counts_belongs_to_one_list", what_counts_belongs_to_one_list},
	{"names_are_told_apart", names_are_told_apart},
	{"bounds_leave_something", bounds_leave_something},
	{"constraints_fit_their_kind", constraints_fit_their_kind},
	{"structs_inside_are_checked", structs_inside_are_checked},
	{"sound_tables_are_taken", sound_tables_are_taken},
	{NULL, NULL},
};
