/* SPDX-License-Identifier: Apache-2.0 */
/* sealing ▶ activating ▶ restarting: the helper reads the slots back, switches, and takes the machine down. */
#include "agent.h"

#include <fairlead/base/log.h>

#include <string.h>

#define SEAL_TRIES	   2  /* a rotten or unreadable slot is staged once more */
#define BUSY_TRIES	   12 /* of one component, about ten minutes */
#define RESTART_PATIENCE_MS (UINT64_C(60) * 1000)

static void on_step_again(uv_timer_t *timer)
{
	fl_job_start_step(timer->data);
}

/* A slot that is not what the release signs goes back to staging, once; anything else that may pass is tried again. */
static void seal_failed(struct fl_job_run *run, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_store_component *c = &run->row.components[run->step_index];
	if (fl_job_show_again(run, rc))
		return;
	const bool rotten = rc == FL_E_SEAL_MISMATCH || rc == FL_E_IO;
	if (rotten && ++run->seal_tries < SEAL_TRIES) {
		c->state = FL_JOB_STAGING;
		fl_job_enter_err(run, FL_JOB_STAGING, err);
		return;
	}
	if (!rotten && fl_rc_retryable(rc) && ++c->tries < BUSY_TRIES) {
		fl_job_wait(run, err, "helper", 0, fl_job_backoff_ms(run), on_step_again);
		return;
	}
	fl_job_enter_err(run, FL_JOB_FAILED, err);
}

static void on_sealed(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
		      struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	(void)answer;
	if (rc == FL_E_PEER_CLOSED)
		return;
	if (rc != FL_OK) {
		seal_failed(run, rc, err);
		return;
	}
	run->shown_again = false;
	run->step_index++;
	fl_step_sealing(run);
}

static void give_up_seals(struct fl_job_run *run);

static void on_seal_given_up(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			     struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	(void)answer;
	if (rc == FL_E_PEER_CLOSED)
		return;
	if (rc != FL_OK)
		fl_log_err(FL_LOG_WARNING, err, "job %s: give up the seal", run->row.job_id);
	run->step_index++;
	give_up_seals(run);
}

/* A job that waits for its window can be withdrawn and superseded: the helper must not hold it as sealed. */
static void give_up_seals(struct fl_job_run *run)
{
	struct fl_err err = {0};
	if (run->step_index >= run->row.n_components) {
		fl_job_enter(run, FL_JOB_WAITING_TO_ACTIVATE, FL_OK, NULL);
		return;
	}
	const struct fl_ipc_target body = {run->row.job, run->row.components[run->step_index].name};
	fl_helper_call_init(&run->call, on_seal_given_up, run);
	enum fl_rc rc = fl_helper_send(&run->agent->helper, &run->call, FL_FRAME_STOP, &body, NULL, 0, &err);
	if (rc != FL_OK && rc != FL_E_PEER_CLOSED)
		fl_job_wait(run, &err, "helper", 0, fl_job_backoff_ms(run), on_step_again);
}

/* The gate may have closed while the job was on its way here, or while the slots were read. */
static void all_sealed(struct fl_job_run *run)
{
	run->backoff = 0;
	if (fl_gate_open(run, FL_GATE_ACTIVATE)) {
		fl_job_enter(run, FL_JOB_ACTIVATING, FL_OK, NULL);
		return;
	}
	run->step_index = 0;
	give_up_seals(run);
}

void fl_step_sealing(struct fl_job_run *run)
{
	struct fl_err err = {0};
	if (run->step_index >= run->row.n_components) {
		all_sealed(run);
		return;
	}
	if (run->step_index == 0)
		fl_baseline_take(run->agent);
	const struct fl_ipc_target body = {run->row.job, run->row.components[run->step_index].name};
	fl_helper_call_init(&run->call, on_sealed, run);
	enum fl_rc rc = fl_helper_send(&run->agent->helper, &run->call, FL_FRAME_SEAL, &body, NULL, 0, &err);
	if (rc != FL_OK && rc != FL_E_PEER_CLOSED)
		seal_failed(run, rc, &err);
}

typedef void answered(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
		      struct fl_helper_answer *answer);

static void ask_for_job(struct fl_job_run *run, enum fl_frame_type type, answered *done)
{
	struct fl_err err = {0};
	const struct fl_ipc_job_ref body = {run->row.job};
	fl_helper_call_init(&run->call, done, run);
	enum fl_rc rc = fl_helper_send(&run->agent->helper, &run->call, type, &body, NULL, 0, &err);
	if (rc != FL_OK && rc != FL_E_PEER_CLOSED)
		fl_job_wait(run, &err, "helper", 0, fl_job_backoff_ms(run), on_step_again);
}

static bool needs_host_restart(const struct fl_job_run *run)
{
	for (size_t i = 0; i < run->row.n_components; i++) {
		const struct fl_component *c =
			fl_release_component(&run->release, run->row.components[i].name);
		if (c != NULL && strcmp(c->restart, "host") == 0)
			return true;
	}
	return false;
}

static void on_activated(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			 struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	(void)answer;
	if (rc == FL_E_PEER_CLOSED)
		return;
	if (rc != FL_OK)
		fl_job_enter_err(run, FL_JOB_ROLLING_BACK, err);
	else
		fl_job_enter(run, needs_host_restart(run) ? FL_JOB_RESTARTING : FL_JOB_CHECKING, FL_OK, NULL);
}

void fl_step_activating(struct fl_job_run *run)
{
	ask_for_job(run, FL_FRAME_ACTIVATE, on_activated);
}

static void on_restart_answered(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
				struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	(void)answer;
	if (rc == FL_E_PEER_CLOSED)
		return;
	if (rc != FL_OK)
		fl_job_enter_err(run, FL_JOB_ROLLING_BACK, err);
	else
		uv_timer_start(&run->wait, on_step_again, RESTART_PATIENCE_MS, 0);
}

void fl_step_restarting(struct fl_job_run *run)
{
	ask_for_job(run, FL_FRAME_RESTART, on_restart_answered);
}
