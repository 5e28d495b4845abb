/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a job goes on after a start, a crash or a lost connection: by what the helper says, then by the journal. Pure.
 *
 *   helper says                   the job goes on in
 *   decided                       committing
 *   rolling_back                  rolling_back
 *   trial, the target runs        checking
 *   trial, it does not run yet    restarting
 *   open, before the switch       waiting_to_download (what stands in the slot is hashed, not believed), or where
 *                                 nothing had been staged or all had: verified, waiting_to_activate
 *   closed                        committed, rolled_back or, before the switch, cancelled
 *   not known                     received: the anchor decides
 */
#ifndef FAIRLEAD_DAEMON_RECOVER_RULES_H
#define FAIRLEAD_DAEMON_RECOVER_RULES_H

#include <fairlead/base/err.h>
#include <fairlead/base/job_state.h>
#include <fairlead/ipc/frames.h>

struct fl_recover_facts {
	enum fl_job_state journal;	      /* not final */
	enum fl_rc journal_reason;
	const struct fl_ipc_open_job *open;   /* NULL: not open in the anchor */
	bool trial;			      /* the running slot is on trial */
	bool committed;			      /* the anchor's committed release is this job's */
	bool accepted;			      /* the anchor has seen this job's number: not open is closed */
	const char *boot_failure;	      /* may be NULL */
};

struct fl_recover_verdict {
	enum fl_job_state state;
	enum fl_rc reason; /* FL_OK: none */
	const char *text;  /* borrowed from the facts; NULL: keep the journal's */
	bool restage;	   /* every component begins again */
};

struct fl_recover_verdict fl_recover_decide(const struct fl_recover_facts *facts);

#endif
