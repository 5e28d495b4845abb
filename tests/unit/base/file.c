/* SPDX-License-Identifier: Apache-2.0 */
/* Files: whole or not at all. */
#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static char path[128];
static struct fl_err err;

static void setup(void)
{
	strcpy(dir, "/tmp/fl-file-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
}

static void teardown(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(file, .init = setup, .fini = teardown);

static void expect_content(const char *text)
{
	struct fl_buf buf = FL_BUF(100000);
	cr_assert_eq(fl_file_read(path, &buf, &err), FL_OK, "%s", err.msg);
	cr_assert_str_eq(fl_buf_str(&buf), text);
	fl_buf_free(&buf);
}

Test(file, replace_and_read)
{
	cr_assert_eq(fl_file_replace(path, "one", 3, 0644, &err), FL_OK, "%s", err.msg);
	expect_content("one");
	cr_assert_eq(fl_file_replace(path, "second", 6, 0644, &err), FL_OK);
	expect_content("second");
	cr_assert_eq(fl_file_replace(path, "", 0, 0644, &err), FL_OK);
	expect_content("");
}

Test(file, replace_leaves_nothing_beside_it)
{
	char tmp[160];
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	cr_assert_eq(fl_file_replace(path, "x", 1, 0644, &err), FL_OK);
	cr_assert_neq(access(tmp, F_OK), 0);
}

/* a crash left the temporary file, readable by all; a secret must not inherit that */
Test(file, replace_does_not_take_over_the_mode_of_a_leftover)
{
	char tmp[160];
	struct stat st;
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	int fd = open(tmp, O_CREAT | O_WRONLY, 0666);
	cr_assert_eq(fchmod(fd, 0666), 0);
	close(fd);
	cr_assert_eq(fl_file_replace(path, "secret", 6, 0600, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(file, replace_follows_no_link_at_the_temporary_name)
{
	char tmp[160], victim[160];
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	snprintf(victim, sizeof(victim), "%s/victim", dir);
	cr_assert_eq(fl_file_replace(victim, "safe", 4, 0644, &err), FL_OK);
	cr_assert_eq(symlink(victim, tmp), 0);
	cr_assert_eq(fl_file_replace(path, "new", 3, 0644, &err), FL_OK, "%s", err.msg);
	strcpy(path, victim);
	expect_content("safe");
}

Test(file, a_failed_replace_keeps_the_old_content)
{
	char gone[160];
	snprintf(gone, sizeof(gone), "%s/no/f", dir);
	cr_assert_eq(fl_file_replace(gone, "x", 1, 0644, &err), FL_E_NOT_FOUND);
	cr_assert_eq(fl_file_replace(path, "old", 3, 0644, &err), FL_OK);
	char tmp[160];
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	cr_assert_eq(mkdir(tmp, 0755), 0); /* in the way */
	cr_assert_neq(fl_file_replace(path, "new", 3, 0644, &err), FL_OK);
	expect_content("old");
}

Test(file, reading_ends_at_the_buffer_s_maximum)
{
	char text[5001];
	memset(text, 'x', 5000);
	cr_assert_eq(fl_file_replace(path, text, 5000, 0644, &err), FL_OK);
	struct fl_buf fits = FL_BUF(5000), small = FL_BUF(4999);
	cr_assert_eq(fl_file_read(path, &fits, &err), FL_OK);
	cr_assert_eq(fits.len, 5000);
	cr_assert_eq(fl_file_read(path, &small, &err), FL_E_TOO_LARGE);
	fl_buf_free(&fits);
	fl_buf_free(&small);
}

Test(file, a_missing_file_is_told_apart)
{
	struct fl_buf buf = FL_BUF(10);
	cr_assert_eq(fl_file_read(path, &buf, &err), FL_E_NOT_FOUND);
	cr_assert_not_null(strstr(err.msg, path));
	cr_assert_eq(err.sys_errno, ENOENT);
	fl_buf_free(&buf);
}

Test(file, reading_a_descriptor_ignores_its_offset)
{
	struct fl_buf buf = FL_BUF(10);
	cr_assert_eq(fl_file_replace(path, "abcdef", 6, 0644, &err), FL_OK);
	FL_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(lseek(fd, 4, SEEK_SET), 4);
	cr_assert_eq(fl_file_read_fd(fd, &buf, &err), FL_OK);
	cr_assert_str_eq(fl_buf_str(&buf), "abcdef");
	fl_buf_free(&buf);
}

Test(file, removing_what_is_not_there_is_no_error)
{
	cr_assert_eq(fl_file_remove(path, &err), FL_OK);
	cr_assert_eq(fl_file_replace(path, "x", 1, 0644, &err), FL_OK);
	cr_assert_eq(fl_file_remove(path, &err), FL_OK);
	cr_assert_neq(access(path, F_OK), 0);
}

Test(file, directories_are_made_with_their_parents)
{
	char deep[160];
	struct stat st;
	snprintf(deep, sizeof(deep), "%s/a/b/c", dir);
	cr_assert_eq(fl_dir_make(deep, 0700, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(stat(deep, &st), 0);
	cr_assert(S_ISDIR(st.st_mode));
	cr_assert_eq(st.st_mode & 0777, 0700);
	cr_assert_eq(fl_dir_make(deep, 0700, &err), FL_OK, "it exists already");
}

Test(file, a_file_in_the_way_is_no_directory)
{
	char below[160];
	cr_assert_eq(fl_file_replace(path, "x", 1, 0644, &err), FL_OK);
	cr_assert_neq(fl_dir_make(path, 0755, &err), FL_OK);
	snprintf(below, sizeof(below), "%s/d", path);
	cr_assert_neq(fl_dir_make(below, 0755, &err), FL_OK);
	cr_assert_eq(fl_dir_make("", 0755, &err), FL_E_INVALID_ARGUMENT);
}

Test(file, positioned_reads_and_writes_are_whole)
{
	char out[8] = "";
	FL_AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	cr_assert_eq(fl_pwrite_all(fd, "abcd", 4, 10, &err), FL_OK);
	cr_assert_eq(fl_pread_all(fd, out, 4, 10, &err), FL_OK);
	cr_assert_str_eq(out, "abcd");
	cr_assert_eq(fl_pread_all(fd, out, 5, 10, &err), FL_E_TRUNCATED);
	cr_assert_eq(fl_pread_all(-1, out, 1, 0, &err), FL_E_IO);
}

/* RAUC, CVE-2026-34155: past 2 GiB only the first bytes were looked at */
Test(file, offsets_past_4_gib_are_whole)
{
	const uint64_t offsets[] = {(UINT64_C(2) << 30) - 1, UINT64_C(2) << 30,
				    (UINT64_C(4) << 30) - 1, (UINT64_C(4) << 30) + 1};
	FL_AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	for (size_t i = 0; i < 4; i++) {
		char out[4] = "";
		char mark[4] = {'m', (char)('0' + i), '!', '\0'};
		cr_assert_eq(fl_pwrite_all(fd, mark, 3, offsets[i], &err), FL_OK, "%s", err.msg);
		cr_assert_eq(fl_pread_all(fd, out, 3, offsets[i], &err), FL_OK);
		cr_assert_str_eq(out, mark);
	}
	struct stat st;
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq((uint64_t)st.st_size, (UINT64_C(4) << 30) + 4);
}

Test(file, streams_are_read_to_the_last_byte)
{
	int fds[2];
	char out[8] = "";
	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(fl_write_all(fds[1], "abcdef", 6, &err), FL_OK);
	cr_assert_eq(fl_read_all(fds[0], out, 6, &err), FL_OK);
	cr_assert_str_eq(out, "abcdef");
	fl_close(&fds[1]);
	cr_assert_eq(fds[1], -1);
	cr_assert_eq(fl_read_all(fds[0], out, 1, &err), FL_E_TRUNCATED);
	fl_close(&fds[0]);
	fl_close(&fds[0]);
}

Test(file, a_path_is_never_cut)
{
	char out[10];
	cr_assert_eq(fl_path_join(out, sizeof(out), "abc", "defgh", &err), FL_OK);
	cr_assert_str_eq(out, "abc/defgh");
	cr_assert_eq(fl_path_join(out, sizeof(out), "abc", "defghi", &err), FL_E_TOO_LARGE);
}

Test(file, a_mount_is_told_from_a_folder)
{
	cr_assert_eq(fl_dir_check_mount("/proc", &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_dir_check_mount(dir, &err), FL_E_NOT_FOUND);
	cr_assert_not_null(strstr(err.msg, "nothing is mounted at"));
	cr_assert_eq(fl_dir_check_mount(path, &err), FL_E_NOT_FOUND);
	cr_assert_null(strstr(err.msg, "mounted"), "it is not there at all");
}
