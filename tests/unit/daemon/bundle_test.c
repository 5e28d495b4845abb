/* SPDX-License-Identifier: Apache-2.0 */
/* The bundle of a job: found again where it was noted, and read beside the loop. */
#include "bundle.h"
#include "bundle_read.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include "scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[SCRATCH_MAX];
static struct fl_err err;
static const struct fl_digest job = {{7}};
static struct fl_bundle_file file;

static void set_up(void)
{
	scratch_make(top);
	file = (struct fl_bundle_file){-1, NULL};
}

static void tear_down(void)
{
	fl_bundle_file_close(&file);
	scratch_remove(top);
}

TestSuite(bundle_file, .init = set_up, .fini = tear_down);
TestSuite(bundle_read, .init = set_up, .fini = tear_down, .timeout = 20);

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void make(const char *name, const char *job_text)
{
	struct fl_bundle_item items[] = {
		{.kind = FL_BUNDLE_RELEASE, .text = {(const uint8_t *)"release", 7}},
		{.kind = FL_BUNDLE_JOB, .text = {(const uint8_t *)job_text, strlen(job_text)}}};
	(void)unlink(path_of(name));
	FL_AUTO_FD fd = open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	cr_assert_eq(fl_bundle_write(fd, items, 2, &err), FL_OK, "%s", err.msg);
}

static enum fl_rc find(const char *job_text)
{
	return fl_bundle_file_find(&file, top, &job, job_text, &err);
}

Test(bundle_file, is_found_where_it_was_noted)
{
	make("stick", "my job");
	cr_assert_eq(find("my job"), FL_E_BUNDLE_MISSING, "nobody has noted it");
	cr_assert_eq(fl_bundle_file_note(top, &job, path_of("stick"), &err), FL_OK, "%s", err.msg);
	cr_assert_eq(find("my job"), FL_OK, "%s", err.msg);
	cr_assert_not_null(file.index);
	make("other", "my job");
	cr_assert_eq(fl_bundle_file_note(top, &job, path_of("other"), &err), FL_OK, "noted anew");
	cr_assert_eq(unlink(path_of("stick")), 0);
	cr_assert_eq(find("my job"), FL_OK, "%s", err.msg);
	fl_bundle_file_forget(top, &job);
	fl_bundle_file_forget(top, &job);
	cr_assert_eq(find("my job"), FL_E_BUNDLE_MISSING);
}

Test(bundle_file, only_the_bundle_with_the_same_job_counts)
{
	make("stick", "my job");
	cr_assert_eq(fl_bundle_file_note(top, &job, path_of("stick"), &err), FL_OK);
	cr_assert_eq(find("my jobs"), FL_E_BUNDLE_MISSING);
	cr_assert_null(file.index);
	cr_assert_eq(find("my job"), FL_OK);
	const struct fl_bundle *before = file.index;
	make("stick", "another");
	cr_assert_eq(find("my job"), FL_E_BUNDLE_MISSING);
	cr_assert_eq(file.index, before, "what is open stays open");
	scratch_put(top, "stick", "text");
	cr_assert_eq(find("my job"), FL_E_BUNDLE_MISSING);
	cr_assert_eq(unlink(path_of("stick")), 0);
	cr_assert_eq(mkfifo(path_of("stick"), 0600), 0);
	cr_assert_eq(find("my job"), FL_E_BUNDLE_MISSING, "and nobody waits for a writer");
}

Test(bundle_file, a_file_that_is_no_bundle_is_closed)
{
	scratch_put(top, "text", "text");
	int fd = open(path_of("text"), O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fl_bundle_file_take(&file, &fd, &err), FL_E_FORMAT);
	cr_assert_eq(fd, -1);
	cr_assert_null(file.index);
}

/* --- reading --- */

static struct {
	int calls;
	enum fl_rc rc;
	char text[16];
} seen;

static void on_read(void *ctx, const uint8_t *data, const struct fl_err *why)
{
	seen.calls++;
	seen.rc = why->rc;
	if (why->rc == FL_OK)
		memcpy(seen.text, data, *(const size_t *)ctx);
}

static uv_loop_t loop;

static struct fl_bundle_read *start(int fd, uint64_t offset, size_t *len)
{
	struct fl_bundle_read *read = NULL;
	const struct fl_bundle_place place = {fd, offset, *len};
	memset(&seen, 0, sizeof(seen));
	cr_assert_eq(fl_bundle_read_start(&loop, &place, on_read, len, &read, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(seen.calls, 0, "never from within");
	return read;
}

Test(bundle_read, brings_the_bytes_or_says_that_it_is_missing)
{
	size_t len = 4;
	scratch_put(top, "text", "0123456789");
	int fd = open(path_of("text"), O_RDONLY | O_CLOEXEC);
	uv_loop_init(&loop);
	(void)start(fd, 3, &len);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert(seen.calls == 1 && seen.rc == FL_OK);
	cr_assert_str_eq(seen.text, "3456");
	(void)start(fd, 8, &len);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert(seen.calls == 1 && seen.rc == FL_E_BUNDLE_MISSING);
	(void)start(fd, 0, &len);
	fl_close(&fd); /* the read has a descriptor of its own */
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(seen.rc, FL_OK);
	uv_loop_close(&loop);
}

Test(bundle_read, a_cancelled_one_is_silent)
{
	size_t len = 4;
	scratch_put(top, "text", "0123456789");
	FL_AUTO_FD fd = open(path_of("text"), O_RDONLY | O_CLOEXEC);
	uv_loop_init(&loop);
	fl_bundle_read_cancel(start(fd, 0, &len));
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(seen.calls, 0);
	fl_bundle_read_cancel(NULL);
	uv_loop_close(&loop);
}
