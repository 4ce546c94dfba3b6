/*
 * test_host.h - the core's side of the interface, in small: a host table that counts, and a rig that
 * drives one connection of the plugin.
 */
#ifndef TEST_HOST_H
#define TEST_HOST_H

#include <pthread.h>
#include <stdbool.h>

#include <ferry/transport.h>

#define WAIT_MS 20000 /* the deadline of everything that must happen */

/* End the process with a sentence. */
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define CHECK(condition)                                                 \
	do {                                                             \
		if (!(condition))                                        \
			test_fail(__FILE__, __LINE__, "%s", #condition); \
	} while (0)
#define CHECK_EQ(a, b)                                                                                   \
	do {                                                                                             \
		long long a_ = (long long)(a), b_ = (long long)(b);                                      \
		if (a_ != b_)                                                                            \
			test_fail(__FILE__, __LINE__, "%s is %lld, expected %s = %lld", #a, a_, #b, b_); \
	} while (0)

extern const struct ferry_transport *plugin;
void test_load(const char *path);

int64_t test_now_us(void);
bool test_wait(bool (*condition)(void *ctx), void *ctx);

/* ---- one connection ---- */

/* What differs from the defaults; 0 = the default. */
struct rig_options {
	int64_t queue, retain, commit_ms;
	int32_t takeover_ms; /* 30 s */
	int32_t provision, envelope, on_unknown;
	bool manual_clock;
};

struct rig {
	struct ferry_host host;
	struct ferry_config config;
	struct ferry_setting settings[16];
	char instance[64];
	struct ferry_connection *c;
	int32_t takeover_ms;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t published, writable, up, down, notices;
	uint64_t evicted;
	struct ferry_error why; /* of the last event that had one */
	long blocks;            /* allocations that live */
	long fail_at;           /* the allocation that fails, from 0; -1: none */
	bool failed;            /* it did */
	int64_t manual_us;      /* what the manual clock has been moved on */
};

void rig_init(struct rig *rig, const char *file, const struct rig_options *options);
/* create and start; the error of the one that fails. */
int rig_start(struct rig *rig, int64_t timeout_ms, struct ferry_error *err);
/* All of it, and it must work. */
void rig_open(struct rig *rig, const char *file, const struct rig_options *options);
/* stop and destroy; nothing may be left allocated. */
void rig_close(struct rig *rig);

/* ---- publishing ---- */

struct letter {
	struct ferry_outgoing out; /* first: the host finds the letter by it */
	unsigned results;
	char text[32];
};

struct outbox {
	size_t count;
	struct letter *letters;
	struct ferry_outgoing **pointers;
};

/* `count` messages whose payload is their number in decimal. */
void outbox_make(struct outbox *outbox, struct rig *rig, const char *topic, size_t first, size_t count,
		 int64_t timeout_ms);
void outbox_free(struct outbox *outbox);
/* Wait until so many results have come over all of the rig's life. */
void rig_wait_published(struct rig *rig, size_t count);
/* Make, publish, wait, and check that all are confirmed. */
void rig_publish(struct rig *rig, const char *topic, size_t first, size_t count);

/* ---- consuming ---- */

#define INBOX_MAX 64

struct consumer {
	struct rig *rig;
	struct ferry_source *source;
	struct ferry_subscription *subscription;
	struct ferry_delivery slots[INBOX_MAX];
	struct ferry_delivery *pointers[INBOX_MAX];
};

/* Everything of a subscription; the fields that stay 0 are the defaults. */
struct consumer_options {
	const char *group, *topic, *handler, *durable;
	int32_t distribution, start, max_unsettled;
};

int consumer_try(struct consumer *consumer, struct rig *rig, const struct consumer_options *options,
		 struct ferry_error *err);
void consumer_open(struct consumer *consumer, struct rig *rig, const struct consumer_options *options);
void consumer_close(struct consumer *consumer);
/* One fetch with so much credit. */
size_t consumer_fetch(struct consumer *consumer, size_t max, int timeout_ms);
/* Fetch again and again until there is something; fails at the deadline. */
size_t consumer_take(struct consumer *consumer, size_t max);
int consumer_settle(struct consumer *consumer, size_t index, int32_t verb, uint32_t attempt,
		    int64_t delay_us);
/* The number in a delivery's payload. */
long number_of(const struct ferry_delivery *delivery);
const char *attribute_of(const struct ferry_delivery *delivery, const char *name);

#endif
