/*
 * redis.c - the transport `redis`: its settings, its connections, and the table of its slots.
 */
#include "redis.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#define PORT_DEFAULT 6379
#define MAKING_GROUP "ferry-making" /* there for a moment, when a stream is made */

/* ---- settings ---- */

enum setting {
	PREFIX,
	DURABILITY,
	RETAIN,
	TRIM_INTERVAL,
	CLAIM_INTERVAL,
	QUEUE,
	QUEUE_BYTES,
	CONNECT_TIMEOUT,
	CA_FILE,
	CERT_FILE,
	KEY_FILE,
	TLS_NAME,
};

static const struct ferry_option settings[] = {
	[PREFIX] = {"prefix", FERRY_OPTION_TEXT, 0, "ferry:", 0, 0, NULL,
		    "What the keys of all streams begin with."},
	[DURABILITY] = {"durability", FERRY_OPTION_TEXT, 0, "aof", 0, 0, NULL,
			"What a confirmation means: aof, the server has it and writes an append-only file "
			"(checked at the start); fsync, it is on the server's disk (Redis 7.2); replica:N, N "
			"replicas have it; relaxed, the server has it."},
	[RETAIN] = {"retain", FERRY_OPTION_DURATION, 0, "7d", 0, INT64_MAX, NULL,
		    "How old an entry that every group has settled must be before it is trimmed."},
	[TRIM_INTERVAL] = {"trim_interval", FERRY_OPTION_DURATION, 0, "1m", 0, INT64_MAX, NULL,
			   "How often streams are trimmed; 0: never."},
	[CLAIM_INTERVAL] = {"claim_interval", FERRY_OPTION_DURATION, 0, "1s", 10, 3600000, NULL,
			    "How often to look for messages of consumers that are gone."},
	[QUEUE] = {"queue", FERRY_OPTION_INTEGER, 0, "16384", 1, 1000000, NULL,
		   "Messages that may wait for their confirmation before publishers wait."},
	[QUEUE_BYTES] = {"queue_bytes", FERRY_OPTION_SIZE, 0, "16MiB", 1, INT64_MAX, NULL,
			 "The same bound in bytes; one message is always let in."},
	[CONNECT_TIMEOUT] = {"connect_timeout", FERRY_OPTION_DURATION, 0, "5s", 100, 3600000, NULL,
			     "How long to wait for the server to answer before the connection is closed."},
	[CA_FILE] = {"ca_file", FERRY_OPTION_TEXT, 0, NULL, 0, 0, NULL,
		     "rediss: the certificates to trust, as PEM; without it the system's."},
	[CERT_FILE] = {"cert_file", FERRY_OPTION_TEXT, 0, NULL, 0, 0, NULL,
		       "rediss: our own certificate, as PEM."},
	[KEY_FILE] = {"key_file", FERRY_OPTION_TEXT, 0, NULL, 0, 0, NULL, "rediss: its key, as PEM."},
	[TLS_NAME] = {"tls_name", FERRY_OPTION_TEXT, 0, NULL, 0, 0, NULL,
		      "rediss: whom the server's certificate must name; without it the host of the URL."},
	{NULL, 0, 0, NULL, 0, 0, NULL, NULL},
};

/* ---- helpers ---- */

void *host_zeroed(const struct ferry_connection *c, size_t bytes)
{
	void *memory = c->host->alloc(c->core, bytes);
	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

void host_free(const struct ferry_connection *c, void *memory)
{
	if (memory)
		c->host->free(c->core, memory);
}

char *host_text(const struct ferry_connection *c, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *text = size < 0 ? NULL : c->host->alloc(c->core, (size_t)size + 1);
	if (text)
		vsnprintf(text, (size_t)size + 1, format, again);
	va_end(again);
	return text;
}

int64_t real_deadline(const struct ferry_connection *c, int64_t deadline_us)
{
	int64_t left = deadline_us == INT64_MAX ? INT64_MAX : deadline_us - c->host->now_us(c->core);
	int64_t now = real_us();
	return left > INT64_MAX - now ? INT64_MAX : now + left;
}

int cond_init_real(pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	int error = pthread_cond_init(condition, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return error;
}

bool real_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until)
{
	if (until == INT64_MAX) {
		pthread_cond_wait(condition, lock);
		return true;
	}
	const struct timespec at = {.tv_sec = (time_t)(until / 1000000),
				    .tv_nsec = (long)(until % 1000000) * 1000};
	return pthread_cond_timedwait(condition, lock, &at) != ETIMEDOUT;
}

void eventfd_set(int fd)
{
	const uint64_t one = 1;
	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void eventfd_clear(int fd)
{
	uint64_t count;
	while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
		;
}

void notice(const struct ferry_connection *c, int event, int code, const char *format, ...)
{
	char text[400];
	struct ferry_error why;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	fault(&why, code, "%s", text);
	c->host->event(c->core, event, &why);
}

char *key_of_topic(const struct ferry_connection *c, const char *topic)
{
	const char *rest = strncmp(topic, "dlq.", 4) ? NULL : strchr(topic + 4, '.');
	if (!rest || !rest[1])
		return host_text(c, "%s{%s}", c->prefix, topic);
	return host_text(c, "%s{%s}:dlq:%.*s", c->prefix, rest + 1, (int)(rest - topic - 4), topic + 4);
}

/* ---- made ---- */

/* "host", "host:port", "[address]:port" */
static int parse_host(struct ferry_connection *c, struct ferry_error *err)
{
	const char *hosts = c->config->hosts, *url = c->config->url;
	if (strchr(hosts, ','))
		return fault(err, FERRY_E_CONFIG, "%s: expected one host, for there is no cluster support",
			     url);
	const char *colon = strrchr(hosts, ':');
	const char *bracket = strrchr(hosts, ']');
	if (colon && bracket && colon < bracket)
		colon = NULL;
	size_t size = colon ? (size_t)(colon - hosts) : strlen(hosts);
	if (size > 2 && *hosts == '[' && hosts[size - 1] == ']') {
		hosts++;
		size -= 2;
	}
	char *end = NULL;
	long port = colon ? strtol(colon + 1, &end, 10) : PORT_DEFAULT;
	if (!size || (colon && (end == colon + 1 || *end || port < 1 || port > 65535)))
		return fault(err, FERRY_E_CONFIG,
			     "%s: expected redis://host:port, the port between 1 and 65535", url);
	c->target.port = (int)port;
	c->target.address = host_text(c, "%.*s", (int)size, hosts);
	return c->target.address ? 0 : fault(err, FERRY_E_NOMEM, "out of memory while opening %s", url);
}

static int parse_database(struct ferry_connection *c, struct ferry_error *err)
{
	const char *path = c->config->path;
	char *end;
	if (!*path || !strcmp(path, "/"))
		return 0;
	long number = strtol(path + 1, &end, 10);
	if (*path != '/' || *end || end == path + 1 || number < 0 || number > 1000000)
		return fault(err, FERRY_E_CONFIG,
			     "%s: what follows the host must be the number of a database: /0",
			     c->config->url);
	c->target.database = (int)number;
	return 0;
}

static int parse_durability(struct ferry_connection *c, struct ferry_error *err)
{
	const char *text = c->config->settings[DURABILITY].text;
	char *end;
	if (!strcmp(text, "relaxed"))
		c->durability = DURABILITY_RELAXED;
	else if (!strcmp(text, "aof"))
		c->durability = DURABILITY_AOF;
	else if (!strcmp(text, "fsync"))
		c->durability = DURABILITY_FSYNC;
	else if (!strncmp(text, "replica:", 8)) {
		long replicas = strtol(text + 8, &end, 10);
		if (end == text + 8 || *end || replicas < 1 || replicas > 100)
			return fault(err, FERRY_E_CONFIG,
				     "durability=%s: expected replica:N with N between 1 and 100", text);
		c->durability = DURABILITY_REPLICA;
		c->replicas = (int)replicas;
	} else {
		return fault(err, FERRY_E_CONFIG, "durability=%s: expected aof, fsync, replica:N or relaxed",
			     text);
	}
	return 0;
}

static int parse_tls(struct ferry_connection *c, struct ferry_error *err)
{
	const struct ferry_setting *set = c->config->settings;
	const struct tls_settings tls = {set[CA_FILE].text, set[CERT_FILE].text, set[KEY_FILE].text};
	if (!strcmp(c->config->scheme, "rediss")) {
		c->target.tls_name = set[TLS_NAME].text ? set[TLS_NAME].text : c->target.address;
		return tls_context_make(&tls, &c->target.tls, err);
	}
	for (int i = CA_FILE; i <= TLS_NAME; i++)
		if (set[i].is_set)
			return fault(err, FERRY_E_CONFIG,
				     "%s: %s is for encrypted connections: write rediss://", c->config->url,
				     settings[i].name);
	return 0;
}

static int parse(struct ferry_connection *c, struct ferry_error *err)
{
	const struct ferry_setting *set = c->config->settings;
	c->prefix = set[PREFIX].text;
	c->retain_ms = set[RETAIN].number;
	c->trim_us = set[TRIM_INTERVAL].number * 1000;
	c->claim_us = set[CLAIM_INTERVAL].number * 1000;
	c->queue = (size_t)set[QUEUE].number;
	c->queue_bytes = (size_t)set[QUEUE_BYTES].number;
	c->compact = c->config->envelope == FERRY_ENVELOPE_COMPACT;
	c->target = (struct link_target){.host = c->host,
					 .core = c->core,
					 .url = c->config->url,
					 .user = c->config->user,
					 .password = c->config->password,
					 .patience_us = set[CONNECT_TIMEOUT].number * 1000};
	/* A brace in front of the topic's would change what Redis takes for the slot. */
	if (strpbrk(c->prefix, "{}"))
		return fault(err, FERRY_E_CONFIG, "prefix=%s: braces are not allowed", c->prefix);
	int code = parse_host(c, err);
	code = code ? code : parse_database(c, err);
	code = code ? code : parse_durability(c, err);
	return code ? code : parse_tls(c, err);
}

static void destroy(struct ferry_connection *c)
{
	publisher_free(c);
	link_finish(&c->admin);
	while (c->destinations) {
		struct ferry_destination *next = c->destinations->next;
		host_free(c, c->destinations->topic);
		host_free(c, c->destinations->key);
		host_free(c, c->destinations);
		c->destinations = next;
	}
	if (c->target.tls)
		tls_context_free(c->target.tls);
	host_free(c, c->target.address);
	if (c->wake >= 0)
		close(c->wake);
	if (c->halt >= 0)
		close(c->halt);
	pthread_cond_destroy(&c->changed);
	pthread_cond_destroy(&c->janitor_wake);
	pthread_mutex_destroy(&c->lock);
	host_free(c, c);
}

static int create(const struct ferry_host *host, void *core, const struct ferry_config *config,
		  struct ferry_connection **ret, struct ferry_error *err)
{
	const struct ferry_connection maker = {.host = host, .core = core};
	struct ferry_connection *c = host_zeroed(&maker, sizeof *c);
	if (!c)
		return fault(err, FERRY_E_NOMEM, "out of memory while opening %s", config->url);
	c->host = host;
	c->core = core;
	c->config = config;
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->halt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&c->lock, NULL);
	cond_init_real(&c->changed);
	cond_init_real(&c->janitor_wake);
	int code = c->wake < 0 || c->halt < 0
			   ? fault(err, FERRY_E_NOMEM, "%s: no descriptor: %s", config->url, strerror(errno))
			   : parse(c, err);
	if (code) {
		destroy(c);
		return code;
	}
	link_init(&c->admin, &c->target);
	link_init(&c->publisher.link, &c->target);
	c->publisher.deadline = INT64_MAX;
	*ret = c;
	return 0;
}

/* ---- started and stopped ---- */

static int start(struct ferry_connection *c, int64_t deadline_us, struct ferry_error *err)
{
	int64_t until = real_deadline(c, deadline_us);
	eventfd_clear(c->halt);
	c->stopping = c->janitor_leaving = false;
	int code = server_check(c, until, err);
	if (!code)
		code = io_start(c, err);
	if (!code)
		code = janitor_start(c, err);
	if (code && c->io_running)
		io_stop(c, real_us());
	return code;
}

static int stop(struct ferry_connection *c, int64_t deadline_us)
{
	eventfd_set(c->halt);
	janitor_stop(c);
	if (c->io_running)
		io_stop(c, real_deadline(c, deadline_us));
	/* Whoever has it hears of the halt. */
	(void)admin_take(c, INT64_MAX);
	link_close(&c->admin);
	admin_give(c);
	return 0;
}

static int flush(struct ferry_connection *c, int64_t deadline_us)
{
	int64_t until = real_deadline(c, deadline_us);
	bool late = false;
	pthread_mutex_lock(&c->lock);
	uint64_t taken = c->publisher.taken;
	c->flushing++;
	while (c->publisher.done < taken && !late)
		late = !real_wait(&c->changed, &c->lock, until);
	c->flushing--;
	struct ferry_source *source = c->sources;
	pthread_mutex_unlock(&c->lock);
	/* Sources are closed by the core alone, which does not flush then. */
	for (; source && !late; source = source->next) {
		pthread_mutex_lock(&source->lock);
		uint64_t verdicts = source->verdicts;
		while (source->verdicts_done < verdicts && !late)
			late = !real_wait(&source->changed, &source->lock, until);
		pthread_mutex_unlock(&source->lock);
	}
	return late ? FERRY_E_TIMEDOUT : 0;
}

/* ---- destinations ---- */

struct question {
	const struct ferry_destination *destination;
	bool missing;
};

static void fill_type(struct bytes *out, void *ctx)
{
	command(out, "TYPE", ((struct question *)ctx)->destination->key, NULL);
}

static int look_type(const struct reply *reply, void *ctx, struct ferry_error *err)
{
	struct question *question = ctx;
	question->missing = !strcmp(reply->text, "none");
	if (question->missing || !strcmp(reply->text, "stream"))
		return 0;
	return fault(err, FERRY_E_CONFIG,
		     "%s: the key %s holds a %s, not a stream: use another prefix or topic",
		     question->destination->topic, question->destination->key, reply->text);
}

/* A stream is made by making a group; the group then goes. */
static void fill_make(struct bytes *out, void *ctx)
{
	const char *key = ((struct question *)ctx)->destination->key;
	command(out, "XGROUP", "CREATE", key, MAKING_GROUP, "$", "MKSTREAM", NULL);
}

static void fill_made(struct bytes *out, void *ctx)
{
	command(out, "XGROUP", "DESTROY", ((struct question *)ctx)->destination->key, MAKING_GROUP, NULL);
}

static int provide_stream(struct ferry_connection *c, const struct ferry_destination *destination,
			  int64_t until, struct ferry_error *err)
{
	struct question question = {.destination = destination};
	const char *topic = destination->topic;
	const struct admin_call type = {
		.fill = fill_type, .look = look_type, .ctx = &question, .what = topic};
	const struct admin_call make = {.fill = fill_make, .ctx = &question, .what = topic};
	const struct admin_call made = {.fill = fill_made, .ctx = &question, .what = topic};
	struct ferry_error why;
	int code = admin_run(c, until, &type, err);
	if (code || !question.missing)
		return code;
	if (c->config->provision == FERRY_PROVISION_CHECK)
		return fault(err, FERRY_E_NOT_FOUND,
			     "%s: the stream %s does not exist, and only provision=auto makes it", topic,
			     destination->key);
	code = admin_run(c, until, &make, &why);
	if (code == FERRY_E_BROKER && strstr(why.text, "BUSYGROUP"))
		code = 0;
	if (code && err)
		*err = why;
	return code ? code : admin_run(c, until, &made, err);
}

static struct ferry_destination *find_destination(struct ferry_connection *c, const char *topic)
{
	struct ferry_destination *found = c->destinations;
	while (found && strcmp(found->topic, topic) != 0)
		found = found->next;
	return found;
}

static struct ferry_destination *make_destination(struct ferry_connection *c, const char *topic)
{
	struct ferry_destination *made = host_zeroed(c, sizeof *made);
	if (!made)
		return NULL;
	made->topic = host_text(c, "%s", topic);
	made->key = key_of_topic(c, topic);
	made->is_dlq = !strncmp(topic, "dlq.", 4);
	if (made->topic && made->key)
		return made;
	host_free(c, made->topic);
	host_free(c, made->key);
	host_free(c, made);
	return NULL;
}

static int destination(struct ferry_connection *c, const char *topic, int64_t deadline_us,
		       struct ferry_destination **ret, struct ferry_error *err)
{
	pthread_mutex_lock(&c->lock);
	struct ferry_destination *found = find_destination(c, topic);
	pthread_mutex_unlock(&c->lock);
	if (found) {
		*ret = found;
		return 0;
	}
	struct ferry_destination *made = make_destination(c, topic);
	if (!made)
		return fault(err, FERRY_E_NOMEM, "%s: out of memory", topic);
	int code = 0;
	if (c->config->provision != FERRY_PROVISION_OFF)
		code = provide_stream(c, made, real_deadline(c, deadline_us), err);
	pthread_mutex_lock(&c->lock);
	found = find_destination(c, topic);
	if (!code && !found) {
		made->next = c->destinations;
		c->destinations = found = made;
	}
	pthread_mutex_unlock(&c->lock);
	if (found != made) {
		host_free(c, made->topic);
		host_free(c, made->key);
		host_free(c, made);
	}
	*ret = found;
	return code;
}

/* ---- the entry ---- */

static const struct ferry_transport transport = {
	.size = sizeof transport,
	.abi_major = FERRY_ABI_MAJOR,
	.abi_minor = FERRY_ABI_MINOR,
	.name = "redis",
	.version = "0.1.0",
	.summary = "Redis Streams: Redis 6.2 and newer, Valkey",
	.schemes = "redis rediss",
	.capabilities = FERRY_CAP_DURABLE | FERRY_CAP_NACK_DELAY | FERRY_CAP_ATTEMPT_DURABLE |
			FERRY_CAP_EXTEND | FERRY_CAP_ATOMIC_DLQ | FERRY_CAP_HANDBACK_EXACT |
			FERRY_CAP_RETAIN | FERRY_CAP_PUB_COPIES | FERRY_CAP_TLS,
	.thread_model = FERRY_PUMP,
	.options = settings,

	.create = create,
	.start = start,
	.stop = stop,
	.destroy = destroy,
	.destination = destination,
	.publish = redis_publish,
	.flush = flush,
	.source_open = redis_source_open,
	.subscribe = redis_subscribe,
	.source_start = redis_source_start,
	.source_stop = redis_source_stop,
	.source_close = redis_source_close,
	.fetch = redis_fetch,
	.credit = redis_credit,
	.wakeup = redis_wakeup,
	.settle = redis_settle,
	.release = redis_release,
	.dead_letter = redis_dead_letter,
	.alive = redis_alive,
	.position = redis_position,
	.lease_ms = redis_lease_ms,
	.raw_put = redis_raw_put,
	.raw_get = redis_raw_get,
	.objects = redis_objects,
};

const struct ferry_transport *ferry_transport_entry(const struct ferry_host *host)
{
	(void)host; /* create is given the same one */
	return &transport;
}
