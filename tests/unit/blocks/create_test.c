/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is read again. */
#include "world.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static uint32_t dictionary_len(const struct world *w)
{
	uint8_t p[4];
	struct fl_err err;
	cr_assert_eq(fl_pread_all(w->index_fd, p, 4, 28, &err), FL_OK);
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

Test(blocks_create, images_of_every_length_come_back)
{
	static const size_t lengths[] = {0,	      1,     4095,   4096,	  4097,
					 8192,	      65535, 100000, 1024 * 4096, 1024 * 4096 + 1,
					 3 * MIB + 17};
	static const uint32_t frames[] = {4096, 12288, 32768};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (size_t f = 0; f < 3; f++) {
			struct world w;
			const struct fl_blocks_options options = {.frame_size = frames[f],
								  .level = 1};
			world_make(&w, lengths[i], &options);
			world_open(&w);
			const struct fl_blocks_found found = world_search(&w);
			cr_assert_eq(w.claim.blocks_size, file_len(w.blocks_fd));
			cr_assert_eq(w.claim.index_size, file_len(w.index_fd));
			cr_assert_eq(found.blocks_found, 0);
			cr_assert_eq(found.bytes_lacking, w.claim.blocks_size);
			cr_assert_eq(fl_blocks_index_frames(w.index),
				     (lengths[i] + frames[f] - 1) / frames[f]);
			cr_assert(world_comes_right(&w), "%zu bytes, frames of %u", lengths[i],
				  frames[f]);
			world_free(&w);
		}
}

Test(blocks_create, the_same_with_any_number_of_workers)
{
	struct world one, many;
	const struct fl_blocks_options single = {.level = 3}, threads = {.level = 3, .workers = 5};
	world_make(&one, 3 * MIB + 5, &single);
	world_make(&many, 3 * MIB + 5, &threads);
	cr_assert_eq(file_len(one.index_fd), file_len(many.index_fd));
	cr_assert_eq(file_len(one.blocks_fd), file_len(many.blocks_fd));
	uint8_t *a = file_bytes(one.index_fd), *b = file_bytes(many.index_fd);
	cr_assert_eq(memcmp(a, b, file_len(one.index_fd)), 0);
	uint8_t *c = file_bytes(one.blocks_fd), *d = file_bytes(many.blocks_fd);
	cr_assert_eq(memcmp(c, d, file_len(one.blocks_fd)), 0);
	free(a);
	free(b);
	free(c);
	free(d);
	world_free(&one);
	world_free(&many);
}

/* Records of 40 words that return all over: little within a frame, much over the image. */
static void fill_records(uint8_t *data, size_t len)
{
	uint8_t words[64][96];
	fill(words[0], sizeof(words), 99);
	for (size_t at = 0, i = 0; at < len; at += sizeof(words[0]), i++) {
		const size_t left = len - at;
		memcpy(data + at, words[(i * i + i / 7) % 64],
		       left < sizeof(words[0]) ? left : sizeof(words[0]));
	}
}

static uint64_t packed_size(uint8_t *image, size_t len, uint32_t dictionary_max, uint32_t *dict)
{
	struct fl_err err;
	struct world w;
	const struct fl_blocks_options options = {.frame_size = 4096,
						  .dictionary_max = dictionary_max};
	world_make(&w, 0, &options);
	fl_close(&w.image_fd);
	w.image_fd = file_of(image, len);
	cr_assert_eq(
		fl_blocks_create(w.image_fd, w.blocks_fd, w.index_fd, &options, &w.claim, &err),
		FL_OK, "%s", err.msg);
	free(w.image);
	w.image = memcpy(malloc(len), image, len);
	w.image_len = len;
	world_open(&w);
	(void)world_search(&w);
	cr_assert(world_comes_right(&w));
	*dict = dictionary_len(&w);
	world_free(&w);
	return w.claim.blocks_size;
}

Test(blocks_create, a_dictionary_pays)
{
	uint8_t *image = malloc(4 * MIB);
	uint32_t none, some;
	fill_records(image, 4 * MIB);
	const uint64_t without = packed_size(image, 4 * MIB, 1, &none);
	const uint64_t with = packed_size(image, 4 * MIB, 65536, &some);
	cr_assert_eq(none, 0);
	cr_assert(some > 0 && some <= 32768, "at most the 128th of the image: %u", some);
	cr_assert_lt(with + some, without, "%llu + %u beside %llu", (unsigned long long)with, some,
		     (unsigned long long)without);
	free(image);
}

Test(blocks_create, options_that_cannot_be)
{
	static const struct fl_blocks_options wrong[] = {
		{.frame_size = 4095},
		{.frame_size = 36864},
		{.dictionary_max = FL_BLOCKS_DICTIONARY_MAX + 1},
		{.level = 23},
		{.level = -1},
		{.workers = 17},
	};
	struct world w;
	struct fl_err err;
	world_make(&w, 5000, &(struct fl_blocks_options){0});
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_eq(fl_blocks_create(w.image_fd, w.blocks_fd, w.index_fd, &wrong[i],
					      &w.claim, &err),
			     FL_E_INVALID_ARGUMENT, "row %zu", i);
	world_free(&w);
}

Test(blocks_create, what_cannot_be_read_or_written)
{
	struct world w;
	struct fl_err err;
	int ends[2];
	const struct fl_blocks_options options = {0};
	world_make(&w, 5000, &options);
	cr_assert_eq(pipe(ends), 0);
	cr_expect_neq(fl_blocks_create(ends[0], w.blocks_fd, w.index_fd, &options, &w.claim, &err),
		      FL_OK);
	cr_expect_neq(fl_blocks_create(w.image_fd, ends[1], w.index_fd, &options, &w.claim, &err),
		      FL_OK);
	cr_expect_neq(fl_blocks_create(w.image_fd, w.blocks_fd, ends[1], &options, &w.claim, &err),
		      FL_OK);
	close(ends[0]);
	close(ends[1]);
	world_free(&w);
}
