/*
 * admin.c - looking beneath: for the conformance program and for tests.
 */
#include <string.h>

#include "plugin.h"

#define REVOKE_TOPIC  "ferry.revoke" /* raw_put here asks for a revocation instead of storing a record */
#define ADMIN_WAIT_US 10000000

static int64_t deadline(const struct ferry_connection *c)
{
	return c->host->now_us(c->core) + ADMIN_WAIT_US;
}

/* ---- raw_put ---- */

struct put {
	const char *topic;
	const struct ferry_raw *raw;
	struct wire_headers headers;
	int64_t wall_us;
};

static int put_record(struct store *store, void *ctx)
{
	const struct put *put = ctx;
	const struct ferry_view headers = {put->headers.bytes, put->headers.size};
	int rc = store_topic_add(store, put->topic);
	if (rc != SQLITE_OK)
		return rc;
	return store_record_add(store, put->topic, put->wall_us, put->raw->key, headers, put->raw->payload);
}

static const char *field_of(const struct ferry_raw *raw, const char *name)
{
	for (size_t i = 0; i < raw->field_count; i++)
		if (!strcmp(raw->fields[i].name, name))
			return raw->fields[i].value;
	return "";
}

static int put_request(struct store *store, void *ctx)
{
	const struct put *put = ctx;
	return store_revoke_ask(store, field_of(put->raw, "topic"), field_of(put->raw, "group"));
}

int sqlite_raw_put(struct ferry_connection *c, const char *topic, const struct ferry_raw *raw,
		   struct ferry_error *err)
{
	struct put put = {.topic = topic, .raw = raw, .headers = {.host = c->host, .core = c->core}};
	put.wall_us = c->host->wall_us(c->core);
	if (!strcmp(topic, REVOKE_TOPIC))
		return control_run(c, deadline(c), put_request, &put, err);
	for (size_t i = 0; i < raw->field_count; i++)
		wire_add(&put.headers, raw->fields[i].name, raw->fields[i].value,
			 strlen(raw->fields[i].value));
	int code = put.headers.failed ? fail(err, FERRY_E_NOMEM, "%s: out of memory", topic)
				      : control_run(c, deadline(c), put_record, &put, err);
	wire_free(&put.headers);
	return code;
}

/* ---- raw_get ---- */

struct get {
	const struct ferry_connection *c;
	const char *topic;
	uint64_t index;
	ferry_raw_fn *each;
	void *ctx;
	bool found, failed;
};

static int get_row(const struct stored *row, void *ctx)
{
	struct get *get = ctx;
	size_t count = wire_count(row->headers.data, row->headers.size);
	struct ferry_attribute *fields = host_zeroed(get->c, (count + 1) * sizeof *fields);
	get->found = true;
	get->failed = !fields;
	if (!fields)
		return 1;
	wire_pairs(row->headers.data, row->headers.size, fields);
	const struct ferry_raw raw = {.size = sizeof raw,
				      .key = row->key,
				      .payload = row->payload,
				      .fields = fields,
				      .field_count = count};
	get->each(&raw, get->ctx);
	host_free(get->c, fields);
	return 1;
}

static int get_record(struct store *store, void *ctx)
{
	struct get *get = ctx;
	return store_record_at(store, get->topic, get->index, get_row, get);
}

int sqlite_raw_get(struct ferry_connection *c, const char *topic, uint64_t index, ferry_raw_fn *each,
		   void *ctx, struct ferry_error *err)
{
	struct get get = {.c = c, .topic = topic, .index = index, .each = each, .ctx = ctx};
	int code = control_run(c, deadline(c), get_record, &get, err);
	if (!code && get.failed)
		return fail(err, FERRY_E_NOMEM, "%s: out of memory", topic);
	if (!code && !get.found)
		return fail(err, FERRY_E_NOT_FOUND, "%s: there is no record %llu", topic,
			    (unsigned long long)index);
	return code;
}

/* ---- objects ---- */

struct count {
	const char *needle;
	int64_t count;
};

static int count_objects(struct store *store, void *ctx)
{
	struct count *count = ctx;
	return store_objects(store, count->needle, &count->count);
}

int64_t sqlite_objects(struct ferry_connection *c, const char *needle)
{
	struct count count = {.needle = needle};
	int code = control_run(c, deadline(c), count_objects, &count, NULL);
	return code ? code : count.count;
}
