/* SPDX-License-Identifier: Apache-2.0 */
/* received ▶ verified: the agent's own verification, then the helper's, which lists the job as open. */
#include "agent.h"

#include <fairlead/base/log.h>

#include <stdio.h>
#include <string.h>

#define ROOTS_WAIT_MS 100

/* The components a job names, or all of its release. */
static bool selected(const struct fl_job *job, const char *name)
{
	if (job->components.n == 0)
		return true;
	for (size_t i = 0; i < job->components.n; i++) {
		if (strcmp(job->components.items[i], name) == 0)
			return true;
	}
	return false;
}

static enum fl_rc fill_components(struct fl_job_run *run, struct fl_err *err)
{
	struct fl_store_job *row = &run->row;
	if (row->n_components > 0)
		return FL_OK;
	for (size_t i = 0; i < run->release.set->order.n; i++) {
		const char *name = run->release.set->order.items[i];
		if (!selected(&run->job, name))
			continue;
		if (row->n_components == FL_STORE_COMPONENTS_MAX)
			return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d components",
				       FL_STORE_COMPONENTS_MAX);
		const struct fl_component *c = fl_release_component(&run->release, name);
		if (c == NULL || c->installed == NULL)
			return fl_fail(err, FL_E_NOT_SUPPORTED, 0,
				       "component '%s' has no artifact this agent can take", name);
		struct fl_store_component *place = &row->components[row->n_components++];
		snprintf(place->name, sizeof(place->name), "%s", name);
		place->state = row->state; /* its artifact is chosen when the download may begin */
	}
	return FL_OK;
}

static enum fl_rc verify_release(struct fl_job_run *run, struct fl_err *err)
{
	if (run->release_text == NULL)
		return fl_fail(err, FL_E_RELEASE_MISMATCH, 0, "the release did not come with the job");
	enum fl_rc rc = fl_envelope_parse(run->release_text, strlen(run->release_text), FL_DOC_RELEASE,
					  &run->arena, &run->release_env, err);
	if (rc == FL_OK)
		rc = fl_verify_release(&run->agent->trust.state, &run->job, &run->release_env, &run->arena,
				       &run->release, err);
	if (rc != FL_OK)
		return rc;
	run->has_release = true;
	return fill_components(run, err);
}

enum fl_rc fl_job_verify(struct fl_job_run *run, struct fl_err *err)
{
	const struct fl_agent *agent = run->agent;
	enum fl_job_verdict verdict;
	fl_arena_free(&run->arena); /* of the time before: a job may be verified many times */
	run->has_release = false;
	enum fl_rc rc = fl_envelope_parse(run->job_text, strlen(run->job_text), FL_DOC_JOB, &run->arena,
					  &run->job_env, err);
	if (rc == FL_OK)
		rc = fl_verify_job(&agent->trust.state, &run->job_env,
				   agent->time_known ? fl_agent_now_s(agent) : 0, &run->arena, &run->job,
				   &verdict, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(run->job.intent, "cancel") == 0)
		return FL_OK;
	if (!fl_job_has_release(&run->job))
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "intent '%s'", run->job.intent);
	return verify_release(run, err);
}

static void on_present_again(uv_timer_t *timer)
{
	fl_job_present(timer->data);
}

/* The withdrawn job ends; so does the cancel itself. */
static void finish_cancel(struct fl_job_run *run)
{
	struct fl_job_run *target = fl_jobs_find(&run->agent->jobs, &run->job.target);
	if (target != NULL)
		fl_job_cancel(target, FL_E_CANCELLED);
	fl_job_enter(run, FL_JOB_VERIFIED, FL_OK, NULL);
}

/* A component held by an older job past its sealing is waited for as policy is: in waiting_to_download. */
static void on_opened(struct fl_job_run *run)
{
	if (run->row.state == FL_JOB_WAITING_TO_DOWNLOAD)
		fl_step_waiting_to_download(run);
	else if (strcmp(run->job.intent, "cancel") == 0)
		finish_cancel(run);
	else
		fl_job_enter(run, FL_JOB_VERIFIED, FL_OK, NULL);
}

static void on_presented(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			 struct fl_helper_answer *answer)
{
	(void)answer;
	struct fl_job_run *run = call->ctx;
	const bool first = run->row.state == FL_JOB_RECEIVED;
	if (rc == FL_E_PEER_CLOSED)
		return; /* parked; recovery goes on */
	if (rc == FL_E_ANCHOR_LOST)
		fl_agent_ask_heartbeat(run->agent);
	run->opened = rc == FL_OK;
	if (rc == FL_OK && run->agent->helper.facts.anchor_lost)
		fl_agent_ask_facts(run->agent); /* a person has ended that */
	if (rc == FL_OK)
		on_opened(run);
	else if (rc == FL_E_COMPONENT_BUSY && first)
		fl_job_enter(run, FL_JOB_VERIFIED, FL_OK, NULL);
	else if (fl_rc_retryable(rc))
		fl_job_wait(run, err, rc == FL_E_COMPONENT_BUSY ? "component" : "helper", 0,
			    fl_job_backoff_ms(run), on_present_again);
	else
		fl_job_enter_err(run, first ? FL_JOB_REJECTED : FL_JOB_FAILED, err);
}

typedef void presented(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
		       struct fl_helper_answer *answer);

static enum fl_rc send_documents(struct fl_job_run *run, presented *done, struct fl_err *err)
{
	struct fl_ipc_signature job_sigs[FL_SIGS_MAX], release_sigs[FL_SIGS_MAX];
	struct fl_ipc_document docs[2];
	const struct fl_bytes payloads[2] = {run->job_env.payload, run->release_env.payload};
	fl_helper_document(&run->job_env, job_sigs, &docs[0]);
	if (run->has_release)
		fl_helper_document(&run->release_env, release_sigs, &docs[1]);
	const size_t n = run->has_release ? 2 : 1;
	const struct fl_ipc_documents body = {.documents = {docs, n}};
	fl_helper_call_init(&run->call, done, run);
	return fl_helper_send(&run->agent->helper, &run->call, FL_FRAME_PRESENT, &body, payloads, n, err);
}

void fl_job_present(struct fl_job_run *run)
{
	struct fl_err err = {0};
	if (fl_helper_call_open(&run->agent->root_call)) { /* it is only just told of the keys that signed this */
		uv_timer_start(&run->wait, on_present_again, ROOTS_WAIT_MS, 0);
		return;
	}
	if (send_documents(run, on_presented, &err) != FL_OK)
		fl_job_wait(run, &err, "helper", 0, fl_job_backoff_ms(run), on_present_again);
}

static void on_shown_again(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			   struct fl_helper_answer *answer)
{
	(void)answer;
	struct fl_job_run *run = call->ctx;
	if (rc == FL_E_PEER_CLOSED)
		return; /* parked; recovery goes on */
	if (rc == FL_OK)
		fl_job_start_step(run);
	else
		fl_job_enter_err(run, FL_JOB_FAILED, err);
}

bool fl_job_show_again(struct fl_job_run *run, enum fl_rc rc)
{
	struct fl_err err = {0};
	if ((rc != FL_E_NOT_FOUND && rc != FL_E_CORRUPT) || run->shown_again)
		return false;
	run->shown_again = true;
	fl_log(FL_LOG_WARNING, "job %s: the helper lost its documents; they are presented again", run->row.job_id);
	const enum fl_rc sent = send_documents(run, on_shown_again, &err);
	return sent == FL_OK || sent == FL_E_PEER_CLOSED; /* the latter: parked a moment later */
}

void fl_step_received(struct fl_job_run *run)
{
	struct fl_err err = {0};
	if (fl_job_verify(run, &err) == FL_OK)
		fl_job_present(run);
	else
		fl_job_enter_err(run, FL_JOB_REJECTED, &err);
}

/* An older job that has not come to sealing gives way; one that has is waited for. */
static void supersede_older(struct fl_job_run *run)
{
	struct fl_job_run *older = fl_jobs_older_holder(&run->agent->jobs, run);
	if (older != NULL)
		fl_job_cancel(older, FL_E_SUPERSEDED);
}

void fl_step_verified(struct fl_job_run *run)
{
	run->backoff = 0;
	if (!run->has_release) { /* a cancel has done its work */
		fl_job_enter(run, FL_JOB_COMMITTED, FL_OK, NULL);
		return;
	}
	if (run->opened)
		supersede_older(run);
	fl_job_enter(run, FL_JOB_WAITING_TO_DOWNLOAD, FL_OK, NULL);
}
