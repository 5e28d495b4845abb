/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the index, shared by reader and writer, and the hash of a frame. */
#ifndef FL_BLOCKS_LAYOUT_H
#define FL_BLOCKS_LAYOUT_H

#include <fairlead/blocks/index.h>

#include <fairlead/trust/digest.h>

#include <string.h>

#define INDEX_MAGIC	"FLBI"
#define INDEX_VERSION	1u
#define HEADER_SIZE	32u
#define GROUP_HEAD_SIZE 8u
#define LENGTH_SIZE	2u
#define BLOCK_HASH_SIZE 6u
#define RECORD_SIZE_MAX                                                                            \
	(LENGTH_SIZE + FL_BLOCKS_HASH_SIZE + FL_BLOCKS_PER_FRAME_MAX * BLOCK_HASH_SIZE)
#define FRAME_HASH_PREFIX "FLBK"

static inline uint64_t get_be(const uint8_t *p, size_t len)
{
	uint64_t v = 0;
	for (size_t i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static inline void put_be(uint8_t *p, uint64_t v, size_t len)
{
	for (size_t i = len; i > 0; i--, v >>= 8)
		p[i - 1] = (uint8_t)v;
}

static inline bool frame_size_valid(uint32_t frame_size)
{
	return frame_size > 0 && frame_size % FL_BLOCKS_BLOCK_SIZE == 0 &&
	       frame_size <= FL_BLOCKS_FRAME_MAX;
}

static inline uint32_t record_size(uint32_t frame_size)
{
	return LENGTH_SIZE + FL_BLOCKS_HASH_SIZE +
	       frame_size / FL_BLOCKS_BLOCK_SIZE * BLOCK_HASH_SIZE;
}

static inline uint64_t frames_of(uint64_t image_size, uint32_t frame_size)
{
	return image_size / frame_size + (image_size % frame_size != 0);
}

/* Bytes of image in frame k. */
static inline uint32_t frame_image_len(uint64_t image_size, uint32_t frame_size, uint64_t k)
{
	const uint64_t left = image_size - k * frame_size;
	return left < frame_size ? (uint32_t)left : frame_size;
}

/* Where the record of frame k lies, behind the dictionary. */
static inline uint64_t record_at(uint32_t frame_size, uint64_t k)
{
	return (k / FL_BLOCKS_GROUP + 1) * GROUP_HEAD_SIZE + k * record_size(frame_size);
}

/* Bytes behind the dictionary. */
static inline uint64_t groups_size(uint64_t n, uint32_t frame_size)
{
	return n == 0 ? 0 : record_at(frame_size, n - 1) + record_size(frame_size);
}

static inline enum fl_rc frame_hash(uint64_t k, const void *data, size_t len,
				    uint8_t ret[FL_BLOCKS_HASH_SIZE], struct fl_err *err)
{
	uint8_t head[sizeof(FRAME_HASH_PREFIX) - 1 + 8] = FRAME_HASH_PREFIX;
	struct fl_digest digest;
	put_be(head + 4, k, 8);
	enum fl_rc rc = fl_sha256(head, sizeof(head), data, len, &digest, err);
	if (rc == FL_OK)
		memcpy(ret, digest.b, FL_BLOCKS_HASH_SIZE);
	return rc;
}

#endif
