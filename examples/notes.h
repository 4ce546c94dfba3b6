/*
 * notes.h - what the handlers of an example write down, so that the main thread can wait for it and print it.
 *
 * Handlers run on other threads and in no order that a reader could follow.  So they print nothing: each
 * takes notes on a page, and the main thread reads the page when it is complete.
 */
#ifndef EXAMPLES_NOTES_H
#define EXAMPLES_NOTES_H

#include <stdbool.h>
#include <stddef.h>

#define NOTES_MAX 16
#define NOTE_SIZE 96

/* Zeroed = empty.  All pages share one lock. */
struct page {
	char notes[NOTES_MAX][NOTE_SIZE];
	size_t count;
};

/* Write a note; one that is there already is not written again, since a message may arrive twice. */
void page_note(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Wait until the page has `count` notes.  False after 30 seconds. */
bool page_wait(struct page *page, size_t count);

/* Print the notes behind `label`, on one line if they fit.  `sorted`: by the alphabet, where the order in
 * which they came means nothing. */
void page_print(struct page *page, const char *label, bool sorted);

#endif
