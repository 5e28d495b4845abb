/* SPDX-License-Identifier: Apache-2.0 */
/* committing ▶ committed, and rolling_back ▶ rolled_back. */
#include "agent.h"

#include <fairlead/base/log.h>

#include <string.h>

#define ROLLBACK_TRIES	    5
#define RESTART_PATIENCE_MS (UINT64_C(60) * 1000)

static void on_step_again(uv_timer_t *timer)
{
	fl_job_start_step(timer->data);
}

static void commit_again(struct fl_job_run *run, const struct fl_err *why)
{
	run->heartbeat_len = 0;
	fl_job_wait(run, why, "helper", 0, fl_job_backoff_ms(run), on_step_again);
	fl_agent_ask_heartbeat(run->agent);
}

/* What the helper knows of itself has changed with the commit: it says how the job ended. */
static void on_refreshed(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			 struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	(void)answer;
	if (rc == FL_E_PEER_CLOSED)
		return;
	if (rc != FL_OK) {
		commit_again(run, err);
		return;
	}
	fl_agent_on_facts(run->agent);
	fl_job_recover(run);
}

/* Committing never goes back: it is tried until the helper, which alone decides, takes it or falls back. */
static void on_committed(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			 struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	(void)answer;
	struct fl_err why = *err;
	if (rc == FL_OK || rc == FL_E_NOT_OPEN) {
		fl_helper_call_init(&run->call, on_refreshed, run);
		rc = fl_helper_refresh(&run->agent->helper, &run->call, &why);
		if (rc == FL_OK)
			return;
	}
	if (rc != FL_E_PEER_CLOSED)
		commit_again(run, &why);
}

void fl_step_committing(struct fl_job_run *run)
{
	struct fl_err err = {0};
	struct fl_ipc_signature sigs[FL_SIGS_MAX];
	struct fl_ipc_document doc;
	struct fl_ipc_commit body = {.job = run->row.job, .heartbeat = run->heartbeat_len > 0};
	if (body.heartbeat) {
		fl_helper_document(&run->heartbeat_env, sigs, &doc);
		body.documents.items = &doc;
		body.documents.n = 1;
	}
	fl_helper_call_init(&run->call, on_committed, run);
	enum fl_rc rc = fl_helper_send(&run->agent->helper, &run->call, FL_FRAME_COMMIT, &body,
				       &run->heartbeat_env.payload, body.heartbeat ? 1 : 0, &err);
	if (rc != FL_OK && rc != FL_E_PEER_CLOSED)
		fl_job_wait(run, &err, "helper", 0, fl_job_backoff_ms(run), on_step_again);
}

/* The helper closed the job, or the machine is about to go down and comes back with the old slot. */
static void on_rolled_back(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			   struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&run->agent->helper);
	(void)answer;
	if (rc == FL_E_PEER_CLOSED)
		return;
	char text[FL_ERR_MSG_MAX];
	memcpy(text, run->row.text, sizeof(text));
	if ((rc == FL_OK && (facts == NULL || !facts->trial)) || rc == FL_E_NOT_OPEN) {
		fl_job_enter(run, FL_JOB_ROLLED_BACK, run->row.reason, text);
	} else if (rc == FL_OK) {
		uv_timer_start(&run->wait, on_step_again, RESTART_PATIENCE_MS, 0);
	} else if (run->backoff >= ROLLBACK_TRIES) {
		fl_job_enter_err(run, FL_JOB_STUCK, err);
	} else {
		fl_log_err(FL_LOG_ERROR, err, "job %s: roll back", run->row.job_id);
		uv_timer_start(&run->wait, on_step_again, fl_job_backoff_ms(run), 0);
	}
}

void fl_step_rolling_back(struct fl_job_run *run)
{
	struct fl_err err = {0};
	const struct fl_ipc_rollback body = {run->row.job, fl_rc_name(run->row.reason), run->row.text};
	fl_helper_call_init(&run->call, on_rolled_back, run);
	enum fl_rc rc =
		fl_helper_send(&run->agent->helper, &run->call, FL_FRAME_ROLLBACK, &body, NULL, 0, &err);
	if (rc != FL_OK && rc != FL_E_PEER_CLOSED)
		uv_timer_start(&run->wait, on_step_again, fl_job_backoff_ms(run), 0);
}

static void on_job_closed(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
		      struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	(void)answer;
	if (rc != FL_OK && rc != FL_E_PEER_CLOSED && rc != FL_E_NOT_OPEN)
		fl_log_err(FL_LOG_WARNING, err, "job %s: close", run->row.job_id);
}

void fl_step_close(struct fl_job_run *run)
{
	struct fl_err err = {0};
	const struct fl_ipc_close body = {run->row.job, fl_job_state_name(run->row.state)};
	fl_helper_call_init(&run->call, on_job_closed, run);
	if (fl_helper_send(&run->agent->helper, &run->call, FL_FRAME_CLOSE, &body, NULL, 0, &err) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "job %s: close", run->row.job_id);
}
