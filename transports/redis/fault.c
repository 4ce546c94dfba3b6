#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int describe(struct ferry_error *err, int code, const char *text)
{
	if (!err)
		return code;
	snprintf(err->text, sizeof err->text, "%s", text);
	err->code = code;
	err->native_code = 0;
	err->flags = code == FERRY_E_NOMEM || code == FERRY_E_UNREACHABLE || code == FERRY_E_TIMEDOUT
			     ? FERRY_ERROR_RETRIABLE
			     : 0;
	return code;
}

int fault(struct ferry_error *err, int code, const char *format, ...)
{
	char text[sizeof err->text];
	va_list args;
	va_start(args, format);
	/* clang-tidy 14 loses sight of va_start here. */
	vsnprintf(text, sizeof text, format, args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(args);
	return describe(err, code, text);
}

/* How the server's error replies begin, what they mean, and what helps. */
static const struct known {
	const char *begin;
	int code;
	const char *advice;
} known[] = {
	{"WRONGPASS", FERRY_E_DENIED, "the user or the password is wrong"},
	{"NOAUTH", FERRY_E_DENIED,
	 "the server wants a password: write redis://user:password@host, or password_file"},
	{"ERR AUTH", FERRY_E_DENIED, "the server has no password for this user: leave it out of the URL"},
	{"ERR invalid password", FERRY_E_DENIED, "the user or the password is wrong"},
	{"NOPERM", FERRY_E_DENIED, "the user lacks a right: the transport's README lists what it needs"},
	{"WRONGTYPE", FERRY_E_CONFIG,
	 "the key holds something else than a stream: use another prefix or topic"},
	{"OOM", FERRY_E_BROKER, "the server's memory is full: raise maxmemory, or let retain be shorter"},
	{"LOADING", FERRY_E_UNREACHABLE, "the server reads its data from disk"},
	{"READONLY", FERRY_E_UNREACHABLE, "the server is a replica: name the primary"},
	{"MASTERDOWN", FERRY_E_UNREACHABLE, "the server has lost its primary"},
	{"NOREPLICAS", FERRY_E_UNREACHABLE, "the server has too few replicas now"},
	{"BUSY ", FERRY_E_UNREACHABLE, "the server runs a script"},
	{"TRYAGAIN", FERRY_E_UNREACHABLE, "the server asks to try again"},
	{"MISCONF", FERRY_E_BROKER, "the server cannot write to its disk"},
	{"MOVED", FERRY_E_CONFIG,
	 "this is a Redis Cluster, which the transport does not support: name a server that is not part of "
	 "one"},
	{"ASK ", FERRY_E_CONFIG,
	 "this is a Redis Cluster, which the transport does not support: name a server that is not part of "
	 "one"},
	{"CLUSTERDOWN", FERRY_E_CONFIG,
	 "this is a Redis Cluster, which the transport does not support: name a server that is not part of "
	 "one"},
	{"CROSSSLOT", FERRY_E_CONFIG,
	 "this is a Redis Cluster, which the transport does not support: name a server that is not part of "
	 "one"},
	{"NOGROUP", FERRY_E_NOT_FOUND, "the group or the stream was deleted"},
	{"ERR DB index", FERRY_E_CONFIG, "the number behind the host is no database of this server"},
	{"ERR max number of clients", FERRY_E_UNREACHABLE, "the server has no room for more clients"},
	{"ERR unknown command", FERRY_E_UNSUPPORTED,
	 "the server is older than Redis 6.2, or the command is renamed"},
};

static const struct known *find(const char *reply)
{
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (!strncmp(reply, known[i].begin, strlen(known[i].begin)))
			return &known[i];
	return NULL;
}

int fault_code(const char *reply)
{
	const struct known *entry = find(reply);
	return entry ? entry->code : FERRY_E_BROKER;
}

int fault_reply(struct ferry_error *err, const char *what, const char *reply)
{
	const struct known *entry = find(reply);
	char text[sizeof err->text];
	/* What follows are our arguments, a password among them. */
	const char *args = strstr(reply, ", with args");
	int size = args ? (int)(args - reply) : (int)strlen(reply);
	if (entry)
		snprintf(text, sizeof text, "%.150s: %s (%.*s)", what, entry->advice, size < 150 ? size : 150,
			 reply);
	else
		snprintf(text, sizeof text, "%.150s: the server answered: %.*s", what,
			 size < 300 ? size : 300, reply);
	return describe(err, entry ? entry->code : FERRY_E_BROKER, text);
}
