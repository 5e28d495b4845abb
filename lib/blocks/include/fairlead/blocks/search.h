/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the blocks of an image stand in what a device has: its bases, of any content. What is found
 * is a hint. The image made of it is compared with its installed tree, as ever.
 */
#ifndef FAIRLEAD_BLOCKS_SEARCH_H
#define FAIRLEAD_BLOCKS_SEARCH_H

#include <fairlead/blocks/index.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_BLOCKS_BASES_MAX 16u

struct fl_blocks_bases {
	const int *fds; /* files or block devices, read from their start to their end */
	unsigned n;	/* 1…FL_BLOCKS_BASES_MAX */
};

struct fl_blocks_task {
	struct fl_blocks_bases bases; /* the first is also looked at block by block: what didn't
					 move is found there at once */
	int plan; /* a file, empty: 8 bytes per block of the image are written to it */
	/* Called every 64 KiB of a base; may be NULL. A failure ends the search. */
	enum fl_rc (*passed)(void *ctx, struct fl_err *err);
	void *ctx;
};

struct fl_blocks_found {
	uint64_t blocks, blocks_found;
	uint64_t frames_lacking, bytes_lacking; /* to be fetched */
	uint64_t runs_lacking;			/* of frames that follow each other */
	uint64_t passes;			/* over the bases */
};

/*
 * Looks up every block of the image at every place of the bases. What can't be read of a base isn't
 * there. Memory: below 4 MiB, whatever the sizes; the bases are read once per 131,072 blocks that
 * didn't stay in their place (512 MiB of image), each time in a time that depends on their size
 * alone. FL_E_FORMAT: of the index.
 */
enum fl_rc fl_blocks_search(struct fl_blocks_index *index, const struct fl_blocks_task *task,
			    struct fl_blocks_found *ret, struct fl_err *err) FL_CHECKED;

/*
 * What the plan says of a frame: *lacks when one of its blocks was not found, and the frame must be
 * fetched. k < frames.
 */
enum fl_rc fl_blocks_plan_lacks(struct fl_blocks_index *index, int plan, uint32_t k, bool *lacks,
				struct fl_err *err) FL_CHECKED;
/*
 * Makes what frame k yields out of the bases, into out (room for its image_len). FL_E_NOT_FOUND:
 * the frame lacks. FL_E_CORRUPT: no plan of these bases.
 */
enum fl_rc fl_blocks_plan_gather(struct fl_blocks_index *index, int plan,
				 const struct fl_blocks_bases *bases, uint32_t k, void *out,
				 struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
