/*
 * handler.h - subscribing to a topic.
 *
 *     static int on_order(struct ferry_message *m, void *shop)
 *     {
 *         return charge(shop, m) ? ferry_message_fail(m, FERRY_E_RETRY, "card service away") : 0;
 *     }
 *     ferry_subscribe(bus, "order.placed", on_order, &shop,
 *         FERRY_OPTIONS(ferry_handler_options, .filter = FERRY_ATTRIBUTES({"region", "eu"})), &err);
 *
 * Handlers are registered before ferry_bus_start.  Handlers of one group and topic
 * share one subscription; each message goes to one whose filter matches.  Every
 * broadcast handler is a group of its own and gets every message.
 */
#ifndef FERRY_HANDLER_H
#define FERRY_HANDLER_H

#include <ferry/message.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ferry_bus;

/*
 * A handler.  0 = done (ack); negative = try again; FERRY_REJECT = dead-letter now;
 * any other positive number is an error and treated as "try again".  With ack=manual
 * 0 leaves the delivery open if a reference was taken, else it is a failed attempt.
 * Runs on a worker thread (or inside ferry_bus_dispatch); calls for different
 * messages run at the same time only with concurrency > 1.  Must be idempotent:
 * a message may arrive more than once.
 */
typedef int ferry_handler_fn(struct ferry_message *message, void *ctx);

/*
 * Called before the handler, on its thread: 0 = accepted; negative = undecodable, and
 * `why->text` names the field and the reason.  An undecodable message is dead-lettered
 * at once with reason `decode` and never handed to the handler; only FERRY_E_NOMEM is a failed
 * attempt like any other.
 */
typedef int ferry_decode_fn(struct ferry_message *message, void *ctx, struct ferry_error *why);

enum ferry_distribution {
	FERRY_COMPETING = 1, /* each message to one handler of the group, over all processes */
	FERRY_BROADCAST = 2, /* each message to every broadcast handler of every process */
};

enum ferry_ack {
	FERRY_ACK_AUTO = 1,   /* the return value settles */
	FERRY_ACK_MANUAL = 2, /* ferry_message_ack, _nack or _reject settles, from any thread */
};

enum ferry_order {
	FERRY_ORDER_NONE = 1,
	FERRY_ORDER_KEY_IN_PROCESS = 2, /* messages of one key one after the other, in this process */
	FERRY_ORDER_KEY = 3,            /* the same over all processes; needs KEY_ORDER_GROUP */
	FERRY_ORDER_PARTITION = 4,      /* one at a time per partition; needs KEY_ORDER_GROUP */
};

enum ferry_start_at {
	FERRY_START_NEW = 1,      /* messages published after the group's first start */
	FERRY_START_EARLIEST = 2, /* all that the backend still has; needs RETAIN */
};

/* Zero in a field means its default, given in brackets.  Fields are only ever appended. */
struct ferry_handler_options {
	size_t size;

	/* [A-Za-z0-9_.-]{1,128}: in logs, errors and dead letters ["<topic>#<n>"].  Broadcast handlers of one group
	 * and topic have different ones. */
	const char *name;
	const char *group;             /* [A-Za-z0-9_-]{1,40} [the bus's service] */
	const char *dlq_topic;         /* an ordinary topic; the group's handlers must agree [dlq.<group>.<topic>] */
	/* [A-Za-z0-9_-]{1,40}: stable name, resume where it stopped; one handler of a topic each [NULL: only new] */
	const char *broadcast_durable;
	const struct ferry_attribute *filter; /* attribute = value, all must match [NULL: all] */
	ferry_decode_fn *decode;       /* [NULL: bytes as they are] */
	void *decode_ctx;

	int32_t distribution; /* enum ferry_distribution [competing] */
	int32_t ack;          /* enum ferry_ack [auto] */
	int32_t order;        /* enum ferry_order [none]; the group's handlers must agree */
	int32_t start;        /* enum ferry_start_at [new]; the group's handlers must agree */
	int32_t dlq;          /* FERRY_ON or FERRY_OFF [on; off on a dlq.* topic without dlq_topic] */

	int32_t concurrency;        /* calls at the same time, 1..256 [1] */
	int32_t max_retries;        /* after the first attempt [10]; FERRY_NONE: no retry */
	int32_t initial_backoff_ms; /* [1000]; FERRY_NONE: no delay */
	int32_t max_backoff_ms;     /* [60000] */
	int32_t jitter_percent;     /* added to a delay before the cap, 0..100 [0] */
	int32_t timeout_ms;         /* for one call, and for a manual settle [30000]; FERRY_NONE */
	int32_t max_unsettled;      /* of the group and topic [10000]; FERRY_NONE: no bound; must agree */
	int32_t max_deliveries;     /* crash guard [max_retries + 6] */
	int32_t reserved;           /* keep 0 */
};

/*
 * Register a handler.  `topic` [A-Za-z0-9._-]{1,200} without an empty part between dots (dlq.* up to
 * 249); names that are equal but for '.' and '_' are refused.  Strings and lists are copied.
 * [thread-safe, before ferry_bus_start]
 *
 * Errors: FERRY_E_INVALID (a name, a number or a disagreement inside the group: the
 * text names it), FERRY_E_UNSUPPORTED (the transport lacks a capability: the text
 * names it), FERRY_E_STATE (the bus is started), FERRY_E_NOMEM, FERRY_E_FORK.
 */
FERRY_API int ferry_subscribe(struct ferry_bus *bus, const char *topic, ferry_handler_fn *handler, void *ctx,
                              const struct ferry_handler_options *options, struct ferry_error *err);

#ifdef __cplusplus
}
#endif

#endif
