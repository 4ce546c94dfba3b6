/* report.c - results as TAP 13 and as a JUnit file. */
#include <string.h>

#include "conformance.h"

/* Of a failed case's output. */
#define TAP_FIRST_LINES 80
#define TAP_LAST_LINES  40

void conformance_tap_begin(FILE *tap, const char *transport, uint64_t capabilities)
{
	fprintf(tap, "TAP version 13\n1..%d\n# transport %s:", CONFORMANCE_CASES, transport);
	for (int i = 0; i < 64; i++)
		if (capabilities & (UINT64_C(1) << i))
			fprintf(tap, " %s", ferry_admin_capability_name(UINT64_C(1) << i));
	fputc('\n', tap);
	fflush(tap);
}

/* A double-quoted YAML string. */
static void put_quoted(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
	}
	fputc('"', to);
}

static size_t count_lines(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n' || !text[1];
	return lines;
}

/* The beginning and the end: a sanitizer's report is at either. */
static void put_output(FILE *tap, const char *output)
{
	size_t lines = count_lines(output), line = 0;

	fputs("  output: |\n", tap);
	for (const char *at = output; *at; line++) {
		size_t length = strcspn(at, "\n");

		if (line < TAP_FIRST_LINES || line + TAP_LAST_LINES >= lines)
			fprintf(tap, "    %.*s\n", (int)length, at);
		else if (line == TAP_FIRST_LINES)
			fprintf(tap, "    (%zu lines)\n", lines - TAP_FIRST_LINES - TAP_LAST_LINES);
		at += length + (at[length] == '\n');
	}
}

void conformance_tap_case(FILE *tap, const struct conformance_case *which,
			  const struct conformance_outcome *outcome)
{
	bool failed = outcome->status == CONFORMANCE_FAILED;

	fprintf(tap, "%sok %d - %s", failed ? "not " : "", which->number, which->name);
	if (outcome->status == CONFORMANCE_SKIPPED)
		fprintf(tap, " # skip %s", outcome->reason);
	fputc('\n', tap);
	if (failed) {
		fputs("  ---\n  message: ", tap);
		put_quoted(tap, outcome->reason);
		fprintf(tap, "\n  seconds: %.2f\n", outcome->seconds);
		if (outcome->output && *outcome->output)
			put_output(tap, outcome->output);
		fputs("  ...\n", tap);
	}
	fflush(tap);
}

/* ---- JUnit ---- */

static void put_xml(FILE *to, const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '<')
			fputs("&lt;", to);
		else if (byte == '>')
			fputs("&gt;", to);
		else if (byte == '&')
			fputs("&amp;", to);
		else if (byte == '"')
			fputs("&quot;", to);
		else if (byte == '\n' || byte == '\t' || (byte >= ' ' && byte < 0x7f))
			fputc(byte, to);
		else
			fputc('?', to); /* XML 1.0 has no place for control characters */
	}
}

static void junit_case(FILE *to, const char *suite, const struct conformance_case *which,
		       const struct conformance_outcome *outcome)
{
	fputs("  <testcase classname=\"", to);
	put_xml(to, suite);
	fprintf(to, "\" name=\"%d ", which->number);
	put_xml(to, which->name);
	fprintf(to, "\" time=\"%.3f\">", outcome->seconds);
	if (outcome->status == CONFORMANCE_PASSED) {
		fputs("</testcase>\n", to);
		return;
	}
	fprintf(to, "\n    <%s message=\"", outcome->status == CONFORMANCE_SKIPPED ? "skipped" : "failure");
	put_xml(to, outcome->reason);
	fputs("\"/>\n", to);
	if (outcome->status == CONFORMANCE_FAILED && outcome->output) {
		fputs("    <system-out>", to);
		put_xml(to, outcome->output);
		fputs("</system-out>\n", to);
	}
	fputs("  </testcase>\n", to);
}

int conformance_junit(const char *path, const char *suite, const struct conformance_outcome *outcomes)
{
	FILE *to = fopen(path, "w");
	int tests = 0, failures = 0, skipped = 0;
	bool broken;

	if (!to)
		return -1;
	for (int i = 0; i < CONFORMANCE_CASES; i++) {
		tests += outcomes[i].status != 0;
		failures += outcomes[i].status == CONFORMANCE_FAILED;
		skipped += outcomes[i].status == CONFORMANCE_SKIPPED;
	}
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"ferry conformance ", to);
	put_xml(to, suite);
	fprintf(to, "\" tests=\"%d\" failures=\"%d\" skipped=\"%d\">\n", tests, failures, skipped);
	for (int i = 0; i < CONFORMANCE_CASES; i++)
		if (outcomes[i].status)
			junit_case(to, suite, &conformance_table[i], &outcomes[i]);
	fputs("</testsuite>\n", to);
	broken = ferror(to) != 0;
	return fclose(to) || broken ? -1 : 0;
}
