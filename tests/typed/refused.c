/*
 * refused.c - mistakes that must not compile.  compile.sh defines one name at a time and looks for the words
 * that follow it in what the compiler says; without any, the file is right.
 */
#include <ferry/ferry.h>

enum color { RED, BLUE };
struct small {
	int32_t a;
};
struct note {
	const char *text;
	int64_t number;
	float fraction;
	char letters[8];
	int32_t *pointer;
	enum color color;
	enum color palette[2];
	const enum color *colors;
	struct small small;
	const struct small *smalls;
	size_t small_count, color_count;
	int counted;
	bool has_number;
};
struct other {
	int x;
};
FERRY_STRUCT_DECLARE(small, struct small);
FERRY_TOPIC_DECLARE(note, struct note);
FERRY_TOPIC_DECLARE(other, struct other);

FERRY_STRUCT_DEFINE(small, struct small, FERRY_FIELD(a));
FERRY_ENUM_DEFINE(color, {RED, "red"}, {BLUE, "blue"});
FERRY_TOPIC_DEFINE(other, struct other, "other", 1, FERRY_FIELD(x, .min = 0));
#ifdef UNSUPPORTED_MEMBER /* float \*|not compatible with any association */
#define MISTAKE , FERRY_FIELD(fraction)
#endif
#ifdef ARRAY_MEMBER /* char \(\*\)\[8\] */
#define MISTAKE , FERRY_FIELD(letters)
#endif
#ifdef POINTER_MEMBER /* int(32_t)? \*\* */
#define MISTAKE , FERRY_FIELD(pointer)
#endif
#ifdef MISSPELT_MEMBER /* no member named .txet. */
#define MISTAKE , FERRY_FIELD(txet)
#endif
#ifdef MISSPELT_CONSTRAINT /* requird */
#define MISTAKE , FERRY_FIELD(text, .requird = true)
#endif
#ifdef NO_HAS /* no member named .has_text. */
#define MISTAKE , FERRY_OPTIONAL(text)
#endif
#ifdef HAS_IS_NO_BOOL /* int \* */
#define MISTAKE , FERRY_FIELD(text, .has = FERRY_HAS(counted))
#endif
#ifdef COUNT_IS_NO_SIZE /* int \* */
#define MISTAKE , FERRY_OBJECT_LIST(smalls, counted, small)
#endif
#ifdef OBJECT_OF_ANOTHER_STRUCT /* struct small \* */
#define MISTAKE , FERRY_OBJECT(small, other)
#endif
#ifdef LIST_OF_ANOTHER_STRUCT /* const struct small \*\* */
#define MISTAKE , FERRY_OBJECT_LIST(smalls, small_count, other)
#endif
#ifdef ENUM_IS_A_STRING /* const char \*\* */
#define MISTAKE , FERRY_ENUM(text, color)
#endif
#ifdef UNKNOWN_ENUM /* colour_values */
#define MISTAKE , FERRY_ENUM(color, colour)
#endif
#ifdef ENUM_LIST_IS_AN_ARRAY /* array type .*not assignable|assignment to expression with array type */
#define MISTAKE , FERRY_ENUM_LIST(palette, small_count, color)
#endif
#ifdef ENUM_LIST_OF_OTHERS /* struct small|not compatible */
#define MISTAKE , FERRY_ENUM_LIST(smalls, small_count, color)
#endif
#ifndef MISTAKE
#define MISTAKE
#endif

FERRY_TOPIC_DEFINE(note, struct note, "note", 1, FERRY_FIELD(text, .required = true, .min_length = 0),
		   FERRY_OPTIONAL(number, .min = 0), FERRY_ENUM(color, color),
		   FERRY_ENUM_LIST(colors, color_count, color), FERRY_OBJECT(small, small),
		   FERRY_OBJECT_LIST(smalls, small_count, small, .min_items = 0) MISTAKE);

#ifdef ANOTHER_STRUCT_IS_DEFINED /* struct other \* */
FERRY_TOPIC_DECLARE(third, struct note);
FERRY_TOPIC_DEFINE(third, struct other, "third", 1, FERRY_FIELD(x));
#endif

static int on_note(const struct note *note, struct ferry_message *message, void *ctx)
{
	(void)message;
	(void)ctx;
	return note->number > 0;
}

int use(struct ferry_bus *bus, struct note_publisher *pub, const struct note *note);
int use(struct ferry_bus *bus, struct note_publisher *pub, const struct note *note)
{
	const struct note *decoded = NULL;
	int code = note_publish(pub, note, NULL, NULL);
	code |= note_subscribe(bus, on_note, NULL, NULL, NULL);
	code |= note_decode("{}", 2, &decoded, NULL);
#ifdef WRONG_STRUCT /* incompatible.pointer.type */
	code |= note_publish(pub, &(struct other){1}, NULL, NULL);
#endif
#ifdef WRONG_STRUCT_ASYNC /* incompatible.pointer.type */
	code |= note_publish_async(pub, &(struct other){1}, NULL, NULL, NULL, NULL);
#endif
#ifdef WRONG_STRUCT_BATCH /* incompatible.pointer.type */
	code |= note_publish_batch(pub, &(struct other){1}, 1, NULL, 0, NULL, NULL);
#endif
#ifdef WRONG_PUBLISHER /* incompatible.pointer.type */
	code |= other_publish(pub, &(struct other){1}, NULL, NULL);
#endif
#ifdef WRONG_HANDLER /* incompatible.(function.)?pointer.type */
	code |= other_subscribe(bus, on_note, NULL, NULL, NULL);
#endif
#ifdef WRONG_DECODED /* incompatible.pointer.type */
	code |= other_decode("{}", 2, &decoded, NULL);
#endif
	return code;
}
