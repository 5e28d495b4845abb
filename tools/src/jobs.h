/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FL_TOOLS_JOBS_H
#define FL_TOOLS_JOBS_H

#include "query.h"

#define FL_TOOLS_JOB_LINE 512

/*
 * A job in one line, in the words of the design: "staging  42 %  26.9 of 64.0 MiB  3.1 MiB/s
 * window: outside the maintenance window  until 2026-… (in 3 h)". Pure.
 */
void fl_tools_job_line(const struct fl_tools_job *job, uint64_t now_s, char out[FL_TOOLS_JOB_LINE]);

/*
 * Follows a job until it is final, over every loss of the connection. *committed: did it end so?
 * limit_s: 0 is no limit; past it the job is left alone and *ended is false.
 */
struct fl_tools_watched {
	bool ended;
	bool committed;
};
enum fl_rc fl_tools_watch(const struct fl_tools_call *call, struct fl_tools_fleet *fleet,
			  const char *job_id, uint64_t limit_s, struct fl_tools_watched *ret,
			  struct fl_err *err) FL_CHECKED;

#endif
