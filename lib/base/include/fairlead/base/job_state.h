/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a job, their words, and which may follow which (job_state.def). Pure. */
#ifndef FAIRLEAD_BASE_JOB_STATE_H
#define FAIRLEAD_BASE_JOB_STATE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fl_job_state {
#define STATE(name, final, successors) FL_JOB_##name,
#include <fairlead/base/job_state.def>
#undef STATE
	FL_JOB_N_STATES
};

/* "waiting_to_download"; never NULL. */
const char *fl_job_state_name(enum fl_job_state state);
/* False when no state has that name; *ret is then untouched. */
bool fl_job_state_from_name(const char *name, enum fl_job_state *ret);
bool fl_job_state_final(enum fl_job_state state);
/* May `to` follow `from` directly? */
bool fl_job_state_may(enum fl_job_state from, enum fl_job_state to);

#ifdef __cplusplus
}
#endif
#endif
