/* SPDX-License-Identifier: Apache-2.0 */
/* delta create: what is kept is right, and nothing else is kept. */
#include "bench.h"
#include "delta.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEN 300000u

static uint8_t source[LEN], image[LEN];

/* The image is the source, one page moved, some bytes changed. */
static void open_pair(void)
{
	bench_open();
	uint32_t noise = 1; /* no run of it stands twice */
	for (size_t i = 0; i < LEN; i++)
		source[i] = (uint8_t)((noise = noise * 1664525 + 1013904223) >> 24);
	memcpy(image, source + 4096, LEN - 4096);
	memcpy(image + LEN - 4096, source, 4096);
	for (size_t i = 0; i < LEN; i += 999)
		image[i]++;
	write_file("old", source, LEN);
	write_file("new", image, LEN);
}

TestSuite(tools_delta, .init = open_pair, .fini = bench_close);

static void digest_in(const char *json, const char *member, char out[FL_DIGEST_TEXT_SIZE])
{
	char pattern[64];
	(void)snprintf(pattern, sizeof(pattern), "\"%s\":\"", member);
	const char *at = strstr(json, pattern);
	cr_assert_not_null(at, "%s in %s", member, json);
	(void)snprintf(out, FL_DIGEST_TEXT_SIZE, "%.71s", at + strlen(pattern));
}

static uint64_t number_in(const char *json, const char *member)
{
	char pattern[64];
	(void)snprintf(pattern, sizeof(pattern), "\"%s\":", member);
	const char *at = strstr(json, pattern);
	cr_assert_not_null(at, "%s in %s", member, json);
	return strtoull(at + strlen(pattern), NULL, 10);
}

static void tree_of(const char *path, char out[FL_DIGEST_TEXT_SIZE])
{
	struct fl_err err;
	struct fl_tools_ref ref;
	struct fl_buf object = FL_BUF((size_t)65536);
	FL_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(fl_tools_tree_of(fd, &ref, &object, &err), FL_OK, "%s", err.msg);
	fl_digest_format(&ref.root, out);
	fl_buf_free(&object);
}

Test(tools_delta, what_it_prints_is_what_it_made)
{
	char said[FL_DIGEST_TEXT_SIZE], is[FL_DIGEST_TEXT_SIZE];
	size_t len;
	cr_assert_eq(fairlead("delta", "create", "old", "new", "-o", "d", "--json"), 0, "%s",
		     bench_errors);
	const char *members[] = {"source", "installed", "transport"};
	char blob[512];
	(void)snprintf(blob, sizeof(blob), "%s", only_file("d/blobs/sha256-wide1"));
	const char *files[] = {"old", "new", blob};
	for (size_t i = 0; i < 3; i++) {
		digest_in(bench_out, members[i], said);
		tree_of(files[i], is);
		cr_assert_str_eq(said, is, "%s", members[i]);
	}
	cr_assert_str_eq(strrchr(blob, '/') + 1, said + strlen("sha256:"));
	cr_assert_str_eq(strrchr(only_file("d/trees/sha256-wide1"), '/') + 1,
			 said + strlen("sha256:"));
	free(read_whole(blob, &len));
	cr_assert_eq(number_in(bench_out, "transport_size"), len);
	cr_assert_eq(number_in(bench_out, "source_size"), LEN);
	cr_assert_eq(number_in(bench_out, "image_size"), LEN);
	cr_assert_lt(len, LEN / 50);
	cr_assert_leq(number_in(bench_out, "mem_max"), 12u << 20);
}

static struct fl_tools_delta opened(const char *from, const char *blob, uint64_t mem_max)
{
	struct fl_tools_delta d = {.source = open(from, O_RDONLY | O_CLOEXEC),
				   .delta = open(blob, O_RDONLY | O_CLOEXEC),
				   .image_size = LEN,
				   .mem_max = mem_max};
	d.source_size = (uint64_t)lseek(d.source, 0, SEEK_END);
	d.delta_size = (uint64_t)lseek(d.delta, 0, SEEK_END);
	return d;
}

/* The check before keeping finds what a device would. */
Test(tools_delta, the_check_sees_a_wrong_delta)
{
	struct fl_tools_ref right, ref;
	struct fl_err err;
	char blob[512];
	cr_assert_eq(fairlead("delta", "create", "old", "new", "-o", "d", "--json"), 0);
	const uint64_t mem_max = number_in(bench_out, "mem_max");
	(void)snprintf(blob, sizeof(blob), "%s", only_file("d/blobs/sha256-wide1"));
	struct fl_tools_delta d = opened("old", blob, mem_max);
	cr_assert_eq(fl_tools_delta_decode(&d, &right, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(right.size, LEN);
	d.mem_max--;
	cr_assert_eq(fl_tools_delta_decode(&d, &ref, &err), FL_E_TOO_LARGE);
	close(d.source);
	close(d.delta);
	flip_bit("old", LEN / 2);
	d = opened("old", blob, mem_max);
	cr_assert_eq(fl_tools_delta_decode(&d, &ref, &err), FL_OK);
	cr_assert_not(fl_digest_equal(&ref.root, &right.root));
	d.source_size++;
	cr_assert_eq(fl_tools_delta_decode(&d, &ref, &err), FL_E_FORMAT, "%s", err.msg);
	close(d.source);
	close(d.delta);
	flip_bit(blob, 3);
	d = opened("old", blob, mem_max);
	cr_assert_eq(fl_tools_delta_decode(&d, &ref, &err), FL_E_FORMAT, "%s", err.msg);
	close(d.source);
	close(d.delta);
}

Test(tools_delta, beside_a_release)
{
	make_release();
	cr_assert_eq(fairlead("delta", "create", "v1.ext4", "v1.ext4", "-o", "r1"), 0, "%s",
		     bench_errors);
	cr_assert_not_null(strstr(bench_out, "transport"));
	cr_assert_eq(fairlead("release", "sign", "r1", "--key", "keys/release.key"), 0, "%s",
		     bench_errors);
}

Test(tools_delta, what_cannot_be_done_leaves_nothing)
{
	write_file("empty", "", 0);
	cr_assert_eq(fairlead("delta", "create", "old", "none", "-o", "d"), 2);
	cr_assert(told("image 'none'"));
	cr_assert_eq(fairlead("delta", "create", "empty", "new", "-o", "d"), 3);
	cr_assert(told("source of 0 bytes"));
	cr_assert_eq(fairlead("delta", "create", "old", "empty", "-o", "d"), 3);
	cr_assert_eq(fairlead("delta", "create", "old", "new", "-o", "old/d"), 1);
	cr_assert_eq(fairlead("delta", "create", "old", "new"), 3);
	cr_assert_not(is_there("d/blobs/sha256-wide1/.packing"));
}
