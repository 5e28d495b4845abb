/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store behind the loop: operations run one after the other in the thread pool, in the order they were
 * submitted, and end on the loop. Nothing else touches struct fl_store once the loop runs.
 */
#ifndef FAIRLEAD_DAEMON_DB_H
#define FAIRLEAD_DAEMON_DB_H

#include <fairlead/store/store.h>

#include <uv.h>

struct fl_db_op {
	/* In the pool: touches only the store and its own operation. */
	enum fl_rc (*work)(struct fl_db_op *op, struct fl_store *store, struct fl_err *err);
	/* On the loop, exactly once. */
	void (*done)(struct fl_db_op *op, enum fl_rc rc, const struct fl_err *err);
	/* private */
	struct fl_db *db;
	struct fl_db_op *next;
	uv_work_t req;
	enum fl_rc rc;
	struct fl_err err;
};

struct fl_db {
	uv_loop_t *loop;
	struct fl_store *store; /* borrowed */
	struct fl_db_op *first, *last;
};

void fl_db_init(struct fl_db *db, uv_loop_t *loop, struct fl_store *store);
/* op: kept until done. */
void fl_db_submit(struct fl_db *db, struct fl_db_op *op);

#endif
