/*
 * round.h - one round of the I/O thread: one transaction.
 *
 *     publishes       what has piled up since the last round                 queue.c
 *     verdicts        likewise, claims that somebody has asked us to give
 *                     up, sources that stop: what they have goes back        verdict.c
 *     claims          for each fetch that waits: what has lapsed, then what
 *                     is new                                                 take.c
 *     house-keeping   cursors of readers, records beyond `retain`            house.c
 *
 * Nothing is told to anybody before the commit has succeeded; when it fails, what was to be written is kept
 * and written again in a later round.  All of it runs on the I/O thread; the functions return SQLite's codes.
 */
#ifndef SQLITE_ROUND_H
#define SQLITE_ROUND_H

#include "plugin.h"

#define TRIM_TOPICS 4 /* topics that one round cuts down to `retain` */

enum stage { STAGE_BEGIN, STAGE_PUBLISH, STAGE_CLAIM, STAGE_COMMIT };

struct trimmed {
	char topic[256];
	int64_t count;
};

struct round {
	struct ferry_connection *c;
	struct store *store;
	struct ferry_source *sources;
	int64_t now_us, wall_us, pacing;
	size_t publishes; /* the front of the queue that is being stored */
	enum stage stage;
	struct ferry_subscription *lost_group; /* somebody has deleted it: made again */
	struct trimmed trimmed[TRIM_TOPICS];
	size_t trimmed_count;
};

/* round.c: run one.  `sources` and `publishes` are what there was when it began. */
void round_run(struct ferry_connection *connection, struct ferry_source *sources, size_t publishes);

/* queue.c: how much of the queue's front goes into one transaction [lock]; write it; when all has failed. */
size_t queue_front(struct queue *queue);
int queue_write(struct round *round);
void queue_failed(struct round *round, int rc);

/* verdict.c: look for requests to give up claims; take the dirty list [lock]; write; forget what is written
 * [lock], claims that are free then go to *dead. */
int verdicts_read_requests(struct round *round);
void verdicts_take(struct ferry_connection *connection);
int verdicts_write(struct round *round);
void verdicts_finish(struct round *round, struct claim **dead);

/* take.c: claim for all sources that are being served; hand out [lock]; or undo [lock]. */
int take_all(struct round *round);
void take_finish(struct round *round, struct ferry_source *source);
void take_undo(struct ferry_source *source, struct claim **dead);

/* house.c */
int house_keep(struct round *round);

#endif
