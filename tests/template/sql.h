/*
 * sql.h - the tables and the statements; for store.c only.
 */
#ifndef SQLITE_SQL_H
#define SQLITE_SQL_H

#include "store.h"

/* "frry" in ASCII, at byte 68 of the file; file(1) shows it. */
#define APPLICATION_ID  1718776441
#define SCHEMA_VERSION  1
#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

static const char schema[] = "PRAGMA application_id = " TEXT(
	APPLICATION_ID) ";"
			"PRAGMA user_version = " TEXT(
				SCHEMA_VERSION) ";"
						"CREATE TABLE topic (name TEXT PRIMARY KEY, records INTEGER "
						"NOT NULL DEFAULT 0) WITHOUT ROWID;"
						/* AUTOINCREMENT: a seq is not given again after its record is
						   gone, else a group would pass over it. */
						"CREATE TABLE record (seq INTEGER PRIMARY KEY AUTOINCREMENT, "
						"topic TEXT NOT NULL, time INTEGER NOT NULL"
						" DEFAULT 0, key BLOB, headers BLOB NOT NULL DEFAULT x'', "
						"payload BLOB NOT NULL);"
						"CREATE INDEX record_topic ON record (topic);"
						"CREATE TRIGGER record_added AFTER INSERT ON record BEGIN"
						" UPDATE topic SET records = records + 1 WHERE name = "
						"new.topic; END;"
						"CREATE TRIGGER record_removed AFTER DELETE ON record BEGIN"
						" UPDATE topic SET records = records - 1 WHERE name = "
						"old.topic; END;"
						"CREATE TABLE grp (topic TEXT, name TEXT, next_seq INTEGER "
						"NOT NULL, created INTEGER NOT NULL,"
						" PRIMARY KEY (topic, name)) WITHOUT ROWID;"
						"CREATE TABLE claim (topic TEXT, grp TEXT, seq INTEGER, "
						"owner TEXT NOT NULL, generation INTEGER NOT NULL,"
						" lease_until INTEGER NOT NULL, attempt INTEGER NOT NULL "
						"DEFAULT 1, due INTEGER NOT NULL DEFAULT 0,"
						" deliveries INTEGER NOT NULL DEFAULT 1, first_failed "
						"INTEGER NOT NULL DEFAULT 0,"
						" PRIMARY KEY (topic, grp, seq)) WITHOUT ROWID;"
						"CREATE INDEX claim_lease ON claim (topic, grp, lease_until);"
						"CREATE TABLE cursor (topic TEXT, name TEXT, owner TEXT NOT "
						"NULL, next_seq INTEGER NOT NULL,"
						" lease_until INTEGER NOT NULL, PRIMARY KEY (topic, name)) "
						"WITHOUT ROWID;"
						"CREATE TABLE revoke (topic TEXT, grp TEXT, owner TEXT, "
						"PRIMARY KEY (topic, grp, owner)) WITHOUT ROWID;";

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	VERSION,
	TOPIC_EXISTS,
	TOPIC_ADD,
	TOPIC_OVER,
	RECORD_ADD,
	RECORD_LAST,
	RECORD_AT,
	RECORD_TRIM,
	GROUP_ADD,
	GROUP_NEXT,
	GROUP_ADVANCE,
	EACH_NEW,
	EACH_LAPSED,
	CLAIM_COUNT,
	CLAIM_ADD,
	CLAIM_TAKE,
	CLAIM_RENEW,
	CLAIM_HOLD,
	CLAIM_END,
	CLAIM_BACK,
	REVOKE_ASK,
	REVOKE_ASKED,
	REVOKE_CLAIMS,
	REVOKE_DONE,
	LEAVE_CLAIMS,
	LEAVE_CURSORS,
	LEAVE_REQUESTS,
	CURSOR_PUT,
	SWEEP_CURSORS,
	SWEEP_REQUESTS,
	OBJECTS,
	STATEMENT_COUNT,
};
_Static_assert(STATEMENT_COUNT <= STORE_STATEMENTS, "store.h: STORE_STATEMENTS is too small");

#define OURS " WHERE topic = ?1 AND grp = ?2 AND seq = ?3 AND generation = ?4"

static const char *const sql[STATEMENT_COUNT] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[VERSION] = "PRAGMA data_version",
	[TOPIC_EXISTS] = "SELECT EXISTS (SELECT 1 FROM topic WHERE name = ?1)",
	[TOPIC_ADD] = "INSERT OR IGNORE INTO topic (name) VALUES (?1)",
	[TOPIC_OVER] =
		"SELECT records - ?2, name FROM topic WHERE name > ?1 AND records > ?2 ORDER BY name LIMIT 1",
	[RECORD_ADD] = "INSERT INTO record (topic, time, key, headers, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
	[RECORD_LAST] = "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'record'), 0)",
	[RECORD_AT] = "SELECT seq, time, headers, key, payload FROM record WHERE topic = ?1"
		      " ORDER BY seq LIMIT 1 OFFSET ?2",
	[RECORD_TRIM] = "DELETE FROM record WHERE seq IN (SELECT seq FROM record WHERE topic = ?1"
			" AND seq < COALESCE((SELECT MIN(next_seq) FROM grp WHERE topic = ?1), seq + 1)"
			" AND seq < COALESCE((SELECT MIN(seq) FROM claim WHERE topic = ?1), seq + 1)"
			" AND seq < COALESCE((SELECT MIN(next_seq) FROM cursor WHERE topic = ?1), seq + 1)"
			" ORDER BY seq LIMIT ?2)",
	[GROUP_ADD] = "INSERT OR IGNORE INTO grp (topic, name, next_seq, created) VALUES (?1, ?2, ?3, ?4)",
	[GROUP_NEXT] = "SELECT next_seq FROM grp WHERE topic = ?1 AND name = ?2",
	[GROUP_ADVANCE] = "UPDATE grp SET next_seq = ?3 WHERE topic = ?1 AND name = ?2",
	[EACH_NEW] = "SELECT seq, time, headers, key, payload FROM record WHERE topic = ?1 AND seq >= ?2"
		     " ORDER BY seq LIMIT ?3",
	[EACH_LAPSED] =
		"SELECT r.seq, r.time, r.headers, r.key, r.payload, c.generation, c.attempt, c.deliveries,"
		" c.due, c.first_failed FROM claim c JOIN record r ON r.seq = c.seq WHERE c.topic = ?1"
		" AND c.grp = ?2 AND c.lease_until <= ?4 AND (?3 = '' OR c.owner <> ?3)"
		" ORDER BY c.lease_until, c.seq LIMIT ?5",
	[CLAIM_COUNT] = "SELECT COUNT(*) FROM claim WHERE topic = ?1 AND grp = ?2",
	[CLAIM_ADD] = "INSERT INTO claim (topic, grp, seq, generation, owner, lease_until)"
		      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[CLAIM_TAKE] = "UPDATE claim SET generation = ?4 + 1, deliveries = deliveries + 1, owner = ?5,"
		       " lease_until = ?6" OURS,
	[CLAIM_RENEW] = "UPDATE claim SET lease_until = ?5" OURS,
	[CLAIM_HOLD] = "UPDATE claim SET lease_until = ?5, attempt = ?6, due = ?7, first_failed = ?8" OURS,
	[CLAIM_END] = "DELETE FROM claim" OURS,
	[CLAIM_BACK] = "UPDATE claim SET owner = '', lease_until = 0" OURS,
	[REVOKE_ASK] = "INSERT OR IGNORE INTO revoke (topic, grp, owner) SELECT DISTINCT topic, grp, owner"
		       " FROM claim WHERE topic = ?1 AND grp = ?2 AND owner <> ''",
	[REVOKE_ASKED] =
		"SELECT EXISTS (SELECT 1 FROM revoke WHERE owner = ?1 AND topic = COALESCE(?2, topic)"
		" AND grp = COALESCE(?3, grp))",
	[REVOKE_CLAIMS] = "UPDATE claim SET generation = generation + 1, owner = '', lease_until = 0"
			  " WHERE owner = ?1 AND topic = ?2 AND grp = ?3",
	[REVOKE_DONE] = "DELETE FROM revoke WHERE owner = ?1 AND topic = ?2 AND grp = ?3",
	[LEAVE_CLAIMS] = "UPDATE claim SET generation = generation + 1, owner = '', lease_until = 0"
			 " WHERE owner = ?1",
	[LEAVE_CURSORS] = "DELETE FROM cursor WHERE owner = ?1",
	[LEAVE_REQUESTS] = "DELETE FROM revoke WHERE owner = ?1",
	[CURSOR_PUT] = "INSERT OR REPLACE INTO cursor (topic, name, owner, next_seq, lease_until)"
		       " VALUES (?1, ?2, ?3, ?4, ?5)",
	[SWEEP_CURSORS] = "DELETE FROM cursor WHERE lease_until <= ?1",
	[SWEEP_REQUESTS] =
		"DELETE FROM revoke WHERE NOT EXISTS (SELECT 1 FROM claim WHERE"
		" claim.topic = revoke.topic AND claim.grp = revoke.grp AND claim.owner = revoke.owner)",
	[OBJECTS] = "SELECT (SELECT COUNT(*) FROM grp WHERE instr(name, ?1))"
		    " + (SELECT COUNT(*) FROM claim WHERE instr(grp, ?1) OR instr(owner, ?1))"
		    " + (SELECT COUNT(*) FROM cursor WHERE instr(name, ?1) OR instr(owner, ?1))",
};

#endif
