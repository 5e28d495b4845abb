/* SPDX-License-Identifier: Apache-2.0 */
/* What is found in a base, and what is not. */
#include "world.h"

#include "block_hash.h"
#include "layout.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N     600u /* blocks of the image */
#define LEN   (N * BLOCK)
#define FRAME 8192u

static struct world w;

/* A medium with a bad place, instead of libc's: what overlaps it can't be read. */
static int damaged_fd = -1;
static off_t damaged_from, damaged_to;

ssize_t pread(int fd, void *data, size_t len, off_t at)
{
	static ssize_t (*real)(int, void *, size_t, off_t);
	if (real == NULL) /* a function pointer is no object: POSIX's own way to say this */
		*(void **)&real = dlsym(RTLD_NEXT, "pread64");
	if (fd == damaged_fd && at < damaged_to && at + (off_t)len > damaged_from) {
		errno = EIO;
		return -1;
	}
	return real(fd, data, len, at);
}

static void set_up(void)
{
	const struct fl_blocks_options options = {.frame_size = FRAME, .level = 1};
	world_make(&w, LEN, &options);
	/* no two blocks are alike */
	for (uint32_t i = 0; i < N; i++)
		memcpy(w.image + i * BLOCK + 100, &i, sizeof(i));
	struct fl_err err;
	cr_assert_eq(fl_pwrite_all(w.image_fd, w.image, LEN, 0, &err), FL_OK);
	cr_assert_eq(
		fl_blocks_create(w.image_fd, w.blocks_fd, w.index_fd, &options, &w.claim, &err),
		FL_OK, "%s", err.msg);
	world_open(&w);
}

static void tear_down(void)
{
	world_free(&w);
}

TestSuite(blocks_search, .init = set_up, .fini = tear_down, .timeout = 100);

Test(blocks_search, what_stayed_needs_no_pass)
{
	world_set_base(&w, w.image, LEN);
	const struct fl_blocks_found found = world_search(&w);
	cr_assert_eq(found.blocks, N);
	cr_assert_eq(found.blocks_found, N);
	cr_assert_eq(found.frames_lacking, 0);
	cr_assert_eq(found.passes, 0);
	cr_assert(world_comes_right(&w));
}

Test(blocks_search, an_empty_base_and_one_too_short)
{
	cr_assert_eq(world_search(&w).blocks_found, 0);
	world_set_base(&w, w.image + 9 * BLOCK, BLOCK - 1);
	cr_assert_eq(world_search(&w).blocks_found, 0);
	cr_assert(world_comes_right(&w));
}

/* Three blocks changed by a byte: at the beginning of one, within one, at the end of one. */
Test(blocks_search, only_frames_that_changed_lack)
{
	uint8_t *base = malloc(LEN);
	memcpy(base, w.image, LEN);
	base[20 * BLOCK] ^= 1;
	base[22 * BLOCK + 77] ^= 1;
	base[301 * BLOCK + BLOCK - 1] ^= 1;
	world_set_base(&w, base, LEN);
	const struct fl_blocks_found found = world_search(&w);
	cr_assert_eq(found.blocks_found, N - 3);
	cr_assert_eq(found.frames_lacking, 3);
	cr_assert_eq(found.runs_lacking, 2);
	for (uint32_t k = 0; k < N / 2; k++) {
		struct fl_err err;
		bool lacks;
		cr_assert_eq(fl_blocks_plan_lacks(w.index, w.plan_fd, k, &lacks, &err), FL_OK);
		cr_assert_eq(lacks, k == 10 || k == 11 || k == 150, "frame %u", k);
	}
	cr_assert(world_comes_right(&w));
	free(base);
}

/* Every distance from a block's border, over the borders of what is read at once. */
Test(blocks_search, found_at_any_place)
{
	static const size_t shifts[] = {1,    2,     511,   512,   2048, 4095,
					4097, 65535, 65536, 69632, 70001};
	for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		uint8_t *base = malloc(LEN + shifts[i]);
		memset(base, 0x5a, shifts[i]);
		memcpy(base + shifts[i], w.image, LEN);
		world_set_base(&w, base, LEN + shifts[i]);
		const struct fl_blocks_found found = world_search(&w);
		cr_assert_eq(found.blocks_found, N, "moved by %zu: %llu", shifts[i],
			     (unsigned long long)found.blocks_found);
		cr_assert_eq(found.passes, 1);
		cr_assert(world_comes_right(&w));
		free(base);
	}
}

/* The image's last block is filled up with zeros; so a base gives it that has zeros behind it. */
Test(blocks_search, the_last_block_is_short)
{
	struct world odd;
	uint8_t base[3 * BLOCK] = {9, 9, 9};
	const struct fl_blocks_options options = {.level = 1};
	world_make(&odd, BLOCK + 904, &options);
	world_open(&odd);
	memcpy(base + 3, odd.image, odd.image_len);
	world_set_base(&odd, base, 3 + odd.image_len);
	cr_assert_eq(world_search(&odd).blocks_found, 1);
	cr_assert(world_comes_right(&odd));
	world_set_base(&odd, base, sizeof(base));
	cr_assert_eq(world_search(&odd).blocks_found, 2);
	cr_assert(world_comes_right(&odd));
	world_free(&odd);
}

/* In another order, each at another distance. */
Test(blocks_search, found_in_any_order)
{
	uint8_t *base = calloc(1, 2 * (size_t)LEN);
	size_t at = 0;
	for (uint32_t i = 0; i < N; i++) {
		const uint32_t from = i * 7 % N; /* 7 and 600 have no divisor in common */
		memcpy(base + at, w.image + (size_t)from * BLOCK, BLOCK);
		at += BLOCK + i % 300;
	}
	world_set_base(&w, base, at);
	cr_assert_eq(world_search(&w).blocks_found, N);
	cr_assert(world_comes_right(&w));
	free(base);
}

Test(blocks_search, several_bases)
{
	struct fl_err err;
	struct fl_blocks_found found;
	int fds[3] = {file_of(w.image, 200 * BLOCK + 5), file_of("", 0),
		      file_of(w.image + 190 * BLOCK, LEN - 190 * BLOCK)};
	const struct fl_blocks_task task = {.bases = {fds, 3}, .plan = w.plan_fd};
	cr_assert_eq(fl_blocks_search(w.index, &task, &found, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(found.blocks_found, N);
	for (uint32_t k = 0; k < N / 2; k++) {
		uint8_t out[FRAME];
		cr_assert_eq(fl_blocks_plan_gather(w.index, w.plan_fd, &task.bases, k, out, &err),
			     FL_OK, "%s", err.msg);
		cr_assert_eq(memcmp(out, w.image + (size_t)k * FRAME, FRAME), 0, "frame %u", k);
	}
	const struct fl_blocks_bases fewer = {fds, 2};
	uint8_t out[FRAME];
	cr_assert_eq(fl_blocks_plan_gather(w.index, w.plan_fd, &fewer, N / 2 - 1, out, &err),
		     FL_E_CORRUPT);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
}

Test(blocks_search, a_base_that_cannot_be_read_has_nothing)
{
	char name[] = "/tmp/unit-blocks-XXXXXX";
	fl_close(&w.base_fd);
	w.base_fd = mkstemp(name);
	cr_assert_eq(ftruncate(w.base_fd, LEN), 0);
	close(w.base_fd);
	w.base_fd = open(name, O_WRONLY | O_CLOEXEC);
	unlink(name);
	cr_assert_eq(world_search(&w).blocks_found, 0);
}

/* What lies before and behind the bad place is found, whether it moved or stayed. */
Test(blocks_search, a_bad_place_costs_what_is_near)
{
	uint8_t *base = malloc(LEN + 3);
	memcpy(base + 3, w.image, LEN);
	for (size_t moved = 0; moved <= 3; moved += 3) {
		world_set_base(&w, base + 3 - moved, LEN + moved);
		damaged_fd = w.base_fd;
		damaged_from = 300 * BLOCK;
		damaged_to = 301 * BLOCK;
		const struct fl_blocks_found found = world_search(&w);
		cr_assert(found.blocks_found < N && found.blocks_found >= N - 2 * 65536 / BLOCK,
			  "%llu", (unsigned long long)found.blocks_found);
		cr_assert(world_comes_right(&w));
		damaged_fd = -1;
	}
	free(base);
}

Test(blocks_search, bases_that_cannot_be)
{
	struct fl_err err;
	struct fl_blocks_found found;
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	struct fl_blocks_task task = {.bases = {ends, 0}, .plan = w.plan_fd};
	cr_assert_eq(fl_blocks_search(w.index, &task, &found, &err), FL_E_INVALID_ARGUMENT);
	task.bases.n = FL_BLOCKS_BASES_MAX + 1;
	cr_assert_eq(fl_blocks_search(w.index, &task, &found, &err), FL_E_INVALID_ARGUMENT);
	task.bases.n = 1;
	cr_assert_neq(fl_blocks_search(w.index, &task, &found, &err), FL_OK);
	close(ends[0]);
	close(ends[1]);
}

Test(blocks_search, what_lacks_is_not_gathered)
{
	struct fl_err err;
	uint8_t out[FRAME];
	const struct fl_blocks_bases bases = {&w.base_fd, 1};
	(void)world_search(&w);
	cr_assert_eq(fl_blocks_plan_gather(w.index, w.plan_fd, &bases, 3, out, &err),
		     FL_E_NOT_FOUND);
	cr_assert_eq(ftruncate(w.plan_fd, 8), 0);
	cr_assert_eq(fl_blocks_plan_gather(w.index, w.plan_fd, &bases, 3, out, &err),
		     FL_E_TRUNCATED);
}

static enum fl_rc count_down(void *ctx, struct fl_err *err)
{
	int *left = ctx;
	return --*left > 0 ? FL_OK : fl_fail(err, FL_E_CANCELLED, 0, "enough");
}

static enum fl_rc count_up(void *ctx, struct fl_err *err)
{
	(void)err;
	++*(unsigned *)ctx;
	return FL_OK;
}

/* Two blocks that return all over the image: a base is not read farther than to the second. */
Test(blocks_search, ends_when_all_is_found)
{
	struct fl_err err;
	struct fl_blocks_found found;
	unsigned n = 0;
	const struct fl_blocks_options options = {.level = 1};
	uint8_t *base = malloc(LEN);
	fill(base, LEN, 31);
	memcpy(base + 70000, w.image + 4 * BLOCK, 2 * (size_t)BLOCK);
	memcpy(base + 20000, base + 70000, BLOCK); /* the one twice before the other */
	for (uint32_t i = 0; i < N; i++)
		memcpy(w.image + i * BLOCK, base + 70000 + i % 2 * BLOCK, BLOCK);
	cr_assert_eq(fl_pwrite_all(w.image_fd, w.image, LEN, 0, &err), FL_OK);
	cr_assert_eq(
		fl_blocks_create(w.image_fd, w.blocks_fd, w.index_fd, &options, &w.claim, &err),
		FL_OK, "%s", err.msg);
	fl_blocks_index_free(w.index);
	world_open(&w);
	world_set_base(&w, base, LEN);
	const struct fl_blocks_task task = {
		.bases = {&w.base_fd, 1}, .plan = w.plan_fd, .passed = count_up, .ctx = &n};
	cr_assert_eq(fl_blocks_search(w.index, &task, &found, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(found.blocks_found, N);
	cr_assert_leq(n, 3, "one for the group, two pieces of the base: %u", n);
	free(base);
}

Test(blocks_search, may_be_ended)
{
	struct fl_err err;
	struct fl_blocks_found found;
	world_set_base(&w, w.image + 5, LEN - 5);
	for (int n = 1, rc = FL_E_CANCELLED; rc != FL_OK; n++) {
		int left = n;
		const struct fl_blocks_task task = {.bases = {&w.base_fd, 1},
						    .plan = w.plan_fd,
						    .passed = count_down,
						    .ctx = &left};
		rc = fl_blocks_search(w.index, &task, &found, &err);
		cr_assert(rc == FL_E_CANCELLED || (rc == FL_OK && n > (int)(LEN / 65536)), "%d", n);
	}
}

/* ---- more than a window: an index that is made up while it is read ---- */

#define BIG_GROUPS 64u
#define BIG_FRAMES (BIG_GROUPS * FL_BLOCKS_GROUP)
#define BIG_BLOCKS (BIG_FRAMES * FL_BLOCKS_PER_FRAME_MAX)
#define BIG_EVERY  4001u /* such a block stands in the base */
#define BIG_GROUP  (GROUP_HEAD_SIZE + FL_BLOCKS_GROUP * RECORD_SIZE_MAX)

static bool fickle; /* another index at every reading */

static uint64_t made_up_hash(uint64_t block)
{
	static uint64_t salt;
	if (fickle)
		return (++salt * UINT64_C(0x9e3779b97f4a7c15)) >> ROLL_SHIFT;
	if (block % BIG_EVERY == 0)
		return block_hash(w.image + block / BIG_EVERY * BLOCK);
	return (block + 1) * UINT64_C(0x9e3779b97f4a7c15) >> ROLL_SHIFT;
}

static void make_up_group(uint64_t group, uint8_t *out)
{
	put_be(out, group * FL_BLOCKS_GROUP * 9, GROUP_HEAD_SIZE);
	for (uint64_t k = group * FL_BLOCKS_GROUP; k < (group + 1) * FL_BLOCKS_GROUP; k++) {
		uint8_t *record = out + record_at(FL_BLOCKS_FRAME_MAX, k % FL_BLOCKS_GROUP);
		put_be(record, 9, LENGTH_SIZE);
		for (uint64_t b = 0; b < FL_BLOCKS_PER_FRAME_MAX; b++)
			put_be(record + LENGTH_SIZE + FL_BLOCKS_HASH_SIZE + b * BLOCK_HASH_SIZE,
			       made_up_hash(k * FL_BLOCKS_PER_FRAME_MAX + b), BLOCK_HASH_SIZE);
	}
}

static enum fl_rc read_made_up(void *ctx, uint64_t offset, void *data, size_t len,
			       struct fl_err *err)
{
	uint8_t *group = malloc(BIG_GROUP), *out = data;
	(void)err;
	if (offset == 0) {
		memcpy(out, ctx, len);
	} else {
		const uint64_t g = (offset - HEADER_SIZE) / BIG_GROUP;
		make_up_group(g, group);
		memcpy(out, group, len < BIG_GROUP ? len : BIG_GROUP);
		if (len > BIG_GROUP)
			put_be(out + BIG_GROUP, (g + 1) * FL_BLOCKS_GROUP * 9, GROUP_HEAD_SIZE);
	}
	free(group);
	return FL_OK;
}

static struct fl_blocks_index *made_up(uint8_t header[HEADER_SIZE])
{
	struct fl_err err;
	struct fl_blocks_claim claim;
	struct fl_blocks_index *index = NULL;
	const struct fl_blocks_input input = {read_made_up, header};
	memcpy(header, INDEX_MAGIC, 4);
	put_be(header + 4, INDEX_VERSION, 4);
	put_be(header + 8, (uint64_t)BIG_BLOCKS * BLOCK, 8);
	put_be(header + 16, (uint64_t)BIG_FRAMES * 9, 8);
	put_be(header + 24, FL_BLOCKS_FRAME_MAX, 4);
	put_be(header + 28, 0, 4);
	cr_assert_eq(fl_blocks_claim_of(&input, HEADER_SIZE + (uint64_t)BIG_GROUPS * BIG_GROUP,
					&claim, &err),
		     FL_OK, "%s", err.msg);
	cr_assert_eq(fl_blocks_index_open(&claim, &input, &index, &err), FL_OK, "%s", err.msg);
	return index;
}

/* The mark is set back to what is in use now. */
static void forget_peak(void)
{
	FL_AUTO_FD fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	(void)malloc_trim(0);
	cr_assert_eq(write(fd, "5", 1), 1);
}

static long peak_kib(void)
{
	struct fl_err err;
	struct fl_buf text = FL_BUF((size_t)65536);
	cr_assert_eq(fl_file_read("/proc/self/status", &text, &err), FL_OK);
	const long kib = strtol(strstr(fl_buf_str(&text), "VmHWM:") + 6, NULL, 10);
	fl_buf_free(&text);
	return kib;
}

/* 2 GiB of image: as many passes as windows, the same memory as for any other. */
Test(blocks_search, larger_than_memory)
{
	struct fl_err err;
	struct fl_blocks_found found;
	uint8_t header[HEADER_SIZE];
	world_set_base(&w, w.image + 3, LEN - 3);
	fl_blocks_index_free(w.index);
	forget_peak();
	const long before = peak_kib();
	w.index = made_up(header);
	const struct fl_blocks_task task = {.bases = {&w.base_fd, 1}, .plan = w.plan_fd};
	cr_assert_eq(fl_blocks_search(w.index, &task, &found, &err), FL_OK, "%s", err.msg);
	const long after = peak_kib();
	cr_assert_eq(found.blocks, BIG_BLOCKS);
	cr_assert_eq(found.passes, (BIG_BLOCKS + 131071) / 131072);
	/* of those in the image's first block three bytes lack */
	cr_assert_eq(found.blocks_found, BIG_BLOCKS / BIG_EVERY);
	cr_assert_eq(file_len(w.plan_fd), (size_t)BIG_BLOCKS * 8);
#ifndef FL_SANITIZED
	cr_assert_leq(after - before, 4096, "%ld KiB", after - before);
#else
	(void)before;
	(void)after;
#endif
}

/* Whoever gives the bytes of the index may change them: what is resolved was then never looked for.
 */
Test(blocks_search, an_index_that_changes_while_it_is_read)
{
	struct fl_err err;
	struct fl_blocks_found found;
	uint8_t header[HEADER_SIZE];
	world_set_base(&w, w.image, LEN);
	fl_blocks_index_free(w.index);
	fickle = true;
	w.index = made_up(header);
	const struct fl_blocks_task task = {.bases = {&w.base_fd, 1}, .plan = w.plan_fd};
	cr_assert_eq(fl_blocks_search(w.index, &task, &found, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(found.blocks_found, 0);
	cr_assert_eq(found.frames_lacking, BIG_FRAMES);
}
