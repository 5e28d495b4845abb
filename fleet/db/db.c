/* SPDX-License-Identifier: Apache-2.0 */
#include "db/db.h"

#include <fairlead/base/log.h>

void fl_db_close(struct fl_db *db)
{
	if (db->ops == NULL)
		return;
	fl_db_batch_end(db, FL_OK);
	db->ops->close(db->self);
	db->ops = NULL;
}

enum fl_rc fl_db_begin(struct fl_db *db, struct fl_err *err)
{
	FL_BUG_ON(db->tx == FL_DB_EXCLUSIVE);
	fl_db_batch_end(db, FL_OK);
	enum fl_rc rc = db->ops->begin(db->self, err);
	if (rc == FL_OK)
		db->tx = FL_DB_EXCLUSIVE;
	return rc;
}

enum fl_rc fl_db_commit(struct fl_db *db, struct fl_err *err)
{
	FL_BUG_ON(db->tx != FL_DB_EXCLUSIVE);
	enum fl_rc rc = db->ops->commit(db->self, err);
	if (rc != FL_OK)
		db->ops->rollback(db->self);
	db->tx = FL_DB_IDLE;
	return rc;
}

void fl_db_rollback(struct fl_db *db)
{
	if (db->tx != FL_DB_EXCLUSIVE)
		return;
	db->ops->rollback(db->self);
	db->tx = FL_DB_IDLE;
}

enum fl_rc fl_db_end(struct fl_db *db, enum fl_rc rc, struct fl_err *err)
{
	if (rc == FL_OK)
		return fl_db_commit(db, err);
	fl_db_rollback(db);
	return rc;
}

enum fl_rc fl_db_batch(struct fl_db *db, struct fl_err *err)
{
	FL_BUG_ON(db->tx == FL_DB_EXCLUSIVE);
	if (db->tx == FL_DB_BATCH)
		return FL_OK;
	enum fl_rc rc = db->ops->begin(db->self, err);
	if (rc == FL_OK)
		db->tx = FL_DB_BATCH;
	return rc;
}

void fl_db_batch_end(struct fl_db *db, enum fl_rc rc)
{
	if (db->tx != FL_DB_BATCH)
		return;
	struct fl_err err = {0};
	if (rc == FL_OK) {
		rc = db->ops->commit(db->self, &err);
		if (rc != FL_OK)
			fl_log_err(FL_LOG_ERROR, &err, "commit of a batch");
	}
	if (rc != FL_OK)
		db->ops->rollback(db->self);
	db->tx = FL_DB_IDLE;
	if (db->on_batch_end != NULL)
		db->on_batch_end(db->batch_ctx, rc);
}

enum fl_rc fl_db_change(struct fl_db *db, const struct fl_db_query *query, uint64_t *changes,
			struct fl_err *err)
{
	return db->ops->run(db->self, query, changes, err);
}

enum fl_rc fl_db_each(struct fl_db *db, const struct fl_db_query *query, struct fl_err *err)
{
	return db->ops->run(db->self, query, NULL, err);
}

enum fl_rc fl_db_run(struct fl_db *db, const char *sql, const struct fl_db_value *params,
		     size_t n_params, struct fl_err *err)
{
	struct fl_db_query query = {sql, params, n_params, NULL, NULL};
	return db->ops->run(db->self, &query, NULL, err);
}

static enum fl_rc take_number(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	(void)err;
	if (columns[0].type == FL_DB_INT)
		*(uint64_t *)ctx = (uint64_t)columns[0].number;
	return FL_OK;
}

enum fl_rc fl_db_number(struct fl_db *db, const struct fl_db_query *query, uint64_t fallback,
			uint64_t *ret, struct fl_err *err)
{
	uint64_t number = fallback;
	struct fl_db_query counting = *query;
	counting.on_row = take_number;
	counting.ctx = &number;
	enum fl_rc rc = db->ops->run(db->self, &counting, NULL, err);
	if (rc == FL_OK)
		*ret = number;
	return rc;
}
