/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the store: the connection, its statements, transactions, the ballast. */
#ifndef FAIRLEAD_STORE_SRC_DB_H
#define FAIRLEAD_STORE_SRC_DB_H

#include <fairlead/store/store.h>

#include <limits.h>
#include <sqlite3.h>

#define STORE_PAGE_SIZE 1024

enum store_stmt {
#define STATEMENT(name, sql) STORE_##name,
#include "statements.def"
#undef STATEMENT
	STORE_N_STATEMENTS
};

struct fl_store {
	sqlite3 *sql;
	sqlite3_stmt *statements[STORE_N_STATEMENTS];
	int fd; /* of state.db, to reserve room; it stays open as long as sql, see query.c */
	uint64_t pages;	       /* of the database, as committed */
	bool grows;	       /* the last transaction makes, or would have made, it larger */
	bool ballast;	       /* the file stands */
	unsigned ballast_wait; /* changes until it is tried again */
	char dir[PATH_MAX];
	char path[PATH_MAX]; /* dir/state.db */
};

/* db.c: *created: it held nothing. On failure nothing stays open, and the files are as they were
 * found. */
enum fl_rc store_db_open(struct fl_store *store, bool *created, struct fl_err *err) FL_CHECKED;
void store_db_close(struct fl_store *store);
/* Runs statements without parameters and results. */
enum fl_rc store_exec(struct fl_store *store, const char *sql, struct fl_err *err) FL_CHECKED;
/* The failure a result code of SQLite stands for. */
enum fl_rc store_fail(sqlite3 *sql, int result, const char *what, struct fl_err *err);

/* ballast.c: 64 KiB that are given up when the disk is full. Neither fails: it is there or not. */
bool store_has_room(const struct fl_store *store); /* for a ballast and more */
void store_ballast_look(struct fl_store *store);   /* is it there? */
bool store_ballast_release(struct fl_store *store);
void store_ballast_make(struct fl_store *store, bool only_with_room);

/*
 * query.c: one use of a prepared statement. Parameters are bound in order and borrowed until
 * store_query_end; an error of a bind is kept for the first step.
 */
struct query {
	struct fl_store *store;
	sqlite3_stmt *stmt;
	int n_bound;
	int result;
};

struct query store_query(struct fl_store *store, enum store_stmt which);
void store_query_end(struct query *q);
#define STORE_QUERY(name, store, which)                                                            \
	FL_CLEANUP(store_query_end) struct query name = store_query(store, which)

void store_bind_u64(struct query *q, uint64_t value);
void store_bind_bytes(struct query *q, const void *data, size_t len);
/* *row: there is a row; its columns are valid until the next step. */
enum fl_rc store_step(struct query *q, bool *row, struct fl_err *err) FL_CHECKED;
/* To its end, rows are not looked at. */
enum fl_rc store_run(struct query *q, struct fl_err *err) FL_CHECKED;
/* False: the column holds another type, which only damage can bring about; *ret is then 0. */
bool store_column_u64(const struct query *q, int column, uint64_t *ret);
bool store_column_bytes(const struct query *q, int column, struct fl_bytes *ret);

/*
 * One transaction around change(): all of it durable, or nothing of it and an error. On a full disk
 * the ballast is given up and change() called a second time. Where neither ballast nor room is
 * left, the database may be changed but not made larger: the last blocks are for the write-ahead
 * log.
 */
typedef enum fl_rc store_change_fn(struct fl_store *store, void *arg, struct fl_err *err);
enum fl_rc store_change(struct fl_store *store, store_change_fn *change, void *arg,
			struct fl_err *err) FL_CHECKED;

#endif
