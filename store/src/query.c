/* SPDX-License-Identifier: Apache-2.0 */
#include "db.h"

#include <errno.h>
#include <fcntl.h>

struct query store_query(struct fl_store *store, enum store_stmt which)
{
	struct query q = {store, store->statements[which], 0, SQLITE_OK};
	(void)sqlite3_reset(q.stmt);
	return q;
}

void store_query_end(struct query *q)
{
	(void)sqlite3_reset(q->stmt);
	(void)sqlite3_clear_bindings(q->stmt);
}

void store_bind_u64(struct query *q, uint64_t value)
{
	int result = sqlite3_bind_int64(q->stmt, ++q->n_bound, (sqlite3_int64)value);
	q->result = q->result == SQLITE_OK ? result : q->result;
}

void store_bind_bytes(struct query *q, const void *data, size_t len)
{
	int result = sqlite3_bind_blob64(q->stmt, ++q->n_bound, len == 0 ? "" : data, len,
					 SQLITE_STATIC);
	q->result = q->result == SQLITE_OK ? result : q->result;
}

enum fl_rc store_step(struct query *q, bool *row, struct fl_err *err)
{
	int result = q->result == SQLITE_OK ? sqlite3_step(q->stmt) : q->result;
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		return store_fail(q->store->sql, result, sqlite3_sql(q->stmt), err);
	*row = result == SQLITE_ROW;
	return FL_OK;
}

enum fl_rc store_run(struct query *q, struct fl_err *err)
{
	bool row = true;
	enum fl_rc rc = FL_OK;
	while (rc == FL_OK && row)
		rc = store_step(q, &row, err);
	return rc;
}

bool store_column_u64(const struct query *q, int column, uint64_t *ret)
{
	*ret = 0;
	if (sqlite3_column_type(q->stmt, column) != SQLITE_INTEGER)
		return false;
	*ret = (uint64_t)sqlite3_column_int64(q->stmt, column);
	return true;
}

bool store_column_bytes(const struct query *q, int column, struct fl_bytes *ret)
{
	*ret = (struct fl_bytes){(const uint8_t *)"", 0};
	if (sqlite3_column_type(q->stmt, column) != SQLITE_BLOB)
		return false;
	const void *data = sqlite3_column_blob(q->stmt, column);
	if (data != NULL)
		*ret = (struct fl_bytes){data, (size_t)sqlite3_column_bytes(q->stmt, column)};
	return true;
}

static enum fl_rc run(struct fl_store *store, enum store_stmt which, struct fl_err *err)
{
	STORE_QUERY(q, store, which);
	return store_run(&q, err);
}

/*
 * A transaction that makes the database larger reserves the room in its file before it commits.
 * Otherwise the commit could find room in the log, the checkpoint none in the database, and the log
 * would have to grow for ever.
 */
static enum fl_rc reserve(struct fl_store *store, uint64_t *pages, struct fl_err *err)
{
	bool row = false;
	STORE_QUERY(q, store, STORE_PAGE_COUNT);
	enum fl_rc rc = store_step(&q, &row, err);
	if (rc != FL_OK)
		return rc;
	(void)store_column_u64(&q, 0, pages);
	store->grows = *pages > store->pages;
	if (!store->grows)
		return FL_OK;
	if (!store->ballast && !store_has_room(store))
		return fl_fail(err, FL_E_NO_SPACE, 0, "what is left is for what must be written");
	if (fallocate(store->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)(*pages * STORE_PAGE_SIZE)) == 0)
		return FL_OK;
	/* A file system without fallocate gives no promise. */
	int e = errno;
	bool matters = e == ENOSPC || e == EDQUOT || e == EIO;
	return matters ? fl_fail(err, fl_rc_from_errno(e), e, "reserve room") : FL_OK;
}

static enum fl_rc attempt(struct fl_store *store, store_change_fn *change, void *arg,
			  struct fl_err *err)
{
	uint64_t pages = store->pages;
	store->grows = false;
	enum fl_rc rc = run(store, STORE_BEGIN, err);
	if (rc == FL_OK)
		rc = change(store, arg, err);
	if (rc == FL_OK)
		rc = reserve(store, &pages, err);
	if (rc == FL_OK)
		rc = run(store, STORE_COMMIT, err);
	if (rc == FL_OK) {
		store->pages = pages;
		return FL_OK;
	}
	/* Some errors end the transaction themselves; what a failed ROLLBACK leaves, BEGIN tells.
	 */
	if (sqlite3_get_autocommit(store->sql) == 0)
		(void)run(store, STORE_ROLLBACK, NULL);
	return rc;
}

/* The log goes back to its start: what it holds already is room for the next change. */
static void reuse_log(struct fl_store *store)
{
	(void)sqlite3_wal_checkpoint_v2(store->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

enum fl_rc store_change(struct fl_store *store, store_change_fn *change, void *arg,
			struct fl_err *err)
{
	store_ballast_make(store, true);
	enum fl_rc rc = attempt(store, change, arg, err);
	/* Growth would be refused after all this as well. */
	if (rc != FL_E_NO_SPACE || store->grows)
		return rc;
	reuse_log(store);
	rc = attempt(store, change, arg, err);
	if (rc == FL_E_NO_SPACE && store_ballast_release(store)) {
		rc = attempt(store, change, arg, err);
		if (rc != FL_OK)
			store_ballast_make(store, false);
	}
	return rc;
}
