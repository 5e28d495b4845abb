/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/words.h>

#include <fairlead/base/clock.h>
#include <fairlead/base/schema.h>

#include <time.h>

/* C0, DEL, and the C1 controls in their two UTF-8 bytes: a peer's words cannot steer the terminal.
 */
static size_t control_len(const unsigned char *c)
{
	if (c[0] < 0x20 || c[0] == 0x7f)
		return 1;
	return c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

void fl_words_print_clean(FILE *out, const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	while (*c != '\0') {
		size_t control = control_len(c);
		(void)fputc(control > 0 ? '?' : *c, out);
		c += control > 0 ? control : 1;
	}
}

uint64_t fl_words_now(void)
{
	int64_t now = fl_clock_wall_s(&fl_clock_system);
	return now < 0 ? 0 : (uint64_t)now;
}

const char *fl_words_relative(uint64_t when_s, uint64_t now_s, char out[FL_WORDS_MAX])
{
	static const struct {
		uint64_t up_to, unit_s;
		const char *name;
	} units[] = {
		{120, 1, "s"},
		{7200, 60, "min"},
		{172800, 3600, "h"},
		{UINT64_MAX, 86400, "d"},
	};
	bool past = when_s <= now_s;
	uint64_t span = past ? now_s - when_s : when_s - now_s;
	size_t u = 0;
	while (span >= units[u].up_to)
		u++;
	if (span == 0)
		(void)snprintf(out, FL_WORDS_MAX, "now");
	else
		(void)snprintf(out, FL_WORDS_MAX, "%s%llu %s%s", past ? "" : "in ",
			       (unsigned long long)(span / units[u].unit_s), units[u].name,
			       past ? " ago" : "");
	return out;
}

const char *fl_words_time(uint64_t when_s, uint64_t now_s, char out[FL_WORDS_MAX])
{
	struct tm tm;
	time_t when = (time_t)when_s;
	char date[32], relative[FL_WORDS_MAX];
	if (when_s == 0 || when_s > FL_U53_MAX || gmtime_r(&when, &tm) == NULL ||
	    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%SZ", &tm) == 0) {
		(void)snprintf(out, FL_WORDS_MAX, "-");
		return out;
	}
	(void)snprintf(out, FL_WORDS_MAX, "%s (%.24s)", date,
		       fl_words_relative(when_s, now_s, relative));
	return out;
}

const char *fl_words_size(uint64_t bytes, char out[FL_WORDS_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t u = 0;
	while (value >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		u++;
	}
	(void)snprintf(out, FL_WORDS_MAX, u == 0 ? "%.0f %s" : "%.1f %s", value, units[u]);
	return out;
}

const char *fl_words_number(uint64_t value, char out[FL_WORDS_MAX])
{
	(void)snprintf(out, FL_WORDS_MAX, "%llu", (unsigned long long)value);
	return out;
}
