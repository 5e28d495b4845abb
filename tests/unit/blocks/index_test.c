/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: every way of lying that it must refuse, and frames that are not what they should be.
 */
#include "world.h"

#include "layout.h"

#include <fairlead/artifact/frames.h>
#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define FRAME  4096u
#define FRAMES (2 * FL_BLOCKS_GROUP + 5)
#define RECORD (LENGTH_SIZE + FL_BLOCKS_HASH_SIZE + BLOCK_HASH_SIZE)
/* without a dictionary, behind the header */
#define GROUP	(GROUP_HEAD_SIZE + FL_BLOCKS_GROUP * RECORD)
#define GROUP_1 (HEADER_SIZE + GROUP)
#define GROUP_2 (GROUP_1 + GROUP)

static struct world w;

static void set_up(void)
{
	const struct fl_blocks_options options = {
		.frame_size = FRAME, .level = 1, .dictionary_max = 1};
	world_make(&w, FRAMES * FRAME, &options);
	cr_assert_eq(w.claim.index_size, GROUP_2 + GROUP_HEAD_SIZE + 5 * RECORD);
}

static void tear_down(void)
{
	world_free(&w);
}

TestSuite(blocks_index, .init = set_up, .fini = tear_down);

/* The first failure of opening it and reading every frame of it. */
static enum fl_rc read_all(void)
{
	struct fl_err err;
	struct fl_blocks_frame frame;
	fl_blocks_index_free(w.index);
	w.index = NULL;
	enum fl_rc rc = fl_blocks_index_open(&w.claim, &w.input, &w.index, &err);
	for (uint32_t k = 0; rc == FL_OK && k < FRAMES; k++)
		rc = fl_blocks_index_frame(w.index, k, &frame, &err);
	return rc;
}

static uint64_t peek(uint64_t at, size_t len)
{
	struct fl_err err;
	uint8_t p[8];
	cr_assert_eq(fl_pread_all(w.index_fd, p, len, at, &err), FL_OK);
	return get_be(p, len);
}

static void poke(uint64_t at, uint64_t value, size_t len)
{
	struct fl_err err;
	uint8_t p[8];
	put_be(p, value, len);
	cr_assert_eq(fl_pwrite_all(w.index_fd, p, len, at, &err), FL_OK);
}

/* One lie per row: what stands at `at` is replaced, or (add) increased, by `value`. */
static const struct {
	const char *what;
	uint64_t at;
	size_t len;
	bool add;
	uint64_t value;
} lies[] = {
	{"magic", 0, 4, true, 1},
	{"version 0", 4, 4, false, 0},
	{"version 2", 4, 4, false, 2},
	{"another image size", 8, 8, true, 1},
	{"an image past any bound", 8, 8, false, UINT64_MAX},
	{"another size of the frames", 16, 8, true, 1},
	{"no frame size", 24, 4, false, 0},
	{"another frame size", 24, 4, false, 8192},
	{"a frame size between blocks", 24, 4, false, 4097},
	{"a frame size past any bound", 24, 4, false, 1u << 31},
	{"a dictionary", 28, 4, false, 24},
	{"a dictionary past any bound", 28, 4, false, UINT32_MAX},
	{"a gap before the first frame", HEADER_SIZE, 8, true, 1},
	{"a frame of nothing", HEADER_SIZE + GROUP_HEAD_SIZE, 2, false, 0},
	{"a frame past any bound", HEADER_SIZE + GROUP_HEAD_SIZE, 2, false, 65535},
	{"a longer frame", HEADER_SIZE + GROUP_HEAD_SIZE + 9 * RECORD, 2, true, 1},
	{"a group that begins too early", GROUP_1, 8, true, (uint64_t)-1},
	{"a group that begins too late", GROUP_1, 8, true, 1},
	{"a group behind the file", GROUP_1, 8, false, UINT64_MAX},
	{"a last frame past the end", GROUP_2 + GROUP_HEAD_SIZE + 4 * RECORD, 2, true, 1},
};

Test(blocks_index, every_lie_is_refused)
{
	cr_assert_eq(read_all(), FL_OK);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const uint64_t was = peek(lies[i].at, lies[i].len);
		poke(lies[i].at, lies[i].add ? was + lies[i].value : lies[i].value, lies[i].len);
		cr_expect_eq(read_all(), FL_E_FORMAT, "%s", lies[i].what);
		poke(lies[i].at, was, lies[i].len);
	}
	cr_assert_eq(read_all(), FL_OK);
}

/* Consistent with its neighbour: nothing but the place itself is wrong. */
Test(blocks_index, groups_that_are_moved_together)
{
	struct fl_err err;
	struct fl_blocks_frame frame;
	poke(GROUP_1, peek(GROUP_1, 8) + w.claim.blocks_size, 8);
	poke(GROUP_2, peek(GROUP_2, 8) + w.claim.blocks_size, 8);
	world_open(&w);
	cr_assert_eq(fl_blocks_index_frame(w.index, FL_BLOCKS_GROUP, &frame, &err), FL_E_FORMAT);
	poke(HEADER_SIZE, 1, 8);
	poke(GROUP_1, peek(GROUP_1, 8) - w.claim.blocks_size + 1, 8);
	cr_assert_eq(fl_blocks_index_frame(w.index, 0, &frame, &err), FL_E_FORMAT);
}

Test(blocks_index, claims_that_are_others)
{
	uint64_t *sizes[] = {&w.claim.image_size, &w.claim.blocks_size, &w.claim.index_size};
	for (size_t i = 0; i < 3; i++) {
		(*sizes[i])++;
		cr_expect_eq(read_all(), FL_E_FORMAT, "size %zu", i);
		*sizes[i] -= 2;
		cr_expect_eq(read_all(), FL_E_FORMAT, "size %zu", i);
		(*sizes[i])++;
	}
	w.claim.frame_size *= 2;
	cr_expect_eq(read_all(), FL_E_FORMAT);
	w.claim.frame_size /= 2;
	cr_assert_eq(read_all(), FL_OK);
}

/* Refused before a group is read. */
Test(blocks_index, frames_that_cannot_be_in_the_file)
{
	struct fl_err err;
	const uint64_t impossible[] = {FRAMES - 1, FRAMES * fl_frames_length_max(FRAME) + 1};
	for (size_t i = 0; i < 2; i++) {
		poke(16, impossible[i], 8);
		w.claim.blocks_size = impossible[i];
		cr_assert_eq(fl_blocks_index_open(&w.claim, &w.input, &w.index, &err), FL_E_FORMAT);
	}
	poke(8, 0, 8); /* an empty image has no group that could tell */
	poke(16, 1, 8);
	w.claim = (struct fl_blocks_claim){0, 1, HEADER_SIZE, FRAME};
	cr_assert_eq(fl_blocks_index_open(&w.claim, &w.input, &w.index, &err), FL_E_FORMAT);
}

/* Their sum is right, they are not. */
Test(blocks_index, lengths_that_make_up_for_each_other)
{
	const uint64_t first = HEADER_SIZE + GROUP_HEAD_SIZE, second = first + RECORD;
	const uint64_t one = peek(first, 2), other = peek(second, 2);
	const uint64_t most = fl_frames_length_max(FRAME);
	/* nothing, what it had is the next one's */
	cr_assert_leq(one + other, most);
	poke(first, 0, 2);
	poke(second, one + other, 2);
	cr_assert_eq(read_all(), FL_E_FORMAT);
	poke(second, other, 2);
	/* too much, at the cost of as many others as that takes */
	uint64_t gained = 0;
	for (uint64_t at = second; gained + one <= most; at += RECORD) {
		gained += peek(at, 2) - 1;
		poke(at, 1, 2);
	}
	poke(first, one + gained, 2);
	cr_assert_eq(read_all(), FL_E_FORMAT);
}

Test(blocks_index, a_bad_group_spoils_no_other)
{
	struct fl_err err;
	struct fl_blocks_frame frame, again;
	world_open(&w);
	cr_assert_eq(fl_blocks_index_frame(w.index, 5, &frame, &err), FL_OK);
	poke(GROUP_1 + GROUP_HEAD_SIZE, 0, 2);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(fl_blocks_index_frame(w.index, FL_BLOCKS_GROUP + 5, &again, &err),
			     FL_E_FORMAT);
		cr_assert_eq(fl_blocks_index_frame(w.index, 5, &again, &err), FL_OK);
		cr_assert_eq(again.offset, frame.offset);
		cr_assert_eq(memcmp(again.hash, frame.hash, sizeof(frame.hash)), 0);
	}
}

Test(blocks_index, cut_anywhere)
{
	for (off_t len = (off_t)w.claim.index_size - 1; len >= 0; len -= 97) {
		cr_assert_eq(ftruncate(w.index_fd, len), 0);
		cr_expect_eq(read_all(), FL_E_TRUNCATED, "%lld bytes", (long long)len);
	}
}

Test(blocks_index, what_it_says_of_itself)
{
	struct fl_blocks_claim claim;
	struct fl_err err;
	cr_assert_eq(fl_blocks_claim_of(&w.input, w.claim.index_size, &claim, &err), FL_OK);
	cr_assert_eq(claim.image_size, w.claim.image_size);
	cr_assert_eq(claim.blocks_size, w.claim.blocks_size);
	cr_assert_eq(claim.frame_size, w.claim.frame_size);
	cr_assert_eq(fl_blocks_claim_of(&w.input, w.claim.index_size + 1, &claim, &err),
		     FL_E_FORMAT);
	cr_assert_eq(fl_blocks_claim_of(&w.input, w.claim.index_size - 1, &claim, &err),
		     FL_E_FORMAT);
}

/* ---- frames ---- */

Test(blocks_index, every_flipped_bit_of_a_frame)
{
	struct fl_err err;
	uint8_t packed[2 * FRAME], out[FRAME];
	world_open(&w);
	for (uint32_t k = 3; k < FRAMES; k += 1000) {
		const size_t len = world_fetch(&w, k, packed);
		cr_assert_eq(fl_blocks_check(w.index, k, packed, len, &err), FL_OK);
		for (size_t bit = 0; bit < len * 8; bit++) {
			packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
			cr_assert_eq(fl_blocks_decode(w.index, k, packed, len, out, &err),
				     FL_E_CHUNK_MISMATCH, "bit %zu", bit);
			packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		cr_assert_eq(fl_blocks_decode(w.index, k, packed, len, out, &err), FL_OK);
	}
}

Test(blocks_index, another_frame_or_length)
{
	struct fl_err err;
	uint8_t packed[2 * FRAME] = {0}, out[FRAME];
	world_open(&w);
	const size_t len = world_fetch(&w, 7, packed);
	cr_assert_eq(fl_blocks_check(w.index, 7, packed, len + 1, &err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_blocks_check(w.index, 7, packed, len - 1, &err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_blocks_check(w.index, 7, packed, 0, &err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_blocks_decode(w.index, 8, packed, len, out, &err), FL_E_CHUNK_MISMATCH);
}

/* Frames of the same bytes have different hashes: finding bytes for one of many is as hard as for
 * one. */
Test(blocks_index, a_hash_is_of_its_place)
{
	struct fl_err err;
	struct fl_blocks_frame one, other;
	const struct fl_blocks_options options = {.frame_size = FRAME, .dictionary_max = 1};
	memset(w.image, 0, w.image_len);
	cr_assert_eq(fl_pwrite_all(w.image_fd, w.image, w.image_len, 0, &err), FL_OK);
	cr_assert_eq(
		fl_blocks_create(w.image_fd, w.blocks_fd, w.index_fd, &options, &w.claim, &err),
		FL_OK);
	world_open(&w);
	cr_assert_eq(fl_blocks_index_frame(w.index, 7, &one, &err), FL_OK);
	cr_assert_eq(fl_blocks_index_frame(w.index, 8, &other, &err), FL_OK);
	cr_assert_eq(one.length, other.length);
	cr_assert_neq(memcmp(one.hash, other.hash, sizeof(one.hash)), 0);
}

/* The signer was wrong: a frame that hashes right and isn't one, or is too long. */
Test(blocks_index, a_signed_frame_that_is_none)
{
	struct fl_err err;
	uint8_t plain[2 * FRAME] = {1}, packed[FRAME], out[FRAME];
	const struct {
		size_t plain_len;
		bool damage;
		enum fl_rc rc;
	} rows[] = {{FRAME, true, FL_E_FORMAT},
		    {FRAME + 1, false, FL_E_SIZE_MISMATCH},
		    {FRAME - 1, false, FL_E_SIZE_MISMATCH},
		    {FRAME, false, FL_OK}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t hash[FL_BLOCKS_HASH_SIZE];
		const uint64_t record = HEADER_SIZE + GROUP_HEAD_SIZE, was = peek(record, 2);
		size_t len = ZSTD_compress(packed, sizeof(packed), plain, rows[i].plain_len, 1);
		packed[0] ^= rows[i].damage;
		cr_assert_leq(len, was);
		memset(packed + len, 0, was - len);
		cr_assert_eq(frame_hash(0, packed, len, hash, &err), FL_OK);
		poke(record, len, 2);
		poke(record + RECORD, peek(record + RECORD, 2) + was - len, 2);
		cr_assert_eq(fl_pwrite_all(w.index_fd, hash, sizeof(hash), record + 2, &err),
			     FL_OK);
		world_open(&w);
		cr_expect_eq(fl_blocks_decode(w.index, 0, packed, len, out, &err), rows[i].rc,
			     "row %zu", i);
		fl_blocks_index_free(w.index);
		w.index = NULL;
		poke(record + RECORD, peek(record + RECORD, 2) - was + len, 2);
		poke(record, was, 2);
	}
}
