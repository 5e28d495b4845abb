/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/log.h>

#include <stdlib.h>
#include <string.h>

#define ROWS_MEMORY_MAX	    ((size_t)64 * 1024 * 1024)
#define DOCUMENT_MEMORY_MAX ((size_t)4 * 1024 * 1024)

struct fl_job_run *fl_jobs_find(const struct fl_jobs *jobs, const struct fl_digest *job)
{
	struct fl_job_run *run = jobs->first;
	while (run != NULL && !fl_digest_equal(&run->row.job, job))
		run = run->next;
	return run;
}

struct fl_job_run *fl_jobs_current(const struct fl_jobs *jobs)
{
	struct fl_job_run *current = NULL;
	for (struct fl_job_run *run = jobs->first; run != NULL; run = run->next) {
		const bool active = !fl_job_state_final(run->row.state);
		if (current == NULL || active || fl_job_state_final(current->row.state))
			current = run;
	}
	return current;
}

static bool share_component(const struct fl_job_run *a, const struct fl_job_run *b)
{
	for (size_t i = 0; i < a->row.n_components; i++) {
		for (size_t k = 0; k < b->row.n_components; k++) {
			if (strcmp(a->row.components[i].name, b->row.components[k].name) == 0)
				return true;
		}
	}
	return false;
}

/* By the number that it was accepted under; of an offline job that is the highest of the others then (docs/internals/anchor.md). */
static bool is_older(const struct fl_job_run *a, const struct fl_job_run *b)
{
	return a->row.job_seq != b->row.job_seq ? a->row.job_seq < b->row.job_seq
						 : a->offline_seq < b->offline_seq;
}

struct fl_job_run *fl_jobs_older_holder(const struct fl_jobs *jobs, const struct fl_job_run *run)
{
	for (struct fl_job_run *r = jobs->first; r != NULL && r != run; r = r->next) {
		if (!fl_job_state_final(r->row.state) && is_older(r, run) && share_component(r, run))
			return r;
	}
	return NULL;
}

/* A run of its own copies of the texts (either may be NULL); NULL: no memory. */
static struct fl_job_run *new_run(struct fl_jobs *jobs, const char *job_text, const char *release_text)
{
	struct fl_job_run *run = calloc(1, sizeof(*run));
	if (run == NULL)
		return NULL;
	run->agent = jobs->agent;
	run->arena = FL_ARENA(DOCUMENT_MEMORY_MAX);
	run->save.report_text = FL_BUF(FL_ENVELOPE_MAX);
	run->job_text = job_text == NULL ? NULL : strdup(job_text);
	run->release_text = release_text == NULL ? NULL : strdup(release_text);
	FL_BUG_ON(uv_timer_init(&jobs->agent->loop, &run->wait) != 0);
	run->wait.data = run;
	run->interface = FL_LEDGER_NONE;
	run->bundle.fd = -1;
	return run;
}

static void insert(struct fl_jobs *jobs, struct fl_job_run *run)
{
	struct fl_job_run **p = &jobs->first;
	while (*p != NULL && !is_older(run, *p))
		p = &(*p)->next;
	run->next = *p;
	*p = run;
}

static void on_wait_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* The memory goes with the timer's last callback. */
static void free_run(struct fl_job_run *run)
{
	fl_stage_cancel(&run->stage);
	fl_step_checking_stop(run);
	fl_helper_forget(&run->agent->helper, &run->call);
	fl_bundle_file_close(&run->bundle);
	fl_arena_free(&run->arena);
	fl_buf_free(&run->save.report_text);
	free(run->job_text);
	free(run->release_text);
	uv_close((uv_handle_t *)&run->wait, on_wait_closed);
}

/* What a stored job was signed as; its row does not tell. Verified it is before anything is done. */
static uint64_t offline_seq_of(const char *job_text)
{
	struct fl_arena arena = FL_ARENA(DOCUMENT_MEMORY_MAX);
	struct fl_envelope env;
	struct fl_job job = {0};
	if (job_text == NULL ||
	    fl_envelope_parse(job_text, strlen(job_text), FL_DOC_JOB, &arena, &env, NULL) != FL_OK ||
	    fl_job_decode(env.payload, &arena, &job, NULL) != FL_OK)
		job.offline_seq = 0;
	fl_arena_free(&arena);
	return job.offline_seq;
}

static enum fl_rc load_one(struct fl_jobs *jobs, const struct fl_store_job *row, struct fl_err *err)
{
	struct fl_job_run *run = new_run(jobs, row->job_envelope, row->release_envelope);
	if (run == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "load a job");
	run->row = *row;
	run->row.job_envelope = run->row.release_envelope = NULL;
	run->offline_seq = offline_seq_of(run->job_text);
	run->stored = run->older = true;
	run->parked = true;
	insert(jobs, run);
	return fl_ledger_load_job(&jobs->agent->ledger, run, err);
}

enum fl_rc fl_jobs_load(struct fl_jobs *jobs, struct fl_agent *agent, struct fl_err *err)
{
	*jobs = (struct fl_jobs){.agent = agent};
	struct fl_arena arena = FL_ARENA(ROWS_MEMORY_MAX);
	struct fl_store_job *rows = NULL;
	size_t n = 0, damaged = 0;
	enum fl_rc rc = fl_store_jobs(agent->store, &arena, &rows, &n, &damaged, err);
	for (size_t i = 0; rc == FL_OK && i < n; i++)
		rc = load_one(jobs, &rows[i], err);
	if (damaged > 0)
		fl_log(FL_LOG_WARNING, "%zu damaged job rows dropped; the fleet will tell again", damaged);
	fl_arena_free(&arena);
	return rc;
}

void fl_jobs_done(struct fl_jobs *jobs)
{
	while (jobs->first != NULL) {
		struct fl_job_run *run = jobs->first;
		jobs->first = run->next;
		free_run(run);
	}
}

/* The store keeps FL_STORE_JOBS_MAX; so does this list. The oldest that has ended goes. */
static void trim(struct fl_jobs *jobs)
{
	size_t n = 0;
	for (const struct fl_job_run *run = jobs->first; run != NULL; run = run->next)
		n++;
	struct fl_job_run **p = &jobs->first;
	while (n > FL_STORE_JOBS_MAX && *p != NULL) {
		struct fl_job_run *run = *p;
		if (!fl_job_state_final(run->row.state) || run->saving ||
		    fl_helper_call_open(&run->call)) {
			p = &run->next;
			continue;
		}
		*p = run->next;
		free_run(run);
		n--;
	}
}

/* What could not be admitted at all is told, by device, not by job. */
static void refuse(struct fl_jobs *jobs, const struct fl_err *err)
{
	fl_log_err(FL_LOG_WARNING, err, "job refused");
	fl_outbox_refused(&jobs->agent->outbox, err);
}

/* Newer than every job before, older than the next one. */
static uint64_t place_of_offline(const struct fl_job_run *run)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&run->agent->helper);
	uint64_t highest = facts == NULL ? 0 : facts->job_seq;
	for (const struct fl_job_run *r = run->agent->jobs.first; r != NULL; r = r->next)
		highest = r->row.job_seq > highest ? r->row.job_seq : highest;
	return highest;
}

static enum fl_rc fill_row(struct fl_job_run *run, const struct fl_digest *digest, struct fl_err *err)
{
	struct fl_store_job *row = &run->row;
	if (run->job_text == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "take a job");
	enum fl_rc rc = fl_envelope_parse(run->job_text, strlen(run->job_text), FL_DOC_JOB, &run->arena,
					  &run->job_env, err);
	if (rc == FL_OK)
		rc = fl_job_decode(run->job_env.payload, &run->arena, &run->job, err);
	if (rc != FL_OK)
		return rc;
	row->job = *digest;
	row->release = run->job.release;
	memcpy(row->job_id, run->job.job_id, sizeof(row->job_id));
	run->offline_seq = run->job.offline_seq;
	row->job_seq = run->offline_seq == 0 ? run->job.job_seq : place_of_offline(run);
	row->state = FL_JOB_RECEIVED;
	row->created_s = (int64_t)fl_agent_now_s(run->agent);
	return FL_OK;
}

/* Signed by dispatch, for this device, new or open: only then it has a name under which it can fail. */
static enum fl_rc check_job(struct fl_jobs *jobs, const char *text, struct fl_digest *digest,
			    struct fl_err *err)
{
	struct fl_agent *agent = jobs->agent;
	struct fl_arena arena = FL_ARENA(DOCUMENT_MEMORY_MAX);
	struct fl_envelope env;
	struct fl_job job;
	enum fl_job_verdict verdict;
	enum fl_rc rc = fl_envelope_parse(text, strlen(text), FL_DOC_JOB, &arena, &env, err);
	if (rc == FL_OK)
		rc = fl_envelope_digest(&env, digest, err);
	if (rc == FL_OK && fl_helper_complete(&agent->helper, digest, NULL))
		fl_agent_on_facts(agent);
	if (rc == FL_OK && fl_jobs_find(jobs, digest) == NULL)
		rc = fl_verify_job(&agent->trust.state, &env, agent->time_known ? fl_agent_now_s(agent) : 0,
				   &arena, &job, &verdict, err);
	fl_arena_free(&arena);
	return rc;
}

/* The rest of the verification is the first step of the machine: its failure is the job's `rejected`. */
static enum fl_rc begin(struct fl_jobs *jobs, const struct fl_digest *digest, struct fl_job_run *run,
			struct fl_err *err)
{
	enum fl_rc rc = fill_row(run, digest, err);
	if (rc != FL_OK) {
		free_run(run);
		return rc;
	}
	run->parked = fl_helper_facts(&jobs->agent->helper) == NULL;
	insert(jobs, run);
	trim(jobs);
	fl_job_enter(run, FL_JOB_RECEIVED, FL_OK, NULL);
	return FL_OK;
}

enum fl_rc fl_jobs_take(struct fl_jobs *jobs, const char *job_text, const char *release_text,
			struct fl_job_run **ret, bool *known, struct fl_err *err)
{
	struct fl_digest digest;
	enum fl_rc rc = check_job(jobs, job_text, &digest, err);
	struct fl_job_run *run = rc == FL_OK ? fl_jobs_find(jobs, &digest) : NULL;
	*known = run != NULL;
	if (rc == FL_OK && run == NULL) {
		run = new_run(jobs, job_text, release_text);
		rc = run == NULL ? fl_fail(err, FL_E_NO_MEMORY, 0, "take a job")
				 : begin(jobs, &digest, run, err);
	}
	if (rc == FL_OK)
		*ret = run;
	else if (rc != FL_E_NO_MEMORY) /* else the fleet sends it again */
		refuse(jobs, err);
	return rc;
}

void fl_jobs_on_message(struct fl_jobs *jobs, const char *job_text, const char *release_text)
{
	struct fl_err err = {0};
	struct fl_job_run *run = NULL;
	bool known = false;
	if (fl_jobs_take(jobs, job_text, release_text, &run, &known, &err) == FL_OK && known &&
	    fl_job_state_final(run->row.state))
		fl_outbox_job(&jobs->agent->outbox, run); /* the fleet lacks its end */
}

static bool open_in_helper(const struct fl_jobs *jobs, const struct fl_job_run *run)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&jobs->agent->helper);
	for (size_t i = 0; facts != NULL && i < facts->open_jobs.n; i++) {
		if (fl_digest_equal(&facts->open_jobs.items[i].job, &run->row.job))
			return true;
	}
	return false;
}

void fl_jobs_on_helper_up(struct fl_jobs *jobs)
{
	struct fl_job_run *next = NULL;
	for (struct fl_job_run *run = jobs->first; run != NULL; run = next) {
		next = run->next;
		run->parked = false;
		const bool final = fl_job_state_final(run->row.state);
		if (run->saving)
			run->recover_after_save = true;
		else if (!final)
			fl_job_recover(run);
		else if (open_in_helper(jobs, run))
			fl_step_close(run); /* it was away when the job ended */
	}
	fl_jobs_adopt_unknown(jobs);
}

void fl_jobs_on_helper_down(struct fl_jobs *jobs)
{
	for (struct fl_job_run *run = jobs->first; run != NULL; run = run->next) {
		run->parked = true;
		fl_stage_cancel(&run->stage);
		fl_step_checking_stop(run);
		if (!run->saving) /* else it is the next try to save */
			uv_timer_stop(&run->wait);
	}
}

void fl_jobs_on_staged(struct fl_jobs *jobs, const struct fl_ipc_staged *event)
{
	struct fl_job_run *run = fl_jobs_find(jobs, &event->job);
	if (run != NULL)
		fl_stage_on_staged(&run->stage, event);
}

void fl_jobs_on_phase(struct fl_jobs *jobs, const struct fl_ipc_phase *event)
{
	struct fl_job_run *run = fl_jobs_find(jobs, &event->job);
	if (run == NULL || run->saving || fl_job_state_final(run->row.state))
		return;
	if (strcmp(event->phase, "rolling_back") != 0 ||
	    !fl_job_state_may(run->row.state, FL_JOB_ROLLING_BACK))
		return;
	struct fl_err why = {0};
	(void)fl_fail(&why, fl_rc_from_name(event->code == NULL ? "internal" : event->code), 0, "%s",
		      event->text == NULL ? "the helper fell back" : event->text);
	fl_step_checking_stop(run);
	uv_timer_stop(&run->wait);
	fl_job_enter_err(run, FL_JOB_ROLLING_BACK, &why);
}
