/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine of a job: one row per state, one driver.
 *
 *   received ▶ verified ▶ waiting_to_download ▶ staging ▶ staged ▶ waiting_to_activate ▶ sealing
 *                                ▲                 │                       ▲              │
 *                                └─────────────────┴───────────────────────┴──────────────┘ (gates, space, rot)
 *   sealing ▶ activating ▶ restarting ▶ checking ▶ committing ▶ committed
 *                 └────────────┴────────────┴▶ rolling_back ▶ rolled_back
 *
 * enter(): move, save durably (with the report in the same turn of the store), start the step. A state that could
 * not be saved is not acted on: the job waits and tries to save again.
 */
#include "agent.h"
#include "spool.h"

#include <fairlead/base/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_RETRY_MS  5000
#define BACKOFF_MAX_MS (UINT64_C(60) * 1000)

static const struct {
	void (*step)(struct fl_job_run *run);
} rows[FL_JOB_N_STATES] = {
	[FL_JOB_RECEIVED] = {fl_step_received},
	[FL_JOB_VERIFIED] = {fl_step_verified},
	[FL_JOB_WAITING_TO_DOWNLOAD] = {fl_step_waiting_to_download},
	[FL_JOB_STAGING] = {fl_step_staging},
	[FL_JOB_STAGED] = {fl_step_staged},
	[FL_JOB_WAITING_TO_ACTIVATE] = {fl_step_waiting_to_activate},
	[FL_JOB_SEALING] = {fl_step_sealing},
	[FL_JOB_ACTIVATING] = {fl_step_activating},
	[FL_JOB_RESTARTING] = {fl_step_restarting},
	[FL_JOB_CHECKING] = {fl_step_checking},
	[FL_JOB_COMMITTING] = {fl_step_committing},
	[FL_JOB_ROLLING_BACK] = {fl_step_rolling_back},
	[FL_JOB_REJECTED] = {fl_step_close},
	[FL_JOB_FAILED] = {fl_step_close},
	[FL_JOB_CANCELLED] = {fl_step_close},
};

void fl_job_start_step(struct fl_job_run *run)
{
	if (!run->parked && rows[run->row.state].step != NULL)
		rows[run->row.state].step(run);
}

static enum fl_rc save_work(struct fl_db_op *op, struct fl_store *store, struct fl_err *err)
{
	struct fl_jobs_save *save = (struct fl_jobs_save *)op;
	enum fl_rc rc = fl_store_job_put(store, &save->row, err);
	if (rc == FL_OK && save->report)
		rc = fl_store_outbox_add(store, save->report_seq, fl_job_state_final(save->row.state),
					 fl_buf_str(&save->report_text), err);
	if (rc == FL_OK && save->report)
		rc = fl_store_number_set(store, "report_seq", save->report_seq, err);
	return rc;
}

static void save(struct fl_job_run *run, bool report);

static void on_save_retry(uv_timer_t *timer)
{
	struct fl_job_run *run = timer->data;
	save(run, run->save.report);
}

/* What came while the state was being written. */
static bool after_save(struct fl_job_run *run)
{
	const enum fl_rc cancel = run->cancel_after_save;
	const bool recover = run->recover_after_save;
	run->cancel_after_save = FL_OK;
	run->recover_after_save = false;
	if (cancel != FL_OK && fl_job_state_may(run->row.state, FL_JOB_CANCELLED))
		fl_job_cancel(run, cancel);
	else if (recover)
		fl_job_recover(run);
	else
		return false;
	return true;
}

/* What it had open, what it kept, and the account of what it cost. */
static void let_go(struct fl_job_run *run)
{
	fl_ledger_close(&run->agent->ledger, run);
	fl_spool_sweep(run->agent);
	if (run->offline_seq == 0)
		return;
	fl_bundle_file_close(&run->bundle);
	fl_bundle_file_forget(run->agent->config.store_dir, &run->row.job);
}

static void on_saved(struct fl_db_op *op, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_jobs_save *done = (struct fl_jobs_save *)op;
	struct fl_job_run *run = done->run;
	if (rc != FL_OK) {
		fl_log_err(FL_LOG_ERROR, err, "job %s: save state %s", run->row.job_id,
			   fl_job_state_name(run->row.state));
		uv_timer_start(&run->wait, on_save_retry, SAVE_RETRY_MS, 0);
		return;
	}
	run->saving = false;
	run->stored = true;
	if (fl_job_state_final(run->row.state))
		let_go(run);
	if (done->report)
		fl_outbox_wake(&run->agent->outbox);
	if (!run->parked && !fl_job_state_final(run->row.state) && after_save(run))
		return;
	fl_job_start_step(run);
}

static void save(struct fl_job_run *run, bool report)
{
	struct fl_jobs_save *s = &run->save;
	struct fl_err err = {0};
	run->saving = true;
	s->run = run;
	s->row = run->row;
	s->row.job_envelope = run->stored ? NULL : run->job_text;
	s->row.release_envelope = run->stored ? NULL : run->release_text;
	s->report = report && fl_outbox_make_report(&run->agent->outbox, run, &s->report_seq,
						    &s->report_text, &err) == FL_OK;
	if (report && !s->report)
		fl_log_err(FL_LOG_ERROR, &err, "job %s: make a report", run->row.job_id);
	s->op.work = save_work;
	s->op.done = on_saved;
	fl_db_submit(&run->agent->db, &s->op);
}

void fl_job_set_components(struct fl_job_run *run, enum fl_job_state state, enum fl_job_state keep)
{
	for (size_t i = 0; i < run->row.n_components; i++) {
		struct fl_store_component *c = &run->row.components[i];
		if (c->state == keep)
			continue;
		c->state = state;
	}
}

/* Components follow the job; while it is staged piece by piece, those that are done stay so. */
static void move_components(struct fl_job_run *run, enum fl_job_state state)
{
	const bool staging = state == FL_JOB_STAGING || state == FL_JOB_WAITING_TO_DOWNLOAD;
	fl_job_set_components(run, state, staging ? FL_JOB_STAGED : FL_JOB_N_STATES);
}

/* text may be the row's own. */
static void note(struct fl_job_run *run, enum fl_rc reason, const char *text)
{
	run->row.reason = reason;
	if (text != run->row.text)
		snprintf(run->row.text, sizeof(run->row.text), "%s", text == NULL ? "" : text);
	run->row.until_s = 0;
	run->row.next[0] = '\0';
	run->row.updated_s = (int64_t)fl_agent_now_s(run->agent);
}

void fl_job_enter(struct fl_job_run *run, enum fl_job_state state, enum fl_rc reason, const char *text)
{
	const bool first = !run->stored && state == FL_JOB_RECEIVED;
	FL_BUG_ON(!first && !fl_job_state_may(run->row.state, state));
	fl_job_force(run, state, reason, text);
}

void fl_job_force(struct fl_job_run *run, enum fl_job_state state, enum fl_rc reason, const char *text)
{
	FL_BUG_ON(run->saving);
	fl_helper_forget(&run->agent->helper, &run->call); /* the answer is of no use in another state */
	uv_timer_stop(&run->wait);
	run->row.state = state;
	run->step_index = 0;
	move_components(run, state);
	note(run, reason, text);
	fl_log(FL_LOG_NOTICE, "job %s: %s%s%s%s%s", run->row.job_id, fl_job_state_name(state),
	       reason == FL_OK ? "" : " (", reason == FL_OK ? "" : fl_rc_name(reason),
	       reason == FL_OK ? "" : "): ", text == NULL ? "" : text);
	save(run, true);
}

void fl_job_enter_err(struct fl_job_run *run, enum fl_job_state state, const struct fl_err *err)
{
	char text[FL_ERR_MSG_MAX];
	memcpy(text, err->msg, sizeof(text));
	fl_job_enter(run, state, err->rc, text);
}

static bool same_wait(const struct fl_job_run *run, const struct fl_err *why, const char *next,
		      uint64_t until_s)
{
	return run->row.reason == why->rc && strcmp(run->row.next, next) == 0 &&
	       run->row.until_s == until_s;
}

/* A wait is told once, not at every look: the row is only saved when what it says has changed. */
void fl_job_wait(struct fl_job_run *run, const struct fl_err *why, const char *next, uint64_t until_s,
		 uint64_t delay_ms, uv_timer_cb again)
{
	if (!same_wait(run, why, next, until_s)) {
		note(run, why->rc, why->msg);
		run->row.until_s = until_s;
		snprintf(run->row.next, sizeof(run->row.next), "%s", next);
		fl_log(FL_LOG_INFO, "job %s: %s, waits for %s: %s", run->row.job_id,
		       fl_job_state_name(run->row.state), next, why->msg);
		fl_outbox_job(&run->agent->outbox, run);
	}
	uv_timer_start(&run->wait, again, delay_ms, 0);
}

void fl_job_cancel(struct fl_job_run *run, enum fl_rc reason)
{
	if (run->saving) {
		run->cancel_after_save = reason;
		return;
	}
	if (!fl_job_state_may(run->row.state, FL_JOB_CANCELLED))
		return; /* the helper has said too_late to whoever asked */
	fl_stage_cancel(&run->stage);
	fl_job_enter(run, FL_JOB_CANCELLED, reason, fl_rc_text(reason));
}

uint64_t fl_job_backoff_ms(struct fl_job_run *run)
{
	const unsigned shift = run->backoff < 5 ? (unsigned)run->backoff : 5;
	uint64_t cap = UINT64_C(2000) << shift;
	uint32_t random = 0;
	run->backoff++;
	if (cap > BACKOFF_MAX_MS)
		cap = BACKOFF_MAX_MS;
	if (fl_random(&random, sizeof(random), NULL) != FL_OK)
		return cap;
	return cap / 2 + random % (cap / 2);
}
