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
