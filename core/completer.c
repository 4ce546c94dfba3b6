#include "completer.h"

#include "pool.h"
#include "publication.h"
#include "thread.h"

int completer_init(struct completer *c)
{
	*c = (struct completer){.head = NULL};
	c->tail = &c->head;
	int error = pthread_mutex_init(&c->lock, NULL);
	if (error)
		return error;
	error = cond_init(&c->wake);
	if (error)
		pthread_mutex_destroy(&c->lock);
	return error;
}

void completer_destroy(struct completer *c)
{
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
}

void completer_push(struct ferry_bus *bus, struct publication *first, struct publication **end)
{
	struct completer *c = &bus->completer;
	pthread_mutex_lock(&c->lock);
	bool wake = !c->head;
	*c->tail = first;
	c->tail = end;
	if (wake)
		pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (wake)
		pool_signal_caller(bus);
}

static struct publication *take_all(struct completer *c)
{
	struct publication *list = c->head;
	c->head = NULL;
	c->tail = &c->head;
	return list;
}

static int call_all(struct ferry_bus *bus, struct publication *list)
{
	int called = 0;
	struct inside_mark before = inside;
	inside = (struct inside_mark){bus, INSIDE_COMPLETION};
	for (struct publication *p = list; p; p = p->next) {
		if (p->done) {
			struct ferry_error err;
			if (p->result)
				fail(&err, p->result, "%s: %s", p->topic->name,
				     p->reason ? p->reason : ferry_error_text(p->result));
			p->done(p->result, p->result ? &err : NULL, p->ctx);
		}
		called++;
	}
	publications_free_list(bus, list);
	inside = before;
	return called;
}

int completer_run(struct ferry_bus *bus)
{
	pthread_mutex_lock(&bus->completer.lock);
	struct publication *list = take_all(&bus->completer);
	pthread_mutex_unlock(&bus->completer.lock);
	return call_all(bus, list);
}

static void *run(void *ctx)
{
	struct ferry_bus *bus = ctx;
	struct completer *c = &bus->completer;
	pthread_mutex_lock(&c->lock);
	while (c->head || !c->stop) {
		if (!c->head) {
			pthread_cond_wait(&c->wake, &c->lock);
			continue;
		}
		struct publication *list = take_all(c);
		pthread_mutex_unlock(&c->lock);
		call_all(bus, list);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int completer_start(struct ferry_bus *bus)
{
	int error = thread_start(&bus->completer.thread, "ferry-done", run, bus);
	bus->completer.running = !error;
	return error;
}

void completer_stop(struct ferry_bus *bus)
{
	struct completer *c = &bus->completer;
	if (c->running) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_cond_signal(&c->wake);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
		c->running = false;
	}
	completer_run(bus);
}
