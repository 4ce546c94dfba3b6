#include "notes.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_S 30

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void page_note(struct page *page, const char *format, ...)
{
	char note[NOTE_SIZE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(note, sizeof note, format, arguments);
	va_end(arguments);

	pthread_mutex_lock(&lock);
	size_t at = 0;
	while (at < page->count && strcmp(page->notes[at], note) != 0)
		at++;
	if (at == page->count && at < NOTES_MAX) {
		memcpy(page->notes[at], note, sizeof note);
		page->count++;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
}

bool page_wait(struct page *page, size_t count)
{
	struct timespec end;
	int late = 0;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&lock);
	while (page->count < count && !late)
		late = pthread_cond_timedwait(&changed, &lock, &end);
	bool complete = page->count >= count;
	pthread_mutex_unlock(&lock);
	return complete;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Whether all notes fit behind the label on one line. */
static bool fits(const struct page *page)
{
	size_t length = 0;
	for (size_t i = 0; i < page->count; i++)
		length += strlen(page->notes[i]) + 2;
	return length <= 72;
}

void page_print(struct page *page, const char *label, bool sorted)
{
	pthread_mutex_lock(&lock);
	if (sorted)
		qsort(page->notes, page->count, sizeof page->notes[0], compare);
	const char *between = fits(page) ? ", " : "\n                     ";
	printf("   %-16s  ", label);
	for (size_t i = 0; i < page->count; i++)
		printf("%s%s", i ? between : "", page->notes[i]);
	printf("\n");
	pthread_mutex_unlock(&lock);
}
