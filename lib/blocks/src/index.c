/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of an index. It holds one group. That a group's frames end where the next group's
 * begin is checked whenever one is read, so that every frame lies where all others leave it.
 */
#include "layout.h"

#include <fairlead/artifact/frames.h>
#include <fairlead/base/file.h>

#include <stdlib.h>

#define NO_GROUP UINT32_MAX

struct fl_blocks_index {
	struct fl_blocks_claim claim;
	struct fl_blocks_input input;
	uint32_t n;
	uint32_t record_size;
	uint32_t dictionary_len;
	struct fl_frames_decoder *decoder; /* owned, NULL before the first use */
	uint32_t group;			   /* held */
	uint64_t offsets[FL_BLOCKS_GROUP]; /* of its frames */
	/* its head, its records, the head of the next one */
	uint8_t bytes[GROUP_HEAD_SIZE + FL_BLOCKS_GROUP * RECORD_SIZE_MAX + GROUP_HEAD_SIZE];
};

enum fl_rc fl_blocks_read_fd(void *ctx, uint64_t offset, void *data, size_t len, struct fl_err *err)
{
	return fl_pread_all(*(const int *)ctx, data, len, offset, err);
}

static enum fl_rc bad(struct fl_err *err, const char *what)
{
	return fl_fail(err, FL_E_FORMAT, 0, "block index: %s", what);
}

/* ---- the header ---- */

struct header {
	struct fl_blocks_claim claim; /* index_size: as it follows from the others */
	uint32_t dictionary_len;
};

static enum fl_rc read_header(const struct fl_blocks_input *input, struct header *ret,
			      struct fl_err *err)
{
	uint8_t p[HEADER_SIZE];
	enum fl_rc rc = input->read(input->ctx, 0, p, sizeof(p), err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "block index");
	if (memcmp(p, INDEX_MAGIC, 4) != 0)
		return bad(err, "no such file");
	if (get_be(p + 4, 4) != INDEX_VERSION)
		return bad(err, "of another version");
	struct header h = {.claim = {.image_size = get_be(p + 8, 8),
				     .blocks_size = get_be(p + 16, 8),
				     .frame_size = (uint32_t)get_be(p + 24, 4)},
			   .dictionary_len = (uint32_t)get_be(p + 28, 4)};
	if (h.claim.image_size > FL_BLOCKS_IMAGE_MAX || !frame_size_valid(h.claim.frame_size) ||
	    h.dictionary_len > FL_BLOCKS_DICTIONARY_MAX)
		return bad(err, "a size is out of range");
	const uint64_t n = frames_of(h.claim.image_size, h.claim.frame_size);
	h.claim.index_size = HEADER_SIZE + h.dictionary_len + groups_size(n, h.claim.frame_size);
	*ret = h;
	return FL_OK;
}

/* Can that many frames of that size be in the file? */
static bool blocks_size_possible(const struct fl_blocks_claim *claim)
{
	const uint64_t n = frames_of(claim->image_size, claim->frame_size);
	return claim->blocks_size >= n &&
	       claim->blocks_size <= n * fl_frames_length_max(claim->frame_size);
}

enum fl_rc fl_blocks_claim_of(const struct fl_blocks_input *input, uint64_t index_size,
			      struct fl_blocks_claim *ret, struct fl_err *err)
{
	struct header h = {0};
	enum fl_rc rc = read_header(input, &h, err);
	if (rc != FL_OK)
		return rc;
	if (h.claim.index_size != index_size)
		return bad(err, "of another length than it says");
	*ret = h.claim;
	return FL_OK;
}

static bool claims_equal(const struct fl_blocks_claim *a, const struct fl_blocks_claim *b)
{
	return a->image_size == b->image_size && a->blocks_size == b->blocks_size &&
	       a->index_size == b->index_size && a->frame_size == b->frame_size;
}

enum fl_rc fl_blocks_index_open(const struct fl_blocks_claim *claim,
				const struct fl_blocks_input *input, struct fl_blocks_index **ret,
				struct fl_err *err)
{
	struct header h = {0};
	enum fl_rc rc = read_header(input, &h, err);
	if (rc != FL_OK)
		return rc;
	if (!claims_equal(&h.claim, claim))
		return bad(err, "not of the claimed sizes");
	if (!blocks_size_possible(claim))
		return bad(err, "frames of an impossible size");
	struct fl_blocks_index *index = calloc(1, sizeof(*index));
	if (index == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "block index");
	index->claim = *claim;
	index->input = *input;
	index->n = (uint32_t)frames_of(claim->image_size, claim->frame_size);
	index->record_size = record_size(claim->frame_size);
	index->dictionary_len = h.dictionary_len;
	index->group = NO_GROUP;
	*ret = index;
	return FL_OK;
}

void fl_blocks_index_free(struct fl_blocks_index *index)
{
	if (index == NULL)
		return;
	fl_frames_decoder_free(index->decoder);
	free(index);
}

const struct fl_blocks_claim *fl_blocks_index_claim(const struct fl_blocks_index *index)
{
	return &index->claim;
}

uint32_t fl_blocks_index_frames(const struct fl_blocks_index *index)
{
	return index->n;
}

/* ---- a group ---- */

/* Where each of m frames lies, from the group's head, the lengths, and where they must end. */
static enum fl_rc place_frames(struct fl_blocks_index *index, uint32_t m, uint64_t end,
			       struct fl_err *err)
{
	const size_t most = fl_frames_length_max(index->claim.frame_size);
	uint64_t at = get_be(index->bytes, GROUP_HEAD_SIZE);
	if (at > end || end > index->claim.blocks_size)
		return bad(err, "a group out of its place");
	for (uint32_t i = 0; i < m; i++) {
		const uint8_t *record =
			index->bytes + GROUP_HEAD_SIZE + (size_t)i * index->record_size;
		const uint64_t length = get_be(record, LENGTH_SIZE);
		if (length == 0 || length > most)
			return bad(err, "a frame of an impossible length");
		index->offsets[i] = at;
		at += length;
	}
	return at == end ? FL_OK : bad(err, "a gap between two groups");
}

static enum fl_rc load_group(struct fl_blocks_index *index, uint32_t group, struct fl_err *err)
{
	const uint32_t first = group * FL_BLOCKS_GROUP;
	const uint32_t left = index->n - first;
	const uint32_t m = left < FL_BLOCKS_GROUP ? left : FL_BLOCKS_GROUP;
	const bool last = m == left;
	const size_t len = GROUP_HEAD_SIZE + (size_t)m * index->record_size;
	const uint64_t offset = HEADER_SIZE + index->dictionary_len +
				record_at(index->claim.frame_size, first) - GROUP_HEAD_SIZE;
	index->group = NO_GROUP;
	enum fl_rc rc = index->input.read(index->input.ctx, offset, index->bytes,
					  len + (last ? 0 : GROUP_HEAD_SIZE), err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "block index");
	if (group == 0 && get_be(index->bytes, GROUP_HEAD_SIZE) != 0)
		return bad(err, "a gap before the first frame");
	rc = place_frames(
		index, m,
		last ? index->claim.blocks_size : get_be(index->bytes + len, GROUP_HEAD_SIZE), err);
	if (rc == FL_OK)
		index->group = group;
	return rc;
}

enum fl_rc fl_blocks_index_frame(struct fl_blocks_index *index, uint32_t k,
				 struct fl_blocks_frame *ret, struct fl_err *err)
{
	FL_BUG_ON(k >= index->n);
	const uint32_t i = k % FL_BLOCKS_GROUP;
	if (index->group != k / FL_BLOCKS_GROUP) {
		enum fl_rc rc = load_group(index, k / FL_BLOCKS_GROUP, err);
		if (rc != FL_OK)
			return rc;
	}
	const uint8_t *p = index->bytes + GROUP_HEAD_SIZE + (size_t)i * index->record_size;
	const uint32_t len = frame_image_len(index->claim.image_size, index->claim.frame_size, k);
	ret->offset = index->offsets[i];
	ret->length = (uint32_t)get_be(p, LENGTH_SIZE);
	ret->image_len = len;
	ret->n_blocks = (len + FL_BLOCKS_BLOCK_SIZE - 1) / FL_BLOCKS_BLOCK_SIZE;
	memcpy(ret->hash, p + LENGTH_SIZE, FL_BLOCKS_HASH_SIZE);
	p += LENGTH_SIZE + FL_BLOCKS_HASH_SIZE;
	for (uint32_t b = 0; b < ret->n_blocks; b++)
		ret->blocks[b] = get_be(p + (size_t)b * BLOCK_HASH_SIZE, BLOCK_HASH_SIZE);
	return FL_OK;
}

/* ---- a frame ---- */

static enum fl_rc check(const struct fl_blocks_frame *frame, uint32_t k, const void *data,
			size_t len, struct fl_err *err)
{
	uint8_t hash[FL_BLOCKS_HASH_SIZE];
	if (len == frame->length) {
		enum fl_rc rc = frame_hash(k, data, len, hash, err);
		if (rc != FL_OK)
			return rc;
		if (memcmp(hash, frame->hash, sizeof(hash)) == 0)
			return FL_OK;
	}
	return fl_fail(err, FL_E_CHUNK_MISMATCH, 0, "frame %u is not that of the index", k);
}

enum fl_rc fl_blocks_check(struct fl_blocks_index *index, uint32_t k, const void *data, size_t len,
			   struct fl_err *err)
{
	struct fl_blocks_frame frame;
	enum fl_rc rc = fl_blocks_index_frame(index, k, &frame, err);
	return rc == FL_OK ? check(&frame, k, data, len, err) : rc;
}

static enum fl_rc read_dictionary(struct fl_blocks_index *index, struct fl_frames_decoder *decoder,
				  struct fl_err *err)
{
	if (index->dictionary_len == 0)
		return FL_OK;
	void *data = malloc(index->dictionary_len);
	if (data == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "dictionary");
	enum fl_rc rc =
		index->input.read(index->input.ctx, HEADER_SIZE, data, index->dictionary_len, err);
	if (rc == FL_OK)
		rc = fl_frames_decoder_set_dictionary(decoder, data, index->dictionary_len, err);
	free(data);
	return rc;
}

static enum fl_rc make_decoder(struct fl_blocks_index *index, struct fl_err *err)
{
	struct fl_frames_decoder *decoder = NULL;
	enum fl_rc rc = fl_frames_decoder_new(&decoder, err);
	if (rc == FL_OK)
		rc = read_dictionary(index, decoder, err);
	if (rc != FL_OK) {
		fl_frames_decoder_free(decoder);
		return fl_wrap(err, rc, "block index");
	}
	index->decoder = decoder;
	return FL_OK;
}

enum fl_rc fl_blocks_decode(struct fl_blocks_index *index, uint32_t k, const void *data, size_t len,
			    void *out, struct fl_err *err)
{
	struct fl_blocks_frame frame;
	enum fl_rc rc = fl_blocks_index_frame(index, k, &frame, err);
	if (rc == FL_OK)
		rc = check(&frame, k, data, len, err);
	if (rc == FL_OK && index->decoder == NULL)
		rc = make_decoder(index, err);
	return rc == FL_OK ? fl_frames_decode(index->decoder, data, len, out, frame.image_len, err)
			   : rc;
}
