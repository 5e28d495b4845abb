/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the new system go on as well as the old one did? Pure.
 *
 * Before the switch a baseline is taken; during the soak a sample comes now and then. A limit is a
 * percentage of the baseline, and what is small in itself is let pass, so that an idle machine's
 * noise is no verdict: 16 MiB of memory, half a point of load, half a second of round trip. Memory,
 * load and round trip must be beyond their limit in FL_SOAK_STRIKES samples in a row; a restart too
 * many counts at once.
 */
#ifndef FAIRLEAD_DAEMON_SOAK_RULES_H
#define FAIRLEAD_DAEMON_SOAK_RULES_H

#include <fairlead/trust/documents.h>

#define FL_SOAK_STRIKES 5

/* A value of 0 was not measured. */
struct fl_vitals {
	uint64_t memory_kib;	/* in use: MemTotal − MemAvailable */
	uint64_t load_centi;	/* load average over 5 minutes × 100 */
	uint64_t round_trip_us; /* to the fleet */
	uint64_t restarts;	/* of the agent or of a unit since the boot, the most of any */
};

struct fl_soak_strikes {
	unsigned memory, load, round_trip;
};

/* FL_E_SOAK with the reason: the new system has failed. */
enum fl_rc fl_soak_judge(const struct fl_soak *limits, const struct fl_vitals *baseline,
			 const struct fl_vitals *sample, struct fl_soak_strikes *strikes,
			 struct fl_err *err) FL_CHECKED;

/* Between two samples: a sixtieth of the soak, 10 s at least and 10 minutes at most. */
uint64_t fl_soak_period_ms(const struct fl_soak *limits);

/* Of the texts of /proc/meminfo and /proc/loadavg (proc(5)); 0 where one is not that. */
uint64_t fl_vitals_memory_kib(const char *meminfo);
uint64_t fl_vitals_load_centi(const char *loadavg);

#endif
