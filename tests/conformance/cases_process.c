/* cases_process.c - what belongs to the process: forks and signals: cases 50 and 53. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* ---- 50: a fork in the middle ---- */

#define FORKS   10
#define BETWEEN 200 /* messages published from one fork to the next */

/*
 * The child: 0, or the number of the call that went wrong.  Nothing of the frame may be used here: another
 * thread could have held its locks.
 */
static int call_everything(struct ferry_bus *bus, struct ferry_publisher *publisher)
{
	struct ferry_batch_item item = {.payload = "x", .payload_size = 1};
	struct ferry_publisher *another;
	struct ferry_error err = {0};

	if (ferry_publish(publisher, "x", 1, NULL, &err) != FERRY_E_FORK || err.code != FERRY_E_FORK)
		return 1;
	if (ferry_publish_async(publisher, "x", 1, NULL, NULL, NULL, &err) != FERRY_E_FORK)
		return 2;
	if (ferry_publish_batch(publisher, &item, 1, 0, &err) != FERRY_E_FORK)
		return 3;
	if (ferry_publisher_open(bus, "topic", NULL, &another, &err) != FERRY_E_FORK)
		return 4;
	if (ferry_subscribe(bus, "topic", gate_verdict, NULL, NULL, &err) != FERRY_E_FORK)
		return 5;
	if (ferry_bus_start(bus, 1000, &err) != FERRY_E_FORK)
		return 6;
	if (ferry_bus_stop(bus, 1000, NULL, &err) != FERRY_E_FORK)
		return 7;
	if (ferry_bus_wait_ready(bus, 1000, &err) != FERRY_E_FORK)
		return 8;
	memset(&err, 0, sizeof err);
	if (ferry_stats_take(bus, &err) || err.code != FERRY_E_FORK)
		return 9;
	if (ferry_dlq_replay(bus, "dlq.group.topic", NULL, NULL, &err) != FERRY_E_FORK)
		return 10;
	if (ferry_bus_dispatch(bus, 0) != FERRY_E_FORK)
		return 11;
	ferry_bus_close(bus);
	return 0;
}

struct child {
	pid_t pid;
	int status;
};

static bool has_ended(void *ctx)
{
	struct child *child = ctx;

	return waitpid(child->pid, &child->status, WNOHANG) == child->pid;
}

static void fork_once(struct conformance *c, struct ferry_bus *bus, struct ferry_publisher *publisher,
		      bool runs_exit)
{
	struct child child = {0};

	fflush(NULL);
	child.pid = fork();
	CHECK(c, child.pid >= 0, "fork: %s", strerror(errno));
	if (child.pid == 0) {
		int wrong;

		alarm((unsigned)(WAIT_MS / 1000)); /* a child that hangs is ended by the signal */
		wrong = call_everything(bus, publisher);
		if (runs_exit)
			exit(wrong);
		_exit(wrong);
	}
	CHECK(c, conformance_until_now(c, has_ended, &child, 2 * WAIT_MS), "the forked child does not end");
	CHECK(c, !WIFSIGNALED(child.status), "the forked child was ended by signal %d%s",
	      WTERMSIG(child.status), WTERMSIG(child.status) == SIGALRM ? ": a call hangs" : "");
	CHECK(c, WEXITSTATUS(child.status) == 0, "in a forked child call %d did not return FERRY_E_FORK",
	      WEXITSTATUS(child.status));
}

struct publishing {
	struct conformance *c;
	struct ferry_publisher *publisher;
	_Atomic int64_t published;
	atomic_bool stop;
};

static void *publish_on(void *ctx)
{
	struct publishing *publishing = ctx;

	while (!atomic_load(&publishing->stop)) {
		conformance_publish(publishing->c, publishing->publisher, atomic_load(&publishing->published),
				    NULL);
		atomic_fetch_add(&publishing->published, 1);
	}
	return NULL;
}

void conformance_case_50(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	const char *topic = conformance_name(c, "orders");
	struct publishing publishing = {.c = c};
	struct ferry_bus *bus = conformance_open(c, NULL, NULL);
	struct recorded last;
	pthread_t thread;
	size_t count;

	conformance_subscribe(c, bus, topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .concurrency = 2));
	conformance_start(c, bus);
	publishing.publisher = conformance_publisher(c, bus, topic);
	CHECK(c, !pthread_create(&thread, NULL, publish_on, &publishing), "a thread cannot be started");
	for (int i = 0; i < FORKS; i++) {
		CHECK(c, recorder_wait(seen, recorder_count(seen) + BETWEEN, WAIT_MS),
		      "after %d forks the parent gets no more messages", i);
		/* The leak detector cannot see the parent's threads from a child. */
		fork_once(c, bus, publishing.publisher, i % 2 && conformance_limit_ms(1) == 1);
	}
	atomic_store(&publishing.stop, true);
	pthread_join(thread, NULL);
	count = (size_t)atomic_load(&publishing.published);
	CHECK(c, recorder_wait(seen, count, WAIT_MS), "the parent got %zu of %zu messages",
	      recorder_count(seen), count);
	conformance_drained(c, bus, NULL, count);
	conformance_each_once(c, seen, 0, count);
	CHECK(c, recorder_find(seen, (int64_t)count - 1, 0, &last), "the last message did not come");
	conformance_close_all(c);
}

/* ---- 53: signals stay with the application ---- */

#define SIGNALS_MAX 64
#define THREADS_MAX 256

/* What is not the application's to block: SIGKILL, SIGSTOP, and the two that the C library uses itself. */
#define NOT_BLOCKABLE                                                                                  \
	((UINT64_C(1) << (SIGKILL - 1)) | (UINT64_C(1) << (SIGSTOP - 1)) | (UINT64_C(1) << (32 - 1)) | \
	 (UINT64_C(1) << (33 - 1)))

struct threads {
	size_t count;
	pid_t ids[THREADS_MAX];
};

static atomic_int signals_taken;
static atomic_int taken_elsewhere; /* by another thread than the case's own */
static pid_t own_thread;

static void take_signal(int number)
{
	(void)number;
	if (syscall(SYS_gettid) != own_thread)
		atomic_fetch_add(&taken_elsewhere, 1);
	atomic_fetch_add(&signals_taken, 1);
}

static void list_threads(struct conformance *c, struct threads *ret)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;

	CHECK(c, folder, "/proc/self/task cannot be read");
	ret->count = 0;
	while ((entry = readdir(folder)) != NULL && ret->count < THREADS_MAX)
		if (entry->d_name[0] != '.')
			ret->ids[ret->count++] = (pid_t)atoi(entry->d_name);
	closedir(folder);
}

static bool is_listed(const struct threads *threads, pid_t id)
{
	for (size_t i = 0; i < threads->count; i++)
		if (threads->ids[i] == id)
			return true;
	return false;
}

/* The signals that a thread blocks; false: it has ended. */
static bool read_blocked(struct conformance *c, pid_t id, uint64_t *ret, char *name, size_t size)
{
	FILE *file = fopen(conformance_text(c, "/proc/self/task/%d/status", (int)id), "r");
	char line[256];
	bool found = false;

	while (file && fgets(line, sizeof line, file)) {
		if (!strncmp(line, "Name:", 5))
			snprintf(name, size, "%.*s", (int)size - 1, line + 6);
		found = found || sscanf(line, "SigBlk: %" SCNx64, ret) == 1;
	}
	if (file)
		fclose(file);
	name[strcspn(name, "\n")] = '\0';
	return found;
}

/* Every thread that was not there before the bus blocks all signals. */
static size_t check_threads(struct conformance *c, const struct threads *before, const char *when)
{
	struct threads now;
	size_t ours = 0;

	list_threads(c, &now);
	for (size_t i = 0; i < now.count; i++) {
		char name[64] = "";
		uint64_t blocked;

		if (is_listed(before, now.ids[i]) ||
		    !read_blocked(c, now.ids[i], &blocked, name, sizeof name))
			continue;
		CHECK(c, (blocked | NOT_BLOCKABLE) == UINT64_MAX,
		      "%s: a thread of the bus (%s) does not block all signals: %016" PRIx64, when, name,
		      blocked);
		ours++;
	}
	return ours;
}

static void read_dispositions(struct sigaction *dispositions)
{
	for (int number = 1; number <= SIGNALS_MAX; number++)
		if (sigaction(number, NULL, &dispositions[number]))
			memset(&dispositions[number], 0, sizeof dispositions[number]);
}

static void check_dispositions(struct conformance *c, const struct sigaction *before, const char *when)
{
	struct sigaction now[SIGNALS_MAX + 1];

	read_dispositions(now);
	for (int number = 1; number <= SIGNALS_MAX; number++)
		CHECK(c,
		      now[number].sa_handler == before[number].sa_handler &&
			      now[number].sa_flags == before[number].sa_flags,
		      "%s: the disposition of signal %d (%s) has changed", when, number, strsignal(number));
}

struct signalled {
	int goal;
};

static bool has_taken(void *ctx)
{
	return atomic_load(&signals_taken) >= ((struct signalled *)ctx)->goal;
}

/* Signals for the process come while messages are under way: the application's own thread takes them. */
static void send_signals(struct conformance *c, struct ferry_publisher *publisher, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		struct signalled signalled = {atomic_load(&signals_taken) + 1};

		conformance_publish(c, publisher, (int64_t)n, NULL);
		kill(getpid(), SIGUSR1);
		CHECK(c, conformance_until_now(c, has_taken, &signalled, WAIT_MS),
		      "a signal was not delivered");
	}
}

void conformance_case_53(struct conformance *c)
{
	struct recorder *seen = conformance_recorder(c);
	struct record_handler handler = {.recorder = seen};
	const char *topic = conformance_name(c, "orders");
	struct sigaction action = {.sa_handler = take_signal}, before[SIGNALS_MAX + 1];
	struct threads threads;
	struct ferry_bus *bus;
	size_t count = 100;

	own_thread = (pid_t)syscall(SYS_gettid);
	sigaction(SIGUSR1, &action, NULL);
	read_dispositions(before);
	list_threads(c, &threads);
	bus = conformance_open(c, NULL, NULL);
	conformance_subscribe(c, bus, topic, conformance_record, &handler,
			      FERRY_OPTIONS(ferry_handler_options, .concurrency = 4));
	conformance_start(c, bus);
	check_dispositions(c, before, "after start");
	check_threads(c, &threads, "after start");
	send_signals(c, conformance_publisher(c, bus, topic), count);
	CHECK(c, recorder_wait(seen, count, WAIT_MS), "%zu of %zu messages came", recorder_count(seen),
	      count);
	conformance_drained(c, bus, NULL, count);
	CHECK(c, check_threads(c, &threads, "under load") > 0,
	      "handlers were called, but the bus has no thread");
	check_dispositions(c, before, "under load");
	conformance_each_once(c, seen, 0, count);
	conformance_close(c, bus);
	check_dispositions(c, before, "after close");
	CHECK(c, !atomic_load(&taken_elsewhere), "%d of %d signals were taken by a thread of the bus",
	      atomic_load(&taken_elsewhere), atomic_load(&signals_taken));
}
