// orders.cpp - the shop in C++17: the topics of shop.h, handled and published from C++.
//
//     orders-cpp                                     in memory
//     FERRY_URL=redis://localhost:6379/0 orders-cpp  over a broker, without a rebuild
//
// The structs and their verbs come from shop.h as they are; only their tables (shop.c) have to be C, which has
// the designated initialisers that they are made of.  What ferry opens is closed by a unique_ptr.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include <ferry/ferry.h>

#include "shop.h"

namespace {

using bus_ptr = std::unique_ptr<ferry_bus, decltype(&ferry_bus_close)>;
using publisher_ptr = std::unique_ptr<order_placed_publisher, decltype(&order_placed_publisher_close)>;

// An option struct with its size filled in; what is not set is the default.
template <class Options> Options options()
{
	Options made{};
	made.size = sizeof made;
	return made;
}

void must(int code, const ferry_error &err)
{
	if (code != 0)
		throw std::runtime_error(std::string(ferry_error_name(code)) + ": " + err.text);
}

// What the handler and the main thread share.
class shop {
public:
	// A handler of ferry is a plain function, so no exception may leave it.
	static int on_order(const order_placed *order, ferry_message *message, void *ctx) noexcept
	{
		if (ferry_message_attempt(message) == 1)
			return ferry_message_fail(message, FERRY_E_RETRY, "the card service is away");
		try {
			static_cast<shop *>(ctx)->pack(*order);
		} catch (const std::exception &failure) {
			return ferry_message_fail(message, FERRY_E_RETRY, failure.what());
		}
		return 0;
	}

	// The text on the parcel, once an order has been handled.
	std::string wait()
	{
		auto parcel = packed.get_future();
		if (parcel.wait_for(std::chrono::seconds(30)) != std::future_status::ready)
			throw std::runtime_error("no order was handled within 30 seconds");
		return parcel.get();
	}

private:
	// What points into the order lives no longer than the message, so it is copied.
	void pack(const order_placed &order)
	{
		std::string text = std::string(order.order_id) + ":";
		for (std::size_t i = 0; i < order.item_count; i++)
			text += " " + std::to_string(order.items[i].count) + " " + order.items[i].sku;
		std::call_once(first, [&] { packed.set_value(text); }); // a message may come twice
	}

	std::once_flag first;
	std::promise<std::string> packed;
};

void subscribe(ferry_bus *bus, shop &shop)
{
	const ferry_attribute from_eu[] = {{"region", "eu"}, {nullptr, nullptr}};
	auto wanted = options<ferry_handler_options>();
	ferry_error err{};
	wanted.filter = from_eu;
	wanted.initial_backoff_ms = 20;
	must(order_placed_subscribe(bus, shop::on_order, &shop, &wanted, &err), err);
}

publisher_ptr open_publisher(ferry_bus *bus)
{
	order_placed_publisher *opened = nullptr;
	ferry_error err{};
	must(order_placed_publisher_open(bus, nullptr, &opened, &err), err);
	return {opened, order_placed_publisher_close};
}

void place_orders(order_placed_publisher *publisher)
{
	const item items[] = {{"pear", 2}, {"plum", 12}};
	const ferry_attribute from_eu[] = {{"region", "eu"}, {nullptr, nullptr}};
	auto sent = options<ferry_publish_options>();
	ferry_error err{};
	sent.attributes = from_eu;
	const order_placed order{"A1", 990, items, std::size(items)};
	must(order_placed_publish(publisher, &order, &sent, &err), err);

	const order_placed empty{"A2", 0, items, 0};
	int code = order_placed_publish(publisher, &empty, &sent, &err);
	std::printf("refused  %s, %s\n", ferry_error_name(code), err.text);
}

void run()
{
	shop shop;
	ferry_error err{};
	auto named = options<ferry_bus_options>();
	named.service = "shop-cpp";
	const char *url = std::getenv("FERRY_URL");
	bus_ptr bus(ferry_bus_open(url ? url : "memory:", &named, &err), ferry_bus_close);
	if (!bus)
		must(err.code, err);
	subscribe(bus.get(), shop);
	must(ferry_bus_start(bus.get(), 10000, &err), err);
	must(ferry_bus_wait_ready(bus.get(), 30000, &err), err);
	publisher_ptr publisher = open_publisher(bus.get()); // closed before the bus
	place_orders(publisher.get());
	std::printf("packed   %s\n", shop.wait().c_str());
	must(ferry_bus_stop(bus.get(), 10000, nullptr, &err), err);
}

} // namespace

int main()
{
	try {
		run();
	} catch (const std::exception &failure) {
		std::fflush(stdout);
		std::fprintf(stderr, "orders-cpp: %s\n", failure.what());
		return 1;
	}
	return 0;
}
