/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema, as the steps that lead to it. A step is never changed once released: add one. Times are seconds since 1970
 * UTC, digests their text, booleans 0 and 1.
 */
#include "db/db.h"

#include <stdlib.h>

static const char *const step_1[] = {
	"CREATE TABLE roots (version BIGINT PRIMARY KEY, digest TEXT NOT NULL, envelope TEXT NOT NULL,"
	" created BIGINT NOT NULL)",

	"CREATE TABLE tokens (digest TEXT PRIMARY KEY, name TEXT NOT NULL, created BIGINT NOT NULL)",

	"CREATE TABLE devices (device_id TEXT PRIMARY KEY, identity TEXT NOT NULL, revoked BIGINT NOT NULL,"
	" created BIGINT NOT NULL, enrolled BIGINT, last_seen BIGINT, job_seq BIGINT NOT NULL,"
	" report_seq BIGINT NOT NULL, product TEXT, class_id TEXT, hw_rev BIGINT, agent_version TEXT,"
	" root_version BIGINT, components TEXT, last_error TEXT)",

	"CREATE TABLE events (id INTEGER PRIMARY KEY, device_id TEXT NOT NULL, utc BIGINT NOT NULL,"
	" kind TEXT NOT NULL, code TEXT, text TEXT)",
	"CREATE INDEX events_of_device ON events (device_id, id)",

	"CREATE TABLE releases (digest TEXT PRIMARY KEY, product TEXT NOT NULL, version TEXT NOT NULL,"
	" created BIGINT NOT NULL, stored BIGINT NOT NULL, components TEXT NOT NULL, envelope TEXT NOT NULL)",

	"CREATE TABLE jobs (job_id TEXT PRIMARY KEY, device_id TEXT NOT NULL REFERENCES devices (device_id),"
	" job_seq BIGINT NOT NULL, intent TEXT NOT NULL, release TEXT, version TEXT, target TEXT,"
	" digest TEXT NOT NULL, envelope TEXT NOT NULL, state TEXT NOT NULL, final BIGINT NOT NULL,"
	" reason TEXT, text TEXT, until BIGINT, next TEXT, report_seq BIGINT NOT NULL,"
	" created BIGINT NOT NULL, updated BIGINT NOT NULL, UNIQUE (device_id, job_seq))",
	"CREATE INDEX jobs_undone ON jobs (device_id, final, job_seq)",
	"CREATE INDEX jobs_by_time ON jobs (created)",

	"CREATE TABLE reports (device_id TEXT NOT NULL, report_seq BIGINT NOT NULL, digest TEXT NOT NULL,"
	" job_id TEXT, state TEXT NOT NULL, reason TEXT, text TEXT, utc BIGINT NOT NULL,"
	" received BIGINT NOT NULL, envelope TEXT NOT NULL, PRIMARY KEY (device_id, report_seq))",
	"CREATE INDEX reports_of_job ON reports (job_id, report_seq)",

	"CREATE TABLE audit (seq BIGINT PRIMARY KEY, utc BIGINT NOT NULL, actor TEXT NOT NULL,"
	" action TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL, prev TEXT NOT NULL,"
	" hash TEXT NOT NULL)",
	NULL,
};

static const char *const step_2[] = {
	"CREATE INDEX reports_by_time ON reports (received)",
	NULL,
};

static const char *const step_3[] = {
	"ALTER TABLE jobs ADD COLUMN boot_log TEXT",
	NULL,
};

/*
 * What was signed for bundles, and its devices. A device that reports such a job, or one that an operator signed, has a row in
 * jobs from then on: offline_id is the job's own id, which is that of other devices, too.
 */
static const char *const step_4[] = {
	"CREATE TABLE offline_jobs (job_id TEXT PRIMARY KEY, offline_seq BIGINT NOT NULL UNIQUE,"
	" release TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL, envelope TEXT NOT NULL,"
	" created BIGINT NOT NULL)",
	"CREATE TABLE offline_devices (job_id TEXT NOT NULL REFERENCES offline_jobs (job_id),"
	" device_id TEXT NOT NULL, PRIMARY KEY (job_id, device_id))",
	"ALTER TABLE jobs ADD COLUMN offline_id TEXT",
	"ALTER TABLE jobs ADD COLUMN offline_seq BIGINT",
	"CREATE UNIQUE INDEX jobs_offline ON jobs (device_id, offline_id)",
	NULL,
};

static const char *const *const steps[] = {step_1, step_2, step_3, step_4};

#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

unsigned fl_db_schema_version(void)
{
	return N_STEPS;
}

static enum fl_rc apply(struct fl_db *db, uint64_t step, struct fl_err *err)
{
	enum fl_rc rc = fl_db_begin(db, err);
	if (rc != FL_OK)
		return rc;
	for (const char *const *sql = steps[step]; *sql != NULL && rc == FL_OK; sql++)
		rc = fl_db_run(db, *sql, NULL, 0, err);
	if (rc == FL_OK)
		rc = fl_db_run(db,
			       "INSERT INTO meta (name, value) VALUES ('schema', $1)"
			       " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
			       FL_DB_PARAMS(fl_db_num(step + 1)), err);
	return fl_db_end(db, rc, err);
}

enum fl_rc fl_db_migrate(struct fl_db *db, struct fl_err *err)
{
	static const char make[] =
		"CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)";
	uint64_t have = 0;
	struct fl_db_query version = {.sql = "SELECT value FROM meta WHERE name = 'schema'"};
	enum fl_rc rc = fl_db_run(db, make, NULL, 0, err);
	if (rc == FL_OK)
		rc = fl_db_number(db, &version, 0, &have, err);
	if (rc == FL_OK && have > N_STEPS)
		return fl_fail(err, FL_E_CONFIG, 0,
			       "the database has schema %llu, made by a newer version; this one knows %zu",
			       (unsigned long long)have, N_STEPS);
	for (uint64_t step = have; step < N_STEPS && rc == FL_OK; step++)
		rc = apply(db, step, err);
	return rc;
}
