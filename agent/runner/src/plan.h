/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which order pages and chunks are asked for while staging. The plan runs ahead of the work, and
 * both go through the same sequence: that is why the pieces can be taken in the order of the needs.
 * For every frame that lacks something:
 *
 *   1. its transport chunks that no frame before it had, each after the tree page it hangs on
 *   2. the tree pages that its lacking installed chunks hang on
 *
 * A page that the verifier holds already is not asked for again.
 *
 * Steps that follow each other become one need, so that the agent can make one range request of it.
 * Pure.
 */
#ifndef FL_RUNNER_PLAN_H
#define FL_RUNNER_PLAN_H

#include "channel.h"

#include <fairlead/artifact/frames.h>
#include <fairlead/trust/tree.h>

struct plan_image {
	struct fl_tree_shape installed, transport;
	const uint8_t *right; /* borrowed: a bit per installed chunk, not changed while planning */
	uint32_t frame_size;
};

struct plan {
	struct plan_image image;
	const struct fl_frames *frames;		 /* borrowed; NULL until the table is read */
	uint64_t installed_page, transport_page; /* held at this point of the sequence */
	bool has_top;				 /* of the transport tree */
	uint32_t frame;				 /* the next to look at */
	uint64_t chunk, chunk_end; /* transport chunks of this frame still to ask for */
	uint64_t leaf, leaf_end;   /* its installed chunks still to look at */
	struct need ahead;	   /* the step that ended the last run; count 0: none */
};

/* Begins with the transport chunks that hold the table. installed_page: what the installed tree
 * holds. */
void plan_init(struct plan *plan, const struct plan_image *image, uint64_t installed_page,
	       uint64_t table_size);
/* The table is read: go on with the frames. */
void plan_frames(struct plan *plan, const struct fl_frames *frames);
/* The next run to ask for; false: nothing more (before plan_frames: nothing more of the table). */
bool plan_next(struct plan *plan, struct need *run);

static inline bool bit_get(const uint8_t *bits, uint64_t i)
{
	return (bits[i / 8] >> (i % 8) & 1) != 0;
}

static inline void bit_set(uint8_t *bits, uint64_t i)
{
	bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

/* The installed chunks first…end - 1 of frame k, and whether one of them lacks. */
bool plan_frame_lacks(const struct plan_image *image, uint32_t k, uint64_t *first, uint64_t *end);

#endif
