/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of a block index, and the search. Input: u8 flags, then an index; bit 0 of the flags
 * makes the claim lie. The base is the index itself, the frames' bytes are, too.
 */
#include <fairlead/base/file.h>
#include <fairlead/blocks/search.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES_MAX 5000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

static enum fl_rc read_input(void *ctx, uint64_t offset, void *data, size_t len, struct fl_err *err)
{
	const struct input *in = ctx;
	if (offset > in->size || len > in->size - offset)
		return fl_fail(err, FL_E_TRUNCATED, 0, "input");
	memcpy(data, in->data + offset, len);
	return FL_OK;
}

static int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd >= 0 && fl_pwrite_all(fd, data, size, 0, NULL) != FL_OK)
		abort();
	return fd;
}

static void use(struct fl_blocks_index *index, const struct fl_blocks_bases *bases, int plan,
		const struct input *in)
{
	static uint8_t out[FL_BLOCKS_FRAME_MAX];
	struct fl_err err;
	const uint64_t blocks_size = fl_blocks_index_claim(index)->blocks_size;
	for (uint32_t k = 0; k < fl_blocks_index_frames(index); k++) {
		struct fl_blocks_frame frame;
		if (fl_blocks_index_frame(index, k, &frame, &err) != FL_OK)
			return;
		if (frame.length > blocks_size || frame.offset > blocks_size - frame.length ||
		    frame.image_len > sizeof(out) || frame.n_blocks > FL_BLOCKS_PER_FRAME_MAX)
			abort();
		const size_t len = frame.length < in->size ? frame.length : in->size;
		enum fl_rc rc = fl_blocks_decode(index, k, in->data, len, out, &err);
		if (plan >= 0)
			rc = fl_blocks_plan_gather(index, plan, bases, k, out, &err);
		if (rc != FL_OK && err.rc != rc)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct input in = {data + 1, size - 1};
	const struct fl_blocks_input input = {read_input, &in};
	struct fl_blocks_claim claim;
	struct fl_blocks_index *index = NULL;
	struct fl_blocks_found found;
	struct fl_err err;
	if (fl_blocks_claim_of(&input, in.size, &claim, &err) != FL_OK ||
	    claim.image_size / claim.frame_size > FRAMES_MAX)
		return 0;
	claim.image_size += data[0] & 1;
	if (fl_blocks_index_open(&claim, &input, &index, &err) != FL_OK)
		return 0;
	if ((data[0] & 1) != 0)
		abort();
	FL_AUTO_FD base = file_of(in.data, in.size);
	FL_AUTO_FD plan = file_of(data, 0);
	const struct fl_blocks_task task = {.bases = {&base, 1}, .plan = plan};
	const bool searched = fl_blocks_search(index, &task, &found, &err) == FL_OK;
	if (searched && found.bytes_lacking > claim.blocks_size)
		abort();
	use(index, &task.bases, searched ? plan : -1, &in);
	fl_blocks_index_free(index);
	return 0;
}
