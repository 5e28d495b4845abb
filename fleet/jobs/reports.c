/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What devices report. A report counts only with the device key's signature; everything it changes lies in the batch, and is
 * published and acknowledged when the batch is durable.
 */
#include "jobs/jobs.h"

#include "registry/components.h"

#include <fairlead/base/job_state.h>
#include <fairlead/trust/digest.h>
#include <fairlead/trust/verify.h>

#include <stdio.h>
#include <string.h>

#define REFUSED	      "refused"
#define INVENTORY_MAX ((size_t)64 * 1024)

struct received {
	struct fl_jobs *jobs;
	const char *device_id;
	struct fl_arena *arena;
	struct fl_report report;
	const char *envelope;
	struct fl_digest digest;
	uint64_t now;
};

/* Its job, as the database has it. */
struct standing {
	bool found, final;
	uint64_t report_seq;
};

enum fl_jobs_verdict fl_jobs_judge(bool final, uint64_t applied_seq, uint64_t report_seq)
{
	if (final)
		return FL_JOBS_OVER;
	return report_seq <= applied_seq ? FL_JOBS_LATE : FL_JOBS_MOVE;
}

static enum fl_rc event(struct received *r, const char *kind, const char *code, const char *text,
			struct fl_err *err)
{
	return fl_registry_event(r->jobs->registry, r->device_id, kind, code, text, err);
}

/* *news: it was not here before. The same number with other content is told, and changes nothing. */
static enum fl_rc keep(struct received *r, bool *news, struct fl_err *err)
{
	const struct fl_report *p = &r->report;
	char digest[FL_DIGEST_TEXT_SIZE];
	fl_digest_format(&r->digest, digest);
	const struct fl_db_value params[] = {
		fl_db_str(r->device_id), fl_db_num(p->report_seq), fl_db_str(digest),
		fl_db_str(p->job_id),	 fl_db_str(p->state),	   fl_db_str(p->reason),
		fl_db_str(p->text),	 fl_db_num(p->utc),	   fl_db_num(r->now),
		fl_db_str(r->envelope)};
	struct fl_db_query insert = {
		"INSERT INTO reports (device_id, report_seq, digest, job_id, state, reason, text, utc,"
		" received, envelope) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
		" ON CONFLICT (device_id, report_seq) DO NOTHING",
		params, 10, NULL, NULL};
	struct fl_db_query same = {"SELECT count(*) FROM reports WHERE device_id = $1 AND report_seq = $2"
				   " AND digest = $3",
				   params, 3, NULL, NULL};
	uint64_t changes = 0, n = 1;
	enum fl_rc rc = fl_db_change(r->jobs->db, &insert, &changes, err);
	if (rc == FL_OK && changes == 0)
		rc = fl_db_number(r->jobs->db, &same, 0, &n, err);
	if (rc == FL_OK && n == 0)
		rc = event(r, "report", fl_rc_name(FL_E_CONFLICT),
			   "another report with the number of an older one", err);
	*news = changes != 0;
	return rc;
}

static enum fl_rc take_standing(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	(void)err;
	struct standing *s = ctx;
	s->found = true;
	s->final = c[0].number != 0;
	s->report_seq = (uint64_t)c[1].number;
	return FL_OK;
}

static enum fl_rc find_job(struct received *r, struct standing *s, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(r->report.job_id), fl_db_str(r->device_id)};
	struct fl_db_query query = {
		"SELECT final, report_seq FROM jobs WHERE job_id = $1 AND device_id = $2", params, 2,
		take_standing, s};
	return fl_db_each(r->jobs->db, &query, err);
}

static enum fl_rc move_job(struct received *r, bool final, struct fl_err *err)
{
	const struct fl_report *p = &r->report;
	return fl_db_run(r->jobs->db,
			 "UPDATE jobs SET state = $1, final = $2, reason = $3, text = $4, until = $5,"
			 " next = $6, boot_log = $7, report_seq = $8, updated = $9 WHERE job_id = $10",
			 FL_DB_PARAMS(fl_db_str(p->state), fl_db_num(final), fl_db_str(p->reason),
				      fl_db_str(p->text),
				      p->until == 0 ? fl_db_str(NULL) : fl_db_num(p->until),
				      fl_db_str(p->next), fl_db_str(p->boot_log),
				      fl_db_num(p->report_seq), fl_db_num(r->now),
				      fl_db_str(p->job_id)),
			 err);
}

static enum fl_rc take_components(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct fl_buf *text = ctx;
	return c[0].type == FL_DB_TEXT ? fl_buf_append_str(text, c[0].text, err) : FL_OK;
}

/* A commit is the one report that tells what runs now. */
static enum fl_rc renew_inventory(struct received *r, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(r->device_id)};
	struct fl_buf text = FL_BUF(INVENTORY_MAX);
	struct fl_db_query query = {"SELECT components FROM devices WHERE device_id = $1", params, 1,
				    take_components, &text};
	struct fl_inventory inventory;
	enum fl_rc rc = fl_db_each(r->jobs->db, &query, err);
	if (rc == FL_OK)
		rc = fl_inventory_read(text.len == 0 ? NULL : fl_buf_str(&text), r->arena, &inventory,
				       err);
	if (rc == FL_OK)
		rc = fl_inventory_merge(&inventory, &r->report, r->arena, err);
	fl_buf_clear(&text);
	if (rc == FL_OK)
		rc = fl_inventory_write(&inventory, &text, err);
	if (rc == FL_OK)
		rc = fl_db_run(r->jobs->db, "UPDATE devices SET components = $1 WHERE device_id = $2",
			       FL_DB_PARAMS(fl_db_str(fl_buf_str(&text)), fl_db_str(r->device_id)), err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc set_last_error(struct received *r, const char *text, struct fl_err *err)
{
	return fl_db_run(r->jobs->db, "UPDATE devices SET last_error = $1 WHERE device_id = $2",
			 FL_DB_PARAMS(fl_db_str(text), fl_db_str(r->device_id)), err);
}

static enum fl_rc on_final(struct received *r, enum fl_job_state state, struct fl_err *err)
{
	const struct fl_report *p = &r->report;
	if (state == FL_JOB_COMMITTED) {
		enum fl_rc rc = set_last_error(r, NULL, err);
		return rc == FL_OK && p->components.n > 0 ? renew_inventory(r, err) : rc;
	}
	if (state == FL_JOB_CANCELLED)
		return FL_OK;
	char text[512];
	snprintf(text, sizeof(text), "%s: %s%s%s", p->state, p->reason == NULL ? "" : p->reason,
		 p->text == NULL ? "" : ": ", p->text == NULL ? "" : p->text);
	return set_last_error(r, text, err);
}

static void touch(struct fl_jobs *jobs, const char *job_id)
{
	for (size_t i = 0; i < jobs->n_touched; i++) {
		if (strcmp(jobs->touched[i], job_id) == 0)
			return;
	}
	FL_BUG_ON(jobs->n_touched == FL_JOBS_TOUCHED_MAX);
	snprintf(jobs->touched[jobs->n_touched++], FL_JOBS_ID_SIZE, "%s", job_id);
}

static enum fl_rc apply(struct received *r, struct fl_err *err)
{
	const struct fl_report *p = &r->report;
	enum fl_job_state state;
	struct standing s = {0};
	if (strcmp(p->state, REFUSED) == 0 || p->job_id == NULL)
		return event(r, REFUSED, p->reason, p->text, err);
	if (!fl_job_state_from_name(p->state, &state))
		return event(r, "report", fl_rc_name(FL_E_NOT_SUPPORTED), p->state, err);
	enum fl_rc rc = find_job(r, &s, err);
	if (rc != FL_OK)
		return rc;
	if (!s.found)
		return event(r, "report", fl_rc_name(FL_E_NOT_FOUND), p->job_id, err);
	if (fl_jobs_judge(s.final, s.report_seq, p->report_seq) != FL_JOBS_MOVE)
		return FL_OK;
	rc = move_job(r, fl_job_state_final(state), err);
	if (rc == FL_OK && fl_job_state_final(state))
		rc = on_final(r, state, err);
	if (rc == FL_OK)
		touch(r->jobs, p->job_id);
	return rc;
}

static enum fl_rc invalid(struct received *r, const struct fl_err *why, struct fl_err *err)
{
	return event(r, "report", fl_rc_name(FL_E_REPORT_INVALID), why->msg, err);
}

static enum fl_rc verify(struct received *r, const struct fl_pubkey *key, uint64_t announced,
			 struct fl_err *err)
{
	struct fl_envelope env;
	enum fl_rc rc = fl_envelope_parse(r->envelope, strlen(r->envelope), FL_DOC_REPORT, r->arena,
					  &env, err);
	if (rc == FL_OK)
		rc = fl_verify_report(key, r->device_id, &env, r->arena, &r->report, err);
	if (rc == FL_OK && r->report.report_seq != announced)
		rc = fl_fail(err, FL_E_REPORT_INVALID, 0, "announced with another number");
	return rc == FL_OK ? fl_envelope_digest(&env, &r->digest, err) : rc;
}

/* From here on the report speaks of the fleet's own row. */
static enum fl_rc take_up(struct received *r, struct fl_err *err)
{
	char id[FL_JOBS_ID_SIZE];
	if (r->report.offline_seq == 0 || r->report.job_id == NULL)
		return FL_OK;
	enum fl_rc rc = fl_jobs_take_up(r->jobs, r->device_id, &r->report, id, err);
	if (rc == FL_E_NOT_FOUND)
		return FL_OK; /* an event will say so */
	if (rc == FL_OK)
		r->report.job_id = fl_arena_copy(r->arena, id, strlen(id), err);
	return rc == FL_OK && r->report.job_id == NULL ? FL_E_NO_MEMORY : rc;
}

static enum fl_rc take(struct received *r, const struct fl_pubkey *key,
		       const struct fl_wire_report *message, struct fl_err *err)
{
	struct fl_err why;
	bool news = false;
	if (verify(r, key, message->report_seq, &why) != FL_OK)
		return invalid(r, &why, err);
	enum fl_rc rc = take_up(r, err);
	if (rc == FL_OK)
		rc = keep(r, &news, err);
	if (rc != FL_OK || !news)
		return rc;
	rc = fl_db_run(r->jobs->db,
		       "UPDATE devices SET report_seq = $1 WHERE device_id = $2 AND report_seq < $1",
		       FL_DB_PARAMS(fl_db_num(message->report_seq), fl_db_str(r->device_id)), err);
	return rc == FL_OK ? apply(r, err) : rc;
}

enum fl_rc fl_jobs_report(struct fl_jobs *jobs, const char *device_id,
			  const struct fl_pubkey *device_key, const struct fl_wire_report *message,
			  struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FL_JOBS_DOC_MEMORY);
	struct received r = {.jobs = jobs,
			     .device_id = device_id,
			     .arena = &arena,
			     .envelope = message->envelope,
			     .now = (uint64_t)fl_clock_wall_s(jobs->clock)};
	if (jobs->n_touched == FL_JOBS_TOUCHED_MAX)
		fl_db_batch_end(jobs->db, FL_OK);
	enum fl_rc rc = fl_db_batch(jobs->db, err);
	if (rc == FL_OK)
		rc = take(&r, device_key, message, err);
	fl_arena_free(&arena);
	return rc;
}

void fl_jobs_batch_end(struct fl_jobs *jobs, enum fl_rc rc)
{
	size_t n = jobs->n_touched;
	jobs->n_touched = 0;
	for (size_t i = 0; i < n && rc == FL_OK; i++)
		fl_bus_publish(jobs->bus,
			       &(struct fl_bus_event){FL_BUS_JOB_CHANGED, NULL, jobs->touched[i]});
}
