/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jobs of this device. A job is moved by one table of states (job.c): enter() moves, saves durably, reports, and
 * only then starts the step. Whatever ends a step calls fl_job_enter() again. When the helper's connection goes, every job
 * is parked; when it is back, recover.c decides by what helper and device say, the same way as after a start.
 */
#ifndef FAIRLEAD_DAEMON_JOBS_H
#define FAIRLEAD_DAEMON_JOBS_H

#include "bundle.h"
#include "checks.h"
#include "db.h"
#include "gateway.h"
#include "helper.h"
#include "ledger.h"
#include "soak_rules.h"
#include "stage.h"
#include "units.h"

#include <fairlead/policy/policy.h>
#include <fairlead/trust/documents.h>

struct fl_agent;

struct fl_jobs_save {
	struct fl_db_op op;
	struct fl_job_run *run;
	struct fl_store_job row;
	char *job_text, *release_text; /* owned; NULL once stored */
	bool report;
	uint64_t report_seq;
	struct fl_buf report_text;
};

/* One job in memory. */
struct fl_job_run {
	struct fl_job_run *next;
	struct fl_agent *agent;
	struct fl_store_job row; /* envelopes NULL: the texts are below */
	struct fl_arena arena;	 /* owns the documents */
	char *job_text, *release_text;
	struct fl_envelope job_env, release_env;
	struct fl_job job;
	struct fl_release release;
	uint64_t offline_seq; /* 0: not an offline job */
	struct fl_bundle_file bundle; /* of an offline job, while it is there */
	bool has_release;
	bool shown_again;  /* the documents, to a helper that lost them; no second time for a step */
	bool opened;	   /* the helper lists it as open; without that nothing is staged */
	bool parked;	   /* the helper is away: nothing is started */
	bool saving;
	bool stored;	   /* the envelopes stand in the store */
	bool older;	   /* than this process: it went on after a start, maybe of the machine */
	size_t step_index; /* the component a step is at */
	uint64_t backoff;  /* failures in a row of the present step */
	/* waiting_to_download after a failure that may pass: not before resume_ms (loop time; 0: at once), and why */
	uint64_t resume_ms, resume_s; /* the same moment */
	struct fl_err resume_why;
	char resume_next[16];
	struct fl_jobs_save save;
	struct fl_helper_call call;
	struct fl_stage stage;
	struct fl_checks checks;
	struct fl_units units;
	struct fl_gateway gateway;
	uv_timer_t wait;
	bool wait_open;
	uint64_t seal_tries;
	uint64_t deadline_ms, deadline_len_ms; /* of checking, loop time */
	uint64_t deadline_s;		       /* the same as UTC, to tell */
	bool asked_fleet;		       /* it was asked once, and there was no answer so far */
	uint64_t beat_ms;		       /* when the helper heard last that the agent lives */
	bool reaching;			       /* checking waits for the fleet, or for what counts instead */
	bool well;			       /* all was well once: the soak may begin, or has begun */
	bool soaked;			       /* it is over */
	bool beat_well, well_told;	       /* what the helper is just told; it has taken that all is well */
	uint64_t soak_end_ms, sample_ms;
	struct fl_soak_strikes strikes;
	bool recover_after_save;
	enum fl_rc cancel_after_save; /* FL_OK: no */
	struct fl_envelope heartbeat_env; /* the one to commit with; heartbeat_len 0: none */
	size_t heartbeat_len;
	uint8_t heartbeat[4096];
	struct fl_policy_answer policy; /* the last one asked */
	/* progress of the present component */
	uint64_t done_bytes, total_bytes, kept_bytes, fetched_bytes, rate_bytes_s;
	uint64_t progress_ms, progress_fetched;
	uint64_t bad_bytes; /* about; what a decoder made wrong costs out of the full artifact; 0: nothing, or not known */
	struct fl_account cost; /* over interfaces that have a deployment's budget */
	char fetched_from[46];	/* the local address of the last bytes */
	size_t interface;	/* that has it; FL_LEDGER_NONE */
};

struct fl_jobs {
	struct fl_agent *agent;
	struct fl_job_run *first; /* the older before the newer; final ones too, for `jobs` */
};

/* Loads what the store has, before the loop runs. */
enum fl_rc fl_jobs_load(struct fl_jobs *jobs, struct fl_agent *agent, struct fl_err *err) FL_CHECKED;
void fl_jobs_done(struct fl_jobs *jobs);
struct fl_job_run *fl_jobs_find(const struct fl_jobs *jobs, const struct fl_digest *job);
/* The one that shows: the newest that is not final, else the newest. */
struct fl_job_run *fl_jobs_current(const struct fl_jobs *jobs);
/* Another job that is not final, holds one of this one's components, and is older. */
struct fl_job_run *fl_jobs_older_holder(const struct fl_jobs *jobs, const struct fl_job_run *run);

/*
 * A job document and the release it pins (or NULL). *ret: the job, which has just begun or was known before; kept by the list. The
 * refusal of what could not be admitted is queued for the fleet.
 */
enum fl_rc fl_jobs_take(struct fl_jobs *jobs, const char *job_text, const char *release_text,
			struct fl_job_run **ret, bool *known, struct fl_err *err) FL_CHECKED;
/* The same from the link. */
void fl_jobs_on_message(struct fl_jobs *jobs, const char *job_text, const char *release_text);
void fl_jobs_on_helper_up(struct fl_jobs *jobs);
void fl_jobs_on_helper_down(struct fl_jobs *jobs);
void fl_jobs_on_staged(struct fl_jobs *jobs, const struct fl_ipc_staged *event);
void fl_jobs_on_phase(struct fl_jobs *jobs, const struct fl_ipc_phase *event);
/* A heartbeat that the helper accepted, with its envelope. */
void fl_jobs_on_heartbeat(struct fl_jobs *jobs, const struct fl_envelope *heartbeat);

/* job.c: moves the job: state, reason and text are saved and reported, then the state's step starts. */
void fl_job_enter(struct fl_job_run *run, enum fl_job_state state, enum fl_rc reason, const char *text);
/* For recovery alone: writes what is, whatever the table says. */
void fl_job_force(struct fl_job_run *run, enum fl_job_state state, enum fl_rc reason, const char *text);
/* The same as enter with an error object as reason. */
void fl_job_enter_err(struct fl_job_run *run, enum fl_job_state state, const struct fl_err *err);
/* To cancelled, if the table still allows it; while a state is being written, right after. */
void fl_job_cancel(struct fl_job_run *run, enum fl_rc reason);
/* Tells only that the job waits, for what and until when (0: unknown), and calls `again` after delay_ms. */
void fl_job_wait(struct fl_job_run *run, const struct fl_err *why, const char *next, uint64_t until_s,
		 uint64_t delay_ms, uv_timer_cb again);
/* Starts the step of the state the job is in (recovery, end of a wait). */
void fl_job_start_step(struct fl_job_run *run);
/* All components to `state`, except those that are in `keep` (FL_JOB_N_STATES: none). */
void fl_job_set_components(struct fl_job_run *run, enum fl_job_state state, enum fl_job_state keep);
/* 2, 4, 8 … 60 s with jitter, by run->backoff, which it counts up. */
uint64_t fl_job_backoff_ms(struct fl_job_run *run);

/* admit.c */
enum fl_rc fl_job_verify(struct fl_job_run *run, struct fl_err *err) FL_CHECKED;
void fl_step_received(struct fl_job_run *run);
/* Shows the documents to the helper, which opens the job; then the step goes on. */
void fl_job_present(struct fl_job_run *run);
/*
 * After FL_E_NOT_FOUND or FL_E_CORRUPT to a step: the helper, whose copies are lost, gets the documents once more, and then
 * the step starts again. False: nothing of it, the failure stands.
 */
bool fl_job_show_again(struct fl_job_run *run, enum fl_rc rc) FL_CHECKED;
void fl_step_verified(struct fl_job_run *run);
/* gate.c */
void fl_step_waiting_to_download(struct fl_job_run *run);
void fl_step_waiting_to_activate(struct fl_job_run *run);
bool fl_gate_open(struct fl_job_run *run, enum fl_gate gate);
/* step_stage.c */
/* Is the bundle of an offline job there? FL_E_BUNDLE_MISSING; of other jobs FL_OK. */
enum fl_rc fl_job_find_bundle(struct fl_job_run *run, struct fl_err *err) FL_CHECKED;
void fl_step_staging(struct fl_job_run *run);
void fl_step_staged(struct fl_job_run *run);
/* step_activate.c */
void fl_step_sealing(struct fl_job_run *run);
void fl_step_activating(struct fl_job_run *run);
void fl_step_restarting(struct fl_job_run *run);
/* step_check.c */
void fl_step_checking(struct fl_job_run *run);
/* Lets go of whatever checking waits for. Idempotent, and harmless in any other state. */
void fl_step_checking_stop(struct fl_job_run *run);
/* step_commit.c */
void fl_step_committing(struct fl_job_run *run);
void fl_step_rolling_back(struct fl_job_run *run);
void fl_step_close(struct fl_job_run *run); /* rejected, failed, cancelled: the helper closes it */
/* recover.c: brings a job that is not final in line with what the helper says. */
void fl_job_recover(struct fl_job_run *run);
void fl_jobs_adopt_unknown(struct fl_jobs *jobs); /* open in the helper, unknown here */

#endif
