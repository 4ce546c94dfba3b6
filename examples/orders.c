/*
 * orders.c - a walk through ferry: a shop whose orders travel as events.
 *
 *     orders                                     in memory
 *     FERRY_URL=redis://localhost:6379/0 orders  over a broker, without a rebuild
 *
 * It prints the same lines on every transport.  The events are C structs, which shop.h declares and shop.c
 * describes.  Each step has its handlers, then what the main thread does; all handlers are subscribed in
 * `subscribe_all`, before the bus starts.
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ferry.h>

#include "accounting.h"
#include "notes.h"
#include "shop.h"

#define BACKOFF_MS 20 /* the default is 1 s, doubled each time up to 60 s */

struct shop {
	struct ferry_bus *bus;
	struct ferry_error err; /* of the main thread's last call */

	/* step 1 */
	struct order_placed_publisher *orders;
	struct page eu, us;
	/* step 2 */
	struct payment_requested_publisher *payment_requests;
	struct page payments;
	/* step 3 */
	struct parcel_shipped_publisher *shipments;
	struct page parcels, letters;
	char unknown_address[128]; /* id of the parcel to send again */
	atomic_bool address_found;
	/* step 4 */
	struct page audit, archive;
	/* step 5 */
	struct item_reserved_publisher *reservations;
	struct page shelf;
	struct ferry_message *on_shelf;
	/* step 6 */
	struct news_published_publisher *newspaper;
	struct page news, confirmed;
	/* step 7 */
	struct label_wanted_publisher *labels;
	struct page printer;
	/* step 8 */
	struct cart_changed_publisher *carts;
	struct page red_cart, blue_cart;
	/* step 9 */
	struct order_packed_publisher *packed;
	struct page packing, stopping;
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

/* For the calls of the main thread: 0, or the shop closes. */
static void must(const struct shop *shop, int code)
{
	if (code)
		fail(ferry_error_name(code), shop->err.text);
}

#define PUBLISH(...) FERRY_OPTIONS(ferry_publish_options, __VA_ARGS__)
#define HANDLER(...) FERRY_OPTIONS(ferry_handler_options, .initial_backoff_ms = BACKOFF_MS, __VA_ARGS__)

/* ---- 1. filters ---- */

static int on_order_eu(const struct order_placed *order, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	(void)message;
	page_note(&shop->eu, "%s", order->order_id);
	return 0; /* done */
}

static int on_order_us(const struct order_placed *order, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	(void)message;
	page_note(&shop->us, "%s", order->order_id);
	return 0;
}

static void place_order(struct shop *shop, const char *order_id, const char *region)
{
	const struct item items[] = {{"pear", 2}, {"plum", 12}};
	struct order_placed order = {.order_id = order_id, .cents = 990, .items = items, .item_count = 2};
	struct ferry_publish_options *options = PUBLISH(.attributes = FERRY_ATTRIBUTES({"region", region}));
	must(shop, order_placed_publish(shop->orders, &order, options, &shop->err));
}

static void show_filters(struct shop *shop)
{
	printf("1. Filters: a handler says which messages it wants.\n");
	place_order(shop, "A1", "eu");
	place_order(shop, "A2", "us");
	place_order(shop, "A3", "eu");
	place_order(shop, "A4", "moon");
	expect(&shop->eu, 2, "orders from the EU");
	expect(&shop->us, 1, "orders from the US");
	page_print(&shop->eu, "the EU desk", true);
	page_print(&shop->us, "the US desk", true);
	printf("   %-16s  %s\n", "nobody", "A4, from the moon: settled, and counted as filtered");
}

/* ---- 2. retries ---- */

static int on_payment(const struct payment_requested *payment, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	unsigned int attempt = ferry_message_attempt(message);
	if (attempt < 3) {
		page_note(&shop->payments, "%s failed on attempt %u", payment->payment_id, attempt);
		return ferry_message_fail(message, FERRY_E_RETRY, "the card service is away");
	}
	page_note(&shop->payments, "%s paid on attempt %u", payment->payment_id, attempt);
	return 0;
}

static void show_retries(struct shop *shop)
{
	printf("\n2. Retries: what fails is tried again, later each time.\n");
	struct payment_requested payment = {.payment_id = "P1", .cents = 990};
	must(shop, payment_requested_publish(shop->payment_requests, &payment, NULL, &shop->err));
	expect(&shop->payments, 3, "three attempts to pay");
	page_print(&shop->payments, "payment", false);
}

/* ---- 3. dead letters ---- */

static int on_parcel(const struct parcel_shipped *parcel, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	if (!parcel->address) {
		ferry_message_fail(message, FERRY_REJECT, "it has no address");
		return FERRY_REJECT; /* no attempt could change that */
	}
	if (!atomic_load(&shop->address_found))
		return ferry_message_fail(message, FERRY_E_RETRY, "no such address");
	page_note(&shop->parcels, "%s delivered on attempt %u", parcel->parcel_id,
		  ferry_message_attempt(message));
	return 0;
}

/* A dead letter is an ordinary message on an ordinary topic, with the bytes that the first one had.  They
 * need not be a struct, so this handler is given bytes, and decodes them itself. */
static int on_dead_parcel(struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	const struct parcel_shipped *parcel = NULL;
	size_t size;
	const void *payload = ferry_message_payload(message, &size);
	bool readable = parcel_shipped_decode(payload, size, &parcel, NULL) == 0;
	if (readable && strcmp(parcel->parcel_id, "B1") == 0)
		snprintf(shop->unknown_address, sizeof shop->unknown_address, "%s",
			 ferry_message_id(message));
	page_note(&shop->letters, "%s: %s (reason: %s, attempts: %s)",
		  readable ? parcel->parcel_id : "unknown",
		  ferry_message_attribute(message, "ferry-dlq-error"),
		  ferry_message_attribute(message, "ferry-dlq-reason"),
		  ferry_message_attribute(message, "ferry-dlq-attempts"));
	parcel_shipped_free(parcel);
	return 0;
}

/* What a program in another language might send: bytes that are not what the topic says. */
static void ship_nonsense(struct shop *shop)
{
	static const char nonsense[] = "{\"parcel_id\": 4}";
	struct ferry_publisher *publisher;
	must(shop, ferry_publisher_open(shop->bus, "parcel.shipped", NULL, &publisher, &shop->err));
	must(shop, ferry_publish(publisher, nonsense, strlen(nonsense), NULL, &shop->err));
	ferry_publisher_close(publisher);
}

static void show_dead_letters(struct shop *shop)
{
	struct ferry_replay_report report = {.size = sizeof report};
	printf("\n3. Dead letters: what cannot be handled is kept, with the reason, and can be sent "
	       "again.\n");
	const struct parcel_shipped parcels[] = {{"B1", "Long Road 5"}, {"B2", NULL}};
	for (size_t i = 0; i < 2; i++)
		must(shop, parcel_shipped_publish(shop->shipments, &parcels[i], NULL, &shop->err));
	ship_nonsense(shop);
	expect(&shop->letters, 3, "three dead letters");
	page_print(&shop->letters, "dead letters", true);

	atomic_store(&shop->address_found, true);
	must(shop, ferry_dlq_replay(shop->bus, "dlq.shop.parcel.shipped",
				    FERRY_OPTIONS(ferry_replay_options, .id = shop->unknown_address), &report,
				    &shop->err));
	expect(&shop->parcels, 1, "the parcel that was sent again");
	page_print(&shop->parcels, "after the replay", false);
}

/* ---- 4. broadcast ---- */

static int on_order_broadcast(const struct order_placed *order, struct ferry_message *message, void *ctx)
{
	(void)message;
	page_note(ctx, "%s", order->order_id);
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

static int on_reserve(const struct item_reserved *reserved, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	/* It outlives this call, and so do the delivery and the struct. */
	shop->on_shelf = ferry_message_ref(message);
	page_note(&shop->shelf, "%s put aside on attempt %u", reserved->item_id,
		  ferry_message_attempt(message));
	return 0;
}

static void show_manual_ack(struct shop *shop)
{
	printf("\n5. Manual ack: a delivery stays open until some thread settles it, here the main "
	       "thread.\n");
	must(shop,
	     item_reserved_publish(shop->reservations, &(struct item_reserved){"C1"}, NULL, &shop->err));
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

static int on_news(const struct news_published *news, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	const char *trace = ferry_message_trace_id(message);
	page_note(&shop->news, "%s%s%s", news->title, *trace ? " of trace " : "", trace);
	return 0;
}

static void on_published(int code, const struct ferry_error *err, void *ctx)
{
	page_note(ctx, "N2 %s", code ? err->text : "confirmed to the callback");
}

static void show_publishing(struct shop *shop)
{
	static const struct news_published batch[] = {{"N3"}, {"N4"}, {"N5"}};
	printf("\n6. Publishing: one call, asynchronously, or a batch; each ends with a confirmation, or is "
	       "refused.\n");
	must(shop, news_published_publish(shop->newspaper, &(struct news_published){"N1"},
					  PUBLISH(.trace_id = "checkout-17"), &shop->err));
	page_note(&shop->confirmed, "N1 confirmed");
	must(shop, news_published_publish_async(shop->newspaper, &(struct news_published){"N2"}, NULL,
						on_published, &shop->confirmed, &shop->err));
	must(shop, news_published_publish_batch(shop->newspaper, batch, 3, NULL, 0, NULL, &shop->err));
	page_note(&shop->confirmed, "N3 to N5 confirmed");
	int code = news_published_publish(shop->newspaper, &(struct news_published){.title = NULL}, NULL,
					  &shop->err);
	expect(&shop->confirmed, 3, "three confirmations");
	expect(&shop->news, 5, "five pieces of news");
	page_print(&shop->confirmed, "published", true);
	page_print(&shop->news, "handled", true);
	printf("   %-16s  %s, %s\n", "refused", ferry_error_name(code), shop->err.text);
}

/* ---- 7. timeouts ---- */

static int on_label(const struct label_wanted *label, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	unsigned int attempt = ferry_message_attempt(message);
	if (attempt == 1) {
		/* The printer hangs.  The descriptor tells when the time is up. */
		struct pollfd cancel = {.fd = ferry_message_cancel_fd(message), .events = POLLIN};
		poll(&cancel, 1, 20000);
		page_note(&shop->printer, "%s attempt 1: %s", label->label_id,
			  ferry_message_cancelled(message) ? "out of time" : "not told");
		return 0; /* too late: ignored, and counted */
	}
	page_note(&shop->printer, "%s attempt %u: printed", label->label_id, attempt);
	return 0;
}

static void show_timeouts(struct shop *shop)
{
	printf("\n7. Timeouts: a handler that takes too long is told, and the message is tried again.\n");
	must(shop, label_wanted_publish(shop->labels, &(struct label_wanted){"L1"}, NULL, &shop->err));
	expect(&shop->printer, 2, "two attempts to print");
	page_print(&shop->printer, "the printer", true);
}

/* ---- 8. order ---- */

static int on_cart(const struct cart_changed *cart, struct ferry_message *message, void *ctx)
{
	static const char *const names[] = {
		[CHANGE_ADD] = "add", [CHANGE_PAY] = "pay", [CHANGE_SHIP] = "ship"};
	struct shop *shop = ctx;
	size_t size;
	bool red = memcmp(ferry_message_key(message, &size), "red", 3) == 0;
	if (red && cart->change == CHANGE_PAY && ferry_message_attempt(message) == 1)
		return ferry_message_fail(message, FERRY_E_RETRY, "the card service is away");
	page_note(red ? &shop->red_cart : &shop->blue_cart, "%s", names[cart->change]);
	return 0;
}

static void show_order(struct shop *shop)
{
	static const struct cart_changed changes[] = {{CHANGE_ADD}, {CHANGE_PAY}, {CHANGE_SHIP}};
	printf("\n8. Order: messages of a key follow one another, also around a retry; other keys do not "
	       "wait.\n");
	for (size_t i = 0; i < 6; i++) {
		const char *cart = i % 2 ? "blue" : "red";
		struct ferry_publish_options *options = PUBLISH(.key = cart, .key_size = strlen(cart));
		must(shop, cart_changed_publish(shop->carts, &changes[i / 2], options, &shop->err));
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
static int on_packing(const struct order_packed *order, struct ferry_message *message, void *ctx)
{
	struct shop *shop = ctx;
	(void)message;
	page_note(&shop->packing, "%s begun", order->order_id);
	page_wait(&shop->stopping, 1);
	page_note(&shop->packing, "%s packed while the bus was stopping", order->order_id);
	return 0;
}

static void show_stop(struct shop *shop)
{
	struct ferry_stop_report report = {.size = sizeof report};
	printf("\n9. A graceful stop: what has begun is finished, what has not is handed back.\n");
	must(shop, order_packed_publish(shop->packed, &(struct order_packed){"A1"}, NULL, &shop->err));
	expect(&shop->packing, 1, "packing");
	must(shop, accounting_wait_in_flight(shop->bus, 1, 30000, &shop->err));
	must(shop, ferry_bus_stop(shop->bus, 30000, &report, &shop->err));
	page_print(&shop->packing, "packing", false);
	printf("   %-16s  handled %d, handed back %d, pending %d, dropped %d\n", "the report",
	       (int)report.handled, (int)report.handed_back, (int)report.pending, (int)report.dropped);
}

/* ---- the accounting ---- */

/* A broadcast handler has its own row. */
static const struct accounting_row rows[] = {
	{"order.placed", ""},      {"order.placed", "audit"}, {"order.placed", "archive"},
	{"payment.requested", ""}, {"parcel.shipped", ""},    {"dlq.shop.parcel.shipped", ""},
	{"item.reserved", ""},     {"news.published", ""},    {"label.wanted", ""},
	{"cart.changed", ""},      {"order.packed", ""}};

static bool show_accounting(struct shop *shop)
{
	struct ferry_stats *stats = ferry_stats_take(shop->bus, &shop->err);
	if (!stats)
		fail("accounting", shop->err.text);
	printf("\nThe accounting: each message is in one column, and none is in flight.\n");
	bool balanced = accounting_print_rows(stats, rows, sizeof rows / sizeof rows[0]);
	ferry_stats_free(stats);
	printf("%s\n", balanced ? "Nothing is lost." : "The columns do not add up!");
	return balanced;
}

/* ---- the program ---- */

static void subscribe_all(struct shop *shop)
{
	struct ferry_bus *bus = shop->bus;
	struct ferry_error *err = &shop->err;
	must(shop, order_placed_subscribe(bus, on_order_eu, shop,
					  HANDLER(.filter = FERRY_ATTRIBUTES({"region", "eu"})), err));
	must(shop, order_placed_subscribe(bus, on_order_us, shop,
					  HANDLER(.filter = FERRY_ATTRIBUTES({"region", "us"})), err));
	must(shop, order_placed_subscribe(bus, on_order_broadcast, &shop->audit,
					  HANDLER(.name = "audit", .distribution = FERRY_BROADCAST), err));
	must(shop, order_placed_subscribe(bus, on_order_broadcast, &shop->archive,
					  HANDLER(.name = "archive", .distribution = FERRY_BROADCAST), err));
	must(shop, payment_requested_subscribe(bus, on_payment, shop, HANDLER(.max_retries = 5), err));
	must(shop, parcel_shipped_subscribe(bus, on_parcel, shop, HANDLER(.max_retries = 2), err));
	must(shop, ferry_subscribe(bus, "dlq.shop.parcel.shipped", on_dead_parcel, shop,
				   HANDLER(.name = "dead-parcels"), err));
	must(shop, item_reserved_subscribe(bus, on_reserve, shop, HANDLER(.ack = FERRY_ACK_MANUAL), err));
	must(shop, news_published_subscribe(bus, on_news, shop, HANDLER(.concurrency = 2), err));
	must(shop, label_wanted_subscribe(bus, on_label, shop, HANDLER(.timeout_ms = 100), err));
	must(shop,
	     cart_changed_subscribe(bus, on_cart, shop,
				    HANDLER(.concurrency = 4, .order = FERRY_ORDER_KEY_IN_PROCESS), err));
	must(shop, order_packed_subscribe(bus, on_packing, shop, HANDLER(.name = "packing"), err));
}

static void open_publishers(struct shop *shop)
{
	struct ferry_bus *bus = shop->bus;
	struct ferry_error *err = &shop->err;
	must(shop, order_placed_publisher_open(bus, NULL, &shop->orders, err));
	must(shop, payment_requested_publisher_open(bus, NULL, &shop->payment_requests, err));
	must(shop, parcel_shipped_publisher_open(bus, NULL, &shop->shipments, err));
	must(shop, item_reserved_publisher_open(bus, NULL, &shop->reservations, err));
	must(shop, news_published_publisher_open(bus, NULL, &shop->newspaper, err));
	must(shop, label_wanted_publisher_open(bus, NULL, &shop->labels, err));
	must(shop, cart_changed_publisher_open(bus, NULL, &shop->carts, err));
	must(shop, order_packed_publisher_open(bus, NULL, &shop->packed, err));
}

static void open_shop(struct shop *shop)
{
	const char *url = getenv("FERRY_URL");
	shop->bus = ferry_bus_open(
		url ? url : "memory:",
		FERRY_OPTIONS(ferry_bus_options, .service = "shop", .on_state = on_state, .hook_ctx = shop),
		&shop->err);
	if (!shop->bus)
		fail("open", shop->err.text);
	subscribe_all(shop);
	must(shop, ferry_bus_start(shop->bus, 10000, &shop->err));
	must(shop, ferry_bus_wait_ready(shop->bus, 30000, &shop->err));
	open_publishers(shop);
}

static void close_shop(struct shop *shop)
{
	order_placed_publisher_close(shop->orders);
	payment_requested_publisher_close(shop->payment_requests);
	parcel_shipped_publisher_close(shop->shipments);
	item_reserved_publisher_close(shop->reservations);
	news_published_publisher_close(shop->newspaper);
	label_wanted_publisher_close(shop->labels);
	cart_changed_publisher_close(shop->carts);
	order_packed_publisher_close(shop->packed);
	ferry_bus_close(shop->bus);
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
	close_shop(&shop);
	return balanced ? 0 : 1;
}
