#include "scene.h"

#include <stdarg.h>
#include <time.h>

#include <hiredis/hiredis.h>

static const char *plugin, *url;
static redisContext *server;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[1 << 20];
static size_t log_size;

void check_failed(const char *file, int line, const char *format, ...)
{
	va_list args;
	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nthe log:\n%s", log_text);
	exit(1);
}

int64_t real_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void nap(void)
{
	const struct timespec moment = {0, 2000000};
	nanosleep(&moment, NULL);
}

/* ---- the handler ---- */

static int number_of(const struct ferry_message *message)
{
	char text[16] = "";
	size_t size;
	const void *payload = ferry_message_payload(message, &size);
	CHECK(size < sizeof text);
	memcpy(text, payload, size);
	return atoi(text);
}

int on_message(struct ferry_message *message, void *ctx)
{
	struct seen *seen = ctx;
	int number = number_of(message), result = 0;
	CHECK(number >= 0 && number < NUMBERS_MAX);
	pthread_mutex_lock(&seen->lock);
	seen->total++;
	seen->distinct += seen->count[number]++ == 0;
	seen->last_attempt = (int)ferry_message_attempt(message);
	seen->held++;
	while (seen->hold) {
		pthread_mutex_unlock(&seen->lock);
		nap();
		pthread_mutex_lock(&seen->lock);
	}
	seen->held--;
	if (seen->count[number] <= seen->fail_first)
		result = ferry_message_fail(message, FERRY_E_RETRY, "as asked");
	else if (seen->reject)
		result = FERRY_REJECT;
	if (result < 0 && seen->retry_after_ms)
		ferry_message_retry_after(message, seen->retry_after_ms);
	pthread_mutex_unlock(&seen->lock);
	return result;
}

static int read_locked(struct seen *seen, const int *value)
{
	pthread_mutex_lock(&seen->lock);
	int copy = *value;
	pthread_mutex_unlock(&seen->lock);
	return copy;
}

int seen_distinct(struct seen *seen)
{
	return read_locked(seen, &seen->distinct);
}

int seen_total(struct seen *seen)
{
	return read_locked(seen, &seen->total);
}

int seen_held(struct seen *seen)
{
	return read_locked(seen, &seen->held);
}

int seen_count(struct seen *seen, int number)
{
	return read_locked(seen, &seen->count[number]);
}

int seen_last_attempt(struct seen *seen)
{
	return read_locked(seen, &seen->last_attempt);
}

static void set_hold(struct seen *seen, bool hold)
{
	pthread_mutex_lock(&seen->lock);
	seen->hold = hold;
	pthread_mutex_unlock(&seen->lock);
}

void seen_hold(struct seen *seen)
{
	set_hold(seen, true);
}

void seen_let_go(struct seen *seen)
{
	set_hold(seen, false);
}

/* ---- the bus ---- */

static void on_log(int level, const char *text, void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&log_lock);
	size_t room = sizeof log_text - log_size;
	int size = snprintf(log_text + log_size, room, "%d %s\n", level, text);
	log_size += size > 0 && (size_t)size < room ? (size_t)size : 0;
	log_text[log_size] = '\0';
	pthread_mutex_unlock(&log_lock);
}

int scene_logged(const char *text)
{
	int count = 0;
	pthread_mutex_lock(&log_lock);
	for (const char *at = log_text; (at = strstr(at, text)); at++)
		count++;
	pthread_mutex_unlock(&log_lock);
	return count;
}

struct ferry_bus *scene_bus(const char *query)
{
	char full[500];
	struct ferry_error err;
	snprintf(full, sizeof full, "%s?%s", url, query);
	struct ferry_bus *bus = ferry_bus_open(
		full,
		FERRY_OPTIONS(ferry_bus_options, .service = "scene", .transport_path = plugin, .log = on_log),
		&err);
	if (!bus)
		check_failed(__FILE__, __LINE__, "%s: %s", full, err.text);
	return bus;
}

void scene_subscribe(struct ferry_bus *bus, const char *topic, const char *group, struct seen *seen,
		     const struct ferry_handler_options *more)
{
	struct ferry_error err;
	struct ferry_handler_options options = {.size = sizeof options};
	if (more)
		options = *more;
	options.size = sizeof options;
	options.group = group;
	if (ferry_subscribe(bus, topic, on_message, seen, &options, &err))
		check_failed(__FILE__, __LINE__, "%s: %s", topic, err.text);
}

void scene_start(struct ferry_bus *bus)
{
	struct ferry_error err;
	if (ferry_bus_start(bus, 30000, &err) || ferry_bus_state(bus, &err) != FERRY_STATE_READY)
		check_failed(__FILE__, __LINE__, "start: %s", err.text);
}

struct ferry_bus *scene_reading(const char *query, struct seen *seen)
{
	const struct ferry_handler_options more = {.concurrency = 4, .initial_backoff_ms = 10};
	struct ferry_bus *bus = scene_bus(query);
	scene_subscribe(bus, "t", "g", seen, &more);
	scene_start(bus);
	return bus;
}

void scene_stop(struct ferry_bus *bus)
{
	struct ferry_error err;
	if (ferry_bus_stop(bus, 30000, NULL, &err))
		check_failed(__FILE__, __LINE__, "stop: %s", err.text);
	ferry_bus_close(bus);
}

void scene_publish(struct ferry_bus *bus, const char *topic, int from, int to)
{
	struct ferry_publisher *publisher;
	struct ferry_error err;
	if (ferry_publisher_open(bus, topic, NULL, &publisher, &err))
		check_failed(__FILE__, __LINE__, "%s: %s", topic, err.text);
	for (int number = from; number < to; number++) {
		char text[16];
		int size = snprintf(text, sizeof text, "%d", number);
		if (ferry_publish(publisher, text, (size_t)size, NULL, &err))
			check_failed(__FILE__, __LINE__, "%s: %s", topic, err.text);
	}
	ferry_publisher_close(publisher);
}

/* ---- the server ---- */

static char answer[1 << 20];
static size_t answer_size;

static void add_answer(const char *text, size_t size)
{
	if (answer_size && answer_size < sizeof answer - 1)
		answer[answer_size++] = ' ';
	if (size > sizeof answer - 1 - answer_size)
		size = sizeof answer - 1 - answer_size;
	memcpy(answer + answer_size, text, size);
	answer_size += size;
	answer[answer_size] = '\0';
}

static void add_reply(const redisReply *reply)
{
	char number[32];
	switch (reply->type) {
	case REDIS_REPLY_ARRAY:
		for (size_t i = 0; i < reply->elements; i++)
			add_reply(reply->element[i]);
		break;
	case REDIS_REPLY_INTEGER:
		add_answer(number, (size_t)snprintf(number, sizeof number, "%lld", reply->integer));
		break;
	case REDIS_REPLY_ERROR:
		check_failed(__FILE__, __LINE__, "the server: %s", reply->str);
	case REDIS_REPLY_NIL:
		break;
	default:
		add_answer(reply->str, (size_t)reply->len);
	}
}

static const char *ask_list(const char *format, va_list args)
{
	redisReply *reply = redisvCommand(server, format, args);
	if (!reply)
		check_failed(__FILE__, __LINE__, "the server: %s: %s", format, server->errstr);
	answer_size = 0;
	answer[0] = '\0';
	add_reply(reply);
	freeReplyObject(reply);
	return answer;
}

const char *ask(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	const char *text = ask_list(format, args);
	va_end(args);
	return text;
}

long long ask_number(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	const char *text = ask_list(format, args);
	va_end(args);
	return strtoll(text, NULL, 10);
}

void ask_together(const char *const *commands)
{
	int count = 0;
	redisReply *reply;
	for (; commands[count]; count++)
		CHECK_EQ(redisAppendCommand(server, commands[count]), REDIS_OK);
	while (count--) {
		CHECK_EQ(redisGetReply(server, (void **)&reply), REDIS_OK);
		freeReplyObject(reply);
	}
}

long long calls_of(const char *command)
{
	char name[80];
	snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
	const char *at = strstr(ask("INFO commandstats"), name);
	return at ? strtoll(at + strlen(name), NULL, 10) : 0;
}

/* ---- the program ---- */

int scene_main(int argc, char **argv, const struct scene_test *tests)
{
	CHECK(argc == 3);
	plugin = argv[1];
	url = argv[2];
	server = redisConnect("127.0.0.1", atoi(strrchr(url, ':') + 1));
	CHECK(server && !server->err);
	for (; tests->name; tests++) {
		ask("FLUSHALL");
		tests->run();
		printf("ok %s\n", tests->name);
		fflush(stdout);
	}
	redisFree(server);
	return 0;
}
