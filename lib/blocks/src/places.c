/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include "layout.h"

#include <fairlead/base/file.h>
#include <fairlead/blocks/search.h>

struct frame_places {
	uint32_t n, image_len;
	uint64_t places[FL_BLOCKS_PER_FRAME_MAX];
};

static enum fl_rc read_places(struct fl_blocks_index *index, int plan, uint32_t k,
			      struct frame_places *ret, struct fl_err *err)
{
	const struct fl_blocks_claim *claim = fl_blocks_index_claim(index);
	uint8_t bytes[FL_BLOCKS_PER_FRAME_MAX * PLACE_SIZE];
	FL_BUG_ON(k >= fl_blocks_index_frames(index));
	const uint64_t first = (uint64_t)k * (claim->frame_size / FL_BLOCKS_BLOCK_SIZE);
	ret->image_len = frame_image_len(claim->image_size, claim->frame_size, k);
	ret->n = (ret->image_len + FL_BLOCKS_BLOCK_SIZE - 1) / FL_BLOCKS_BLOCK_SIZE;
	enum fl_rc rc =
		fl_pread_all(plan, bytes, (size_t)ret->n * PLACE_SIZE, first * PLACE_SIZE, err);
	for (uint32_t b = 0; rc == FL_OK && b < ret->n; b++)
		ret->places[b] = get_be(bytes + (size_t)b * PLACE_SIZE, PLACE_SIZE);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "plan");
}

static bool lacks_one(const struct frame_places *p)
{
	for (uint32_t b = 0; b < p->n; b++)
		if (p->places[b] == NOWHERE)
			return true;
	return false;
}

enum fl_rc fl_blocks_plan_lacks(struct fl_blocks_index *index, int plan, uint32_t k, bool *lacks,
				struct fl_err *err)
{
	struct frame_places p = {0};
	enum fl_rc rc = read_places(index, plan, k, &p, err);
	if (rc == FL_OK)
		*lacks = lacks_one(&p);
	return rc;
}

enum fl_rc fl_blocks_plan_gather(struct fl_blocks_index *index, int plan,
				 const struct fl_blocks_bases *bases, uint32_t k, void *out,
				 struct fl_err *err)
{
	struct frame_places p = {0};
	enum fl_rc rc = read_places(index, plan, k, &p, err);
	if (rc == FL_OK && lacks_one(&p))
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "frame %u lacks", k);
	for (uint32_t b = 0; rc == FL_OK && b < p.n; b++) {
		const uint64_t base = p.places[b] >> PLACE_AT_BITS;
		const uint32_t at = b * FL_BLOCKS_BLOCK_SIZE;
		const uint32_t left = p.image_len - at;
		if (base >= bases->n)
			return fl_fail(err, FL_E_CORRUPT, 0, "plan: a base that isn't there");
		rc = fl_pread_all(bases->fds[base], (uint8_t *)out + at,
				  left < FL_BLOCKS_BLOCK_SIZE ? left : FL_BLOCKS_BLOCK_SIZE,
				  p.places[b] & PLACE_AT_MAX, err);
	}
	return rc;
}
