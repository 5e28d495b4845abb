/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `job`: one row per job, its id the smallest free number from 1. Table `document`: the
 * envelopes of job n are the rows 2n (job) and 2n + 1 (release), bound to the job by its key; a
 * job's next state leaves them alone.
 */
#include "db.h"
#include "job_row.h"
#include "sum.h"

#include <string.h>

#define ID_MAX	    4096 /* far above what FL_STORE_JOBS_MAX can reach */
#define DAMAGED_MAX 256	 /* dropped in one go; more are dropped the next time */

static uint64_t row_sum(uint64_t id, struct fl_bytes key, uint64_t seq, uint64_t final,
			struct fl_bytes body)
{
	uint64_t sum = store_sum_u64(store_sum("job"), id);
	sum = store_sum_bytes(sum, key.data, key.len);
	sum = store_sum_u64(store_sum_u64(sum, seq), final);
	return store_sum_bytes(sum, body.data, body.len);
}

static uint64_t document_sum(uint64_t id, struct fl_bytes key, struct fl_bytes text)
{
	uint64_t sum = store_sum_u64(store_sum("document"), id);
	sum = store_sum_bytes(sum, key.data, key.len);
	return store_sum_bytes(sum, text.data, text.len);
}

static struct fl_bytes key_of(const struct fl_store_job *job)
{
	return (struct fl_bytes){job->job.b, FL_DIGEST_SIZE};
}

static bool bytes_equal(struct fl_bytes a, struct fl_bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* ---- one document ---- */

/* *ret: its text, valid until the query ends; false when it is not there or not intact. */
static bool document_intact(const struct query *q, uint64_t id, struct fl_bytes key,
			    struct fl_bytes *ret)
{
	struct fl_bytes stored_key;
	uint64_t sum = 0;
	bool whole = store_column_bytes(q, 0, &stored_key) && store_column_bytes(q, 1, ret) &&
		     store_column_u64(q, 2, &sum);
	return whole && bytes_equal(stored_key, key) && sum == document_sum(id, key, *ret);
}

static enum fl_rc document_put(struct fl_store *store, uint64_t id, struct fl_bytes key,
			       const char *text, struct fl_err *err)
{
	struct fl_bytes new_text = {(const uint8_t *)text, strlen(text)};
	struct fl_bytes old_text;
	bool row = false;
	STORE_QUERY(get, store, STORE_DOCUMENT_GET);
	store_bind_u64(&get, id);
	enum fl_rc rc = store_step(&get, &row, err);
	if (rc != FL_OK)
		return rc;
	if (row && document_intact(&get, id, key, &old_text) && bytes_equal(old_text, new_text))
		return FL_OK;
	STORE_QUERY(put, store, STORE_DOCUMENT_PUT);
	store_bind_u64(&put, id);
	store_bind_bytes(&put, key.data, key.len);
	store_bind_bytes(&put, new_text.data, new_text.len);
	store_bind_u64(&put, document_sum(id, key, new_text));
	return store_run(&put, err);
}

static enum fl_rc document_load(struct fl_store *store, struct fl_arena *arena, uint64_t id,
				struct fl_bytes key, const char **ret, size_t *damaged,
				struct fl_err *err)
{
	struct fl_bytes text;
	bool row = false;
	STORE_QUERY(get, store, STORE_DOCUMENT_GET);
	store_bind_u64(&get, id);
	enum fl_rc rc = store_step(&get, &row, err);
	if (rc != FL_OK || !row)
		return rc;
	if (!document_intact(&get, id, key, &text)) {
		++*damaged;
		return FL_OK;
	}
	char *copy = fl_arena_copy(arena, text.data, text.len, err);
	if (copy == NULL)
		return err->rc;
	*ret = copy;
	return FL_OK;
}

/* ---- put ---- */

static enum fl_rc delete_by_id(struct fl_store *store, enum store_stmt which, uint64_t id,
			       struct fl_err *err)
{
	STORE_QUERY(q, store, which);
	store_bind_u64(&q, id);
	return store_run(&q, err);
}

static enum fl_rc delete_documents(struct fl_store *store, uint64_t id, struct fl_err *err)
{
	enum fl_rc rc = delete_by_id(store, STORE_DOCUMENT_DELETE, 2 * id, err);
	return rc == FL_OK ? delete_by_id(store, STORE_DOCUMENT_DELETE, 2 * id + 1, err) : rc;
}

static enum fl_rc delete_job(struct fl_store *store, uint64_t id, struct fl_err *err)
{
	enum fl_rc rc = delete_by_id(store, STORE_JOB_DELETE, id, err);
	return rc == FL_OK && id <= ID_MAX ? delete_documents(store, id, err) : rc;
}

static enum fl_rc free_id(struct fl_store *store, uint64_t *ret, struct fl_err *err)
{
	uint64_t free = 1;
	bool row = true;
	STORE_QUERY(q, store, STORE_JOB_IDS);
	for (;;) {
		uint64_t id = 0;
		enum fl_rc rc = store_step(&q, &row, err);
		if (rc != FL_OK)
			return rc;
		if (!row || (store_column_u64(&q, 0, &id) && (int64_t)id > (int64_t)free))
			break;
		free = id == free ? free + 1 : free;
	}
	*ret = free;
	return FL_OK;
}

struct put {
	const struct fl_store_job *job;
	struct job_body body;
	uint64_t id; /* 0: the job is new */
	bool same;   /* its row says all this already */
};

static struct fl_bytes body_of(const struct put *p)
{
	return (struct fl_bytes){p->body.data, p->body.len};
}

static uint64_t sum_of(const struct put *p)
{
	return row_sum(p->id, key_of(p->job), p->job->job_seq, fl_job_state_final(p->job->state),
		       body_of(p));
}

static enum fl_rc find(struct fl_store *store, struct put *p, struct fl_err *err)
{
	struct fl_bytes body;
	uint64_t sum = 0;
	bool row = false;
	STORE_QUERY(q, store, STORE_JOB_FIND);
	store_bind_bytes(&q, p->job->job.b, FL_DIGEST_SIZE);
	enum fl_rc rc = store_step(&q, &row, err);
	p->id = 0;
	p->same = false;
	if (rc != FL_OK || !row)
		return rc;
	(void)store_column_u64(&q, 0, &p->id);
	if (p->id > ID_MAX)
		p->id = 0; /* a damaged row, to be dropped when loaded: another one is made */
	p->same = p->id != 0 && store_column_bytes(&q, 1, &body) && bytes_equal(body, body_of(p)) &&
		  store_column_u64(&q, 2, &sum) && sum == sum_of(p);
	return FL_OK;
}

static enum fl_rc put_row(struct fl_store *store, const struct put *p, struct fl_err *err)
{
	STORE_QUERY(q, store, STORE_JOB_PUT);
	store_bind_u64(&q, p->id);
	store_bind_bytes(&q, p->job->job.b, FL_DIGEST_SIZE);
	store_bind_u64(&q, p->job->job_seq);
	store_bind_u64(&q, fl_job_state_final(p->job->state));
	store_bind_bytes(&q, p->body.data, p->body.len);
	store_bind_u64(&q, sum_of(p));
	return store_run(&q, err);
}

static enum fl_rc ask_u64(struct query *q, bool *row, uint64_t *ret, struct fl_err *err)
{
	enum fl_rc rc = store_step(q, row, err);
	if (rc == FL_OK && *row)
		(void)store_column_u64(q, 0, ret);
	return rc;
}

/* Drops the oldest final jobs until the limit holds; `keep` stays. */
static enum fl_rc evict(struct fl_store *store, uint64_t keep, struct fl_err *err)
{
	for (;;) {
		uint64_t n = 0;
		uint64_t oldest = 0;
		bool row = false;
		STORE_QUERY(count, store, STORE_JOB_COUNT);
		enum fl_rc rc = ask_u64(&count, &row, &n, err);
		if (rc != FL_OK || n <= FL_STORE_JOBS_MAX)
			return rc;
		STORE_QUERY(find_oldest, store, STORE_JOB_OLDEST_FINAL);
		store_bind_u64(&find_oldest, keep);
		rc = ask_u64(&find_oldest, &row, &oldest, err);
		store_query_end(&find_oldest);
		if (rc == FL_OK && !row)
			return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d open jobs",
				       FL_STORE_JOBS_MAX);
		if (rc == FL_OK)
			rc = delete_job(store, oldest, err);
		if (rc != FL_OK)
			return rc;
	}
}

static enum fl_rc add_new(struct fl_store *store, struct put *p, struct fl_err *err)
{
	enum fl_rc rc = free_id(store, &p->id, err);
	if (rc == FL_OK)
		rc = delete_documents(store, p->id, err);
	if (rc == FL_OK)
		rc = put_row(store, p, err);
	return rc == FL_OK ? evict(store, p->id, err) : rc;
}

static enum fl_rc put(struct fl_store *store, void *arg, struct fl_err *err)
{
	struct put *p = arg;
	enum fl_rc rc = find(store, p, err);
	if (rc == FL_OK && p->id == 0)
		rc = add_new(store, p, err);
	else if (rc == FL_OK && !p->same)
		rc = put_row(store, p, err);
	if (rc == FL_OK && p->job->job_envelope != NULL)
		rc = document_put(store, 2 * p->id, key_of(p->job), p->job->job_envelope, err);
	if (rc == FL_OK && p->job->release_envelope != NULL)
		rc = document_put(store, 2 * p->id + 1, key_of(p->job), p->job->release_envelope,
				  err);
	return rc;
}

static bool too_long(const char *envelope)
{
	return envelope != NULL &&
	       strnlen(envelope, FL_STORE_DOCUMENT_MAX + 1) > FL_STORE_DOCUMENT_MAX;
}

enum fl_rc fl_store_job_put(struct fl_store *store, const struct fl_store_job *job,
			    struct fl_err *err)
{
	struct put p = {.job = job};
	if (too_long(job->job_envelope) || too_long(job->release_envelope))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "save job: envelope over %zu bytes",
			       FL_STORE_DOCUMENT_MAX);
	if (job->job_seq > INT64_MAX)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "save job: job_seq");
	store_job_encode(job, &p.body);
	enum fl_rc rc = store_change(store, put, &p, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "save job");
}

/* ---- load ---- */

struct load {
	struct fl_arena *arena;
	struct fl_store_job *jobs; /* room for FL_STORE_JOBS_MAX, or as many as there are */
	uint64_t ids[FL_STORE_JOBS_MAX];
	size_t n;
	size_t room;
	uint64_t bad_ids[DAMAGED_MAX];
	size_t n_bad;
	size_t damaged;
};

static bool row_intact(const struct query *q, uint64_t *id, struct fl_store_job *job)
{
	struct fl_bytes key;
	struct fl_bytes body;
	uint64_t final = 0;
	uint64_t sum = 0;
	bool whole = store_column_u64(q, 0, id) && store_column_bytes(q, 1, &key) &&
		     store_column_u64(q, 2, &job->job_seq) && store_column_u64(q, 3, &final) &&
		     store_column_bytes(q, 4, &body) && store_column_u64(q, 5, &sum);
	if (!whole || key.len != FL_DIGEST_SIZE || *id == 0 || *id > ID_MAX ||
	    sum != row_sum(*id, key, job->job_seq, final, body))
		return false;
	memcpy(job->job.b, key.data, FL_DIGEST_SIZE);
	return store_job_decode(body, job);
}

static enum fl_rc load_rows(struct fl_store *store, struct load *l, struct fl_err *err)
{
	bool row = false;
	STORE_QUERY(q, store, STORE_JOBS);
	for (;;) {
		enum fl_rc rc = store_step(&q, &row, err);
		if (rc != FL_OK || !row)
			return rc;
		uint64_t id = 0;
		struct fl_store_job job = {0};
		if (row_intact(&q, &id, &job) && l->n < l->room) {
			l->ids[l->n] = id;
			l->jobs[l->n++] = job;
			continue;
		}
		l->damaged++;
		if (l->n_bad < DAMAGED_MAX)
			l->bad_ids[l->n_bad++] = id;
	}
}

static enum fl_rc load_documents(struct fl_store *store, struct load *l, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < l->n; i++) {
		struct fl_store_job *job = &l->jobs[i];
		rc = document_load(store, l->arena, 2 * l->ids[i], key_of(job), &job->job_envelope,
				   &l->damaged, err);
		if (rc == FL_OK)
			rc = document_load(store, l->arena, 2 * l->ids[i] + 1, key_of(job),
					   &job->release_envelope, &l->damaged, err);
	}
	return rc;
}

static enum fl_rc drop_bad(struct fl_store *store, void *arg, struct fl_err *err)
{
	const struct load *l = arg;
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < l->n_bad; i++)
		rc = delete_job(store, l->bad_ids[i], err);
	return rc;
}

static enum fl_rc load(struct fl_store *store, struct load *l, struct fl_err *err)
{
	uint64_t n = 0;
	bool row = false;
	STORE_QUERY(count, store, STORE_JOB_COUNT);
	enum fl_rc rc = ask_u64(&count, &row, &n, err);
	if (rc != FL_OK)
		return rc;
	l->room = n > FL_STORE_JOBS_MAX ? FL_STORE_JOBS_MAX : (size_t)n;
	l->jobs = fl_arena_alloc(l->arena, l->room * sizeof(*l->jobs), err);
	if (l->jobs == NULL)
		return err->rc;
	rc = load_rows(store, l, err);
	return rc == FL_OK ? load_documents(store, l, err) : rc;
}

enum fl_rc fl_store_jobs(struct fl_store *store, struct fl_arena *arena, struct fl_store_job **ret,
			 size_t *n, size_t *damaged, struct fl_err *err)
{
	struct fl_err local;
	struct fl_err *e = err == NULL ? &local : err; /* the arena's failures are told by it */
	struct load l = {.arena = arena};
	enum fl_rc rc = load(store, &l, e);
	if (rc != FL_OK)
		return fl_wrap(e, rc, "load jobs");
	/* Where dropping fails (a full disk), the rows are left out all the same, now and the next
	 * time. */
	if (l.n_bad > 0)
		(void)!store_change(store, drop_bad, &l, NULL);
	*ret = l.jobs;
	*n = l.n;
	*damaged = l.damaged;
	return FL_OK;
}
