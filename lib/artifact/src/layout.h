/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the table, shared by reader and writer. */
#ifndef FL_ARTIFACT_LAYOUT_H
#define FL_ARTIFACT_LAYOUT_H

#include <fairlead/artifact/frames.h>

#include <string.h>

#define FRAMES_MAGIC   "FLZF"
#define FRAMES_VERSION 1u

static inline uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t get_u64(const uint8_t *p)
{
	return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)(v >> 32));
	put_u32(p + 4, (uint32_t)v);
}

static inline bool frame_size_valid(uint32_t frame_size)
{
	return frame_size > 0 && frame_size % FL_FRAMES_UNIT == 0 &&
	       frame_size <= FL_FRAMES_SIZE_MAX;
}

static inline uint64_t frames_of(uint64_t image_size, uint32_t frame_size)
{
	return image_size / frame_size + (image_size % frame_size != 0);
}

/* Bytes of image in frame k. */
static inline uint32_t frame_image_len(uint64_t image_size, uint32_t frame_size, uint64_t k)
{
	uint64_t left = image_size - k * frame_size;
	return left < frame_size ? (uint32_t)left : frame_size;
}

#endif
