/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fairlead/base/log.h>

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fl_store *store;
char dir[64];
struct fl_err err;

void set_up(void)
{
	setenv("FAIRLEAD_LOG", "error", 1);
	fl_log_open("test");
	snprintf(dir, sizeof(dir), "/tmp/fl-unit-store-XXXXXX");
	cr_assert_neq(mkdtemp(dir), NULL);
	reopen();
}

void tear_down(void)
{
	fl_store_close(store);
	store = NULL;
	DIR *d = opendir(dir);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		if (e->d_name[0] != '.')
			(void)unlink(in_dir(e->d_name));
	}
	closedir(d);
	(void)rmdir(dir);
}

bool reopen_rebuilt(void)
{
	bool rebuilt = false;
	fl_store_close(store);
	store = NULL;
	OK(fl_store_open(dir, &store, &rebuilt, &err));
	return rebuilt;
}

void reopen(void)
{
	cr_assert_not(reopen_rebuilt());
}

void tamper(const char *sql, int64_t *answer)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	fl_store_close(store);
	store = NULL;
	cr_assert_eq(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s",
		     sqlite3_errmsg(db));
	int result = sqlite3_step(stmt);
	cr_assert(result == SQLITE_ROW || result == SQLITE_DONE, "%s", sqlite3_errmsg(db));
	if (answer != NULL)
		*answer = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

const char *in_dir(const char *name)
{
	static char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

bool exists(const char *name)
{
	return access(in_dir(name), F_OK) == 0;
}

size_t size_of(const char *name)
{
	struct stat st;
	return stat(in_dir(name), &st) == 0 ? (size_t)st.st_size : 0;
}

void put_file(const char *name, const void *data, size_t len)
{
	FL_AUTO_FD fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	OK(fl_write_all(fd, data, len, &err));
}
