/*
 * fault.h - what can be wrong with a transport, one line each.
 */
#ifndef FAULTY_FAULT_H
#define FAULTY_FAULT_H

/*
 * X(NAME, name in the URL, default of `every`, what happens).  Where the text says "every n-th", n is the
 * setting `every`; the other faults happen always.
 */
/* clang-format off */
#define FAULTS(X)                                                                                            \
	X(NONE, "none", 1, "nothing: everything passes through")                                             \
	/* publishing */                                                                                     \
	X(LOSE, "lose", 1, "every n-th message is confirmed and not stored")                                 \
	X(LIE_REJECTED, "lie-rejected", 1, "every n-th message is stored and reported as rejected")          \
	X(DROP_COMPLETION, "drop-completion", 1, "every n-th result is never reported")                      \
	X(DOUBLE_COMPLETION, "double-completion", 1, "every n-th result is reported twice")                  \
	X(DROP_WHEN_FULL, "drop-when-full", 1, "what finds no room is confirmed and not stored")             \
	X(FORGET_DLQ, "forget-dlq", 1, "a dead letter is confirmed and not stored")                          \
	X(IGNORE_PROVISION, "ignore-provision", 1, "what is missing is made under provision=check and off")  \
	/* delivering */                                                                                     \
	X(SWALLOW_FILTER, "swallow-filter", 1, "a message that has an attribute is acked unseen")            \
	X(ACK_UNDECODABLE, "ack-undecodable", 1, "a record without an envelope is acked unseen")             \
	X(HALF_BROADCAST, "half-broadcast", 1, "only a source's first broadcast subscription gets a message") \
	X(ONE_GROUP, "one-group", 1, "only the first group of the process gets a message")                   \
	X(FORGET_PAST, "forget-past", 1, "each start makes a new group, which has no past")                  \
	X(SEE_PAST, "see-past", 1, "a new group begins with the oldest record")                              \
	X(WRONG_ORDER, "wrong-order", 1, "neighbours change places")                                         \
	X(NO_ATTEMPT, "no-attempt", 1, "the attempt and the deliveries are always 1")                        \
	X(CORRUPT_PAYLOAD, "corrupt-payload", 1, "every n-th payload lacks its last byte")                   \
	X(CUT_ATTRIBUTES, "truncate-attributes", 1, "a message lacks its last attribute")                    \
	X(ONE_AT_A_TIME, "one-at-a-time", 1, "nothing is delivered while a delivery is open")                \
	X(RETRY_BLOCKS, "retry-blocks", 1, "nothing is delivered while a retry waits")                       \
	X(IGNORE_MAX_UNSETTLED, "ignore-max-unsettled", 1, "max_unsettled has no effect")                    \
	/* settling */                                                                                       \
	X(DUPLICATE, "duplicate", 3, "every n-th acked message is delivered once more")                      \
	X(STALE_SETTLE, "stale-settle", 1, "every n-th ack and reject is reported as done, and is not")      \
	X(EARLY, "early", 1, "a retry comes after half of its delay")                                        \
	X(LATE, "late", 1, "a retry comes two seconds late")                                                 \
	X(FORGET_RETRY, "forget-retry", 1, "a message that is to be tried again is acked")                   \
	X(FORGET_HOLD, "forget-hold", 1, "the due time and attempt of a held message are not stored")        \
	X(SHORT_LEASE, "short-lease", 1, "a delivery is given to others while its handler runs")             \
	X(IGNORE_HANDBACK, "ignore-handback", 1, "a message that is handed back is acked")                   \
	/* life cycle */                                                                                     \
	X(LIE_CAPABILITIES, "lie-capabilities", 1, "KEY_ORDER_GROUP is declared; a fetch gives one message") \
	X(LEAK_OBJECTS, "leak-objects", 1, "a broadcast source leaves a group behind in the backend")        \
	X(NEVER_STOPS, "never-stops", 1, "stop says that threads are still at work")                         \
	X(THREAD_LEAK, "thread-leak", 1, "a thread stays behind each connection")                            \
	X(TAKE_SIGNALS, "signal-unblocked", 1, "a thread of the transport takes signals")                    \
	X(IGNORE_SIGPIPE, "ignore-sigpipe", 1, "SIGPIPE is ignored from the first start on")                 \
	X(RAW_DIFFERS, "raw-differs", 1, "a stored record lacks its first header")
/* clang-format on */

enum fault {
#define FAULT_ENUM(name, text, every, help) FAULT_##name,
	FAULTS(FAULT_ENUM)
#undef FAULT_ENUM
};

#endif
