/* SPDX-License-Identifier: Apache-2.0 */
/* staging ▶ staged: one component after the other, each by a runner of its own. */
#include "agent.h"
#include "choice.h"

#include <fairlead/base/log.h>

#include <stdio.h>
#include <string.h>

#define PLUGIN_TRIES	3 /* crashes and hangs of one component until it is staged */
#define SPACE_RETRY_MS	3000
#define PROGRESS_EVERY_MS 500

/* What may pass is waited for in waiting_to_download, with the reason; the machine's table allows it. */
static void wait_and_retry(struct fl_job_run *run, const struct fl_err *err, const char *next,
			   uint64_t delay_ms)
{
	run->resume_ms = uv_now(&run->agent->loop) + delay_ms;
	run->resume_s = fl_agent_now_s(run->agent) + (delay_ms + 999) / 1000;
	run->resume_why = *err;
	snprintf(run->resume_next, sizeof(run->resume_next), "%s", next);
	fl_job_enter_err(run, FL_JOB_WAITING_TO_DOWNLOAD, err);
}

enum fl_rc fl_job_find_bundle(struct fl_job_run *run, struct fl_err *err)
{
	if (run->offline_seq == 0 || run->bundle.index != NULL)
		return FL_OK;
	return fl_bundle_file_find(&run->bundle, run->agent->config.store_dir, &run->row.job,
				   run->job_text, err);
}

static bool is_plugin_fault(enum fl_rc rc)
{
	return rc == FL_E_PLUGIN_CRASHED || rc == FL_E_PLUGIN_HUNG || rc == FL_E_PLUGIN_FAILED;
}

/* Wrong chunks, a decoder that says no, or that fails again and again: another artifact has to do. */
static bool is_condemned(struct fl_job_run *run, const struct fl_staged *staged)
{
	struct fl_store_component *c = &run->row.components[run->step_index];
	if (staged->decoder)
		return strcmp(staged->result, "permanent") == 0 || ++c->tries >= PLUGIN_TRIES;
	return staged->bad_bytes != 0 && staged->why.rc == FL_E_CHUNK_MISMATCH;
}

/* What is right of what it made stays, and the policy is asked for the rest. */
static bool fall_back(struct fl_job_run *run, const struct fl_staged *staged)
{
	struct fl_store_component *c = &run->row.components[run->step_index];
	const struct fl_artifact *full = fl_choice_full(fl_release_component(&run->release, c->name));
	if (full == NULL || !is_condemned(run, staged))
		return false;
	fl_log_err(FL_LOG_WARNING, &staged->why, "component %s: '%s' instead of '%s'", c->name, full->id,
		   c->artifact);
	snprintf(c->artifact, sizeof(c->artifact), "%s", full->id);
	c->tries = 0;
	run->bad_bytes = staged->bad_bytes;
	fl_job_enter_err(run, FL_JOB_WAITING_TO_DOWNLOAD, &staged->why);
	return true;
}

/* It is gone, or damaged, or incomplete: another copy of it will do. */
static bool is_bundles_fault(const struct fl_job_run *run, enum fl_rc rc)
{
	return run->offline_seq != 0 && (rc == FL_E_BUNDLE_MISSING || rc == FL_E_CHUNK_MISMATCH ||
					 rc == FL_E_NO_SOURCE);
}

static void stage_failed(struct fl_job_run *run, const struct fl_staged *staged)
{
	struct fl_store_component *c = &run->row.components[run->step_index];
	const struct fl_err *why = &staged->why;
	if (fl_job_show_again(run, why->rc) || fall_back(run, staged))
		return;
	if (is_plugin_fault(why->rc) && ++c->tries >= PLUGIN_TRIES) {
		fl_job_enter_err(run, FL_JOB_FAILED, why);
		return;
	}
	if (why->rc == FL_E_BYTE_BUDGET) {
		fl_job_enter_err(run, FL_JOB_WAITING_TO_DOWNLOAD, why); /* its gate says until when */
	} else if (why->rc == FL_E_NO_SPACE) {
		wait_and_retry(run, why, "space", SPACE_RETRY_MS);
	} else if (is_bundles_fault(run, why->rc)) {
		fl_bundle_file_close(&run->bundle); /* it is looked for anew */
		wait_and_retry(run, why, "bundle", fl_job_backoff_ms(run));
	} else if (strcmp(staged->result, "retry") == 0 || fl_rc_retryable(why->rc)) {
		const uint64_t backoff_ms = fl_job_backoff_ms(run);
		const uint64_t asked_ms = run->stage.retry_ms;
		wait_and_retry(run, why, why->rc == FL_E_NETWORK ? "network" : "retry",
			       asked_ms > backoff_ms ? asked_ms : backoff_ms);
	} else {
		fl_job_enter_err(run, FL_JOB_FAILED, why);
	}
}

static void on_stage_done(struct fl_stage *stage, const struct fl_staged *staged)
{
	struct fl_job_run *run = stage->ctx;
	struct fl_store_component *c = &run->row.components[run->step_index];
	fl_ledger_save(&run->agent->ledger, run);
	if (staged->why.rc != FL_OK) {
		stage_failed(run, staged);
		return;
	}
	c->state = FL_JOB_STAGED;
	c->tries = 0;
	run->bad_bytes = 0;
	run->shown_again = false;
	run->backoff = 0;
	fl_step_staging(run);
}

static void on_stage_progress(struct fl_stage *stage, const struct fl_ipc_progress *progress)
{
	struct fl_job_run *run = stage->ctx;
	const uint64_t now = uv_now(&run->agent->loop);
	run->done_bytes = progress->done_bytes;
	run->total_bytes = progress->total_bytes;
	run->kept_bytes = progress->kept_bytes;
	run->fetched_bytes = stage->fetched_bytes;
	if (now - run->progress_ms < PROGRESS_EVERY_MS)
		return;
	run->rate_bytes_s = (run->fetched_bytes - run->progress_fetched) * 1000 / (now - run->progress_ms);
	run->progress_ms = now;
	run->progress_fetched = run->fetched_bytes;
	fl_link_send_progress(&run->agent->link, run);
}

/* Paid as it comes, by the interface that it came by; a budget that is spent closes the gate. */
static bool on_fetched(struct fl_stage *stage, const char *address, size_t len, struct fl_err *err)
{
	struct fl_job_run *run = stage->ctx;
	struct fl_ledger *ledger = &run->agent->ledger;
	if (run->fetched_from[0] == '\0' || strcmp(address, run->fetched_from) != 0) {
		snprintf(run->fetched_from, sizeof(run->fetched_from), "%s", address);
		run->interface = fl_ledger_interface(ledger, address);
	}
	fl_ledger_spend(ledger, run, run->interface, len);
	const struct fl_ledger_left left = fl_ledger_left(ledger, run, run->interface);
	if (left.day > 0 && left.deployment > 0)
		return true;
	(void)fl_fail(err, FL_E_BYTE_BUDGET, 0, "the %s's byte budget is spent",
		      left.day == 0 ? "day" : "deployment");
	return false;
}

static enum fl_rc start_component(struct fl_job_run *run, struct fl_err *err)
{
	const struct fl_store_component *c = &run->row.components[run->step_index];
	const struct fl_component *release = fl_release_component(&run->release, c->name);
	const struct fl_artifact *artifact =
		release == NULL ? NULL : fl_component_artifact(release, c->artifact, NULL);
	if (artifact == NULL)
		return fl_fail(err, FL_E_INTERNAL, 0, "component '%s' lost its artifact", c->name);
	const char *own_source = run->agent->config.download_source;
	enum fl_rc rc = fl_job_find_bundle(run, err);
	if (rc != FL_OK)
		return rc;
	if (run->offline_seq == 0 && run->job.urls.n == 0 && own_source == NULL)
		return fl_fail(err, FL_E_NO_SOURCE, 0, "the job names no source");
	run->done_bytes = run->fetched_bytes = run->progress_fetched = run->rate_bytes_s = 0;
	run->total_bytes = release->installed->size;
	run->progress_ms = uv_now(&run->agent->loop);
	run->stage.on_progress = on_stage_progress;
	run->stage.on_fetched = on_fetched;
	const struct fl_stage_request request = {
		.job = &run->row.job,
		.release = release,
		.what = {.component = c->name,
			 .installed = release->installed,
			 .artifact = artifact,
			 .bundle = run->offline_seq == 0 ? NULL : &run->bundle,
			 .own_source = own_source,
			 .sources = run->job.urls.items,
			 .n_sources = run->job.urls.n},
	};
	return fl_stage_start(&run->stage, run->agent, &request, on_stage_done, run, err);
}

void fl_step_staging(struct fl_job_run *run)
{
	struct fl_err err = {0};
	run->step_index = 0;
	while (run->step_index < run->row.n_components &&
	       run->row.components[run->step_index].state == FL_JOB_STAGED)
		run->step_index++;
	if (run->step_index == run->row.n_components) {
		fl_job_enter(run, FL_JOB_STAGED, FL_OK, NULL);
		return;
	}
	enum fl_rc rc = start_component(run, &err);
	if (rc == FL_OK || rc == FL_E_PEER_CLOSED)
		return; /* the latter: parked a moment later */
	const struct fl_staged staged = {.why = err, .result = fl_rc_retryable(rc) ? "retry" : "permanent"};
	stage_failed(run, &staged);
}

void fl_step_staged(struct fl_job_run *run)
{
	run->backoff = 0;
	fl_job_enter(run, FL_JOB_WAITING_TO_ACTIVATE, FL_OK, NULL);
}
