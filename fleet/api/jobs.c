/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: make, cancel, list, show. */
#include "api/api.h"

#include <fairlead/trust/json.h>

#include <string.h>

#define LIST_FALLBACK 500
#define LIST_LIMIT    10000

struct job_body {
	const char *device_id;
	const char *intent;
	struct fl_digest release;
	const char *artifact;
	uint64_t expires_s;
	bool force;
};

static const struct fl_field job_fields[] = {
	FL_REQ(struct job_body, device_id, NAME, FL_NAME_MAX, NULL, ""),
	FL_REQ(struct job_body, intent, STR, 32, NULL, ""),
	FL_OPT(struct job_body, release, DIGEST, 0, NULL, ""),
	FL_OPT(struct job_body, artifact, NAME, 0, NULL, ""),
	FL_OPT(struct job_body, expires_s, U64, FL_JOBS_EXPIRES_MAX_S, NULL, ""),
	FL_OPT(struct job_body, force, BOOL, 0, NULL, ""),
};
static const struct fl_schema job_schema = FL_SCHEMA("job", struct job_body, job_fields, "");

static enum fl_rc answer_ref(const struct fl_job_ref *ref, struct fl_buf *out, struct fl_err *err)
{
	return fl_buf_appendf(out, err, "{\"job_id\":\"%s\",\"job_seq\":%llu}", ref->job_id,
			      (unsigned long long)ref->job_seq);
}

enum fl_rc fl_api_post_job(struct fl_api *api, const struct fl_api_call *call,
			   struct fl_api_answer *answer, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FL_API_BODY_MAX);
	struct job_body body;
	struct fl_job_ref ref;
	enum fl_rc rc = fl_api_decode(&job_schema, call, &arena, &body, err);
	if (rc == FL_OK) {
		struct fl_job_request request = {.actor = call->actor,
						 .device_id = body.device_id,
						 .intent = body.intent,
						 .release = body.release,
						 .artifact = body.artifact,
						 .expires_s = body.expires_s,
						 .force = body.force};
		rc = fl_jobs_create(api->jobs, &request, &ref, err);
	}
	fl_arena_free(&arena);
	answer->status = 201;
	return rc == FL_OK ? answer_ref(&ref, &answer->body, err) : rc;
}

struct offline_body {
	FL_LIST(const char *) devices;
	FL_LIST(const char *) components;
	struct fl_digest release;
	uint64_t expires_s;
	bool force;
};

static const struct fl_field offline_fields[] = {
	FL_REQ(struct offline_body, devices, STRINGS, FL_JOB_DEVICES_MAX, NULL, ""),
	FL_OPT(struct offline_body, components, STRINGS, 64, NULL, ""),
	FL_REQ(struct offline_body, release, DIGEST, 0, NULL, ""),
	FL_OPT(struct offline_body, expires_s, U64, FL_JOBS_EXPIRES_MAX_S, NULL, ""),
	FL_OPT(struct offline_body, force, BOOL, 0, NULL, ""),
};
static const struct fl_schema offline_schema =
	FL_SCHEMA("offline job", struct offline_body, offline_fields, "");

static enum fl_rc answer_offline(const struct fl_jobs_offline_ref *ref, const struct fl_buf *envelope,
				 struct fl_buf *out, struct fl_err *err)
{
	enum fl_rc rc = fl_buf_appendf(out, err,
				       "{\"job_id\":\"%s\",\"offline_seq\":%llu,\"envelope\":",
				       ref->job_id, (unsigned long long)ref->offline_seq);
	if (rc == FL_OK)
		rc = fl_json_append_string(out, fl_buf_str(envelope), err);
	return rc == FL_OK ? fl_buf_append_str(out, "}", err) : rc;
}

enum fl_rc fl_api_post_offline_job(struct fl_api *api, const struct fl_api_call *call,
				   struct fl_api_answer *answer, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FL_API_BODY_MAX);
	struct fl_buf envelope = FL_BUF(FL_ENVELOPE_MAX);
	struct offline_body body;
	struct fl_jobs_offline_ref ref;
	enum fl_rc rc = fl_api_decode(&offline_schema, call, &arena, &body, err);
	if (rc == FL_OK) {
		const struct fl_jobs_offline_request request = {
			.actor = call->actor,
			.devices = {body.devices.items, body.devices.n},
			.components = {body.components.items, body.components.n},
			.release = body.release,
			.expires_s = body.expires_s,
			.force = body.force};
		rc = fl_jobs_create_offline(api->jobs, &request, &envelope, &ref, err);
	}
	if (rc == FL_OK)
		rc = answer_offline(&ref, &envelope, &answer->body, err);
	fl_arena_free(&arena);
	fl_buf_free(&envelope);
	answer->status = 201;
	return rc;
}

enum fl_rc fl_api_cancel_job(struct fl_api *api, const struct fl_api_call *call,
			     struct fl_api_answer *answer, struct fl_err *err)
{
	struct fl_job_ref ref;
	enum fl_rc rc = fl_jobs_cancel(api->jobs, call->actor, call->param, &ref, err);
	answer->status = 202;
	return rc == FL_OK ? answer_ref(&ref, &answer->body, err) : rc;
}

enum fl_rc fl_api_get_jobs(struct fl_api *api, const struct fl_api_call *call,
			   struct fl_api_answer *answer, struct fl_err *err)
{
	char device[FL_NAME_MAX + 1], state[32], after[FL_JOBS_ID_SIZE];
	struct fl_jobs_filter filter = {
		.limit = fl_api_limit(call->query, LIST_FALLBACK, LIST_LIMIT)};
	if (fl_route_query(call->query, "device", device, sizeof(device)))
		filter.device_id = device;
	if (fl_route_query(call->query, "state", state, sizeof(state)))
		filter.state = state;
	if (fl_route_query(call->query, "after", after, sizeof(after)))
		filter.after = after;
	return fl_jobs_list(api->jobs, &filter, &answer->body, err);
}

enum fl_rc fl_api_get_job(struct fl_api *api, const struct fl_api_call *call,
			  struct fl_api_answer *answer, struct fl_err *err)
{
	return fl_jobs_show(api->jobs, call->param, true, &answer->body, NULL, err);
}
