/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events, cut into pieces anywhere. */
#include "events.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char seen[4096];
static size_t stop_after;

static bool note(void *ctx, const char *data, size_t len)
{
	(void)ctx;
	size_t at = strlen(seen);
	(void)snprintf(seen + at, sizeof(seen) - at, "[%.*s]", (int)len, data);
	return stop_after == 0 || --stop_after > 0;
}

/* Feeds text in pieces of `piece` bytes; what came out. */
static const char *feed(const char *text, size_t piece)
{
	struct fl_err err = {0};
	struct fl_tools_events events = FL_TOOLS_EVENTS(note, NULL);
	size_t len = strlen(text);
	seen[0] = '\0';
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		cr_assert_eq(fl_tools_events_feed(&events, text + at, n, &err), FL_OK, "%s",
			     err.msg);
	}
	fl_tools_events_free(&events);
	return seen;
}

static const struct {
	const char *stream, *events;
} cases[] = {
	{"event: job\ndata: {\"a\":1}\n\n", "[{\"a\":1}]"},
	{"data: 1\r\n\r\ndata: 2\r\rdata: 3\n\n", "[1][2][3]"},
	{": keep-alive\n\n: another\n\ndata: x\n\n", "[x]"},
	{"data: one\ndata: two\n\n", "[one\ntwo]"},
	{"data:tight\n\ndata:  two spaces\n\n", "[tight][ two spaces]"},
	{"data\n\n", "[]"},
	{"id: 7\nretry: 10\ndatax: no\nxdata: no\n\n", ""},
	{"data: cut off", ""},
	{"data: cut off\n", ""},
};

Test(tools_events, however_they_are_cut)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t piece = 1; piece <= strlen(cases[i].stream); piece++)
			cr_assert_str_eq(feed(cases[i].stream, piece), cases[i].events,
					 "case %zu in pieces of %zu", i, piece);
	}
}

Test(tools_events, nothing_after_the_reader_has_enough)
{
	stop_after = 2;
	cr_assert_str_eq(feed("data: 1\n\ndata: 2\n\ndata: 3\n\n", 100), "[1][2]");
	stop_after = 0;
}

Test(tools_events, a_line_has_a_limit)
{
	struct fl_err err = {0};
	struct fl_tools_events events = FL_TOOLS_EVENTS(note, NULL);
	char block[4096];
	enum fl_rc rc = FL_OK;
	memset(block, 'x', sizeof(block));
	for (size_t i = 0; rc == FL_OK && i < 2 * FL_TOOLS_EVENT_MAX / sizeof(block); i++)
		rc = fl_tools_events_feed(&events, block, sizeof(block), &err);
	cr_assert_eq(rc, FL_E_TOO_LARGE);
	fl_tools_events_free(&events);
}

Test(tools_events, many_data_lines_have_a_limit)
{
	struct fl_err err = {0};
	struct fl_tools_events events = FL_TOOLS_EVENTS(note, NULL);
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < FL_TOOLS_EVENT_MAX; i++)
		rc = fl_tools_events_feed(&events, "data: xxxxxxxx\n", 15, &err);
	cr_assert_eq(rc, FL_E_TOO_LARGE);
	fl_tools_events_free(&events);
}
