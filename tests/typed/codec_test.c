/*
 * codec_test.c - a codec of one's own: points of the map as ten bytes and a name.
 */
#include <stdlib.h>

#include "typed_test.h"

struct point {
	int32_t x, y;
	uint16_t zoom;
	const char *name;
};
FERRY_TOPIC_DECLARE(point, struct point);

static void put_number(unsigned char *to, uint32_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t get_number(const unsigned char *from, size_t bytes)
{
	uint32_t value = 0;
	for (size_t i = 0; i < bytes; i++)
		value |= (uint32_t)from[i] << 8 * i;
	return value;
}

#define FIXED 10

static int pack(const struct ferry_topic *topic, const void *event, struct ferry_buffer *out,
		struct ferry_error *err)
{
	const struct point *p = event;
	unsigned char fixed[FIXED];
	(void)topic;
	(void)err;
	put_number(fixed, (uint32_t)p->x, 4);
	put_number(fixed + 4, (uint32_t)p->y, 4);
	put_number(fixed + 8, p->zoom, 2);
	int code = ferry_buffer_append(out, fixed, FIXED);
	return code ? code : ferry_buffer_append(out, p->name, strlen(p->name));
}

/* The release of something that a foreign decoder has allocated. */
static atomic_int released;

static void release(void *object)
{
	free(object);
	atomic_fetch_add(&released, 1);
}

static int unpack(const struct ferry_topic *topic, const void *payload, size_t size,
		  struct ferry_arena *arena, void *event, struct ferry_error *err)
{
	const unsigned char *bytes = payload;
	struct point *p = event;
	(void)topic;
	if (size < FIXED) {
		if (err)
			snprintf(err->text, sizeof err->text, "expected %d bytes, got %zu", FIXED, size);
		return FERRY_E_DECODE;
	}
	char *name = ferry_arena_alloc(arena, size - FIXED + 1), *other = malloc(1);
	if (!name || !other || ferry_arena_own(arena, other, release))
		return FERRY_E_NOMEM;
	memcpy(name, bytes + FIXED, size - FIXED);
	p->x = (int32_t)get_number(bytes, 4);
	p->y = (int32_t)get_number(bytes + 4, 4);
	p->zoom = (uint16_t)get_number(bytes + 8, 2);
	p->name = name;
	return 0;
}

static const struct ferry_codec packed = {
	.size = sizeof packed, .content_type = "application/x-point", .encode = pack, .decode = unpack};

FERRY_TOPIC_DEFINE_CODEC(point, struct point, "map.point", 1, &packed,
			 FERRY_FIELD(x, .min = -180, .max = 180), FERRY_FIELD(y, .min = -90, .max = 90),
			 FERRY_FIELD(zoom), FERRY_FIELD(name, .required = true, .max_length = 8));

static void a_point_comes_back_whole(void)
{
	unsigned char bytes[64];
	size_t size = 0;
	struct ferry_error err = {0};
	const struct point *p = NULL;
	int before = atomic_load(&released);
	OK(point_encode(&(struct point){-7, 59, 300, "Oslo"}, bytes, sizeof bytes, &size, &err), &err);
	CHECK(size == FIXED + 4 && memcmp(bytes, "\371\377\377\377\073\0\0\0\054\001Oslo", size) == 0,
	      "other bytes");
	OK(point_decode(bytes, size, &p, &err), &err);
	CHECK(p->x == -7 && p->y == 59 && p->zoom == 300 && strcmp(p->name, "Oslo") == 0, "another point");
	CHECK(atomic_load(&released) == before, "released too early");
	point_free(p);
	CHECK(atomic_load(&released) == before + 1, "not released");
}

static void the_table_checks_both_ways(void)
{
	unsigned char bytes[64];
	size_t size = 0;
	struct ferry_error err = {0};
	const struct point *p = NULL;
	REFUSED(point_encode(&(struct point){-7, 91, 1, "Oslo"}, bytes, sizeof bytes, &size, &err),
		FERRY_E_INVALID, &err, "map.point: y: expected at most 90, got 91");
	REFUSED(point_encode(&(struct point){-7, 9, 1, NULL}, bytes, sizeof bytes, &size, &err),
		FERRY_E_INVALID, &err, "map.point: name: required, and missing");
	REFUSED(point_decode("\0\0\0\0\133\0\0\0\0\0Oslo", 14, &p, &err), FERRY_E_DECODE, &err,
		"map.point: y: expected at most 90, got 91");
	REFUSED(point_decode("\0\0\0\0\0\0\0\0\0\0much too long", 23, &p, &err), FERRY_E_DECODE, &err,
		"map.point: name: expected at most 8 characters, got 13");
	REFUSED(point_decode("\0\0\0\0\0\0\0\0\0\0\377", 11, &p, &err), FERRY_E_DECODE, &err,
		"map.point: name: expected UTF-8, got other bytes");
	REFUSED(point_decode("\0\0\0", 3, &p, &err), FERRY_E_DECODE, &err,
		"map.point: expected 10 bytes, got 3");
}

static int on_point(const struct point *p, struct ferry_message *message, void *ctx)
{
	CHECK(p->x == 1 && p->y == 2 && strcmp(p->name, "here") == 0, "another point");
	CHECK(strcmp(ferry_message_content_type(message), "application/x-point") == 0, "content type %s",
	      ferry_message_content_type(message));
	atomic_fetch_add((atomic_int *)ctx, 1);
	return 0;
}

static void a_point_travels(void)
{
	static atomic_int points;
	struct ferry_error err = {0};
	struct point_publisher *pub = NULL;
	struct ferry_bus *bus = open_memory();
	OK(point_subscribe(bus, on_point, &points, NULL, &err), &err);
	OK(ferry_bus_start(bus, 0, &err), &err);
	OK(point_publisher_open(bus, NULL, &pub, &err), &err);
	OK(point_publish(pub, &(struct point){1, 2, 3, "here"}, NULL, &err), &err);
	WAIT_FOR(&points, 1);
	point_publisher_close(pub);
	ferry_bus_close(bus);
}

static int codec_code;

static int fail_with_code(const struct ferry_topic *topic, const void *event, struct ferry_buffer *out,
			  struct ferry_error *err)
{
	(void)topic;
	(void)event;
	(void)out;
	(void)err;
	return codec_code;
}

static void a_number_that_is_no_code_is_not_passed_on(void)
{
	static const struct ferry_codec odd = {
		.size = sizeof odd, .content_type = "x/y", .encode = fail_with_code, .decode = unpack};
	const struct ferry_topic topic = {
		.size = sizeof topic, .name = "map.point", .fields = point_fields, .codec = &odd};
	static const int codes[][2] = {{1, FERRY_E_INVALID},
				       {-1000, FERRY_E_INVALID},
				       {FERRY_E_NOMEM, FERRY_E_NOMEM},
				       {FERRY_E_TOO_LARGE, FERRY_E_TOO_LARGE}};
	const struct point here = {1, 2, 3, "here"};
	unsigned char bytes[64];
	size_t size = 0;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		struct ferry_error err = {0};
		codec_code = codes[i][0];
		REFUSED(ferry_topic_encode(&topic, &here, bytes, sizeof bytes, &size, &err), codes[i][1],
			&err, "map.point: the codec gave no reason");
		CHECK(err.code == codes[i][1], "the error says %d", (int)err.code);
	}
}

static void is_refused(const struct ferry_codec *codec, const char *sentence)
{
	const struct ferry_topic topic = {
		.size = sizeof topic, .name = "map.point", .fields = point_fields, .codec = codec};
	const struct point here = {1, 2, 3, "here"};
	unsigned char bytes[64];
	const void *event = NULL;
	size_t size = 0;
	struct ferry_error err = {0};
	both_refuse(&topic, sentence);
	REFUSED(ferry_topic_encode(&topic, &here, bytes, sizeof bytes, &size, &err), FERRY_E_INVALID, &err,
		sentence);
	REFUSED(ferry_topic_decode(&topic, bytes, sizeof bytes, &event, &err), FERRY_E_INVALID, &err,
		sentence);
}

static void a_codec_is_whole(void)
{
	struct ferry_codec part = packed;
	part.encode = NULL;
	is_refused(&part, "map.point: the codec's encode is NULL");
	part = packed;
	part.decode = NULL;
	is_refused(&part, "map.point: the codec's decode is NULL");
	part = packed;
	part.content_type = NULL;
	is_refused(&part, "map.point: the codec's content_type is NULL");
}

const struct typed_test codec_tests[] = {
	{"a_point_comes_back_whole", a_point_comes_back_whole},
	{"the_table_checks_both_ways", the_table_checks_both_ways},
	{"a_point_travels", a_point_travels},
	{"a_number_that_is_no_code_is_not_passed_on", a_number_that_is_no_code_is_not_passed_on},
	{"a_codec_is_whole", a_codec_is_whole},
	{NULL, NULL},
};
