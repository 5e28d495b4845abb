/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int file_of(const void *data, size_t len)
{
	struct fl_err err;
	int fd = memfd_create("blocks", MFD_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fl_pwrite_all(fd, data, len, 0, &err), FL_OK, "%s", err.msg);
	return fd;
}

size_t file_len(int fd)
{
	return (size_t)lseek(fd, 0, SEEK_END);
}

uint8_t *file_bytes(int fd)
{
	struct fl_err err;
	uint8_t *data = malloc(file_len(fd) + 1);
	cr_assert_eq(fl_pread_all(fd, data, file_len(fd), 0, &err), FL_OK, "%s", err.msg);
	return data;
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

void fill(uint8_t *data, size_t len, uint32_t seed)
{
	uint32_t state = seed * 2654435761u + 1;
	for (size_t at = 0; at < len;) {
		const uint32_t kind = next_random(&state) % 4;
		size_t n = next_random(&state) % 9000 + 1;
		for (; n > 0 && at < len; n--, at++)
			data[at] = kind == 0   ? 0
				   : kind == 1 ? (uint8_t)next_random(&state)
					       : (uint8_t)("etaoin sh"[next_random(&state) % 9]);
	}
}

void world_make(struct world *w, size_t image_len, const struct fl_blocks_options *options)
{
	struct fl_err err;
	*w = (struct world){.image_len = image_len, .image = malloc(image_len + 1)};
	fill(w->image, image_len, 7);
	w->image_fd = file_of(w->image, image_len);
	w->blocks_fd = file_of("old", 3);
	w->index_fd = file_of("old", 3);
	w->base_fd = file_of("", 0);
	w->plan_fd = file_of("", 0);
	w->input = (struct fl_blocks_input){fl_blocks_read_fd, &w->index_fd};
	cr_assert_eq(
		fl_blocks_create(w->image_fd, w->blocks_fd, w->index_fd, options, &w->claim, &err),
		FL_OK, "%s", err.msg);
}

void world_free(struct world *w)
{
	int *fds[] = {&w->image_fd, &w->blocks_fd, &w->index_fd, &w->base_fd, &w->plan_fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		fl_close(fds[i]);
	fl_blocks_index_free(w->index);
	free(w->image);
}

void world_open(struct world *w)
{
	struct fl_err err;
	cr_assert_eq(fl_blocks_index_open(&w->claim, &w->input, &w->index, &err), FL_OK, "%s",
		     err.msg);
}

void world_set_base(struct world *w, const void *data, size_t len)
{
	fl_close(&w->base_fd);
	w->base_fd = file_of(data, len);
}

struct fl_blocks_found world_search(struct world *w)
{
	struct fl_err err;
	struct fl_blocks_found found;
	const struct fl_blocks_task task = {.bases = {&w->base_fd, 1}, .plan = w->plan_fd};
	cr_assert_eq(ftruncate(w->plan_fd, 0), 0);
	cr_assert_eq(fl_blocks_search(w->index, &task, &found, &err), FL_OK, "%s", err.msg);
	return found;
}

size_t world_fetch(struct world *w, uint32_t k, void *out)
{
	struct fl_err err;
	struct fl_blocks_frame frame;
	cr_assert_eq(fl_blocks_index_frame(w->index, k, &frame, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_pread_all(w->blocks_fd, out, frame.length, frame.offset, &err), FL_OK);
	return frame.length;
}

static void make_frame(struct world *w, uint32_t k, uint8_t *out)
{
	struct fl_err err;
	uint8_t packed[2 * FL_BLOCKS_FRAME_MAX];
	const struct fl_blocks_bases bases = {&w->base_fd, 1};
	bool lacks = false;
	enum fl_rc rc = fl_blocks_plan_lacks(w->index, w->plan_fd, k, &lacks, &err);
	if (rc == FL_OK && lacks)
		rc = fl_blocks_decode(w->index, k, packed, world_fetch(w, k, packed), out, &err);
	else if (rc == FL_OK)
		rc = fl_blocks_plan_gather(w->index, w->plan_fd, &bases, k, out, &err);
	cr_assert_eq(rc, FL_OK, "frame %u: %s", k, err.msg);
}

bool world_comes_right(struct world *w)
{
	bool right = true;
	for (uint32_t k = 0; k < fl_blocks_index_frames(w->index); k++) {
		const size_t at = (size_t)k * w->claim.frame_size, left = w->image_len - at;
		const size_t len = left < w->claim.frame_size ? left : w->claim.frame_size;
		uint8_t *out = malloc(len); /* so that a sanitizer sees a byte too many */
		make_frame(w, k, out);
		right = right && memcmp(out, w->image + at, len) == 0;
		free(out);
	}
	return right;
}
