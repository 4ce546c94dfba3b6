/*
 * orders.c - a walk through ferry: a shop whose orders travel as events.
 *
 *     orders                                     in memory
 *     FERRY_URL=redis://localhost:6379/0 orders  over a broker, without a rebuild
 *
 * It prints the same lines on every transport.  Each step has its handlers, then what the main thread does;
 * all handlers are subscribed in `subscribe_all`, before the bus starts.
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ferry/ferry.h>

#include "notes.h"

#define BACKOFF_MS 20 /* the default is 1 s, doubled each time up to 60 s */

struct shop {
	struct ferry_bus *bus;
	struct page eu, us;           /* step 1 */
	struct page payments;         /* step 2 */
	struct page parcels, letters; /* step 3 */
	char unknown_address[128];    /* id of the parcel to send again */
	atomic_bool address_found;
	struct page audit, archive; /* step 4 */
	struct page shelf;          /* step 5 */
	struct ferry_message *on_shelf;
	struct page news, confirmed;     /* step 6 */
	struct page printer;             /* step 7 */
	struct page red_cart, blue_cart; /* step 8 */
	struct page packing, stopping;   /* step 9 */
};

/* ---- small things ---- */

static void fail(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "orders: %s: %s\n", what, why);
	exit(1);
}

/* Wait until the page is complete. */
static void expect(struct page *page, size_t count, const char *what)
{
	if (!page_wait(page, count))
		fail(what, "it did not happen within 30 seconds");
}

/* A payload is bytes; here they are short texts. */
#define TEXT(message, name) \
	char name[32];      \
	copy_text(message, name, sizeof name)

static void copy_text(const struct ferry_message *message, char *text, size_t room)
{
	size_t size;
	const void *payload = ferry_message_payload(message, &size);
	snprintf(text, room, "%.*s", (int)size, (const char *)payload);
}

/* Publish one message and wait for its confirmation. */
static void publish(struct shop *shop, const char *topic, const char *text,
		    const struct ferry_publish_options *options)
{
	struct ferry_publisher *publisher;
	struct ferry_error err;
	if (ferry_publisher_open(shop->bus, topic, NULL, &publisher, &err) ||
	    ferry_publish(publisher, text, strlen(text), options, &err))
		fail(topic, err.text);
	ferry_publisher_close(publisher);
}

/* ---- 1. filters ---- */

static int on_order_eu(struct ferry_message *message, void *ctx)
{
	TEXT(message, order);
	page_note(&((struct shop *)ctx)->eu, "%s", order);
	return 0; /* done */
}

static int on_order_us(struct ferry_message *message, void *ctx)
{
	TEXT(message, order);
	page_note(&((struct shop *)ctx)->us, "%s", order);
	return 0;
}

static void show_filters(struct shop *shop)
{
	static const char *const orders[][2] = {{"A1", "eu"}, {"A2", "us"}, {"A3", "eu"}, {"A4", "moon"}};
	printf("1. Filters: a handler says which messages it wants.\n");
	for (size_t i = 0; i < 4; i++)
		publish(shop, "order.placed", orders[i][0],
			FERRY_OPTIONS(ferry_publish_options,
				      .attributes = FERRY_ATTRIBUTES({"region", orders[i][1]})));
	expect(&shop->eu, 2, "orders from the EU");
	expect(&shop->us, 1, "orders from the US");
	page_print(&shop->eu, "the EU desk", true);
	page_print(&shop->us, "the US desk", true);
	printf("   %-16s  %s\n", "nobody", "A4, from the moon: settled, and counted as filtered");
}

/* ---- 2. retries ---- */

static int on_payment(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	unsigned int attempt = ferry_message_attempt(message);
	TEXT(message, payment);
	if (attempt < 3) {
		page_note(&shop->payments, "%s failed on attempt %u", payment, attempt);
		return ferry_message_fail(message, FERRY_E_RETRY, "the card service is away");
	}
	page_note(&shop->payments, "%s paid on attempt %u", payment, attempt);
	return 0;
}

static void show_retries(struct shop *shop)
{
	printf("\n2. Retries: what fails is tried again, later each time.\n");
	publish(shop, "payment.requested", "P1", NULL);
	expect(&shop->payments, 3, "three attempts to pay");
	page_print(&shop->payments, "payment", false);
}

/* ---- 3. dead letters ---- */

static int on_parcel(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	TEXT(message, parcel);
	if (strcmp(parcel, "B2") == 0) {
		ferry_message_fail(message, FERRY_REJECT, "it has no label");
		return FERRY_REJECT; /* no attempt could change that */
	}
	if (!atomic_load(&shop->address_found))
		return ferry_message_fail(message, FERRY_E_RETRY, "no such address");
	page_note(&shop->parcels, "%s delivered on attempt %u", parcel, ferry_message_attempt(message));
	return 0;
}

/* A dead letter is an ordinary message on an ordinary topic. */
static int on_dead_parcel(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	TEXT(message, parcel);
	if (strcmp(parcel, "B1") == 0)
		snprintf(shop->unknown_address, sizeof shop->unknown_address, "%s",
			 ferry_message_id(message));
	page_note(&shop->letters, "%s: %s (reason: %s, attempts: %s)", parcel,
		  ferry_message_attribute(message, "ferry-dlq-error"),
		  ferry_message_attribute(message, "ferry-dlq-reason"),
		  ferry_message_attribute(message, "ferry-dlq-attempts"));
	return 0;
}

static void show_dead_letters(struct shop *shop)
{
	struct ferry_replay_report report = {.size = sizeof report};
	struct ferry_error err;
	printf("\n3. Dead letters: what cannot be handled is kept, with the reason, and can be sent "
	       "again.\n");
	publish(shop, "parcel.shipped", "B1", NULL);
	publish(shop, "parcel.shipped", "B2", NULL);
	expect(&shop->letters, 2, "two dead letters");
	page_print(&shop->letters, "dead letters", true);

	atomic_store(&shop->address_found, true);
	if (ferry_dlq_replay(shop->bus, "dlq.shop.parcel.shipped",
			     FERRY_OPTIONS(ferry_replay_options, .id = shop->unknown_address), &report, &err))
		fail("replay", err.text);
	expect(&shop->parcels, 1, "the parcel that was sent again");
	page_print(&shop->parcels, "after the replay", false);
}

/* ---- 4. broadcast ---- */

static int on_order_broadcast(struct ferry_message *message, void *ctx)
{
	TEXT(message, order);
	page_note(ctx, "%s", order);
	return 0;
}

static void show_broadcast(struct shop *shop)
{
	printf("\n4. Broadcast: every such handler gets every message. These two saw the orders of step "
	       "1:\n");
	expect(&shop->audit, 4, "four orders in the audit");
	expect(&shop->archive, 4, "four orders in the archive");
	page_print(&shop->audit, "the audit", true);
	page_print(&shop->archive, "the archive", true);
}

/* ---- 5. manual ack ---- */

static int on_reserve(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	TEXT(message, item);
	shop->on_shelf = ferry_message_ref(message); /* it outlives this call, and so does the delivery */
	page_note(&shop->shelf, "%s put aside on attempt %u", item, ferry_message_attempt(message));
	return 0;
}

static void show_manual_ack(struct shop *shop)
{
	printf("\n5. Manual ack: a delivery stays open until some thread settles it, here the main "
	       "thread.\n");
	publish(shop, "item.reserved", "C1", NULL);
	expect(&shop->shelf, 1, "an item on the shelf");
	struct ferry_message *message = shop->on_shelf;
	int nack = ferry_message_nack(message, 0);
	ferry_message_unref(message);

	expect(&shop->shelf, 2, "the item once more");
	message = shop->on_shelf;
	int ack = ferry_message_ack(message);
	int again = ferry_message_ack(message);
	ferry_message_unref(message);
	page_print(&shop->shelf, "the shelf", false);
	printf("   %-16s  nack: %s; ack: %s; a second ack: %s\n", "main thread", nack ? "failed" : "ok",
	       ack ? "failed" : "ok", ferry_error_name(again));
}

/* ---- 6. publishing ---- */

static int on_news(struct ferry_message *message, void *ctx)
{
	const char *trace = ferry_message_trace_id(message);
	TEXT(message, news);
	page_note(&((struct shop *)ctx)->news, "%s%s%s", news, *trace ? " of trace " : "", trace);
	return 0;
}

static void on_published(int code, const struct ferry_error *err, void *ctx)
{
	page_note(ctx, "N2 %s", code ? err->text : "confirmed to the callback");
}

static void show_publishing(struct shop *shop)
{
	struct ferry_publisher *publisher;
	struct ferry_error err;
	struct ferry_batch_item batch[] = {{.payload = "N3", .payload_size = 2},
					   {.payload = "N4", .payload_size = 2},
					   {.payload = "N5", .payload_size = 2}};
	printf("\n6. Publishing: one call, asynchronously, or a batch; each ends with a confirmation.\n");
	if (ferry_publisher_open(shop->bus, "news.published", NULL, &publisher, &err) ||
	    ferry_publish(publisher, "N1", 2, FERRY_OPTIONS(ferry_publish_options, .trace_id = "checkout-17"),
			  &err))
		fail("one call", err.text);
	page_note(&shop->confirmed, "N1 confirmed");
	if (ferry_publish_async(publisher, "N2", 2, NULL, on_published, &shop->confirmed, &err))
		fail("asynchronous", err.text);
	if (ferry_publish_batch(publisher, batch, 3, 0, &err))
		fail("batch", err.text);
	page_note(&shop->confirmed, "N3 to N5 confirmed");
	expect(&shop->confirmed, 3, "three confirmations");
	expect(&shop->news, 5, "five pieces of news");
	ferry_publisher_close(publisher);
	page_print(&shop->confirmed, "published", true);
	page_print(&shop->news, "handled", true);
}

/* ---- 7. timeouts ---- */

static int on_label(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	unsigned int attempt = ferry_message_attempt(message);
	TEXT(message, label);
	if (attempt == 1) {
		/* The printer hangs.  The descriptor tells when the time is up. */
		struct pollfd cancel = {.fd = ferry_message_cancel_fd(message), .events = POLLIN};
		poll(&cancel, 1, 20000);
		page_note(&shop->printer, "%s attempt 1: %s", label,
			  ferry_message_cancelled(message) ? "out of time" : "not told");
		return 0; /* too late: ignored, and counted */
	}
	page_note(&shop->printer, "%s attempt %u: printed", label, attempt);
	return 0;
}

static void show_timeouts(struct shop *shop)
{
	printf("\n7. Timeouts: a handler that takes too long is told, and the message is tried again.\n");
	publish(shop, "label.wanted", "L1", NULL);
	expect(&shop->printer, 2, "two attempts to print");
	page_print(&shop->printer, "the printer", true);
}

/* ---- 8. order ---- */

static int on_cart(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	size_t size;
	bool red = memcmp(ferry_message_key(message, &size), "red", 3) == 0;
	TEXT(message, change);
	if (red && strcmp(change, "pay") == 0 && ferry_message_attempt(message) == 1)
		return ferry_message_fail(message, FERRY_E_RETRY, "the card service is away");
	page_note(red ? &shop->red_cart : &shop->blue_cart, "%s", change);
	return 0;
}

static void show_order(struct shop *shop)
{
	static const char *const changes[] = {"add", "pay", "ship"};
	static const char *const carts[] = {"red", "blue"};
	printf("\n8. Order: messages of a key follow one another, also around a retry; other keys do not "
	       "wait.\n");
	for (size_t i = 0; i < 6; i++) {
		const char *cart = carts[i % 2];
		publish(shop, "cart.changed", changes[i / 2],
			FERRY_OPTIONS(ferry_publish_options, .key = cart, .key_size = strlen(cart)));
	}
	expect(&shop->red_cart, 3, "three changes of the red cart");
	expect(&shop->blue_cart, 3, "three changes of the blue cart");
	page_print(&shop->red_cart, "the red cart", false);
	page_print(&shop->blue_cart, "the blue cart", false);
}

/* ---- 9. stop ---- */

static void on_state(struct ferry_bus *bus, int state, const struct ferry_error *why, void *ctx)
{
	struct shop *shop = ctx;
	(void)bus;
	(void)why;
	if (state == FERRY_STATE_STOPPING)
		page_note(&shop->stopping, "stopping");
}

/* Still at work when the bus begins to stop. */
static int on_packing(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	TEXT(message, order);
	page_note(&shop->packing, "%s begun", order);
	page_wait(&shop->stopping, 1);
	page_note(&shop->packing, "%s packed while the bus was stopping", order);
	return 0;
}

/* Wait until no more than this is under way: a handler's note is a moment older than the end of its delivery,
 * and the end is not announced. */
static void wait_in_flight(struct shop *shop, uint64_t count)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int64_t end = ferry_bus_now_us(shop->bus) + 30000000;
	struct ferry_group_stats sum;
	do {
		struct ferry_error err;
		struct ferry_stats *stats = ferry_stats_take(shop->bus, &err);
		if (!stats)
			fail("accounting", err.text);
		sum = ferry_stats_sum(stats, NULL);
		ferry_stats_free(stats);
		nanosleep(&pause, NULL);
	} while (sum.in_flight > count && ferry_bus_now_us(shop->bus) < end);
}

static void show_stop(struct shop *shop)
{
	struct ferry_stop_report report = {.size = sizeof report};
	struct ferry_error err;
	printf("\n9. A graceful stop: what has begun is finished, what has not is handed back.\n");
	publish(shop, "order.packed", "A1", NULL);
	expect(&shop->packing, 1, "packing");
	wait_in_flight(shop, 1);
	if (ferry_bus_stop(shop->bus, 30000, &report, &err))
		fail("stop", err.text);
	page_print(&shop->packing, "packing", false);
	printf("   %-16s  handled %d, handed back %d, pending %d, dropped %d\n", "the report",
	       (int)report.handled, (int)report.handed_back, (int)report.pending, (int)report.dropped);
}

/* ---- the accounting ---- */

/* The rows in an order of our own; a broadcast handler has its own row. */
static const struct {
	const char *topic, *handler;
} rows[] = {{"order.placed", ""},      {"order.placed", "audit"}, {"order.placed", "archive"},
	    {"payment.requested", ""}, {"parcel.shipped", ""},    {"dlq.shop.parcel.shipped", ""},
	    {"item.reserved", ""},     {"news.published", ""},    {"label.wanted", ""},
	    {"cart.changed", ""},      {"order.packed", ""}};

#define ROWS (sizeof rows / sizeof rows[0])

static const struct ferry_group_stats *find_row(const struct ferry_stats *stats, size_t row)
{
	for (size_t i = 0; i < ferry_stats_group_count(stats); i++) {
		const struct ferry_group_stats *group = ferry_stats_group(stats, i);
		if (strcmp(group->topic, rows[row].topic) == 0 &&
		    strcmp(group->handler, rows[row].handler) == 0)
			return group;
	}
	fail(rows[row].topic, "it is not in the accounting");
	return NULL;
}

/* Whether a transport delivers a retry again or the process keeps it differs, and so does `received`; the
 * number of messages does not. */
static bool print_row(const struct ferry_group_stats *row)
{
	uint64_t messages = row->received - row->retried - row->handed_back - row->stale;
	printf("   %-25s %-8s %8d %8d %8d %13d %8d %9d\n", row->topic, row->handler, (int)messages,
	       (int)row->handled, (int)row->filtered, (int)row->dead_lettered, (int)row->dropped,
	       (int)row->in_flight);
	return messages == row->handled + row->filtered + row->dead_lettered + row->dropped &&
	       !row->in_flight;
}

static bool show_accounting(struct shop *shop)
{
	struct ferry_error err;
	struct ferry_stats *stats = ferry_stats_take(shop->bus, &err);
	bool balanced = true;
	if (!stats)
		fail("accounting", err.text);
	printf("\nThe accounting: each message is in one column, and none is in flight.\n"
	       "   %-25s %-8s %8s %8s %8s %13s %8s %9s\n",
	       "topic", "handler", "messages", "handled", "filtered", "dead-lettered", "dropped",
	       "in flight");
	for (size_t i = 0; i < ROWS; i++)
		balanced = print_row(find_row(stats, i)) && balanced;
	ferry_stats_free(stats);
	printf("%s\n", balanced ? "Nothing is lost." : "The columns do not add up!");
	return balanced;
}

/* ---- the program ---- */

static void subscribe(struct shop *shop, const char *topic, ferry_handler_fn *handler, void *ctx,
		      struct ferry_handler_options *options)
{
	struct ferry_error err;
	options->initial_backoff_ms = BACKOFF_MS;
	if (ferry_subscribe(shop->bus, topic, handler, ctx, options, &err))
		fail(topic, err.text);
}

#define OPTIONS(...) FERRY_OPTIONS(ferry_handler_options, __VA_ARGS__)

static void subscribe_all(struct shop *shop)
{
	subscribe(shop, "order.placed", on_order_eu, shop,
		  OPTIONS(.filter = FERRY_ATTRIBUTES({"region", "eu"})));
	subscribe(shop, "order.placed", on_order_us, shop,
		  OPTIONS(.filter = FERRY_ATTRIBUTES({"region", "us"})));
	subscribe(shop, "order.placed", on_order_broadcast, &shop->audit,
		  OPTIONS(.name = "audit", .distribution = FERRY_BROADCAST));
	subscribe(shop, "order.placed", on_order_broadcast, &shop->archive,
		  OPTIONS(.name = "archive", .distribution = FERRY_BROADCAST));
	subscribe(shop, "payment.requested", on_payment, shop, OPTIONS(.max_retries = 5));
	subscribe(shop, "parcel.shipped", on_parcel, shop, OPTIONS(.max_retries = 2));
	subscribe(shop, "dlq.shop.parcel.shipped", on_dead_parcel, shop, OPTIONS(.name = "dead-parcels"));
	subscribe(shop, "item.reserved", on_reserve, shop, OPTIONS(.ack = FERRY_ACK_MANUAL));
	subscribe(shop, "news.published", on_news, shop, OPTIONS(.concurrency = 2));
	subscribe(shop, "label.wanted", on_label, shop, OPTIONS(.timeout_ms = 100));
	subscribe(shop, "cart.changed", on_cart, shop,
		  OPTIONS(.concurrency = 4, .order = FERRY_ORDER_KEY_IN_PROCESS));
	subscribe(shop, "order.packed", on_packing, shop, OPTIONS(.name = "packing"));
}

static void open_shop(struct shop *shop)
{
	struct ferry_error err;
	const char *url = getenv("FERRY_URL");
	shop->bus = ferry_bus_open(
		url ? url : "memory:",
		FERRY_OPTIONS(ferry_bus_options, .service = "shop", .on_state = on_state, .hook_ctx = shop),
		&err);
	if (!shop->bus)
		fail("open", err.text);
	subscribe_all(shop);
	if (ferry_bus_start(shop->bus, 10000, &err) || ferry_bus_wait_ready(shop->bus, 30000, &err))
		fail("start", err.text);
}

int main(void)
{
	static struct shop shop;
	open_shop(&shop);
	show_filters(&shop);
	show_retries(&shop);
	show_dead_letters(&shop);
	show_broadcast(&shop);
	show_manual_ack(&shop);
	show_publishing(&shop);
	show_timeouts(&shop);
	show_order(&shop);
	show_stop(&shop);
	bool balanced = show_accounting(&shop);
	ferry_bus_close(shop.bus);
	return balanced ? 0 : 1;
}
