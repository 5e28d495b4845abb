/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format `blocks` and its index (docs/formats.md, section 9): an image as small zstd
 * frames, each with a hash of its own, so that a device fetches those that its base can't give, and
 * nothing else. The index says where each frame lies, what it must hash to, and what its blocks
 * hash to; it is read through a function of the caller, who has compared what it gives with the
 * index's tree. Still, nothing here trusts it.
 *
 *   block   4 KiB of the image; its hash is a hint of where to find it, never a proof
 *   frame   some blocks, packed: what is fetched, and compared with its hash before zstd sees it
 *   group   1,024 frames: what is read of the index at once
 */
#ifndef FAIRLEAD_BLOCKS_INDEX_H
#define FAIRLEAD_BLOCKS_INDEX_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_BLOCKS_FORMAT	 "blocks"
#define FL_BLOCKS_BLOCK_SIZE	 4096u
#define FL_BLOCKS_FRAME_MAX	 32768u /* a frame's image bytes are a multiple of a block's */
#define FL_BLOCKS_PER_FRAME_MAX	 (FL_BLOCKS_FRAME_MAX / FL_BLOCKS_BLOCK_SIZE)
#define FL_BLOCKS_GROUP		 1024u /* frames */
#define FL_BLOCKS_HASH_SIZE	 16u
#define FL_BLOCKS_DICTIONARY_MAX (1u << 20)
#define FL_BLOCKS_IMAGE_MAX	 (UINT64_C(256) << 30)

/* What the signed release says of both, in bytes. */
struct fl_blocks_claim {
	uint64_t image_size;
	uint64_t blocks_size;
	uint64_t index_size;
	uint32_t frame_size;
};

/* Gives bytes of the index: all of len, or an error. Borrowed until the index is freed. */
struct fl_blocks_input {
	enum fl_rc (*read)(void *ctx, uint64_t offset, void *data, size_t len, struct fl_err *err);
	void *ctx;
};

/* For input.read: ctx is a `const int *`, a descriptor. */
enum fl_rc fl_blocks_read_fd(void *ctx, uint64_t offset, void *data, size_t len,
			     struct fl_err *err) FL_CHECKED;

/* What the index says of itself, for those who hold no release. index_size: the bytes it has. */
enum fl_rc fl_blocks_claim_of(const struct fl_blocks_input *input, uint64_t index_size,
			      struct fl_blocks_claim *ret, struct fl_err *err) FL_CHECKED;

struct fl_blocks_index;

/*
 * *ret: returned owned, free with fl_blocks_index_free. FL_E_FORMAT: no index, or none that can be
 * what is claimed. Memory: below 100 KiB.
 */
enum fl_rc fl_blocks_index_open(const struct fl_blocks_claim *claim,
				const struct fl_blocks_input *input, struct fl_blocks_index **ret,
				struct fl_err *err) FL_CHECKED;
void fl_blocks_index_free(struct fl_blocks_index *index);
const struct fl_blocks_claim *fl_blocks_index_claim(const struct fl_blocks_index *index);
uint32_t fl_blocks_index_frames(const struct fl_blocks_index *index);

struct fl_blocks_frame {
	uint64_t offset; /* in the file of frames */
	uint32_t length;
	uint32_t image_len; /* what it yields; it starts at k × frame size */
	uint32_t n_blocks;
	uint8_t hash[FL_BLOCKS_HASH_SIZE];
	uint64_t blocks[FL_BLOCKS_PER_FRAME_MAX]; /* hashes */
};

/* k < frames (a bug otherwise). Reads k's group, unless the last call was for the same.
 * FL_E_FORMAT. */
enum fl_rc fl_blocks_index_frame(struct fl_blocks_index *index, uint32_t k,
				 struct fl_blocks_frame *ret, struct fl_err *err) FL_CHECKED;
/* Are these the bytes of frame k? FL_E_CHUNK_MISMATCH. */
enum fl_rc fl_blocks_check(struct fl_blocks_index *index, uint32_t k, const void *data, size_t len,
			   struct fl_err *err) FL_CHECKED;
/*
 * The same, then unpacks them into out (room for the frame's image_len). The first call reads the
 * dictionary. FL_E_FORMAT, FL_E_SIZE_MISMATCH; out is then undefined.
 */
enum fl_rc fl_blocks_decode(struct fl_blocks_index *index, uint32_t k, const void *data, size_t len,
			    void *out, struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
