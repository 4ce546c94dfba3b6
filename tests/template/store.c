#include "store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "plugin.h"
#include "sql.h"

/* ---- running a statement ---- */

/*
 * Bind the parameters in order and leave the statement ready to step.  `kinds` has a letter for each:
 * t = const char *, i = int64_t, b = struct ferry_view, n = struct ferry_view whose NULL data is SQL's NULL.
 * Nothing is copied: the values must live until the statement is finished.
 */
static int vbind(sqlite3_stmt *statement, const char *kinds, va_list values)
{
	int rc = SQLITE_OK;
	for (int i = 1; *kinds && rc == SQLITE_OK; i++, kinds++) {
		if (*kinds == 't') {
			rc = sqlite3_bind_text(statement, i, va_arg(values, const char *), -1, SQLITE_STATIC);
		} else if (*kinds == 'i') {
			rc = sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
		} else {
			struct ferry_view view = va_arg(values, struct ferry_view);
			const void *data = view.data || *kinds == 'n' ? view.data : "";
			rc = sqlite3_bind_blob64(statement, i, data, view.size, SQLITE_STATIC);
		}
	}
	return rc;
}

/* The statement, bound and stepped once. */
static int step(struct store *store, enum statement which, sqlite3_stmt **ret, const char *kinds,
		va_list values)
{
	*ret = store->statements[which];
	int rc = vbind(*ret, kinds, values);
	return rc == SQLITE_OK ? sqlite3_step(*ret) : rc;
}

/* Run a statement that gives no row. */
static int run(struct store *store, enum statement which, const char *kinds, ...)
{
	va_list values;
	sqlite3_stmt *statement;
	va_start(values, kinds);
	int rc = step(store, which, &statement, kinds, values);
	va_end(values);
	sqlite3_reset(statement);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* Run a statement that gives one number; SQLITE_DONE when it gives none. */
static int ask(struct store *store, int64_t *ret, enum statement which, const char *kinds, ...)
{
	va_list values;
	sqlite3_stmt *statement;
	va_start(values, kinds);
	int rc = step(store, which, &statement, kinds, values);
	va_end(values);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int64(statement, 0);
		rc = SQLITE_OK;
	}
	sqlite3_reset(statement);
	return rc;
}

static struct ferry_view column_view(sqlite3_stmt *statement, int column)
{
	const void *data = sqlite3_column_blob(statement, column);
	bool empty = sqlite3_column_type(statement, column) != SQLITE_NULL;
	return (struct ferry_view){data || !empty ? data : "",
				   (size_t)sqlite3_column_bytes(statement, column)};
}

/* Run a statement that gives rows of records; those with a claim have five columns more. */
static int walk(struct store *store, stored_fn *each, void *ctx, enum statement which, const char *kinds, ...)
{
	va_list values;
	sqlite3_stmt *s;
	va_start(values, kinds);
	int rc = step(store, which, &s, kinds, values);
	va_end(values);
	for (; rc == SQLITE_ROW; rc = sqlite3_step(s)) {
		struct stored row = {
			.seq = sqlite3_column_int64(s, 0),
			.wall_us = sqlite3_column_int64(s, 1),
			.headers = column_view(s, 2),
			.key = column_view(s, 3),
			.payload = column_view(s, 4),
			.attempt = 1,
		};
		if (sqlite3_column_count(s) > 5) {
			row.generation = sqlite3_column_int64(s, 5);
			row.attempt = (uint32_t)sqlite3_column_int64(s, 6);
			row.deliveries = (uint32_t)sqlite3_column_int64(s, 7);
			row.due_wall_us = sqlite3_column_int64(s, 8);
			row.first_failed_wall_us = sqlite3_column_int64(s, 9);
		}
		if (each(&row, ctx)) {
			rc = SQLITE_DONE;
			break;
		}
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- the file ---- */

/* Another connection has the lock: try again every millisecond, and give up after STORE_WAIT_MS. */
static int wait_for_lock(void *ctx, int tries)
{
	(void)ctx;
	const struct timespec pause = {.tv_nsec = 1000000};
	if (tries >= STORE_WAIT_MS)
		return 0;
	nanosleep(&pause, NULL);
	return 1;
}

static int pragma(struct store *store, const char *text, int64_t *ret)
{
	sqlite3_stmt *statement;
	int rc = sqlite3_prepare_v2(store->db, text, -1, &statement, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int64(statement, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(statement);
	return rc;
}

/* SQLITE_NOTADB: the file is somebody else's database. */
static int make_schema(struct store *store, bool create)
{
	int64_t id = 0, version = 0, tables = 0;
	int rc = pragma(store, "PRAGMA application_id", &id);
	if (rc == SQLITE_OK)
		rc = pragma(store, "PRAGMA user_version", &version);
	if (rc == SQLITE_OK)
		rc = pragma(store, "SELECT COUNT(*) FROM sqlite_schema", &tables);
	if (rc != SQLITE_OK)
		return rc;
	if (tables == 0)
		return create ? sqlite3_exec(store->db, schema, NULL, NULL, NULL) : SQLITE_NOTADB;
	return id == APPLICATION_ID && version == SCHEMA_VERSION ? SQLITE_OK : SQLITE_NOTADB;
}

static int prepare(struct store *store, const struct store_options *options)
{
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_handler(store->db, wait_for_lock, NULL);
	const char *synchronous = options->full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";
	int rc = sqlite3_exec(store->db, synchronous, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(store->db, "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = make_schema(store, options->create);
	if (rc != SQLITE_OK) {
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
		return rc;
	}
	rc = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
	for (int i = 0; i < STATEMENT_COUNT && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&store->statements[i], NULL);
	return rc;
}

int store_open(struct store *store, const struct store_options *options)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (options->create ? SQLITE_OPEN_CREATE : 0);
	memset(store, 0, sizeof *store);
	int rc = sqlite3_open_v2(options->file, &store->db, flags, NULL);
	return rc == SQLITE_OK ? prepare(store, options) : rc;
}

void store_close(struct store *store)
{
	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	memset(store, 0, sizeof *store);
}

static int fail_to_open(const struct store *store, const char *file, struct ferry_error *err)
{
	int error = store->db ? sqlite3_system_errno(store->db) : 0;
	if (error == EACCES || error == EPERM || error == EROFS)
		return fail(err, FERRY_E_DENIED, "%s: the file or its folder may not be written (%s)", file,
			    strerror(error));
	if (error == EISDIR)
		return fail(err, FERRY_E_CONFIG, "%s: this is a folder, not a file", file);
	if (error == ENOENT)
		return fail(err, FERRY_E_UNREACHABLE, "%s: the file or its folder does not exist", file);
	return fail(err, FERRY_E_UNREACHABLE, "%s: the file cannot be opened (%s)", file,
		    error ? strerror(error) : "no reason given");
}

int store_fail(const struct store *store, const char *file, int rc, struct ferry_error *err)
{
	int code;
	switch (rc & 0xFF) {
	case SQLITE_NOMEM:
		code = fail(err, FERRY_E_NOMEM, "%s: SQLite is out of memory", file);
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		code = fail(err, FERRY_E_UNREACHABLE, "%s: another process keeps the file locked", file);
		break;
	case SQLITE_CANTOPEN:
		code = fail_to_open(store, file, err);
		break;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		code = fail(err, FERRY_E_DENIED, "%s: the file or its folder may not be written", file);
		break;
	case SQLITE_NOTADB:
		code = fail(err, FERRY_E_CONFIG, "%s: the file is not a database of this transport", file);
		break;
	case SQLITE_CORRUPT:
		code = fail(err, FERRY_E_CONFIG, "%s: the file is damaged", file);
		break;
	case SQLITE_FULL:
	case SQLITE_IOERR:
		code = fail(err, FERRY_E_UNREACHABLE, "%s: %s", file, sqlite3_errstr(rc));
		break;
	default:
		code = fail(err, FERRY_E_BROKER, "%s: SQLite: %s", file, sqlite3_errstr(rc));
	}
	if (err)
		err->native_code = rc;
	return code;
}

int store_begin(struct store *store)
{
	return run(store, BEGIN, "");
}

int store_commit(struct store *store)
{
	return run(store, COMMIT, "");
}

void store_rollback(struct store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		run(store, ROLLBACK, "");
}

int store_version(struct store *store, int64_t *ret)
{
	return ask(store, ret, VERSION, "");
}

/* ---- topics and records ---- */

static int ask_bool(bool *ret, int rc, int64_t value)
{
	*ret = value != 0;
	return rc;
}

int store_topic_exists(struct store *store, const char *topic, bool *ret)
{
	int64_t found = 0;
	int rc = ask(store, &found, TOPIC_EXISTS, "t", topic);
	return ask_bool(ret, rc, found);
}

int store_topic_add(struct store *store, const char *topic)
{
	return run(store, TOPIC_ADD, "t", topic);
}

int store_record_add(struct store *store, const char *topic, int64_t wall_us, struct ferry_view key,
		     struct ferry_view headers, struct ferry_view payload)
{
	return run(store, RECORD_ADD, "tinbb", topic, wall_us, key, headers, payload);
}

int store_last_seq(struct store *store, int64_t *ret)
{
	return ask(store, ret, RECORD_LAST, "");
}

int store_record_at(struct store *store, const char *topic, uint64_t index, stored_fn *each, void *ctx)
{
	return walk(store, each, ctx, RECORD_AT, "ti", topic, (int64_t)index);
}

int store_topic_over(struct store *store, const char *after, int64_t retain, char *topic, size_t size,
		     int64_t *ret_over)
{
	sqlite3_stmt *statement = store->statements[TOPIC_OVER];
	sqlite3_bind_text(statement, 1, after, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, retain);
	int rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		*ret_over = sqlite3_column_int64(statement, 0);
		snprintf(topic, size, "%s", (const char *)sqlite3_column_text(statement, 1));
		rc = SQLITE_OK;
	}
	sqlite3_reset(statement);
	return rc;
}

int store_trim(struct store *store, const char *topic, int64_t count, int64_t *ret_deleted)
{
	int rc = run(store, RECORD_TRIM, "ti", topic, count);
	*ret_deleted = sqlite3_changes(store->db);
	return rc;
}

/* ---- groups and claims ---- */

int store_group_add(struct store *store, const char *topic, const char *group, int64_t next_seq,
		    int64_t wall_us)
{
	return run(store, GROUP_ADD, "ttii", topic, group, next_seq, wall_us);
}

int store_group_next(struct store *store, const char *topic, const char *group, int64_t *ret_next)
{
	return ask(store, ret_next, GROUP_NEXT, "tt", topic, group);
}

int store_group_advance(struct store *store, const char *topic, const char *group, int64_t next_seq)
{
	return run(store, GROUP_ADVANCE, "tti", topic, group, next_seq);
}

int store_claim_count(struct store *store, const char *topic, const char *group, int64_t *ret)
{
	return ask(store, ret, CLAIM_COUNT, "tt", topic, group);
}

int store_each_new(struct store *store, const char *topic, int64_t from, int64_t limit, stored_fn *each,
		   void *ctx)
{
	return walk(store, each, ctx, EACH_NEW, "tii", topic, from, limit);
}

int store_each_lapsed(struct store *store, const char *topic, const char *group, const char *except,
		      int64_t wall_us, int64_t limit, stored_fn *each, void *ctx)
{
	return walk(store, each, ctx, EACH_LAPSED, "tttii", topic, group, except, wall_us, limit);
}

int store_claim_add(struct store *store, const struct store_claim *claim, const char *owner,
		    int64_t lease_wall_us)
{
	return run(store, CLAIM_ADD, "ttiiti", claim->topic, claim->group, claim->seq, claim->generation,
		   owner, lease_wall_us);
}

int store_claim_take(struct store *store, const struct store_claim *claim, const char *owner,
		     int64_t lease_wall_us)
{
	return run(store, CLAIM_TAKE, "ttiiti", claim->topic, claim->group, claim->seq, claim->generation,
		   owner, lease_wall_us);
}

static int changed(struct store *store, int rc, bool *ret)
{
	*ret = rc == SQLITE_OK && sqlite3_changes(store->db) > 0;
	return rc;
}

int store_claim_renew(struct store *store, const struct store_claim *claim, int64_t lease_wall_us,
		      bool *ret_ours)
{
	int rc = run(store, CLAIM_RENEW, "ttiii", claim->topic, claim->group, claim->seq, claim->generation,
		     lease_wall_us);
	return changed(store, rc, ret_ours);
}

int store_claim_hold(struct store *store, const struct store_claim *claim, const struct stored *retry,
		     int64_t lease_wall_us, bool *ret_ours)
{
	int rc = run(store, CLAIM_HOLD, "ttiiiiii", claim->topic, claim->group, claim->seq, claim->generation,
		     lease_wall_us, (int64_t)retry->attempt, retry->due_wall_us, retry->first_failed_wall_us);
	return changed(store, rc, ret_ours);
}

int store_claim_end(struct store *store, const struct store_claim *claim, bool *ret_ours)
{
	int rc = run(store, CLAIM_END, "ttii", claim->topic, claim->group, claim->seq, claim->generation);
	return changed(store, rc, ret_ours);
}

int store_claim_back(struct store *store, const struct store_claim *claim, bool *ret_ours)
{
	int rc = run(store, CLAIM_BACK, "ttii", claim->topic, claim->group, claim->seq, claim->generation);
	return changed(store, rc, ret_ours);
}

/* ---- owners ---- */

int store_revoke_ask(struct store *store, const char *topic, const char *group)
{
	return run(store, REVOKE_ASK, "tt", topic, group);
}

int store_revoke_asked(struct store *store, const char *owner, const char *topic, const char *group,
		       bool *ret)
{
	int64_t found = 0;
	int rc = ask(store, &found, REVOKE_ASKED, "ttt", owner, topic, group);
	return ask_bool(ret, rc, found);
}

int store_revoke_do(struct store *store, const char *owner, const char *topic, const char *group)
{
	int rc = run(store, REVOKE_CLAIMS, "ttt", owner, topic, group);
	return rc == SQLITE_OK ? run(store, REVOKE_DONE, "ttt", owner, topic, group) : rc;
}

int store_leave(struct store *store, const char *owner)
{
	int rc = run(store, LEAVE_CLAIMS, "t", owner);
	if (rc == SQLITE_OK)
		rc = run(store, LEAVE_CURSORS, "t", owner);
	return rc == SQLITE_OK ? run(store, LEAVE_REQUESTS, "t", owner) : rc;
}

int store_cursor_put(struct store *store, const char *topic, const char *name, const char *owner,
		     int64_t next_seq, int64_t lease_wall_us)
{
	return run(store, CURSOR_PUT, "tttii", topic, name, owner, next_seq, lease_wall_us);
}

int store_sweep(struct store *store, int64_t wall_us)
{
	int rc = run(store, SWEEP_CURSORS, "i", wall_us);
	return rc == SQLITE_OK ? run(store, SWEEP_REQUESTS, "") : rc;
}

int store_objects(struct store *store, const char *needle, int64_t *ret)
{
	return ask(store, ret, OBJECTS, "t", needle);
}
