#include "codec.h"

#include "decode.h"
#include "encode.h"
#include "fail.h"
#include "names.h"

const char *codec_content_type(const struct ferry_topic *topic)
{
	return topic->codec ? topic->codec->content_type : "application/json";
}

static int check_codec(const struct ferry_topic *topic, struct ferry_error *err)
{
	const struct ferry_codec *codec = topic->codec;
	if (!codec || (codec->encode && codec->decode && codec->content_type))
		return 0;
	return fail(err, FERRY_E_INVALID, "%s: the codec's %s is NULL", topic->name,
		    !codec->encode   ? "encode"
		    : !codec->decode ? "decode"
				     : "content_type");
}

int codec_check(const struct ferry_topic *topic, const struct ferry_allocator *allocator,
		struct ferry_error *err)
{
	int code = check_codec(topic, err);
	return code ? code : schema_check_tables(topic, allocator, err);
}

static bool is_code(int code)
{
	switch (code) {
#define CODEC_CODE(name, value, retriable, text) case FERRY_E_##name:
		FERRY_ERRORS(CODEC_CODE)
#undef CODEC_CODE
		return true;
	default:
		return false;
	}
}

/* A codec of the application's need not know the topic, nor set a text. */
static int fail_codec(const struct ferry_topic *topic, int code, const struct ferry_error *why,
		      struct ferry_error *err)
{
	const char *text = why->text[0] ? why->text : "the codec gave no reason";
	fail(err, code, "%s: %.*s", topic->name, (int)sizeof why->text - 1, text);
	if (err)
		text_make_printable(err->text);
	return code;
}

int codec_encode(const struct ferry_topic *topic, const void *event, struct ferry_buffer *out,
		 struct ferry_error *err)
{
	struct check check = {topic, FERRY_E_INVALID, err};
	struct ferry_error why = {.code = 0};
	if (!event)
		return fail(err, FERRY_E_INVALID, "%s: the event is NULL", topic->name);
	if (!topic->codec)
		return encode_json(&check, event, out);
	int code = encode_check(&check, event, out->allocator);
	if (code)
		return code;
	code = topic->codec->encode(topic, event, out, &why);
	return code ? fail_codec(topic, is_code(code) ? code : FERRY_E_INVALID, &why, err) : 0;
}

static int decode_by_codec(const struct check *check, const void *payload, size_t size,
			   struct ferry_arena *arena)
{
	const struct ferry_topic *topic = check->topic;
	struct ferry_error why = {.code = 0};
	int code = topic->codec->decode(topic, payload, size, arena, arena->event, &why);
	if (code)
		return fail_codec(topic, code == FERRY_E_NOMEM ? code : FERRY_E_DECODE, &why, check->err);
	return encode_check(check, arena->event, arena->allocator);
}

int codec_decode(const struct ferry_topic *topic, const void *payload, size_t size,
		 const struct ferry_allocator *allocator, struct ferry_arena **ret, struct ferry_error *err)
{
	struct check check = {topic, FERRY_E_DECODE, err};
	struct ferry_arena *arena = arena_make(allocator, topic->fields()->struct_size);
	if (!arena)
		return fail_nomem(err, "decoding a message");
	int code = topic->codec ? decode_by_codec(&check, payload, size, arena)
				: decode_json(&check, payload, size, arena);
	if (code) {
		arena_free(arena);
		return code;
	}
	*ret = arena;
	return 0;
}

/* ---- without a bus ---- */

int ferry_topic_encode(const struct ferry_topic *topic, const void *event, void *buffer, size_t size,
		       size_t *ret_size, struct ferry_error *err)
{
	struct ferry_buffer out;
	if (!topic || !ret_size || (!buffer && size))
		return fail(err, FERRY_E_INVALID, "ferry_topic_encode: %s is NULL",
			    !topic      ? "the topic"
			    : !ret_size ? "ret_size"
					: "the buffer");
	int code = check_codec(topic, err);
	if (code)
		return code;
	buffer_init(&out, &alloc_default, buffer, size);
	code = codec_encode(topic, event, &out, err);
	if (!code) {
		*ret_size = out.size;
		if (out.size > size)
			code = fail(err, FERRY_E_TOO_LARGE,
				    "%s: the event takes %zu bytes, the buffer has %zu", topic->name,
				    out.size, size);
		else if (out.owned && out.bytes && buffer)
			memcpy(buffer, out.bytes, out.size);
	}
	buffer_finish(&out);
	return code;
}

int ferry_topic_decode(const struct ferry_topic *topic, const void *payload, size_t size, const void **ret,
		       struct ferry_error *err)
{
	struct ferry_arena *arena = NULL;
	if (!topic || !ret || (!payload && size))
		return fail(err, FERRY_E_INVALID, "ferry_topic_decode: %s is NULL",
			    !topic ? "the topic"
			    : !ret ? "ret"
				   : "the payload");
	int code = check_codec(topic, err);
	if (!code)
		code = codec_decode(topic, payload, size, &alloc_default, &arena, err);
	if (!code)
		*ret = arena->event;
	return code;
}

void ferry_topic_free(const void *event)
{
	if (event)
		arena_free(arena_of(event));
}
