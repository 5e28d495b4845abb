/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <fairlead/base/clock.h>

#include <time.h>

void fl_ctl_print_clean(FILE *out, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
		(void)fputc(*c < 0x20 || *c == 0x7f || c1 ? '?' : *c, out);
		c += c1 ? 1 : 0;
	}
}

void fl_ctl_line(FILE *out, const char *title, const char *text)
{
	(void)fprintf(out, "%-12s", title);
	fl_ctl_print_clean(out, text == NULL || text[0] == '\0' ? "-" : text);
	(void)fputc('\n', out);
}

uint64_t fl_ctl_now(void)
{
	int64_t now = fl_clock_wall_s(&fl_clock_system);
	return now < 0 ? 0 : (uint64_t)now;
}

static void relative(uint64_t when_s, uint64_t now_s, char out[FL_CTL_TEXT])
{
	static const struct {
		uint64_t up_to, unit_s;
		const char *name;
	} units[] = {
		{120, 1, "s"}, {7200, 60, "min"}, {172800, 3600, "h"}, {UINT64_MAX, 86400, "d"}};
	bool past = when_s <= now_s;
	uint64_t span = past ? now_s - when_s : when_s - now_s;
	size_t u = 0;
	while (span >= units[u].up_to)
		u++;
	(void)snprintf(out, FL_CTL_TEXT, "%s%llu %s%s", past ? "" : "in ",
		       (unsigned long long)(span / units[u].unit_s), units[u].name,
		       past ? " ago" : "");
}

const char *fl_ctl_time(uint64_t when_s, uint64_t now_s, char out[FL_CTL_TEXT])
{
	struct tm tm;
	time_t when = (time_t)when_s;
	char date[32], distance[FL_CTL_TEXT];
	if (when_s == 0 || gmtime_r(&when, &tm) == NULL ||
	    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%SZ", &tm) == 0) {
		(void)snprintf(out, FL_CTL_TEXT, "-");
		return out;
	}
	relative(when_s, now_s, distance);
	(void)snprintf(out, FL_CTL_TEXT, "%s (%.40s)", date, distance);
	return out;
}

const char *fl_ctl_size(uint64_t bytes, char out[FL_CTL_TEXT])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t u = 0;
	while (value >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		u++;
	}
	(void)snprintf(out, FL_CTL_TEXT, u == 0 ? "%.0f %s" : "%.1f %s", value, units[u]);
	return out;
}
