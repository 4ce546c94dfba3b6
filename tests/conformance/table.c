/* table.c - the contract, one row a promise.  A case that needs a capability is skipped without it. */
#include "conformance.h"

/* clang-format off */

#define CASE(number) void conformance_case_##number(struct conformance *c);
CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9)
CASE(10) CASE(11) CASE(12) CASE(13) CASE(14) CASE(15) CASE(16) CASE(17) CASE(18)
CASE(19) CASE(20) CASE(21) CASE(22) CASE(23) CASE(24) CASE(25) CASE(26) CASE(27)
CASE(28) CASE(29) CASE(30) CASE(31) CASE(32) CASE(33) CASE(34) CASE(35) CASE(36)
CASE(37) CASE(38) CASE(39) CASE(40) CASE(41) CASE(42) CASE(43) CASE(44) CASE(45)
CASE(46) CASE(47) CASE(48) CASE(49) CASE(50) CASE(51) CASE(52) CASE(53) CASE(54)
#undef CASE

#define CASE(number, name, needs, excludes, marks, limit_s) \
	{number, name, needs, excludes, marks, limit_s, conformance_case_##number}

const struct conformance_case conformance_table[CONFORMANCE_CASES] = {
	CASE(1, "publish: a confirmed message is readable, unchanged and once", 0, 0, 0, 0),
	CASE(2, "publish: each asynchronous publish completes exactly once", 0, 0, 0, 0),
	CASE(3, "publish: a batch of 10 000 messages of mixed sizes arrives", 0, 0, 0, 120),
	CASE(4, "publish: empty, one byte, max_message bytes, and one byte too many", 0, 0, 0, 0),
	CASE(5, "publish: binary payloads and keys come through as they are", 0, 0, 0, 0),
	CASE(6, "publish: id, time, source, attributes, trace and content type come through", 0, 0, 0, 0),
	CASE(7, "wire: records are CloudEvents, and foreign records are accepted", 0, 0, CONFORMANCE_RAW, 0),
	CASE(8, "publish: provision decides what happens to an unknown topic", 0, 0, 0, 0),
	CASE(9, "publish: a full buffer blocks to the deadline or says so, and loses nothing", 0, 0, 0, 0),
	CASE(10, "publish: every completion arrives after publisher close and in stop", 0, 0, 0, 120),
	CASE(11, "competing: three idle handlers share the messages, each comes once", 0, 0, 0, 0),
	CASE(12, "competing: three processes share the messages, each comes once",
	     0, 0, CONFORMANCE_PROCESSES, 0),
	CASE(13, "competing: two groups get every message each", 0, 0, 0, 0),
	CASE(14, "competing: messages are kept while no process of the group runs",
	     0, 0, CONFORMANCE_PROCESSES, 0),
	CASE(15, "competing: start=new and start=earliest begin where they say", 0, 0, 0, 0),
	CASE(16, "competing: scaling 1-4-1 under load loses nothing", 0, 0, CONFORMANCE_PROCESSES, 120),
	CASE(17, "competing: filters of one group route, and swallow nothing", 0, 0, 0, 0),
	CASE(18, "competing: a slow handler does not starve its peers", 0, 0, 0, 0),
	CASE(19, "broadcast: every handler of every process gets every message", 0, 0, 0, 0),
	CASE(20, "broadcast: a late joiner gets only new messages", FERRY_CAP_DURABLE, 0, 0, 0),
	CASE(21, "broadcast: a restart sees only new messages, a durable name resumes",
	     FERRY_CAP_DURABLE, 0, 0, 0),
	CASE(22, "broadcast: a long disconnection loses nothing", 0, 0, CONFORMANCE_CONTROL, 180),
	CASE(23, "broadcast: nothing is left in the broker after stop", 0, 0, CONFORMANCE_OBJECTS, 0),
	CASE(24, "ack: a handler that returns 0 is done with the message", 0, 0, 0, 0),
	CASE(25, "retry: an error brings the message again as attempt + 1", 0, 0, 0, 0),
	CASE(26, "retry: delays double, keep their time and stop at the cap", 0, 0, 0, 0),
	CASE(27, "retry: a message that waits for its retry delays no other", 0, 0, 0, 0),
	CASE(28, "retry: max_unsettled stalls a group, and it recovers", 0, 0, 0, 0),
	CASE(29, "ack: manual, from another thread, at the deadline, and only once", 0, 0, 0, 0),
	CASE(30, "ack: out of order and then killed, only what was not acked returns",
	     0, 0, CONFORMANCE_PROCESSES, 120),
	CASE(31, "retry: the attempt survives the death of its consumer", 0, 0, CONFORMANCE_PROCESSES, 120),
	CASE(32, "retry: the delay survives the death of its consumer", 0, 0, CONFORMANCE_PROCESSES, 120),
	CASE(33, "retry: max_retries=0 is one call", 0, 0, 0, 0),
	CASE(34, "dlq: a rejected message is dead-lettered at once", 0, 0, 0, 0),
	CASE(35, "dlq: after 1 + max_retries calls, with every header", 0, 0, 0, 0),
	CASE(36, "dlq: off drops the message and reports it", 0, 0, 0, 0),
	CASE(37, "dlq: an undecodable message is dead-lettered without a call", 0, 0, 0, 0),
	CASE(38, "dlq: the original stays while its dead-letter topic is away", 0, 0, 0, 0),
	CASE(39, "dlq: a replay reaches only the group that failed, as attempt 1", FERRY_CAP_RETAIN, 0, 0, 0),
	CASE(40, "dlq: a message that kills its process is dead-lettered", 0, 0, CONFORMANCE_PROCESSES, 180),
	CASE(41, "timeout: a cancelled call is retried and its late result ignored",
	     0, 0, CONFORMANCE_CORE, 0),
	CASE(42, "timeout: a handler that outlasts takeover within its timeout runs once",
	     FERRY_CAP_EXTEND, 0, 0, 0),
	CASE(43, "timeout: a stuck handler is replaced, and stop says so", 0, 0, CONFORMANCE_CORE, 0),
	CASE(44, "order: messages of one key stay in order with concurrency and failures", 0, 0, 0, 120),
	CASE(45, "order: none reorders only as allowed, and what is missing is refused", 0, 0, 0, 0),
	CASE(46, "life: started before its broker, it becomes ready", 0, 0, CONFORMANCE_CONTROL, 180),
	CASE(47, "life: two restarts of the broker under load lose nothing", 0, 0, CONFORMANCE_CONTROL, 300),
	CASE(48, "life: a graceful stop under load loses nothing", 0, 0, 0, 120),
	CASE(49, "life: many rounds of open, start, stop and close leave nothing behind", 0, 0, 0, 300),
	CASE(50, "life: a fork in the middle is safe for the child", 0, 0, CONFORMANCE_CORE, 0),
	CASE(51, "life: two transports work in one process", 0, 0, 0, 0),
	CASE(52, "life: stop inside a handler is refused", 0, 0, CONFORMANCE_CORE, 0),
	CASE(53, "life: signals stay with the application", 0, 0, 0, 0),
	CASE(54, "abi: plugins with smaller and larger structs load, another major does not",
	     0, 0, CONFORMANCE_CORE, 0),
};
