// consumer.cpp - the same in C++17, where option structs are filled in field by field.
#include <ferry/ferry.h>

#include <cstdio>
#include <string_view>

static int on_greeting(ferry_message *message, void *ctx)
{
	size_t size = 0;
	const auto *text = static_cast<const char *>(ferry_message_payload(message, &size));

	if (std::string_view(text, size) == "hello")
		++*static_cast<int *>(ctx);
	return 0;
}

int main()
{
	ferry_error err{};
	ferry_bus_options options{};
	ferry_publisher *publisher = nullptr;
	int greetings = 0;

	options.size = sizeof options;
	options.threads = FERRY_THREADS_CALLER;
	ferry_bus *bus = ferry_bus_open("memory:", &options, &err);
	if (!bus || ferry_subscribe(bus, "greeting", on_greeting, &greetings, nullptr, &err) != 0 ||
	    ferry_bus_start(bus, 0, &err) != 0 ||
	    ferry_publisher_open(bus, "greeting", nullptr, &publisher, &err) != 0 ||
	    ferry_publish(publisher, "hello", 5, nullptr, &err) != 0) {
		std::fprintf(stderr, "%s: %s\n", ferry_error_name(err.code), err.text);
		return 1;
	}
	ferry_publisher_close(publisher);
	while (greetings == 0 && ferry_bus_dispatch(bus, 10000) > 0)
		;
	ferry_bus_close(bus);
	std::printf("ferry %s: %d message handled\n", ferry_version(), greetings);
	return greetings == 1 ? 0 : 1;
}
