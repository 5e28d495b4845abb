/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database seam: statements in the SQL that SQLite and PostgreSQL share, with parameters $1, $2, … numbered in the order
 * in which they first appear. One thread. Behind it: SQLite (sqlite.c).
 *
 * A transaction is either exclusive (begin … commit, one act of one caller) or the *batch*: acts of many callers that
 * become durable together. Whoever begins an exclusive one ends the open batch first.
 */
#ifndef FLEET_DB_DB_H
#define FLEET_DB_DB_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>

enum fl_db_type { FL_DB_NULL, FL_DB_INT, FL_DB_TEXT };

struct fl_db_value {
	enum fl_db_type type;
	int64_t number;
	const char *text; /* borrowed for the call; ends with a zero byte in results */
};

static inline struct fl_db_value fl_db_num(uint64_t number)
{
	return (struct fl_db_value){FL_DB_INT, (int64_t)number, NULL};
}

/* NULL becomes SQL's NULL. */
static inline struct fl_db_value fl_db_str(const char *text)
{
	return (struct fl_db_value){text == NULL ? FL_DB_NULL : FL_DB_TEXT, 0, text};
}

/* Called per row; the columns are borrowed for the call. Anything but FL_OK ends the statement with that code. */
typedef enum fl_rc fl_db_row_fn(void *ctx, const struct fl_db_value *columns, struct fl_err *err);

struct fl_db_query {
	const char *sql; /* a string literal: statements are kept by its address */
	const struct fl_db_value *params;
	size_t n_params;
	fl_db_row_fn *on_row; /* NULL: rows are of no interest */
	void *ctx;
};

struct fl_db_ops {
	enum fl_rc (*run)(void *self, const struct fl_db_query *query, uint64_t *changes,
			  struct fl_err *err);
	enum fl_rc (*begin)(void *self, struct fl_err *err);
	enum fl_rc (*commit)(void *self, struct fl_err *err);
	void (*rollback)(void *self);
	void (*close)(void *self);
};

enum fl_db_tx { FL_DB_IDLE, FL_DB_EXCLUSIVE, FL_DB_BATCH };

struct fl_db {
	const struct fl_db_ops *ops;
	void *self;
	enum fl_db_tx tx;
	/* Told once per batch, after its commit (FL_OK) or its loss; must not use the database. */
	void (*on_batch_end)(void *ctx, enum fl_rc rc);
	void *batch_ctx;
};

#define FL_DB_PARAMS(...)                                                                          \
	(const struct fl_db_value[]){__VA_ARGS__},                                                 \
		sizeof((const struct fl_db_value[]){__VA_ARGS__}) / sizeof(struct fl_db_value)

/* Opens or makes the SQLite file, brings its schema up to date. *ret is filled on success; end with fl_db_close. */
enum fl_rc fl_db_open_sqlite(const char *path, struct fl_db *ret, struct fl_err *err) FL_CHECKED;
void fl_db_close(struct fl_db *db);

/* Brings the schema to the newest version (schema.c); FL_E_CONFIG when it is newer than this program. */
enum fl_rc fl_db_migrate(struct fl_db *db, struct fl_err *err) FL_CHECKED;
unsigned fl_db_schema_version(void);

enum fl_rc fl_db_begin(struct fl_db *db, struct fl_err *err) FL_CHECKED;
/* Durable on FL_OK. Rolled back otherwise. */
enum fl_rc fl_db_commit(struct fl_db *db, struct fl_err *err) FL_CHECKED;
void fl_db_rollback(struct fl_db *db);
/* Commits when rc is FL_OK, rolls back otherwise; the rc of the whole. */
enum fl_rc fl_db_end(struct fl_db *db, enum fl_rc rc, struct fl_err *err) FL_CHECKED;

/* Joins the batch, or opens it. */
enum fl_rc fl_db_batch(struct fl_db *db, struct fl_err *err) FL_CHECKED;
/* Ends an open batch: rc FL_OK commits it. Tells on_batch_end. */
void fl_db_batch_end(struct fl_db *db, enum fl_rc rc);

enum fl_rc fl_db_run(struct fl_db *db, const char *sql, const struct fl_db_value *params,
		     size_t n_params, struct fl_err *err) FL_CHECKED;
/* The same, counting the rows it changed. */
enum fl_rc fl_db_change(struct fl_db *db, const struct fl_db_query *query, uint64_t *changes,
			struct fl_err *err) FL_CHECKED;
enum fl_rc fl_db_each(struct fl_db *db, const struct fl_db_query *query, struct fl_err *err)
	FL_CHECKED;
/* The number in the first column of the last row; `fallback` when there is no row or it is NULL. */
enum fl_rc fl_db_number(struct fl_db *db, const struct fl_db_query *query, uint64_t fallback,
			uint64_t *ret, struct fl_err *err) FL_CHECKED;

#endif
