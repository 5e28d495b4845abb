/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weekly windows on a circle of 604,800 seconds that begins on Monday 00:00 UTC:
 *
 *   Mon      Tue      Wed      Thu      Fri      Sat      Sun     (Mon)
 *   |--------|--------|--------|--------|--------|--####--|--####|##---
 *                                              start_s^  ^length_s
 *
 * Occurrences of one window may touch or overlap (every day, 24 h): an open stretch ends where no
 * occurrence covers.
 */
#include "window.h"

#define DAY_S  UINT64_C(86400)
#define WEEK_S (7 * DAY_S)

/* 1970-01-01 was a Thursday. */
static uint64_t second_of_week(uint64_t now_s)
{
	return (now_s % WEEK_S + 3 * DAY_S) % WEEK_S;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* How long ago the occurrence of this day began, 0…WEEK_S - 1. */
static uint64_t since_start(const struct fl_window *w, unsigned day, uint64_t week_second)
{
	uint64_t start = (day * DAY_S + w->start_s) % WEEK_S;
	return (week_second + WEEK_S - start) % WEEK_S;
}

/* Seconds that the longest occurrence covering this second still runs; 0: none covers it. */
static uint64_t left(const struct fl_window *w, uint64_t week_second)
{
	uint64_t longest = 0;
	for (unsigned day = 0; day < 7; day++) {
		uint64_t since = since_start(w, day, week_second);
		bool covers = (w->days >> day & 1) != 0 && since < w->length_s;
		if (covers && w->length_s - since > longest)
			longest = w->length_s - since;
	}
	return longest;
}

/* Seconds until the next occurrence begins, 1…WEEK_S; the window has at least one day. */
static uint64_t until_start(const struct fl_window *w, uint64_t week_second)
{
	uint64_t nearest = WEEK_S;
	for (unsigned day = 0; day < 7; day++) {
		uint64_t until = WEEK_S - since_start(w, day, week_second);
		if ((w->days >> day & 1) != 0 && until < nearest)
			nearest = until;
	}
	return nearest;
}

bool fl_window_open(const struct fl_window *window, uint64_t now_s, uint64_t *change_s)
{
	uint64_t second = second_of_week(now_s);
	if ((window->days & 0x7f) == 0) {
		*change_s = FL_WINDOW_NEVER;
		return false;
	}
	uint64_t run = left(window, second);
	if (run == 0) {
		*change_s = plus(now_s, until_start(window, second));
		return false;
	}
	for (uint64_t more = run; more > 0 && run < WEEK_S; run += more)
		more = left(window, (second + run) % WEEK_S);
	*change_s = run >= WEEK_S ? FL_WINDOW_NEVER : plus(now_s, run);
	return true;
}

uint64_t window_fits_from(const struct fl_window *window, uint64_t from_s, uint64_t duration_s)
{
	uint64_t t = from_s;
	/* At most seven stretches begin in a week, we may stand inside one, and there is one gap
	 * before each. */
	for (int i = 0; i < 16; i++) {
		uint64_t change_s = 0;
		bool open = fl_window_open(window, t, &change_s);
		if (open && (change_s == FL_WINDOW_NEVER || change_s - t >= duration_s))
			return t;
		if (change_s == FL_WINDOW_NEVER)
			break;
		t = change_s;
	}
	return FL_WINDOW_NEVER;
}
