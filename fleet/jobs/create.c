/* SPDX-License-Identifier: Apache-2.0 */
/* Making jobs: check what the server can know, take the next number, sign, keep: all in one transaction. */
#include "jobs/jobs.h"

#include "audit/audit.h"
#include "releases/compat.h"

#include <fairlead/trust/digest.h>

#include <stdio.h>
#include <string.h>

/* Intents that need a release, and those that need none. */
static const struct intent {
	const char *name;
	bool release;
} intents[] = {
	{"install", true}, {"rollback", true}, {"cancel", false}, {"inventory", false},
	{"collect_logs", false},
};

/* One job on its way into the database. */
struct making {
	struct fl_jobs *jobs;
	const struct fl_job_request *request;
	struct fl_arena arena; /* owned */
	struct fl_release release;
	struct fl_digest identity;
	struct fl_job_ref ref;
	struct fl_digest digest;
	struct fl_buf envelope; /* owned */
	uint64_t now;
};

static bool zero(const struct fl_digest *digest)
{
	return fl_digest_is_zero(digest);
}

enum fl_rc fl_jobs_check_expiry(uint64_t expires_s, struct fl_err *err)
{
	if (expires_s == 0 ||
	    (expires_s >= FL_JOBS_EXPIRES_MIN_S && expires_s <= FL_JOBS_EXPIRES_MAX_S))
		return FL_OK;
	return fl_fail(err, FL_E_BAD_REQUEST, 0, "expires_s must be %llu to %llu",
		       (unsigned long long)FL_JOBS_EXPIRES_MIN_S,
		       (unsigned long long)FL_JOBS_EXPIRES_MAX_S);
}

static enum fl_rc check_request(const struct fl_job_request *r, struct fl_err *err)
{
	const struct intent *intent = NULL;
	for (size_t i = 0; i < sizeof(intents) / sizeof(intents[0]); i++) {
		if (strcmp(intents[i].name, r->intent) == 0)
			intent = &intents[i];
	}
	if (intent == NULL)
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "no intent '%s'", r->intent);
	if (intent->release == zero(&r->release))
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "'%s' %s a release", r->intent,
			       intent->release ? "needs" : "takes no");
	if ((strcmp(r->intent, "cancel") == 0) == zero(&r->target))
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "a job is cancelled by its own request");
	return fl_jobs_check_expiry(r->expires_s, err);
}

/* A name that no component of the release has is an error of whoever asks. */
static enum fl_rc check_artifact(const struct making *m, struct fl_err *err)
{
	const char *id = m->request->artifact;
	bool known = id == NULL;
	for (size_t i = 0; i < m->release.components.n && !known; i++)
		known = fl_component_artifact(&m->release.components.items[i], id, NULL) != NULL;
	return known ? FL_OK : fl_fail(err, FL_E_BAD_REQUEST, 0, "the release has no artifact '%s'", id);
}

/* What runs on the device against what would come; what it runs is looked up for its permits_rollback_to. */
static enum fl_rc check_components(const struct fl_jobs_fit *fit, const struct fl_device *device,
				   struct fl_err *err)
{
	struct fl_inventory inventory;
	enum fl_rc rc = fl_inventory_read(device->components, fit->arena, &inventory, err);
	for (size_t i = 0; i < inventory.components.n && rc == FL_OK; i++) {
		const struct fl_wire_component *running = &inventory.components.items[i];
		const struct fl_component *next = fl_release_component(fit->release, running->name);
		struct fl_release committed;
		struct fl_err unknown;
		if (next == NULL)
			continue;
		bool known = !zero(&running->release) &&
			     fl_releases_decode(fit->jobs->releases, &running->release, fit->arena,
						&committed, &unknown) == FL_OK;
		rc = fl_compat_component(next, &fit->digest, running, known ? &committed : NULL,
					 err);
	}
	return rc;
}

static enum fl_rc on_device(void *ctx, const struct fl_device *device, struct fl_err *err)
{
	struct fl_jobs_fit *fit = ctx;
	if (!fl_digest_parse(device->identity, &fit->identity))
		return fl_fail(err, FL_E_CORRUPT, 0, "identity of '%s'", device->device_id);
	if (device->revoked)
		return fl_fail(err, FL_E_CONFLICT, 0, "'%s' is revoked", device->device_id);
	if (fit->release == NULL || fit->force)
		return FL_OK;
	enum fl_rc rc = fl_compat_device(fit->release, device, err);
	return rc == FL_OK ? check_components(fit, device, err) : rc;
}

enum fl_rc fl_jobs_fit_device(struct fl_jobs_fit *fit, const char *device_id, struct fl_err *err)
{
	return fl_registry_get(fit->jobs->registry, device_id, on_device, fit, err);
}

static enum fl_rc take_seq(struct making *m, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(m->request->device_id)};
	struct fl_db_query query = {
		"UPDATE devices SET job_seq = job_seq + 1 WHERE device_id = $1 RETURNING job_seq", params,
		1, NULL, NULL};
	return fl_db_number(m->jobs->db, &query, 0, &m->ref.job_seq, err);
}

static enum fl_rc sign(struct making *m, struct fl_err *err)
{
	const struct fl_job_request *r = m->request;
	const struct fl_root *root = &m->jobs->roots->current;
	const char *const urls[] = {m->jobs->base_url};
	uint64_t life = r->expires_s == 0 ? FL_JOBS_EXPIRES_S : r->expires_s;
	struct fl_job job = {
		.type = "job",
		.spec = 1,
		.tenant = FL_JOBS_TENANT,
		.device_id = r->device_id,
		.identity = m->identity,
		.epoch = root->epoch,
		.job_seq = m->ref.job_seq,
		.job_id = m->ref.job_id,
		.issued = m->now,
		.expires = m->now + life,
		.intent = r->intent,
		.release = r->release,
		.artifact = r->artifact,
		.urls = {urls, zero(&r->release) ? 0 : 1},
		.root_version = root->version,
		.target = r->target,
	};
	return fl_jobs_sign(m->jobs, &job, &m->envelope, &m->digest, err);
}

static enum fl_rc insert(struct making *m, struct fl_err *err)
{
	const struct fl_job_request *r = m->request;
	char release[FL_DIGEST_TEXT_SIZE], digest[FL_DIGEST_TEXT_SIZE];
	bool pinned = !zero(&r->release);
	fl_digest_format(&r->release, release);
	fl_digest_format(&m->digest, digest);
	return fl_db_run(
		m->jobs->db,
		"INSERT INTO jobs (job_id, device_id, job_seq, intent, release, version, target, digest,"
		" envelope, state, final, report_seq, created, updated)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, $11, $11)",
		FL_DB_PARAMS(fl_db_str(m->ref.job_id), fl_db_str(r->device_id),
			     fl_db_num(m->ref.job_seq), fl_db_str(r->intent),
			     fl_db_str(pinned ? release : NULL),
			     fl_db_str(pinned ? m->release.version : NULL), fl_db_str(r->target_id),
			     fl_db_str(digest), fl_db_str(fl_buf_str(&m->envelope)),
			     fl_db_str(FL_JOBS_QUEUED), fl_db_num(m->now)),
		err);
}

static enum fl_rc note(struct making *m, struct fl_err *err)
{
	const struct fl_job_request *r = m->request;
	char release[FL_DIGEST_TEXT_SIZE] = "", detail[384];
	if (!zero(&r->release))
		fl_digest_format(&r->release, release);
	snprintf(detail, sizeof(detail), "%s %s %s%s%s%s%s", r->device_id, r->intent,
		 r->target_id != NULL ? r->target_id : "", release,
		 r->artifact != NULL ? " artifact " : "", r->artifact != NULL ? r->artifact : "",
		 r->force ? " force" : "");
	struct fl_audit_entry entry = {m->now, r->actor, "job.create", m->ref.job_id, detail};
	return fl_audit_add(m->jobs->db, &entry, err);
}

static enum fl_rc make(struct making *m, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	if (!zero(&m->request->release))
		rc = fl_releases_decode(m->jobs->releases, &m->request->release, &m->arena, &m->release,
					err);
	struct fl_jobs_fit fit = {.jobs = m->jobs,
				  .arena = &m->arena,
				  .release = zero(&m->request->release) ? NULL : &m->release,
				  .digest = m->request->release,
				  .force = m->request->force};
	if (rc == FL_OK)
		rc = check_artifact(m, err);
	if (rc == FL_OK)
		rc = fl_jobs_fit_device(&fit, m->request->device_id, err);
	m->identity = fit.identity;
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

enum fl_rc fl_jobs_create(struct fl_jobs *jobs, const struct fl_job_request *request,
			  struct fl_job_ref *ret, struct fl_err *err)
{
	struct making m = {.jobs = jobs,
			   .request = request,
			   .arena = FL_ARENA(8 * FL_RELEASE_MEMORY),
			   .envelope = FL_BUF(FL_ENVELOPE_MAX),
			   .now = (uint64_t)fl_clock_wall_s(jobs->clock)};
	enum fl_rc rc = check_request(request, err);
	if (rc == FL_OK)
		rc = fl_db_begin(jobs->db, err);
	if (rc == FL_OK) {
		rc = make(&m, err);
		rc = fl_db_end(jobs->db, rc, err);
	}
	fl_arena_free(&m.arena);
	fl_buf_free(&m.envelope);
	if (rc != FL_OK)
		return rc;
	*ret = m.ref;
	fl_bus_publish(jobs->bus,
		       &(struct fl_bus_event){FL_BUS_JOB_NEW, request->device_id, m.ref.job_id});
	return FL_OK;
}

struct target {
	bool found, final, foreign;
	char device_id[FL_NAME_MAX + 1];
	struct fl_digest digest;
	bool is_cancel;
};

static enum fl_rc take_target(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct target *t = ctx;
	t->found = true;
	snprintf(t->device_id, sizeof(t->device_id), "%s", c[0].text);
	t->final = c[2].number != 0;
	t->is_cancel = strcmp(c[3].text, "cancel") == 0;
	t->foreign = c[1].text[0] == '\0';
	return t->foreign || fl_digest_parse(c[1].text, &t->digest) ? FL_OK
						      : fl_fail(err, FL_E_CORRUPT, 0, "a job's digest");
}

enum fl_rc fl_jobs_cancel(struct fl_jobs *jobs, const char *actor, const char *job_id,
			  struct fl_job_ref *ret, struct fl_err *err)
{
	struct target t = {0};
	const struct fl_db_value params[] = {fl_db_str(job_id)};
	struct fl_db_query query = {
		"SELECT device_id, digest, final, intent FROM jobs WHERE job_id = $1", params, 1,
		take_target, &t};
	enum fl_rc rc = fl_db_each(jobs->db, &query, err);
	if (rc != FL_OK)
		return rc;
	if (!t.found)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no job '%s'", job_id);
	if (t.foreign)
		return fl_fail(err, FL_E_CONFLICT, 0, "the job was signed elsewhere, the fleet lacks it");
	if (t.final || t.is_cancel)
		return fl_fail(err, FL_E_CONFLICT, 0, "the job is %s",
			       t.final ? "over" : "itself a cancel");
	struct fl_job_request request = {.actor = actor,
					 .device_id = t.device_id,
					 .intent = "cancel",
					 .target = t.digest,
					 .target_id = job_id};
	return fl_jobs_create(jobs, &request, ret, err);
}
