#include "command_test.h"

#define PUB    "pub", "memory:", "t"
#define NDJSON "pub", "memory:", "--ndjson"
#define SUB    "sub", "memory:", "t"
#define NAME17 "aaaaaaaaaaaaaaaaa"
/* 7 * 17 + 10: one too many. */
#define NAME129 NAME17 NAME17 NAME17 NAME17 NAME17 NAME17 NAME17 "aaaaaaaaaa"

/* A URL where none belongs: refused, and its passwords are not printed. */
#define MASKED(text, ...)                                                                  \
	{                                                                                  \
		"",                                                                        \
		{                                                                          \
			.arguments = {__VA_ARGS__}, .status = 2, .out = "", .err = (text), \
			.not_err = "hunter2"                                               \
		}                                                                          \
	}
#define MISPLACED "'redis://***@host/?***' is no topic: the URL comes first"

/* A run that fails before anything is done, and one that does. */
#define USAGE(text, ...)                                                                  \
	{                                                                                 \
		"",                                                                       \
		{                                                                         \
			.arguments = {__VA_ARGS__}, .status = 2, .out = "", .err = (text) \
		}                                                                         \
	}
#define FAILS(input, text, ...)                                                           \
	{                                                                                 \
		input,                                                                    \
		{                                                                         \
			.arguments = {__VA_ARGS__}, .status = 1, .out = "", .err = (text) \
		}                                                                         \
	}
#define DONE(input, text, ...)                                               \
	{                                                                    \
		input,                                                       \
		{                                                            \
			.arguments = {__VA_ARGS__}, .out = "", .err = (text) \
		}                                                            \
	}

const struct fed_run fed_runs[] = {
	/* pub: the command line */
	{"", {.arguments = {"pub", "--help"}, .out = "Usage: ferry pub URL TOPIC", .err = ""}},
	USAGE("ferry: pub: a URL is missing", "pub"),
	USAGE("ferry: pub: a URL is missing", "pub", "t"),
	USAGE("ferry: pub: a topic is missing", "pub", "memory:"),
	USAGE("'u' is a second one", PUB, "u"),
	USAGE("unknown option '--bogus'", PUB, "--bogus"),
	USAGE("'--ndjson=1' takes no value", PUB, "--ndjson=1"),
	USAGE("'--attr' needs a value", PUB, "--attr"),
	USAGE("--attr is NAME=VALUE, not 'region'", PUB, "--attr", "region"),
	USAGE("'' is no attribute's name", PUB, "--attr", "=eu"),
	USAGE("'a b' is no attribute's name", PUB, "--attr", "a b=eu"),
	USAGE("is no attribute's name", PUB, "--attr", NAME129 "=eu"),
	USAGE("the value of 'a' is not UTF-8", PUB, "--attr", "a=\xFF"),
	USAGE("the name 'ce_id' is reserved", PUB, "--attr", "ce_id=1"),
	USAGE("the name 'Content-Type' is reserved", PUB, "--attr", "Content-Type=text/plain"),
	USAGE("'a' is there twice", PUB, "--attr", "a=1", "--attr", "a=2"),
	USAGE("pub: /nonexistent/lines: No such file", PUB, "--file", "/nonexistent/lines"),
	USAGE("pub: /: Is a directory", PUB, "--file", "/"),

	/* pub: a URL in the wrong place */
	MASKED(MISPLACED, "pub", "memory:", SECRET),
	MASKED(MISPLACED, "pub", "t", SECRET),
	MASKED(MISPLACED, "pub", SECRET, SECRET),
	MASKED(MISPLACED, PUB, SECRET),
	MASKED("ferry: pub: redis://***@host/?***: No such file", PUB, "--file", SECRET),
	MASKED("--attr is NAME=VALUE, not 'redis://***@host/?***'", PUB, "--attr", SECRET),
	MASKED("--attr is NAME=VALUE, not 'redis://***@host'", PUB, "--attr", "redis://me:hunter2=@host"),
	MASKED("unknown option '--redis://***@host/?***'", PUB, "--" SECRET),
	MASKED("'--ndjson=redis://***@host/?***' takes no value", PUB, "--ndjson=" SECRET),

	/* pub: what the library refuses */
	FAILS("x\n", "nonesuch", "pub", "nonesuch:", "t"),
	{"x\n",
	 {.arguments = {"pub", "nonesuch://me:hunter2@host/", "t"},
	  .status = 1,
	  .out = "",
	  .err = "ferry: pub: ",
	  .not_err = "hunter2"}},
	FAILS("x\ny\n", "not a topic", "pub", "memory:", "not a topic"),
	FAILS("a\nlong\nb\n", "ferry: pub: line 2: t: the payload has 4 bytes, max_message is 2", "pub",
	      "memory:?max_message=2", "t"),
	FAILS("a\nlong\nb\n", "ferry: pub: 2 confirmed, 1 failed", "pub", "memory:?max_message=2", "t"),

	FAILS("a\nb\nc\n", "ferry: pub: line 2: ", "pub", "faulty:?inner=memory:&fault=lie-rejected&every=2",
	      "t"),
	FAILS("a\nb\nc\n", "1 failed", "pub", "faulty:?inner=memory:&fault=lie-rejected&every=2", "t"),

	/* pub: lines, also on a bus whose settings want the application's help */
	DONE("a\nb", "ferry: pub: 2 confirmed\n", "pub", "memory:?threads=caller", "t"),
	DONE("a\nb", "ferry: pub: 2 confirmed\n", "pub", "memory:?clock=manual", "t"),
	DONE("", "ferry: pub: 0 confirmed\n", PUB),
	DONE("a\nb", "ferry: pub: 2 confirmed\n", PUB),
	DONE("a\n\n\r\n", "ferry: pub: 3 confirmed\n", PUB, "--file", "-"),
	DONE("{\n", "ferry: pub: 1 confirmed\n", PUB, "--attr", "a=b=c", "--key", "k", "--content-type",
	     "text/plain"),
	DONE("a\n", "ferry: pub: 1 confirmed\n", "pub", "--key", "k", "memory:?full=reject&queue=1", "t"),

	/* pub: lines of JSON */
	DONE("{\"topic\":\"t\",\"payload\":1}\n \t\r\n\n{\"topic\":\"u\",\"payload\":\"x\"}",
	     "pub: 2 confirmed\n", NDJSON),
	DONE("{\"payload\":1}\n", "ferry: pub: 1 confirmed\n", NDJSON, "t"),
	DONE("{\"payload\":1,\"attributes\":{\"a\":\"1\"}}\n", "ferry: pub: 1 confirmed\n", NDJSON, "t",
	     "--attr", "a=2"),
	FAILS("{\"payload\":1}\n",
	      "ferry: pub: line 1: there is no topic, neither here nor on the command line", NDJSON),
	FAILS("{\"payload\":1}\n\n{\"payload\":1 2}\n", "ferry: pub: line 3, byte 14: ',' or '}' is expected",
	      NDJSON, "t"),
	FAILS("x\n{\"payload\":1}\ny\n",
	      "ferry: pub: line 3, byte 1: an object is expected\n"
	      "ferry: pub: 1 confirmed, 2 failed\n",
	      NDJSON, "t"),
	FAILS("{\"topic\":\"a b\",\"payload\":1}\n{\"payload\":1}\n", "ferry: pub: line 1: ", NDJSON, "t"),
	FAILS("{\"topic\":\"a b\",\"payload\":1}\n{\"payload\":1}\n", "pub: 1 confirmed, 1 failed", NDJSON,
	      "t"),
	FAILS("{\"payload\":1,\"id\":\"a b\"}\n", "ferry: pub: line 1: t: an id has", NDJSON, "t"),
	FAILS("{\"payload\":1,\"attributes\":{\"ferry-x\":\"\"}}\n",
	      "line 1: t: the attribute name \"ferry-x\"", NDJSON, "t"),
	FAILS("{\"payload\":1,\"attributes\":{\"x\":\"\xFF\"}}\n", "line 1, byte 33: not UTF-8", NDJSON, "t"),

	/* sub: the command line */
	{"", {.arguments = {"sub", "--help"}, .out = "Usage: ferry sub URL TOPIC...", .err = ""}},
	USAGE("ferry: sub: a URL is missing", "sub", "t", "--broadcast"),
	USAGE("ferry: sub: a topic is missing", "sub", "memory:", "--broadcast"),
	USAGE("--group or --broadcast is missing", SUB),
	USAGE("--group and --broadcast exclude each other", SUB, "--group", "g", "--broadcast"),
	USAGE("the topic 't' is there twice", SUB, "u", "t", "--broadcast"),
	USAGE("--count is a number from 1, not '0'", SUB, "--broadcast", "--count", "0"),
	USAGE("not '-1'", SUB, "--broadcast", "--count", "-1"),
	USAGE("not '1x'", SUB, "--broadcast", "--count", "1x"),
	USAGE("--idle-exit is a number of seconds from 1", SUB, "--broadcast", "--idle-exit", "0"),
	USAGE("not 'soon'", SUB, "--broadcast", "--idle-exit", "soon"),
	USAGE("--start is 'new' or 'earliest', not 'old'", SUB, "--broadcast", "--start", "old"),
	USAGE("unknown option '-g'", SUB, "-g", "x"),
	USAGE("'--group' needs a value", SUB, "--group"),

	/* sub: a URL in the wrong place */
	MASKED(MISPLACED, SUB, SECRET, "--broadcast"),
	MASKED(MISPLACED, "sub", "t", SECRET, "--broadcast"),
	MASKED(MISPLACED, "sub", "memory:", SECRET, SECRET, "--broadcast"),
	MASKED("--group is a name, not 'redis://***@host/?***'", SUB, "--group", SECRET),
	MASKED("not 'redis://***@host/?***'", SUB, "--broadcast", "--start", SECRET),
	MASKED("not 'redis://***@host/?***'", SUB, "--broadcast", "--count", SECRET),
	MASKED("not 'redis://***@host/?***'", SUB, "--broadcast", "--idle-exit", SECRET),

	/* sub: what the library refuses */
	FAILS("", "not a topic", "sub", "memory:", "not a topic", "--broadcast"),
	FAILS("", "a b", SUB, "--group", "a b"),
	FAILS("", "a_b", "sub", "memory:", "a.b", "a_b", "--group", "g"),
	FAILS("", "nonesuch", "sub", "nonesuch:", "t", "--broadcast"),

	/* sub: nothing comes */
	DONE("", "ferry: sub: ready\nferry: sub: 0 written, 0 handed back\n", SUB, "--group", "g",
	     "--idle-exit", "1"),
	DONE("", "ferry: sub: 0 written, 0 handed back\n", "sub", "memory:?threads=caller", "t",
	     "--broadcast", "--idle-exit", "1"),
	DONE("", "ferry: sub: 0 written, 0 handed back\n", "sub", "memory:?clock=manual", "t", "--broadcast",
	     "--idle-exit", "1"),
	FAILS("", "ferry: sub: 0 written", SUB, "u", "--broadcast", "--count", "1", "--idle-exit", "1"),
};

const size_t fed_run_count = sizeof fed_runs / sizeof fed_runs[0];
