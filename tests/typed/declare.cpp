// declare.cpp - typed topics that C defines, used from C++.
#include "model.h"

static int on_order(const order *o, ferry_message *message, void *ctx)
{
	*static_cast<int64_t *>(ctx) += o->cents;
	return ferry_message_attempt(message) > 3 ? FERRY_REJECT : 0;
}

int use(ferry_bus *bus, int64_t *sum, const order *event, ferry_error *err);
int use(ferry_bus *bus, int64_t *sum, const order *event, ferry_error *err)
{
	order_publisher *publisher = nullptr;
	int code = order_subscribe(bus, on_order, sum, nullptr, err);

	if (code == 0)
		code = order_publisher_open(bus, nullptr, &publisher, err);
	if (code == 0)
		code = order_publish(publisher, event, nullptr, err);
	if (code == 0)
		code = order_publish_async(publisher, event, nullptr, nullptr, nullptr, err);
	if (code == 0)
		code = order_publish_batch(publisher, event, 1, nullptr, 0, nullptr, err);
	order_publisher_close(publisher);
	return code;
}
