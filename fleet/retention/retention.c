/* SPDX-License-Identifier: Apache-2.0 */
#include "retention/retention.h"

#include <fairlead/base/log.h>

#include <stdlib.h>
#include <string.h>

#define FIRST_MS     1000
#define NEXT_MS	     200
#define DAILY_MS     (UINT64_C(86400) * 1000)
#define REPORTS_MAX  UINT64_C(1000) /* of one turn */
#define CONTENTS_MAX UINT64_C(8)
#define ROOTS_MAX    ((size_t)64 * 1024 * 1024)

static enum fl_rc drop_reports(struct fl_retention *r, uint64_t now, uint64_t *n, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_num(now - r->reports_s), fl_db_num(REPORTS_MAX)};
	struct fl_db_query query = {
		"DELETE FROM reports WHERE (device_id, report_seq) IN"
		" (SELECT device_id, report_seq FROM reports WHERE received < $1 AND (job_id IS NULL OR"
		" job_id NOT IN (SELECT job_id FROM jobs WHERE final = 0)) ORDER BY received LIMIT $2)",
		params, 2, NULL, NULL};
	enum fl_rc rc = fl_db_begin(r->db, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_db_change(r->db, &query, n, err);
	return fl_db_end(r->db, rc, err);
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, FL_DIGEST_SIZE);
}

static bool is_used(void *ctx, const struct fl_digest *root)
{
	const struct fl_buf *roots = ctx;
	return roots->len > 0 && bsearch(root->b, roots->data, roots->len / FL_DIGEST_SIZE, FL_DIGEST_SIZE,
					 by_bytes) != NULL;
}

/* Open jobs name nothing that their release doesn't, and releases are never taken back. */
static enum fl_rc drop_contents(struct fl_retention *r, uint64_t now, uint64_t *n, struct fl_err *err)
{
	struct fl_buf roots = FL_BUF(ROOTS_MAX);
	const struct fl_blob_sweep sweep = {now - r->unused_s, CONTENTS_MAX, is_used, &roots};
	enum fl_rc rc = fl_releases_roots(r->releases, &roots, err);
	if (rc == FL_OK && roots.len > 0)
		qsort(roots.data, roots.len / FL_DIGEST_SIZE, FL_DIGEST_SIZE, by_bytes);
	if (rc == FL_OK)
		rc = r->blob->ops->sweep(r->blob->self, &sweep, n, err);
	fl_buf_free(&roots);
	return rc;
}

enum fl_rc fl_retention_turn(struct fl_retention *retention, bool *more, struct fl_err *err)
{
	const int64_t wall = fl_clock_wall_s(retention->clock);
	const uint64_t now = wall < 0 ? 0 : (uint64_t)wall;
	uint64_t n_reports = 0, n_contents = 0;
	enum fl_rc rc = FL_OK;
	if (retention->reports_s != 0 && now > retention->reports_s)
		rc = drop_reports(retention, now, &n_reports, err);
	if (rc == FL_OK && retention->unused_s != 0 && now > retention->unused_s)
		rc = drop_contents(retention, now, &n_contents, err);
	if (n_reports + n_contents > 0)
		fl_log(FL_LOG_INFO, "removed %llu old reports, %llu blobs and trees that no release names",
		       (unsigned long long)n_reports, (unsigned long long)n_contents);
	if (rc == FL_OK)
		*more = n_reports == REPORTS_MAX || n_contents == CONTENTS_MAX;
	return rc;
}

static void on_timer(uv_timer_t *timer)
{
	struct fl_retention *r = timer->data;
	struct fl_err err = {0};
	bool more = false;
	if (fl_retention_turn(r, &more, &err) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "remove what is old");
	uv_timer_start(timer, on_timer, more ? NEXT_MS : DAILY_MS, 0);
}

void fl_retention_start(struct fl_retention *retention, uv_loop_t *loop)
{
	FL_BUG_ON(uv_timer_init(loop, &retention->timer) != 0);
	retention->timer.data = retention;
	uv_timer_start(&retention->timer, on_timer, FIRST_MS, 0);
}

void fl_retention_stop(struct fl_retention *retention)
{
	uv_close((uv_handle_t *)&retention->timer, NULL);
}
