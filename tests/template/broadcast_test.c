/*
 * broadcast_test.c - broadcast handlers, passing and durable.
 */
#include "test_cases.h"

static void every_broadcast_handler_gets_all(void)
{
	struct consumer_options options = {
		.group = "shop", .topic = "orders", .handler = "audit", .distribution = 2};
	struct rig rigs[2];
	struct consumer consumers[2];
	const char *file = new_file();
	for (int i = 0; i < 2; i++)
		rig_open(&rigs[i], file, NULL);
	consumer_open(&consumers[0], &rigs[0], &options);
	rig_publish(&rigs[0], "orders", 0, 2);
	consumer_open(&consumers[1], &rigs[1], &options); /* too late for these */
	rig_publish(&rigs[0], "orders", 2, 1);
	CHECK_EQ(plugin->objects(rigs[0].c, "audit"), 2);
	CHECK_EQ(consumer_take(&consumers[0], 8), 3);
	CHECK_EQ(consumers[0].pointers[0]->deliveries, 0);
	CHECK_EQ(consumer_settle(&consumers[0], 1, FERRY_SETTLE_HANDBACK, 0, 0), 0);
	CHECK_EQ(consumer_settle(&consumers[0], 0, FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(consumer_settle(&consumers[0], 2, FERRY_SETTLE_ACK, 0, 0), 0);
	CHECK_EQ(consumer_take(&consumers[0], 8), 1);
	CHECK_EQ(number_of(consumers[0].pointers[0]), 1);
	settle_all(&consumers[0], 1, FERRY_SETTLE_ACK);
	CHECK_EQ(consumer_take(&consumers[1], 8), 1);
	CHECK_EQ(number_of(consumers[1].pointers[0]), 2);
	settle_all(&consumers[1], 1, FERRY_SETTLE_ACK);
	consumer_close(&consumers[0]);
	consumer_close(&consumers[1]);
	CHECK_EQ(plugin->objects(rigs[0].c, "audit"), 0);
	rig_close(&rigs[0]);
	rig_close(&rigs[1]);
}

static void a_durable_broadcast_handler_resumes(void)
{
	struct consumer_options options = {.group = "shop",
					   .topic = "orders",
					   .handler = "audit",
					   .durable = "node1",
					   .distribution = 2};
	struct rig rig;
	struct consumer consumer;
	rig_open(&rig, new_file(), NULL);
	consumer_open(&consumer, &rig, &options);
	rig_publish(&rig, "orders", 0, 2);
	CHECK_EQ(consumer_take(&consumer, 1), 1);
	settle_all(&consumer, 1, FERRY_SETTLE_ACK);
	consumer_close(&consumer);
	rig_publish(&rig, "orders", 2, 1);
	consumer_open(&consumer, &rig, &options);
	CHECK_EQ(consumer_take(&consumer, 8), 2);
	CHECK_EQ(number_of(consumer.pointers[0]), 1);
	settle_all(&consumer, 2, FERRY_SETTLE_ACK);
	consumer_close(&consumer);
	rig_close(&rig);
}

const struct test_case broadcast_tests[] = {
	TEST(every_broadcast_handler_gets_all),
	TEST(a_durable_broadcast_handler_resumes),
	{NULL, NULL},
};
