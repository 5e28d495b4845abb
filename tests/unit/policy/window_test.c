/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/policy/policy.h>

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define DAY    UINT64_C(86400)
#define WEEK   (7 * DAY)
#define MONDAY UINT64_C(1767571200) /* 2026-01-05 00:00 UTC */
#define YEAR_S (366 * DAY)

static const struct fl_window windows[] = {
	{1 << 5, 2 * 3600, 2 * 3600},		  /* Saturday 02:00 to 04:00 */
	{0x1f, 22 * 3600, 6 * 3600},		  /* weekdays, over midnight */
	{1 << 6, 23 * 3600 + 1800, 3 * 3600},	  /* Sunday, over the end of the week */
	{0x60, 0, 86400},			  /* the week-end, two occurrences that touch */
	{0x7f, 0, 86400},			  /* always, by seven that touch */
	{1 << 2, 12 * 3600, 604800},		  /* always, by one */
	{0x7f, 3 * 3600 + 17 * 60, 60},		  /* one minute a day */
	{1 << 0 | 1 << 3, 86399, 5 * 86400 + 61}, /* long ones that overlap */
	{0x55, 1, 604799},			  /* each a second short of the week */
};

#define N_WINDOWS (sizeof(windows) / sizeof(windows[0]))

/* The reference: the C library's calendar, and every occurrence of the last and the next weeks
 * tried in turn. */
static bool covered(const struct fl_window *w, uint64_t now)
{
	time_t midnight = (time_t)(now / DAY * DAY);
	struct tm tm;
	gmtime_r(&midnight, &tm);
	for (int back = 0; back <= 8; back++) {
		int day = (tm.tm_wday + 6 + 14 - back) % 7;
		uint64_t start = (uint64_t)midnight - (uint64_t)back * DAY + w->start_s;
		if ((w->days >> day & 1) != 0 && now >= start && now - start < w->length_s)
			return true;
	}
	return false;
}

/* Every minute of a year, and a second before and after it: open as the reference says, for all
 * windows. */
Test(window, a_year_of_minutes)
{
	for (size_t i = 0; i < N_WINDOWS; i++) {
		for (uint64_t t = MONDAY; t < MONDAY + YEAR_S; t += 60) {
			for (uint64_t at = t - 1; at <= t + 1; at++) {
				uint64_t change = 0;
				bool open = fl_window_open(&windows[i], at, &change);
				if (open != covered(&windows[i], at))
					cr_assert_fail("window %zu at %" PRIu64 ": %d", i, at,
						       open);
				if (change <= at)
					cr_assert_fail("window %zu at %" PRIu64 ": change %" PRIu64,
						       i, at, change);
			}
		}
	}
}

/* The change is the first second at which the reference turns over: looked for second by second. */
Test(window, change_is_the_first_second_that_differs)
{
	for (size_t i = 0; i < N_WINDOWS; i++) {
		for (uint64_t t = MONDAY; t < MONDAY + WEEK; t += 6 * 3600 + 7) {
			uint64_t change = 0;
			bool open = fl_window_open(&windows[i], t, &change);
			uint64_t first = t;
			while (first < t + 2 * WEEK && covered(&windows[i], first) == open)
				first++;
			if (first == t + 2 * WEEK)
				first = FL_WINDOW_NEVER;
			cr_assert(first == change,
				  "window %zu at %" PRIu64 ": %" PRIu64 " not %" PRIu64, i, t,
				  change, first);
		}
	}
}

Test(window, without_days_it_never_opens)
{
	const struct fl_window none = {0, 0, 3600};
	uint64_t change = 0;
	cr_assert_not(fl_window_open(&none, MONDAY, &change));
	cr_assert_eq(change, FL_WINDOW_NEVER);
}

Test(window, the_ends_of_time)
{
	for (size_t i = 0; i < N_WINDOWS; i++) {
		uint64_t change = 0;
		cr_assert_eq(fl_window_open(&windows[i], 0, &change),
			     covered(&windows[i], 14 * WEEK), "window %zu", i);
		(void)fl_window_open(&windows[i], UINT64_MAX - 5, &change);
		cr_assert_gt(change, UINT64_MAX - 5);
	}
}

Test(parse, days_start_and_length)
{
	static const struct {
		const char *days, *start;
		uint64_t minutes;
		struct fl_window want;
	} good[] = {
		{"sat,sun", "02:00", 120, {0x60, 7200, 7200}},
		{"mon-fri", "22:30", 360, {0x1f, 81000, 21600}},
		{"fri-mon", "00:00", 1, {0x71, 0, 60}},
		{" mon , wed-thu ", "23:59", 10080, {0x0d, 86340, 604800}},
		{"\tmon\t-\ttue", "19:59", 60, {0x03, 71940, 3600}},
		{"sun-sun", "09:05", 60, {0x40, 32700, 3600}},
		{"mon-sun", "00:00", 1440, {0x7f, 0, 86400}},
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct fl_window w;
		struct fl_err err = {0};
		cr_assert_eq(
			fl_window_parse(good[i].days, good[i].start, good[i].minutes, &w, &err),
			FL_OK, "%s: %s", good[i].days, err.msg);
		cr_assert(w.days == good[i].want.days && w.start_s == good[i].want.start_s &&
				  w.length_s == good[i].want.length_s,
			  "%s", good[i].days);
	}
}

Test(parse, what_is_wrong_is_refused_and_named)
{
	static const struct {
		const char *days, *start;
		uint64_t minutes;
		const char *names;
	} bad[] = {
		{"", "02:00", 60, "days"},
		{"Sat", "02:00", 60, "days"},
		{"sat,", "02:00", 60, "days"},
		{"sat;sun", "02:00", 60, "days"},
		{"satur", "02:00", 60, "days"},
		{"mon-", "02:00", 60, "days"},
		{"mon-fri-sun", "02:00", 60, "days"},
		{"sa", "02:00", 60, "days"},
		{",", "02:00", 60, "days"},
		{"mon,,tue", "02:00", 60, "days"},
		{"sat", "2:00", 60, "start"},
		{"sat", "24:00", 60, "start"},
		{"sat", "02:60", 60, "start"},
		{"sat", "02-00", 60, "start"},
		{"sat", "02:00 ", 60, "start"},
		{"sat", "", 60, "start"},
		{"sat", "0a:00", 60, "start"},
		{"sat", ":2:00", 60, "start"},
		{"sat", "/2:00", 60, "start"},
		{"sat", "0/:00", 60, "start"},
		{"sat", "02:0:", 60, "start"},
		{"sat", "02:-1", 60, "start"},
		{"sat", "02:00", 0, "length"},
		{"sat", "02:00", 10081, "length"},
		{"sat", "02:00", UINT64_MAX, "length"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fl_window w = {9, 9, 9};
		struct fl_err err = {0};
		cr_assert_eq(fl_window_parse(bad[i].days, bad[i].start, bad[i].minutes, &w, &err),
			     FL_E_CONFIG, "'%s' '%s'", bad[i].days, bad[i].start);
		cr_assert_eq(strncmp(err.msg, bad[i].names, strlen(bad[i].names)), 0, "%s",
			     err.msg);
		cr_assert_eq(w.days, 9, "the output is untouched");
	}
}
