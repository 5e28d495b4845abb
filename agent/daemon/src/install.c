/* SPDX-License-Identifier: Apache-2.0 */
#include "install.h"

#include "agent.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/json.h>

#include <string.h>

#define ROOT_MEMORY_MAX ((size_t)1024 * 1024)

struct installed {
	const char *job_id, *state;
	bool known;
};

static const struct fl_field installed_fields[] = {
	FL_REQ(struct installed, job_id, STR, 64, NULL, "of the bundle"),
	FL_REQ(struct installed, state, STR, 64, NULL, "of the job"),
	FL_REQ(struct installed, known, BOOL, 0, NULL, "the job was under way before"),
};
static const struct fl_schema installed_schema =
	FL_SCHEMA("installed", struct installed, installed_fields, "");

static enum fl_rc read_text(const struct fl_bundle *index, const struct fl_bundle_entry *entry,
			    struct fl_buf *text, struct fl_err *err)
{
	*text = FL_BUF(FL_ENVELOPE_MAX);
	enum fl_rc rc = fl_bundle_read_document(index, entry, text, err);
	if (rc == FL_OK && strlen(fl_buf_str(text)) != text->len)
		rc = fl_fail(err, FL_E_ENVELOPE, 0, "a document with a zero byte");
	return rc;
}

/* What it says of itself; nobody has verified it. */
static enum fl_rc root_version(const struct fl_buf *text, uint64_t *ret, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(ROOT_MEMORY_MAX);
	struct fl_envelope env;
	struct fl_root root = {0};
	enum fl_rc rc = fl_envelope_parse(text->data, text->len, FL_DOC_ROOT, &arena, &env, err);
	if (rc == FL_OK)
		rc = fl_root_decode(env.payload, &arena, &root, err);
	*ret = root.version;
	fl_arena_free(&arena);
	return rc;
}

/* One that is not news is left alone: it stands in the bundle for devices that have been away for longer. */
static enum fl_rc take_root(struct fl_agent *agent, const struct fl_buf *text, struct fl_err *err)
{
	uint64_t version = 0;
	enum fl_rc rc = root_version(text, &version, err);
	if (rc != FL_OK || version <= agent->trust.root.version)
		return rc;
	rc = fl_trust_take_root(&agent->trust, fl_buf_str(text), err);
	if (rc == FL_OK)
		fl_log(FL_LOG_NOTICE, "root document %llu, from a bundle", (unsigned long long)version);
	return rc;
}

static enum fl_rc take_roots(struct fl_agent *agent, const struct fl_bundle *index, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < fl_bundle_count(index) && rc == FL_OK; i++) {
		struct fl_buf text;
		if (fl_bundle_entry(index, i)->kind != FL_BUNDLE_ROOT)
			break; /* they stand first */
		rc = read_text(index, fl_bundle_entry(index, i), &text, err);
		if (rc == FL_OK)
			rc = take_root(agent, &text, err);
		fl_buf_free(&text);
	}
	fl_agent_tell_roots(agent);
	return rc;
}

/* The job gets the file, unless it is just reading from the one it has; a job that waits for it looks at once. */
static void hand_over(struct fl_job_run *run, struct fl_bundle_file *file, const char *path)
{
	struct fl_err err = {0};
	const char *store_dir = run->agent->config.store_dir;
	if (run->stage.state == FL_STAGE_IDLE) {
		fl_bundle_file_close(&run->bundle);
		run->bundle = *file;
		*file = (struct fl_bundle_file){-1, NULL};
	}
	if (path != NULL && path[0] == '/' &&
	    fl_bundle_file_note(store_dir, &run->row.job, path, &err) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "job %s", run->row.job_id);
	if (run->row.state == FL_JOB_WAITING_TO_DOWNLOAD && !run->saving) {
		run->resume_ms = 0;
		fl_job_start_step(run);
	}
}

static enum fl_rc take_job(struct fl_agent *agent, struct fl_bundle_file *file, const char *path,
			   struct installed *ret, struct fl_err *err)
{
	struct fl_buf job, release = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_job_run *run = NULL;
	const struct fl_bundle *index = file->index;
	enum fl_rc rc = read_text(index, fl_bundle_first(index, FL_BUNDLE_JOB), &job, err);
	if (rc == FL_OK)
		rc = read_text(index, fl_bundle_first(index, FL_BUNDLE_RELEASE), &release, err);
	if (rc == FL_OK)
		rc = fl_jobs_take(&agent->jobs, fl_buf_str(&job), fl_buf_str(&release), &run,
				  &ret->known, err);
	fl_buf_free(&job);
	fl_buf_free(&release);
	if (rc != FL_OK)
		return rc;
	if (run->offline_seq == 0)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "the job of the bundle is no offline job");
	if (fl_job_state_final(run->row.state))
		return fl_fail(err, FL_E_REPLAYED, 0, "the job of this bundle has ended: %s",
			       fl_job_state_name(run->row.state));
	hand_over(run, file, path);
	ret->job_id = run->row.job_id;
	ret->state = fl_job_state_name(run->row.state);
	return FL_OK;
}

static enum fl_rc install(struct fl_agent *agent, struct fl_install_request *request,
			  struct fl_bundle_file *file, struct fl_buf *out, struct fl_err *err)
{
	struct installed answer = {0};
	if (agent->degraded.rc != FL_OK)
		return fl_fail(err, agent->degraded.rc, 0, "%s", agent->degraded.msg);
	if (fl_helper_facts(&agent->helper) == NULL)
		return fl_fail(err, FL_E_BUSY, 0, "the helper does not answer: try again");
	enum fl_rc rc = fl_bundle_file_take(file, &request->fd, err);
	if (rc == FL_OK)
		rc = take_roots(agent, file->index, err);
	if (rc == FL_OK)
		rc = take_job(agent, file, request->path, &answer, err);
	return rc == FL_OK ? fl_json_encode(&installed_schema, &answer, out, err) : rc;
}

enum fl_rc fl_install(struct fl_agent *agent, struct fl_install_request *request, struct fl_buf *out,
		      struct fl_err *err)
{
	struct fl_bundle_file file = {-1, NULL};
	if (request->fd < 0)
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "no file came with the request");
	enum fl_rc rc = install(agent, request, &file, out, err);
	fl_bundle_file_close(&file);
	fl_close(&request->fd);
	return rc;
}
