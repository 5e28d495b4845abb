/* SPDX-License-Identifier: Apache-2.0 */
/* Installing with rootfs.so: the whole image, only what lacks, into targets of every kind. */
#include "harness.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB	   ((size_t)1 << 20)
#define IMAGE_LEN  (9 * MIB + 777)
#define TARGET_LEN (10 * MIB + 4096)

static struct content content;

static void set_up(void)
{
	content_make(&content, IMAGE_LEN, (uint32_t)MIB, 1);
}

static void tear_down(void)
{
	content_free(&content);
}

TestSuite(runner_install, .init = set_up, .fini = tear_down, .timeout = 120);

Test(runner_install, the_whole_image)
{
	struct outcome out;
	FL_AUTO_FD target = target_on_disk("", 0, TARGET_LEN);
	struct play p = {.plugin = ROOTFS, .content = &content, .target = target};
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(target, &content));
	cr_assert_eq(out.progress.done_bytes, IMAGE_LEN);
	cr_assert_eq(out.progress.total_bytes, IMAGE_LEN);
	cr_assert(outcome_has(out.capabilities, "slot"));
	cr_assert(outcome_has(out.capabilities, "random"));
	cr_assert(outcome_has(out.capabilities, "stream"));
	cr_assert_gt(out.deadline_ms, 0);
	cr_assert_leq(out.served[FL_OBJECT_TRANSPORT], content.transport.len / FL_CHUNK_SIZE + 1);
	cr_assert_leq(out.needs, 5, "one range for the table, one for the rest");
}

Test(runner_install, bytes_behind_the_image_stay)
{
	uint8_t *old = malloc(TARGET_LEN), *now = malloc(TARGET_LEN);
	struct fl_err err;
	memset(old, 0x5a, TARGET_LEN);
	FL_AUTO_FD target = target_file(old, TARGET_LEN, TARGET_LEN);
	struct play p = {.plugin = ROOTFS, .content = &content, .target = target};
	play_expect(&p, "ok", "ok", NULL);
	cr_assert(target_is(target, &content));
	cr_assert_eq(fl_pread_all(target, now, TARGET_LEN, 0, &err), FL_OK);
	cr_assert_eq(memcmp(now + IMAGE_LEN, old + IMAGE_LEN, TARGET_LEN - IMAGE_LEN), 0);
	p.zero_tail = true;
	play_expect(&p, "ok", "ok", NULL);
	cr_assert_eq(fl_pread_all(target, now, TARGET_LEN, 0, &err), FL_OK);
	cr_assert(target_is(target, &content));
	for (size_t i = IMAGE_LEN; i < TARGET_LEN; i++)
		cr_assert_eq(now[i], 0, "byte %zu", i);
	free(old);
	free(now);
}

/* Spoils one byte of some chunks of an otherwise right target, and counts what is fetched. */
Test(runner_install, only_what_lacks_is_fetched)
{
	for (unsigned round = 0; round < 6; round++) {
		struct outcome out;
		struct fl_err err;
		uint8_t lacks[16] = {0};
		FL_AUTO_FD target = target_file(content.image, IMAGE_LEN, TARGET_LEN);
		for (unsigned i = 0; i < round; i++) {
			size_t at = (size_t)(i * 7919 + round * 104729) * 131 % IMAGE_LEN;
			uint8_t wrong = (uint8_t)~content.image[at];
			cr_assert_eq(fl_pwrite_all(target, &wrong, 1, at, &err), FL_OK);
			lacks[at / content.frame_size] = 1;
		}
		struct play p = {.plugin = ROOTFS, .content = &content, .target = target};
		play_expect(&p, "ok", "ok", &out);
		cr_assert(target_is(target, &content));
		cr_assert_eq(out.served[FL_OBJECT_TRANSPORT],
			     round == 0 ? 0 : content_chunks_for(&content, lacks), "round %u",
			     round);
		cr_assert_eq(out.progress.done_bytes, IMAGE_LEN);
		cr_assert_geq(out.progress.kept_bytes, IMAGE_LEN - round * FL_CHUNK_SIZE);
	}
}

Test(runner_install, half_of_it_right)
{
	struct outcome out;
	uint8_t lacks[16] = {0};
	size_t half = 5 * MIB + 3 * FL_CHUNK_SIZE;
	FL_AUTO_FD target = target_file(content.image, half, TARGET_LEN);
	for (size_t k = 0; k < 10; k++) /* chunks of zeros are right without being written */
		lacks[k] = k >= 5;
	struct play p = {.plugin = ROOTFS, .content = &content, .target = target};
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(target, &content));
	cr_assert_eq(out.served[FL_OBJECT_TRANSPORT], content_chunks_for(&content, lacks));
	cr_assert_geq(out.progress.kept_bytes, half);
}

Test(runner_install, sizes_at_the_edges)
{
	const size_t sizes[] = {0,   1,	     FL_CHUNK_SIZE - 1, FL_CHUNK_SIZE, FL_CHUNK_SIZE + 1,
				MIB, MIB + 1};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct content c;
		content_make(&c, sizes[i], 3 * FL_CHUNK_SIZE, 5);
		FL_AUTO_FD target = target_file("", 0, MIB + 1);
		struct play p = {.plugin = ROOTFS, .content = &c, .target = target};
		play_expect(&p, "ok", "ok", NULL);
		cr_assert(target_is(target, &c), "%zu bytes", sizes[i]);
		content_free(&c);
	}
}

/* Two levels in both trees; a frame that straddles two pages of the installed one; a hole in the
 * middle. */
Test(runner_install, trees_of_two_levels)
{
	struct content c;
	struct outcome out;
	struct fl_err err;
	size_t len = 140 * MIB + 5;
	content_make_dense(&c, len, 7 * FL_CHUNK_SIZE);
	cr_assert_gt(c.transport.len, 128 * MIB);
	uint8_t *old = malloc(len);
	memcpy(old, c.image, len);
	FL_AUTO_FD whole = target_file("", 0, len);
	struct play p = {.plugin = ROOTFS, .content = &c, .target = whole};
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(whole, &c));
	cr_assert_eq(out.served[FL_OBJECT_TRANSPORT], c.transport.len / FL_CHUNK_SIZE + 1);
	memset(old + 20 * MIB, 0xee, 5 * MIB);
	memset(old + 128 * MIB - 1, 0xee, 2);
	FL_AUTO_FD partly = target_file(old, len, len);
	p.target = partly;
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(partly, &c));
	cr_assert_lt(out.served[FL_OBJECT_TRANSPORT], 125, "5 MiB lack, in frames of 7 chunks");
	cr_assert_eq(fl_pread_all(partly, old, len, 0, &err), FL_OK);
	free(old);
	content_free(&c);
}

Test(runner_install, a_target_that_is_too_small)
{
	struct outcome out;
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN - 1);
	struct play p = {.plugin = ROOTFS, .content = &content, .target = target};
	play_expect(&p, "permanent", "slot_too_small", &out);
	cr_assert_eq(out.served[FL_OBJECT_TRANSPORT], 0);
	struct stat st;
	cr_assert_eq(fstat(target, &st), 0);
	cr_assert_eq(st.st_blocks, 0, "nothing was written");
	p.activity = "prepare";
	play_expect(&p, "permanent", "slot_too_small", NULL);
}

/*
 * A small disk at `dir`, in a mount namespace of this test's own: which root may have, and others
 * where users may.
 */
static bool small_disk(const char *dir, const char *options, bool again)
{
	int flags = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS;
	if (again)
		return mount("none", dir, "tmpfs", MS_REMOUNT, options) == 0;
	return unshare(flags) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", dir, "tmpfs", 0, options) == 0;
}

Test(runner_install, no_space_now_is_no_failure_for_ever)
{
	struct outcome out;
	char dir[] = "/tmp/fault-runner-XXXXXX", path[64];
	cr_assert_not_null(mkdtemp(dir));
	bool small = small_disk(dir, "size=4m", false);
	(void)snprintf(path, sizeof(path), "%s/slot", dir);
	FL_AUTO_FD target = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (!small) {
		(void)unlink(path);
		(void)rmdir(dir);
		cr_skip("no mount namespace");
	}
	cr_assert_eq(ftruncate(target, TARGET_LEN), 0);
	struct play p = {.plugin = ROOTFS, .content = &content, .target = target};
	play_expect(&p, "retry", "no_space", &out);
	uint64_t done = out.progress.done_bytes;
	cr_assert_gt(done, 2 * MIB);
	cr_assert(small_disk(dir, "size=20m", true));
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(target, &content));
	cr_assert_geq(out.progress.kept_bytes, done, "what was flushed is not fetched again");
	fl_close(&target);
	cr_assert_eq(umount(dir), 0);
	(void)rmdir(dir);
}

Test(runner_install, a_format_that_is_none)
{
	FL_AUTO_FD target = target_file("", 0, TARGET_LEN);
	struct play p = {
		.plugin = ROOTFS, .content = &content, .target = target, .format = "delta"};
	play_expect(&p, "permanent", "format", NULL);
}

Test(runner_install, a_frame_size_that_is_none)
{
	FL_AUTO_FD target = target_file("", 0, TARGET_LEN);
	struct content c = content;
	c.frame_size = 1000;
	struct play p = {.plugin = ROOTFS, .content = &c, .target = target};
	play_expect(&p, "permanent", "format", NULL);
}

Test(runner_install, what_isnt_granted)
{
	struct play p = {.plugin = ROOTFS, .content = &content, .target = -1};
	play_expect(&p, "permanent", "config", NULL);
	FL_AUTO_FD target = target_file("", 0, TARGET_LEN);
	p.target = target;
	p.lost_data = true;
	play_expect(&p, "retry", "protocol", NULL);
}

Test(runner_install, other_activities_of_a_slot)
{
	struct outcome out;
	FL_AUTO_FD target = target_file("", 0, TARGET_LEN);
	struct play p = {
		.plugin = ROOTFS, .content = &content, .target = target, .activity = "observe"};
	play_expect(&p, "ok", "ok", &out);
	cr_assert(out.observed);
	cr_assert_eq(out.n_slots, 1);
	cr_assert_not(out.slot.running);
	cr_assert_not_null(strstr(out.log, "target of 10489856 bytes\nb\n"), "%s", out.log);
	const char *const absent_is_fine[] = {"prepare", "verify", "check", "cleanup", "restart"};
	for (size_t i = 0; i < sizeof(absent_is_fine) / sizeof(absent_is_fine[0]); i++) {
		p.activity = absent_is_fine[i];
		play_expect(&p, "ok", "ok", NULL);
	}
	const char *const not_a_slots[] = {"activate", "commit", "rollback", "enumerate"};
	for (size_t i = 0; i < sizeof(not_a_slots) / sizeof(not_a_slots[0]); i++) {
		p.activity = not_a_slots[i];
		play_expect(&p, "permanent", "not_supported", NULL);
	}
	p.activity = "format_disk";
	play_expect(&p, "permanent", "invalid_argument", NULL);
}
