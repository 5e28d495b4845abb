/* SPDX-License-Identifier: Apache-2.0 */
#include "soak_rules.h"

#include <stdio.h>
#include <string.h>

#define MEMORY_SLACK_KIB    (UINT64_C(16) * 1024)
#define LOAD_SLACK_CENTI    50
#define ROUND_TRIP_SLACK_US 500000
#define PERIODS		    60
#define PERIOD_MIN_MS	    (UINT64_C(10) * 1000)
#define PERIOD_MAX_MS	    (UINT64_C(600) * 1000)

struct limit {
	const char *name, *unit;
	uint64_t percent, slack;
	uint64_t before, now;
	unsigned *strikes;
};

static bool is_beyond(const struct limit *limit)
{
	if (limit->percent == 0 || limit->before == 0 || limit->now == 0)
		return false;
	return limit->now > limit->before + limit->slack &&
	       limit->now > limit->before * limit->percent / 100;
}

static enum fl_rc judge(const struct limit *limit, struct fl_err *err)
{
	*limit->strikes = is_beyond(limit) ? *limit->strikes + 1 : 0;
	if (*limit->strikes < FL_SOAK_STRIKES)
		return FL_OK;
	return fl_fail(err, FL_E_SOAK, 0, "%s: %llu %s, %llu before, at most %llu %% of it",
		       limit->name, (unsigned long long)limit->now, limit->unit,
		       (unsigned long long)limit->before, (unsigned long long)limit->percent);
}

enum fl_rc fl_soak_judge(const struct fl_soak *limits, const struct fl_vitals *baseline,
			 const struct fl_vitals *sample, struct fl_soak_strikes *strikes,
			 struct fl_err *err)
{
	const struct limit all[] = {
		{"memory", "KiB", limits->memory_pct, MEMORY_SLACK_KIB, baseline->memory_kib,
		 sample->memory_kib, &strikes->memory},
		{"load", "hundredths", limits->load_pct, LOAD_SLACK_CENTI, baseline->load_centi,
		 sample->load_centi, &strikes->load},
		{"round trip", "us", limits->round_trip_pct, ROUND_TRIP_SLACK_US,
		 baseline->round_trip_us, sample->round_trip_us, &strikes->round_trip},
	};
	enum fl_rc rc = FL_OK;
	if (sample->restarts > limits->restarts)
		rc = fl_fail(err, FL_E_SOAK, 0, "%llu restarts, at most %llu are allowed",
			     (unsigned long long)sample->restarts,
			     (unsigned long long)limits->restarts);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && rc == FL_OK; i++)
		rc = judge(&all[i], err);
	return rc;
}

uint64_t fl_soak_period_ms(const struct fl_soak *limits)
{
	const uint64_t period = limits->duration_s * 1000 / PERIODS;
	if (period < PERIOD_MIN_MS)
		return PERIOD_MIN_MS;
	return period > PERIOD_MAX_MS ? PERIOD_MAX_MS : period;
}

static bool find_kib(const char *meminfo, const char *key, unsigned long long *ret)
{
	const char *at = strstr(meminfo, key);
	return at != NULL && sscanf(at + strlen(key), "%llu kB", ret) == 1;
}

uint64_t fl_vitals_memory_kib(const char *meminfo)
{
	unsigned long long total, available;
	if (!find_kib(meminfo, "MemTotal:", &total) ||
	    !find_kib(meminfo, "\nMemAvailable:", &available) || available > total)
		return 0;
	return total - available;
}

uint64_t fl_vitals_load_centi(const char *loadavg)
{
	unsigned whole, hundredths;
	if (sscanf(loadavg, "%*u.%*u %u.%2u ", &whole, &hundredths) != 2)
		return 0;
	return (uint64_t)whole * 100 + hundredths;
}
