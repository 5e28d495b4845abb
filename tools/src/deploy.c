/* SPDX-License-Identifier: Apache-2.0 */
/* deploy: one install job per device; with --wait, each to its end. */
#include "commands.h"
#include "jobs.h"
#include "output.h"
#include "release.h"

#include <string.h>

#define DEVICES_MAX 256

struct outcome {
	const char *device_id;
	char job_id[37];
	const char *job; /* job_id, or NULL when there is none */
	uint64_t job_seq;
	const char *code;
	char text[FL_ERR_MSG_MAX];
	const char *why;
};

static const struct fl_field outcome_fields[] = {
	FL_REQ(struct outcome, device_id, STR, 256, NULL, "device"),
	{"job_id", FL_K_UUID, false, offsetof(struct outcome, job), 0, NULL, "its new job"},
	FL_OPT(struct outcome, job_seq, U64, FL_U53_MAX, NULL, "number of the job"),
	FL_OPT(struct outcome, code, STR, 64, NULL, "why there is none"),
	{"text", FL_K_STR, false, offsetof(struct outcome, why), FL_ERR_MSG_MAX, NULL,
	 "the same, in words"},
};
static const struct fl_schema outcome_schema =
	FL_SCHEMA("outcome", struct outcome, outcome_fields, "what became of one device");

struct deployment {
	const char *release;
	const char *job_id; /* of the only device; scripts for one need no list */
	uint64_t job_seq;
	FL_LIST(struct outcome) jobs;
};
static const struct fl_field deployment_fields[] = {
	FL_REQ(struct deployment, release, STR, 256, NULL, "digest of the release"),
	FL_OPT(struct deployment, job_id, UUID, 0, NULL, "the job, where one device was named"),
	FL_OPT(struct deployment, job_seq, U64, FL_U53_MAX, NULL, "its number"),
	FL_REQ(struct deployment, jobs, LIST, DEVICES_MAX, &outcome_schema, "one per device"),
};
static const struct fl_schema deployment_schema =
	FL_SCHEMA("deployment", struct deployment, deployment_fields, "a deployment");

struct deploying {
	struct fl_tools_call *call;
	struct fl_tools_fleet *fleet;
	char release[FL_DIGEST_TEXT_SIZE];
	const char *artifact; /* NULL: the gateway chooses */
	uint64_t expires_s, limit_s;
	struct outcome outcomes[DEVICES_MAX];
	size_t n;
	size_t failed;
};

static enum fl_rc find_release(struct deploying *d, struct fl_err *err)
{
	struct fl_digest digest;
	const char *what = d->call->args[0];
	if (fl_digest_parse(what, &digest)) {
		fl_digest_format(&digest, d->release);
		return FL_OK;
	}
	struct fl_tools_release release;
	enum fl_rc rc = fl_tools_release_open(what, &release, err);
	if (rc != FL_OK)
		return rc;
	memcpy(d->release, release.digest, sizeof(d->release));
	fl_tools_release_close(&release);
	return FL_OK;
}

static enum fl_rc make_body(const struct deploying *d, const char *device, struct fl_buf *body,
			    struct fl_err *err)
{
	enum fl_rc rc = fl_buf_appendf(
		body, err, "{\"device_id\":\"%s\",\"intent\":\"install\",\"release\":\"%s\"",
		device, d->release);
	if (rc == FL_OK && d->artifact != NULL)
		rc = fl_buf_appendf(body, err, ",\"artifact\":\"%s\"", d->artifact);
	if (rc == FL_OK && d->expires_s > 0)
		rc = fl_buf_appendf(body, err, ",\"expires_s\":%llu",
				    (unsigned long long)d->expires_s);
	if (rc == FL_OK && fl_tools_has(d->call, "force"))
		rc = fl_buf_append_str(body, ",\"force\":true", err);
	return rc == FL_OK ? fl_buf_append_str(body, "}", err) : rc;
}

static enum fl_rc make_job(struct deploying *d, struct outcome *o, struct fl_err *err)
{
	struct fl_buf body = FL_BUF((size_t)4096), answer = FL_BUF(FL_TOOLS_ANSWER_MAX);
	struct fl_arena arena = FL_ARENA((size_t)64 * 1024);
	struct fl_tools_made made = {0};
	const struct fl_tools_request request = {"POST", "/jobs", &body, &fl_tools_made_schema};
	enum fl_rc rc = make_body(d, o->device_id, &body, err);
	if (rc == FL_OK)
		rc = fl_tools_fleet_ask(d->fleet, &request, &answer, &arena, &made, err);
	if (rc == FL_OK && made.job_id != NULL) {
		memcpy(o->job_id, made.job_id, sizeof(o->job_id));
		o->job = o->job_id;
		o->job_seq = made.job_seq;
	} else if (rc == FL_OK) {
		rc = fl_fail(err, FL_E_PROTOCOL, 0, "fleet: no job_id in its answer");
	}
	fl_arena_free(&arena);
	fl_buf_free(&answer);
	fl_buf_free(&body);
	return rc;
}

/* One device that is refused does not keep the others from theirs; a fleet that is gone does. */
static enum fl_rc make_jobs(struct deploying *d, struct fl_err *err)
{
	for (size_t i = 0; i < d->n; i++) {
		struct outcome *o = &d->outcomes[i];
		enum fl_rc rc = make_job(d, o, err);
		if (rc == FL_OK)
			continue;
		if (d->n == 1 || fl_tools_exit_of(rc) == FL_TOOLS_UNREACHABLE || rc == FL_E_AUTH)
			return rc;
		o->code = fl_rc_name(rc);
		(void)snprintf(o->text, sizeof(o->text), "%s", err->msg);
		o->why = o->text;
		d->failed++;
	}
	return FL_OK;
}

static enum fl_rc print_json(const struct deploying *d, struct fl_err *err)
{
	struct deployment deployment = {.release = d->release, .jobs = {d->outcomes, d->n}};
	if (d->n == 1) {
		deployment.job_id = d->outcomes[0].job;
		deployment.job_seq = d->outcomes[0].job_seq;
	}
	return fl_tools_json(d->call->out, &deployment_schema, &deployment, err);
}

static enum fl_rc print_jobs(const struct deploying *d, struct fl_err *err)
{
	static const char *const heading[] = {"DEVICE", "JOB", "REASON"};
	if (d->call->json)
		return print_json(d, err);
	struct fl_tools_table table = FL_TOOLS_TABLE(3);
	enum fl_rc rc = fl_tools_table_row(&table, heading, err);
	for (size_t i = 0; rc == FL_OK && i < d->n; i++) {
		const struct outcome *o = &d->outcomes[i];
		const char *cells[] = {o->device_id, o->job, o->why};
		rc = fl_tools_table_row(&table, cells, err);
	}
	if (rc == FL_OK)
		fl_tools_table_print(d->call->out, &table);
	fl_tools_table_free(&table);
	(void)fflush(d->call->out);
	return rc;
}

static enum fl_rc watch_jobs(struct deploying *d, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < d->n; i++) {
		struct fl_tools_watched watched = {0};
		if (d->outcomes[i].job == NULL)
			continue;
		if (d->n > 1 && !d->call->json)
			(void)fprintf(d->call->out, "%s:\n", d->outcomes[i].device_id);
		rc = fl_tools_watch(d->call, d->fleet, d->outcomes[i].job, d->limit_s, &watched,
				    err);
		d->failed += watched.committed ? 0 : 1;
	}
	return rc;
}

static enum fl_rc read_options(struct deploying *d, struct fl_err *err)
{
	const char *device;
	for (; (device = fl_tools_value(d->call, "device", d->n)) != NULL; d->n++) {
		if (d->n == DEVICES_MAX)
			return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d devices", DEVICES_MAX);
		enum fl_rc rc = fl_tools_need_name(device, "--device", err);
		if (rc != FL_OK)
			return rc;
		d->outcomes[d->n] = (struct outcome){.device_id = device};
	}
	enum fl_rc rc = FL_OK;
	d->artifact = fl_tools_opt(d->call, "artifact", NULL);
	if (d->artifact != NULL)
		rc = fl_tools_need_name(d->artifact, "--artifact", err);
	if (rc == FL_OK)
		rc = fl_tools_u64(d->call, "expires-s", 1, FL_U53_MAX, &d->expires_s, err);
	if (rc == FL_OK)
		rc = fl_tools_u64(d->call, "timeout-s", 1, 1u << 20, &d->limit_s, err);
	return rc == FL_OK ? find_release(d, err) : rc;
}

enum fl_rc fl_tools_deploy(struct fl_tools_call *call, struct fl_err *err)
{
	static struct deploying d;
	d = (struct deploying){.call = call};
	enum fl_rc rc = read_options(&d, err);
	if (rc == FL_OK)
		rc = fl_tools_fleet_open(call, &d.fleet, err);
	if (rc == FL_OK)
		rc = make_jobs(&d, err);
	if (rc == FL_OK)
		rc = print_jobs(&d, err);
	if (rc == FL_OK && fl_tools_has(call, "wait"))
		rc = watch_jobs(&d, err);
	fl_tools_fleet_close(d.fleet);
	if (rc == FL_OK && d.failed > 0)
		call->exit = FL_TOOLS_FAILED;
	return rc;
}
