/* SPDX-License-Identifier: Apache-2.0 */
/* What the dispatch key signs: jobs and heartbeats. A job is checked as its device will check it before anyone sees it. */
#include "jobs/jobs.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/json.h>
#include <fairlead/trust/verify.h>

static enum fl_rc seal(const struct fl_jobs *jobs, enum fl_doc_type type, const struct fl_buf *payload,
		       struct fl_envelope *env, struct fl_buf *out, struct fl_err *err)
{
	*env = (struct fl_envelope){.type = type, .payload = {payload->data, payload->len}};
	enum fl_rc rc = fl_envelope_sign(env, jobs->dispatch, err);
	return rc == FL_OK ? fl_envelope_write(env, out, err) : rc;
}

/* Would the device accept it? A dispatch key without that intent is told to the operator, not to the gateway. */
static enum fl_rc rehearse(const struct fl_jobs *jobs, const struct fl_job *job,
			   const struct fl_envelope *env, struct fl_err *err)
{
	const bool offline = fl_job_is_offline(job);
	struct fl_device_facts device = {
		.tenant = job->tenant,
		.device_id = offline ? job->devices.items[0].device_id : job->device_id,
		.identity = offline ? job->devices.items[0].identity : job->identity};
	struct fl_trust_state state = {.root = &jobs->roots->current,
				       .device = &device,
				       .job_seq = job->job_seq - 1,
				       .offline_seq = job->offline_seq - 1};
	struct fl_arena arena = FL_ARENA(FL_JOBS_DOC_MEMORY);
	struct fl_job decoded;
	enum fl_job_verdict verdict;
	enum fl_rc rc = fl_verify_job(&state, env, job->issued, &arena, &decoded, &verdict, err);
	fl_arena_free(&arena);
	return rc == FL_OK ? FL_OK : fl_wrap(err, rc, "the device would refuse this job");
}

enum fl_rc fl_jobs_sign(const struct fl_jobs *jobs, const struct fl_job *job, struct fl_buf *out,
			struct fl_digest *digest, struct fl_err *err)
{
	struct fl_buf payload = FL_BUF(fl_doc_type_max(FL_DOC_JOB));
	struct fl_envelope env;
	enum fl_rc rc = fl_json_encode(&fl_job_schema, job, &payload, err);
	if (rc == FL_OK)
		rc = seal(jobs, FL_DOC_JOB, &payload, &env, out, err);
	if (rc == FL_OK)
		rc = rehearse(jobs, job, &env, err);
	if (rc == FL_OK)
		rc = fl_envelope_digest(&env, digest, err);
	fl_buf_free(&payload);
	return rc;
}

/*
 * A device without memory takes no job up to this number: the highest that is over, so that none of those can come again.
 * Those that wait for its first contact lie above; one that an older order overtook is refused, and ordered anew.
 */
static enum fl_rc latest_job_seq(const struct fl_jobs *jobs, const char *device_id, uint64_t *ret,
				 struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(device_id)};
	struct fl_db_query query = {
		"SELECT max(job_seq) FROM jobs WHERE device_id = $1 AND final = 1"
		" AND offline_id IS NULL", params, 1, NULL, NULL};
	return fl_db_number(jobs->db, &query, 0, ret, err);
}

enum fl_rc fl_jobs_heartbeat(const struct fl_jobs *jobs, const char *device_id,
			     struct fl_bytes nonce, struct fl_buf *out, struct fl_err *err)
{
	struct fl_heartbeat beat = {
		.type = "heartbeat",
		.spec = 1,
		.device_id = device_id,
		.nonce = nonce,
		.utc = (uint64_t)fl_clock_wall_s(jobs->clock),
		.root_version = jobs->roots->current.version,
	};
	struct fl_buf payload = FL_BUF(fl_doc_type_max(FL_DOC_HEARTBEAT));
	struct fl_envelope env;
	enum fl_rc rc = latest_job_seq(jobs, device_id, &beat.latest_job_seq, err);
	if (rc == FL_OK)
		rc = fl_json_encode(&fl_heartbeat_schema, &beat, &payload, err);
	if (rc == FL_OK)
		rc = seal(jobs, FL_DOC_HEARTBEAT, &payload, &env, out, err);
	fl_buf_free(&payload);
	return rc;
}
