/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the database: settings whose answers are checked, format, quick_check, schema to the
 * letter, statements. FL_E_CORRUPT means: set it aside.
 */
#include "db.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define FORMAT 1 /* PRAGMA user_version */

/* The text of each object as sqlite_schema keeps it, by name. */
static const char *const schema[] = {
	"CREATE TABLE document(id INTEGER PRIMARY KEY, key BLOB NOT NULL, text BLOB NOT NULL,"
	" sum INTEGER NOT NULL) STRICT",
	"CREATE TABLE job(id INTEGER PRIMARY KEY, key BLOB NOT NULL, seq INTEGER NOT NULL,"
	" final INTEGER NOT NULL, body BLOB NOT NULL, sum INTEGER NOT NULL) STRICT",
	"CREATE TABLE number(id INTEGER PRIMARY KEY, name BLOB NOT NULL, value INTEGER NOT NULL,"
	" sum INTEGER NOT NULL) STRICT",
	"CREATE TABLE outbox(seq INTEGER PRIMARY KEY, final INTEGER NOT NULL,"
	" envelope BLOB NOT NULL, sum INTEGER NOT NULL) STRICT",
};

#define N_SCHEMA (sizeof(schema) / sizeof(schema[0]))

struct setting {
	const char *set;
	const char *get;
	const char *answer;
	enum fl_rc otherwise; /* what another answer means */
};

/* In this order: the lock must be exclusive before WAL is chosen, so that no shared memory file is
 * made. */
static const struct setting settings[] = {
	{"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA locking_mode", "exclusive", FL_E_NOT_SUPPORTED},
	{"PRAGMA page_size=1024", "PRAGMA page_size", "1024", FL_E_CORRUPT},
	{"PRAGMA journal_mode=WAL", "PRAGMA journal_mode", "wal", FL_E_NOT_SUPPORTED},
	{"PRAGMA synchronous=FULL", "PRAGMA synchronous", "2", FL_E_NOT_SUPPORTED},
	{"PRAGMA wal_autocheckpoint=32", "PRAGMA wal_autocheckpoint", "32", FL_E_NOT_SUPPORTED},
	{"PRAGMA journal_size_limit=65536", "PRAGMA journal_size_limit", "65536",
	 FL_E_NOT_SUPPORTED},
	{"PRAGMA mmap_size=0", "PRAGMA mmap_size", "0", FL_E_NOT_SUPPORTED},
	{"PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", "1", FL_E_NOT_SUPPORTED},
	{"PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", "0", FL_E_NOT_SUPPORTED},
	{"PRAGMA foreign_keys=ON", "PRAGMA foreign_keys", "1", FL_E_NOT_SUPPORTED},
	{"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", "2", FL_E_NOT_SUPPORTED},
	{"PRAGMA secure_delete=FAST", "PRAGMA secure_delete", "2", FL_E_NOT_SUPPORTED},
	{"PRAGMA cache_size=-512", "PRAGMA cache_size", "-512", FL_E_NOT_SUPPORTED},
	{"PRAGMA max_page_count=131072", "PRAGMA max_page_count", "131072", FL_E_CORRUPT},
};

static enum fl_rc io_failure(int result, int sys_errno)
{
	if (result == SQLITE_IOERR_NOMEM)
		return FL_E_NO_MEMORY;
	if (result == SQLITE_IOERR_SHORT_READ)
		return FL_E_CORRUPT;
	enum fl_rc rc = fl_rc_from_errno(sys_errno);
	return rc == FL_E_NO_SPACE ? rc : FL_E_IO;
}

/* SQLite tries to open a file read-only when making it failed, and that error hides the first. */
static enum fl_rc open_failure(sqlite3 *sql, int sys_errno)
{
	struct statvfs fs;
	const char *path = sql == NULL ? NULL : sqlite3_db_filename(sql, "main");
	enum fl_rc rc = sys_errno == 0 ? FL_E_IO : fl_rc_from_errno(sys_errno);
	if (rc != FL_E_NOT_FOUND)
		return rc;
	bool full = path != NULL && statvfs(path, &fs) == 0 &&
		    (fs.f_bavail < 16 || (fs.f_files != 0 && fs.f_favail == 0));
	return full ? FL_E_NO_SPACE : FL_E_IO;
}

static enum fl_rc failure(sqlite3 *sql, int result, int sys_errno)
{
	switch (result & 0xff) {
	case SQLITE_FULL:
		return FL_E_NO_SPACE;
	case SQLITE_NOMEM:
		return FL_E_NO_MEMORY;
	case SQLITE_IOERR:
		return io_failure(result, sys_errno);
	case SQLITE_CANTOPEN:
		return open_failure(sql, sys_errno);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_READONLY: /* says its header: open_fd could open it for writing */
		return FL_E_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return FL_E_BUSY;
	case SQLITE_TOOBIG:
		return FL_E_TOO_LARGE;
	default:
		return FL_E_INTERNAL;
	}
}

enum fl_rc store_fail(sqlite3 *sql, int result, const char *what, struct fl_err *err)
{
	int sys_errno = sql == NULL ? 0 : sqlite3_system_errno(sql);
	return fl_fail(err, failure(sql, result, sys_errno), 0, "%s: %s (%d)", what,
		       sql == NULL ? sqlite3_errstr(result) : sqlite3_errmsg(sql), result);
}

enum fl_rc store_exec(struct fl_store *store, const char *sql, struct fl_err *err)
{
	int result = sqlite3_exec(store->sql, sql, NULL, NULL, NULL);
	return result == SQLITE_OK ? FL_OK : store_fail(store->sql, result, sql, err);
}

/* The first column of the first row, "" when there is none. */
static enum fl_rc ask(struct fl_store *store, const char *sql, char out[64], struct fl_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int result = sqlite3_prepare_v2(store->sql, sql, -1, &stmt, NULL);
	out[0] = '\0';
	if (result == SQLITE_OK)
		result = sqlite3_step(stmt);
	if (result == SQLITE_ROW) {
		const unsigned char *text = sqlite3_column_text(stmt, 0);
		result = text == NULL ? SQLITE_NOMEM : SQLITE_DONE;
		if (text != NULL)
			sqlite3_snprintf(64, out, "%s", (const char *)text);
	}
	enum fl_rc rc = result == SQLITE_DONE ? FL_OK : store_fail(store->sql, result, sql, err);
	sqlite3_finalize(stmt);
	return rc;
}

static enum fl_rc apply(struct fl_store *store, const struct setting *s, struct fl_err *err)
{
	char answer[64];
	enum fl_rc rc = store_exec(store, s->set, err);
	if (rc == FL_OK)
		rc = ask(store, s->get, answer, err);
	if (rc == FL_OK && strcmp(answer, s->answer) != 0)
		rc = fl_fail(err, s->otherwise, 0, "%s: '%s' instead of '%s'", s->get, answer,
			     s->answer);
	return rc;
}

static enum fl_rc configure(struct fl_store *store, struct fl_err *err)
{
	static const int options[][2] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
					 {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
					 {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
					 {SQLITE_DBCONFIG_ENABLE_VIEW, 0}};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int result = sqlite3_db_config(store->sql, options[i][0], options[i][1], NULL);
		if (result != SQLITE_OK)
			return store_fail(store->sql, result, "configure", err);
	}
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		enum fl_rc rc = apply(store, &settings[i], err);
		if (rc != FL_OK)
			return rc;
	}
	return FL_OK;
}

static enum fl_rc create_schema(struct fl_store *store, struct fl_err *err)
{
	enum fl_rc rc = store_exec(store, "BEGIN IMMEDIATE", err);
	for (size_t i = 0; rc == FL_OK && i < N_SCHEMA; i++)
		rc = store_exec(store, schema[i], err);
	if (rc == FL_OK)
		rc = store_exec(store, "PRAGMA user_version=1", err);
	if (rc == FL_OK)
		rc = store_exec(store, "COMMIT", err);
	return rc;
}
_Static_assert(FORMAT == 1, "create_schema writes the number");

/*
 * A new database is born with 64 free pages, written once and freed: on a full disk there is room
 * for the rows of jobs and for reports. Row 0 belongs to no job; a power cut may leave it to the
 * next opening.
 */
static enum fl_rc make_free_pages(struct fl_store *store, bool created, struct fl_err *err)
{
	if (created)
		(void)!store_exec(store, "INSERT INTO document VALUES(0, x'', zeroblob(65536), 0)",
				  NULL);
	return store_exec(store, "DELETE FROM document WHERE id = 0", err);
}

static enum fl_rc count_pages(struct fl_store *store, struct fl_err *err)
{
	char pages[64];
	enum fl_rc rc = ask(store, "PRAGMA page_count", pages, err);
	if (rc == FL_OK)
		store->pages = strtoull(pages, NULL, 10);
	return rc;
}

/* Exactly our objects, each with exactly our text: a flipped bit in a declaration would change what
 * is stored. */
static enum fl_rc check_schema(struct fl_store *store, struct fl_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int result = sqlite3_prepare_v2(store->sql, "SELECT sql FROM sqlite_schema ORDER BY name",
					-1, &stmt, NULL);
	size_t n = 0;
	bool same = true;
	while (result == SQLITE_OK || result == SQLITE_ROW) {
		result = sqlite3_step(stmt);
		if (result != SQLITE_ROW)
			break;
		const char *text = (const char *)sqlite3_column_text(stmt, 0);
		same = same && n < N_SCHEMA && text != NULL && strcmp(text, schema[n]) == 0;
		n++;
	}
	enum fl_rc rc = FL_OK;
	if (result != SQLITE_DONE)
		rc = store_fail(store->sql, result, "read schema", err);
	else if (!same || n != N_SCHEMA)
		rc = fl_fail(err, FL_E_CORRUPT, 0, "the schema is not the one of format %d",
			     FORMAT);
	sqlite3_finalize(stmt);
	return rc;
}

static enum fl_rc check_content(struct fl_store *store, bool *created, struct fl_err *err)
{
	char version[64];
	char objects[64];
	char check[64];
	enum fl_rc rc = ask(store, "PRAGMA user_version", version, err);
	if (rc == FL_OK)
		rc = ask(store, "SELECT count(*) FROM sqlite_schema", objects, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(version, "0") == 0 && strcmp(objects, "0") == 0) {
		*created = true;
		return create_schema(store, err);
	}
	if (strtol(version, NULL, 10) != FORMAT)
		return fl_fail(err, FL_E_CORRUPT, 0, "format %s, this program knows %d", version,
			       FORMAT);
	rc = ask(store, "PRAGMA quick_check(1)", check, err);
	if (rc == FL_OK && strcmp(check, "ok") != 0)
		rc = fl_fail(err, FL_E_CORRUPT, 0, "quick_check: %s", check);
	return rc == FL_OK ? check_schema(store, err) : rc;
}

static enum fl_rc prepare(struct fl_store *store, struct fl_err *err)
{
	static const char *const texts[] = {
#define STATEMENT(name, sql) sql,
#include "statements.def"
#undef STATEMENT
	};
	for (size_t i = 0; i < STORE_N_STATEMENTS; i++) {
		int result = sqlite3_prepare_v3(store->sql, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
						&store->statements[i], NULL);
		if (result != SQLITE_OK)
			return store_fail(store->sql, result, texts[i], err);
	}
	return FL_OK;
}

/* A new database is ours alone to read (its log takes over the mode), and no symbolic link leads
 * elsewhere. */
static enum fl_rc open_fd(struct fl_store *store, struct fl_err *err)
{
	store->fd = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int e = errno;
	return store->fd < 0 ? fl_fail(err, fl_rc_from_errno(e), e, "open") : FL_OK;
}

static enum fl_rc open_and_check(struct fl_store *store, bool *created, struct fl_err *err)
{
	enum fl_rc rc = open_fd(store, err);
	if (rc != FL_OK)
		return rc;
	int result = sqlite3_open_v2(store->path, &store->sql,
				     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					     SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
				     NULL);
	if (result != SQLITE_OK)
		return store_fail(store->sql, result, "open", err);
	rc = configure(store, err);
	if (rc == FL_OK)
		rc = check_content(store, created, err);
	if (rc == FL_OK)
		rc = make_free_pages(store, *created, err);
	if (rc == FL_OK)
		rc = count_pages(store, err);
	if (rc == FL_OK)
		rc = prepare(store, err);
	/* Our own SQL is right; where SQLite says otherwise, the file is wrong. */
	return rc == FL_E_INTERNAL ? fl_wrap(err, FL_E_CORRUPT, "damaged") : rc;
}

/* *unreadable: the medium would not give the bytes. */
static enum fl_rc try_open(struct fl_store *store, bool *created, bool *unreadable,
			   struct fl_err *err)
{
	*created = false;
	enum fl_rc rc = open_and_check(store, created, err);
	int result = store->sql == NULL ? SQLITE_OK : sqlite3_extended_errcode(store->sql);
	/* CORRUPTFS is what SQLite makes of a read's EIO. */
	*unreadable =
		rc == FL_E_IO && (result == SQLITE_IOERR_READ || result == SQLITE_IOERR_CORRUPTFS);
	if (rc == FL_OK)
		return rc;
	/* A damaged write-ahead log must not be carried over into the database by closing it. */
	if (store->sql != NULL)
		(void)sqlite3_db_config(store->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	store_db_close(store);
	return fl_wrap(err, rc, "'%s'", store->path);
}

enum fl_rc store_db_open(struct fl_store *store, bool *created, struct fl_err *err)
{
	bool unreadable = false;
	enum fl_rc rc = try_open(store, created, &unreadable, err);
	/* A read that fails now and then must not cost the database; quick_check hides such reads.
	 */
	if (unreadable || rc == FL_E_CORRUPT)
		rc = try_open(store, created, &unreadable, err);
	return unreadable ? fl_wrap(err, FL_E_CORRUPT, "unreadable") : rc;
}

void store_db_close(struct fl_store *store)
{
	for (size_t i = 0; i < STORE_N_STATEMENTS; i++) {
		sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
	(void)sqlite3_close(store->sql);
	store->sql = NULL;
	/* After SQLite: closing any descriptor of a file drops the process's locks on it. */
	fl_close(&store->fd);
}
