/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash tree. The roots below were computed by another program, in Python, straight from
 * docs/formats.md:
 *
 *   def h(tag, level, i, d): return sha256(bytes([tag, level]) + struct.pack('>QI', i, len(d)) +
 * d).digest() leaves = [h(0, 0, i, c) for i, c in enumerate(chunks)]; pages of 2,048 leaves: h(1,
 * L, j, page), until one is left; root = h(2, 0, 0, struct.pack('>IQ', 65536, size) + top)
 *
 * over the bytes pattern(i) = 7·i + 13·(i >> 8) + 29·(i >> 16), modulo 256.
 */
#include <fairlead/trust/tree.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define C ((uint64_t)FL_CHUNK_SIZE)

static uint8_t pattern(uint64_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16) * 29);
}

static void fill(uint8_t *out, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = pattern(offset + i);
}

/* The root (and tree object) of `size` bytes of the pattern, given in steps of `step` bytes. */
static struct fl_digest build(uint64_t size, size_t step, struct fl_buf *object)
{
	struct fl_err err = {0};
	struct fl_tree_builder *builder = NULL;
	struct fl_digest root = {{0}};
	uint8_t *data = malloc(step);
	uint64_t total = 0;
	cr_assert_eq(fl_tree_builder_new(&builder, &err), FL_OK);
	for (uint64_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? (size_t)(size - at) : step;
		fill(data, at, n);
		cr_assert_eq(fl_tree_builder_add(builder, data, n, &err), FL_OK, "%s", err.msg);
	}
	cr_assert_eq(fl_tree_builder_finish(builder, &root, &total, object, &err), FL_OK, "%s",
		     err.msg);
	cr_assert_eq(total, size);
	fl_tree_builder_free(builder);
	free(data);
	return root;
}

static void expect_root(uint64_t size, const char *hex)
{
	char got[FL_DIGEST_HEX_SIZE];
	struct fl_digest root = build(size, 1 << 20, NULL);
	fl_hex_encode(root.b, sizeof(root.b), got);
	cr_assert_str_eq(got, hex, "size %llu", (unsigned long long)size);
}

Test(tree, roots_are_those_of_the_written_format)
{
	expect_root(0, "b233c077c0828c517f41739071368c1899733f6d13820db51c9c6323155b0fce");
	expect_root(1, "c7ce350bc44605b6993e67be42dbd5bcf2483f4712d9ee39aa2f3e7cded398c8");
	expect_root(C - 1, "5a49b16eaed8548c4cfdb89b3504655cb07509f4c04daf89f80782f7132d032a");
	expect_root(C, "ef556910a7d05cf07692cd613853090b54202ac0740d441c791688dea9668f66");
	expect_root(C + 1, "6fa8d1cbcf80ce09b2052d5bf9609f3f5a3b52a7f11b45e8abe83dc2ed66ea2b");
}

Test(tree, roots_around_a_full_page_are_those_of_the_written_format)
{
	expect_root(2047 * C, "4ca7fea3b00a0ec64163a9a655df9d6279d2a43d317d11697171469c1aa97870");
	expect_root(2048 * C - 1,
		    "94211a05dc428b29ee768e70d46535a8de9d937d88f80300d53b86700c0b9926");
	expect_root(2048 * C, "0317cdba3f631d4c9fa2dbcfee03f42fbd9c9accbbb534de6a7f87f1b1033af6");
	expect_root(2048 * C + 1,
		    "a071a14460e732a75547bc2473a6e2512c1493ee506554c5f437c3acdf3e0dd2");
	expect_root(2049 * C, "3bfccf15a2b766e7ff8bfa0bc187d7030bca2c5fb3a10e298b2857b551897c64");
}

Test(tree, the_steps_of_the_stream_do_not_matter)
{
	const uint64_t size = 3 * C + 5000;
	struct fl_digest want = build(size, 1 << 20, NULL);
	const size_t steps[] = {1000, 65535, 65536, 65537, 100000, 131072};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct fl_digest got = build(size, steps[i], NULL);
		cr_assert(fl_digest_equal(&got, &want), "step %zu", steps[i]);
	}
}

/* --- shapes --- */

static struct fl_tree_shape shape_of(uint64_t size)
{
	struct fl_tree_shape shape;
	struct fl_err err = {0};
	cr_assert_eq(fl_tree_shape(size, &shape, &err), FL_OK, "%s", err.msg);
	return shape;
}

Test(tree, shapes_of_small_content)
{
	const struct {
		uint64_t size, chunks;
		uint32_t last;
	} rows[] = {{0, 1, 0},	   {1, 1, 1},	      {C - 1, 1, 65535},      {C, 1, 65536},
		    {C + 1, 2, 1}, {2 * C, 2, 65536}, {2048 * C, 2048, 65536}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fl_tree_shape s = shape_of(rows[i].size);
		cr_assert_eq(s.n_chunks, rows[i].chunks);
		cr_assert_eq(fl_tree_chunk_len(&s, s.n_chunks - 1), rows[i].last);
		cr_assert_eq(s.n_pages, 1);
		cr_assert_eq(s.object_len, 32 * rows[i].chunks);
		cr_assert_eq(fl_tree_page_len(&s, 0), s.object_len);
		cr_assert_eq(fl_tree_page_of_chunk(&s, s.n_chunks - 1), 0);
	}
}

Test(tree, a_second_level_begins_past_2048_chunks)
{
	struct fl_tree_shape s = shape_of(2048 * C + 1);
	cr_assert_eq(s.n_chunks, 2049);
	cr_assert_eq(s.n_pages, 3);
	cr_assert_eq(fl_tree_page_len(&s, 0), 64);
	cr_assert_eq(fl_tree_page_len(&s, 1), 65536);
	cr_assert_eq(fl_tree_page_len(&s, 2), 32);
	cr_assert_eq(fl_tree_page_offset(&s, 0), 0);
	cr_assert_eq(fl_tree_page_offset(&s, 1), 64);
	cr_assert_eq(fl_tree_page_offset(&s, 2), 64 + 65536);
	cr_assert_eq(s.object_len, 64 + 65536 + 32);
	cr_assert_eq(fl_tree_page_of_chunk(&s, 2047), 1);
	cr_assert_eq(fl_tree_page_of_chunk(&s, 2048), 2);
}

Test(tree, a_quarter_gib_costs_half_a_per_mille)
{
	cr_assert_eq(shape_of(UINT64_C(256) << 20).object_len, 4096 * 32 + 2 * 32);
}

Test(tree, sizes_past_4_gib_are_counted_in_64_bits)
{
	for (int delta = -1; delta <= 1; delta++) {
		uint64_t size = (UINT64_C(4) << 30) + (uint64_t)(int64_t)delta;
		struct fl_tree_shape s = shape_of(size);
		cr_assert_eq(s.n_chunks, delta == 1 ? 65537 : 65536);
		cr_assert_eq(fl_tree_chunk_len(&s, s.n_chunks - 1), delta == 0	 ? 65536
								    : delta == 1 ? 1
										 : 65535);
		cr_assert_eq(fl_tree_chunk_len(&s, 65535), delta == -1 ? 65535 : 65536);
	}
	struct fl_tree_shape s = shape_of((UINT64_C(2) << 30) + 1);
	cr_assert_eq(s.n_chunks, 32769);
	cr_assert_eq(s.n_pages, 1 + 17);
}

Test(tree, the_largest_content_fills_both_levels)
{
	struct fl_err err;
	struct fl_tree_shape s = shape_of(FL_TREE_SIZE_MAX);
	cr_assert_eq(s.n_chunks, UINT64_C(2048) * 2048);
	cr_assert_eq(s.n_pages, 2049);
	cr_assert_eq(fl_tree_page_len(&s, 0), 65536);
	cr_assert_eq(fl_tree_page_len(&s, 2048), 65536);
	cr_assert_eq(fl_tree_page_offset(&s, 2048), UINT64_C(65536) * 2048);
	cr_assert_eq(s.object_len, UINT64_C(65536) * 2049);
	cr_assert_eq(fl_tree_page_of_chunk(&s, s.n_chunks - 1), 2048);
	cr_assert_eq(fl_tree_shape(FL_TREE_SIZE_MAX + 1, &s, &err), FL_E_TOO_LARGE);
	cr_assert_eq(fl_tree_shape(UINT64_MAX, &s, &err), FL_E_TOO_LARGE);
}

Test(tree, pages_cover_the_object_without_gap)
{
	const uint64_t sizes[] = {
		0, 1, 2048 * C, 2048 * C + 1, 4096 * C, 5000 * C + 7, FL_TREE_SIZE_MAX};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fl_tree_shape s = shape_of(sizes[i]);
		uint64_t at = 0;
		for (uint64_t p = 0; p < s.n_pages; p++) {
			cr_assert_eq(fl_tree_page_offset(&s, p), at);
			at += fl_tree_page_len(&s, p);
		}
		cr_assert_eq(at, s.object_len);
	}
}

/* --- the verifier --- */

struct content {
	uint64_t size;
	struct fl_buf object;
	struct fl_tree *tree;
	const struct fl_tree_shape *shape;
	uint8_t chunk[FL_CHUNK_SIZE];
	struct fl_err err;
};

static void open_content(struct content *c, uint64_t size)
{
	memset(c, 0, sizeof(*c));
	c->size = size;
	c->object = FL_BUF(1 << 22);
	struct fl_digest root = build(size, 1 << 20, &c->object);
	cr_assert_eq(fl_tree_new(size, &root, &c->tree, &c->err), FL_OK, "%s", c->err.msg);
	c->shape = fl_tree_get_shape(c->tree);
	cr_assert_eq(c->object.len, c->shape->object_len);
}

static void close_content(struct content *c)
{
	fl_tree_free(c->tree);
	fl_buf_free(&c->object);
}

static enum fl_rc put(struct content *c, uint64_t page)
{
	return fl_tree_put_page(c->tree, page, c->object.data + fl_tree_page_offset(c->shape, page),
				fl_tree_page_len(c->shape, page), &c->err);
}

/* Gives the pages that chunk i waits for, and the right bytes of that chunk. */
static enum fl_rc check_chunk(struct content *c, uint64_t i)
{
	uint64_t page = UINT64_MAX;
	while (!fl_tree_ready(c->tree, i, &page))
		cr_assert_eq(put(c, page), FL_OK, "%s", c->err.msg);
	uint32_t len = fl_tree_chunk_len(c->shape, i);
	fill(c->chunk, i * C, len);
	return fl_tree_check(c->tree, i, c->chunk, len, &c->err);
}

Test(tree, right_chunks_pass_at_every_size)
{
	const uint64_t sizes[] = {0,	    1,		 C - 1, C, C + 1, 3 * C, 2048 * C - 1,
				  2048 * C, 2048 * C + 1};
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct content c;
		open_content(&c, sizes[k]);
		uint64_t step = c.shape->n_chunks > 100 ? 500 : 1;
		for (uint64_t i = 0; i < c.shape->n_chunks; i += step)
			cr_assert_eq(check_chunk(&c, i), FL_OK, "size %llu chunk %llu",
				     (unsigned long long)sizes[k], (unsigned long long)i);
		cr_assert_eq(check_chunk(&c, c.shape->n_chunks - 1), FL_OK);
		close_content(&c);
	}
}

Test(tree, chunks_may_come_in_any_order)
{
	struct content c;
	open_content(&c, 2049 * C);
	const uint64_t order[] = {2048, 0, 2047, 2048, 1};
	for (size_t i = 0; i < 5; i++)
		cr_assert_eq(check_chunk(&c, order[i]), FL_OK);
	close_content(&c);
}

Test(tree, pages_are_asked_for_from_the_top)
{
	struct content c;
	uint64_t page = 99;
	open_content(&c, 2049 * C);
	cr_assert_not(fl_tree_ready(c.tree, 2048, &page));
	cr_assert_eq(page, 0);
	cr_assert_eq(put(&c, 0), FL_OK);
	cr_assert_not(fl_tree_ready(c.tree, 2048, &page));
	cr_assert_eq(page, 2);
	cr_assert_eq(put(&c, 2), FL_OK);
	cr_assert(fl_tree_ready(c.tree, 2048, &page));
	cr_assert_not(fl_tree_ready(c.tree, 2047, &page), "the other page is not held");
	cr_assert_eq(page, 1);
	close_content(&c);
}

Test(tree, a_page_before_the_top_page_is_refused)
{
	struct content c;
	open_content(&c, 2049 * C);
	cr_assert_eq(put(&c, 1), FL_E_CHUNK_MISMATCH);
	close_content(&c);
}

Test(tree, one_changed_bit_is_found)
{
	struct content c;
	open_content(&c, 3 * C + 100);
	cr_assert_eq(check_chunk(&c, 3), FL_OK);
	for (int bit = 0; bit < 800; bit += 37) {
		c.chunk[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(fl_tree_check(c.tree, 3, c.chunk, 100, &c.err), FL_E_CHUNK_MISMATCH);
		c.chunk[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	close_content(&c);
}

Test(tree, chunks_do_not_change_places)
{
	/* chunks 0 and 256 hold the same bytes: 29 · 256 is 0 modulo 256 */
	struct content c;
	open_content(&c, 300 * C);
	cr_assert_eq(check_chunk(&c, 0), FL_OK);
	cr_assert_eq(pattern(0), pattern(256 * C));
	cr_assert_eq(fl_tree_check(c.tree, 256, c.chunk, C, &c.err), FL_OK,
		     "equal bytes in their own place");
	fill(c.chunk, C, C);
	cr_assert_eq(fl_tree_check(c.tree, 2, c.chunk, C, &c.err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_tree_check(c.tree, 1, c.chunk, C, &c.err), FL_OK);
	close_content(&c);
}

Test(tree, equal_chunks_have_different_leaves)
{
	struct content c;
	open_content(&c, 300 * C);
	cr_assert_neq(memcmp(c.object.data, c.object.data + 256 * 32, 32), 0);
	close_content(&c);
}

Test(tree, a_cut_or_longer_chunk_is_refused)
{
	struct content c;
	open_content(&c, C + 100);
	cr_assert_eq(check_chunk(&c, 1), FL_OK);
	cr_assert_eq(fl_tree_check(c.tree, 1, c.chunk, 99, &c.err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_tree_check(c.tree, 1, c.chunk, 101, &c.err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_tree_check(c.tree, 1, c.chunk, 0, &c.err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_tree_check(c.tree, 0, c.chunk, C - 1, &c.err), FL_E_CHUNK_MISMATCH);
	close_content(&c);
}

/* the length is hashed with 32 bits: one that is equal only in those must not pass for the chunk's
 */
Test(tree, a_length_past_4_gib_is_not_cut_to_32_bits)
{
	struct content c;
	open_content(&c, C + 100);
	cr_assert_eq(check_chunk(&c, 1), FL_OK);
	cr_assert_eq(fl_tree_check(c.tree, 1, c.chunk, ((size_t)1 << 32) + 100, &c.err),
		     FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_tree_put_page(c.tree, 0, c.object.data, ((size_t)1 << 32) + 64, &c.err),
		     FL_E_CHUNK_MISMATCH);
	close_content(&c);
}

Test(tree, a_chunk_or_page_past_the_end_is_refused)
{
	struct content c;
	open_content(&c, C);
	cr_assert_eq(check_chunk(&c, 0), FL_OK);
	cr_assert_eq(fl_tree_check(c.tree, 1, c.chunk, 0, &c.err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_tree_check(c.tree, UINT64_MAX, c.chunk, C, &c.err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_tree_put_page(c.tree, 1, c.object.data, 32, &c.err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(fl_tree_put_page(c.tree, UINT64_MAX, c.object.data, 32, &c.err),
		     FL_E_CHUNK_MISMATCH);
	close_content(&c);
}

Test(tree, a_page_that_was_changed_cut_or_moved_is_refused)
{
	struct content c;
	open_content(&c, 4096 * C);
	uint8_t *object = c.object.data;
	object[5] ^= 1;
	cr_assert_eq(put(&c, 0), FL_E_CHUNK_MISMATCH);
	object[5] ^= 1;
	cr_assert_eq(fl_tree_put_page(c.tree, 0, object, 32, &c.err), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(put(&c, 0), FL_OK);
	cr_assert_eq(
		fl_tree_put_page(c.tree, 1, object + fl_tree_page_offset(c.shape, 2), C, &c.err),
		FL_E_CHUNK_MISMATCH, "page 2 in the place of page 1");
	cr_assert_eq(put(&c, 2), FL_OK);
	cr_assert_eq(check_chunk(&c, 4095), FL_OK);
	object[fl_tree_page_offset(c.shape, 1)] ^= 1;
	cr_assert_eq(put(&c, 1), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(check_chunk(&c, 4095), FL_OK, "a refused page leaves the one held");
	close_content(&c);
}

/* the root binds the size: the same chunks under another size are another content */
Test(tree, a_lie_about_the_size_is_found)
{
	struct fl_err err;
	struct fl_buf object = FL_BUF(1 << 20);
	struct fl_digest root = build(3 * C, 1 << 20, &object);
	const uint64_t lies[] = {3 * C - 1, 2 * C, 3 * C + 1, 4 * C, 2 * C + 1};
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fl_tree *tree = NULL;
		cr_assert_eq(fl_tree_new(lies[i], &root, &tree, &err), FL_OK);
		size_t len = fl_tree_page_len(fl_tree_get_shape(tree), 0);
		uint8_t page[256] = {0};
		memcpy(page, object.data, object.len < len ? object.len : len);
		cr_assert_eq(fl_tree_put_page(tree, 0, page, len, &err), FL_E_CHUNK_MISMATCH,
			     "%llu", (unsigned long long)lies[i]);
		fl_tree_free(tree);
	}
	fl_buf_free(&object);
}

Test(tree, a_page_of_hashes_is_no_content)
{
	/* leaf, page and root are told apart by their first byte: content that looks like a page
	 * hashes to something else */
	struct fl_buf object = FL_BUF(1 << 20);
	(void)build(2 * C, 1 << 20, &object);
	struct fl_err err = {0};
	struct fl_tree_builder *builder = NULL;
	struct fl_digest root, want = build(2 * C, 1 << 20, NULL);
	uint64_t size;
	cr_assert_eq(fl_tree_builder_new(&builder, &err), FL_OK);
	cr_assert_eq(fl_tree_builder_add(builder, object.data, object.len, &err), FL_OK);
	cr_assert_eq(fl_tree_builder_finish(builder, &root, &size, NULL, &err), FL_OK);
	cr_assert_not(fl_digest_equal(&root, &want));
	fl_tree_builder_free(builder);
	fl_buf_free(&object);
}

Test(tree, an_object_that_does_not_fit_fails_whole)
{
	struct fl_err err = {0};
	struct fl_tree_builder *builder = NULL;
	struct fl_digest root;
	uint64_t size = 7;
	struct fl_buf small = FL_BUF(31);
	cr_assert_eq(fl_tree_builder_new(&builder, &err), FL_OK);
	cr_assert_eq(fl_tree_builder_add(builder, "x", 1, &err), FL_OK);
	cr_assert_eq(fl_tree_builder_finish(builder, &root, &size, &small, &err), FL_E_TOO_LARGE);
	cr_assert_eq(small.len, 0);
	cr_assert_eq(size, 7);
	fl_tree_builder_free(builder);
	fl_tree_builder_free(NULL);
	fl_tree_free(NULL);
	fl_buf_free(&small);
}
