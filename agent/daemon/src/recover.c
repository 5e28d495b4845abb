/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After any start, crash or lost connection: the journal says what was intended, the helper and the device say what
 * is. Where they differ the device wins, then the anchor, then the journal (recover_rules.h).
 */
#include "agent.h"
#include "recover_rules.h"

#include <fairlead/base/log.h>

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

static bool release_committed(const struct fl_ipc_hello_reply *facts, const struct fl_job_run *run)
{
	for (size_t i = 0; i < facts->components.n; i++) {
		const struct fl_ipc_component *c = &facts->components.items[i];
		if (strcmp(c->name, run->row.components[0].name) == 0)
			return fl_digest_equal(&c->release, &run->row.release);
	}
	return false;
}

/* Recovery may jump: what it writes is what is, not a step of the table. */
static void jump(struct fl_job_run *run, enum fl_job_state state, enum fl_rc reason, const char *text)
{
	if (state == run->row.state && (reason == FL_OK || reason == run->row.reason)) {
		fl_job_start_step(run);
		return;
	}
	if (!fl_job_state_may(run->row.state, state))
		fl_log(FL_LOG_NOTICE, "job %s: journal says %s, the device %s", run->row.job_id,
		       fl_job_state_name(run->row.state), fl_job_state_name(state));
	fl_job_force(run, state, reason, text);
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
	fl_job_force(run, run->row.state >= FL_JOB_ACTIVATING ? FL_JOB_ROLLING_BACK : FL_JOB_FAILED, err.rc,
		     err.msg);
	return false;
}

/* The way back and the end of the way forward need none: a release revoked in its trial must not block them. */
static bool needs_documents(const struct fl_recover_verdict *verdict)
{
	return verdict->state < FL_JOB_COMMITTING;
}

void fl_job_recover(struct fl_job_run *run)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&run->agent->helper);
	if (facts == NULL)
		return;
	const struct fl_recover_facts known = {
		.journal = run->row.state,
		.journal_reason = run->row.reason,
		.open = open_job(facts, &run->row.job),
		.trial = facts->trial,
		.committed = release_committed(facts, run),
		.accepted = !facts->anchor_lost && (run->offline_seq != 0
							    ? facts->offline_seq >= run->offline_seq
							    : facts->job_seq >= run->row.job_seq),
		.boot_failure = facts->boot_failure,
	};
	const struct fl_recover_verdict verdict = fl_recover_decide(&known);
	run->step_index = 0;
	run->backoff = 0;
	run->opened = known.open != NULL;
	if (needs_documents(&verdict) && !verify_again(run))
		return;
	if (verdict.restage)
		fl_job_set_components(run, verdict.state, FL_JOB_N_STATES);
	jump(run, verdict.state, verdict.reason, verdict.text == NULL ? run->row.text : verdict.text);
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
	enum fl_rc rc = doc->type < FL_DOC_ROOT || doc->type > FL_DOC_REPORT
				? fl_fail(err, FL_E_PROTOCOL, 0, "a document of an unknown type")
				: fl_memfd_read(fd, &payload, err);
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
		run->recover_after_save = run->older = true;
	free_adopt(a);
}

static void ask_document(struct adopt *a, const struct fl_digest *digest)
{
	struct fl_err err = {0};
	const struct fl_ipc_get_document body = {*digest};
	fl_helper_call_init(&a->call, on_document, a);
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
