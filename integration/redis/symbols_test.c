/*
 * symbols_test.c - a program that exports functions with the names of hiredis' own, which must not be called.
 *
 *     symbols_test PLUGIN URL
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <ferry/ferry.h>

#define WRONG(name)                                                    \
	__attribute__((visibility("default"))) void name(void);        \
	void name(void)                                                \
	{                                                              \
		fputs("the program's " #name " was called\n", stderr); \
		abort();                                               \
	}

WRONG(sdsempty)
WRONG(sdsnew)
WRONG(sdsnewlen)
WRONG(sdsfree)
WRONG(sdscatlen)
WRONG(sdsrange)
WRONG(sdsMakeRoomFor)
WRONG(redisReaderCreate)
WRONG(redisReaderCreateWithFunctions)
WRONG(redisReaderFree)
WRONG(redisReaderFeed)
WRONG(redisReaderGetReply)
WRONG(redisConnectNonBlock)
WRONG(redisFree)
WRONG(redisFreeKeepFd)

static _Atomic int seen;

static int on_message(struct ferry_message *message, void *ctx)
{
	(void)message, (void)ctx;
	atomic_fetch_add(&seen, 1);
	return 0;
}

static int play(struct ferry_bus *bus, struct ferry_error *err)
{
	const struct timespec moment = {0, 2000000};
	struct ferry_publisher *publisher;
	int code = ferry_subscribe(bus, "symbols", on_message, NULL, NULL, err);
	code = code ? code : ferry_bus_start(bus, 30000, err);
	code = code ? code : ferry_publisher_open(bus, "symbols", NULL, &publisher, err);
	for (int i = 0; i < 100 && !code; i++)
		code = ferry_publish(publisher, "hello", 5, NULL, err);
	for (int i = 0; i < 10000 && !code && atomic_load(&seen) < 100; i++)
		nanosleep(&moment, NULL);
	if (code)
		return code;
	ferry_publisher_close(publisher);
	return ferry_bus_stop(bus, 30000, NULL, err);
}

int main(int argc, char **argv)
{
	struct ferry_error err = {.text = ""};
	struct ferry_bus *bus =
		argc != 3 ? NULL
			  : ferry_bus_open(argv[2],
					   FERRY_OPTIONS(ferry_bus_options, .service = "symbols",
							 .transport_path = argv[1]),
					   &err);
	int code = bus ? play(bus, &err) : FERRY_E_CONFIG;
	ferry_bus_close(bus);
	if (code || atomic_load(&seen) != 100) {
		fprintf(stderr, "%d of 100 came: %s\n", atomic_load(&seen), err.text);
		return 1;
	}
	return 0;
}
