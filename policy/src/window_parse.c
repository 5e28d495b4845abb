/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/policy/policy.h>

#include <string.h>

#define LENGTH_MIN_MAX UINT64_C(10080) /* a week */

/* The day at text, 0 = Monday; -1 when there is none. */
static int day_at(const char *text)
{
	static const char names[7][4] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
	for (int i = 0; i < 7; i++) {
		if (strncmp(text, names[i], 3) == 0)
			return i;
	}
	return -1;
}

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* One "mon" or "fri-mon" (over the end of the week) into *days; NULL when it is neither, else what
 * follows. */
static const char *take_days(const char *p, uint8_t *days)
{
	int first = day_at(p);
	if (first < 0)
		return NULL;
	int last = first;
	p = skip_blanks(p + 3);
	if (*p == '-') {
		p = skip_blanks(p + 1);
		last = day_at(p);
		if (last < 0)
			return NULL;
		p = skip_blanks(p + 3);
	}
	for (int day = first;; day = (day + 1) % 7) {
		*days = (uint8_t)(*days | 1U << day);
		if (day == last)
			return p;
	}
}

static bool parse_days(const char *text, uint8_t *ret)
{
	uint8_t days = 0;
	for (const char *p = skip_blanks(text);; p = skip_blanks(p + 1)) {
		p = take_days(p, &days);
		if (p == NULL || (*p != '\0' && *p != ','))
			return false;
		if (*p == '\0')
			break;
	}
	*ret = days;
	return true;
}

/* Two digits as a number below the limit; -1 when they are not. */
static int two_digits(const char *p, int limit)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	int v = (p[0] - '0') * 10 + (p[1] - '0');
	return v < limit ? v : -1;
}

static bool parse_start(const char *text, uint32_t *ret)
{
	if (strlen(text) != 5 || text[2] != ':')
		return false;
	int hours = two_digits(text, 24);
	int minutes = two_digits(text + 3, 60);
	if (hours < 0 || minutes < 0)
		return false;
	*ret = (uint32_t)(hours * 3600 + minutes * 60);
	return true;
}

enum fl_rc fl_window_parse(const char *days, const char *start, uint64_t length_min,
			   struct fl_window *ret, struct fl_err *err)
{
	struct fl_window w = {0};
	if (!parse_days(days, &w.days))
		return fl_fail(err, FL_E_CONFIG, 0, "days '%s': not like 'mon-fri' or 'sat,sun'",
			       days);
	if (!parse_start(start, &w.start_s))
		return fl_fail(err, FL_E_CONFIG, 0, "start '%s': not HH:MM, 00:00 to 23:59", start);
	if (length_min < 1 || length_min > LENGTH_MIN_MAX)
		return fl_fail(err, FL_E_CONFIG, 0, "length: not 1 to %d minutes",
			       (int)LENGTH_MIN_MAX);
	w.length_s = (uint32_t)(length_min * 60);
	*ret = w;
	return FL_OK;
}
