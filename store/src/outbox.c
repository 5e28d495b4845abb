/* SPDX-License-Identifier: Apache-2.0 */
#include "db.h"
#include "sum.h"

#include <string.h>

static uint64_t row_sum(uint64_t seq, uint64_t final, struct fl_bytes envelope)
{
	uint64_t sum = store_sum_u64(store_sum_u64(store_sum("outbox"), seq), final);
	return store_sum_bytes(sum, envelope.data, envelope.len);
}

#define SHED 4 /* reports dropped for one that finds no room */

struct report {
	uint64_t seq;
	uint64_t final;
	struct fl_bytes envelope;
	bool shed;
};

/* The columns from `first` on are final, envelope, sum. */
static bool intact(const struct query *q, int first, struct report *r)
{
	uint64_t sum = 0;
	bool whole = store_column_u64(q, first, &r->final) &&
		     store_column_bytes(q, first + 1, &r->envelope) &&
		     store_column_u64(q, first + 2, &sum);
	return whole && sum == row_sum(r->seq, r->final, r->envelope);
}

static enum fl_rc stored_already(struct fl_store *store, const struct report *r, bool *ret,
				 struct fl_err *err)
{
	struct report old = {.seq = r->seq};
	bool row = false;
	STORE_QUERY(q, store, STORE_OUTBOX_GET);
	store_bind_u64(&q, r->seq);
	enum fl_rc rc = store_step(&q, &row, err);
	if (rc == FL_OK)
		*ret = row && intact(&q, 0, &old) && old.final == r->final &&
		       old.envelope.len == r->envelope.len &&
		       memcmp(old.envelope.data, r->envelope.data, old.envelope.len) == 0;
	return rc;
}

static enum fl_rc put(struct fl_store *store, const struct report *r, struct fl_err *err)
{
	STORE_QUERY(q, store, STORE_OUTBOX_PUT);
	store_bind_u64(&q, r->seq);
	store_bind_u64(&q, r->final);
	store_bind_bytes(&q, r->envelope.data, r->envelope.len);
	store_bind_u64(&q, row_sum(r->seq, r->final, r->envelope));
	return store_run(&q, err);
}

static enum fl_rc shed(struct fl_store *store, const struct report *r, struct fl_err *err)
{
	STORE_QUERY(q, store, STORE_OUTBOX_SHED);
	store_bind_u64(&q, r->seq);
	store_bind_u64(&q, SHED);
	return store_run(&q, err);
}

static enum fl_rc add(struct fl_store *store, void *arg, struct fl_err *err)
{
	const struct report *r = arg;
	bool same = false;
	enum fl_rc rc = stored_already(store, r, &same, err);
	if (rc != FL_OK || same)
		return rc;
	if (r->shed)
		rc = shed(store, r, err);
	if (rc == FL_OK)
		rc = put(store, r, err);
	if (rc != FL_OK)
		return rc;
	STORE_QUERY(trim, store, STORE_OUTBOX_TRIM);
	store_bind_u64(&trim, FL_STORE_OUTBOX_MAX);
	return store_run(&trim, err);
}

enum fl_rc fl_store_outbox_add(struct fl_store *store, uint64_t report_seq, bool final,
			       const char *envelope, struct fl_err *err)
{
	size_t len = strnlen(envelope, FL_STORE_REPORT_MAX + 1);
	struct report r = {report_seq, final, {(const uint8_t *)envelope, len}, false};
	if (len > FL_STORE_REPORT_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "save report: over %zu bytes",
			       FL_STORE_REPORT_MAX);
	if (report_seq > INT64_MAX)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "save report: report_seq");
	enum fl_rc rc = store_change(store, add, &r, err);
	if (rc == FL_E_NO_SPACE) {
		r.shed = true;
		rc = store_change(store, add, &r, err);
	}
	return rc == FL_OK ? rc : fl_wrap(err, rc, "save report");
}

static enum fl_rc drop(struct fl_store *store, void *arg, struct fl_err *err)
{
	STORE_QUERY(q, store, STORE_OUTBOX_DELETE);
	store_bind_u64(&q, *(const uint64_t *)arg);
	return store_run(&q, err);
}

/* One look: *good tells whether r's row is intact; its envelope is then in `envelope`. */
static enum fl_rc look(struct fl_store *store, uint64_t after, struct report *r, bool *good,
		       struct fl_buf *envelope, struct fl_err *err)
{
	bool row = false;
	STORE_QUERY(q, store, STORE_OUTBOX_NEXT);
	store_bind_u64(&q, after);
	enum fl_rc rc = store_step(&q, &row, err);
	if (rc == FL_OK && !row)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no report");
	if (rc != FL_OK)
		return rc;
	*good = store_column_u64(&q, 0, &r->seq) && intact(&q, 1, r);
	if (!*good)
		return FL_OK;
	fl_buf_clear(envelope);
	return fl_buf_append(envelope, r->envelope.data, r->envelope.len, err);
}

enum fl_rc fl_store_outbox_next(struct fl_store *store, uint64_t after, uint64_t *report_seq,
				struct fl_buf *envelope, struct fl_err *err)
{
	/* Above every number there is: SQLite's integers are signed. */
	uint64_t from = after > INT64_MAX ? INT64_MAX : after;
	for (;;) {
		struct report r = {0};
		bool good = false;
		enum fl_rc rc = look(store, from, &r, &good, envelope, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "next report");
		if (good) {
			*report_seq = r.seq;
			return FL_OK;
		}
		/* Where dropping fails, it is passed over all the same, now and the next time. */
		(void)!store_change(store, drop, &r.seq, NULL);
		from = r.seq;
	}
}

static enum fl_rc ack(struct fl_store *store, void *arg, struct fl_err *err)
{
	STORE_QUERY(q, store, STORE_OUTBOX_ACK);
	store_bind_u64(&q, *(const uint64_t *)arg);
	return store_run(&q, err);
}

enum fl_rc fl_store_outbox_ack(struct fl_store *store, uint64_t report_seq, struct fl_err *err)
{
	uint64_t up_to = report_seq > INT64_MAX ? INT64_MAX : report_seq;
	enum fl_rc rc = store_change(store, ack, &up_to, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "drop acknowledged reports");
}
