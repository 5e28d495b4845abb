/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After any start, crash or lost connection: the journal says what was intended, the helper and the device say what
 * is. Where they differ the device wins, then the anchor, then the journal.
 *
 *   helper says              the job goes on in
 *   decided                  committing
 *   rolling_back             rolling_back
 *   trial, target runs       checking
 *   trial, target not yet    restarting
 *   open, before the switch  waiting_to_download (what stands in the slot is hashed, not believed)
 *   closed                   committed, rolled_back or failed, by what runs and how far it was
 */
#include "agent.h"

#include <fairlead/base/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct fl_ipc_open_job *open_job(const struct fl_ipc_hello_reply *facts,
					      const struct fl_digest *job)
{
	for (size_t i = 0; i < facts->open_jobs.n; i++) {
		if (fl_digest_equal(&facts->open_jobs.items[i].job, job))
			return &facts->open_jobs.items[i];
	}
	return NULL;
}

static bool has_phase(const struct fl_ipc_open_job *open, const char *phase)
{
	for (size_t i = 0; i < open->components.n; i++) {
		if (strcmp(open->components.items[i].phase, phase) == 0)
			return true;
	}
	return false;
}

static bool release_committed(const struct fl_ipc_hello_reply *facts, const struct fl_job_run *run)
{
	for (size_t i = 0; i < facts->components.n; i++) {
		const struct fl_ipc_component *c = &facts->components.items[i];
		if (strcmp(c->name, run->row.components[0].name) == 0)
			return fl_digest_equal(&c->release, &run->row.release);
	}
	return false;
}

static enum fl_job_state state_of_open(const struct fl_ipc_hello_reply *facts,
				       const struct fl_ipc_open_job *open, enum fl_job_state now)
{
	if (has_phase(open, "decided"))
		return FL_JOB_COMMITTING;
	if (has_phase(open, "rolling_back"))
		return FL_JOB_ROLLING_BACK;
	if (has_phase(open, "trial"))
		return facts->trial ? FL_JOB_CHECKING : FL_JOB_RESTARTING;
	switch ((int)now) { /* the others are before or after the bytes */
	case FL_JOB_WAITING_TO_ACTIVATE:
		return now;
	case FL_JOB_RECEIVED:
	case FL_JOB_VERIFIED:
		return FL_JOB_VERIFIED;
	case FL_JOB_SEALING:
	case FL_JOB_ACTIVATING: /* the anchor knows of no switch: there was none */
		return FL_JOB_WAITING_TO_ACTIVATE;
	default:
		return FL_JOB_WAITING_TO_DOWNLOAD;
	}
}

/* Recovery may jump: what it writes is what is, not a step of the table. */
static void jump(struct fl_job_run *run, enum fl_job_state state, enum fl_rc reason, const char *text)
{
	if (state == run->row.state && (reason == FL_OK || reason == run->row.reason)) {
		fl_job_start_step(run);
		return;
	}
	fl_log(FL_LOG_NOTICE, "job %s: journal says %s, the device %s", run->row.job_id,
	       fl_job_state_name(run->row.state), fl_job_state_name(state));
	fl_job_force(run, state, reason, text);
}

static void recover_open(struct fl_job_run *run, const struct fl_ipc_hello_reply *facts,
			 const struct fl_ipc_open_job *open)
{
	const enum fl_job_state state = state_of_open(facts, open, run->row.state);
	enum fl_rc reason = FL_OK;
	const char *text = NULL;
	if (state == FL_JOB_ROLLING_BACK) {
		const bool told = run->row.state == FL_JOB_ROLLING_BACK;
		reason = told ? run->row.reason : FL_E_BOOT_FAILED;
		text = told ? run->row.text : facts->boot_failure;
	}
	if (state == FL_JOB_WAITING_TO_DOWNLOAD)
		fl_job_set_components(run, state, FL_JOB_N_STATES);
	char copy[FL_ERR_MSG_MAX];
	snprintf(copy, sizeof(copy), "%s", text == NULL ? "" : text);
	jump(run, state, reason, copy);
}

static void recover_closed(struct fl_job_run *run, const struct fl_ipc_hello_reply *facts)
{
	const enum fl_job_state was = run->row.state;
	if (was >= FL_JOB_ACTIVATING && was <= FL_JOB_COMMITTING && release_committed(facts, run))
		jump(run, FL_JOB_COMMITTED, FL_OK, NULL);
	else if (was >= FL_JOB_ACTIVATING && was <= FL_JOB_ROLLING_BACK)
		jump(run, FL_JOB_ROLLED_BACK,
		     run->row.reason == FL_OK ? FL_E_BOOT_FAILED : run->row.reason,
		     run->row.text[0] != '\0' || facts->boot_failure == NULL ? run->row.text
									     : facts->boot_failure);
	else
		jump(run, FL_JOB_RECEIVED, FL_OK, NULL); /* present it again: the anchor decides */
}

/* The documents are read and verified again: the store is a cache that may lie. */
static bool verify_again(struct fl_job_run *run)
{
	struct fl_err err = {0};
	if (run->has_release || (run->job_env.payload.data != NULL && run->release_text == NULL))
		return true;
	enum fl_rc rc = run->job_text == NULL ? fl_fail(&err, FL_E_CORRUPT, 0, "its document is lost")
					      : fl_job_verify(run, &err);
	if (rc == FL_OK)
		return true;
	fl_job_force(run, run->row.state >= FL_JOB_ACTIVATING ? FL_JOB_STUCK : FL_JOB_FAILED, err.rc,
		     err.msg);
	return false;
}

void fl_job_recover(struct fl_job_run *run)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&run->agent->helper);
	if (facts == NULL)
		return;
	const struct fl_ipc_open_job *open = open_job(facts, &run->row.job);
	run->step_index = 0;
	run->backoff = 0;
	if (open == NULL && run->row.state >= FL_JOB_ACTIVATING) {
		recover_closed(run, facts);
		return;
	}
	if (!verify_again(run))
		return;
	if (open != NULL && run->has_release)
		recover_open(run, facts, open);
	else
		recover_closed(run, facts);
}

/* ---- jobs that only the helper remembers ------------------------------------------------------------------ */

struct adopt {
	struct fl_agent *agent;
	struct fl_helper_call call;
	struct fl_digest job, release;
	char *job_text, *release_text;
};

static void free_adopt(struct adopt *a)
{
	free(a->job_text);
	free(a->release_text);
	free(a);
}

static char *envelope_text(const struct fl_ipc_document *doc, int fd, struct fl_err *err)
{
	struct fl_buf payload = FL_BUF(FL_DOC_PAYLOAD_MAX), text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_envelope env = {.type = (enum fl_doc_type)doc->type};
	enum fl_rc rc = fl_memfd_read(fd, &payload, err);
	for (size_t i = 0; i < doc->sigs.n && i < FL_SIGS_MAX; i++) {
		env.sigs[i].keyid = doc->sigs.items[i].keyid;
		if (doc->sigs.items[i].sig.len == FL_SIG_SIZE)
			memcpy(env.sigs[env.n_sigs++].sig, doc->sigs.items[i].sig.data, FL_SIG_SIZE);
	}
	env.payload = (struct fl_bytes){payload.data, payload.len};
	if (rc == FL_OK)
		rc = fl_envelope_write(&env, &text, err);
	char *copy = rc == FL_OK ? strdup(fl_buf_str(&text)) : NULL;
	fl_buf_free(&payload);
	fl_buf_free(&text);
	return copy;
}

static void ask_document(struct adopt *a, const struct fl_digest *digest);

static void on_document(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			struct fl_helper_answer *answer)
{
	struct adopt *a = call->ctx;
	struct fl_err why = *err;
	const struct fl_ipc_documents *docs = rc == FL_OK ? answer->body : NULL;
	char *text = docs != NULL && answer->type == FL_FRAME_DOCUMENTS && docs->documents.n == 1
			     ? envelope_text(&docs->documents.items[0], answer->fd, &why)
			     : NULL;
	if (text == NULL) {
		fl_log_err(FL_LOG_WARNING, &why, "a job that only the helper knows");
		free_adopt(a);
		return;
	}
	if (a->job_text == NULL) {
		a->job_text = text;
		ask_document(a, &a->release);
		return;
	}
	a->release_text = text;
	fl_jobs_on_message(&a->agent->jobs, a->job_text, a->release_text);
	struct fl_job_run *run = fl_jobs_find(&a->agent->jobs, &a->job);
	if (run != NULL)
		run->recover_after_save = true;
	free_adopt(a);
}

static void ask_document(struct adopt *a, const struct fl_digest *digest)
{
	struct fl_err err = {0};
	const struct fl_ipc_get_document body = {*digest};
	a->call = (struct fl_helper_call){.done = on_document, .ctx = a};
	if (fl_helper_send(&a->agent->helper, &a->call, FL_FRAME_GET_DOCUMENT, &body, NULL, 0, &err) !=
	    FL_OK)
		free_adopt(a);
}

void fl_jobs_adopt_unknown(struct fl_jobs *jobs)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&jobs->agent->helper);
	for (size_t i = 0; facts != NULL && i < facts->open_jobs.n; i++) {
		const struct fl_ipc_open_job *open = &facts->open_jobs.items[i];
		struct adopt *a = fl_jobs_find(jobs, &open->job) == NULL ? calloc(1, sizeof(*a)) : NULL;
		if (a == NULL)
			continue;
		a->agent = jobs->agent;
		a->job = open->job;
		a->release = open->release;
		ask_document(a, &a->job);
	}
}
