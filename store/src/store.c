/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing. A database that fails its checks is renamed to state.db.corrupt (its
 * write-ahead log to state.db.corrupt-wal) and a new one begun; that never happens for want of
 * memory, room or a lock.
 *
 *   open ──ok──▶ use
 *     │ no space: give up the ballast, once more
 *     └ twice found damaged, unreadable or of a newer format: set aside, once more
 */
#include "db.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <errno.h>
#include <stdio.h> /* rename(2). NOLINT(portability-restrict-system-includes) */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum fl_rc fail_errno(struct fl_err *err, const char *what)
{
	int e = errno;
	return fl_fail(err, fl_rc_from_errno(e), e, "%s", what);
}

/* Renames, or removes when `to` is NULL; a file that is not there is fine. */
static enum fl_rc move_away(const struct fl_store *store, const char *from, const char *to,
			    struct fl_err *err)
{
	char source[PATH_MAX];
	char target[PATH_MAX];
	enum fl_rc rc = fl_path_join(source, sizeof(source), store->dir, from, err);
	if (rc == FL_OK && to != NULL)
		rc = fl_path_join(target, sizeof(target), store->dir, to, err);
	if (rc != FL_OK)
		return rc;
	if ((to == NULL ? unlink(source) : rename(source, target)) != 0 && errno != ENOENT)
		return fail_errno(err, from);
	return FL_OK;
}

/*
 * No sync of the directory: SQLite syncs it for the new log's name before the first change of the
 * new database is durable, and names reach the disk in their order. The database first: a log
 * without a database is recognized by clear_strays, a database without its log is not.
 */
static enum fl_rc set_aside(const struct fl_store *store, struct fl_err *err)
{
	enum fl_rc rc = move_away(store, "state.db.corrupt-wal", NULL, err);
	if (rc == FL_OK)
		rc = move_away(store, "state.db", "state.db.corrupt", err);
	if (rc == FL_OK)
		rc = move_away(store, "state.db-wal", "state.db.corrupt-wal", err);
	if (rc == FL_OK)
		rc = move_away(store, "state.db-journal", NULL, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "set the database aside");
}

/* A power cut within set_aside leaves the log alone behind. */
static enum fl_rc clear_strays(const struct fl_store *store, bool *existed, struct fl_err *err)
{
	struct stat st;
	*existed = lstat(store->path, &st) == 0;
	if (*existed)
		return FL_OK;
	enum fl_rc rc = move_away(store, "state.db-wal", "state.db.corrupt-wal", err);
	return rc == FL_OK ? move_away(store, "state.db-journal", NULL, err) : rc;
}

static enum fl_rc open_once(struct fl_store *store, bool *emptied, struct fl_err *err)
{
	bool existed = false;
	bool created = false;
	enum fl_rc rc = clear_strays(store, &existed, err);
	if (rc == FL_OK)
		rc = store_db_open(store, &created, err);
	if (rc == FL_E_NO_SPACE && store_ballast_release(store))
		rc = store_db_open(store, &created, err);
	*emptied = created && existed;
	return rc;
}

static enum fl_rc open_or_rebuild(struct fl_store *store, bool *rebuilt, struct fl_err *err)
{
	bool emptied = false; /* the file was there and held nothing */
	enum fl_rc rc = open_once(store, &emptied, err);
	*rebuilt = emptied;
	if (rc != FL_E_CORRUPT)
		return rc;
	fl_log_err(FL_LOG_WARNING, err, "the database is set aside and begun anew");
	rc = set_aside(store, err);
	if (rc == FL_OK)
		rc = open_once(store, &emptied, err);
	*rebuilt = true;
	return rc;
}

static enum fl_rc start(struct fl_store *store, const char *dir, bool *rebuilt, struct fl_err *err)
{
	enum fl_rc rc = fl_dir_make(dir, 0700, err);
	if (rc == FL_OK && strlen(dir) >= sizeof(store->dir))
		rc = fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", dir);
	if (rc != FL_OK)
		return rc;
	memcpy(store->dir, dir, strlen(dir) + 1);
	rc = fl_path_join(store->path, sizeof(store->path), dir, "state.db", err);
	if (rc != FL_OK)
		return rc;
	store_ballast_look(store);
	rc = open_or_rebuild(store, rebuilt, err);
	if (rc == FL_OK)
		store_ballast_make(store, true);
	return rc;
}

enum fl_rc fl_store_open(const char *dir, struct fl_store **ret, bool *rebuilt, struct fl_err *err)
{
	struct fl_err local;
	struct fl_err *e = err == NULL ? &local : err; /* set_aside's log line needs it */
	bool anew = false;
	struct fl_store *store = calloc(1, sizeof(*store));
	if (store == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "open the store");
	store->fd = -1;
	enum fl_rc rc = start(store, dir, &anew, e);
	if (rc != FL_OK) {
		fl_store_close(store);
		return fl_wrap(e, rc, "open the store");
	}
	*ret = store;
	*rebuilt = anew;
	return FL_OK;
}

void fl_store_close(struct fl_store *store)
{
	if (store == NULL)
		return;
	bool lean = store->sql != NULL && !store->ballast;
	store_db_close(store);
	/* On a full disk the log's end leaves room: it is kept for the next log. */
	if (lean)
		store_ballast_make(store, false);
	free(store);
}
