/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage: an index with any byte changed is refused or gives wrong hints, and never more; the image
 * made by it is another one at most.
 */
#include "world.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define LEN   ((size_t)600 * 1024 + 33)
#define FRAME 8192u

static struct world w;

static void set_up(void)
{
	const struct fl_blocks_options options = {.frame_size = FRAME, .level = 1};
	world_make(&w, LEN, &options);
	/* the base has most of it, elsewhere */
	world_set_base(&w, w.image + 11, LEN - 50011);
}

static void tear_down(void)
{
	world_free(&w);
}

TestSuite(blocks_damage, .init = set_up, .fini = tear_down, .timeout = 100);

struct outcome {
	unsigned refused, wrong, right;
};

static enum fl_rc make_frame(uint32_t k, uint8_t *out)
{
	struct fl_err err;
	static uint8_t packed[FRAME * 2];
	const struct fl_blocks_bases bases = {&w.base_fd, 1};
	struct fl_blocks_frame frame;
	bool lacks = false;
	enum fl_rc rc = fl_blocks_plan_lacks(w.index, w.plan_fd, k, &lacks, &err);
	if (rc == FL_OK && !lacks)
		return fl_blocks_plan_gather(w.index, w.plan_fd, &bases, k, out, &err);
	if (rc == FL_OK)
		rc = fl_blocks_index_frame(w.index, k, &frame, &err);
	if (rc == FL_OK)
		rc = fl_pread_all(w.blocks_fd, packed, frame.length, frame.offset, &err);
	return rc == FL_OK ? fl_blocks_decode(w.index, k, packed, frame.length, out, &err) : rc;
}

/* All that a device does with it, up to the comparison with the installed tree. */
static void go_through(struct outcome *o)
{
	struct fl_err err;
	struct fl_blocks_found found;
	const struct fl_blocks_task task = {.bases = {&w.base_fd, 1}, .plan = w.plan_fd};
	bool wrong = false;
	enum fl_rc rc = fl_blocks_index_open(&w.claim, &w.input, &w.index, &err);
	if (rc == FL_OK)
		rc = fl_blocks_search(w.index, &task, &found, &err);
	for (uint32_t k = 0; rc == FL_OK && k < fl_blocks_index_frames(w.index); k++) {
		const size_t at = (size_t)k * FRAME, left = LEN - at;
		const size_t len = left < FRAME ? left : FRAME;
		uint8_t *out = malloc(len);
		rc = make_frame(k, out);
		wrong = wrong || (rc == FL_OK && memcmp(out, w.image + at, len) != 0);
		free(out);
	}
	fl_blocks_index_free(w.index);
	w.index = NULL;
	o->refused += rc != FL_OK;
	o->wrong += rc == FL_OK && wrong;
	o->right += rc == FL_OK && !wrong;
}

Test(blocks_damage, every_byte_of_the_index)
{
	struct outcome o = {0};
	struct fl_err err;
	uint8_t *index = file_bytes(w.index_fd);
	go_through(&o);
	cr_assert_eq(o.right, 1);
	for (size_t i = 0; i < w.claim.index_size; i += i < 32 || i > 4800 ? 1 : 61) {
		const uint8_t changed = index[i] ^ (uint8_t)(1 + i % 255);
		cr_assert_eq(fl_pwrite_all(w.index_fd, &changed, 1, i, &err), FL_OK);
		go_through(&o);
		cr_assert_eq(fl_pwrite_all(w.index_fd, index + i, 1, i, &err), FL_OK);
	}
	/* lengths and hashes of frames that lack; hashes of blocks that are then fetched instead */
	cr_assert_gt(o.refused, 100, "%u refused, %u wrong, %u right", o.refused, o.wrong, o.right);
	cr_assert_gt(o.right, 100, "%u refused, %u wrong, %u right", o.refused, o.wrong, o.right);
	free(index);
}

/* A hint that lies: the hash of another block. What is gathered is wrong, and nothing else. */
Test(blocks_damage, a_hash_of_another_block)
{
	struct outcome o = {0};
	struct fl_err err;
	uint8_t hash[6];
	const size_t record = 2 + 16 + 2 * 6, end = w.claim.index_size;
	const size_t last_but_9 = end - 10 * record;
	world_set_base(&w, w.image, LEN);
	cr_assert_eq(fl_pread_all(w.index_fd, hash, 6, last_but_9 + 18, &err), FL_OK);
	cr_assert_eq(fl_pwrite_all(w.index_fd, hash, 6, last_but_9 - 3 * record + 18, &err), FL_OK);
	go_through(&o);
	cr_assert_eq(o.wrong, 1);
}

static enum fl_rc fail_at(void *ctx, uint64_t offset, void *data, size_t len, struct fl_err *err)
{
	int *left = ctx;
	if (--*left == 0)
		return fl_fail(err, FL_E_IO, 0, "no");
	return fl_blocks_read_fd(&w.index_fd, offset, data, len, err);
}

Test(blocks_damage, every_read_that_fails_is_told)
{
	struct fl_err err;
	struct fl_blocks_found found;
	uint8_t out[FRAME];
	unsigned failed = 0;
	for (int n = 1;; n++) {
		int left = n;
		const struct fl_blocks_input input = {fail_at, &left};
		const struct fl_blocks_task task = {.bases = {&w.base_fd, 1}, .plan = w.plan_fd};
		static uint8_t packed[2 * FRAME];
		size_t len = 0;
		enum fl_rc rc = fl_blocks_index_open(&w.claim, &input, &w.index, &err);
		if (rc == FL_OK)
			rc = fl_blocks_search(w.index, &task, &found, &err);
		if (rc == FL_OK) {
			len = world_fetch(&w, 0, packed);
			rc = fl_blocks_decode(w.index, 0, packed, len, out, &err);
		}
		fl_blocks_index_free(w.index);
		w.index = NULL;
		if (rc == FL_OK)
			break;
		cr_assert_eq(rc, FL_E_IO, "read %d: %s", n, err.msg);
		failed++;
	}
	cr_assert_eq(failed, 3, "header, group, dictionary");
}
