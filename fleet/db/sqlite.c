/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database seam on one SQLite file: WAL, synchronous=FULL (a commit is on the medium when it returns), statements
 * prepared once. The file is the server's own and yet not trusted: defensive mode, no functions out of the schema.
 */
#include "db/db.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENTS_MAX 128
#define COLUMNS_MAX    32
#define BUSY_MS	       5000

struct statement {
	const char *sql;
	sqlite3_stmt *stmt; /* owned */
	bool in_use;	    /* a row callback may run another statement, never this one again */
};

struct sqlite {
	sqlite3 *handle;
	struct statement statements[STATEMENTS_MAX];
	size_t n;
};

static enum fl_rc code_of(int status)
{
	switch (status & 0xff) {
	case SQLITE_FULL:
		return FL_E_NO_SPACE;
	case SQLITE_NOMEM:
		return FL_E_NO_MEMORY;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return FL_E_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return FL_E_CORRUPT;
	case SQLITE_CONSTRAINT:
		return FL_E_CONFLICT;
	case SQLITE_TOOBIG:
		return FL_E_TOO_LARGE;
	default:
		return FL_E_IO;
	}
}

static enum fl_rc failed(struct sqlite *db, int status, struct fl_err *err)
{
	return fl_fail(err, code_of(status), 0, "database: %s", sqlite3_errmsg(db->handle));
}

static enum fl_rc prepare(struct sqlite *db, const char *sql, struct statement **ret,
			  struct fl_err *err)
{
	for (size_t i = 0; i < db->n; i++) {
		if (db->statements[i].sql == sql) {
			FL_BUG_ON(db->statements[i].in_use);
			*ret = &db->statements[i];
			return FL_OK;
		}
	}
	FL_BUG_ON(db->n == STATEMENTS_MAX);
	sqlite3_stmt *stmt = NULL;
	int status = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
	if (status != SQLITE_OK)
		return failed(db, status, err);
	db->statements[db->n] = (struct statement){sql, stmt, false};
	*ret = &db->statements[db->n++];
	return FL_OK;
}

static int bind(sqlite3_stmt *stmt, int i, const struct fl_db_value *value)
{
	switch (value->type) {
	case FL_DB_INT:
		return sqlite3_bind_int64(stmt, i, value->number);
	case FL_DB_TEXT:
		return sqlite3_bind_text(stmt, i, value->text, -1, SQLITE_STATIC);
	case FL_DB_NULL:
		break;
	}
	return sqlite3_bind_null(stmt, i);
}

static enum fl_rc give_row(sqlite3_stmt *stmt, const struct fl_db_query *query, struct fl_err *err)
{
	struct fl_db_value columns[COLUMNS_MAX] = {0};
	int n = sqlite3_column_count(stmt);
	FL_BUG_ON(n > COLUMNS_MAX);
	for (int i = 0; i < n; i++) {
		switch (sqlite3_column_type(stmt, i)) {
		case SQLITE_INTEGER:
			columns[i].type = FL_DB_INT;
			columns[i].number = sqlite3_column_int64(stmt, i);
			break;
		case SQLITE_TEXT:
			columns[i].type = FL_DB_TEXT;
			columns[i].text = (const char *)sqlite3_column_text(stmt, i);
			break;
		default:
			break;
		}
	}
	return query->on_row(query->ctx, columns, err);
}

static enum fl_rc step_all(struct sqlite *db, sqlite3_stmt *stmt, const struct fl_db_query *query,
			   struct fl_err *err)
{
	for (;;) {
		int status = sqlite3_step(stmt);
		if (status == SQLITE_DONE)
			return FL_OK;
		if (status != SQLITE_ROW)
			return failed(db, status, err);
		if (query->on_row == NULL)
			continue;
		enum fl_rc rc = give_row(stmt, query, err);
		if (rc != FL_OK)
			return rc;
	}
}

static enum fl_rc run(void *self, const struct fl_db_query *query, uint64_t *changes,
		      struct fl_err *err)
{
	struct sqlite *db = self;
	struct statement *s = NULL;
	enum fl_rc rc = prepare(db, query->sql, &s, err);
	if (rc != FL_OK)
		return rc;
	FL_BUG_ON(s == NULL || (int)query->n_params != sqlite3_bind_parameter_count(s->stmt));
	for (size_t i = 0; i < query->n_params; i++) {
		int status = bind(s->stmt, (int)i + 1, &query->params[i]);
		if (status != SQLITE_OK)
			return failed(db, status, err);
	}
	s->in_use = true;
	rc = step_all(db, s->stmt, query, err);
	if (rc == FL_OK && changes != NULL)
		*changes = (uint64_t)sqlite3_changes64(db->handle);
	sqlite3_reset(s->stmt);
	sqlite3_clear_bindings(s->stmt);
	s->in_use = false;
	return rc;
}

static enum fl_rc begin(void *self, struct fl_err *err)
{
	return run(self, &(struct fl_db_query){.sql = "BEGIN IMMEDIATE"}, NULL, err);
}

static enum fl_rc commit(void *self, struct fl_err *err)
{
	return run(self, &(struct fl_db_query){.sql = "COMMIT"}, NULL, err);
}

static void rollback(void *self)
{
	struct sqlite *db = self;
	struct fl_err ignored; /* SQLite may have rolled back by itself */
	if (sqlite3_get_autocommit(db->handle) == 0 &&
	    run(self, &(struct fl_db_query){.sql = "ROLLBACK"}, NULL, &ignored) != FL_OK)
		FL_BUG_ON(sqlite3_get_autocommit(db->handle) == 0);
}

static void close_sqlite(void *self)
{
	struct sqlite *db = self;
	for (size_t i = 0; i < db->n; i++)
		sqlite3_finalize(db->statements[i].stmt);
	sqlite3_close_v2(db->handle);
	free(db);
}

static const struct fl_db_ops sqlite_ops = {run, begin, commit, rollback, close_sqlite};

static enum fl_rc expect_ok(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	(void)ctx;
	if (columns[0].type == FL_DB_TEXT && strcmp(columns[0].text, "ok") == 0)
		return FL_OK;
	return fl_fail(err, FL_E_CORRUPT, 0, "database: %s",
		       columns[0].type == FL_DB_TEXT ? columns[0].text : "damaged");
}

static enum fl_rc settle(struct sqlite *db, struct fl_err *err)
{
	static const char *const pragmas[] = {
		"PRAGMA journal_mode=WAL",  "PRAGMA synchronous=FULL",	   "PRAGMA foreign_keys=ON",
		"PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON",
	};
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]) && rc == FL_OK; i++)
		rc = run(db, &(struct fl_db_query){.sql = pragmas[i]}, NULL, err);
	struct fl_db_query check = {.sql = "PRAGMA quick_check(1)", .on_row = expect_ok};
	return rc == FL_OK ? run(db, &check, NULL, err) : rc;
}

enum fl_rc fl_db_open_sqlite(const char *path, struct fl_db *ret, struct fl_err *err)
{
	struct sqlite *db = calloc(1, sizeof(*db));
	if (db == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "database");
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int status = sqlite3_open_v2(path, &db->handle, flags, NULL);
	enum fl_rc rc = status == SQLITE_OK ? settle(db, err) : failed(db, status, err);
	struct fl_db made = {.ops = &sqlite_ops, .self = db};
	if (rc == FL_OK)
		rc = fl_db_migrate(&made, err);
	if (rc != FL_OK) {
		close_sqlite(db);
		return fl_wrap(err, rc, "open '%s'", path);
	}
	*ret = made;
	return FL_OK;
}
