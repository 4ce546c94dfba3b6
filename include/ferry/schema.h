/*
 * schema.h - describing a C struct, member by member, so that it can travel.
 *
 *     struct address { const char *street; const char *city; };
 *     FERRY_STRUCT_DECLARE(address, struct address);               // in a header, or before the definition
 *     FERRY_STRUCT_DEFINE(address, struct address,                 // in one .c
 *         FERRY_FIELD(street, .required = true, .max_length = 80),
 *         FERRY_FIELD(city, .required = true));
 *
 * The kind of a field follows from its member's type; a type that is not in the list below does not
 * compile, nor does a member that the struct lacks.  Encoding, decoding, error texts and the JSON Schema are
 * made from this one table.
 *
 *   FERRY_FIELD(member, ...)                  signed char .. unsigned long long, double, bool, const char *,
 *                                             struct ferry_json
 *   FERRY_OPTIONAL(member, ...)               the same, with a `bool has_<member>` beside it
 *   FERRY_ENUM(member, enum, ...)             an enum or int whose values have names (FERRY_ENUM_DEFINE)
 *   FERRY_OBJECT(member, struct, ...)         a described struct, or a pointer to one (NULL = absent)
 *   FERRY_LIST(member, count, ...)            a pointer to elements of FERRY_FIELD's kinds, and their size_t
 *   FERRY_ENUM_LIST(member, count, enum, ...)
 *   FERRY_OBJECT_LIST(member, count, struct, ...)
 *
 * What may follow the names, as designated initialisers; a constraint that is not given does not bind, and 0
 * is a bound as any other:
 *
 *   .required = true                          absent or null is an error
 *   .min, .max                                of an integer or double (of the elements of a list)
 *   .min_length, .max_length                  of a string, in characters (of the elements of a list)
 *   .min_items, .max_items                    of a list
 *   .doc = "..."                              for people and for the JSON Schema
 *   .name = "..."                             in JSON, where it differs from the member's
 *   .has = FERRY_HAS(member)                  the bool that tells whether the field is there
 *
 * A table that cannot be right is refused when a publisher is opened or a handler subscribed: lists that
 * share their count, or a count that is a field too (a payload could make it larger than the list); fields
 * that share their `has`; a name that is empty, not UTF-8 or given twice; bounds that leave nothing between
 * them; a constraint of another kind than the field's.
 *
 * A member that is absent (or null) and not required is zero after decoding.  On the way out a NULL string,
 * list or pointer, an empty struct ferry_json, a zero enum without a name for it and a field whose `has` is
 * false are left out; everything else is written.  Raw JSON comes in as the same value, not with the same
 * spelling; null is a value of it, and satisfies `.required`.  Integers end at 2^63 - 1 also in unsigned
 * members: larger ones are refused both ways.
 */
#ifndef FERRY_SCHEMA_H
#define FERRY_SCHEMA_H

#include <math.h>
#include <stdbool.h>

#include <ferry/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of JSON as it is: any value, not NUL-terminated.  `text` NULL = absent. */
struct ferry_json {
	const char *text;
	size_t size;
};

enum ferry_kind {
	FERRY_KIND_INTEGER = 1,
	FERRY_KIND_UNSIGNED = 2,
	FERRY_KIND_NUMBER = 3,
	FERRY_KIND_BOOL = 4,
	FERRY_KIND_STRING = 5,
	FERRY_KIND_JSON = 6,
	FERRY_KIND_ENUM = 7,
	FERRY_KIND_OBJECT = 8,
};

struct ferry_struct;

struct ferry_enum_value {
	int value;
	const char *name; /* NULL ends the table */
};

/* One member.  Made by the macros below, read by the library and by codecs. */
struct ferry_field {
	const char *name;
	const char *doc; /* or NULL */
	double min, max; /* -HUGE_VAL, HUGE_VAL: unbounded */
	size_t min_length, max_length;
	size_t min_items, max_items;
	size_t offset;
	size_t size;         /* of the member, or of an element of the list */
	size_t count_offset; /* of a list: where its size_t is */
	size_t has;          /* 0, or 1 + the offset of the bool */
	const struct ferry_struct *(*object)(void); /* OBJECT */
	const struct ferry_enum_value *values;      /* ENUM */
	int32_t kind;                               /* enum ferry_kind, of a list: of its elements */
	bool required;
	bool list;
	bool pointer; /* OBJECT: the member points to the struct */
	bool reserved;
};

struct ferry_struct {
	size_t size;       /* of this struct */
	size_t field_size; /* sizeof(struct ferry_field) when the table was compiled */
	const char *name;
	const struct ferry_field *fields;
	size_t field_count;
	size_t struct_size; /* of the C struct that is described */
};

#ifdef __cplusplus
}
#define FERRY_EXTERN extern "C"
#else
#define FERRY_EXTERN extern
#endif

/* Make a described struct known under NAME, so that others can hold it. */
#define FERRY_STRUCT_DECLARE(NAME, TYPE) \
	typedef TYPE NAME##_ferry_type;  \
	FERRY_EXTERN const struct ferry_struct *NAME##_fields(void)

#ifndef __cplusplus

#define FERRY_STRUCT_DEFINE(NAME, TYPE, ...)                                                    \
	const struct ferry_struct *NAME##_fields(void)                                          \
	{                                                                                       \
		typedef TYPE ferry_self;                                                        \
		FERRY_TABLE_BEGIN_                                                              \
		static const struct ferry_field fields[] = {__VA_ARGS__};                       \
		FERRY_TABLE_END_                                                                \
		static const struct ferry_struct described = {                                  \
			.size = sizeof(struct ferry_struct),                                    \
			.field_size = sizeof(struct ferry_field),                               \
			.name = #NAME,                                                          \
			.fields = fields,                                                       \
			.field_count = sizeof(fields) / sizeof(fields[0]),                      \
			.struct_size = sizeof(*_Generic((ferry_self *)NULL, NAME##_ferry_type * \
							: (ferry_self *)NULL)),                 \
		};                                                                              \
		return &described;                                                              \
	}                                                                                       \
	const struct ferry_struct *NAME##_fields(void)

/* FERRY_ENUM_DEFINE(color, {COLOR_RED, "red"}, {COLOR_BLUE, "blue"}); before FERRY_ENUM(member, color). */
#define FERRY_ENUM_DEFINE(NAME, ...) \
	static const struct ferry_enum_value NAME##_values[] = {__VA_ARGS__, {0, NULL}}

#define FERRY_FIELD(...)       FERRY_FIELD_(__VA_ARGS__, .reserved = false)
#define FERRY_OPTIONAL(...)    FERRY_OPTIONAL_(__VA_ARGS__, .reserved = false)
#define FERRY_ENUM(...)        FERRY_ENUM_(__VA_ARGS__, .reserved = false)
#define FERRY_OBJECT(...)      FERRY_OBJECT_(__VA_ARGS__, .reserved = false)
#define FERRY_LIST(...)        FERRY_LIST_(__VA_ARGS__, .reserved = false)
#define FERRY_ENUM_LIST(...)   FERRY_ENUM_LIST_(__VA_ARGS__, .reserved = false)
#define FERRY_OBJECT_LIST(...) FERRY_OBJECT_LIST_(__VA_ARGS__, .reserved = false)

#define FERRY_HAS(MEMBER) (offsetof(ferry_self, MEMBER) + _Generic(&FERRY_MEMBER_(MEMBER), bool * : 1u))

/* ---- how it is done: nothing below is for use by name ---- */

/* A constraint overrides its default: that is meant here, and only here. */
#if defined(__clang__)
#define FERRY_TABLE_BEGIN_                                                                               \
	_Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Winitializer-overrides\"") \
	_Pragma("clang diagnostic ignored \"-Wunevaluated-expression\"")
#define FERRY_TABLE_END_ _Pragma("clang diagnostic pop")
#elif defined(__GNUC__)
#define FERRY_TABLE_BEGIN_ \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Woverride-init\"")
#define FERRY_TABLE_END_ _Pragma("GCC diagnostic pop")
#else
#define FERRY_TABLE_BEGIN_
#define FERRY_TABLE_END_
#endif

/* Never evaluated: only its type and size are asked for. */
#define FERRY_MEMBER_(MEMBER) (((ferry_self *)NULL)->MEMBER)

/* The address of a member decides, so that an array is not taken for a pointer. */
#define FERRY_KIND_(ADDRESS) _Generic((ADDRESS),                                                   \
	signed char *: FERRY_KIND_INTEGER, short *: FERRY_KIND_INTEGER, int *: FERRY_KIND_INTEGER, \
	long *: FERRY_KIND_INTEGER, long long *: FERRY_KIND_INTEGER,                               \
	unsigned char *: FERRY_KIND_UNSIGNED, unsigned short *: FERRY_KIND_UNSIGNED,               \
	unsigned int *: FERRY_KIND_UNSIGNED, unsigned long *: FERRY_KIND_UNSIGNED,                 \
	unsigned long long *: FERRY_KIND_UNSIGNED,                                                 \
	double *: FERRY_KIND_NUMBER, bool *: FERRY_KIND_BOOL,                                      \
	char **: FERRY_KIND_STRING, const char **: FERRY_KIND_STRING, struct ferry_json *: FERRY_KIND_JSON)

#define FERRY_LIST_KIND_(ADDRESS) _Generic((ADDRESS),                                                 \
	signed char **: FERRY_KIND_INTEGER, const signed char **: FERRY_KIND_INTEGER,                 \
	short **: FERRY_KIND_INTEGER, const short **: FERRY_KIND_INTEGER,                             \
	int **: FERRY_KIND_INTEGER, const int **: FERRY_KIND_INTEGER,                                 \
	long **: FERRY_KIND_INTEGER, const long **: FERRY_KIND_INTEGER,                               \
	long long **: FERRY_KIND_INTEGER, const long long **: FERRY_KIND_INTEGER,                     \
	unsigned char **: FERRY_KIND_UNSIGNED, const unsigned char **: FERRY_KIND_UNSIGNED,           \
	unsigned short **: FERRY_KIND_UNSIGNED, const unsigned short **: FERRY_KIND_UNSIGNED,         \
	unsigned int **: FERRY_KIND_UNSIGNED, const unsigned int **: FERRY_KIND_UNSIGNED,             \
	unsigned long **: FERRY_KIND_UNSIGNED, const unsigned long **: FERRY_KIND_UNSIGNED,           \
	unsigned long long **: FERRY_KIND_UNSIGNED, const unsigned long long **: FERRY_KIND_UNSIGNED, \
	double **: FERRY_KIND_NUMBER, const double **: FERRY_KIND_NUMBER,                             \
	bool **: FERRY_KIND_BOOL, const bool **: FERRY_KIND_BOOL,                                     \
	char ***: FERRY_KIND_STRING, const char ***: FERRY_KIND_STRING,                               \
	const char *const **: FERRY_KIND_STRING,                                                      \
	struct ferry_json **: FERRY_KIND_JSON, const struct ferry_json **: FERRY_KIND_JSON)

#define FERRY_ENUM_KIND_(ADDRESS) _Generic((ADDRESS), \
	int *: FERRY_KIND_ENUM, unsigned int *: FERRY_KIND_ENUM)
/* The compilers agree on an enum's integer type in values only; an array cannot be assigned to. */
#define FERRY_ENUM_LIST_KIND_(LIST)                                               \
	(_Generic(*(LIST), int: FERRY_KIND_ENUM, unsigned int: FERRY_KIND_ENUM) + \
	 0 * (int)sizeof((LIST) = NULL))

#define FERRY_POINTS_(ADDRESS, TYPE) _Generic((ADDRESS), TYPE *: false, TYPE **: true, const TYPE **: true)
#define FERRY_OBJECT_LIST_KIND_(ADDRESS, TYPE) _Generic((ADDRESS), \
	TYPE **: FERRY_KIND_OBJECT, const TYPE **: FERRY_KIND_OBJECT)

#define FERRY_UNBOUND_ .min = -HUGE_VAL, .max = HUGE_VAL, .max_length = SIZE_MAX, .max_items = SIZE_MAX
#define FERRY_ONE_(MEMBER)                                                       \
	FERRY_UNBOUND_, .name = #MEMBER, .offset = offsetof(ferry_self, MEMBER), \
			.size = sizeof(FERRY_MEMBER_(MEMBER))
#define FERRY_MANY_(MEMBER, COUNT)                                               \
	FERRY_UNBOUND_, .name = #MEMBER, .offset = offsetof(ferry_self, MEMBER), \
			.size = sizeof(*FERRY_MEMBER_(MEMBER)), .list = true,    \
			.count_offset = offsetof(ferry_self, COUNT) +            \
					_Generic(&FERRY_MEMBER_(COUNT), size_t * : 0u)

#define FERRY_FIELD_(MEMBER, ...) \
	{FERRY_ONE_(MEMBER), .kind = FERRY_KIND_(&FERRY_MEMBER_(MEMBER)), __VA_ARGS__}
#define FERRY_OPTIONAL_(MEMBER, ...) FERRY_FIELD_(MEMBER, .has = FERRY_HAS(has_##MEMBER), __VA_ARGS__)
#define FERRY_ENUM_(MEMBER, ENUM, ...)                                                                  \
	{FERRY_ONE_(MEMBER), .kind = FERRY_ENUM_KIND_(&FERRY_MEMBER_(MEMBER)), .values = ENUM##_values, \
	 __VA_ARGS__}
#define FERRY_OBJECT_(MEMBER, STRUCT, ...)                                         \
	{FERRY_ONE_(MEMBER), .kind = FERRY_KIND_OBJECT, .object = STRUCT##_fields, \
	 .pointer = FERRY_POINTS_(&FERRY_MEMBER_(MEMBER), STRUCT##_ferry_type), __VA_ARGS__}
#define FERRY_LIST_(MEMBER, COUNT, ...) \
	{FERRY_MANY_(MEMBER, COUNT), .kind = FERRY_LIST_KIND_(&FERRY_MEMBER_(MEMBER)), __VA_ARGS__}
#define FERRY_ENUM_LIST_(MEMBER, COUNT, ENUM, ...)                                         \
	{FERRY_MANY_(MEMBER, COUNT), .kind = FERRY_ENUM_LIST_KIND_(FERRY_MEMBER_(MEMBER)), \
	 .values = ENUM##_values, __VA_ARGS__}
#define FERRY_OBJECT_LIST_(MEMBER, COUNT, STRUCT, ...)          \
	{FERRY_MANY_(MEMBER, COUNT), .object = STRUCT##_fields, \
	 .kind = FERRY_OBJECT_LIST_KIND_(&FERRY_MEMBER_(MEMBER), STRUCT##_ferry_type), __VA_ARGS__}

#endif /* !__cplusplus */

#endif
