/*
 * store.h - the SQLite file: its tables, and each thing that is done to them as one function.
 *
 *     topic    one row per topic that was provisioned; `records` counts its rows in `record`
 *     record   the log: every message of every topic; seq grows over the whole file and is never used again
 *     grp      a group of a topic: the next seq that nobody has claimed
 *     claim    a message that a group has taken and not settled; no row = not taken, or done
 *     cursor   a broadcast handler that reads now: where it stands, for `retain`
 *     revoke   "this owner loses its claims of this topic and group"
 *
 *     record:  1 2 3 4 5 6 7 8 9
 *     claim:     2   4            held by somebody: his until lease_until
 *     grp:               ^ next_seq = 6: 1, 3 and 5 are done
 *
 * A store is used by one thread at a time.  The functions return SQLite's result codes (0 = SQLITE_OK).
 */
#ifndef SQLITE_STORE_H
#define SQLITE_STORE_H

#include <stdbool.h>

#include <sqlite3.h>

#include <ferry/transport.h>

#define STORE_STATEMENTS 40  /* room for all of store.c's statements */
#define STORE_WAIT_MS    100 /* how long store_begin waits for another writer before it gives up */

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STORE_STATEMENTS];
};

/* How to open one. */
struct store_options {
	const char *file;
	bool create; /* the file and its tables, if missing */
	bool full;   /* synchronous=FULL: a confirmation survives a power loss, too */
};

/* A row of `record`, and of `claim` where there is one; the views live until the callback returns. */
struct stored {
	int64_t seq, wall_us;
	struct ferry_view headers, key, payload;
	int64_t generation, due_wall_us, first_failed_wall_us;
	uint32_t attempt, deliveries;
};
/* Other than 0 ends the walk. */
typedef int stored_fn(const struct stored *row, void *ctx);

/* Which claim: it is ours only as long as the row has this generation. */
struct store_claim {
	const char *topic, *group;
	int64_t seq, generation;
};

/* ---- the file ---- */

int store_open(struct store *store, const struct store_options *options);
/* A zeroed or half-opened one is allowed. */
void store_close(struct store *store);
/* Describe SQLite's `rc` in *err and return the FERRY_E_* for it. */
int store_fail(const struct store *store, const char *file, int rc, struct ferry_error *err);

/* SQLITE_BUSY: another process writes for longer than STORE_WAIT_MS. */
int store_begin(struct store *store);
int store_commit(struct store *store);
void store_rollback(struct store *store);
/* A number that changes when another connection has committed. */
int store_version(struct store *store, int64_t *ret);

/* ---- topics and records ---- */

int store_topic_exists(struct store *store, const char *topic, bool *ret);
int store_topic_add(struct store *store, const char *topic);
int store_record_add(struct store *store, const char *topic, int64_t wall_us, struct ferry_view key,
		     struct ferry_view headers, struct ferry_view payload);
/* The seq of the newest record that the file ever had. */
int store_last_seq(struct store *store, int64_t *ret);
int store_record_at(struct store *store, const char *topic, uint64_t index, stored_fn *each, void *ctx);
/* The first topic behind `after` that has more than `retain` records, and how many more. SQLITE_DONE: none.
 */
int store_topic_over(struct store *store, const char *after, int64_t retain, char *topic, size_t size,
		     int64_t *ret_over);
/* Delete the topic's oldest records, at most `count`, and none that a group or a reader still needs. */
int store_trim(struct store *store, const char *topic, int64_t count, int64_t *ret_deleted);

/* ---- groups and claims ---- */

int store_group_add(struct store *store, const char *topic, const char *group, int64_t next_seq,
		    int64_t wall_us);
/* SQLITE_DONE: there is no such group. */
int store_group_next(struct store *store, const char *topic, const char *group, int64_t *ret_next);
int store_group_advance(struct store *store, const char *topic, const char *group, int64_t next_seq);
int store_claim_count(struct store *store, const char *topic, const char *group, int64_t *ret);
/* Records from `from` on, oldest first. */
int store_each_new(struct store *store, const char *topic, int64_t from, int64_t limit, stored_fn *each,
		   void *ctx);
/* Claims that are for anybody to take: handed back, or not renewed in time; not those of `except`. */
int store_each_lapsed(struct store *store, const char *topic, const char *group, const char *except,
		      int64_t wall_us, int64_t limit, stored_fn *each, void *ctx);
/* Take a new record, or one that has a claim: then with the next generation and one delivery more. */
int store_claim_add(struct store *store, const struct store_claim *claim, const char *owner,
		    int64_t lease_wall_us);
int store_claim_take(struct store *store, const struct store_claim *claim, const char *owner,
		     int64_t lease_wall_us);

/* These change nothing, and set *ret_ours to false, when the claim is no longer ours. */
int store_claim_renew(struct store *store, const struct store_claim *claim, int64_t lease_wall_us,
		      bool *ret_ours);
int store_claim_hold(struct store *store, const struct store_claim *claim, const struct stored *retry,
		     int64_t lease_wall_us, bool *ret_ours);
int store_claim_end(struct store *store, const struct store_claim *claim, bool *ret_ours);
int store_claim_back(struct store *store, const struct store_claim *claim, bool *ret_ours);

/* ---- owners ---- */

/* Ask every owner of claims of this topic and group to give them up. */
int store_revoke_ask(struct store *store, const char *topic, const char *group);
/* Is there a request for this owner, and topic and group (NULL: any)? */
int store_revoke_asked(struct store *store, const char *owner, const char *topic, const char *group,
		       bool *ret);
/* Do it: the claims are for anybody, with a new generation, and the request is gone. */
int store_revoke_do(struct store *store, const char *owner, const char *topic, const char *group);
/* An owner goes: its claims are for anybody, its cursors and requests are deleted. */
int store_leave(struct store *store, const char *owner);

int store_cursor_put(struct store *store, const char *topic, const char *name, const char *owner,
		     int64_t next_seq, int64_t lease_wall_us);
/* Delete the cursors of owners who have gone without a word, and requests that nobody can meet any more. */
int store_sweep(struct store *store, int64_t wall_us);

/* Rows of grp, claim and cursor whose group, name or owner contains `needle`. */
int store_objects(struct store *store, const char *needle, int64_t *ret);

#endif
