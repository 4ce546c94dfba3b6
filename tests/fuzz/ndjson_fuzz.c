/* ndjson_fuzz.c - hostile lines for the reader of examples/webhooks.c, compared with jansson's opinion. */
#include <jansson.h>
#include <string.h>

#include "../../examples/ndjson.h"
#include "fuzz.h"

/* An accepted payload is JSON for jansson, too, which has bounds of its own for numbers and escapes. */
static void check_payload(const struct ndjson_event *event)
{
	json_error_t why;
	json_t *payload =
		json_loadb(event->payload, event->payload_size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	FUZZ_CHECK(payload || json_error_code(&why) == json_error_numeric_overflow ||
		   memmem(event->payload, event->payload_size, "\\u", 2));
	json_decref(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = size ? (const char *)data : "";
	struct ndjson_event event;
	struct ndjson_error err = {0, NULL};
	if (ndjson_parse(line, size, &event, &err)) {
		FUZZ_CHECK(err.text && err.byte >= 1 && err.byte <= size + 1);
		return 0;
	}
	FUZZ_CHECK(event.topic && event.payload >= line && event.payload_size > 0);
	FUZZ_CHECK(event.payload + event.payload_size <= line + size);
	FUZZ_CHECK(!event.key || strlen(event.key) == event.key_size);
	check_payload(&event);
	ndjson_free(&event);
	return 0;
}
