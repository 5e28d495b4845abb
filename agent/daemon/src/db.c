/* SPDX-License-Identifier: Apache-2.0 */
#include "db.h"

void fl_db_init(struct fl_db *db, uv_loop_t *loop, struct fl_store *store)
{
	*db = (struct fl_db){.loop = loop, .store = store};
}

static void start_first(struct fl_db *db);

static void in_pool(uv_work_t *req)
{
	struct fl_db_op *op = req->data;
	op->rc = op->work(op, op->db->store, &op->err);
}

static void on_worked(uv_work_t *req, int status)
{
	struct fl_db_op *op = req->data;
	struct fl_db *db = op->db;
	FL_BUG_ON(status != 0 || db->first != op);
	db->first = op->next;
	if (db->first == NULL)
		db->last = NULL;
	else
		start_first(db);
	op->done(op, op->rc, &op->err);
}

static void start_first(struct fl_db *db)
{
	struct fl_db_op *op = db->first;
	op->req.data = op;
	op->err = (struct fl_err){0};
	FL_BUG_ON(uv_queue_work(db->loop, &op->req, in_pool, on_worked) != 0);
}

void fl_db_submit(struct fl_db *db, struct fl_db_op *op)
{
	op->db = db;
	op->next = NULL;
	if (db->last != NULL) {
		db->last->next = op;
		db->last = op;
		return;
	}
	db->first = db->last = op;
	start_first(db);
}
