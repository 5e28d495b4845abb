/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL, SIGTERM and a helper that is gone, at many points; what a cut costs. */
#include "harness.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB	  ((size_t)1 << 20)
#define IMAGE_LEN (6 * MIB + 99)

static struct content content;
static uint64_t frame_chunks; /* of the longest frame in the transport */

static void set_up(void)
{
	content_make(&content, IMAGE_LEN, 4 * FL_CHUNK_SIZE, 2);
	for (uint32_t k = 0; k < content_frames(&content); k++) {
		uint64_t offset;
		uint32_t length;
		content_frame(&content, k, &offset, &length);
		uint64_t n = (offset + length - 1) / FL_CHUNK_SIZE - offset / FL_CHUNK_SIZE + 1;
		frame_chunks = n > frame_chunks ? n : frame_chunks;
	}
}

static void tear_down(void)
{
	content_free(&content);
}

TestSuite(runner_kill, .init = set_up, .fini = tear_down, .timeout = 300);

/* No sector holds anything but what stood there before or what shall stand there: SIGKILL may cut a
 * write in two. */
static void check_sectors(int target)
{
	static uint8_t now[IMAGE_LEN];
	static const uint8_t old[512];
	struct fl_err err;
	cr_assert_eq(fl_pread_all(target, now, IMAGE_LEN, 0, &err), FL_OK);
	for (size_t at = 0; at < IMAGE_LEN; at += sizeof(old)) {
		size_t len = IMAGE_LEN - at < sizeof(old) ? IMAGE_LEN - at : sizeof(old);
		cr_assert(memcmp(now + at, content.image + at, len) == 0 ||
				  memcmp(now + at, old, len) == 0,
			  "byte %zu is neither old nor new", at);
	}
}

static uint64_t useful(const struct outcome *out, uint64_t pieces)
{
	return pieces - out->served[FL_OBJECT_INSTALLED_TREE] -
	       out->served[FL_OBJECT_TRANSPORT_TREE];
}

Test(runner_kill, anywhere_and_once_more)
{
	uint64_t whole = content.transport.len / FL_CHUNK_SIZE + 1;
	for (uint64_t n = 1; n <= whole + 2; n++) {
		struct outcome first, second;
		FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
		struct play p = {.plugin = ROOTFS,
				 .content = &content,
				 .target = target,
				 .kill_after_pieces = n};
		play(&p, &first);
		check_sectors(target);
		p.kill_after_pieces = 0;
		play_expect(&p, "ok", "ok", &second);
		cr_assert(target_is(target, &content));
		/* sent is not taken: what lay in the socket was never seen by the runner */
		uint64_t in_flight = 4;
		cr_assert_leq(useful(&first, n) + second.served[FL_OBJECT_TRANSPORT],
			      whole + frame_chunks + 1 + in_flight + 1, "killed after %lu",
			      (unsigned long)n);
	}
}

Test(runner_kill, twenty_times_in_one_install)
{
	uint64_t whole = content.transport.len / FL_CHUNK_SIZE + 1, served = 0;
	struct outcome out;
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
	struct play p = {.plugin = ROOTFS, .content = &content, .target = target};
	unsigned kills = 0;
	for (; kills < 20; kills++) {
		p.kill_after_pieces = 12 + kills;
		play(&p, &out);
		served += out.served[FL_OBJECT_TRANSPORT];
		check_sectors(target);
		if (out.has_result)
			break;
	}
	p.kill_after_pieces = 0;
	play_expect(&p, "ok", "ok", &out);
	served += out.served[FL_OBJECT_TRANSPORT];
	cr_assert(target_is(target, &content));
	/* each cut: a frame, a chunk, the table's chunk, and what lay in the socket */
	cr_assert_leq(served, whole + kills * (frame_chunks + 1 + 1 + 4));
}

Test(runner_kill, sigterm_is_a_cancel)
{
	struct outcome out;
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
	struct play p = {
		.plugin = ROOTFS, .content = &content, .target = target, .term_after_pieces = 9};
	play_expect(&p, "retry", "cancelled", &out);
	check_sectors(target);
}

/* Everything is dead once the control channel has ended and the outer process is reaped. */
Test(runner_kill, without_the_helper_the_runner_ends)
{
	struct outcome out;
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
	struct play p = {
		.plugin = ROOTFS, .content = &content, .target = target, .leave_after_pieces = 9};
	play(&p, &out);
	cr_assert_not(out.has_result);
	cr_assert_lt(out.all_dead_ms, 10000);
	check_sectors(target);
}
