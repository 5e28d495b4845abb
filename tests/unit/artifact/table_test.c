/* SPDX-License-Identifier: Apache-2.0 */
/* The table parser: what it takes, in pieces of any length, and every way of lying that it must
 * refuse. */
#include <fairlead/artifact/frames.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define UNIT 65536u

static void put(uint8_t *p, uint64_t v, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
}

/* A table of n frames, frame k of 100 + k bytes; returns the length of the whole file. */
static uint64_t make_table(uint8_t *out, uint64_t image_size, uint32_t frame, uint32_t n)
{
	memcpy(out, "FLZF", 4);
	put(out + 4, 1, 4);
	put(out + 8, image_size, 8);
	put(out + 16, frame, 4);
	put(out + 20, n, 4);
	uint64_t at = FL_FRAMES_HEADER_SIZE + (uint64_t)n * FL_FRAMES_ENTRY_SIZE;
	for (uint32_t k = 0; k < n; k++) {
		put(out + FL_FRAMES_HEADER_SIZE + (size_t)k * FL_FRAMES_ENTRY_SIZE, at, 8);
		put(out + FL_FRAMES_HEADER_SIZE + (size_t)k * FL_FRAMES_ENTRY_SIZE + 8, 100 + k, 4);
		at += 100 + k;
	}
	return at;
}

static enum fl_rc parse(const uint8_t *table, const struct fl_frames_claim *claim, size_t piece,
			struct fl_frames **ret)
{
	struct fl_err err;
	struct fl_frames *f = NULL;
	enum fl_rc rc = fl_frames_new(claim, &f, &err);
	size_t size = rc == FL_OK ? (size_t)fl_frames_table_size(f) : 0;
	for (size_t at = 0; at < size && rc == FL_OK; at += piece)
		rc = fl_frames_feed(f, table + at, size - at < piece ? size - at : piece, &err);
	if (rc != FL_OK || ret == NULL)
		fl_frames_free(f);
	else
		*ret = f;
	return rc;
}

Test(artifact_table, the_same_in_pieces_of_any_length)
{
	static uint8_t table[FL_FRAMES_HEADER_SIZE + 200 * FL_FRAMES_ENTRY_SIZE];
	uint64_t image = 199 * (uint64_t)UNIT + 5;
	struct fl_frames_claim claim = {image, make_table(table, image, UNIT, 200), UNIT};
	for (size_t piece = 1; piece <= sizeof(table); piece = piece * 3 + 1) {
		struct fl_frames *f = NULL;
		cr_assert_eq(parse(table, &claim, piece, &f), FL_OK);
		cr_assert(fl_frames_complete(f));
		cr_assert_eq(fl_frames_count(f), 200);
		uint64_t at = sizeof(table);
		for (uint32_t k = 0; k < 200; k++) {
			uint64_t offset;
			uint32_t length;
			fl_frames_locate(f, k, &offset, &length);
			cr_assert_eq(offset, at);
			cr_assert_eq(length, 100 + k);
			at += length;
			cr_assert_eq(fl_frames_image_len(f, k), k == 199 ? 5 : UNIT);
		}
		fl_frames_free(f);
	}
}

Test(artifact_table, not_complete_before_the_last_byte)
{
	static uint8_t table[FL_FRAMES_HEADER_SIZE + 2 * FL_FRAMES_ENTRY_SIZE];
	struct fl_frames_claim claim = {2 * UNIT, make_table(table, 2 * UNIT, UNIT, 2), UNIT};
	struct fl_frames *f = NULL;
	struct fl_err err;
	cr_assert_eq(fl_frames_new(&claim, &f, &err), FL_OK);
	for (size_t i = 0; i < sizeof(table); i++) {
		cr_assert_not(fl_frames_complete(f));
		cr_assert_eq(fl_frames_feed(f, table + i, 1, &err), FL_OK);
	}
	cr_assert(fl_frames_complete(f));
	fl_frames_free(f);
}

/* One lie per row: `value` of `len` bytes at `at` of a sound table of three frames. */
static const struct {
	const char *what;
	size_t at, len;
	uint64_t value;
	enum fl_rc rc;
} lies[] = {
	{"magic", 0, 4, 0x464c5a47, FL_E_FORMAT},
	{"version 0", 4, 4, 0, FL_E_FORMAT},
	{"version 2", 4, 4, 2, FL_E_FORMAT},
	{"another image size", 8, 8, 3 * UNIT - 1, FL_E_SIZE_MISMATCH},
	{"another frame size", 16, 4, 2 * UNIT, FL_E_FORMAT},
	{"another count", 20, 4, 2, FL_E_FORMAT},
	{"a huge count", 20, 4, UINT32_MAX, FL_E_FORMAT},
	{"first frame within the table", 24, 8, 59, FL_E_FORMAT},
	{"a gap before the first frame", 24, 8, 61, FL_E_FORMAT},
	{"an empty frame", 32, 4, 0, FL_E_FORMAT},
	{"a frame past any bound", 32, 4, 0x7fffffff, FL_E_FORMAT},
	{"frames that overlap", 36, 8, 159, FL_E_FORMAT},
	{"a gap between frames", 36, 8, 161, FL_E_FORMAT},
	{"an offset at the end of numbers", 36, 8, UINT64_MAX, FL_E_FORMAT},
	{"frames in another order", 36, 8, 60, FL_E_FORMAT},
	{"bytes behind the last frame", 56, 4, 101, FL_E_FORMAT},
	{"a last frame past the end", 56, 4, 103, FL_E_FORMAT},
};

Test(artifact_table, every_lie_is_refused)
{
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		uint8_t table[FL_FRAMES_HEADER_SIZE + 3 * FL_FRAMES_ENTRY_SIZE];
		struct fl_frames_claim claim = {3 * UNIT, make_table(table, 3 * UNIT, UNIT, 3),
						UNIT};
		put(table + lies[i].at, lies[i].value, lies[i].len);
		for (size_t piece = 1; piece <= 64; piece *= 8)
			cr_expect_eq(parse(table, &claim, piece, NULL), lies[i].rc, "%s",
				     lies[i].what);
	}
}

Test(artifact_table, every_flipped_bit_is_noticed)
{
	uint8_t table[FL_FRAMES_HEADER_SIZE + 3 * FL_FRAMES_ENTRY_SIZE];
	struct fl_frames_claim claim = {3 * UNIT, make_table(table, 3 * UNIT, UNIT, 3), UNIT};
	for (size_t bit = 0; bit < sizeof(table) * 8; bit++) {
		table[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect_neq(parse(table, &claim, sizeof(table), NULL), FL_OK, "bit %zu", bit);
		table[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

Test(artifact_table, claims_that_cannot_be)
{
	struct fl_err err;
	struct fl_frames *f = NULL;
	const struct fl_frames_claim claims[] = {
		{UNIT, 1000, 0},
		{UNIT, 1000, UNIT - 1},
		{UNIT, 1000, UNIT + 1},
		{UNIT, 1000, FL_FRAMES_SIZE_MAX + UNIT},
		{UNIT, 36, UNIT},					/* no byte for the frame */
		{(uint64_t)FL_FRAMES_MAX * UNIT + 1, UINT64_MAX, UNIT}, /* a frame too many */
		{UINT64_MAX, UINT64_MAX, FL_FRAMES_SIZE_MAX},
		{0, 23, UNIT},
	};
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		cr_expect_eq(fl_frames_new(&claims[i], &f, &err), FL_E_FORMAT, "claim %zu", i);
}

Test(artifact_table, the_largest_table)
{
	uint64_t image = (uint64_t)FL_FRAMES_MAX * UNIT;
	size_t size = FL_FRAMES_HEADER_SIZE + (size_t)FL_FRAMES_MAX * FL_FRAMES_ENTRY_SIZE;
	uint8_t *table = calloc(1, size);
	uint64_t at = size;
	memcpy(table, "FLZF", 4);
	put(table + 4, 1, 4);
	put(table + 8, image, 8);
	put(table + 16, UNIT, 4);
	put(table + 20, FL_FRAMES_MAX, 4);
	for (uint32_t k = 0; k < FL_FRAMES_MAX; k++, at += 9) {
		put(table + 24 + (size_t)k * 12, at, 8);
		put(table + 24 + (size_t)k * 12 + 8, 9, 4);
	}
	struct fl_frames_claim claim = {image, at, UNIT};
	struct fl_frames *f = NULL;
	cr_assert_eq(parse(table, &claim, UNIT, &f), FL_OK);
	uint64_t offset;
	uint32_t length;
	fl_frames_locate(f, FL_FRAMES_MAX - 1, &offset, &length);
	cr_assert_eq(offset, at - 9);
	fl_frames_free(f);
	free(table);
}

Test(artifact_table, an_empty_image)
{
	uint8_t table[FL_FRAMES_HEADER_SIZE];
	make_table(table, 0, UNIT, 0);
	struct fl_frames_claim claim = {0, FL_FRAMES_HEADER_SIZE, UNIT};
	struct fl_frames *f = NULL;
	cr_assert_eq(parse(table, &claim, 7, &f), FL_OK);
	cr_assert(fl_frames_complete(f));
	fl_frames_free(f);
	claim.transport_size++;
	cr_assert_eq(parse(table, &claim, 24, NULL), FL_E_FORMAT);
}
