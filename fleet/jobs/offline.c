/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that travel in bundles. One document names its devices and is kept whole; nothing is sent. A device that reports the job
 * gets a row among its jobs, and from then on it is a job like any other.
 */
#include "jobs/jobs.h"

#include "audit/audit.h"

#include <fairlead/trust/digest.h>

#include <stdio.h>
#include <string.h>

#define INTENT	    "install_offline"
#define FOREIGN_MAX 200 /* jobs of one device that nobody here signed */

struct making {
	struct fl_jobs *jobs;
	const struct fl_jobs_offline_request *request;
	struct fl_arena arena; /* owned */
	struct fl_release release;
	struct fl_job_device devices[FL_JOB_DEVICES_MAX];
	struct fl_jobs_offline_ref ref;
	struct fl_digest digest;
	struct fl_buf *envelope;
	uint64_t now;
};

static enum fl_rc check_request(const struct fl_jobs_offline_request *r, struct fl_err *err)
{
	if (r->devices.n == 0 || r->devices.n > FL_JOB_DEVICES_MAX)
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "1 to %d devices", FL_JOB_DEVICES_MAX);
	return fl_jobs_check_expiry(r->expires_s, err);
}

static enum fl_rc fit_devices(struct making *m, struct fl_err *err)
{
	struct fl_jobs_fit fit = {.jobs = m->jobs,
				  .arena = &m->arena,
				  .release = &m->release,
				  .digest = m->request->release,
				  .force = m->request->force};
	for (size_t i = 0; i < m->request->devices.n; i++) {
		const char *id = m->request->devices.items[i];
		enum fl_rc rc = fl_jobs_fit_device(&fit, id, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "device '%s'", id);
		m->devices[i] = (struct fl_job_device){id, fit.identity};
	}
	return FL_OK;
}

/* Above every number before, and not below the time: bundles that operators sign count by it. */
static enum fl_rc take_seq(struct making *m, struct fl_err *err)
{
	struct fl_db_query query = {.sql = "SELECT max(offline_seq) FROM offline_jobs"};
	uint64_t last = 0;
	enum fl_rc rc = fl_db_number(m->jobs->db, &query, 0, &last, err);
	m->ref.offline_seq = last >= m->now ? last + 1 : m->now;
	return rc;
}

static enum fl_rc sign(struct making *m, struct fl_err *err)
{
	const struct fl_jobs_offline_request *r = m->request;
	const struct fl_root *root = &m->jobs->roots->current;
	const struct fl_job job = {
		.type = "job",
		.spec = 1,
		.tenant = FL_JOBS_TENANT,
		.devices = {m->devices, r->devices.n},
		.epoch = root->epoch,
		.offline_seq = m->ref.offline_seq,
		.job_id = m->ref.job_id,
		.issued = m->now,
		.expires = m->now + (r->expires_s == 0 ? FL_JOBS_EXPIRES_S : r->expires_s),
		.intent = INTENT,
		.release = r->release,
		.components = {r->components.n == 0 ? NULL : r->components.items, r->components.n},
		.root_version = root->version,
	};
	return fl_jobs_sign(m->jobs, &job, m->envelope, &m->digest, err);
}

static enum fl_rc check_component_names(const struct making *m, struct fl_err *err)
{
	for (size_t i = 0; i < m->request->components.n; i++) {
		const char *name = m->request->components.items[i];
		if (fl_release_component(&m->release, name) == NULL)
			return fl_fail(err, FL_E_BAD_REQUEST, 0, "the release has no component '%s'",
				       name);
	}
	return FL_OK;
}

static enum fl_rc insert(struct making *m, struct fl_err *err)
{
	char release[FL_DIGEST_TEXT_SIZE], digest[FL_DIGEST_TEXT_SIZE];
	fl_digest_format(&m->request->release, release);
	fl_digest_format(&m->digest, digest);
	enum fl_rc rc = fl_db_run(
		m->jobs->db,
		"INSERT INTO offline_jobs (job_id, offline_seq, release, version, digest, envelope,"
		" created) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		FL_DB_PARAMS(fl_db_str(m->ref.job_id), fl_db_num(m->ref.offline_seq),
			     fl_db_str(release), fl_db_str(m->release.version), fl_db_str(digest),
			     fl_db_str(fl_buf_str(m->envelope)), fl_db_num(m->now)),
		err);
	for (size_t i = 0; i < m->request->devices.n && rc == FL_OK; i++)
		rc = fl_db_run(m->jobs->db,
			       "INSERT INTO offline_devices (job_id, device_id) VALUES ($1, $2)",
			       FL_DB_PARAMS(fl_db_str(m->ref.job_id),
					    fl_db_str(m->devices[i].device_id)),
			       err);
	return rc;
}

static enum fl_rc note(struct making *m, struct fl_err *err)
{
	const struct fl_jobs_offline_request *r = m->request;
	char release[FL_DIGEST_TEXT_SIZE], detail[512];
	fl_digest_format(&r->release, release);
	int n = snprintf(detail, sizeof(detail), "%s%s %zu devices:", release,
			 r->force ? " force" : "", r->devices.n);
	for (size_t i = 0; i < r->devices.n && n > 0 && (size_t)n < sizeof(detail); i++)
		n += snprintf(detail + n, sizeof(detail) - (size_t)n, " %s", r->devices.items[i]);
	const struct fl_audit_entry entry = {m->now, r->actor, "job.create_offline", m->ref.job_id,
					     detail};
	return fl_audit_add(m->jobs->db, &entry, err);
}

static enum fl_rc make(struct making *m, struct fl_err *err)
{
	enum fl_rc rc = fl_releases_decode(m->jobs->releases, &m->request->release, &m->arena,
					   &m->release, err);
	if (rc == FL_OK)
		rc = check_component_names(m, err);
	if (rc == FL_OK)
		rc = fit_devices(m, err);
	if (rc == FL_OK)
		rc = take_seq(m, err);
	if (rc == FL_OK)
		rc = fl_uuid_new(m->ref.job_id, err);
	if (rc == FL_OK)
		rc = sign(m, err);
	if (rc == FL_OK)
		rc = insert(m, err);
	return rc == FL_OK ? note(m, err) : rc;
}

enum fl_rc fl_jobs_create_offline(struct fl_jobs *jobs, const struct fl_jobs_offline_request *request,
				  struct fl_buf *out, struct fl_jobs_offline_ref *ret,
				  struct fl_err *err)
{
	struct making m = {.jobs = jobs,
			   .request = request,
			   .arena = FL_ARENA(8 * FL_RELEASE_MEMORY),
			   .envelope = out,
			   .now = (uint64_t)fl_clock_wall_s(jobs->clock)};
	enum fl_rc rc = check_request(request, err);
	if (rc == FL_OK)
		rc = fl_db_begin(jobs->db, err);
	if (rc == FL_OK) {
		rc = make(&m, err);
		rc = fl_db_end(jobs->db, rc, err);
	}
	fl_arena_free(&m.arena);
	if (rc == FL_OK)
		*ret = m.ref;
	return rc;
}

/* --- what devices report --- */

/* A job that a device took from a bundle, on its way among its jobs. */
struct taking {
	struct fl_jobs *jobs;
	const char *device_id;
	const struct fl_report *report;
	bool ours;	/* it was signed here, for this device */
	uint64_t job_seq; /* a number that no job of the device has */
	char *id;
};

static enum fl_rc copy_id(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	(void)err;
	snprintf(ctx, FL_JOBS_ID_SIZE, "%s", c[0].text);
	return FL_OK;
}

static enum fl_rc find_row(struct taking *t, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(t->device_id), fl_db_str(t->report->job_id)};
	struct fl_db_query query = {
		"SELECT job_id FROM jobs WHERE device_id = $1 AND offline_id = $2", params, 2, copy_id,
		t->id};
	t->id[0] = '\0';
	return fl_db_each(t->jobs->db, &query, err);
}

static enum fl_rc count_rows(struct taking *t, bool *ours, bool *taken, uint64_t *foreign,
			     struct fl_err *err)
{
	const struct fl_db_value both[] = {fl_db_str(t->report->job_id), fl_db_str(t->device_id)};
	const struct fl_db_query named = {
		"SELECT count(*) FROM offline_devices WHERE job_id = $1 AND device_id = $2", both, 2, NULL,
		NULL};
	const struct fl_db_query same_id = {"SELECT count(*) FROM jobs WHERE job_id = $1", both, 1, NULL,
					    NULL};
	const struct fl_db_query strangers = {
		"SELECT count(*) FROM jobs WHERE device_id = $1 AND offline_id IS NOT NULL"
		" AND envelope = ''",
		both + 1, 1, NULL, NULL};
	uint64_t n_named = 0, n_same = 0;
	enum fl_rc rc = fl_db_number(t->jobs->db, &named, 0, &n_named, err);
	if (rc == FL_OK)
		rc = fl_db_number(t->jobs->db, &same_id, 0, &n_same, err);
	*ours = n_named > 0;
	*taken = n_same > 0;
	return rc == FL_OK ? fl_db_number(t->jobs->db, &strangers, 0, foreign, err) : rc;
}

/* The first device keeps the id that the operator was told; every row has one of its own. */
static enum fl_rc choose_id(struct taking *t, struct fl_err *err)
{
	bool taken = false;
	uint64_t foreign = 0;
	enum fl_rc rc = count_rows(t, &t->ours, &taken, &foreign, err);
	if (rc != FL_OK)
		return rc;
	if (!t->ours && foreign >= FOREIGN_MAX)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "more than %d jobs that the fleet did not sign",
			       FOREIGN_MAX);
	if (!t->ours || taken)
		return fl_uuid_new(t->id, err);
	snprintf(t->id, FL_JOBS_ID_SIZE, "%s", t->report->job_id);
	return FL_OK;
}

static enum fl_rc take_job_seq(struct taking *t, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(t->device_id)};
	struct fl_db_query query = {
		"UPDATE devices SET job_seq = job_seq + 1 WHERE device_id = $1 RETURNING job_seq", params,
		1, NULL, NULL};
	return fl_db_number(t->jobs->db, &query, 0, &t->job_seq, err);
}

/* Of a job that was signed elsewhere nothing is known but what the device says. */
static enum fl_rc insert_row(struct taking *t, struct fl_err *err)
{
	const struct fl_report *r = t->report;
	return fl_db_run(
		t->jobs->db,
		"INSERT INTO jobs (job_id, device_id, job_seq, intent, release, version, digest, envelope,"
		" state, final, report_seq, created, updated, offline_id, offline_seq)"
		" SELECT $1, $2, $3, '" INTENT "', o.release, o.version, coalesce(o.digest, ''),"
		" coalesce(o.envelope, ''), '" FL_JOBS_QUEUED "', 0, 0, $4, $4, $5, $6"
		" FROM (SELECT 1) AS one LEFT JOIN offline_jobs o ON o.job_id = $7",
		FL_DB_PARAMS(fl_db_str(t->id), fl_db_str(t->device_id), fl_db_num(t->job_seq),
			     fl_db_num((uint64_t)fl_clock_wall_s(t->jobs->clock)),
			     fl_db_str(r->job_id), fl_db_num(r->offline_seq),
			     fl_db_str(t->ours ? r->job_id : NULL)),
		err);
}

enum fl_rc fl_jobs_take_up(struct fl_jobs *jobs, const char *device_id, const struct fl_report *report,
			   char ret_id[FL_JOBS_ID_SIZE], struct fl_err *err)
{
	struct taking t = {.jobs = jobs, .device_id = device_id, .report = report, .id = ret_id};
	enum fl_rc rc = find_row(&t, err);
	if (rc != FL_OK || t.id[0] != '\0')
		return rc;
	rc = choose_id(&t, err);
	if (rc == FL_OK)
		rc = take_job_seq(&t, err);
	return rc == FL_OK ? insert_row(&t, err) : rc;
}
