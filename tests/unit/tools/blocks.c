/* SPDX-License-Identifier: Apache-2.0 */
/* blocks create, blocks plan: what is kept is right, nothing else is kept, what is told is so. */
#include "bench.h"
#include "content.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEN   ((size_t)100 * 4096)
#define FRAME 8192u

static uint8_t image[LEN];
static char index_path[512], blocks_path[512];

static void open_image(void)
{
	bench_open();
	uint32_t noise = 1; /* no block of it stands twice */
	for (size_t i = 0; i < LEN; i++)
		image[i] = (uint8_t)((noise = noise * 1664525 + 1013904223) >> 24);
	write_file("image", image, LEN);
}

TestSuite(tools_blocks, .init = open_image, .fini = bench_close);

static uint64_t number_in(const char *json, const char *member)
{
	char pattern[64];
	(void)snprintf(pattern, sizeof(pattern), "\"%s\":", member);
	const char *at = strstr(json, pattern);
	cr_assert_not_null(at, "%s in %s", member, json);
	return strtoull(at + strlen(pattern), NULL, 10);
}

static void hex_in(const char *json, const char *member, char out[FL_DIGEST_HEX_SIZE])
{
	char pattern[64];
	(void)snprintf(pattern, sizeof(pattern), "\"%s\":\"sha256:", member);
	const char *at = strstr(json, pattern);
	cr_assert_not_null(at, "%s in %s", member, json);
	(void)snprintf(out, FL_DIGEST_HEX_SIZE, "%.64s", at + strlen(pattern));
}

static void create(void)
{
	char hex[FL_DIGEST_HEX_SIZE];
	cr_assert_eq(fairlead("blocks", "create", "image", "-o", "d", "--json", "--level", "1"), 0,
		     "%s", bench_errors);
	hex_in(bench_out, "index", hex);
	(void)snprintf(index_path, sizeof(index_path), "d/blobs/sha256-wide1/%s", hex);
	hex_in(bench_out, "blocks", hex);
	(void)snprintf(blocks_path, sizeof(blocks_path), "d/blobs/sha256-wide1/%s", hex);
}

static void expect_tree(const char *path, const char *hex)
{
	struct fl_err err;
	struct fl_tools_ref ref;
	char is[FL_DIGEST_HEX_SIZE];
	FL_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(fl_tools_tree_of(fd, &ref, NULL, &err), FL_OK, "%s", err.msg);
	fl_hex_encode(ref.root.b, sizeof(ref.root.b), is);
	cr_assert_str_eq(is, hex, "%s", path);
}

Test(tools_blocks, what_it_prints_is_what_it_made)
{
	char hex[FL_DIGEST_HEX_SIZE], tree[512];
	size_t len;
	create();
	expect_tree(index_path, strrchr(index_path, '/') + 1);
	expect_tree(blocks_path, strrchr(blocks_path, '/') + 1);
	hex_in(bench_out, "installed", hex);
	expect_tree("image", hex);
	free(read_whole(index_path, &len));
	cr_assert_eq(number_in(bench_out, "index_size"), len);
	free(read_whole(blocks_path, &len));
	cr_assert_eq(number_in(bench_out, "blocks_size"), len);
	cr_assert_eq(number_in(bench_out, "image_size"), LEN);
	cr_assert_eq(number_in(bench_out, "frame"), FRAME);
	(void)snprintf(tree, sizeof(tree), "d/trees/sha256-wide1/%s", strrchr(index_path, '/') + 1);
	cr_assert(is_there(tree));
	(void)snprintf(tree, sizeof(tree), "d/trees/sha256-wide1/%s",
		       strrchr(blocks_path, '/') + 1);
	cr_assert(is_there(tree));
	cr_assert_not(is_there("d/blobs/sha256-wide1/.packing"));
}

Test(tools_blocks, the_plan_counts_what_lacks)
{
	size_t index_len, len;
	create();
	free(read_whole(index_path, &index_len));
	cr_assert_eq(fairlead("blocks", "plan", index_path, "image", "--image", "image", "--json"),
		     0, "%s", bench_errors);
	cr_assert_eq(number_in(bench_out, "frames_lacking"), 0);
	cr_assert_eq(number_in(bench_out, "blocks_found"), 100);
	/* one page of each tree: 7 chunks, 1 */
	cr_assert_eq(number_in(bench_out, "trees_bytes"), 7 * 32 + 32);
	cr_assert_eq(number_in(bench_out, "bytes"), index_len + 8 * 32);

	/* the base begins with a byte more; two frames are damaged, one of them twice */
	uint8_t *base = malloc(LEN + 1);
	memcpy(base + 1, image, LEN);
	base[0] = 7;
	base[1 + 5 * FRAME] ^= 1;
	base[1 + 6 * FRAME - 1] ^= 1;
	base[1 + 6 * FRAME + 100] ^= 1;
	write_file("base", base, LEN + 1);
	free(base);
	cr_assert_eq(fairlead("blocks", "plan", index_path, "base", "--image", "image", "--json"),
		     0, "%s", bench_errors);
	cr_assert_eq(number_in(bench_out, "frames_lacking"), 2);
	cr_assert_eq(number_in(bench_out, "runs_lacking"), 1);
	cr_assert_eq(number_in(bench_out, "blocks_found"), 97);
	cr_assert_eq(number_in(bench_out, "frames_wrong"), 0);
	const uint64_t lacking = number_in(bench_out, "frames_bytes");
	cr_assert_eq(number_in(bench_out, "bytes"), lacking + index_len + 8 * 32);
	free(read_whole(blocks_path, &len));
	cr_assert(lacking > len / 25 - 64 && lacking < len / 25 + 64, "noise packs evenly");
	write_file("other", image + 5 * FRAME, 2 * FRAME);
	cr_assert_eq(fairlead("blocks", "plan", index_path, "base", "other"), 0);
	cr_assert_not_null(strstr(bench_out, "100 of 100 found"), "%s", bench_out);
}

Test(tools_blocks, found_beside_another_image)
{
	create();
	flip_bit("image", 3 * FRAME + 1);
	cr_assert_eq(fairlead("blocks", "plan", index_path, "image", "--image", "image", "--json"),
		     0);
	cr_assert_eq(number_in(bench_out, "frames_wrong"), 0);
	cr_assert_eq(number_in(bench_out, "frames_lacking"), 1);
	write_file("base", image, LEN);
	cr_assert_eq(fairlead("blocks", "plan", index_path, "base", "--image", "image", "--json"),
		     0);
	cr_assert_eq(number_in(bench_out, "frames_wrong"), 1);
}

Test(tools_blocks, what_cannot_be_done_leaves_nothing)
{
	create();
	cr_assert_eq(fairlead("blocks", "create", "none", "-o", "d"), 2);
	cr_assert(told("image 'none'"));
	cr_assert_eq(fairlead("blocks", "create", "image", "-o", "d", "--frame", "5000"), 3);
	cr_assert_eq(fairlead("blocks", "create", "image", "-o", "d", "--frame", "65536"), 3);
	cr_assert_eq(fairlead("blocks", "create", "image", "-o", "d", "--level", "23"), 3);
	cr_assert_eq(fairlead("blocks", "create", "image"), 3);
	cr_assert_eq(fairlead("blocks", "create", "image", "-o", "image/d"), 1);
	cr_assert_not(is_there("d/blobs/sha256-wide1/.packing"));
	cr_assert_eq(fairlead("blocks", "plan", index_path), 3);
	cr_assert_eq(fairlead("blocks", "plan", index_path, "none"), 2);
	cr_assert_eq(fairlead("blocks", "plan", "none", "image"), 2);
	cr_assert_eq(fairlead("blocks", "plan", "image", "image"), 1);
	cr_assert(told("block index"));
	flip_bit(index_path, 20);
	cr_assert_eq(fairlead("blocks", "plan", index_path, "image"), 1);
}
