/* journal.c - what the logs of the processes say. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

static uint64_t hash(const char *text)
{
	uint64_t h = UINT64_C(14695981039346656037);
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return h;
}

static struct message *message_at(struct run *run, unsigned number)
{
	CHECK(run, number < MESSAGES_MAX, "message %u is none of this run", number);
	struct message *message = &run->messages[number];
	if (!message->last)
		message->last = &message->first;
	return message;
}

static struct delivery *add_delivery(struct run *run, struct message *message, const struct process *process)
{
	struct delivery *delivery = calloc(1, sizeof *delivery);
	CHECK(run, delivery, "out of memory");
	delivery->process = process;
	delivery->end_us = INT64_MAX;
	delivery->outcome = '?';
	*message->last = delivery;
	message->last = &delivery->next;
	return delivery;
}

static void take_try(struct run *run, struct process *process, unsigned number, char kind)
{
	struct message *message = message_at(run, number);
	CHECK(run, !message->tried, "message %u was published twice by the test", number);
	message->tried = true;
	message->kind = (enum kind)kind;
	message->tried_us = process->last_us;
	message->publisher = process;
	if (number >= run->message_count)
		run->message_count = number + 1;
}

static void take_result(struct run *run, struct process *process, unsigned number, enum result result)
{
	struct message *message = message_at(run, number);
	CHECK(run, message->tried && message->result == RESULT_NONE, "message %u has two results", number);
	message->result = result;
	message->result_us = process->last_us;
}

static void take_begin(struct run *run, struct process *process, unsigned number, unsigned attempt,
		       const char *position)
{
	struct message *message = message_at(run, number);
	struct delivery *delivery = add_delivery(run, message, process);
	delivery->begin_us = process->last_us;
	delivery->attempt = attempt;
	delivery->position = hash(position);
	message->begun++;
}

/* The newest call that this process has begun and not ended. */
static struct delivery *open_delivery(struct message *message, const struct process *process,
				      uint64_t position)
{
	struct delivery *found = NULL;
	for (struct delivery *d = message->first; d; d = d->next)
		if (d->process == process && d->position == position && d->end_us == INT64_MAX)
			found = d;
	return found;
}

static void take_end(struct run *run, struct process *process, unsigned number, const char *outcome,
		     const char *position)
{
	struct message *message = message_at(run, number);
	struct delivery *delivery = open_delivery(message, process, hash(position));
	CHECK(run, delivery, "message %u has ended in %s without a beginning", number, process->name);
	delivery->end_us = process->last_us;
	delivery->outcome = strcmp(outcome, "reject") ? *outcome : 'j';
	if (delivery->outcome == 'o') {
		message->handled++;
		message->swept += process->role == ROLE_SWEEP;
	}
}

static void take_dead(struct run *run, struct process *process, unsigned number, const char *reason,
		      const char *position)
{
	struct message *message = message_at(run, number);
	struct delivery *delivery = add_delivery(run, message, process);
	delivery->begin_us = delivery->end_us = process->last_us;
	delivery->position = hash(position);
	delivery->outcome = 'd';
	snprintf(delivery->reason, sizeof delivery->reason, "%s", reason);
	message->dead++;
}

static void take_stall(struct run *run, const struct process *process, unsigned ms)
{
	fault_add_stall(run, process->role == ROLE_PULSE ? NULL : process,
			process->last_us - ms * INT64_C(1000), process->last_us);
}

static bool take_numbers(struct process *p, const char *line)
{
	if (sscanf(line,
		   "groups %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64,
		   &p->received, &p->handled, &p->filtered, &p->dead_lettered, &p->dropped, &p->retried,
		   &p->handed_back, &p->stale, &p->in_flight) == 9)
		p->has_groups = true;
	else if (sscanf(line, "topics %" SCNu64 " %" SCNu64 " %" SCNu64, &p->published, &p->rejected,
			&p->unknown) != 3)
		return false;
	return true;
}

static void take_line(struct run *run, struct process *process, const char *line)
{
	unsigned number, attempt;
	char kind, word[24], position[101];
	const char *time = strrchr(line, ' ');
	CHECK(run, time, "%s: a line without a time: %s", process->path, line);
	process->last_us = strtoll(time, NULL, 10);
	if (!strncmp(line, "failed ", 7))
		run_fail(run, "%s: %.*s", process->name, (int)(time - line - 7), line + 7);
	if (sscanf(line, "begin %u %u %100s", &number, &attempt, position) == 3)
		take_begin(run, process, number, attempt, position);
	else if (sscanf(line, "end %u %23s %100s", &number, word, position) == 3)
		take_end(run, process, number, word, position);
	else if (sscanf(line, "try %u %c", &number, &kind) == 2)
		take_try(run, process, number, kind);
	else if (sscanf(line, "ok %u", &number) == 1)
		take_result(run, process, number, RESULT_OK);
	else if (sscanf(line, "refused %u", &number) == 1)
		take_result(run, process, number, RESULT_REFUSED);
	else if (sscanf(line, "unknown %u", &number) == 1)
		take_result(run, process, number, RESULT_UNKNOWN);
	else if (sscanf(line, "dead %u %23s %100s", &number, word, position) == 3)
		take_dead(run, process, number, word, position);
	else if (sscanf(line, "ready %" SCNx64, &process->capabilities) == 1)
		process->ready = true, process->ready_us = process->last_us;
	else if (sscanf(line, "stall %u", &number) == 1)
		take_stall(run, process, number);
	else if (!strncmp(line, "done ", 5))
		process->done = true;
	else
		CHECK(run, take_numbers(process, line), "%s: an unknown line: %s", process->path, line);
}

/* Take the whole lines out of the first `size` bytes; returns what is left, moved to the front. */
static size_t take_lines(struct run *run, struct process *process, char *text, size_t size)
{
	char *at = text, *end;
	while ((end = memchr(at, '\n', size - (size_t)(at - text)))) {
		*end = '\0';
		take_line(run, process, at);
		at = end + 1;
	}
	size -= (size_t)(at - text);
	memmove(text, at, size);
	return size;
}

static void read_log(struct run *run, struct process *process)
{
	for (;;) {
		size_t room = sizeof process->rest - process->rest_size;
		CHECK(run, room, "%s: a line that is too long", process->path);
		ssize_t got = read(process->log, process->rest + process->rest_size, room);
		CHECK(run, got >= 0, "%s: %s", process->path, strerror(errno));
		if (got == 0)
			return;
		process->rest_size =
			take_lines(run, process, process->rest, process->rest_size + (size_t)got);
	}
}

void journal_read(struct run *run)
{
	for (size_t i = 0; i < run->process_count; i++)
		read_log(run, &run->processes[i]);
}
