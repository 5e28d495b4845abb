/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as people see them: JSON for REST and server-sent events; what progress says lives in memory only. */
#include "jobs/jobs.h"

#include <fairlead/trust/json.h>

#include <stdio.h>
#include <string.h>

#define JOB_COLUMNS                                                                                \
	"job_id, CASE WHEN offline_id IS NULL THEN job_seq END, device_id, intent, release,"       \
	" version, state, reason, text, until, next, created, updated, final, target, offline_seq"

struct member {
	const char *name;
	int column;
};

static const struct member members[] = {
	{"job_id", 0},	{"job_seq", 1}, {"device_id", 2}, {"intent", 3},   {"release", 4},
	{"version", 5}, {"state", 6},	{"reason", 7},	  {"text", 8},	   {"until", 9},
	{"next", 10},	{"created", 11}, {"updated", 12}, {"target", 14},
	{"offline_seq", 15},
};

#define FINAL_COLUMN	13
#define BOOT_LOG_COLUMN 16 /* of one job that is shown with its history */

static size_t slot_of(const char *job_id)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (const char *c = job_id; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	return hash % FL_JOBS_PROGRESS_SLOTS;
}

static enum fl_rc take_id(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	(void)err;
	snprintf(ctx, FL_JOBS_ID_SIZE, "%s", c[0].text);
	return FL_OK;
}

/* The device's open job of that id, its own or the document's; *ret is "" when there is none. */
static enum fl_rc find_open(struct fl_jobs *jobs, const char *device_id, const char *job_id,
			    char ret[FL_JOBS_ID_SIZE])
{
	const struct fl_db_value params[] = {fl_db_str(job_id), fl_db_str(device_id)};
	struct fl_db_query query = {
		"SELECT job_id FROM jobs WHERE (job_id = $1 OR offline_id = $1) AND device_id = $2"
		" AND final = 0 LIMIT 1",
		params, 2, take_id, ret};
	struct fl_err err;
	ret[0] = '\0';
	return fl_db_each(jobs->db, &query, &err);
}

void fl_jobs_set_progress(struct fl_jobs *jobs, const char *device_id,
			  const struct fl_wire_progress *message)
{
	char job_id[FL_JOBS_ID_SIZE];
	if (find_open(jobs, device_id, message->job_id, job_id) != FL_OK || job_id[0] == '\0')
		return;
	struct fl_jobs_progress *p = &jobs->progress[slot_of(job_id)];
	*p = (struct fl_jobs_progress){.done_bytes = message->done_bytes,
				       .total_bytes = message->total_bytes,
				       .fetched_bytes = message->fetched_bytes,
				       .rate_bytes_s = message->rate_bytes_s};
	snprintf(p->job_id, sizeof(p->job_id), "%s", job_id);
	if (message->component != NULL)
		snprintf(p->component, sizeof(p->component), "%s", message->component);
	fl_bus_publish(jobs->bus, &(struct fl_bus_event){FL_BUS_JOB_CHANGED, NULL, job_id});
}

const struct fl_jobs_progress *fl_jobs_get_progress(const struct fl_jobs *jobs, const char *job_id)
{
	const struct fl_jobs_progress *p = &jobs->progress[slot_of(job_id)];
	return strcmp(p->job_id, job_id) == 0 ? p : NULL;
}

static enum fl_rc append_value(struct fl_buf *out, const struct fl_db_value *value,
			       struct fl_err *err)
{
	if (value->type == FL_DB_INT)
		return fl_buf_appendf(out, err, "%llu", (unsigned long long)value->number);
	return fl_json_append_string(out, value->text, err);
}

static enum fl_rc append_progress(const struct fl_jobs *jobs, const char *job_id,
				  struct fl_buf *out, struct fl_err *err)
{
	const struct fl_jobs_progress *p = fl_jobs_get_progress(jobs, job_id);
	if (p == NULL)
		return FL_OK;
	return fl_buf_appendf(out, err,
			      ",\"progress\":{%s%s%s\"done_bytes\":%llu,\"total_bytes\":%llu,"
			      "\"fetched_bytes\":%llu,\"rate_bytes_s\":%llu}",
			      p->component[0] == '\0' ? "" : "\"component\":\"", p->component,
			      p->component[0] == '\0' ? "" : "\",", (unsigned long long)p->done_bytes,
			      (unsigned long long)p->total_bytes, (unsigned long long)p->fetched_bytes,
			      (unsigned long long)p->rate_bytes_s);
}

/* The object without its last brace: history may follow. */
static enum fl_rc append_job(const struct fl_jobs *jobs, const struct fl_db_value *c,
			     struct fl_buf *out, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	bool first = true;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && rc == FL_OK; i++) {
		const struct fl_db_value *value = &c[members[i].column];
		if (value->type == FL_DB_NULL)
			continue;
		rc = fl_buf_appendf(out, err, "%s\"%s\":", first ? "{" : ",", members[i].name);
		if (rc == FL_OK)
			rc = append_value(out, value, err);
		first = false;
	}
	return rc == FL_OK ? append_progress(jobs, c[0].text, out, err) : rc;
}

struct listing {
	const struct fl_jobs *jobs;
	struct fl_buf *out;
	size_t n;
	bool history, final;
};

static enum fl_rc take_listed(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct listing *l = ctx;
	enum fl_rc rc = l->n++ == 0 ? FL_OK : fl_buf_append_str(l->out, ",", err);
	if (rc == FL_OK)
		rc = append_job(l->jobs, c, l->out, err);
	return rc == FL_OK ? fl_buf_append_str(l->out, "}", err) : rc;
}

enum fl_rc fl_jobs_list(struct fl_jobs *jobs, const struct fl_jobs_filter *filter,
			struct fl_buf *out, struct fl_err *err)
{
	struct listing l = {.jobs = jobs, .out = out};
	const struct fl_db_value params[] = {fl_db_str(filter->device_id), fl_db_str(filter->state),
					     fl_db_str(filter->after), fl_db_num(filter->limit)};
	struct fl_db_query query = {
		"SELECT " JOB_COLUMNS " FROM jobs WHERE ($1 IS NULL OR device_id = $1)"
		" AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR (created, job_id) <"
		" (SELECT created, job_id FROM jobs WHERE job_id = $3))"
		" ORDER BY created DESC, job_id DESC LIMIT $4",
		params, 4, take_listed, &l};
	enum fl_rc rc = fl_buf_append_str(out, "{\"jobs\":[", err);
	if (rc == FL_OK)
		rc = fl_db_each(jobs->db, &query, err);
	return rc == FL_OK ? fl_buf_append_str(out, "]}", err) : rc;
}

static enum fl_rc take_shown(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct listing *l = ctx;
	l->n++;
	l->final = c[FINAL_COLUMN].number != 0;
	enum fl_rc rc = append_job(l->jobs, c, l->out, err);
	if (rc != FL_OK || !l->history || c[BOOT_LOG_COLUMN].type == FL_DB_NULL)
		return rc;
	rc = fl_buf_append_str(l->out, ",\"boot_log\":", err);
	return rc == FL_OK ? append_value(l->out, &c[BOOT_LOG_COLUMN], err) : rc;
}

static enum fl_rc take_history(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	static const char *const names[] = {"utc", "received", "state", "reason", "text"};
	struct listing *l = ctx;
	enum fl_rc rc = fl_buf_append_str(l->out, l->n++ == 0 ? "{" : ",{", err);
	for (int i = 0; i < 5 && rc == FL_OK; i++) {
		if (c[i].type == FL_DB_NULL)
			continue;
		rc = fl_buf_appendf(l->out, err, "%s\"%s\":", i == 0 ? "" : ",", names[i]);
		if (rc == FL_OK)
			rc = append_value(l->out, &c[i], err);
	}
	return rc == FL_OK ? fl_buf_append_str(l->out, "}", err) : rc;
}

static enum fl_rc append_history(struct fl_jobs *jobs, const char *job_id, struct fl_buf *out,
				 struct fl_err *err)
{
	struct listing l = {.jobs = jobs, .out = out};
	const struct fl_db_value params[] = {fl_db_str(job_id)};
	struct fl_db_query query = {
		"SELECT r.utc, r.received, r.state, r.reason, r.text FROM reports r JOIN jobs j"
		" ON j.job_id = r.job_id AND j.device_id = r.device_id WHERE r.job_id = $1"
		" ORDER BY r.report_seq LIMIT 1000",
		params, 1, take_history, &l};
	enum fl_rc rc = fl_buf_append_str(out, ",\"history\":[", err);
	if (rc == FL_OK)
		rc = fl_db_each(jobs->db, &query, err);
	return rc == FL_OK ? fl_buf_append_str(out, "]", err) : rc;
}

enum fl_rc fl_jobs_show(struct fl_jobs *jobs, const char *job_id, bool history, struct fl_buf *out,
			bool *final, struct fl_err *err)
{
	struct listing l = {.jobs = jobs, .out = out, .history = history};
	const struct fl_db_value params[] = {fl_db_str(job_id)};
	struct fl_db_query query = {"SELECT " JOB_COLUMNS ", boot_log FROM jobs WHERE job_id = $1",
				    params, 1, take_shown, &l};
	enum fl_rc rc = fl_db_each(jobs->db, &query, err);
	if (rc == FL_OK && l.n == 0)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no job '%s'", job_id);
	if (rc == FL_OK && history)
		rc = append_history(jobs, job_id, out, err);
	if (rc == FL_OK)
		rc = fl_buf_append_str(out, "}", err);
	if (rc == FL_OK && final != NULL)
		*final = l.final;
	return rc;
}

static enum fl_rc take_next(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct fl_jobs_next *next = ctx;
	next->job_seq = (uint64_t)c[0].number;
	enum fl_rc rc = fl_buf_append_str(&next->envelope, c[1].text, err);
	if (rc == FL_OK && c[2].type == FL_DB_TEXT)
		rc = fl_buf_append_str(&next->release, c[2].text, err);
	return rc;
}

enum fl_rc fl_jobs_find_next(struct fl_jobs *jobs, const char *device_id, uint64_t after,
			     struct fl_jobs_next *ret, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(device_id), fl_db_num(after)};
	struct fl_db_query query = {
		"SELECT j.job_seq, j.envelope, r.envelope FROM jobs j LEFT JOIN releases r"
		" ON r.digest = j.release WHERE j.device_id = $1 AND j.final = 0 AND j.job_seq > $2"
		" AND j.offline_id IS NULL ORDER BY j.job_seq LIMIT 1",
		params, 2, take_next, ret};
	ret->job_seq = 0;
	fl_buf_clear(&ret->envelope);
	fl_buf_clear(&ret->release);
	return fl_db_each(jobs->db, &query, err);
}
