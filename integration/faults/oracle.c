/*
 * oracle.c - does it add up?
 *
 * Over distinct messages: confirmed = handled + dead-lettered + filtered + still in the backend; what was
 * refused appears nowhere; what is unknown may.  In each process that ended in order the counters add up.
 *
 * Duplicates: a message may end once more for each fault at which it was under way, and no more.  Under way
 * is it from a publish call to its result, when the fault is one of the server (it is sent again under the
 * same id); from the beginning of a handler's call to SETTLE_US after its end, when the fault hits its
 * process or the server; and the same at the reader of dead letters. The bound is the sum of that over all
 * messages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

static bool touches(const struct fault *fault, const struct process *process, int64_t from_us, int64_t to_us)
{
	return (!fault->process || fault->process == process) && from_us <= fault->to_us &&
	       to_us >= fault->from_us;
}

static int64_t settled_us(const struct delivery *d)
{
	return d->end_us == INT64_MAX ? INT64_MAX : d->end_us + SETTLE_US;
}

/* How often a message may have ended more than once. */
static unsigned allowed(const struct run *run, const struct message *m)
{
	unsigned sum = 0;
	for (size_t i = 0; i < run->fault_count; i++) {
		const struct fault *fault = &run->faults[i];
		bool handling = false, burying = false;
		for (const struct delivery *d = m->first; d; d = d->next)
			if (touches(fault, d->process, d->begin_us, settled_us(d)))
				*(d->process->role == ROLE_DEAD ? &burying : &handling) = true;
		int64_t to_us = m->result == RESULT_NONE ? INT64_MAX : m->result_us;
		bool publishing = !fault->process && m->tried_us <= fault->over_us && to_us >= fault->from_us;
		sum += (unsigned)handling + (unsigned)burying + (unsigned)publishing;
	}
	return sum;
}

/* ---- a message's end ---- */

static void check_end(struct run *run, unsigned n, const struct message *m)
{
	bool fatal = message_is_fatal(m->kind);
	CHECK(run, m->result != RESULT_REFUSED || (!m->begun && !m->dead),
	      "message %u was refused, and came all the same", n);
	CHECK(run, m->kind != KIND_LARGE || m->result == RESULT_REFUSED,
	      "message %u is too large, and was not refused", n);
	CHECK(run, fatal || !m->dead, "message %u (%c) is a dead letter, and should not be one", n, m->kind);
	CHECK(run, !fatal || m->handled == m->swept, "message %u (%c) was handled, and cannot have been", n,
	      m->kind);
	if (m->result == RESULT_OK && m->kind != KIND_OTHER)
		CHECK(run, fatal ? m->dead : m->handled, "message %u (%c) was confirmed, and is lost", n,
		      m->kind);
}

static void check_reason(struct run *run, unsigned n, const struct message *m)
{
	const char *reason = m->kind == KIND_REJECT  ? "rejected"
			     : m->kind == KIND_ABORT ? "max_deliveries"
						     : "error";
	for (const struct delivery *d = m->first; d; d = d->next)
		if (d->outcome == 'd')
			CHECK(run, !strcmp(d->reason, reason),
			      "message %u (%c) is a dead letter for the reason %s instead of %s", n, m->kind,
			      d->reason, reason);
}

/* ---- attempts ---- */

static int compare_deliveries(const void *left, const void *right)
{
	const struct delivery *l = *(const struct delivery *const *)left,
			      *r = *(const struct delivery *const *)right;
	if (l->position != r->position)
		return l->position < r->position ? -1 : 1;
	return l->begin_us < r->begin_us ? -1 : l->begin_us > r->begin_us;
}

/* True when a fault can have made the backend forget what came of this call. */
static bool was_disturbed(const struct run *run, const struct delivery *d)
{
	for (size_t i = 0; i < run->fault_count; i++)
		if (touches(&run->faults[i], d->process, d->begin_us, settled_us(d)))
			return true;
	return false;
}

static void check_pair(struct run *run, unsigned n, const struct delivery *before,
		       const struct delivery *after)
{
	CHECK(run, after->attempt >= before->attempt,
	      "message %u came as attempt %u, and then in %s as attempt %u", n, before->attempt,
	      after->process->name, after->attempt);
	if (was_disturbed(run, before))
		return;
	CHECK(run, before->outcome == 'r', "message %u came in %s again after %s had settled it", n,
	      after->process->name, before->process->name);
	CHECK(run, after->attempt > before->attempt,
	      "message %u failed in %s and came in %s as attempt %u again", n, before->process->name,
	      after->process->name, after->attempt);
}

/* Attempts never fall for one record, and rise after a failure that nothing disturbed. */
static void check_attempts(struct run *run, unsigned n, const struct message *m)
{
	const struct delivery *calls[256];
	size_t count = 0;
	for (const struct delivery *d = m->first; d; d = d->next) {
		if (d->outcome == 'd')
			continue;
		CHECK(run, count < sizeof calls / sizeof calls[0], "message %u came hundreds of times", n);
		calls[count++] = d;
	}
	qsort(calls, count, sizeof calls[0], compare_deliveries);
	for (size_t i = 1; i < count; i++)
		if (calls[i]->position == calls[i - 1]->position)
			check_pair(run, n, calls[i - 1], calls[i]);
}

/* ---- the counters of the processes ---- */

static bool was_hit(const struct run *run, const struct process *process)
{
	for (size_t i = 0; i < run->fault_count; i++)
		if (!run->faults[i].process || run->faults[i].process == process)
			return true;
	return false;
}

static void check_consumer(struct run *run, const struct process *p)
{
	uint64_t sum = p->handled + p->filtered + p->dead_lettered + p->dropped + p->retried +
		       p->handed_back + p->stale + p->in_flight;
	uint64_t well = 0;
	CHECK(run, p->received == sum, "%s received %ju and accounts for %ju", p->name,
	      (uintmax_t)p->received, (uintmax_t)sum);
	CHECK(run, !p->in_flight, "%s has stopped with %ju in flight", p->name, (uintmax_t)p->in_flight);
	CHECK(run, !p->dropped, "%s has dropped %ju", p->name, (uintmax_t)p->dropped);
	for (unsigned n = 0; n < run->message_count; n++)
		for (const struct delivery *d = run->messages[n].first; d; d = d->next)
			well += d->process == p && (d->outcome == 'o' || d->outcome == 'd');
	CHECK(run, p->handled <= well, "%s counts %ju as handled, and its handlers returned 0 only %ju times",
	      p->name, (uintmax_t)p->handled, (uintmax_t)well);
	CHECK(run, p->handled == well || was_hit(run, p),
	      "%s counts %ju as handled, and its handlers returned 0 %ju times", p->name,
	      (uintmax_t)p->handled, (uintmax_t)well);
}

static void check_publisher(struct run *run, const struct process *p)
{
	uint64_t count[4] = {0};
	for (unsigned n = 0; n < run->message_count; n++)
		if (run->messages[n].publisher == p)
			count[run->messages[n].result]++;
	CHECK(run, !count[RESULT_NONE], "%s has ended, and %ju of its publishes have no result", p->name,
	      (uintmax_t)count[RESULT_NONE]);
	CHECK(run,
	      p->published == count[RESULT_OK] && p->rejected == count[RESULT_REFUSED] &&
		      p->unknown == count[RESULT_UNKNOWN],
	      "%s counts %ju published, %ju rejected and %ju unknown; its calls said %ju, %ju and %ju",
	      p->name, (uintmax_t)p->published, (uintmax_t)p->rejected, (uintmax_t)p->unknown,
	      (uintmax_t)count[RESULT_OK], (uintmax_t)count[RESULT_REFUSED],
	      (uintmax_t)count[RESULT_UNKNOWN]);
}

/* Returns how many were counted as filtered; *ret_all when no process died with its counters. */
static uint64_t check_processes(struct run *run, bool *ret_all)
{
	uint64_t filtered = 0;
	*ret_all = true;
	for (size_t i = 0; i < run->process_count; i++) {
		const struct process *p = &run->processes[i];
		if (p->role == ROLE_CONSUME && !p->has_groups)
			*ret_all = false;
		if (!p->has_groups)
			continue;
		filtered += p->filtered;
		if (p->role == ROLE_PUBLISH)
			check_publisher(run, p);
		else
			check_consumer(run, p);
	}
	return filtered;
}

/* ---- all together ---- */

static bool is_stored_twice(const struct message *m)
{
	const struct delivery *first = NULL;
	for (const struct delivery *d = m->first; d; d = d->next) {
		if (d->outcome == 'd')
			continue;
		if (first && d->position != first->position)
			return true;
		first = d;
	}
	return false;
}

static void count_message(struct verdict *v, const struct message *m)
{
	v->tried++;
	v->confirmed += m->result == RESULT_OK;
	v->refused += m->result == RESULT_REFUSED;
	v->unknown += m->result == RESULT_UNKNOWN || m->result == RESULT_NONE;
	v->handled += m->handled > m->swept;
	v->dead += m->dead > 0;
	v->twice += is_stored_twice(m);
	v->left += m->swept && m->handled == m->swept && !m->dead;
	v->filtered += m->result == RESULT_OK && m->kind == KIND_OTHER && !m->swept;
}

struct verdict oracle_judge(struct run *run)
{
	struct verdict v = {0};
	bool all;
	uint64_t filtered = check_processes(run, &all);
	for (unsigned n = 0; n < run->message_count; n++) {
		const struct message *m = &run->messages[n];
		CHECK(run, m->tried || (!m->begun && !m->dead), "message %u was never published, and came",
		      n);
		if (!m->tried)
			continue;
		unsigned bound = allowed(run, m), ends = m->handled + m->dead, more = ends ? ends - 1 : 0;
		check_end(run, n, m);
		check_reason(run, n, m);
		check_attempts(run, n, m);
		CHECK(run, more <= bound,
		      "message %u (%c) has ended %u times, and was under way at faults for %u more only", n,
		      m->kind, ends, bound);
		count_message(&v, m);
		v.duplicates += more;
		v.bound += bound;
	}
	CHECK(run, !all || filtered >= v.filtered, "%u messages should have been filtered, %ju are counted",
	      v.filtered, (uintmax_t)filtered);
	return v;
}
