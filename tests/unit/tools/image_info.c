/* SPDX-License-Identifier: Apache-2.0 */
/* Programs run without a shell, and what they find in images. */
#include "bench.h"
#include "image_info.h"
#include "run_program.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(tools_image, .init = bench_open, .fini = bench_close);

static struct fl_err err;
static struct fl_image_info info;
static struct fl_arena arena;

static enum fl_rc read_info(const char *image)
{
	enum fl_tools_image_kind kind;
	fl_arena_free(&arena);
	arena = FL_ARENA((size_t)65536);
	enum fl_rc rc = fl_tools_image_kind_of(image, &kind, &err);
	return rc == FL_OK ? fl_tools_image_info_read(image, kind, &arena, &info, &err) : rc;
}

static void expect_info(const char *image)
{
	cr_assert_eq(read_info(image), FL_OK, "%s", err.msg);
	cr_assert_str_eq(info.product, "gw");
	cr_assert_str_eq(info.component, "rootfs");
	cr_assert_str_eq(info.version, "1.2.3");
	cr_assert_eq(info.release_seq, 7);
	cr_assert_eq(info.security_version, 2);
	fl_arena_free(&arena);
}

Test(tools_image, ext4)
{
	make_ext4("a.ext4", info_of("1.2.3", 7, 2));
	expect_info("a.ext4");
}

Test(tools_image, a_name_that_looks_like_an_option_or_a_command)
{
	make_ext4("a.ext4", info_of("1.2.3", 7, 2));
	cr_assert_eq(rename("a.ext4", "-R quit; $(touch pwned) `id`"), 0);
	expect_info("-R quit; $(touch pwned) `id`");
	cr_assert_not(is_there("pwned"));
}

static void make_tar(const char *path, const char *member)
{
	struct fl_buf said = FL_BUF((size_t)65536);
	char where[64];
	(void)snprintf(where, sizeof(where), "%s", path);
	make_ext4("unused.ext4", info_of("1.2.3", 7, 2)); /* leaves image.tree */
	const char *argv[] = {"tar", "-C", "image.tree", "-cf", where, member, NULL};
	cr_assert_eq(fl_tools_run_program(argv, &said, &err), FL_OK, "%s", err.msg);
	fl_buf_free(&said);
}

Test(tools_image, tar_with_either_way_of_naming)
{
	make_tar("a.tar", ".");
	expect_info("a.tar");
	make_tar("b.tar", "usr");
	expect_info("b.tar");
}

Test(tools_image, without_or_with_bad_info)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{\"product\":\"gw\"}",
		"{\"product\":\"gw\",\"component\":\"rootfs\",\"version\":\"1\",\"release_seq\":-1,"
		"\"security_version\":1}",
		"{\"product\":\"gw\",\"component\":\"../x\",\"version\":\"1\",\"release_seq\":1,"
		"\"security_version\":1}"};
	make_ext4("a.ext4", NULL);
	cr_assert_eq(read_info("a.ext4"), FL_E_IMAGE_INFO);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_ext4("a.ext4", bad[i]);
		cr_assert_eq(read_info("a.ext4"), FL_E_IMAGE_INFO, "%s", bad[i]);
	}
	fl_arena_free(&arena);
}

Test(tools_image, an_info_past_4_KiB_is_refused)
{
	static char huge[8192];
	memset(huge, ' ', sizeof(huge));
	memcpy(huge, info_of("1.2.3", 7, 2), strlen(info_of("1.2.3", 7, 2)));
	huge[sizeof(huge) - 1] = '\0';
	make_ext4("a.ext4", huge);
	cr_assert_neq(read_info("a.ext4"), FL_OK);
	fl_arena_free(&arena);
}

Test(tools_image, opaque_and_missing_files)
{
	write_file("script", "#!/bin/sh\n", 10);
	cr_assert_eq(read_info("script"), FL_E_NOT_SUPPORTED);
	write_file("empty", "", 0);
	cr_assert_eq(read_info("empty"), FL_E_NOT_SUPPORTED);
	cr_assert_eq(read_info("missing"), FL_E_NOT_FOUND);
	fl_arena_free(&arena);
}

Test(tools_image, every_word_is_compared)
{
	struct fl_image_info i = {"gw", "rootfs", "1", 1, 1};
	cr_assert_eq(fl_tools_image_info_check(&i, "gw", "rootfs", "1", &err), FL_OK);
	cr_assert_eq(fl_tools_image_info_check(&i, "gx", "rootfs", "1", &err), FL_E_IMAGE_INFO);
	cr_assert_eq(fl_tools_image_info_check(&i, "gw", "rootf", "1", &err), FL_E_IMAGE_INFO);
	cr_assert_eq(fl_tools_image_info_check(&i, "gw", "rootfs", "2", &err), FL_E_IMAGE_INFO);
	cr_assert_str_eq(err.msg, "image-info says version '1', not '2'");
}

static enum fl_rc run(const char *const *argv, size_t max, char *out, size_t size)
{
	struct fl_buf text = FL_BUF(max);
	enum fl_rc rc = fl_tools_run_program(argv, &text, &err);
	(void)snprintf(out, size, "%s", fl_buf_str(&text));
	fl_buf_free(&text);
	return rc;
}

Test(tools_image, a_program_gets_its_arguments_and_nothing_else)
{
	char out[256];
	const char *echo[] = {"echo", "a  b", "$HOME; exit", NULL};
	cr_assert_eq(run(echo, 4096, out, sizeof(out)), FL_OK);
	cr_assert_str_eq(out, "a  b $HOME; exit\n");
	setenv("LD_PRELOAD_X", "1", 1);
	const char *env[] = {"env", NULL};
	cr_assert_eq(run(env, 4096, out, sizeof(out)), FL_OK);
	cr_assert_str_eq(out, "PATH=/usr/bin:/bin:/usr/sbin:/sbin\nLC_ALL=C\n");
	const char *cat[] = {"cat", NULL};
	cr_assert_eq(run(cat, 4096, out, sizeof(out)), FL_OK, "it has no input to wait for");
}

Test(tools_image, programs_that_fail)
{
	char out[16];
	const char *missing[] = {"no-such-program", NULL};
	cr_assert_eq(run(missing, 4096, out, sizeof(out)), FL_E_NOT_SUPPORTED);
	const char *fails[] = {"false", NULL};
	cr_assert_eq(run(fails, 4096, out, sizeof(out)), FL_E_IO);
	const char *endless[] = {"yes", NULL};
	cr_assert_eq(run(endless, 4096, out, sizeof(out)), FL_E_TOO_LARGE, "and it was killed");
}

Test(tools_image, sbin_is_searched_and_relative_folders_are_not)
{
	char out[64];
	setenv("PATH", "/usr/bin:.:/bin", 1);
	write_file("fl-evil", "#!/bin/sh\necho evil\n", 20);
	cr_assert_eq(chmod("fl-evil", 0755), 0);
	const char *evil[] = {"fl-evil", NULL};
	cr_assert_eq(run(evil, 4096, out, sizeof(out)), FL_E_NOT_SUPPORTED);
	make_ext4("a.ext4", info_of("1.2.3", 7, 2));
	expect_info("a.ext4");
}
