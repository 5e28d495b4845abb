/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(open, .init = set_up, .fini = tear_down);

static void keep_number(void)
{
	OK(fl_store_number_set(store, "kept", 42, &err));
}

static bool number_kept(void)
{
	uint64_t value = 0;
	OK(fl_store_number_get(store, "kept", &value, &err));
	return value == 42;
}

Test(open, settings_show_in_the_files)
{
	uint8_t header[100];
	struct stat st;
	keep_number();
	cr_assert_not(exists("state.db-shm"), "no memory shared through a file");
	cr_assert(exists("state.db-wal"));
	cr_assert(stat(in_dir("state.db"), &st) == 0 && (st.st_mode & 0777) == 0600);
	cr_assert(stat(in_dir("state.db-wal"), &st) == 0 && (st.st_mode & 0777) == 0600);
	cr_assert_eq(size_of("ballast"), 65536);
	struct fl_buf db = FL_BUF(1 << 20);
	OK(fl_file_read(in_dir("state.db"), &db, &err));
	memcpy(header, db.data, sizeof(header));
	fl_buf_free(&db);
	cr_assert(header[16] == 0x04 && header[17] == 0x00, "pages of 1,024 bytes");
	cr_assert(header[18] == 2 && header[19] == 2, "WAL");
}

/* What flash pays: the log is gone back to its start every 32 pages. */
Test(open, the_log_stays_small)
{
	for (uint64_t i = 0; i < 2000; i++)
		OK(fl_store_number_set(store, "n", i, &err));
	cr_assert_leq(size_of("state.db-wal"), 100 * 1024);
	cr_assert_leq(size_of("state.db"), 100 * 1024);
	reopen();
	cr_assert_not(exists("state.db.corrupt"));
}

Test(open, makes_the_directory)
{
	char deep[128];
	bool rebuilt = true;
	struct fl_store *other = NULL;
	snprintf(deep, sizeof(deep), "%s/a/b", dir);
	OK(fl_store_open(deep, &other, &rebuilt, &err));
	cr_assert_not(rebuilt);
	fl_store_close(other);
	char command[256];
	snprintf(command, sizeof(command), "rm -r '%s/a'", dir);
	cr_assert_eq(system(command), 0);
}

Test(open, a_second_one_is_busy_and_sets_nothing_aside)
{
	struct fl_store *second = NULL;
	bool rebuilt = false;
	keep_number();
	cr_assert_eq(fl_store_open(dir, &second, &rebuilt, &err), FL_E_BUSY, "%s", err.msg);
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(fl_store_open(dir, &second, &rebuilt, &err) == FL_E_BUSY ? 0 : 1);
	cr_assert(waitpid(pid, &status, 0) == pid && status == 0, "nor in another process");
	cr_assert_not(exists("state.db.corrupt"));
	cr_assert(number_kept());
}

Test(open, failures_leave_the_outputs)
{
	struct fl_store *other = (struct fl_store *)1;
	bool rebuilt = true;
	put_file("file", "x", 1);
	cr_assert_neq(fl_store_open(in_dir("file"), &other, &rebuilt, &err), FL_OK);
	cr_assert(other == (struct fl_store *)1 && rebuilt);
	char *deep = malloc(5001);
	memset(deep, 'd', 5000);
	deep[0] = '/';
	deep[5000] = '\0';
	cr_assert_neq(fl_store_open(deep, &other, &rebuilt, NULL), FL_OK);
	free(deep);
	fl_store_close(NULL);
}

static void expect_set_aside(void)
{
	cr_assert(reopen_rebuilt());
	cr_assert(exists("state.db.corrupt"));
	cr_assert_not(number_kept());
	keep_number();
	reopen();
	cr_assert(number_kept());
}

static void close_store(void)
{
	fl_store_close(store);
	store = NULL;
}

Test(open, garbage_is_set_aside)
{
	char garbage[4096];
	memset(garbage, 'g', sizeof(garbage));
	close_store();
	put_file("state.db", garbage, sizeof(garbage));
	put_file("state.db-wal", garbage, 100);
	expect_set_aside();
	cr_assert_eq(size_of("state.db.corrupt"), sizeof(garbage));
	cr_assert_eq(size_of("state.db.corrupt-wal"), 100);
}

Test(open, one_is_kept_with_its_own_log)
{
	char garbage[2048];
	memset(garbage, 'g', sizeof(garbage));
	close_store();
	put_file("state.db.corrupt", "older", 5);
	put_file("state.db.corrupt-wal", "older", 5);
	put_file("state.db", garbage, sizeof(garbage));
	expect_set_aside();
	cr_assert_eq(size_of("state.db.corrupt"), sizeof(garbage));
	cr_assert_not(exists("state.db.corrupt-wal"), "a log of another database misleads");
}

Test(open, a_newer_format_is_set_aside_whole)
{
	keep_number();
	tamper("PRAGMA user_version = 2", NULL);
	expect_set_aside();
}

Test(open, a_format_without_number_is_set_aside)
{
	tamper("PRAGMA user_version = 0", NULL);
	expect_set_aside();
}

Test(open, a_schema_that_differs_by_a_letter_is_set_aside)
{
	keep_number();
	tamper("UPDATE sqlite_schema SET sql = replace(sql, 'final', 'finam') WHERE name = 'job'",
	       NULL);
	expect_set_aside();
}

Test(open, more_than_our_tables_is_set_aside)
{
	tamper("CREATE TABLE zzz(x)", NULL);
	expect_set_aside();
}

Test(open, a_lost_table_is_set_aside)
{
	tamper("DROP TABLE number", NULL);
	expect_set_aside();
}

Test(open, other_page_sizes_are_set_aside)
{
	sqlite3 *db = NULL;
	close_store();
	cr_assert_eq(unlink(in_dir("state.db")), 0);
	cr_assert_eq(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "PRAGMA page_size=4096; CREATE TABLE x(y)", NULL, NULL, NULL),
		     SQLITE_OK);
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
	expect_set_aside();
}

Test(open, an_emptied_database_is_told)
{
	keep_number();
	close_store();
	put_file("state.db", "", 0);
	cr_assert(reopen_rebuilt());
	cr_assert_not(number_kept());
}

Test(open, a_log_without_its_database_is_not_replayed)
{
	keep_number();
	/* As a power cut within setting aside leaves it. */
	struct fl_buf wal = FL_BUF(1 << 20);
	OK(fl_file_read(in_dir("state.db-wal"), &wal, &err));
	close_store();
	cr_assert_eq(unlink(in_dir("state.db")), 0);
	put_file("state.db-wal", wal.data, wal.len);
	put_file("state.db-journal", "x", 1);
	reopen();
	cr_assert_not(number_kept());
	cr_assert_eq(size_of("state.db.corrupt-wal"), wal.len);
	cr_assert_not(exists("state.db-journal"));
	fl_buf_free(&wal);
}

Test(open, a_symbolic_link_is_not_followed)
{
	close_store();
	char elsewhere[128];
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", dir);
	cr_assert_eq(rename(in_dir("state.db"), elsewhere), 0);
	cr_assert_eq(symlink(elsewhere, in_dir("state.db")), 0);
	bool rebuilt = false;
	cr_assert_neq(fl_store_open(dir, &store, &rebuilt, &err), FL_OK);
	cr_assert_eq(unlink(in_dir("state.db")), 0);
	reopen();
}

/* Killed in use: everything acknowledged is there. */
Test(open, after_a_kill)
{
	int status = 0;
	close_store();
	pid_t pid = fork();
	if (pid == 0) {
		reopen();
		keep_number();
		(void)kill(getpid(), SIGKILL);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	reopen();
	cr_assert(number_kept());
}

Test(open, the_ballast_comes_back)
{
	close_store();
	cr_assert_eq(unlink(in_dir("ballast")), 0);
	reopen();
	cr_assert_eq(size_of("ballast"), 65536);
}
