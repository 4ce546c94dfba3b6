#include "outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define SHOW_FIRST_MS 1000 /* what is done sooner needs no progress */
#define SHOW_EACH_MS  250

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void outbox_init(struct outbox *outbox)
{
	*outbox = (struct outbox){.terminal = isatty(STDERR_FILENO) == 1,
				  .next_show = now_ms() + SHOW_FIRST_MS};
	pthread_mutex_init(&outbox->mutex, NULL);
	pthread_cond_init(&outbox->changed, NULL);
	for (size_t i = 0; i < OUTBOX_MESSAGES; i++) {
		outbox->slots[i] = (struct outbox_slot){.outbox = outbox, .next = outbox->free};
		outbox->free = &outbox->slots[i];
	}
}

void outbox_finish(struct outbox *outbox)
{
	pthread_cond_destroy(&outbox->changed);
	pthread_mutex_destroy(&outbox->mutex);
}

/* Wipe the line that shows the progress. [mutex held] */
static void hide(struct outbox *outbox)
{
	if (outbox->shown)
		fputs("\r\033[K", stderr);
	outbox->shown = false;
}

struct outbox_slot *outbox_take(struct outbox *outbox, uint64_t line, size_t bytes)
{
	pthread_mutex_lock(&outbox->mutex);
	while (!outbox->free || (outbox->out && outbox->bytes + bytes > OUTBOX_BYTES))
		pthread_cond_wait(&outbox->changed, &outbox->mutex);
	struct outbox_slot *slot = outbox->free;
	outbox->free = slot->next;
	slot->line = line;
	slot->bytes = bytes;
	outbox->out++;
	outbox->bytes += bytes;
	pthread_mutex_unlock(&outbox->mutex);
	return slot;
}

void outbox_ended(int code, const struct ferry_error *err, void *ctx)
{
	struct outbox_slot *slot = ctx;
	struct outbox *outbox = slot->outbox;
	pthread_mutex_lock(&outbox->mutex);
	outbox->confirmed += code == 0;
	outbox->failed += code != 0;
	if (code) {
		hide(outbox);
		cli_error("pub: line %" PRIu64 ": %s%s", slot->line, err->text,
			  code == FERRY_E_UNKNOWN ? " (it may be stored)" : "");
	}
	if (code && code != FERRY_E_INVALID && code != FERRY_E_TOO_LARGE)
		outbox->broken = true;
	outbox->out--;
	outbox->bytes -= slot->bytes;
	slot->next = outbox->free;
	outbox->free = slot;
	pthread_cond_broadcast(&outbox->changed);
	pthread_mutex_unlock(&outbox->mutex);
}

void outbox_refused(struct outbox *outbox, uint64_t line, size_t byte, const char *why)
{
	pthread_mutex_lock(&outbox->mutex);
	hide(outbox);
	if (byte)
		cli_error("pub: line %" PRIu64 ", byte %zu: %s", line, byte, why);
	else
		cli_error("pub: line %" PRIu64 ": %s", line, why);
	outbox->failed++;
	pthread_mutex_unlock(&outbox->mutex);
}

bool outbox_is_broken(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->mutex);
	bool broken = outbox->broken;
	pthread_mutex_unlock(&outbox->mutex);
	return broken;
}

void outbox_drain(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->mutex);
	while (outbox->out)
		pthread_cond_wait(&outbox->changed, &outbox->mutex);
	hide(outbox);
	pthread_mutex_unlock(&outbox->mutex);
}

void outbox_show(struct outbox *outbox, uint64_t lines, uint64_t bytes, uint64_t size)
{
	if (!outbox->terminal)
		return;
	pthread_mutex_lock(&outbox->mutex);
	int64_t now = now_ms();
	if (now >= outbox->next_show) {
		outbox->next_show = now + SHOW_EACH_MS;
		outbox->shown = true;
		fprintf(stderr, "\r\033[Kferry: pub: %" PRIu64 " lines", lines);
		if (size)
			fprintf(stderr, " (%d%%)", (int)((double)bytes * 100 / (double)size));
		fprintf(stderr, ", %" PRIu64 " confirmed, %" PRIu64 " failed", outbox->confirmed,
			outbox->failed);
		fflush(stderr);
	}
	pthread_mutex_unlock(&outbox->mutex);
}
